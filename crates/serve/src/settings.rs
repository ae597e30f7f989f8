//! What a server takes on, and from whom.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::embeddings::Embedder;
use crate::key::Keys;

/// How a server is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it listens.
    pub bind: SocketAddr,
    /// Who may ask; nobody has to say so on loopback when there is no key.
    pub keys: Keys,
    /// Names besides `localhost` and addresses under which clients may reach it.
    pub allowed_hosts: Vec<String>,
    /// A line on standard error for every request: method, route, status, duration, never a text.
    pub access_log: bool,
    /// What makes vectors of texts; without it there are none.
    pub embedder: Option<Arc<dyn Embedder>>,
    /// What it takes on.
    pub limits: Limits,
}

impl Settings {
    /// A server at `bind` with the default limits.
    pub fn new(bind: SocketAddr) -> Self {
        Settings {
            bind,
            keys: Keys::default(),
            allowed_hosts: Vec::new(),
            access_log: false,
            embedder: None,
            limits: Limits::default(),
        }
    }
}

/// Past these, the answer is no.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Texts that may be written or wait at once.
    pub places: usize,
    /// Connections that may be open; others wait in the system's queue.
    pub connections: usize,
    /// Bytes of a request's body.
    pub body: usize,
    /// Messages of a conversation.
    pub messages: usize,
    /// Prompts of a request.
    pub prompts: usize,
    /// Texts of a request for vectors.
    pub inputs: usize,
    /// Requests for vectors that are computed at once.
    pub encoding: usize,
    /// Texts for one prompt (`n`).
    pub choices: usize,
    /// Stop strings.
    pub stops: usize,
    /// Bytes of a stop string.
    pub stop_bytes: usize,
    /// Likeliest tokens reported with a token.
    pub top_logprobs: usize,
    /// Pieces of a text, at most fifty a second, that its client has not read yet; beyond these it is too slow.
    pub unread: usize,
    /// Bytes of the system's send buffer of a connection.
    pub send_buffer: u32,
    /// Time for a request's header.
    pub header: Duration,
    /// Time for a request's body.
    pub body_time: Duration,
    /// Time for which a client may read nothing of what is ready.
    pub write: Duration,
    /// Time between signs of life in an event stream.
    pub sign_of_life: Duration,
    /// Time that texts get to end when the server should.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            places: 160,
            connections: 512,
            body: 1 << 20,
            messages: 256,
            prompts: 16,
            inputs: 256,
            encoding: 4,
            choices: 4,
            stops: 4,
            stop_bytes: 64,
            top_logprobs: 20,
            unread: 256,
            send_buffer: 64 << 10,
            header: Duration::from_secs(10),
            body_time: Duration::from_secs(30),
            write: Duration::from_secs(60),
            sign_of_life: Duration::from_secs(15),
            drain: Duration::from_secs(30),
        }
    }
}
