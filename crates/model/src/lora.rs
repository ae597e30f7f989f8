//! Low-rank adapters (Hu et al. 2021): `y = x Wᵀ + s (x Aᵀ) Bᵀ` with `A` `[R, K]`, `B` `[N, R]` and
//! `s = alpha / r`, or `alpha / sqrt(r)` for rsLoRA (Kalajdzievski 2023).

use std::collections::BTreeMap;

use formats::peft::{Patterns, names_module};
use serde::{Deserialize, Serialize};

use crate::{Config, Error, Result};

/// The projections of a layer, in the order of its computation.
pub const PROJECTIONS: [&str; 7] =
    ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

/// The path of the embedding.
pub(crate) const EMBEDDING: &str = "model.embed_tokens";
/// The path of the head.
pub(crate) const HEAD: &str = "lm_head";

/// What an adapter looks like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoraConfig {
    /// Rank, `R`.
    pub rank: usize,
    /// Numerator of the scale.
    pub alpha: f32,
    /// Scale by `alpha / sqrt(r)` instead of `alpha / r`.
    pub rslora: bool,
    /// Modules that carry an adapter: names from [`PROJECTIONS`], `embed_tokens`, `lm_head`, or longer ends of a module's
    /// path.
    pub targets: Vec<String>,
    /// Ranks that differ from `rank`, by patterns over the modules' paths ([`Patterns`]).
    pub rank_pattern: BTreeMap<String, usize>,
    /// Numerators that differ from `alpha`, likewise.
    pub alpha_pattern: BTreeMap<String, f32>,
    /// Of `embed_tokens` and `lm_head` those that are trained in full beside the adapter.
    pub modules_to_save: Vec<String>,
    /// Share of the inputs of `A` that are dropped in training, in 0..1.
    pub dropout: f64,
    /// Weight-decomposed adapters (Liu et al. 2024): the lengths of the weight's rows are trained beside their directions.
    pub dora: bool,
    /// The values before the first step.
    pub init: InitLoraWeights,
}

/// How an adapter starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum InitLoraWeights {
    /// `A` random and `B` zero, so that the base answers.
    #[default]
    Default,
    /// At the principal part of the weight, which is taken off the base (PiSSA, Meng et al. 2024).
    Pissa {
        /// Passes of the subspace iteration; none: until it has converged.
        passes: Option<usize>,
    },
}

impl InitLoraWeights {
    pub(crate) fn is_pissa(self) -> bool {
        matches!(self, InitLoraWeights::Pissa { .. })
    }
}

impl LoraConfig {
    /// Adapters of `rank` on all seven projections.
    pub fn all(rank: usize, alpha: f32) -> Self {
        LoraConfig {
            rank,
            alpha,
            rslora: false,
            targets: PROJECTIONS.map(String::from).to_vec(),
            rank_pattern: BTreeMap::new(),
            alpha_pattern: BTreeMap::new(),
            modules_to_save: Vec::new(),
            dropout: 0.0,
            dora: false,
            init: InitLoraWeights::Default,
        }
    }

    /// True if the module at `path` is trained in full.
    pub(crate) fn saves(&self, path: &str) -> bool {
        self.modules_to_save.iter().any(|name| names_module(name, path))
    }

    /// A plain adapter of twice the ranks and the same scales.
    pub(crate) fn doubled(&self) -> Self {
        let factor = if self.rslora { std::f32::consts::SQRT_2 } else { 2.0 };
        let mut doubled = LoraConfig { init: InitLoraWeights::Default, ..self.clone() };
        (doubled.rank, doubled.alpha) = (2 * self.rank, factor * self.alpha);
        doubled.rank_pattern.values_mut().for_each(|rank| *rank *= 2);
        doubled.alpha_pattern.values_mut().for_each(|alpha| *alpha *= factor);
        doubled
    }

