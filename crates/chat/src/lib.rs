//! The vocabulary of conversations: who said what.

mod message;

pub use message::{Message, Role};
