//! Examples as tokens, by the model's own template: the one that evaluates and serves too.

use chat::{Message, Role};
use model::{ChatTemplate, Encoded, Tokenizer, TrainOn, encode_conversation};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::examples::Example;
use crate::packing::Sample;

/// What happens to an example of more tokens than the model is to see at once. An answer is never cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overlong {
    /// It is left out, and counted.
    #[default]
    Drop,
    /// The longest user turn loses words at its beginning, as few as will do. What does not fit even so is left out.
    CutPrompt,
}

/// How to encode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncodeOptions {
    /// What is learned.
    pub train_on: TrainOn,
    /// Most tokens of an example.
    pub sequence_len: usize,
    /// What happens to longer ones.
    pub overlong: Overlong,
}

/// An example that the template or the tokenizer does not take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// Its id.
    pub id: String,
    /// The reason.
    pub reason: String,
}

/// What was encoded. `examples = samples + overlong + refused`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct EncodeReport {
    /// Examples that came in.
    pub examples: usize,
    /// Samples that came out.
    pub samples: usize,
    /// Tokens of all samples.
    pub tokens: usize,
    /// Tokens that are learned.
    pub learned_tokens: usize,
    /// Tokens of the longest sample.
    pub longest: usize,
    /// Samples whose prompt was cut.
    pub cut_prompts: usize,
    /// Ids of the examples that were left out as too long.
    pub overlong: Vec<String>,
    /// Examples that were left out for another reason.
    pub refused: Vec<Refusal>,
}

/// Samples and how they came about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EncodedSet {
    /// The samples, in the order of the examples.
    pub samples: Vec<Sample>,
    /// The numbers.
    pub report: EncodeReport,
}

enum Outcome {
    Whole(Sample),
    Cut(Sample),
    Overlong(String),
    Refused(Refusal),
}

/// Encodes examples, in parallel.
///
/// # Errors
/// Not one example is left; the reason is that of the first.
pub fn encode(
    examples: &[Example],
    tokenizer: &Tokenizer,
    template: &ChatTemplate,
    options: &EncodeOptions,
) -> Result<EncodedSet, Error> {
    let one = |example: &Example| match outcome(example, tokenizer, template, options) {
        Ok(outcome) => outcome,
        Err(error) => Outcome::Refused(Refusal { id: example.id.clone(), reason: error.to_string() }),
    };
    let outcomes: Vec<Outcome> = examples.par_iter().map(one).collect();
    let mut set = EncodedSet::default();
    set.report.examples = examples.len();
    for outcome in outcomes {
        match outcome {
            Outcome::Whole(sample) => set.samples.push(sample),
            Outcome::Cut(sample) => {
                set.report.cut_prompts += 1;
                set.samples.push(sample);
            }
            Outcome::Overlong(id) => set.report.overlong.push(id),
            Outcome::Refused(refusal) => set.report.refused.push(refusal),
        }
    }
    let report = &mut set.report;
    report.samples = set.samples.len();
    report.tokens = set.samples.iter().map(|sample| sample.ids.len()).sum();
    report.learned_tokens =
        set.samples.iter().flat_map(|sample| &sample.learned).filter(|learned| **learned).count();
    report.longest = set.samples.iter().map(|sample| sample.ids.len()).max().unwrap_or(0);
    if set.samples.is_empty() {
        let reason = match (report.refused.first(), report.overlong.len()) {
            (Some(refusal), _) => format!("`{}`: {}", refusal.id, refusal.reason),
            (None, 0) => "there are none".into(),
            (None, _) => format!("all are longer than {} tokens", options.sequence_len),
        };
        return Err(Error::NothingEncoded { examples: examples.len(), reason });
    }
    Ok(set)
}

fn outcome(
    example: &Example,
    tokenizer: &Tokenizer,
    template: &ChatTemplate,
    options: &EncodeOptions,
) -> model::Result<Outcome> {
    let encoded = |messages: &[Message]| encode_conversation(tokenizer, template, messages, options.train_on);
    let fits = |encoded: &Encoded| encoded.ids.len() <= options.sequence_len;
    let sample =
        |encoded: Encoded| Sample { id: example.id.clone(), ids: encoded.ids, learned: encoded.labels };
    let whole = encoded(&example.messages)?;
    if fits(&whole) {
        return Ok(Outcome::Whole(sample(whole)));
    }
    let users = example.messages.iter().enumerate().filter(|(_, message)| message.role == Role::User);
    let longest = users.max_by_key(|(_, message)| message.content.len());
    let (Overlong::CutPrompt, Some((at, message))) = (options.overlong, longest) else {
        return Ok(Outcome::Overlong(example.id.clone()));
    };
    let starts = word_starts(&message.content);
    // The fewest words to cut, by bisection: the last word always stays.
    let (mut low, mut high, mut best) = (1, starts.len(), None);
    while low < high {
        let middle = (low + high) / 2;
        let mut messages = example.messages.clone();
        messages[at].content = message.content[starts[middle]..].to_string();
        let shorter = encoded(&messages)?;
        if fits(&shorter) {
            best = Some(shorter);
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(best.map_or(Outcome::Overlong(example.id.clone()), |shorter| Outcome::Cut(sample(shorter))))
}

/// The byte at which each word begins.
fn word_starts(text: &str) -> Vec<usize> {
    let mut blank = true;
    let mut starts = Vec::new();
    for (at, c) in text.char_indices() {
        if blank && !c.is_whitespace() {
            starts.push(at);
        }
        blank = c.is_whitespace();
    }
    starts
}
