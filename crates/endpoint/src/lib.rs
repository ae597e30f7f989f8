//! Models that answer at an address, as anything does that speaks OpenAI's chat completions (OpenRouter, Groq,
//! LiteLLM, vLLM, Ollama, `medtune serve`), and the store in which the replies of any model are kept.
//!
//! Nothing is sent to an address that was not named. A key goes into one header of the requests to its own address and
//! into nothing else: no error, no log, no store.

mod account;
mod cache;
mod connection;
mod endpoint;
mod key;
mod prices;
mod rate;
mod retry;
mod wire;

pub use account::{Budget, Spent};
pub use cache::{Cached, ReplyStore};
pub use endpoint::{Endpoint, Gate, Settings};
pub use key::ApiKey;
pub use prices::{Price, Prices};
pub use rate::RateLimit;
