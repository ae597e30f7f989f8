//! An adapter merged into its base, and what the merging changed: the loss of reference answers and the logits after
//! their questions, before and after.

use std::path::{Path, PathBuf};

use compute::DType;
use dataset::{Example, Input, ReadOptions};
use model::Base;

use super::base::Model;
use super::fidelity::{Fidelity, Measured, sample};
use super::quantization;
use crate::args::{MergeArgs, MergedType};
use crate::failure::{Failure, Outcome, io};
use crate::shipped;

/// A model that has been written.
#[derive(Debug)]
pub(crate) struct Merged {
    pub(crate) dtype: &'static str,
    pub(crate) base_quantized: bool,
    pub(crate) parameters: usize,
    pub(crate) bytes: u64,
    /// Nothing where no question could be asked.
    pub(crate) quality: Option<Fidelity>,
    /// Questions that could not be asked, with the reasons.
    pub(crate) left_out: Vec<String>,
}

/// Merges, writes and measures.
pub(crate) fn merge(args: &MergeArgs) -> Outcome<Merged> {
    let base_quantized = is_quantized(&args.model, &args.adapter)?;
    if base_quantized && !args.allow_quantized_base {
        return Err(refused_for_quantized(&args.model));
    }
    refuse_to_replace(&args.out)?;
    let examples = examples(&args.data)?;
    let (dtype, name) = match args.dtype {
        MergedType::F16 => (DType::F16, "f16"),
        MergedType::Bf16 => (DType::Bf16, "bf16"),
        MergedType::F32 => (DType::F32, "f32"),
    };
    let unmerged = Model::load(&args.model, Some(&args.adapter))?;
    let (chosen, left_out) = unmerged.subject(true).readable(&sample(examples, args.limit));
    let before = Measured::of(&unmerged, &chosen)?;
    let roles = (unmerged.tokenizer.bos(), unmerged.tokenizer.eos());
    unmerged.decoder.save(&args.out, dtype, roles)?;
    unmerged.save_text(&args.out)?;
    // Two models at once would take twice the memory.
    drop(unmerged);
    let merged = Model::load(&args.out.to_string_lossy(), None)?;
    let after = Measured::of(&merged, &chosen)?;
    let weights = args.out.join("model.safetensors");
    Ok(Merged {
        dtype: name,
        base_quantized,
        parameters: merged.decoder.config().parameters(),
        bytes: std::fs::metadata(&weights).map_err(io(&weights))?.len(),
        quality: (!chosen.is_empty()).then(|| before.compare(&after)).transpose()?,
        left_out: left_out.iter().map(ToString::to_string).collect(),
    })
}

/// Whether an adapter was trained on a base in the bits of a quantization.
pub(crate) fn is_quantized(base: &str, adapter: &Path) -> Outcome<bool> {
    let base = formats::hub::resolve(base)?;
    Ok(quantization::read(adapter)?.is_some() || Base::open(&base)?.is_quantized())
}

pub(crate) fn refused_for_quantized(base: &str) -> Failure {
    Failure::input(format!(
        "{base} is a quantized base: the merged weights would be its decoded ones with the adapter rounded into them"
    ))
    .hint("use the adapter unmerged, or merge with --allow-quantized-base and read the loss of quality")
}

/// A folder with something in it is somebody's.
pub(super) fn refuse_to_replace(out: &Path) -> Outcome<()> {
    let taken = match std::fs::read_dir(out) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => out.exists(),
    };
    match taken {
        true => {
            Err(Failure::input(format!("{} is not empty", out.display())).hint("name another with --out"))
        }
        false => Ok(()),
    }
}

/// The questions of `files`, or those that the binary carries.
pub(crate) fn examples(files: &[PathBuf]) -> Outcome<Vec<Example>> {
    let mut examples = Vec::new();
    for path in files {
        read(path, &mut examples)?;
    }
    if files.is_empty() {
        return shipped::questions();
    }
    match examples.is_empty() {
        true => Err(Failure::input("--data: no question with an answer in these files")),
        false => Ok(examples),
    }
}

/// Reads the conversations of a file of rows.
pub(crate) fn read(path: &Path, examples: &mut Vec<Example>) -> Outcome<()> {
    let mut reader = dataset::read(&Input { path: path.to_owned(), options: ReadOptions::default() })?;
    for row in &mut reader {
        let Ok(row) = row? else { continue };
        let dataset::Item::Conversation(messages) = row.item else { continue };
        examples.push(Example {
            messages,
            id: row.id,
            document: row.document,
            topic: row.topic,
            source: row.source,
            group: String::new(),
        });
    }
    Ok(())
}
