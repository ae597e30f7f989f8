//! From the files of a recipe to samples.

use std::path::{Path, PathBuf};

use dataset::{EncodeOptions, EncodedSet, Example, Input, PrepareOptions, Prepared, ReadOptions};
use model::{ChatTemplate, Tokenizer, TrainOn};
use train::{DatasetFile, Recipe};

use crate::failure::Outcome;

/// The files of a recipe, as the reader wants them.
pub(crate) fn inputs(files: &[DatasetFile]) -> Vec<Input> {
    files
        .iter()
        .map(|file| Input {
            path: PathBuf::from(&file.path),
            options: ReadOptions {
                layout: file.layout,
                columns: file.columns.clone(),
                system: file.system.clone(),
                ..ReadOptions::default()
            },
        })
        .collect()
}

/// Reads, cleans and splits the data of `recipe` into the folder `out`.
pub(crate) fn prepare(recipe: &Recipe, out: &Path) -> Outcome<Prepared> {
    let options = PrepareOptions { cleaning: recipe.cleaning.clone(), split: recipe.split.clone() };
    Ok(dataset::prepare(&inputs(&recipe.datasets), out, &options)?)
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
