//! The importance matrix of an export: read, or collected on the conversations that the model was trained on.

use std::path::Path;

use compute::Segment;
use formats::gguf::Importance;
use model::{Activations, Tokens, TrainOn, encode_conversation};

use super::base::Model;
use super::exporting::Source;
use super::merging::read;
use crate::failure::{Failure, Outcome};

/// Seed of the order in which conversations are taken.
const SEED: u64 = 42;
/// So many tokens say what inputs are like; llama.cpp's people take about as many.
const ENOUGH_TOKENS: usize = 100_000;
/// The longest conversation that is read whole.
const LONGEST: usize = 4096;

/// The importance matrix in `file`, or, without one, of the training side of the run; how many tokens it was collected
/// on, where it was.
pub(crate) fn find(
    file: Option<&Path>,
    source: &Source,
    model: &Model,
) -> Outcome<(Importance, Option<u64>)> {
    if let Some(file) = file {
        return Ok((Importance::read(file)?, None));
    }
    let data = source.run.as_ref().map(|run| run.join("data").join("train.jsonl"));
    let Some(data) = data.filter(|data| data.is_file()) else {
        return Err(Failure::input(
            "--imatrix: there is no run whose training side it could be collected on",
        )
        .hint("export a run, or name a file: `--imatrix FILE`, as `llama-imatrix` writes it"));
    };
    collect(&data, model)
}

fn collect(data: &Path, model: &Model) -> Outcome<(Importance, Option<u64>)> {
    let Model { decoder, tokenizer, template, .. } = model;
    let mut examples = Vec::new();
    read(data, &mut examples)?;
    let longest = decoder.positions().min(LONGEST);
    let chunk_size = u32::try_from(longest).unwrap_or(u32::MAX);
    let mut importance = Importance::new(vec![data.display().to_string()], chunk_size);
    let mut activations = Activations::for_inference(decoder, longest)?;
    let mut count = 0;
    for index in dataset::shuffled(examples.len(), SEED, 0) {
        if count >= ENOUGH_TOKENS {
            break;
        }
        // What could not be encoded was not trained on either.
        let messages = &examples[index].messages;
        let Ok(encoded) = encode_conversation(tokenizer, template, messages, TrainOn::Everything) else {
            continue;
        };
        let ids = &encoded.ids[..encoded.ids.len().min(longest)];
        let positions: Vec<u32> = (0..).take(ids.len()).collect();
        let segments = [Segment::whole(0, ids.len())];
        let tokens = Tokens { ids, positions: &positions };
        decoder.add_input_squares(tokens, &segments, &mut activations, &mut importance);
        count += ids.len();
    }
    match count {
        0 => Err(Failure::input(format!("{}: no conversation that the model reads", data.display()))),
        _ => Ok((importance, Some(count as u64))),
    }
}
