//! Low-rank adapters (Hu et al. 2021): `y = x Wᵀ + s (x Aᵀ) Bᵀ` with `A` `[R, K]`, `B` `[N, R]` and
//! `s = alpha / r`, or `alpha / sqrt(r)` for rsLoRA (Kalajdzievski 2023).

use serde::{Deserialize, Serialize};

/// The projections of a layer, in the order of its computation.
pub const PROJECTIONS: [&str; 7] =
    ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

/// What an adapter looks like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoraConfig {
    /// Rank, `R`.
    pub rank: usize,
    /// Numerator of the scale.
    pub alpha: f32,
    /// Scale by `alpha / sqrt(r)` instead of `alpha / r`.
    pub rslora: bool,
    /// Projections that carry an adapter, from [`PROJECTIONS`].
    pub targets: Vec<String>,
}

impl LoraConfig {
    /// Adapters of `rank` on all seven projections.
    pub fn all(rank: usize, alpha: f32) -> Self {
        LoraConfig { rank, alpha, rslora: false, targets: PROJECTIONS.map(String::from).to_vec() }
    }

    /// `s`.
    pub fn scale(&self) -> f32 {
        let r = self.rank as f32;
        self.alpha / if self.rslora { r.sqrt() } else { r }
    }

    /// True if the projection called `name` carries an adapter.
    pub fn targets(&self, name: &str) -> bool {
        self.targets.iter().any(|t| t == name)
    }
}

/// What of a model is trained.
#[derive(Debug, Clone, PartialEq)]
pub enum Trainable {
    /// Nothing: the model answers.
    Nothing,
    /// An adapter; `A` starts as PEFT's (uniform in `±1/sqrt(K)`), `B` at zero.
    Lora {
        /// Its shape.
        config: LoraConfig,
        /// Seed of `A`.
        seed: u64,
    },
    /// Every weight.
    Everything,
}
