//! The memory of a run, before it starts: what for, how much, and which settings would need less.

use compute::{Backend, Waiting};
use dataset::Sample;
use model::{ActivationPlan, Checkpointing, Decoder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plan::Plan;
use crate::{Error, OptimizerKind, Recipe, Result};

mod settings;

/// What layers compute again in the backward instead of keeping it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GradientCheckpointing {
    /// As much as is needed to fit into memory, in as few layers as that takes.
    #[default]
    Auto,
    /// Nothing.
    None,
    /// q, k, v and the attention's output, in every layer.
    Attention,
    /// Everything but its input, in every layer.
    Full,
}

impl GradientCheckpointing {
    /// Reads a mode by its name, or the booleans of other trainers: `true` is full.
    pub(crate) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected auto, none, attention, full, true or false")]
        enum Given {
            Switch(bool),
            Named(GradientCheckpointing),
        }
        Ok(match Given::deserialize(deserializer)? {
            Given::Switch(true) => GradientCheckpointing::Full,
            Given::Switch(false) => GradientCheckpointing::None,
            Given::Named(mode) => mode,
        })
    }

    /// The mode of every layer, the same for all; nothing for `auto`.
    pub(crate) fn everywhere(self, layers: usize) -> Option<Vec<Checkpointing>> {
        let mode = match self {
            GradientCheckpointing::Auto => return None,
            GradientCheckpointing::None => Checkpointing::None,
            GradientCheckpointing::Attention => Checkpointing::Attention,
            GradientCheckpointing::Full => Checkpointing::Full,
        };
        Some(vec![mode; layers])
    }
}

/// Share of the available memory that a run may plan with: other programs move too.
const SHARE: f64 = 0.95;

/// What is known of the batches of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Longest {
    /// Tokens of the largest batch.
    pub tokens: usize,
    /// Most labelled tokens of a batch.
    pub labels: usize,
    /// Tokens of the longest example.
    pub example: usize,
}

/// Bytes that examinations of the model take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Examinations {
    /// Between steps, beside all that training holds.
    pub during: u64,
    /// After the last step: what is needed in any case, beside the trained model.
    pub after: u64,
    /// After the last step, to write answers.
    pub answers: u64,
}

/// Bytes of a run by purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryPlan {
    /// Tokens of the largest batch.
    pub tokens: usize,
    /// Frozen weights, in their storage type.
    pub weights: u64,
    /// Trained values with gradients and the optimizer's moments.
    pub trained: u64,
    /// Kept from forward to backward.
    pub activations: u64,
    /// What one layer after the other works in, forward and backward, and the products' panels.
    pub scratch: u64,
    /// Logits of the labelled tokens that are judged at once.
    pub loss: u64,
    /// The program, the tokenizer and the data: what the process has besides before it trains.
    pub other: u64,
    /// Examinations between steps.
    pub examinations: u64,
    /// All of that, or the peak that loading has left behind if that is more: what is in memory up to the last step.
    pub training: u64,
    /// What is in memory while the model is examined after the last step.
    pub evaluation: u64,
    /// The larger of both.
    pub total: u64,
    /// What the machine lets this process have, where it says so.
    pub available: Option<u64>,
    /// Layers that compute their attention again.
    pub attention_checkpoints: usize,
    /// Layers that compute everything again.
    pub full_checkpoints: usize,
}

/// What a run needs that does not depend on how much is computed again.
#[derive(Debug, Clone, Copy)]
struct Needs {
    weights: u64,
    values: u64,
    optimizer: OptimizerKind,
    other: u64,
    loading: u64,
    /// What the device works in besides.
    work: u64,
    /// Bytes a token for noise on the embeddings.
    noise: u64,
    examinations: Examinations,
    waiting: Waiting,
}

impl Needs {
    fn of<B: Backend>(decoder: &Decoder<B>, recipe: &Recipe, examinations: Examinations) -> Self {
        let (weights, values) = (decoder.weight_bytes() as u64, decoder.parameters.len() as u64);
        let held = weights + 4 * values;
        Needs {
            weights,
            values,
            optimizer: recipe.optimizer,
            other: track::memory::resident().map_or(64 << 20, |now| now.saturating_sub(held)),
            loading: track::memory::peak().unwrap_or(0),
            work: decoder.backend().work_bytes() as u64,
            noise: recipe.neftune_noise_alpha.map_or(0, |_| 4 * decoder.config().hidden_size as u64),
            examinations,
            waiting: decoder.backend().waiting(),
        }
    }
}

