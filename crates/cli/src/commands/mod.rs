//! One file per verb.

mod train;

use crate::args::{Args, Verb};
use crate::failure::Outcome;

/// Carries out a verb.
pub(crate) fn run(args: Args) -> Outcome<()> {
    match args.verb {
        Verb::Train(args) => train::run(&args),
    }
}
