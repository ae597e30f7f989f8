//! The command line.

mod bench;
mod compare;
mod eval;
mod ingest;
mod judge;
mod retrieval;
mod serving;
mod synth;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

pub(crate) use bench::{Bench, BenchGenerate, BenchTrain, FourBit, LayerCheckpointing, Shape, Storage};
pub(crate) use compare::{CompareArgs, RescoreArgs};
pub(crate) use eval::{
    BertScoreArgs, ElsewhereArgs, EvalArgs, ModeArg, RuleArg, SigningArgs, SuiteName, TooLongArg,
};
pub(crate) use ingest::{IngestArgs, PhiMode};
pub(crate) use judge::JudgeArgs;
pub(crate) use retrieval::{FindingArgs, IndexArgs, RagArgs, SearchArgs};
pub(crate) use serving::{ExportArgs, MergeArgs, MergedType, Quant, ServeArgs, Target, VerifyArgs};
pub(crate) use synth::{AccessArgs, RemoteArgs, SpendingArgs, SynthArgs, SynthKind};

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
    /// Read documents (PDF, HTML, articles in XML, Word, Markdown, text) into a corpus with pages and places.
    Ingest(IngestArgs),
    /// Reads one document on standard input: what `ingest` starts for each.
    #[command(hide = true)]
    IngestChild,
    /// Let a model write questions from a corpus: every row traced to its page, checked, and on its document's side.
    Synth(Box<SynthArgs>),
    /// Clean rows and split them so that nothing tested was trained on.
    Prepare(PrepareArgs),
    /// Carry out a recipe: data, training, adapter, comparison with the base, report.
    Train(TrainArgs),
    /// Measure a model on held-out questions and multiple-choice items.
    Eval(Box<EvalArgs>),
    /// Let a model grade or compare the answers of systems, or tabulate the grades of people.
    Judge(Box<JudgeArgs>),
    /// Compare runs or evaluations, any number of them, item by item.
    Compare(CompareArgs),
    /// Compute every number of an evaluation again from its items, and say which differ.
    Rescore(RescoreArgs),
    /// Make the passages of documents findable: by their words, and by an encoder's vectors.
    Index(IndexArgs),
    /// Find passages in an index, or measure how well they are found.
    Search(SearchArgs),
    /// Answer one question, from passages of an index with citations if one is named.
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
    /// Draw all sides anew, whatever the column `split` of the rows says.
    #[arg(long)]
    pub(crate) resplit: bool,
    /// Our name of a column and the file's: `--column question=Frage`.
    #[arg(long = "column", value_name = "OURS=THEIRS")]
    pub(crate) columns: Vec<String>,
    /// A test whose items must not be in the rows (MedQA, MedMCQA, PubMedQA, any file that can be read); may be given
    /// several times. Rows that hold one are left out, and the pairs are written.
    #[arg(long, value_name = "FILE")]
    pub(crate) against: Vec<PathBuf>,
    /// The layout of the rows, if the columns do not tell: `qa`, `alpaca`, `messages`, `sharegpt`, …
    #[arg(long = "type", value_name = "LAYOUT")]
    pub(crate) layout: Option<String>,
    /// Leave out answers of more words than this.
    #[arg(long, value_name = "WORDS")]
    pub(crate) max_answer_words: Option<usize>,
    /// Leave out topics with fewer rows than this.
    #[arg(long, value_name = "ROWS")]
    pub(crate) min_topic_rows: Option<usize>,
    /// Look for what identifies a person: count it, mask it, or leave the row out.
    #[arg(long, value_name = "MODE")]
    pub(crate) phi: Option<PhiMode>,
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
    /// Multiply integers of 8 bits: ggml's blocks of a GGUF file as they are, all other weights rounded to Q8_0 as they
    /// are loaded. Much faster, and not quite the numbers of training.
    #[arg(long)]
    pub(crate) fast: bool,
    /// Multiply in bf16 and add up in f32, on processors with such products: faster, and not quite the numbers of f32.
    #[arg(long, conflicts_with = "fast")]
    pub(crate) bf16: bool,
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
    #[command(flatten, next_help_heading = "Passages before the question")]
    pub(crate) rag: RagArgs,
    #[command(flatten, next_help_heading = "How it writes")]
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
