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
