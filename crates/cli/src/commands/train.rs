//! `medtune train`: a recipe, carried out.

use serde_json::json;

use crate::args::TrainArgs;
use crate::failure::Outcome;
use crate::pipeline::training;
use crate::progress::TrainingProgress;
use crate::recipe_file;

pub(crate) fn run(args: &TrainArgs) -> Outcome<()> {
    let recipe = recipe_file::load(&args.recipe, &args.set)?;
    let mut progress = TrainingProgress::new(false);
    let trained = training::train(&recipe, args.resume, &mut progress)?;
    if args.json {
        let document = json!({
            "run_dir": trained.folder.path(),
            "stats": trained.outcome.stats,
            "validation_loss": trained.outcome.validation_loss,
            "skipped_steps": trained.outcome.skipped,
            "data": trained.prepared.report,
        });
        println!("{document:#}");
    } else {
        let stats = &trained.outcome.stats;
        println!(
            "{} steps in {:.0} s, {:.0} tokens/s, mean loss {:.4}: {}",
            stats.steps,
            stats.train_runtime,
            stats.train_tokens_per_second,
            stats.train_loss,
            trained.folder.path().display()
        );
    }
    Ok(())
}
