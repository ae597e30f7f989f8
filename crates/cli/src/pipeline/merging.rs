//! An adapter merged into its base, and what the merging changed: the loss of reference answers and the logits after
//! their questions, before and after.

use std::path::{Path, PathBuf};

use ::chat::Role;
use compute::DType;
use dataset::{Example, Input, ReadOptions};
use eval::Wanted;
use model::{Base, encode_prompt};
use serde::Serialize;

use super::base::Model;
use super::quantization;
use crate::args::{MergeArgs, MergedType};
use crate::failure::{Failure, Outcome, io};
use crate::shipped;

/// Seed of the sample of questions.
const SEED: u64 = 42;

/// A model that has been written.
#[derive(Debug)]
pub(crate) struct Merged {
    pub(crate) dtype: &'static str,
    pub(crate) base_quantized: bool,
    pub(crate) parameters: usize,
    pub(crate) bytes: u64,
    /// Nothing where no question could be asked.
    pub(crate) quality: Option<Quality>,
    /// Questions that could not be asked, with the reasons.
    pub(crate) left_out: Vec<String>,
}

/// The unmerged model and the one that was written, on the same questions.
#[derive(Debug, Serialize)]
pub(crate) struct Quality {
    pub(crate) questions: usize,
    /// Tokens of the reference answers.
    pub(crate) tokens: u64,
    /// −log p per token.
    pub(crate) loss_unmerged: f64,
    pub(crate) loss_merged: f64,
    /// Merged less unmerged: above zero where merging has made it worse.
    pub(crate) loss_difference: f64,
    /// Over all tokens of the vocabulary, after every question.
    pub(crate) logits_max_difference: f64,
    pub(crate) logits_mean_difference: f64,
    /// The largest magnitude of an unmerged logit.
    pub(crate) logits_largest: f64,
    /// Questions after which both would write the same token.
    pub(crate) same_likeliest_token: usize,
}

/// Merges, writes and measures.
pub(crate) fn merge(args: &MergeArgs) -> Outcome<Merged> {
    let base = formats::hub::resolve(&args.model)?;
    let base_quantized = quantization::read(&args.adapter)?.is_some() || Base::open(&base)?.is_quantized();
    if base_quantized && !args.allow_quantized_base {
        return Err(Failure::input(format!(
            "{} is a quantized base: the merged weights would be its decoded ones with the adapter rounded into them",
            base.display()
        ))
        .hint("use the adapter unmerged, or merge with --allow-quantized-base and read the loss of quality"));
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
        quality: (!chosen.is_empty()).then(|| before.compare(&after)),
        left_out: left_out.iter().map(ToString::to_string).collect(),
    })
}

/// A folder with something in it is somebody's.
fn refuse_to_replace(out: &Path) -> Outcome<()> {
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
fn examples(files: &[PathBuf]) -> Outcome<Vec<Example>> {
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

fn sample(examples: Vec<Example>, limit: usize) -> Vec<Example> {
    let limit = if limit == 0 { examples.len() } else { limit };
    let drawn = dataset::shuffled(examples.len(), SEED, 0);
    drawn.into_iter().take(limit).map(|i| examples[i].clone()).collect()
}

/// What a model makes of questions.
struct Measured {
    loss_sum: f64,
    tokens: u64,
    /// The logits after each question.
    logits: Vec<Vec<f32>>,
}

impl Measured {
    fn of(model: &Model, examples: &[Example]) -> Outcome<Self> {
        let wanted = Wanted { answers: 0, max_new_tokens: 1 };
        let mut measured = Measured { loss_sum: 0.0, tokens: 0, logits: Vec::with_capacity(examples.len()) };
        if examples.is_empty() {
            return Ok(measured);
        }
        let adapter = model.decoder.adapter().is_some();
        for outcome in model.subject(adapter).questions(examples, wanted, &mut |_, _, _| {})? {
            if let Some(loss) = outcome.loss {
                measured.loss_sum += loss.loss_sum;
                measured.tokens += loss.tokens;
            }
        }
        for example in examples {
            let asked = example.messages.iter().rposition(|m| m.role == Role::Assistant).unwrap_or(0);
            let prompt = encode_prompt(&model.tokenizer, &model.template, &example.messages[..asked])?;
            measured.logits.push(model.decoder.next_logits(&prompt, adapter)?);
        }
        Ok(measured)
    }

    fn compare(&self, merged: &Measured) -> Quality {
        let pairs = || self.logits.iter().flatten().zip(merged.logits.iter().flatten());
        let differences = || pairs().map(|(a, b)| f64::from((a - b).abs()));
        let likeliest = |logits: &[f32]| (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
        let same = |(a, b): &(&Vec<f32>, &Vec<f32>)| likeliest(a) == likeliest(b);
        let loss = |measured: &Measured| measured.loss_sum / measured.tokens.max(1) as f64;
        Quality {
            questions: self.logits.len(),
            tokens: self.tokens,
            loss_unmerged: loss(self),
            loss_merged: loss(merged),
            loss_difference: loss(merged) - loss(self),
            logits_max_difference: differences().fold(0.0, f64::max),
            logits_mean_difference: differences().sum::<f64>() / differences().count().max(1) as f64,
            logits_largest: pairs().fold(0.0, |largest: f64, (a, _)| largest.max(f64::from(a.abs()))),
            same_likeliest_token: self.logits.iter().zip(&merged.logits).filter(same).count(),
        }
    }
}
