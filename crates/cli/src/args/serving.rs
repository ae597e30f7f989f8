//! What becomes of a model: served, merged, exported, verified.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::ValueEnum;
use formats::gguf::FileType;

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// A run folder, a folder in Hugging Face layout, a GGUF file, or a name in the offline hub cache.
    #[arg(value_name = "RUN|DIR|FILE")]
    pub(crate) model: String,
    /// An adapter on top of it: a folder as PEFT saves it, or a GGUF file. Given several times, all are served on one
    /// base.
    #[arg(long = "adapter", value_name = "DIR|FILE")]
    pub(crate) adapters: Vec<PathBuf>,
    /// An encoder for vectors of texts (BERT or RoBERTa, a folder in Hugging Face layout), such as PubMedBERT's.
    #[arg(long, value_name = "DIR")]
    pub(crate) encoder: Option<PathBuf>,
    /// What clients call the first model [default: the name of the folder or file].
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Where to listen. Addresses that other machines can reach need an API key.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8000")]
    pub(crate) bind: SocketAddr,
    /// API keys, one a line. Without it a key may stand in the environment, as MEDTUNE_API_KEY.
    #[arg(long, value_name = "FILE")]
    pub(crate) api_key_file: Option<PathBuf>,
    /// A name besides `localhost` under which clients reach the server; may be given several times.
    #[arg(long = "allowed-host", value_name = "NAME")]
    pub(crate) allowed_hosts: Vec<String>,
    /// Tokens of a prompt with its answer [default: what the model reads, at most 8192].
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u32).range(16..))]
    pub(crate) context: Option<u32>,
    /// Texts that are written at once.
    #[arg(long, value_name = "COUNT", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) slots: u16,
    /// Texts that may wait; more are refused with 503.
    #[arg(long, value_name = "COUNT", default_value_t = 128)]
    pub(crate) queue: u16,
    /// Memory for keys and values [default: what the slots need, at most a quarter of what is available].
    #[arg(long, value_name = "MIB")]
    pub(crate) kv_memory: Option<u64>,
    /// Tokens guessed at a time from what stands in a text already, while few texts are written; 0 for none. What is
    /// quoted comes faster, and texts stay the same.
    #[arg(long, value_name = "TOKENS", default_value_t = 7, value_parser = clap::value_parser!(u8).range(..=7))]
    pub(crate) lookup: u8,
    /// Multiply the blocks of a quantized GGUF file with activations in 8 bits: much faster, and not quite the numbers
    /// of training; `medtune verify` says how far apart they are.
    #[arg(long)]
    pub(crate) fast: bool,
    /// Serve although `medtune verify` has found that this is not what was trained.
    #[arg(long)]
    pub(crate) allow_unverified: bool,
    /// A line on standard error for every request: method, route, status and time, never a text.
    #[arg(long)]
    pub(crate) access_log: bool,
}

/// Limits of `verify`: a quantization to four bits of a small model passes, one that erases a tune does not.
const MAX_KL: f64 = 0.1;
const MAX_LOSS: f64 = 0.05;

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    /// What was trained: a run folder; or a model, with --adapter where it has one. Or the `card.json` of an evaluation.
    #[arg(value_name = "RUN|MODEL|CARD")]
    pub(crate) model: String,
    /// What it is served as: GGUF files, with the Modelfile beside them, and folders in Hugging Face layout; without any,
    /// what the run has been exported to. An adapter is merged in bf16 as well.
    #[arg(value_name = "FORM")]
    pub(crate) forms: Vec<PathBuf>,
    /// The adapter of a model that is no run folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) adapter: Option<PathBuf>,
    /// Questions with answers to measure on; without it the run's held-out ones, else the shipped ones.
    #[arg(long = "data", value_name = "FILE")]
    pub(crate) data: Vec<PathBuf>,
    /// Measure on a seeded sample of so many questions; 0: all.
    #[arg(long, default_value_t = 40)]
    pub(crate) limit: usize,
    /// The largest mean KL divergence from the trained model's distribution, in nats.
    #[arg(long, default_value_t = MAX_KL)]
    pub(crate) max_kl: f64,
    /// The largest rise of the loss (upper end of its interval), in nats a token.
    #[arg(long, default_value_t = MAX_LOSS)]
    pub(crate) max_loss: f64,
    /// The public key that must have signed the card: 64 hexadecimal digits, or a file.
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// Do not merge the adapter to compare that form too.
    #[arg(long)]
    pub(crate) no_merged: bool,
    /// The report; without it verify.json in the run folder, or here.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// One JSON document on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

impl VerifyArgs {
    /// As after an export: what was written, against its source, with a report beside it.
    pub(crate) fn of_export(args: &ExportArgs, forms: Vec<PathBuf>, out: PathBuf) -> Self {
        VerifyArgs {
            model: args.source.clone(),
            forms,
            adapter: args.adapter.clone(),
            data: Vec::new(),
            limit: 16,
            max_kl: MAX_KL,
            max_loss: MAX_LOSS,
            key: None,
            no_merged: true,
            out: Some(out),
            json: false,
        }
    }