    /// The adapters of the modules of a decoder.
    ///
    /// # Errors
    /// When a rank is 0, or a target or pattern means no module.
    pub(crate) fn resolve(&self, config: &Config) -> Result<Adapters> {
        let wrong = |reason: String| Err(Error::Adapter(reason));
        let ranks =
            Patterns::new(&self.rank_pattern).map_err(|e| Error::Adapter(format!("rank_pattern: {e}")))?;
        let alphas =
            Patterns::new(&self.alpha_pattern).map_err(|e| Error::Adapter(format!("alpha_pattern: {e}")))?;
        if self.rank == 0 || self.rank_pattern.values().any(|&rank| rank == 0) {
            return wrong("the rank is 0".into());
        }
        if !(0.0..1.0).contains(&(self.dropout as f32)) {
            return wrong(format!("a dropout of {} is not in 0..1", self.dropout));
        }
        if self.dora && self.init.is_pissa() {
            return wrong(
                "DoRA starts at the base's lengths, which PiSSA takes apart: choose one of them".into(),
            );
        }
        if self.targets.is_empty() {
            return wrong("no projection is targeted".into());
        }
        let modules: Vec<String> = module_paths(config).collect();
        if let Some(target) = self.targets.iter().find(|t| !modules.iter().any(|m| names_module(t, m))) {
            let known = PROJECTIONS.join(", ");
            return wrong(format!(
                "{target} is no module of this model that can carry an adapter (known: {known}, embed_tokens, lm_head)"
            ));
        }
        let savable = |name: &String| [EMBEDDING, HEAD].iter().any(|path| names_module(name, path));
        if let Some(name) = self.modules_to_save.iter().find(|name| !savable(name)) {
            return wrong(format!(
                "modules_to_save: {name} is neither embed_tokens nor lm_head, the modules that are trained in full \
                 beside an adapter"
            ));
        }
        // As in PEFT: what is trained in full carries no adapter.
        let targeted = |module: &String| {
            self.targets.iter().any(|target| names_module(target, module)) && !self.saves(module)
        };
        let modules: Vec<String> = modules.into_iter().filter(targeted).collect();
        if let Some(end) = modules.iter().find(|path| [EMBEDDING, HEAD].contains(&path.as_str())) {
            if self.dora {
                return wrong(format!("DoRA is for projections, and {end} is targeted"));
            }
            if self.init.is_pissa() {
                return wrong(format!("PiSSA is for projections, and {end} is targeted"));
            }
        }
        let of_ranks = ranks.unmatched(&modules).map(|pattern| ("rank_pattern", pattern));
        let of_alphas = alphas.unmatched(&modules).map(|pattern| ("alpha_pattern", pattern));
        if let Some((key, pattern)) = of_ranks.chain(of_alphas).next() {
            return wrong(format!("{key}: {pattern} matches no module that carries an adapter"));
        }
        let shape = |module: String| {
            let rank = ranks.get(&module).unwrap_or(self.rank);
            let alpha = alphas.get(&module).unwrap_or(self.alpha);
            let divisor = if self.rslora { (rank as f32).sqrt() } else { rank as f32 };
            (module, AdapterShape { rank, scale: alpha / divisor })
        };
        Ok(Adapters(modules.into_iter().map(shape).collect()))
    }
}

/// Paths of the modules of a decoder that can carry an adapter.
pub(crate) fn module_paths(config: &Config) -> impl Iterator<Item = String> {
    let projections = (0..config.layers).flat_map(|layer| {
        PROJECTIONS.into_iter().enumerate().map(move |(i, name)| {
            let part = if i < 4 { "self_attn" } else { "mlp" };
            format!("model.layers.{layer}.{part}.{name}")
        })
    });
    projections.chain([EMBEDDING, HEAD].map(String::from))
}

/// Rank and scale of one module's adapter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct AdapterShape {
    pub(crate) rank: usize,
    /// `s`.
    pub(crate) scale: f32,
}

/// The adapters of a decoder by the paths of their modules.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Adapters(BTreeMap<String, AdapterShape>);

impl From<BTreeMap<String, AdapterShape>> for Adapters {
    fn from(shapes: BTreeMap<String, AdapterShape>) -> Self {
        Adapters(shapes)
    }
}

impl Adapters {
    /// The adapter of the module at `path`, if it has one.
    pub(crate) fn of(&self, path: &str) -> Option<AdapterShape> {
        self.0.get(path).copied()
    }
}

/// What of a model is trained.
#[derive(Debug, Clone, PartialEq)]
pub enum Trainable {
    /// Nothing: the model answers.
    Nothing,
    /// An adapter.
    Lora {
        /// Its shape.
        config: LoraConfig,
        /// Seed of its start.
        seed: u64,
    },
    /// Every weight.
    Everything,
}

impl Trainable {
    /// See [`LoraConfig::resolve`].
    pub(crate) fn adapters(&self, config: &Config) -> Result<Adapters> {
        match self {
            Trainable::Lora { config: lora, .. } => lora.resolve(config),
            Trainable::Nothing | Trainable::Everything => Ok(Adapters::default()),
        }
    }
}
