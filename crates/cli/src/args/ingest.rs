//! Arguments of `ingest`, and how a PHI gate is set.

use std::path::PathBuf;

use clap::ValueEnum;

/// Arguments of `ingest`.
#[derive(Debug, clap::Args)]
pub(crate) struct IngestArgs {
    /// Files, and folders that are searched for PDF, HTML, XML, DOCX, Markdown, text and pictures of pages.
    #[arg(required = true)]
    pub(crate) inputs: Vec<PathBuf>,
    /// The corpus to write; one that is there goes on.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Documents that are read at a time [default: all cores].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) workers: Option<u16>,
    /// What to do about what identifies a person: count it, mask it, or leave the document out.
    #[arg(long, value_name = "MODE", default_value = "report")]
    pub(crate) phi: PhiMode,
    /// Memory that reading one document may take, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 2048, value_parser = clap::value_parser!(u64).range(64..))]
    pub(crate) memory: u64,
    /// Seconds that reading one document may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seconds: u64,
    /// Languages of scanned pages, as `tesseract` names them: `eng+deu`.
    #[arg(long, value_name = "LANGUAGES", default_value = "eng")]
    pub(crate) languages: String,
    /// Have docling-serve at this address read PDF files and pictures: `http://localhost:5001`.
    #[arg(long, value_name = "URL", conflicts_with = "mineru")]
    pub(crate) docling: Option<String>,
    /// Have MinerU's server at this address read PDF files and pictures: `http://localhost:8000`.
    #[arg(long, value_name = "URL")]
    pub(crate) mineru: Option<String>,
    /// Send documents to another machine even if the PHI gate finds something in them.
    #[arg(long)]
    pub(crate) send_phi: bool,
    /// One JSON document on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to do about what identifies a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PhiMode {
    /// Count it and leave the text as it is.
    Report,
    /// Put the name of its class in its place.
    Mask,
    /// Leave out what holds it.
    Refuse,
}

impl From<PhiMode> for corpus::phi::Mode {
    fn from(mode: PhiMode) -> Self {
        match mode {
            PhiMode::Report => corpus::phi::Mode::Report,
            PhiMode::Mask => corpus::phi::Mode::Mask,
            PhiMode::Refuse => corpus::phi::Mode::Refuse,
        }
    }
}
