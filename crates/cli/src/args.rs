//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use formats::gguf::FileType;

/// Fine-tune language models on medical questions, on your own machine, and see whether it helped.
#[derive(Debug, Parser)]
#[command(name = "medtune", version, propagate_version = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// See it all in a few minutes: shipped data, shipped model, training, comparison, report.
    Quickstart(QuickstartArgs),
    /// Clean rows and split them so that nothing tested was trained on.
    Prepare(PrepareArgs),
    /// Carry out a recipe: data, training, adapter, comparison with the base, report.
    Train(TrainArgs),
    /// Measure a model on held-out questions and multiple-choice items.
    Eval(EvalArgs),
    /// Compare two runs, or two evaluations, item by item.
    Compare(CompareArgs),
    /// Answer one question.
    Ask(AskArgs),
    /// Talk to a model.
    Chat(ChatArgs),
    /// Serve a model over HTTP: a page, /ask, and the APIs of OpenAI and Ollama.
    Serve(ServeArgs),
    /// Write a base and its adapter as one model in 16 bits or more, and measure what that changed.
    Merge(MergeArgs),
    /// Prove that what is served is what was trained: the same token ids, and how far logits and loss are apart.
    Verify(VerifyArgs),
    /// Write a run or a model for other programs: llama.cpp, Ollama, transformers, PEFT.
    Export(ExportArgs),
    /// Look inside: tokens and loss mask, template, split, model, logits.
    #[command(subcommand)]
    Inspect(Inspect),
    /// Measure speed and memory.
    #[command(subcommand)]
    Bench(Bench),
    /// Download a model or a data set from the Hugging Face Hub into the local cache; the only verb with a network.
    Pull(PullArgs),
    /// Check the machine and say what it can do.
    Doctor(DoctorArgs),
}

/// Arguments of `quickstart`.
#[derive(Debug, clap::Args)]
pub(crate) struct QuickstartArgs {
    /// The run folder.
    #[arg(long, value_name = "DIR", default_value = "runs/quickstart")]
    pub(crate) out: PathBuf,
    /// Seed of split, start and order.
    #[arg(long, default_value_t = 42)]
    pub(crate) seed: u64,
    /// One JSON document on standard output.
    #[arg(long)]
    pub(crate) json: bool,
    /// Fewer steps and answers: a smoke test of half a minute.
    #[arg(long)]
    pub(crate) short: bool,
}

