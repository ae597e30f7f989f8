//! Conversations with a language model: who said what, what is asked, what comes back. Whoever can answer is a
//! [`ChatModel`], be it the engine of this program or an address.

mod calls;
mod message;
mod model;
mod prompt;
mod reply;
mod request;
pub mod schema;
mod structured;

pub use calls::Calls;
pub use message::{Message, Role};
pub use model::{ChatModel, Error, Refusal, Result};
pub use prompt::{Prompt, PromptError, Prompts};
pub use reply::{Finish, Reply, Usage};
pub use request::{ChatRequest, Form};
pub use structured::{Structured, ask, extract_json};
