//! What a text must look like: a JSON schema, a regular expression, or one of some texts.

use std::sync::Arc;

use serde_json::Value;

use crate::Tokenizer;

/// Compiles constraints for one vocabulary. Made once, shared by all.
#[derive(Debug, Clone)]
pub struct Grammars {
    inner: Arc<()>,
}

/// A compiled constraint, good for one text; clones are independent.
#[derive(Debug, Clone)]
pub struct Constraint {
    _grammars: Arc<()>,
}

/// A constraint that cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConstraintError(pub(crate) String);

impl Grammars {
    /// Grammars over the bytes of `tokenizer`'s tokens.
    ///
    /// # Errors
    /// When the vocabulary has no token that ends a text.
    pub fn new(tokenizer: &Tokenizer) -> Result<Self, ConstraintError> {
        if tokenizer.eos_ids().is_empty() {
            return Err(ConstraintError("the vocabulary has no token that ends a text".to_owned()));
        }
        Ok(Grammars { inner: Arc::new(()) })
    }

    fn skeleton(&self) -> Result<Constraint, ConstraintError> {
        let _ = Constraint { _grammars: self.inner.clone() };
        Err(ConstraintError("constraints come with the next commits".to_owned()))
    }

    /// A JSON document that a schema (draft 2020-12) accepts.
    ///
    /// # Errors
    /// When the schema is deeper or larger than is taken, or says something that is not supported.
    pub fn json_schema(&self, _schema: &Value) -> Result<Constraint, ConstraintError> {
        self.skeleton()
    }

    /// Any JSON object.
    ///
    /// # Errors
    /// None is known.
    pub fn json_object(&self) -> Result<Constraint, ConstraintError> {
        self.skeleton()
    }

    /// A text that a regular expression matches from its start to its end.
    ///
    /// # Errors
    /// When it is no regular expression, or a too large one.
    pub fn regex(&self, _pattern: &str) -> Result<Constraint, ConstraintError> {
        self.skeleton()
    }

    /// One of some texts, such as the letters of the options.
    ///
    /// # Errors
    /// When there is none, or they are too long.
    pub fn choice(&self, _texts: &[String]) -> Result<Constraint, ConstraintError> {
        self.skeleton()
    }
}
