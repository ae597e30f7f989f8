//! What a caller asks of the engine, and what it hears back.

use std::time::Duration;

use super::constraint::Constraint;
use super::logprobs::TokenLogprob;
use crate::Sampling;

/// How much an engine takes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineSettings {
    /// Texts that are written at once.
    pub slots: usize,
    /// Positions of keys and values in all, prompts and answers and what is kept for later prompts. Rounded up to whole
    /// blocks of [`compute::KV_BLOCK`].
    pub positions: usize,
    /// Positions that one text may have, at most those that the decoder reads.
    pub context: usize,
    /// Tokens of a forward pass: each text that is being written takes one, prompts share the rest. At least `slots`.
    pub step_tokens: usize,
    /// Prompt tokens of a forward pass in which texts are being written, so that these do not wait for long.
    pub prefill_chunk: usize,
    /// Requests that may wait for a slot.
    pub queue: usize,
    /// Tokens that are guessed at a time from what stands in a text already, so that one forward pass may write several;
    /// 0 for none. Texts are the same either way.
    pub lookup: usize,
}

impl EngineSettings {
    /// Room for `slots` texts at once, prompt and answer of at most `context` tokens each, and no limit on the queue.
    pub fn new(slots: usize, context: usize) -> Self {
        EngineSettings {
            slots,
            positions: slots * context.next_multiple_of(compute::KV_BLOCK),
            context,
            step_tokens: STEP_TOKENS.max(slots),
            prefill_chunk: PREFILL_CHUNK,
            queue: usize::MAX,
            lookup: LOOKUP,
        }
    }
}

/// So many rows fill the products of a forward pass; more would only make the others wait for longer.
const STEP_TOKENS: usize = 512;
/// With so many rows a product is computed at nearly its full speed.
const PREFILL_CHUNK: usize = 128;
/// With its guesses a text has as many rows as a pass may have where few texts are written.
const LOOKUP: usize = 7;

/// The weights that a text is written with: those of the base alone, or of an adapter on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct AdapterId(pub(crate) u32);

impl AdapterId {
    /// No adapter.
    pub const BASE: AdapterId = AdapterId(0);
    /// The adapter that the decoder was built with; the base, where it was built without.
    pub const OWN: AdapterId = AdapterId(1);

    /// The adapter that was taken in as number `n`, from 0, by [`super::Engine::add_adapter`].
    pub fn another(n: u32) -> Self {
        AdapterId(AdapterId::OWN.0.saturating_add(1).saturating_add(n))
    }
}

/// What ends a text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stop {
    /// Tokens that end a text. They are not part of it.
    pub tokens: Vec<u32>,
    /// Strings that end a text. They are not part of it. Needs a tokenizer.
    pub strings: Vec<String>,
    /// Tokens that a text may have.
    pub max_tokens: usize,
}

/// A prompt and how it goes on.
#[derive(Debug, Clone)]
pub struct Request {
    /// Token ids of the prompt.
    pub prompt: Vec<u32>,
    /// Which weights.
    pub adapter: AdapterId,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Which of the texts of one prompt and seed this is: texts with different numbers are drawn independently.
    pub choice: usize,
    /// What ends the text.
    pub stop: Stop,
    /// Log-probabilities of the chosen token, and of so many of the likeliest, with every token.
    pub logprobs: Option<usize>,
    /// What the text must look like.
    pub constraint: Option<Constraint>,
}

impl Request {
    /// A request for the likeliest text with the decoder's own adapter.
    pub fn greedy(prompt: Vec<u32>, stop: Stop) -> Self {
        Request {
            prompt,
            adapter: AdapterId::OWN,
            sampling: Sampling::default(),
            choice: 0,
            stop,
            logprobs: None,
            constraint: None,
        }
    }
}

/// A request that was taken, in the order of taking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub(crate) u64);

/// Why a request was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// So many requests wait already.
    #[error("{waiting} requests wait already")]
    QueueFull {
        /// Number of waiting requests.
        waiting: usize,
    },
    /// The prompt leaves no room for an answer.
    #[error("the prompt has {tokens} tokens, expected at most {limit}")]
    PromptTooLong {
        /// Tokens of the prompt.
        tokens: usize,
        /// The most that a prompt may have.
        limit: usize,
    },
    /// There is nothing to continue.
    #[error("the prompt is empty")]
    EmptyPrompt,
    /// A token that is not in the vocabulary.
    #[error("the prompt has the token {id}, expected ids below {vocabulary}")]
    UnknownToken {
        /// The token.
        id: u32,
        /// Rows of the embedding.
        vocabulary: usize,
    },
    /// No adapter has this id.
    #[error("there is no adapter {0}")]
    UnknownAdapter(u32),
    /// A number that makes no sense, such as a negative temperature.
    #[error("{name} is {got}, expected {expected}")]
    Setting {
        /// Which.
        name: &'static str,
        /// Its value.
        got: String,
        /// What it may be.
        expected: &'static str,
    },
    /// Stop strings need an engine with a tokenizer.
    #[error("stop strings need a tokenizer")]
    NoTokenizer,
}

/// Why a text ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// The model ended it, or it came to a stop string, or the constraint allows no more.
    Stop,
    /// It has all the tokens that it may have, or fills the context.
    Length,
    /// [`super::Engine::cancel`].
    Cancelled,
    /// The constraint could not be followed any further; the text may be incomplete.
    Constraint,
    /// The text of a token could not be told; the tokenizer's vocabulary contradicts itself.
    Tokenizer,
}

/// What a text took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Of these, tokens whose keys and values were there already.
    pub cached_tokens: usize,
    /// Tokens of the text, without one that ended it.
    pub completion_tokens: usize,
    /// From the request to its first turn.
    pub waiting: Duration,
    /// From its first turn to the first token.
    pub prefill: Duration,
    /// From the first token to the end.
    pub decode: Duration,
}

/// What happened in a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A token was chosen.
    Token {
        /// Whose.
        ticket: Ticket,
        /// Which.
        id: u32,
        /// Text that became certain: characters whose bytes are all there and that cannot belong to a stop string
        /// any more. Empty without a tokenizer.
        text: String,
        /// If they were asked for.
        logprob: Option<TokenLogprob>,
    },
    /// A text ended.
    Finished {
        /// Whose.
        ticket: Ticket,
        /// Why.
        reason: FinishReason,
        /// Text that was held back and turned out to be part of the text.
        text: String,
        /// What it took.
        usage: Usage,
    },
}

/// How busy an engine is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Texts that are being written.
    pub running: usize,
    /// Requests that wait.
    pub waiting: usize,
    /// Positions of keys and values that texts in writing hold.
    pub positions_held: usize,
    /// Positions that are kept for later prompts, until others want the room.
    pub positions_kept: usize,
    /// Positions in all.
    pub positions: usize,
    /// Prompt tokens that were asked for since the start.
    pub prompt_tokens: u64,
    /// Of these, tokens whose keys and values were there already.
    pub cached_tokens: u64,
    /// Tokens written since the start.
    pub completion_tokens: u64,
    /// Tokens guessed since the start.
    pub guessed_tokens: u64,
    /// Of these, tokens that were chosen.
    pub guessed_right: u64,
    /// Forward passes since the start.
    pub forwards: u64,
    /// Texts that gave their room to others and started again since the start.
    pub preempted: u64,
}
