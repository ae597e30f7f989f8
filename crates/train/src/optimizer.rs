//! AdamW on the flat parameters of a decoder, with token-weighted accumulation and clipping.

use compute::{AdamW, Backend};
use model::{Activations, Decoder, Labels, Tokens};

use crate::Result;
use dataset::Batch;

/// Settings of AdamW.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Decoupled weight decay, on matrices and vectors alike (as `torch.optim.AdamW`).
    pub weight_decay: f32,
    /// Longest gradient; 0: no clipping.
    pub max_grad_norm: f64,
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
    pub(crate) first_moment: B::Buffer,
    pub(crate) second_moment: B::Buffer,
    pub(crate) steps: u64,
    settings: Settings,
    sums: StepSums,
    weights: Vec<f32>,
}

impl<B: Backend> Optimizer<B> {
    /// An optimizer for `decoder`'s trainable values.
    ///
    /// # Errors
    /// When the device has no room.
    pub fn new(decoder: &Decoder<B>, settings: Settings) -> Result<Self> {
        let zeros = |what| decoder.backend().zeros(what, decoder.parameters.len());
        Ok(Optimizer {
            gradients: zeros("gradients")?,
            first_moment: zeros("first moment")?,
            second_moment: zeros("second moment")?,
            steps: 0,
            settings,
            sums: StepSums::default(),
            weights: Vec::new(),
        })
    }

    /// Forward and backward of one batch; its gradient is added to those of the step.
    pub fn accumulate(&mut self, decoder: &Decoder<B>, batch: &Batch, activations: &mut Activations<B>) {
        let tokens = Tokens { ids: &batch.ids, positions: &batch.positions };
        decoder.forward(tokens, model::Context::Segments(&batch.segments), activations, true);
        self.weights.clear();
        self.weights.resize(batch.rows.len(), 1.0);
        let labels = Labels { rows: &batch.rows, labels: &batch.labels, weights: &self.weights };
        let output = decoder.backward(tokens, &batch.segments, labels, activations, &mut self.gradients);
        self.sums.loss -= output.log_probs.iter().map(|&l| f64::from(l)).sum::<f64>();
        self.sums.labels += batch.rows.len() as u64;
        self.sums.correct += output.correct.iter().filter(|&&c| c).count() as u64;
        self.sums.tokens += batch.ids.len() as u64;
        self.sums.examples += batch.segments.len() as u64;
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
        let step = AdamW {
            range: 0..decoder.parameters.len(),
            lr: learning_rate as f32,
            beta1: s.beta1,
            beta2: s.beta2,
            eps: s.eps,
            weight_decay: s.weight_decay,
            grad_scale: (clip / self.sums.labels.max(1) as f64) as f32,
            step: self.steps,
        };
        let backend = decoder.backend().clone();
        let values = &mut decoder.parameters.values;
        backend.adamw(values, &self.gradients, &mut self.first_moment, &mut self.second_moment, &step);
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

impl From<&crate::Recipe> for Settings {
    fn from(recipe: &crate::Recipe) -> Self {
        Settings {
            beta1: recipe.adam_beta1,
            beta2: recipe.adam_beta2,
            eps: recipe.adam_epsilon,
            weight_decay: recipe.weight_decay,
            max_grad_norm: recipe.max_grad_norm,
        }
    }
}
