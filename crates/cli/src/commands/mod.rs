//! One file per verb.

mod ask;
mod bench;
mod chat;
mod compare;
mod doctor;
mod eval;
mod eval_answers;
mod eval_safety;
mod eval_served;
mod export;
mod index;
mod ingest;
mod inspect;
mod judge;
mod merge;
mod prepare;
mod pull;
mod quickstart;
mod rescore;
mod search;
mod serve;
mod synth;
mod train;
mod verify;
mod verify_card;

use crate::args::{Args, Verb};
use crate::failure::Outcome;

/// Carries out a verb.
pub(crate) fn run(args: Args) -> Outcome<()> {
    match args.verb {
        Verb::Quickstart(args) => quickstart::run(&args),
        Verb::Ingest(args) => ingest::run(&args),
        Verb::IngestChild => ingest::child(),
        Verb::Synth(args) => synth::run(&args),
        Verb::Prepare(args) => prepare::run(&args),
        Verb::Train(args) => train::run(&args),
        Verb::Eval(args) => eval::run(&args),
        Verb::Judge(args) => judge::run(&args),
        Verb::Compare(args) => compare::run(&args),
        Verb::Rescore(args) => rescore::run(&args),
        Verb::Index(args) => index::run(&args),
        Verb::Search(args) => search::run(&args),
        Verb::Ask(args) => ask::run(&args),
        Verb::Chat(args) => chat::run(&args),
        Verb::Serve(args) => serve::run(&args),
        Verb::Merge(args) => merge::run(&args),
        Verb::Verify(args) => verify::run(&args),
        Verb::Export(args) => export::run(&args),
        Verb::Inspect(what) => inspect::run(&what),
        Verb::Bench(what) => bench::run(&what),
        Verb::Pull(args) => pull::run(&args),
        Verb::Doctor(args) => doctor::run(&args),
    }
}