    /// Where the report goes.
    pub(crate) fn out(&self, model: &str) -> PathBuf {
        let run = std::path::Path::new(model);
        let folder = if track::RunFolder::holds_run(run) { run } else { std::path::Path::new(".") };
        self.out.clone().unwrap_or_else(|| folder.join("verify.json"))
    }
}

/// Arguments of `merge`.
#[derive(Debug, clap::Args)]
pub(crate) struct MergeArgs {
    /// The base: a folder in Hugging Face layout, a GGUF file, or a name in the offline hub cache.
    #[arg(long, value_name = "DIR|FILE")]
    pub(crate) model: String,
    /// The adapter: a folder as PEFT saves it, or a GGUF file.
    #[arg(long, value_name = "DIR|FILE")]
    pub(crate) adapter: PathBuf,
    /// The folder to write, in Hugging Face layout.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// How the merged weights are stored.
    #[arg(long, value_enum, default_value_t = MergedType::Bf16)]
    pub(crate) dtype: MergedType,
    /// Merge into the decoded weights of a base in four or eight bits: 16 bits or more of what the adapter learned on.
    #[arg(long)]
    pub(crate) allow_quantized_base: bool,
    /// Questions with answers to measure on, prepared or not; without it the shipped ones.
    #[arg(long = "data", value_name = "FILE")]
    pub(crate) data: Vec<PathBuf>,
    /// Measure on a seeded sample of so many questions; 0: all.
    #[arg(long, default_value_t = 32)]
    pub(crate) limit: usize,
    /// One JSON document on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A storage type of merged weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MergedType {
    F16,
    Bf16,
    F32,
}

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
pub(crate) struct ExportArgs {
    /// A run, or a model: a folder in Hugging Face layout, a GGUF file, or a name in the offline hub cache.
    #[arg(value_name = "RUN|DIR|FILE")]
    pub(crate) source: String,
    /// An adapter on top of a model: a folder as PEFT saves it, or a GGUF file. A run has its own.
    #[arg(long, value_name = "DIR|FILE")]
    pub(crate) adapter: Option<PathBuf>,
    /// For whom.
    #[arg(long, value_enum)]
    pub(crate) to: Target,
    /// How matrices are stored; without it q8_0 in GGUF, and bf16 otherwise.
    #[arg(long, value_enum)]
    pub(crate) quant: Option<Quant>,
    /// Quantize with an importance matrix: of this file, or collected on the run's own training side.
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    pub(crate) imatrix: Option<Option<PathBuf>>,
    /// The folder to write; without it `export/` in the run, or a folder named after the model.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Merge into the decoded weights of a base in four or eight bits.
    #[arg(long)]
    pub(crate) allow_quantized_base: bool,
    /// Do not check whether what was written is what was trained (`medtune verify`).
    #[arg(long)]
    pub(crate) no_verify: bool,
    /// One JSON document on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Whom an export is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// transformers and all that read Hugging Face folders; an adapter is merged.
    Safetensors,
    /// llama.cpp and its kin; an adapter is merged.
    Gguf,
    /// PEFT: the adapter alone.
    Peft,
    /// Ollama: GGUF and a Modelfile.
    Ollama,
}

impl Target {
    /// As on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Target::Safetensors => "safetensors",
            Target::Gguf => "gguf",
            Target::Peft => "peft",
            Target::Ollama => "ollama",
        }
    }

    /// Whether its weights are in GGUF.
    pub(crate) fn is_gguf(self) -> bool {
        matches!(self, Target::Gguf | Target::Ollama)
    }
}

/// A storage of matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(non_camel_case_types)]
pub(crate) enum Quant {
    F32,
    F16,
    Bf16,
    #[value(name = "q8_0")]
    Q8_0,
    #[value(name = "q4_0")]
    Q4_0,
    #[value(name = "q5_0")]
    Q5_0,
    #[value(name = "q6_k")]
    Q6_K,
    #[value(name = "q5_k_m")]
    Q5_K_M,
    #[value(name = "q4_k_m")]
    Q4_K_M,
}

impl Quant {
    /// llama.cpp's name for it.
    pub(crate) fn file_type(self) -> FileType {
        match self {
            Quant::F32 => FileType::F32,
            Quant::F16 => FileType::F16,
            Quant::Bf16 => FileType::Bf16,
            Quant::Q8_0 => FileType::Q8_0,
            Quant::Q4_0 => FileType::Q4_0,
            Quant::Q5_0 => FileType::Q5_0,
            Quant::Q6_K => FileType::Q6_K,
            Quant::Q5_K_M => FileType::Q5_K_M,
            Quant::Q4_K_M => FileType::Q4_K_M,
        }
    }
}