/// Bytes of so many trained values: themselves, their gradients, their moments.
fn trained(values: u64, optimizer: OptimizerKind) -> u64 {
    match optimizer {
        OptimizerKind::AdamwTorch => 16 * values,
        // Codes of a byte each; for a block of 256 two scales, and what a step notes of it.
        OptimizerKind::Adamw8bit => 10 * values + values / 256 * 104,
    }
}

impl MemoryPlan {
    /// The plan of a run of `recipe` on a loaded `decoder`, with as much computed again as the recipe says, or as the
    /// machine asks for. Also what each layer computes again.
    pub fn new<B: Backend>(
        decoder: &Decoder<B>,
        recipe: &Recipe,
        (longest, examinations): (Longest, Examinations),
    ) -> (Self, Vec<Checkpointing>) {
        let (needs, available) = (Needs::of(decoder, recipe, examinations), track::memory::available());
        let plan = |layers: &[Checkpointing]| Self::with(decoder, needs, longest, layers);
        let layers = recipe.gradient_checkpointing.everywhere(decoder.config().layers).unwrap_or_else(|| {
            // Measured: it costs more a byte than everything else where texts are longer than the model is wide.
            let attention = longest.example <= decoder.config().hidden_size;
            fewest(decoder.config().layers, attention, |layers| {
                let budget = available.map_or(u64::MAX, |bytes| (bytes as f64 * SHARE) as u64);
                plan(layers).training <= budget
            })
        });
        (MemoryPlan { available, ..plan(&layers) }, layers)
    }

    fn with<B: Backend>(
        decoder: &Decoder<B>,
        needs: Needs,
        longest: Longest,
        layers: &[Checkpointing],
    ) -> Self {
        let activations =
            ActivationPlan::new(decoder, (longest.tokens, longest.labels), (layers, needs.waiting));
        let count = |mode| layers.iter().filter(|&&layer| layer == mode).count();
        let trained = trained(needs.values, needs.optimizer);
        let scratch = activations.shared as u64 + needs.work + needs.noise * longest.tokens as u64;
        let (kept, loss) = (activations.kept as u64, activations.logits as u64);
        let Examinations { during, after, answers } = needs.examinations;
        let sum = needs.weights + trained + kept + scratch + loss + needs.other + during;
        let training = sum.max(needs.loading);
        // Gradients, moments and activations are freed before.
        let examined = needs.weights + 4 * needs.values + needs.work + needs.other;
        let evaluation = if after.max(answers) == 0 { 0 } else { examined + after.max(answers) };
        MemoryPlan {
            tokens: longest.tokens,
            weights: needs.weights,
            trained,
            activations: kept,
            scratch,
            loss,
            other: needs.other,
            examinations: during,
            training,
            evaluation,
            total: training.max(evaluation),
            available: None,
            attention_checkpoints: count(Checkpointing::Attention),
            full_checkpoints: count(Checkpointing::Full),
        }
    }

    /// Whether the machine has room for it; a machine that does not say has.
    pub fn fits(&self) -> bool {
        self.available.is_none_or(|available| self.total <= available)
    }

    /// Refuses a plan that the machine has no room for, with the settings that would fit.
    ///
    /// # Errors
    /// [`Error::NoRoom`].
    pub fn check<B: Backend>(
        &self,
        decoder: &Decoder<B>,
        recipe: &Recipe,
        case: (Longest, Examinations),
    ) -> Result<()> {
        match self.available {
            Some(available) if !self.fits() => Err(Error::NoRoom {
                needed: self.total,
                available,
                settings: settings::that_fit(decoder, recipe, case, available),
            }),
            _ => Ok(()),
        }
    }

    /// The plan for a person.
    pub fn describe(&self) -> Vec<String> {
        let available =
            self.available.map_or(String::new(), |bytes| format!(" of {} available", binary(bytes)));
        let mut lines = vec![
            format!("memory for batches of {} tokens: {}{available}", self.tokens, binary(self.total)),
            [
                ("weights", self.weights),
                ("trained values, gradients, optimizer", self.trained),
                ("activations", self.activations),
                ("scratch", self.scratch),
                ("loss", self.loss),
                ("program and data", self.other),
                ("examinations between steps", self.examinations),
            ]
            .iter()
            .filter(|(_, bytes)| *bytes > 0)
            .map(|(name, bytes)| format!("{name} {}", binary(*bytes)))
            .collect::<Vec<_>>()
            .join(", "),
        ];
        if self.evaluation > 0 {
            lines.push(format!("the evaluation after the last step: {}", binary(self.evaluation)));
        }
        let again = [("everything", self.full_checkpoints), ("their attention", self.attention_checkpoints)];
        let again: Vec<String> = again
            .iter()
            .filter(|(_, layers)| *layers > 0)
            .map(|(what, layers)| format!("{layers} layers compute {what} again"))
            .collect();
        if !again.is_empty() {
            lines.push(again.join(", "));
        }
        lines
    }
}

