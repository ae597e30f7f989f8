//! Questions from documents.

use std::path::PathBuf;

use clap::ValueEnum;

/// What is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SynthKind {
    /// Questions with answers in free text.
    Qa,
    /// Questions with four options, one of them right.
    Mc,
}

/// Arguments of `synth`.
#[derive(Debug, clap::Args)]
pub(crate) struct SynthArgs {
    /// The folder that `ingest` wrote, or its `blocks.jsonl`.
    #[arg(value_name = "CORPUS", required_unless_present = "print_prompt")]
    pub(crate) corpus: Option<PathBuf>,
    /// The folder to write. A run that was ended goes on in it.
    #[arg(long, value_name = "DIR", required_unless_present_any = ["print_prompt", "dry_run"])]
    pub(crate) out: Option<PathBuf>,
    /// What is made [default: qa, or what the recipe says].
    #[arg(long)]
    pub(crate) kind: Option<SynthKind>,
    /// Settings: chunks, number of questions, checks, split (YAML). What is given here goes before it.
    #[arg(long, value_name = "FILE")]
    pub(crate) recipe: Option<PathBuf>,
    /// A shipped prompt by name, or a file.
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) prompt: Option<String>,
    /// Print a shipped prompt, to edit it, and do nothing else.
    #[arg(long, value_name = "NAME")]
    pub(crate) print_prompt: Option<String>,
    /// The language of questions and answers.
    #[arg(long)]
    pub(crate) language: Option<String>,
    /// Tokens of a chunk, at most.
    #[arg(long, value_name = "TOKENS")]
    pub(crate) chunk_tokens: Option<usize>,
    /// Share of the rows to test on; the documents are parted before anything is written.
    #[arg(long)]
    pub(crate) test: Option<f64>,
    /// Share of the rows to validate on.
    #[arg(long)]
    pub(crate) val: Option<f64>,
    /// Seed of the split, the model's choices and the order of options.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Let the model look at every row a second time, with the text, and keep only those that it agrees with.
    #[arg(long)]
    pub(crate) second_look: bool,
    #[command(flatten)]
    pub(crate) writer: WriterArgs,
    #[command(flatten)]
    pub(crate) spending: SpendingArgs,
    /// Say how many requests, tokens and what costs it would take, and ask nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// One JSON document on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Who writes.
#[derive(Debug, clap::Args)]
pub(crate) struct WriterArgs {
    /// A folder in Hugging Face layout, a GGUF file, a name in the offline hub cache, or the address of a server that
    /// speaks OpenAI's protocol: `https://openrouter.ai/api/v1`, `http://localhost:11434/v1`.
    #[arg(long, value_name = "DIR|FILE|URL", required_unless_present = "print_prompt")]
    pub(crate) model: Option<String>,
    /// 0: always the likeliest token.
    #[arg(long)]
    pub(crate) temperature: Option<f32>,
    #[command(flatten)]
    pub(crate) access: AccessArgs,
}

/// How a model is come by that is asked for replies.
#[derive(Debug, clap::Args)]
pub(crate) struct AccessArgs {
    /// An adapter on a local model.
    #[arg(long, value_name = "DIR|FILE")]
    pub(crate) adapter: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
}

/// How a model at an address is asked.
#[derive(Debug, clap::Args)]
pub(crate) struct RemoteArgs {
    /// The model's name at the address.
    #[arg(long, value_name = "NAME")]
    pub(crate) model_name: Option<String>,
    /// The environment variable that holds the key for the address.
    #[arg(long, value_name = "VARIABLE", default_value = "MEDTUNE_ENDPOINT_KEY")]
    pub(crate) api_key_env: String,
    /// A file with the key for the address, and nothing else.
    #[arg(long, value_name = "FILE")]
    pub(crate) api_key_file: Option<PathBuf>,
    /// Fields of every request, as the provider has them: `{"provider": {"sort": "price"}}`; null takes one of ours away.
    #[arg(long, value_name = "JSON")]
    pub(crate) extra: Option<String>,
    /// Send text also where it seems to hold a person's data (see `ingest --phi`) and the address is another machine's.
    #[arg(long)]
    pub(crate) allow_phi: bool,
    /// Requests on their way at once.
    #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) at_once: u16,
    /// Seconds that a reply may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) timeout: u64,
}

/// What an address may be asked and may cost.
#[derive(Debug, clap::Args)]
pub(crate) struct SpendingArgs {
    /// Requests in a minute.
    #[arg(long, value_name = "COUNT")]
    pub(crate) requests_per_minute: Option<u64>,
    /// Tokens of prompts and replies in a minute.
    #[arg(long, value_name = "COUNT")]
    pub(crate) tokens_per_minute: Option<u64>,
    /// Tokens that may be spent, with those of earlier runs in the same folder.
    #[arg(long, value_name = "COUNT")]
    pub(crate) budget_tokens: Option<u64>,
    /// Money that may be spent, with that of earlier runs in the same folder, in the currency of the prices.
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) budget: Option<f64>,
    /// Prices by model, as in LiteLLM's `model_prices_and_context_window.json` (JSON or YAML), for providers who do not
    /// say what a reply costs.
    #[arg(long, value_name = "FILE")]
    pub(crate) prices: Option<PathBuf>,
}
