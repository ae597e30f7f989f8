//! What can go wrong when models are measured and compared.

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Errors of evaluation.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is nothing to measure.
    #[error("no items to evaluate")]
    NoItems,
    /// An item stands in the outcomes of one model twice.
    #[error("item `{id}` occurs twice in the outcomes of the {model} model")]
    Duplicate {
        /// The item.
        id: String,
        /// `base` or `tuned`.
        model: &'static str,
    },
    /// Two items have one id.
    #[error("item `{id}` occurs twice")]
    Twice {
        /// The item.
        id: String,
    },
    /// The two models were not measured on the same items in the same way, so they cannot be paired.
    #[error("item `{id}` cannot be paired: {reason}")]
    Unpaired {
        /// The item.
        id: String,
        /// What differs.
        reason: &'static str,
    },
    /// A measured value is no number.
    #[error("item `{id}`: {what} is not finite")]
    NotFinite {
        /// The item.
        id: String,
        /// Which value.
        what: &'static str,
    },
    /// An item that the model's template or tokenizer does not take.
    #[error("item `{id}`: {source}")]
    Item {
        /// The item.
        id: String,
        /// The reason.
        source: Box<model::Error>,
    },
    /// An item that is longer than the model can read.
    #[error("item `{id}` has {tokens} tokens, the model reads {limit}")]
    TooLong {
        /// The item.
        id: String,
        /// Its length.
        tokens: usize,
        /// The model's limit.
        limit: usize,
    },
    /// A task that cannot be asked.
    #[error("task `{name}`: {reason}")]
    Task {
        /// Its name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// An answer that is no token of its own after the question.
    #[error("item `{id}`: the answer {answer:?} has no token of its own")]
    NoTokens {
        /// The item.
        id: String,
        /// The answer.
        answer: String,
    },
    /// A file of a task cannot be read.
    #[error(transparent)]
    Data(#[from] dataset::Error),
    /// A layer that the encoder of BERTScore does not have.
    #[error("layer {layer} was asked for, the encoder has {layers}")]
    Layer {
        /// What was asked for.
        layer: usize,
        /// What there is.
        layers: usize,
    },
    /// A file of BERTScore baselines without the layer.
    #[error("baseline of layer {layer}: {reason}")]
    Baseline {
        /// The layer.
        layer: usize,
        /// What is wrong.
        reason: String,
    },
    /// A judge that cannot be asked this way.
    #[error("judge: {what}: {reason}")]
    Judge {
        /// Which setting or input.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A prompt that cannot be used.
    #[error(transparent)]
    Prompt(#[from] chat::PromptError),
    /// A file that cannot be read as what it should be.
    #[error("{path}: {reason}", path = path.display())]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Data of the safety suite, or answers to it, that cannot be read.
    #[error("safety suite, `{id}`: {reason}")]
    Safety {
        /// The item, line or file.
        id: String,
        /// What is wrong.
        reason: String,
    },
    /// An answer on file that no rule can read once more.
    #[error("`{id}` cannot be read by another rule: {reason}")]
    Reread {
        /// The item or the evaluation.
        id: String,
        /// What is missing.
        reason: &'static str,
    },
    /// The files of an evaluation.
    #[error(transparent)]
    Evaluation(#[from] crate::evaluation::EvaluationError),
    /// Runs that cannot be compared.
    #[error(transparent)]
    Runs(#[from] crate::comparison::RunsError),
    /// The model.
    #[error(transparent)]
    Model(#[from] model::Error),
    /// The report's template does not fit its data: a bug of this crate.
    #[error("report template: {0}")]
    Template(#[from] minijinja::Error),
}