/// Arguments of `prepare`.
#[derive(Debug, clap::Args)]
pub(crate) struct PrepareArgs {
    /// CSV, JSON, JSONL or Parquet, also gzipped; the layout is found by the columns.
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// The folder to write.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Seed of the split.
    #[arg(long, default_value_t = 42)]
    pub(crate) seed: u64,
    /// Share of the rows to test on.
    #[arg(long, default_value_t = 0.1)]
    pub(crate) test: f64,
    /// Share of the rows to validate on.
    #[arg(long, default_value_t = 0.1)]
    pub(crate) val: f64,
    /// Our name of a column and the file's: `--column question=Frage`.
    #[arg(long = "column", value_name = "OURS=THEIRS")]
    pub(crate) columns: Vec<String>,
    /// The layout of the rows, if the columns do not tell: `qa`, `alpaca`, `messages`, `sharegpt`, …
    #[arg(long = "type", value_name = "LAYOUT")]
    pub(crate) layout: Option<String>,
    /// Leave out answers of more words than this.
    #[arg(long, value_name = "WORDS")]
    pub(crate) max_answer_words: Option<usize>,
    /// Leave out topics with fewer rows than this.
    #[arg(long, value_name = "ROWS")]
    pub(crate) min_topic_rows: Option<usize>,
    /// One JSON document on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `train`.
#[derive(Debug, clap::Args)]
pub(crate) struct TrainArgs {
    /// The recipe, a YAML file.
    pub(crate) recipe: PathBuf,
    /// Change a key of the recipe: `--set learning_rate=1e-4`, `--set datasets.0.path=rows.csv`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Go on from the newest checkpoint of the run; begin if there is no run yet.
    #[arg(long)]
    pub(crate) resume: bool,
    /// Threads to compute with, in each process of a job [default: all cores, shared by the processes of a machine].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,
    /// One JSON document on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which model.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ModelArgs {
    /// A folder in Hugging Face layout, a GGUF file, or a name in the offline hub cache.
    #[arg(long, value_name = "DIR|FILE")]
    pub(crate) model: String,
    /// An adapter on top of it: a folder as PEFT saves it, or a GGUF file.
    #[arg(long, value_name = "DIR|FILE")]
    pub(crate) adapter: Option<PathBuf>,
    /// Multiply the blocks of a quantized GGUF file with activations in 8 bits: much faster, and not quite the numbers
    /// of training.
    #[arg(long)]
    pub(crate) fast: bool,
}

/// Arguments of `eval`.
#[derive(Debug, clap::Args)]
pub(crate) struct EvalArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// Prepared questions (`test.jsonl`) or multiple-choice items (`choices.jsonl`), or a prepared folder.
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Judge at most so many questions; 0: all.
    #[arg(long, default_value_t = 0)]
    pub(crate) limit: usize,
    /// Questions that are answered in full, for ROUGE-L.
    #[arg(long, default_value_t = 100)]
    pub(crate) answers: usize,
    /// Tokens that an answer may have.
    #[arg(long, default_value_t = 128)]
    pub(crate) max_new_tokens: usize,
    /// Where to write the outcome of every item.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// One JSON document on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `compare`.
#[derive(Debug, clap::Args)]
pub(crate) struct CompareArgs {
    /// A run folder (its tuned model), or the outcomes that `eval --out` wrote.
    pub(crate) a: PathBuf,
    /// The other.
    pub(crate) b: PathBuf,
    /// One JSON document on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

/// How a model writes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SamplingArgs {
    /// 0: always the likeliest token.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) temperature: f32,
    /// Smallest set of likeliest tokens with this probability.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) top_p: f32,
    /// The likeliest so many tokens; 0: all.
    #[arg(long, default_value_t = 0)]
    pub(crate) top_k: usize,
    /// Tokens with at least this share of the likeliest one's probability; 0: all.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) min_p: f32,
    /// Above 1: tokens that stand in the text become less likely.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) repetition_penalty: f32,
    /// Above 0: tokens that were written become less likely.
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    pub(crate) presence_penalty: f32,
    /// Above 0: tokens become less likely with each time that they were written.
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    pub(crate) frequency_penalty: f32,
    /// Seed of the choice.
    #[arg(long, default_value_t = 42)]
    pub(crate) seed: u64,
    /// Tokens that an answer may have.
    #[arg(long, default_value_t = 256)]
    pub(crate) max_new_tokens: usize,
    /// Ends the answer where this text comes; may be given several times.
    #[arg(long, value_name = "TEXT")]
    pub(crate) stop: Vec<String>,
    #[command(flatten)]
    pub(crate) form: FormArgs,
}

/// What an answer must look like.
#[derive(Debug, Clone, clap::Args)]
#[group(multiple = false)]
pub(crate) struct FormArgs {
    /// The answer is one of these, such as `A,B,C,D`.
    #[arg(long, value_name = "TEXTS", value_delimiter = ',')]
    pub(crate) choices: Vec<String>,
    /// The answer matches this regular expression.
    #[arg(long, value_name = "PATTERN")]
    pub(crate) regex: Option<String>,
    /// The answer is JSON that the schema in this file accepts.
    #[arg(long, value_name = "FILE")]
    pub(crate) json_schema: Option<PathBuf>,
}

/// Arguments of `ask`.
#[derive(Debug, clap::Args)]
pub(crate) struct AskArgs {
    /// The question.
    pub(crate) question: String,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// What the model is told before the question.
    #[arg(long)]
    pub(crate) system: Option<String>,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
    /// One JSON document on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `chat`.
#[derive(Debug, clap::Args)]
pub(crate) struct ChatArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// What the model is told before the conversation.
    #[arg(long)]
    pub(crate) system: Option<String>,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
}

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
    /// What was trained: a run folder; or a model, with --adapter where it has one.
    #[arg(value_name = "RUN|MODEL")]
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

/// What to look at.
#[derive(Debug, Subcommand)]
pub(crate) enum Inspect {
    /// The tokens of an example, those that are learned in colour.
    Tokens {
        #[command(flatten)]
        model: ModelArgs,
        /// A prepared file; without it a small conversation is shown.
        file: Option<PathBuf>,
        /// Which example, from 0.
        #[arg(long, default_value_t = 0)]
        index: usize,
        /// Questions are learned too.
        #[arg(long)]
        train_on_inputs: bool,
        /// One JSON document on standard output.
        #[arg(long)]
        json: bool,
    },
    /// The text that the model's template makes of a conversation.
    Template {
        #[command(flatten)]
        model: ModelArgs,
        /// A prepared file; without it a small conversation is shown.
        file: Option<PathBuf>,
        /// Which example, from 0.
        #[arg(long, default_value_t = 0)]
        index: usize,
        /// One JSON document on standard output.
        #[arg(long)]
        json: bool,
    },
    /// The certificate of a prepared folder or a run.
    Split {
        /// The folder.
        folder: PathBuf,
        /// One JSON document on standard output.
        #[arg(long)]
        json: bool,
    },
    /// A model's shape and tensors.
    Model {
        /// A folder in Hugging Face layout, a GGUF file, or a name in the offline hub cache.
        #[arg(long, value_name = "DIR|FILE")]
        model: String,
        /// One JSON document on standard output.
        #[arg(long)]
        json: bool,
    },
    /// The logits of the token after some ids.
    Logits {
        #[command(flatten)]
        model: ModelArgs,
        /// The ids: `1,2,3`.
        #[arg(long, value_delimiter = ',', required = true)]
        ids: Vec<u32>,
        /// One JSON document on standard output.
        #[arg(long)]
        json: bool,
    },
}

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

/// Arguments of `pull`.
#[derive(Debug, clap::Args)]
pub(crate) struct PullArgs {
    /// `org/name`, or `org/name@revision`.
    pub(crate) name: String,
    /// A branch, a tag or a commit [default: main].
    #[arg(long, value_name = "REVISION")]
    pub(crate) revision: Option<String>,
    /// Only files that fit: `--file '*.gguf'`; may be given several times. Without it: weights in safetensors,
    /// tokenizer, configuration and template, or the rows of a data set.
    #[arg(long = "file", value_name = "PATTERN")]
    pub(crate) files: Vec<String>,
    /// The name is that of a data set.
    #[arg(long)]
    pub(crate) dataset: bool,
    /// One JSON document on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {
    /// One JSON document on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}
