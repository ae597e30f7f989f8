//! From the files of a recipe to samples.

use std::path::Path;

use dataset::{EncodeOptions, EncodedSet, Example, Input, PrepareOptions, Prepared, ReadOptions};
use eval::counted;
use model::{ChatTemplate, Tokenizer, TrainOn};
use train::{DatasetFile, Recipe};

use crate::failure::Outcome;

/// The files of a recipe, as the reader wants them.
pub(crate) fn inputs(files: &[DatasetFile]) -> Outcome<Vec<Input>> {
    let input = |file: &DatasetFile| {
        let options = ReadOptions {
            layout: file.layout,
            columns: file.columns.clone(),
            system: file.system.clone(),
            ..ReadOptions::default()
        };
        Ok(Input { path: formats::hub::resolve_rows(&file.path)?, options })
    };
    files.iter().map(input).collect()
}

/// Reads, cleans and splits the data of `recipe` into the folder `out`.
pub(crate) fn prepare(recipe: &Recipe, out: &Path) -> Outcome<Prepared> {
    let options =
        PrepareOptions { cleaning: recipe.cleaning.clone(), split: recipe.split.clone(), phi: None };
    Ok(dataset::prepare(&inputs(&recipe.datasets)?, out, &options)?)
}

/// Examples as the recipe wants them encoded.
pub(crate) fn encode(
    recipe: &Recipe,
    examples: &[Example],
    tokenizer: &Tokenizer,
    template: &ChatTemplate,
    positions: usize,
) -> Outcome<EncodedSet> {
    let train_on = if recipe.train_on_inputs { TrainOn::Everything } else { TrainOn::Answers };
    let sequence_len = recipe.sequence_len.min(positions);
    let options = EncodeOptions { train_on, sequence_len, overlong: recipe.overlong };
    if examples.is_empty() {
        return Ok(EncodedSet::default());
    }
    Ok(dataset::encode(examples, tokenizer, template, &options)?)
}

/// What was read, dropped and split, and what the split keeps apart.
pub(crate) fn summary(prepared: &Prepared) -> String {
    let r = &prepared.report;
    let dropped: Vec<String> = r
        .dropped
        .iter()
        .map(|(rule, count)| {
            format!("{count} {}", serde_json::json!(rule).as_str().unwrap_or_default().replace('_', " "))
        })
        .collect();
    let dropped = if dropped.is_empty() { "none".into() } else { dropped.join(", ") };
    let percent = |share: f64| 100.0 * share;
    let mut lines = vec![
        format!("Rows       {} read, {} kept, dropped: {dropped}", r.rows, r.kept),
        format!(
            "Split      train {}, validation {}, test {} in {}; {}",
            r.splits.train,
            r.splits.val,
            r.splits.test,
            counted(r.groups, "group"),
            counted(r.choices, "multiple-choice item")
        ),
        format!(
            "Leaks      {}, {}, {} between the sides",
            counted(r.leak.exact_questions, "equal question"),
            counted(r.leak.near_duplicates, "near-duplicate"),
            counted(r.leak.shared_documents, "shared document")
        ),
    ];
    if r.row_split_leak.test_rows > 0 {
        lines.push(format!(
            "           a split by rows: {:.0} % of the test questions equal, {:.0} % near-duplicates, {:.0} % with a \
             shared document",
            percent(r.row_split_leak.exact_questions_share),
            percent(r.row_split_leak.near_duplicates_share),
            percent(r.row_split_leak.shared_documents_share)
        ));
    }
    lines.join("\n")
}
