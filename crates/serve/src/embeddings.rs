//! Vectors of texts: `/v1/embeddings`, `/api/embed` and `/api/embeddings`, when an encoder is loaded.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use compute::EncoderBackend;
use model::{Encoder, TextVector};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::json::{Json, reply};
use crate::refusal::{Outcome, Refusal};

/// What makes vectors of texts.
pub trait Embedder: Debug + Send + Sync {
    /// What clients call it.
    fn name(&self) -> &str;

    /// A vector for each text, in their order.
    ///
    /// # Errors
    /// When a text has no tokens in its vocabulary, or memory runs out.
    fn embed(&self, texts: &[String]) -> model::Result<Vec<TextVector>>;
}

/// An encoder under a name; see [`Encoder::embed`].
#[derive(Debug)]
pub struct EncoderEmbedder<B: EncoderBackend> {
    name: String,
    encoder: Encoder<B>,
}

impl<B: EncoderBackend> EncoderEmbedder<B> {
    /// An encoder under a name.
    pub fn new(name: impl Into<String>, encoder: Encoder<B>) -> Self {
        EncoderEmbedder { name: name.into(), encoder }
    }
}

impl<B: EncoderBackend + Debug + Send + Sync> Embedder for EncoderEmbedder<B>
where
    Encoder<B>: Debug + Send + Sync,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn embed(&self, texts: &[String]) -> model::Result<Vec<TextVector>> {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        self.encoder.embed(&texts)
    }
}

/// One text or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Input {
    One(String),
    Many(Vec<String>),
}

impl Input {
    fn into_vec(self) -> Vec<String> {
        match self {
            Input::One(text) => vec![text],
            Input::Many(texts) => texts,
        }
    }
}

/// The vectors of `texts` by the encoder that `name` means; and the time that they took.
async fn vectors(
    app: &App,
    name: Option<&str>,
    (field, texts): (&'static str, Vec<String>),
) -> Outcome<(Arc<dyn Embedder>, Vec<TextVector>, Duration)> {
    let Some(embedder) = app.settings.embedder.clone() else {
        let message = "this server has no embedding model loaded; start it with --encoder";
        return Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, "no_encoder", message));
    };
    if name.is_some_and(|name| name.trim_end_matches(":latest") != embedder.name()) {
        let message = format!("no such embedding model; there is {}", embedder.name());
        return Err(Refusal {
            field: Some("model"),
            ..Refusal::new(StatusCode::NOT_FOUND, "model_not_found", message)
        });
    }
    let most = app.settings.limits.inputs;
    if texts.is_empty() || texts.len() > most {
        return Err(Refusal::field(field, format!("expected 1 to {most} texts")));
    }
    let _place = app.encoding.try_acquire().map_err(|_| Refusal::busy(1))?;
    let began = Instant::now();
    let worker = Arc::clone(&embedder);
    let made = tokio::task::spawn_blocking(move || worker.embed(&texts)).await;
    let vectors = made.map_err(|_| Refusal::defect())??;
    Ok((embedder, vectors, began.elapsed()))
}

/// The body of `POST /v1/embeddings`.
#[derive(Debug, Deserialize)]
pub(crate) struct OpenAiRequest {
    model: Option<String>,
    input: Input,
    encoding_format: Option<String>,
    dimensions: Option<Value>,
}

/// `POST /v1/embeddings`. A text that is longer than the encoder reads is an error, as with OpenAI.
pub(crate) async fn openai(State(app): State<App>, Json(request): Json<OpenAiRequest>) -> Outcome<Response> {
    let base64 = match request.encoding_format.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => return Err(Refusal::field("encoding_format", "expected float or base64")),
    };
    if request.dimensions.is_some_and(|value| !value.is_null()) {
        return Err(Refusal::unsupported("dimensions"));
    }
    let texts = request.input.into_vec();
    let (embedder, vectors, _) = vectors(&app, request.model.as_deref(), ("input", texts)).await?;
    if let Some((index, long)) = vectors.iter().enumerate().find(|(_, vector)| vector.cut > 0) {
        let (all, read) = (long.tokens + long.cut, long.tokens);
        let message = format!("text {index} has {all} tokens, the encoder reads {read}");
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "context_length_exceeded", message));
    }
    let data = vectors.iter().enumerate().map(|(index, vector)| {
        let embedding = match base64 {
            true => BASE64_STANDARD.encode(bytes(&vector.values)).into(),
            false => json!(vector.values),
        };
        json!({ "object": "embedding", "index": index, "embedding": embedding })
    });
    let data: Vec<Value> = data.collect();
    let tokens: usize = vectors.iter().map(|vector| vector.tokens).sum();
    Ok(reply(&json!({
        "object": "list",
        "data": data,
        "model": embedder.name(),
        "usage": { "prompt_tokens": tokens, "total_tokens": tokens },
    })))
}

/// Little-endian, as OpenAI's clients decode them.
fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The body of `POST /api/embed`.
#[derive(Debug, Deserialize)]
pub(crate) struct OllamaRequest {
    model: Option<String>,
    input: Input,
    truncate: Option<bool>,
}

/// `POST /api/embed`. Texts are cut to what the encoder reads unless `truncate` is false; how many tokens were cut off
/// is said in a field of our own.
pub(crate) async fn ollama(State(app): State<App>, Json(request): Json<OllamaRequest>) -> Outcome<Response> {
    let texts = request.input.into_vec();
    let (embedder, vectors, took) = vectors(&app, request.model.as_deref(), ("input", texts)).await?;
    let cut: usize = vectors.iter().map(|vector| vector.cut).sum();
    if cut > 0 && request.truncate == Some(false) {
        let message = format!("{cut} tokens are more than the encoder reads");
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "context_length_exceeded", message));
    }
    let tokens: usize = vectors.iter().map(|vector| vector.tokens).sum();
    let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
    Ok(reply(&json!({
        "model": embedder.name(),
        "embeddings": vectors.iter().map(|vector| &vector.values).collect::<Vec<_>>(),
        "total_duration": nanoseconds,
        "load_duration": 0,
        "prompt_eval_count": tokens,
        "truncated_tokens": cut,
    })))
}

/// The body of `POST /api/embeddings`, which came before `/api/embed`.
#[derive(Debug, Deserialize)]
pub(crate) struct OldRequest {
    model: Option<String>,
    prompt: String,
}

/// `POST /api/embeddings`.
pub(crate) async fn old(State(app): State<App>, Json(request): Json<OldRequest>) -> Outcome<Response> {
    let (_, vectors, _) = vectors(&app, request.model.as_deref(), ("prompt", vec![request.prompt])).await?;
    Ok(reply(&json!({ "embedding": vectors[0].values, "truncated_tokens": vectors[0].cut })))
}
