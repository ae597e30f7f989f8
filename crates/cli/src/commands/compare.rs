//! `medtune compare`: two models, item by item.

use std::path::{Path, PathBuf};

use ::eval::comparison::{Outcome as Item, compare};
use ::eval::statistics::Resampling;

use crate::args::CompareArgs;
use crate::failure::{Failure, Outcome, io};
use crate::output;
use crate::pipeline::evaluation;

pub(crate) fn run(args: &CompareArgs) -> Outcome<()> {
    let (a, b) = (read(&args.a)?, read(&args.b)?);
    let comparison = compare(&a, &b, &Resampling::default())?;
    if args.json {
        return output::print_json(&evaluation::to_json(&comparison));
    }
    let table = evaluation::table(&comparison);
    output::print(&format!("base: {}\ntuned: {}\n\n{table}", args.a.display(), args.b.display()))
}

/// The outcomes of a run's tuned model, or those in a file.
fn read(path: &Path) -> Outcome<Vec<Item>> {
    let file: PathBuf = if path.is_dir() { path.join("eval/tuned.json") } else { path.to_owned() };
    if !file.is_file() {
        return Err(Failure::input(format!("{}: no such file", file.display()))
            .hint("name a run folder that was compared, or a file from `medtune eval --out`"));
    }
    let text = std::fs::read_to_string(&file).map_err(io(&file))?;
    serde_json::from_str(&text).map_err(|e| Failure::input(format!("{}: {e}", file.display())))
}
