//! The recipe: everything that decides a run, in the keys that users of Axolotl know.

use std::collections::BTreeMap;

use compute::Waiting;
use dataset::{Cleaning, Layout, Overlong, SplitOptions};
use formats::peft::Patterns;
use formats::quant::{Bnb4Options, Bnb4Type};
use model::{InitLoraWeights, LoraConfig, Quantize, Trainable};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::memory::GradientCheckpointing;
use crate::schedule::Decay;

/// Values that share a scale in four bits, as in bitsandbytes.
const BLOCK: usize = 64;

/// Other names of keys, PEFT's own: the alias, then the key.
pub const ALIASES: [(&str, &str); 3] = [
    ("use_rslora", "peft_use_rslora"),
    ("use_dora", "peft_use_dora"),
    ("modules_to_save", "lora_modules_to_save"),
];

/// A training recipe. Every key has a default but `datasets`, and `base_model` or `base_model_config`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// The model to start from: a folder in Hugging Face layout (plain, or quantized by bitsandbytes or GPTQ), a GGUF
    /// file, or a name in the offline hub cache.
    pub base_model: Option<String>,
    /// Instead of `base_model`: the shape of a model that starts from random weights.
    pub base_model_config: Option<NewModel>,
    /// What is trained: `lora`, `qlora` (an adapter on a base in four bits) or `full`.
    pub adapter: Adapter,
    /// Rank of the adapter.
    pub lora_r: usize,
    /// Numerator of the adapter's scale, `lora_alpha / lora_r`.
    pub lora_alpha: f32,
    /// Modules that carry an adapter: projections, `embed_tokens`, `lm_head`, or ends of modules' paths.
    pub lora_target_modules: Vec<String>,
    /// Of `embed_tokens` and `lm_head` those that are trained in full beside the adapter, and saved with it.
    #[serde(alias = "modules_to_save")]
    pub lora_modules_to_save: Vec<String>,
    /// Ranks of some modules: `{q_proj: 8, "layers\\.[01]\\..*": 4}`, names or regular expressions as in PEFT.
    pub rank_pattern: BTreeMap<String, usize>,
    /// `lora_alpha` of some modules, likewise.
    pub alpha_pattern: BTreeMap<String, f32>,
    /// Share of the inputs of every adapter that is dropped in training.
    pub lora_dropout: f64,
    /// Scale by `lora_alpha / sqrt(lora_r)`.
    #[serde(alias = "use_rslora")]
    pub peft_use_rslora: bool,
    /// DoRA: the lengths of the weights' rows are trained beside their directions.
    #[serde(alias = "use_dora")]
    pub peft_use_dora: bool,
    /// How adapters start: `default` leaves the model as it is; `pissa` takes over the principal part of every weight,
    /// found to convergence; `pissa_niter_4` in so many passes.
    pub init_lora_weights: String,
    /// With `adapter: qlora`: the four-bit type of the base's projections, `nf4` or `fp4`, in blocks of 64.
    pub bnb_4bit_quant_type: FourBit,
    /// With `adapter: qlora`: quantize the blocks' scales too.
    pub bnb_4bit_use_double_quant: bool,
    /// Multiply in bfloat16 with sums in f32, in training and in the comparison after it, and keep what waits for the
    /// backward in it: faster, in less memory, not the same bits as f32. Refused where the processor has no instructions
    /// for it.
    pub bf16: bool,
    /// With `bf16`: keep what waits for the backward in 8 bits, q, k and v in 16, each with a scale for 64 values (as ActNN,
    /// Chen et al. 2021): half of that memory, and gradients a little further from those of f32, though not as far as
    /// those of PyTorch's autocast.
    pub activations_8bit: bool,
    /// With `adapter: lora`: keep the base's projections as signed bytes with one scale a row, as LLM.int8 does.
    pub load_in_8bit: bool,
    /// The files to learn from.
    pub datasets: Vec<DatasetFile>,
    /// Rules that rows must pass.
    pub cleaning: Cleaning,
    /// How rows are kept apart for validation and test.
    pub split: SplitOptions,
    /// Chat template: empty takes the model's own; else `chatml`, `llama3`, `mistral`, `gemma`, `qwen`, `smollm2`.
    pub chat_template: String,
    /// Also learn to write the questions.
    pub train_on_inputs: bool,
    /// Longest example in tokens.
    pub sequence_len: usize,
    /// What happens to longer examples: `drop` leaves them out, `cut_prompt` shortens the question. Both are counted.
    pub overlong: Overlong,
    /// Put several examples into one batch, without padding and without seeing each other.
    pub sample_packing: bool,
    /// Tokens in a batch with packing.
    pub micro_batch_tokens: usize,
    /// Examples in a batch without packing.
    pub micro_batch_size: usize,
    /// Batches that make one step.
    pub gradient_accumulation_steps: usize,
    /// What layers compute again in the backward instead of keeping it: `none`, `attention` (q, k, v and the attention's
    /// output), `full` (all but their input; also `true`), or `auto`: as little as fits. The bits do not depend on it.
    #[serde(deserialize_with = "GradientCheckpointing::deserialize")]
    pub gradient_checkpointing: GradientCheckpointing,
    /// Refuse a run for whose plan the machine has no memory; `false` tries it.
    pub memory_check: bool,
    /// Passes over the data.
    pub num_epochs: usize,
    /// Stop after this many steps; 0: after `num_epochs`.
    pub max_steps: u64,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// How the learning rate goes on after the warm-up, as `transformers` defines these names.
    pub lr_scheduler: Decay,
    /// Share of `learning_rate` at which `cosine` ends.
    pub cosine_min_lr_ratio: f64,
    /// LoRA+: the learning rate of every `B` is so many times that of its `A`; 16 is what its authors propose.
    pub loraplus_lr_ratio: Option<f64>,
    /// LoRA+: the highest learning rate of adapters of `embed_tokens`, whatever that of the others is.
    pub loraplus_lr_embedding: f64,
    /// NEFTune: uniform noise of ±alpha/sqrt(tokens × width) on the embeddings of each training example; 5 is usual.
    pub neftune_noise_alpha: Option<f64>,
    /// Share of the steps that warm up.
    pub warmup_ratio: f64,
    /// Steps that warm up; takes precedence over `warmup_ratio`.
    pub warmup_steps: Option<u64>,
    /// AdamW, with its moments as 32-bit numbers or as 8-bit ones in blocks of 256.
    pub optimizer: OptimizerKind,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// AdamW's decay of the first moment.
    pub adam_beta1: f64,
    /// AdamW's decay of the second moment.
    pub adam_beta2: f64,
    /// AdamW's epsilon.
    pub adam_epsilon: f64,
    /// Longest gradient; 0: no clipping.
    pub max_grad_norm: f64,
    /// Steps in a row that may be skipped because loss or gradient is not finite, before the run stops.
    pub nonfinite_patience: u32,
    /// Steps between two evaluations of the validation loss; 0: at the end only.
    pub eval_steps: u64,
    /// Evaluations without a lower validation loss, after which the run stops; needs `eval_steps`.
    pub early_stopping_patience: Option<u64>,
    /// Keep the weights with the lowest validation loss instead of the last; needs `eval_steps`.
    pub load_best_model_at_end: bool,
    /// Steps between two examinations on multiple-choice items during training; 0: none.
    pub bench_steps: u64,
    /// Multiple-choice items of such an examination, a seeded sample; 0: all.
    pub max_bench_samples: usize,
    /// Steps between two checkpoints; 0: at the end of every epoch.
    pub save_steps: u64,
    /// Checkpoints that are kept; the one with the best weights is kept besides.
    pub save_total_limit: usize,
    /// The final comparison of base and tuned model.
    pub evaluation: Evaluation,
    /// Seed of the start, the order and the sampling.
    pub seed: u64,
    /// The run folder.
    pub output_dir: String,
}

