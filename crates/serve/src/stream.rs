//! Texts as they come: server-sent events and lines of JSON.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use serde::Serialize;

use crate::refusal::{Refusal, Style};
use crate::texts::Parts;
use crate::worker::Part;

/// The largest piece that is sent at once, more or less.
const PIECE: usize = 16 << 10;

/// How a protocol frames its documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// `data: …` and a blank line (WHATWG HTML, "server-sent events").
    Events,
    /// A document a line.
    Lines,
}

/// What has been framed and not been sent.
#[derive(Debug)]
pub(crate) struct Sink {
    framing: Framing,
    bytes: Vec<u8>,
}

impl Sink {
    /// Adds a document.
    pub(crate) fn put(&mut self, document: &impl Serialize) {
        self.framed(|bytes| {
            // Memory takes all bytes, and the documents have no keys but texts.
            let _ = serde_json::to_writer(bytes, document);
        });
    }

    /// Adds a text without line breaks.
    pub(crate) fn text(&mut self, text: &str) {
        self.framed(|bytes| bytes.extend_from_slice(text.as_bytes()));
    }

    fn framed(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let (before, after) = match self.framing {
            Framing::Events => ("data: ", "\n\n"),
            Framing::Lines => ("", "\n"),
        };
        self.bytes.extend_from_slice(before.as_bytes());
        write(&mut self.bytes);
        self.bytes.extend_from_slice(after.as_bytes());
    }
}

/// What a protocol says while texts are written.
pub(crate) trait Narrator: Send + 'static {
    /// Before the first part.
    fn begin(&mut self, _out: &mut Sink) {}

    /// A token, or the end of a text.
    fn part(&mut self, part: Part, out: &mut Sink);

    /// All texts have ended.
    fn finish(&mut self, _out: &mut Sink) {}
}

struct Telling<N> {
    parts: Parts,
    narrator: N,
    style: Style,
    begun: bool,
    ended: bool,
    patience: std::time::Duration,
}

impl<N: Narrator> Telling<N> {
    /// The next piece: everything that is there, at least one part.
    async fn piece(&mut self, sink: &mut Sink) {
        if !self.begun {
            self.begun = true;
            self.narrator.begin(sink);
            if !sink.bytes.is_empty() {
                return;
            }
        }
        while sink.bytes.is_empty() && !self.ended {
            let part = match self.parts.all_ended() {
                true => None,
                false => match tokio::time::timeout(self.patience, self.parts.next()).await {
                    Ok(part) => Some(part),
                    Err(_) if sink.framing == Framing::Events => {
                        sink.bytes.extend_from_slice(b": still there\n\n");
                        return;
                    }
                    Err(_) => continue,
                },
            };
            self.tell(part, sink);
            while sink.bytes.len() < PIECE && !self.ended {
                let Some(part) = self.parts.at_hand() else { break };
                self.tell(Some(part), sink);
            }
        }
    }

    fn tell(&mut self, part: Option<Result<Part, Refusal>>, sink: &mut Sink) {
        match part {
            Some(Ok(part)) => self.narrator.part(part, sink),
            Some(Err(refusal)) => {
                sink.put(&refusal.document(self.style));
                self.ended = true;
            }
            None => {}
        }
        if !self.ended && self.parts.all_ended() {
            self.narrator.finish(sink);
            self.ended = true;
        }
    }
}

/// A response that tells of `parts` as they come.
pub(crate) fn tell<N: Narrator>(parts: Parts, narrator: N, framing: Framing, style: Style) -> Response {
    let patience = parts.sign_of_life();
    let telling = Telling { parts, narrator, style, begun: false, ended: false, patience };
    let stream = unfold(telling, move |mut telling| async move {
        let mut sink = Sink { framing, bytes: Vec::new() };
        telling.piece(&mut sink).await;
        match sink.bytes.is_empty() {
            true => None,
            false => Some((Ok::<_, Infallible>(Bytes::from(sink.bytes)), telling)),
        }
    });
    let kind = match framing {
        Framing::Events => "text/event-stream",
        Framing::Lines => "application/x-ndjson",
    };
    // Proxies such as nginx would collect the events otherwise.
    let unbuffered = (HeaderName::from_static("x-accel-buffering"), "no");
    ([(header::CONTENT_TYPE, kind)], [unbuffered], Body::from_stream(stream)).into_response()
}
