//! `medtune train`: a recipe, carried out.

use ::eval::counted;
use ::train::{Communicator, Recipe};
use serde_json::json;

use crate::args::TrainArgs;
use crate::failure::Outcome;
use crate::pipeline::ranks::{self, Ranks, Team};
use crate::pipeline::training::Trained;
use crate::pipeline::{evaluation, report, training};
use crate::progress::TrainingProgress;
use crate::{output, recipe_file};

pub(crate) fn run(args: &TrainArgs) -> Outcome<()> {
    let ranks = Ranks::join()?;
    let trained = train(args, ranks.communicator());
    // What follows takes one process: the others are free.
    let Some((recipe, trained)) = ranks.end(trained)? else { return Ok(()) };
    let compared = evaluation::compare_with_base(&recipe, &trained)?;
    report::write(&trained, compared.as_ref())?;
    let stats = &trained.outcome.stats;
    if args.json {
        let mut document = compared.as_ref().map_or(json!({}), |c| evaluation::to_json(&c.comparison));
        document["run_dir"] = json!(trained.folder.path());
        document["stats"] = json!(stats);
        document["memory"] = json!(trained.manifest.memory);
        document["peak_memory_bytes"] = json!(track::memory::peak());
        document["tokens_per_second"] = json!(stats.train_tokens_per_second);
        document["validation_loss"] = json!(trained.outcome.validation_loss);
        document["skipped_steps"] = json!(trained.outcome.skipped);
        document["data"] = json!(trained.prepared.report);
        document["left_out"] = json!(compared.as_ref().map(|c| &c.exam.left_out));
        return output::print_json(&document);
    }
    let mut text = format!(
        "{} steps in {:.0} s, {:.0} tokens/s, mean loss {:.4}\n",
        stats.steps, stats.train_runtime, stats.train_tokens_per_second, stats.train_loss
    );
    if let Some(compared) = &compared {
        let left_out = compared.exam.left_out.len();
        if left_out > 0 {
            text.push_str(&format!("{} could not be asked\n", counted(left_out, "held-out question")));
        }
        text.push_str(&format!("\n{}\n\n", evaluation::table(&compared.comparison)));
    }
    text.push_str(&format!("report: {}", trained.folder.report().display()));
    output::print(&text)
}

/// The part of this process in the training; rank 0 has the result.
fn train(args: &TrainArgs, ranks: &dyn Communicator) -> Outcome<Option<(Recipe, Trained)>> {
    let team = Team::new(ranks, args.threads.map(usize::from));
    if ranks.rank() > 0 {
        return ranks::assist(&team).map(|()| None);
    }
    let recipe = recipe_file::load(&args.recipe, &args.set)?;
    let mut progress = TrainingProgress::default();
    match training::train(&recipe, args.resume, &team, &mut progress) {
        Ok(trained) => Ok(Some((recipe, trained))),
        Err(failure) if failure.by_signal() => {
            Err(failure.hint("the same command with `--resume` goes on from there"))
        }
        Err(failure) => Err(failure),
    }
}