/// What is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Adapter {
    /// A low-rank adapter on a frozen base.
    Lora,
    /// A low-rank adapter on a frozen base whose projections are quantized to four bits as they are loaded.
    Qlora,
    /// Every weight.
    Full,
}

/// A four-bit type of bitsandbytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FourBit {
    /// Sixteen quantiles of a normal distribution.
    Nf4,
    /// A float of four bits.
    Fp4,
}

/// How AdamW keeps its moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerKind {
    /// 32-bit moments: 8 bytes a trained value.
    #[serde(alias = "adamw")]
    AdamwTorch,
    /// 8-bit moments (Dettmers et al. 2022): 2 bytes a trained value.
    #[serde(rename = "adamw_8bit", alias = "adamw_bnb_8bit")]
    Adamw8bit,
}

/// A model that starts from random weights, with a tokenizer learned from the training side of the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewModel {
    /// Tokens in the vocabulary.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the gated layer.
    pub intermediate_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads.
    pub num_key_value_heads: usize,
    /// Positions.
    pub max_position_embeddings: usize,
}

/// One file of rows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DatasetFile {
    /// The file: CSV, JSON, JSONL or Parquet, also gzipped.
    pub path: String,
    /// The layout of its rows; found by the columns when not given.
    #[serde(rename = "type")]
    pub layout: Option<Layout>,
    /// Our name of a column and the file's name of it: `{question: Frage, answer: Antwort}`.
    pub columns: BTreeMap<String, String>,
    /// A system turn for every conversation that brings none.
    pub system: Option<String>,
}

