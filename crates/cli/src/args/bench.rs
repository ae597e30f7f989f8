//! What `bench` measures.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

/// A shape to measure with random weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shape {
    /// The shipped base: 7.6 M parameters.
    Base,
    /// SmolLM2-135M.
    Smollm2135m,
    /// SmolLM2-360M.
    Smollm2360m,
    /// TinyLlama-1.1B.
    Tinyllama,
    /// Llama-3-8B.
    #[value(name = "llama3-8b")]
    Llama38b,
}

/// How `bench` stores the frozen weights of a random base.
#[allow(non_camel_case_types, reason = "ggml's names")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Storage {
    /// 32 bits.
    F32,
    /// IEEE half precision.
    F16,
    /// bfloat16.
    Bf16,
    /// ggml's 8 bits in blocks of 32.
    #[value(name = "q8_0")]
    Q8_0,
    /// ggml's 5 bits in blocks of 32.
    #[value(name = "q5_0")]
    Q5_0,
    /// ggml's 4 bits in blocks of 32.
    #[value(name = "q4_0")]
    Q4_0,
}

/// What `bench generate` measures.
#[derive(Debug, clap::Args)]
pub(crate) struct BenchGenerate {
    /// The shape of the model, with random weights.
    #[arg(long, value_enum, default_value_t = Shape::Smollm2135m)]
    pub(crate) shape: Shape,
    /// How the random weights are stored; in a quantized type all matrices are.
    #[arg(long, value_enum, default_value_t = Storage::F32)]
    pub(crate) base: Storage,
    /// A model instead of a shape: a folder in Hugging Face layout, a name in the offline hub cache, or a GGUF file.
    #[arg(long, value_name = "MODEL", conflicts_with_all = ["shape", "base"])]
    pub(crate) model: Option<String>,
    /// Multiply ggml blocks with activations in 8 bits.
    #[arg(long)]
    pub(crate) fast: bool,
    /// Texts at once.
    #[arg(long, default_value_t = 1)]
    pub(crate) batch: usize,
    /// Tokens of the prompt.
    #[arg(long, default_value_t = 512)]
    pub(crate) prompt: usize,
    /// Tokens that are written.
    #[arg(long, default_value_t = 64)]
    pub(crate) tokens: usize,
    /// Tokens guessed at a time, as `serve --lookup` does. Random prompts say little of what that gains.
    #[arg(long, default_value_t = 0)]
    pub(crate) lookup: usize,
    /// One JSON document on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Training steps: tokens per second and peak memory.
    Train(BenchTrain),
    /// Reading a prompt and writing an answer: tokens per second.
    Generate(BenchGenerate),
    /// Loading a model's weights, beside a plain reading of their files.
    Load {
        /// A folder in Hugging Face layout, or a name in the offline hub cache.
        #[arg(long, value_name = "DIR")]
        model: String,
        /// Quantize the projections as they are loaded.
        #[arg(long, value_enum)]
        quantize: Option<FourBit>,
        /// How often both are done; the best time counts.
        #[arg(long, default_value_t = 3)]
        rounds: usize,
        /// One JSON document on standard output.
        #[arg(long)]
        json: bool,
    },
    /// Writes a model of random bf16 weights, to measure with real files.
    Model {
        /// Its shape.
        #[arg(long, value_enum, default_value_t = Shape::Smollm2135m)]
        shape: Shape,
        /// The folder, which must not hold a model.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

/// Arguments of `bench train`.
#[derive(Debug, clap::Args)]
pub(crate) struct BenchTrain {
    /// The shape of the model, with random weights.
    #[arg(long, value_enum, default_value_t = Shape::Smollm2135m)]
    pub(crate) shape: Shape,
    /// A model on disk instead, in Hugging Face layout.
    #[arg(long, value_name = "DIR", conflicts_with = "shape")]
    pub(crate) model: Option<String>,
    /// Quantize the base's projections as they are loaded.
    #[arg(long, value_enum)]
    pub(crate) quantize: Option<FourBit>,
    /// How the frozen weights of a random base are stored.
    #[arg(long, value_enum, default_value_t = Storage::F32, conflicts_with = "model")]
    pub(crate) base: Storage,
    /// Products in bf16.
    #[arg(long)]
    pub(crate) bf16: bool,
    /// With products in bf16: keep what waits for the backward in 8 bits.
    #[arg(long = "activations-8bit", requires = "bf16")]
    pub(crate) activations_8bit: bool,
    /// Rank of the adapter; 0 trains every weight.
    #[arg(long, default_value_t = 16)]
    pub(crate) rank: usize,
    /// Sequences in a batch.
    #[arg(long, default_value_t = 4)]
    pub(crate) batch: usize,
    /// Tokens of a sequence.
    #[arg(long, default_value_t = 256)]
    pub(crate) length: usize,
    /// What every layer computes again.
    #[arg(long, value_enum, default_value_t = LayerCheckpointing::None)]
    pub(crate) gradient_checkpointing: LayerCheckpointing,
    /// Steps that are measured.
    #[arg(long, default_value_t = 5)]
    pub(crate) steps: usize,
    /// Steps before them, which touch the memory for the first time.
    #[arg(long, default_value_t = 1)]
    pub(crate) warmup: usize,
    /// One JSON document on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A four-bit type of bitsandbytes, with double quantization in blocks of 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FourBit {
    /// Quantiles of a normal distribution.
    Nf4,
    /// A float of four bits.
    Fp4,
}

/// What a layer computes again in the backward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LayerCheckpointing {
    /// Nothing.
    None,
    /// Queries, keys, values and the attention's output.
    Attention,
    /// Everything.
    Full,
}
