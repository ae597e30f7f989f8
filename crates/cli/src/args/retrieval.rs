//! Arguments of `index` and `search`, and of the verbs that read what is found.

use std::path::PathBuf;

use clap::ValueEnum;
use rag::{Method, Settings};

/// Arguments of `index`.
#[derive(Debug, clap::Args)]
pub(crate) struct IndexArgs {
    /// Corpora that `medtune ingest` made, or files of rows with a column `text` (CSV, JSON, JSONL, Parquet, also gzipped).
    #[arg(required = true, value_name = "CORPUS|FILE")]
    pub(crate) sources: Vec<PathBuf>,
    /// The index, one file. An index that is there becomes what the sources are now; what is the same is not done again.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Also vectors, by this encoder (BERT or RoBERTa as sentence-transformers keeps it, such as PubMedBERT's): a folder, or
    /// a name in the offline hub cache [default: the one that made the vectors of an index that is there].
    #[arg(long, value_name = "DIR|NAME")]
    pub(crate) encoder: Option<String>,
    /// Tokens of a passage, at most: the encoder's, or words where there is none.
    #[arg(long, value_name = "COUNT", default_value_t = 256, value_parser = clap::value_parser!(u32).range(16..))]
    pub(crate) passage_tokens: u32,
    /// Our name of a column of rows (text, title, id, document) and the file's: `--column text=answer`.
    #[arg(long = "column", value_name = "OURS=THEIRS")]
    pub(crate) columns: Vec<String>,
    /// One JSON document on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `search`.
#[derive(Debug, clap::Args)]
pub(crate) struct SearchArgs {
    /// The index.
    #[arg(id = "rag", value_name = "INDEX")]
    pub(crate) index: PathBuf,
    /// What is looked for.
    #[arg(required_unless_present = "questions", conflicts_with = "questions")]
    pub(crate) query: Option<String>,
    /// Measure the search instead: a file of rows with `question` and `relevant`, the names of the passages or documents
    /// that answer it, as a list, or with their grades (`{"p7": 2}`).
    #[arg(long, value_name = "FILE")]
    pub(crate) questions: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) finding: FindingArgs,
    /// One JSON document on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Passages before a question.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RagArgs {
    /// Let the model read passages of this index before each question (`medtune index` makes one).
    #[arg(long, value_name = "INDEX")]
    pub(crate) rag: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) finding: FindingArgs,
}

/// How passages are found.
#[derive(Debug, Clone, clap::Args)]
#[group(requires = "rag")]
pub(crate) struct FindingArgs {
    /// Passages that are found, at most.
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) passages: u32,
    /// Passages that words and vectors each bring, and that the reranker reads.
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) candidates: u32,
    /// How they are found [default: by both where the index has vectors].
    #[arg(long, value_name = "HOW")]
    pub(crate) retrieval: Option<RetrievalArg>,
    /// The encoder of the index, where it lies elsewhere now.
    #[arg(long, value_name = "DIR|NAME")]
    pub(crate) encoder: Option<String>,
    /// Rank the candidates again with this cross-encoder: a folder, or a name in the offline hub cache.
    #[arg(long, value_name = "DIR|NAME")]
    pub(crate) reranker: Option<String>,
}

/// How passages are found.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum RetrievalArg {
    /// Words in common (BM25).
    Words,
    /// Similar vectors.
    Vectors,
    /// Both, fused by their ranks.
    Hybrid,
}

impl FindingArgs {
    /// As the search takes them.
    pub(crate) fn settings(&self) -> Settings {
        let method = match self.retrieval {
            None => Method::Auto,
            Some(RetrievalArg::Words) => Method::Words,
            Some(RetrievalArg::Vectors) => Method::Vectors,
            Some(RetrievalArg::Hybrid) => Method::Hybrid,
        };
        Settings { method, candidates: self.candidates as usize, passages: self.passages as usize }
    }
}