/// The final comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Evaluation {
    /// Held-out questions that are judged; 0: all of them.
    pub max_examples: usize,
    /// Held-out questions that are answered in full, for ROUGE-L; 0: none.
    pub max_answers: usize,
    /// Tokens that an answer may have.
    pub max_new_tokens: usize,
}

impl Default for Recipe {
    fn default() -> Self {
        Recipe {
            base_model: None,
            base_model_config: None,
            adapter: Adapter::Lora,
            lora_r: 16,
            lora_alpha: 32.0,
            lora_target_modules: model::PROJECTIONS.map(String::from).to_vec(),
            lora_modules_to_save: Vec::new(),
            rank_pattern: BTreeMap::new(),
            alpha_pattern: BTreeMap::new(),
            lora_dropout: 0.0,
            peft_use_rslora: false,
            peft_use_dora: false,
            init_lora_weights: "default".into(),
            bnb_4bit_quant_type: FourBit::Nf4,
            bnb_4bit_use_double_quant: true,
            bf16: false,
            activations_8bit: false,
            load_in_8bit: false,
            datasets: Vec::new(),
            cleaning: Cleaning::default(),
            split: SplitOptions::default(),
            chat_template: String::new(),
            train_on_inputs: false,
            sequence_len: 2048,
            overlong: Overlong::default(),
            sample_packing: true,
            micro_batch_tokens: 2048,
            micro_batch_size: 4,
            gradient_accumulation_steps: 1,
            gradient_checkpointing: GradientCheckpointing::Auto,
            memory_check: true,
            num_epochs: 2,
            max_steps: 0,
            learning_rate: 2e-4,
            lr_scheduler: Decay::Cosine,
            cosine_min_lr_ratio: 0.0,
            loraplus_lr_ratio: None,
            loraplus_lr_embedding: 1e-6,
            neftune_noise_alpha: None,
            warmup_ratio: 0.03,
            warmup_steps: None,
            optimizer: OptimizerKind::AdamwTorch,
            weight_decay: 0.0,
            adam_beta1: 0.9,
            adam_beta2: 0.999,
            adam_epsilon: 1e-8,
            max_grad_norm: 1.0,
            nonfinite_patience: 5,
            eval_steps: 0,
            early_stopping_patience: None,
            load_best_model_at_end: false,
            bench_steps: 0,
            max_bench_samples: 100,
            save_steps: 0,
            save_total_limit: 2,
            evaluation: Evaluation::default(),
            seed: 42,
            output_dir: "runs/run".into(),
        }
    }
}

impl Default for Evaluation {
    fn default() -> Self {
        Evaluation { max_examples: 0, max_answers: 100, max_new_tokens: 128 }
    }
}

