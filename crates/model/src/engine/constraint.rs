//! What a text must look like: a JSON schema, a regular expression, or one of some texts. `llguidance` follows the
//! grammar (an Earley parser over derivatives of regular expressions) and says which tokens may come next.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use llguidance::api::TopLevelGrammar;
use llguidance::panic_utils::catch_unwind;
use llguidance::toktrie::{ApproximateTokEnv, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};

use crate::Tokenizer;

/// Longer tokens do not come in a constrained text: the library's tree of them has no room for so long branches.
const TOKEN_BYTES: usize = 512;
/// Levels of a schema.
const SCHEMA_DEPTH: usize = 32;
/// Values in a schema.
const SCHEMA_VALUES: usize = 10_000;
/// Bytes of a regular expression.
const PATTERN_BYTES: usize = 4096;
/// Bytes of all texts of a choice.
const CHOICE_BYTES: usize = 1 << 16;

/// Compiles constraints for one vocabulary. Made once, shared by all.
#[derive(Clone)]
pub struct Grammars {
    factory: Arc<ParserFactory>,
}

/// A compiled constraint, at the beginning of its text; clones are independent.
#[derive(Clone)]
pub struct Constraint {
    matcher: Matcher,
    ends: Arc<[u32]>,
}

/// A constraint that cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConstraintError(String);

impl ConstraintError {
    fn new(reason: impl ToString) -> Self {
        // Behind the first line are the grammar and the state of the parser.
        let reason = reason.to_string();
        let first = reason.lines().next().unwrap_or_default();
        // The parser of expressions shows the place over several lines and says at the end what is wrong there.
        let end =
            reason.lines().find_map(|line| line.strip_prefix("error:")).filter(|_| first.ends_with(':'));
        ConstraintError(first.chars().chain(end.unwrap_or_default().chars()).take(500).collect())
    }
}

impl Grammars {
    /// Grammars over the bytes of `tokenizer`'s tokens.
    ///
    /// # Errors
    /// When the vocabulary has no token that ends a text.
    pub fn new(tokenizer: &Tokenizer) -> Result<Self, ConstraintError> {
        let ends = tokenizer.eos_ids();
        let Some(&end) = ends.first() else {
            return Err(ConstraintError::new("the vocabulary has no token that ends a text"));
        };
        // A byte that is no text marks the special ones, so no grammar matches them.
        let special = |id: u32| {
            let name = tokenizer.id_to_token(id).unwrap_or_default();
            [&[TokTrie::SPECIAL_TOKEN_MARKER], name.as_bytes()].concat()
        };
        let word = |(bytes, id): (Option<Vec<u8>>, u32)| {
            let bytes = bytes.filter(|_| !ends.contains(&id)).unwrap_or_else(|| special(id));
            if bytes.len() > TOKEN_BYTES { Vec::new() } else { bytes }
        };
        let words: Vec<Vec<u8>> = tokenizer.token_bytes().into_iter().zip(0..).map(word).collect();
        // The library gives up on a vocabulary that is too large for it.
        let factory = catch_unwind(AssertUnwindSafe(|| {
            let trie = TokTrie::from(&TokRxInfo::new(words.len() as u32, end), &words).with_eos_tokens(ends);
            let environment: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
            ParserFactory::new_simple(&environment)
        }));
        let mut factory = factory.map_err(ConstraintError::new)?;
        factory.quiet();
        let limits = factory.limits_mut();
        limits.verbose_errors = false;
        limits.max_grammar_size = 100_000;
        limits.max_lexer_states = 50_000;
        Ok(Grammars { factory: Arc::new(factory) })
    }

    fn compile(&self, grammar: TopLevelGrammar) -> Result<Constraint, ConstraintError> {
        let mut matcher = Matcher::new(self.factory.create_parser(grammar));
        // What can never be fulfilled shows at the first token.
        matcher.compute_mask_or_eos().map_err(ConstraintError::new)?;
        let ends = self.factory.tok_env().tok_trie().eos_tokens().into();
        Ok(Constraint { matcher, ends })
    }

