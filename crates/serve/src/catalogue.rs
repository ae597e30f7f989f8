//! What is served: one decoder under one or more names.

use axum::http::StatusCode;
use model::engine::{AdapterId, Grammars};
use model::{ChatTemplate, Config, Tokenizer};

use crate::refusal::{Outcome, Refusal};

/// A name that clients may ask for.
#[derive(Debug, Clone)]
pub struct Name {
    /// As it is written.
    pub name: String,
    /// The weights that it means.
    pub adapter: AdapterId,
}

/// What clients are told of a model.
#[derive(Debug, Clone, Default)]
pub struct Details {
    /// Architecture, such as `llama`.
    pub family: String,
    /// Container of the weights, such as `gguf`.
    pub format: String,
    /// Storage of the weights, such as `BF16` or `Q4_K_M`.
    pub quantization: String,
    /// Bytes of the weights in memory.
    pub bytes: u64,
}

/// A model without its weights: names, vocabulary, template.
#[derive(Debug)]
pub struct Catalogue {
    names: Vec<Name>,
    details: Details,
    config: Config,
    tokenizer: Tokenizer,
    template: ChatTemplate,
    grammars: Option<Grammars>,
    context: usize,
    /// The bytes of each token that is text.
    token_bytes: Vec<Option<Vec<u8>>>,
    /// Bytes of the longest token.
    longest_token: usize,
    since: (u64, String),
}

impl Catalogue {
    /// A model under `names`, of which the first is meant where a request names none. `context` is what a prompt and
    /// its answer may have in tokens.
    ///
    /// # Panics
    /// When `names` is empty.
    pub fn new(
        names: Vec<Name>,
        (config, details): (Config, Details),
        (tokenizer, template): (Tokenizer, ChatTemplate),
        context: usize,
    ) -> Self {
        assert!(!names.is_empty(), "a model needs a name");
        let token_bytes = tokenizer.token_bytes();
        let longest_token = token_bytes.iter().flatten().map(Vec::len).max().unwrap_or(1).max(1);
        let seconds = std::time::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_secs());
        Catalogue {
            names,
            details,
            config,
            grammars: Grammars::new(&tokenizer).ok(),
            tokenizer,
            template,
            context,
            token_bytes,
            longest_token,
            since: (seconds, track::utc_timestamp()),
        }
    }

    /// The names, the first of which is the default.
    pub fn names(&self) -> &[Name] {
        &self.names
    }

    /// What is told of it.
    pub fn details(&self) -> &Details {
        &self.details
    }

    /// Its sizes.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Its vocabulary.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Its template.
    pub fn template(&self) -> &ChatTemplate {
        &self.template
    }

    /// Tokens of a prompt with its answer.
    pub fn context(&self) -> usize {
        self.context
    }

    /// The bytes of a token that is text.
    pub(crate) fn bytes_of(&self, token: u32) -> Option<&[u8]> {
        self.token_bytes.get(token as usize)?.as_deref()
    }

    pub(crate) fn longest_token(&self) -> usize {
        self.longest_token
    }

    /// When it was loaded: seconds since 1970, and as RFC 3339.
    pub(crate) fn since(&self) -> (u64, &str) {
        (self.since.0, &self.since.1)
    }

    pub(crate) fn grammars(&self) -> Outcome<&Grammars> {
        self.grammars.as_ref().ok_or_else(|| Refusal::unsupported("structured output with this vocabulary"))
    }

    /// 64 hexadecimal digits that tell one name and shape from another. Not of the weights.
    pub(crate) fn digest(&self, name: &Name) -> String {
        let text = format!("{} {} {:?} {:?}", name.name, self.template.hash(), self.config, self.details);
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }

    /// The model that a request names; the default one where it names none. Ollama's clients add `:latest`.
    pub(crate) fn find(&self, name: Option<&str>) -> Outcome<&Name> {
        let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(&self.names[0]) };
        let plain = name.strip_suffix(":latest").unwrap_or(name);
        let found = self.names.iter().find(|n| n.name == name || n.name == plain);
        found.ok_or_else(|| {
            let names: Vec<&str> = self.names.iter().map(|n| n.name.as_str()).collect();
            let message = format!("there is no model of that name; there are: {}", names.join(", "));
            Refusal {
                field: Some("model"),
                ..Refusal::new(StatusCode::NOT_FOUND, "model_not_found", message)
            }
        })
    }
}