/// The cheapest modes that `fit`: first the attention of as few layers as possible, unless `attention` says that it is
/// not cheap, then everything of as few as possible; everything of all where nothing fits.
fn fewest(layers: usize, attention: bool, fits: impl Fn(&[Checkpointing]) -> bool) -> Vec<Checkpointing> {
    let of = |rest: Checkpointing, count: usize, mode: Checkpointing| {
        let mut modes = vec![mode; count];
        modes.resize(layers, rest);
        modes
    };
    let (most, rest) = if attention { (layers, Checkpointing::Attention) } else { (0, Checkpointing::None) };
    let partly = (0..=most).map(|count| of(Checkpointing::None, count, Checkpointing::Attention));
    let full = (1..=layers).map(|count| of(rest, count, Checkpointing::Full));
    let found = partly.chain(full).find(|modes| fits(modes));
    found.unwrap_or_else(|| vec![Checkpointing::Full; layers])
}

/// Bytes in the largest unit that leaves a number above one.
fn binary(bytes: u64) -> String {
    let mib = bytes as f64 / f64::from(1 << 20);
    if mib >= 1024.0 { format!("{:.2} GiB", mib / 1024.0) } else { format!("{mib:.1} MiB") }
}

impl Longest {
    /// The longest batches of `plan` over `samples`, and of `validation`.
    pub fn of(plan: &Plan, samples: &[Sample], validation: &[Sample]) -> Self {
        let labels = |sample: &Sample| sample.learned.iter().skip(1).filter(|l| **l).count();
        let lengths: Vec<usize> = validation.iter().map(|s| s.ids.len()).collect();
        let batches = plan.steps.iter().flat_map(|step| &step.batches);
        let trained = batches.map(|batch| batch.iter().map(|&i| labels(&samples[i])).sum());
        let ranges = dataset::consecutive(&lengths, plan.largest_batch);
        let validated = ranges.iter().map(|range| validation[range.clone()].iter().map(labels).sum());
        let tokens = ranges.iter().map(|range| lengths[range.clone()].iter().sum());
        Longest {
            tokens: tokens.chain([plan.largest_batch]).max().unwrap_or(0),
            labels: trained.chain(validated).max().unwrap_or(0),
            example: samples.iter().chain(validation).map(|s| s.ids.len()).max().unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_few_layers_as_possible_compute_again_the_attention_first() {
        use Checkpointing::{Attention, Full, None};
        let cost = |modes: &[Checkpointing]| {
            modes
                .iter()
                .map(|mode| match mode {
                    None => 10,
                    Attention => 7,
                    Full => 1,
                })
                .sum::<u32>()
        };
        let within = |budget: u32| fewest(4, true, |modes| cost(modes) <= budget);
        assert_eq!(within(40), [None; 4]);
        assert_eq!(within(35), [Attention, Attention, None, None]);
        assert_eq!(within(28), [Attention; 4]);
        assert_eq!(within(27), [Full, Attention, Attention, Attention]);
        assert_eq!(within(4), [Full; 4]);
        assert_eq!(within(0), [Full; 4], "nothing fits: the least is shown");
        assert_eq!(fewest(4, false, |modes| cost(modes) <= 35), [Full, None, None, None]);
    }

    #[test]
    fn modes_are_read_by_name_and_as_the_booleans_of_other_trainers() {
        #[derive(Deserialize)]
        struct Keys {
            #[serde(deserialize_with = "GradientCheckpointing::deserialize")]
            mode: GradientCheckpointing,
        }
        let read =
            |text: &str| serde_json::from_str::<Keys>(&format!("{{\"mode\": {text}}}")).map(|k| k.mode);
        assert_eq!(read("true").unwrap(), GradientCheckpointing::Full);
        assert_eq!(read("false").unwrap(), GradientCheckpointing::None);
        assert_eq!(read("\"attention\"").unwrap(), GradientCheckpointing::Attention);
        assert_eq!(read("\"auto\"").unwrap(), GradientCheckpointing::Auto);
        assert!(read("\"some\"").unwrap_err().to_string().contains("expected auto, none"));
    }
}