    /// A JSON document that a schema (draft 2020-12) accepts, on one line as Python's `json.dumps` writes it.
    ///
    /// # Errors
    /// When the schema is deeper or larger than is taken, or says something that is not supported.
    pub fn json_schema(&self, schema: &Value) -> Result<Constraint, ConstraintError> {
        let (depth, values) = extent(schema, 1);
        if depth > SCHEMA_DEPTH {
            return Err(ConstraintError::new(format!("a schema of more than {SCHEMA_DEPTH} levels")));
        }
        if values > SCHEMA_VALUES {
            return Err(ConstraintError::new(format!(
                "a schema of {values} values, expected at most {SCHEMA_VALUES}"
            )));
        }
        let mut schema = match schema {
            Value::Object(schema) => schema.clone(),
            Value::Bool(true) => serde_json::Map::new(),
            _ => return Err(ConstraintError::new("a schema is an object")),
        };
        let layout = json!({ "whitespace_flexible": false, "item_separator": ", ", "key_separator": ": " });
        schema.insert("x-guidance".to_owned(), layout);
        self.compile(TopLevelGrammar::from_json_schema(schema.into()))
    }

    /// Any JSON object.
    ///
    /// # Errors
    /// None is known.
    pub fn json_object(&self) -> Result<Constraint, ConstraintError> {
        self.json_schema(&json!({ "type": "object" }))
    }

    /// A text that a regular expression matches from its start to its end.
    ///
    /// # Errors
    /// When it is no regular expression, or a too large one.
    pub fn regex(&self, pattern: &str) -> Result<Constraint, ConstraintError> {
        if pattern.len() > PATTERN_BYTES {
            let got = pattern.len();
            return Err(ConstraintError::new(format!(
                "a pattern of {got} bytes, expected at most {PATTERN_BYTES}"
            )));
        }
        self.compile(TopLevelGrammar::from_regex(pattern))
    }

    /// One of some texts, such as the letters of the options.
    ///
    /// # Errors
    /// When there is none, one is empty, or they are too long.
    pub fn choice(&self, texts: &[String]) -> Result<Constraint, ConstraintError> {
        let bytes: usize = texts.iter().map(|text| text.len() + 1).sum();
        if texts.is_empty() || texts.iter().any(String::is_empty) || bytes > CHOICE_BYTES {
            return Err(ConstraintError::new(format!(
                "expected texts to choose from, up to {CHOICE_BYTES} bytes"
            )));
        }
        let texts: Vec<String> = texts.iter().map(|text| Value::from(text.as_str()).to_string()).collect();
        self.compile(TopLevelGrammar::from_lark(format!("start: {}", texts.join(" | "))))
    }
}

/// Levels and number of values of a document; what is deeper than a schema may be is not looked at.
fn extent(value: &Value, level: usize) -> (usize, usize) {
    let children: Box<dyn Iterator<Item = &Value>> = match value {
        Value::Array(values) if level <= SCHEMA_DEPTH => Box::new(values.iter()),
        Value::Object(values) if level <= SCHEMA_DEPTH => Box::new(values.values()),
        _ => return (level, 1),
    };
    children
        .map(|child| extent(child, level + 1))
        .fold((level, 1), |(depth, count), (d, c)| (depth.max(d), count + c))
}

impl Constraint {
    /// Forbids the tokens that may not come next. The grammar's end token may come where the text may end.
    ///
    /// # Errors
    /// When the grammar has become too complex.
    pub(super) fn forbid(&mut self, logits: &mut [f32]) -> Result<(), ConstraintError> {
        let allowed = self.matcher.compute_mask_or_eos().map_err(ConstraintError::new)?;
        let mut rows = logits.chunks_mut(32);
        for (&mask, row) in allowed.as_slice().iter().zip(&mut rows) {
            for (bit, logit) in row.iter_mut().enumerate() {
                if mask & (1 << bit) == 0 {
                    *logit = f32::NEG_INFINITY;
                }
            }
        }
        // A model's embedding may have more rows than the vocabulary has tokens.
        rows.for_each(|row| row.fill(f32::NEG_INFINITY));
        Ok(())
    }

    /// Whether a token ends a text that is constrained.
    pub(super) fn is_end(&self, token: u32) -> bool {
        self.ends.contains(&token)
    }

    /// A token that was allowed came.
    ///
    /// # Errors
    /// When the grammar has become too complex.
    pub(super) fn take(&mut self, token: u32) -> Result<(), ConstraintError> {
        self.matcher.consume_token(token).map_err(ConstraintError::new)
    }

    /// Whether nothing but the end may come.
    pub(super) fn is_complete(&self) -> bool {
        self.matcher.is_stopped()
    }
}

impl std::fmt::Debug for Grammars {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grammars").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Constraint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Constraint").finish_non_exhaustive()
    }
}
