//! The server as its clients see it: through sockets.

mod abuse;
mod ask;
mod client;
mod embeddings;
mod ending;
mod ollama;
mod openai;
mod overload;
mod reach;
mod script;
mod served;
