//! What a client hears when it does not get what it asked for. Never a word of what it sent.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::engine::Refused;
use serde_json::{Value, json};

/// Why a request is not answered.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// For programs.
    pub(crate) code: &'static str,
    /// For people.
    pub(crate) message: String,
    /// The field that is wrong.
    pub(crate) field: Option<&'static str>,
    /// Seconds after which to try again.
    pub(crate) retry_after: Option<u64>,
}

/// The result of a handler.
pub(crate) type Outcome<T> = Result<T, Refusal>;

/// In whose words errors are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// `{"error": {"message", "type", "param", "code"}}`.
    OpenAi,
    /// `{"error": "message"}`, which Ollama's clients and those of `/ask` read.
    Plain,
}

impl Style {
    /// The style of a path.
    pub(crate) fn of(path: &str) -> Self {
        if path.starts_with("/v1/") { Style::OpenAi } else { Style::Plain }
    }
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Refusal { status, code, message: message.into(), field: None, retry_after: None }
    }

    /// A field with a value that cannot be.
    pub(crate) fn field(field: &'static str, message: impl Into<String>) -> Self {
        let message = format!("{field}: {}", message.into());
        Refusal { field: Some(field), ..Self::new(StatusCode::BAD_REQUEST, "invalid_value", message) }
    }

    /// Something that clients of this kind may ask for and that is not there.
    pub(crate) fn unsupported(field: &'static str) -> Self {
        let message = format!("{field} is not supported");
        Refusal { field: Some(field), ..Self::new(StatusCode::BAD_REQUEST, "unsupported", message) }
    }

    /// A prompt that leaves no room for an answer; `tokens` says how many it has.
    pub(crate) fn too_long(tokens: &str, limit: usize) -> Self {
        let message = format!("the prompt has {tokens}, the model's context takes {limit} and an answer");
        Self::new(StatusCode::BAD_REQUEST, "context_length_exceeded", message)
    }

    /// Everything is taken.
    pub(crate) fn busy(retry_after: u64) -> Self {
        let message = "too many requests at once, try again later";
        Refusal {
            retry_after: Some(retry_after),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", message)
        }
    }

    /// The server is about to end.
    pub(crate) fn leaving() -> Self {
        Refusal {
            retry_after: Some(5),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "shutting_down", "the server is shutting down")
        }
    }

    /// The engine is not there any more.
    pub(crate) fn no_engine() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "engine_stopped", "the engine has stopped")
    }

    /// A defect of ours.
    pub(crate) fn defect() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "a defect of the server")
    }

    /// The document that tells of it.
    pub(crate) fn document(&self, style: Style) -> Value {
        match style {
            Style::Plain => json!({ "error": self.message }),
            Style::OpenAi => {
                let kind = match self.status.as_u16() {
                    401 => "authentication_error",
                    403 => "permission_error",
                    503 => "overloaded_error",
                    500.. => "server_error",
                    _ => "invalid_request_error",
                };
                let (message, code) = (&self.message, self.code);
                json!({ "error": { "message": message, "type": kind, "param": self.field, "code": code } })
            }
        }
    }

    /// The whole response.
    pub(crate) fn respond(&self, style: Style) -> Response {
        let mut response = Response::new(Body::from(self.document(style).to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// A handler does not know in whose words to tell: the guard around it does, and finds the reason here.
impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::QueueFull { .. } => Refusal::busy(1),
            Refused::PromptTooLong { tokens, limit } => Refusal::too_long(&format!("{tokens} tokens"), limit),
            Refused::NoTokenizer | Refused::UnknownAdapter(_) => Refusal::defect(),
            other => Refusal::new(StatusCode::BAD_REQUEST, "invalid_value", other.to_string()),
        }
    }
}

impl From<model::Error> for Refusal {
    fn from(error: model::Error) -> Self {
        let bad = |code, message: String| Refusal::new(StatusCode::BAD_REQUEST, code, message);
        match error {
            // The tokenizer's reason may quote the text.
            model::Error::Tokenizer { .. } => {
                bad("untokenizable", "the vocabulary has no tokens for a character of the text".to_owned())
            }
            model::Error::Template { reason, .. } => bad("template", format!("the chat template: {reason}")),
            model::Error::Conversation(reason) => bad("conversation", reason.to_string()),
            _ => Refusal::defect(),
        }
    }
}
