//! AdamW on the flat parameters of a decoder, with token-weighted accumulation and clipping.

use std::ops::Range;

use compute::{AdamW, Backend};
use dataset::Batch;
use model::{Activations, Context, Decoder, Labels, Parameter, Tokens, Training};

use crate::moments::Moments;
use crate::noise::Noise;
use crate::ranks::{Communicator, sum_buffer};
use crate::{OptimizerKind, Recipe, Result};

/// Settings of AdamW.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay, on matrices and vectors alike (as `torch.optim.AdamW`).
    pub weight_decay: f64,
    /// Longest gradient; 0: no clipping.
    pub max_grad_norm: f64,
    /// Moments in 8 bits.
    pub eight_bit: bool,
    /// LoRA+; without it everything learns at the same rate.
    pub lora_plus: Option<LoraPlus>,
}

/// LoRA+ (Hayou et al. 2024): factors on the learning rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoraPlus {
    /// Of every `B`.
    pub ratio: f64,
    /// Of both sides of an embedding's adapter.
    pub embedding: f64,
}

/// Values that one after another have the same factor on the learning rate.
#[derive(Debug, Clone, PartialEq)]
struct Group {
    range: Range<usize>,
    factor: f64,
}

/// What keeps a batch from being learned by heart.
#[derive(Debug, Clone, Copy, Default)]
pub struct Regularisation<'a> {
    /// A key for every token, from which its dropout masks follow; none: nothing is dropped.
    pub dropout_keys: &'a [u64],
    /// Noise on the embeddings.
    pub noise: Option<Noise<'a>>,
}

/// Sums over the batches of one step.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct StepSums {
    /// Σ −log p over labelled tokens.
    pub loss: f64,
    /// Labelled tokens.
    pub labels: u64,
    /// Labelled tokens that were the likeliest.
    pub correct: u64,
    /// All tokens.
    pub tokens: u64,
    /// Examples.
    pub examples: u64,
}

/// A decoder with gradients and moments.
#[derive(Debug)]
pub struct Optimizer<B: Backend> {
    pub(crate) gradients: B::Buffer,
    pub(crate) moments: Moments<B>,
    pub(crate) steps: u64,
    settings: Settings,
    groups: Vec<Group>,
    sums: StepSums,
    /// Ones, as many as a batch can have labels.
    weights: Vec<f32>,
}

impl<B: Backend> Optimizer<B> {
    /// An optimizer for `decoder`'s trainable values.
    ///
    /// # Errors
    /// When the device has no room.
    pub fn new(decoder: &Decoder<B>, settings: Settings) -> Result<Self> {
        Ok(Optimizer {
            gradients: decoder.backend().zeros("gradients", decoder.parameters.len())?,
            moments: Moments::new(decoder, settings.eight_bit)?,
            steps: 0,
            settings,
            groups: groups(&decoder.parameters.list, settings.lora_plus),
            sums: StepSums::default(),
            weights: Vec::new(),
        })
    }

    /// Forward and backward of one batch; its gradient is added to those of the step.
    pub fn accumulate(&mut self, decoder: &Decoder<B>, batch: &Batch, activations: &mut Activations<B>) {
        self.accumulate_regularised(decoder, batch, activations, Regularisation::default());
    }

    /// As [`Optimizer::accumulate`], with dropout and noise on the embeddings.
    pub fn accumulate_regularised(
        &mut self,
        decoder: &Decoder<B>,
        batch: &Batch,
        activations: &mut Activations<B>,
        Regularisation { dropout_keys, noise }: Regularisation<'_>,
    ) {
        let tokens = Tokens { ids: &batch.ids, positions: &batch.positions };
        let context = Context::Segments(&batch.segments);
        let width = decoder.config().hidden_size;
        let mut perturb = noise.map(|noise| move |embeddings: &mut [f32]| noise.add_to(embeddings, width));
        let perturb = perturb.as_mut().map(|perturb| perturb as &mut dyn FnMut(&mut [f32]));
        decoder.forward_training(tokens, context, activations, Training { dropout_keys, perturb });
        if self.weights.len() < batch.rows.len() {
            self.weights.resize(activations.capacity(), 1.0);
        }
        let weights = &self.weights[..batch.rows.len()];
        let labels = Labels { rows: &batch.rows, labels: &batch.labels, weights };
        let output = decoder.backward(tokens, &batch.segments, labels, activations, &mut self.gradients);
        self.sums.loss -= output.log_probs.iter().map(|&l| f64::from(l)).sum::<f64>();
        self.sums.labels += batch.rows.len() as u64;
        self.sums.correct += output.correct.iter().filter(|&&c| c).count() as u64;
        self.sums.tokens += batch.ids.len() as u64;
        self.sums.examples += batch.segments.len() as u64;
    }

