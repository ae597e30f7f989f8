//! `medtune quickstart`: the whole way, on what is shipped.

use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};
use track::RunFolder;
use train::{DatasetFile, Recipe};

use crate::args::QuickstartArgs;
use crate::failure::{Failure, Outcome, io};
use crate::pipeline::evaluation::{self, Compared};
use crate::pipeline::ranks::Team;
use crate::pipeline::training::{self, Trained};
use crate::pipeline::{data, report};
use crate::progress::TrainingProgress;
use crate::{output, recipe_file, shipped};

/// Marks a folder that a quickstart may replace.
const MARKER: &str = ".quickstart";

pub(crate) fn run(args: &QuickstartArgs) -> Outcome<()> {
    let clock = Instant::now();
    claim(&args.out)?;
    let (base, source) = (args.out.join("base"), args.out.join("source"));
    shipped::write_base(&base)?;
    shipped::write_questions(&source)?;
    let recipe = recipe(args, &base, &source)?;

    let mut progress = TrainingProgress::default();
    progress.heading("1  Data and training");
    let trained = training::train(&recipe, false, &Team::alone(), &mut progress).map_err(|failure| {
        let goes_on =
            format!("`medtune train {}/recipe.yaml --resume` goes on from there", args.out.display());
        if failure.by_signal() { failure.hint(goes_on) } else { failure }
    })?;
    progress.heading("2  Comparison on held-out questions");
    let compared = evaluation::compare_with_base(&recipe, &trained)?
        .ok_or_else(|| Failure::unexpected("there is nothing to compare"))?;
    report::write(&trained, Some(&compared))?;

    let document = document(&trained, &compared, clock);
    evaluation::write_json(&trained.folder.path().join("quickstart.json"), &document)?;
    if args.json {
        return output::print_json(&document);
    }
    output::print(&summary(&trained, &compared, &base, clock))
}

/// Makes room for the run: an earlier quickstart is replaced, anything else is left alone.
fn claim(out: &Path) -> Outcome<()> {
    if out.join(MARKER).is_file() {
        if let Err(error @ track::Error::InUse { .. }) = RunFolder::resume(out) {
            return Err(error.into());
        }
        std::fs::remove_dir_all(out).map_err(io(out))?;
    }
    if out.exists() && std::fs::read_dir(out).map_err(io(out))?.next().is_some() {
        return Err(Failure::input(format!("{} is not empty", out.display()))
            .hint("name another folder with --out; only the folder of an earlier quickstart is replaced"));
    }
    std::fs::create_dir_all(out).map_err(io(out))?;
    let marker = out.join(MARKER);
    std::fs::write(&marker, "medtune quickstart\n").map_err(io(&marker))
}

fn recipe(args: &QuickstartArgs, base: &Path, source: &Path) -> Outcome<Recipe> {
    let text = |path: &Path| path.display().to_string();
    let file = |name: &str| DatasetFile { path: text(&source.join(name)), ..DatasetFile::default() };
    let value: Value =
        serde_saphyr::from_str(shipped::RECIPE).map_err(|e| Failure::unexpected(e.to_string()))?;
    let mut recipe = recipe_file::parse(value, "recipes/quickstart.yaml")?;
    recipe.base_model = Some(text(base));
    recipe.datasets = vec![file("questions.jsonl"), file("choices.jsonl")];
    recipe.seed = args.seed;
    recipe.split.seed = args.seed;
    recipe.output_dir = text(&args.out);
    if args.short {
        recipe.max_steps = 12;
        recipe.evaluation.max_examples = 24;
        recipe.evaluation.max_answers = 4;
    }
    recipe.validate()?;
    Ok(recipe)
}

fn document(trained: &Trained, compared: &Compared, clock: Instant) -> Value {
    let mut document = evaluation::to_json(&compared.comparison);
    let report = &trained.prepared.report;
    document["split"] = json!({
        "rows": report.rows,
        "kept": report.kept,
        "dropped": report.dropped,
        "groups": report.groups,
        "train": report.splits.train,
        "val": report.splits.val,
        "test": report.splits.test,
        "choices": report.choices,
        "leak": report.leak,
        "row_split_leak": report.row_split_leak,
    });
    document["training"] = json!(trained.outcome.stats);
    document["validation_loss"] = json!(trained.outcome.validation_loss);
    document["tokens_per_second"] = json!(trained.outcome.stats.train_tokens_per_second);
    document["seconds"] = json!(clock.elapsed().as_secs_f64());
    document["run_dir"] = json!(trained.folder.path());
    document["adapter"] = json!(trained.folder.adapter());
    document["report"] = json!(trained.folder.report());
    document["example"] = report::examples(compared).first().map_or(
        Value::Null,
        |e| json!({ "question": e.question, "reference": e.reference, "base": e.base, "tuned": e.tuned }),
    );
    document
}

/// What a person sees at the end.
fn summary(trained: &Trained, compared: &Compared, base: &Path, clock: Instant) -> String {
    let mut text =
        format!("{}\n\n{}\n", data::summary(&trained.prepared), evaluation::table(&compared.comparison));
    if let Some(e) = report::examples(compared).first() {
        for (name, said) in
            [("Question", &e.question), ("Reference", &e.reference), ("Base", &e.base), ("Tuned", &e.tuned)]
        {
            text.push_str(&format!("\n{name:<10} {said}"));
        }
        text.push('\n');
    }
    let (run, adapter) = (trained.folder.path().display(), trained.folder.adapter());
    let model = format!("--model {} --adapter {}", base.display(), adapter.display());
    text.push_str(&format!(
        "\nDone in {:.0} s ({:.0} tokens/s in training). The report: {}\n\nTry next:\n  \
         medtune ask \"What are the symptoms of asthma?\" {model}\n  \
         medtune inspect tokens {model} {run}/data/train.jsonl\n  \
         medtune prepare your-questions.csv --out prepared",
        clock.elapsed().as_secs_f64(),
        trained.outcome.stats.train_tokens_per_second,
        trained.folder.report().display()
    ));
    text
}