impl Recipe {
    /// Refuses settings that cannot work, before anything is read.
    ///
    /// # Errors
    /// [`Error::Recipe`] with the first key that is wrong.
    pub fn validate(&self) -> Result<(), Error> {
        let wrong = |key, reason: &str| Err(Error::Recipe { key, reason: reason.into() });
        let share = |x: f64| (0.0..1.0).contains(&x);
        if self.datasets.is_empty() {
            return wrong("datasets", "no file is named");
        }
        if self.base_model.is_some() == self.base_model_config.is_some() {
            return wrong("base_model", "name either a base_model or a base_model_config");
        }
        if self.base_model_config.is_some() && self.adapter != Adapter::Full {
            return wrong("adapter", "a model that starts from random weights needs `adapter: full`");
        }
        if self.adapter != Adapter::Full && self.lora_r == 0 {
            return wrong("lora_r", "is 0");
        }
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return wrong("learning_rate", "is not above 0");
        }
        for (key, value) in [("lora_alpha", f64::from(self.lora_alpha)), ("adam_epsilon", self.adam_epsilon)]
        {
            if !(value.is_finite() && value > 0.0) {
                return wrong(key, "is not above 0");
            }
        }
        for (key, value) in [("weight_decay", self.weight_decay), ("max_grad_norm", self.max_grad_norm)] {
            if !(value.is_finite() && value >= 0.0) {
                return wrong(key, "is below 0");
            }
        }
        if self.alpha_pattern.values().any(|alpha| !(alpha.is_finite() && *alpha > 0.0)) {
            return wrong("alpha_pattern", "has a value that is not above 0");
        }
        if !share(self.warmup_ratio) {
            return wrong("warmup_ratio", "is not in 0..1");
        }
        if !share(self.split.test) || !share(self.split.val) || self.split.test + self.split.val >= 1.0 {
            return wrong("split", "test and val must leave rows to train on");
        }
        if !share(self.cosine_min_lr_ratio) {
            return wrong("cosine_min_lr_ratio", "is not in 0..1");
        }
        if self.cosine_min_lr_ratio > 0.0 && self.lr_scheduler != Decay::Cosine {
            return wrong("cosine_min_lr_ratio", "needs `lr_scheduler: cosine`");
        }
        for (key, value) in
            [("loraplus_lr_ratio", self.loraplus_lr_ratio), ("neftune_noise_alpha", self.neftune_noise_alpha)]
        {
            if value.is_some_and(|v| !(v.is_finite() && v > 0.0)) {
                return wrong(key, "is not above 0");
            }
        }
        if !(self.loraplus_lr_embedding.is_finite() && self.loraplus_lr_embedding >= 0.0) {
            return wrong("loraplus_lr_embedding", "is below 0");
        }
        if self.activations_8bit && !self.bf16 {
            return wrong(
                "activations_8bit",
                "needs `bf16: true` (products in f32 keep what they have read)",
            );
        }
        if self.load_in_8bit && self.adapter != Adapter::Lora {
            return wrong("load_in_8bit", "needs `adapter: lora` (qlora keeps the base in four bits)");
        }
        for (key, set) in [
            ("loraplus_lr_ratio", self.loraplus_lr_ratio.is_some()),
            ("lora_dropout", self.lora_dropout != 0.0),
            ("lora_modules_to_save", !self.lora_modules_to_save.is_empty()),
            ("rank_pattern", !self.rank_pattern.is_empty()),
            ("alpha_pattern", !self.alpha_pattern.is_empty()),
            ("peft_use_dora", self.peft_use_dora),
            ("init_lora_weights", self.init_lora_weights != "default"),
        ] {
            if set && self.adapter == Adapter::Full {
                return wrong(key, "needs `adapter: lora` or `adapter: qlora`");
            }
        }
        if !(0.0..1.0).contains(&(self.lora_dropout as f32)) {
            return wrong("lora_dropout", "is not in 0..1");
        }
        let ends_in = |name: &str| self.lora_target_modules.iter().any(|target| target.ends_with(name));
        if self.lora_dropout > 0.0 && ends_in("lm_head") {
            return wrong("lora_dropout", "does not reach an adapter of lm_head: leave one of them out");
        }
        for name in ["embed_tokens", "lm_head"].into_iter().filter(|name| ends_in(name)) {
            if self.peft_use_dora {
                return wrong("peft_use_dora", &format!("is for projections, and {name} is targeted"));
            }
            if self.init_lora_weights != "default" {
                return wrong(
                    "init_lora_weights",
                    &format!("pissa is for projections, and {name} is targeted"),
                );
            }
            if self.lora_modules_to_save.iter().any(|saved| saved.ends_with(name)) {
                return wrong("lora_modules_to_save", &format!("{name} also carries an adapter"));
            }
        }
        if self.rank_pattern.values().any(|&rank| rank == 0) {
            return wrong("rank_pattern", "has a rank of 0");
        }
        if let Some(error) = Patterns::new(&self.rank_pattern).err() {
            return wrong("rank_pattern", &error.to_string());
        }
        if let Some(error) = Patterns::new(&self.alpha_pattern).err() {
            return wrong("alpha_pattern", &error.to_string());
        }
        match self.init() {
            None => return wrong("init_lora_weights", "is none of default, pissa, pissa_niter_[passes]"),
            Some(InitLoraWeights::Pissa { .. }) if self.peft_use_dora => {
                return wrong(
                    "init_lora_weights",
                    "pissa and peft_use_dora both split the weight: choose one",
                );
            }
            _ => {}
        }
        for (key, value) in [("adam_beta1", self.adam_beta1), ("adam_beta2", self.adam_beta2)] {
            if !share(value) {
                return wrong(key, "is not in 0..1");
            }
        }
        if self.early_stopping_patience == Some(0) {
            return wrong("early_stopping_patience", "is 0");
        }
        if self.eval_steps == 0 {
            // With one evaluation, at the end, there is nothing to choose from.
            if self.early_stopping_patience.is_some() {
                return wrong("early_stopping_patience", "needs eval_steps above 0");
            }
            if self.load_best_model_at_end {
                return wrong("load_best_model_at_end", "needs eval_steps above 0");
            }
        }
        for (key, value) in [
            ("nonfinite_patience", self.nonfinite_patience as usize),
            ("sequence_len", self.sequence_len),
            ("micro_batch_tokens", self.micro_batch_tokens),
            ("micro_batch_size", self.micro_batch_size),
            ("gradient_accumulation_steps", self.gradient_accumulation_steps),
            ("num_epochs", self.num_epochs),
            ("save_total_limit", self.save_total_limit),
        ] {
            if value == 0 {
                return wrong(key, "is 0");
            }
        }
        Ok(())
    }

    /// How adapters start; nothing when the recipe names no known way.
    pub(crate) fn init(&self) -> Option<InitLoraWeights> {
        match self.init_lora_weights.as_str() {
            "default" => Some(InitLoraWeights::Default),
            "pissa" => Some(InitLoraWeights::Pissa { passes: None }),
            other => {
                let passes = other.strip_prefix("pissa_niter_")?.parse().ok()?;
                Some(InitLoraWeights::Pissa { passes: Some(passes) })
            }
        }
    }

    /// What of the model is trained.
    pub fn trainable(&self) -> Trainable {
        match self.adapter {
            Adapter::Full => Trainable::Everything,
            Adapter::Lora | Adapter::Qlora => Trainable::Lora {
                config: LoraConfig {
                    rank: self.lora_r,
                    alpha: self.lora_alpha,
                    rslora: self.peft_use_rslora,
                    targets: self.lora_target_modules.clone(),
                    rank_pattern: self.rank_pattern.clone(),
                    alpha_pattern: self.alpha_pattern.clone(),
                    modules_to_save: self.lora_modules_to_save.clone(),
                    dropout: self.lora_dropout,
                    dora: self.peft_use_dora,
                    init: self.init().unwrap_or_default(),
                },
                seed: self.seed,
            },
        }
    }

    /// How values wait for the backward.
    pub fn waiting(&self) -> Waiting {
        match (self.bf16, self.activations_8bit) {
            (false, _) => Waiting::Exact,
            (true, false) => Waiting::Bf16,
            (true, true) => Waiting::Codes,
        }
    }

    /// How the base's projections are quantized as they are loaded, if they are.
    pub fn quantization(&self) -> Option<Quantize> {
        let kind = match self.bnb_4bit_quant_type {
            FourBit::Nf4 => Bnb4Type::Nf4,
            FourBit::Fp4 => Bnb4Type::Fp4,
        };
        match self.adapter {
            Adapter::Qlora => {
                Some(Bnb4Options { kind, block: BLOCK, double: self.bnb_4bit_use_double_quant }.into())
            }
            Adapter::Lora if self.load_in_8bit => Some(Quantize::EightBit),
            Adapter::Lora | Adapter::Full => None,
        }
    }

    /// Steps that warm up, of `total`.
    pub fn warmup(&self, total: u64) -> u64 {
        self.warmup_steps.unwrap_or((self.warmup_ratio * total as f64).ceil() as u64)
    }
}