    /// Makes the sums those of all ranks; true when one of them wants to stop.
    pub(crate) fn exchange_sums(&mut self, ranks: &dyn Communicator, stopping: bool) -> bool {
        let own = self.sums;
        let counts = [own.labels, own.correct, own.tokens, own.examples].map(|count| count as f64);
        let all = ranks.gather(&[
            f64::from(u8::from(stopping)),
            own.loss,
            counts[0],
            counts[1],
            counts[2],
            counts[3],
        ]);
        let (rows, _) = all.as_chunks::<6>();
        self.sums = StepSums::default();
        for &[_, loss, labels, correct, tokens, examples] in rows {
            self.sums.loss += loss;
            self.sums.labels += labels as u64;
            self.sums.correct += correct as u64;
            self.sums.tokens += tokens as u64;
            self.sums.examples += examples as u64;
        }
        rows.iter().any(|row| row[0] != 0.0)
    }

    /// Makes the gradient that of all ranks: not yet divided by anything, so tokens weigh the same wherever they were.
    pub(crate) fn exchange_gradients(&mut self, decoder: &Decoder<B>, ranks: &dyn Communicator) {
        sum_buffer(ranks, &**decoder.backend(), &mut self.gradients);
    }

    /// What has been accumulated since the last step.
    pub fn sums(&self) -> StepSums {
        self.sums
    }

    /// Length of the accumulated gradient of the mean loss per labelled token.
    pub fn grad_norm(&self, decoder: &Decoder<B>) -> f64 {
        decoder.backend().grad_norm(&self.gradients) / self.sums.labels.max(1) as f64
    }

    /// One step along the accumulated gradient: divided by the number of labelled tokens of all its batches, so
    /// that it does not depend on how they were cut, and clipped.
    pub fn step(&mut self, decoder: &mut Decoder<B>, learning_rate: f64, grad_norm: f64) {
        let s = &self.settings;
        let clip = match s.max_grad_norm {
            limit if limit > 0.0 && grad_norm > limit => limit / (grad_norm + 1e-6),
            _ => 1.0,
        };
        self.steps += 1;
        let backend = decoder.backend().clone();
        for group in &self.groups {
            let step = AdamW {
                range: group.range.clone(),
                lr: learning_rate * group.factor,
                beta1: s.beta1,
                beta2: s.beta2,
                eps: s.eps,
                weight_decay: s.weight_decay,
                grad_scale: clip / self.sums.labels.max(1) as f64,
                step: self.steps,
            };
            self.moments.step(&*backend, &mut decoder.parameters.values, &self.gradients, &step);
        }
    }

    /// Forgets the accumulated gradient.
    pub fn clear(&mut self, decoder: &Decoder<B>) {
        decoder.backend().fill(&mut self.gradients, 0, decoder.parameters.len(), 0.0);
        self.sums = StepSums::default();
    }

    /// The accumulated gradients, in the layout of the decoder's parameters.
    pub fn gradients(&self) -> &B::Buffer {
        &self.gradients
    }
}

/// Neighbours with the same factor make a group; without LoRA+ that is one group of all. With it they are those of PEFT's
/// `create_loraplus_optimizer`: the lengths of DoRA learn as fast as the `B` sides.
fn groups(parameters: &[Parameter], lora_plus: Option<LoraPlus>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for p in parameters {
        let is_b = p.name.contains(".lora_B.") || p.name.ends_with(".lora_magnitude_vector");
        let factor = match lora_plus {
            Some(plus) if p.name.contains(".lora_embedding_") => plus.embedding,
            Some(plus) if is_b => plus.ratio,
            _ => 1.0,
        };
        let range = p.offset..p.offset + p.len();
        match groups.last_mut() {
            Some(last) if last.factor == factor => last.range.end = range.end,
            _ => groups.push(Group { range, factor }),
        }
    }
    groups
}

impl From<&Recipe> for Settings {
    fn from(recipe: &Recipe) -> Self {
        Settings {
            beta1: recipe.adam_beta1,
            beta2: recipe.adam_beta2,
            eps: recipe.adam_epsilon,
            weight_decay: recipe.weight_decay,
            max_grad_norm: recipe.max_grad_norm,
            eight_bit: recipe.optimizer == OptimizerKind::Adamw8bit,
            lora_plus: recipe.loraplus_lr_ratio.map(|ratio| LoraPlus {
                ratio,
                embedding: recipe.loraplus_lr_embedding / recipe.learning_rate,
            }),
        }
    }
}
