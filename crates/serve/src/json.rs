//! Bodies: read within limits, understood strictly, and never quoted.

use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::app::App;
use crate::refusal::{Outcome, Refusal};

/// Clients read what they hear only after they have sent all, so a body that is too large is heard out, and thrown away, up
/// to so many times the limit.
const HEARD_OUT: usize = 8;

/// A body that is a JSON document of this type.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &App) -> Outcome<Self> {
        parse(&read(request, app).await?).map(Json)
    }
}

async fn read(request: Request, app: &App) -> Outcome<Vec<u8>> {
    let limits = &app.settings.limits;
    let too_large = || {
        let message = format!("the body is larger than {} bytes", limits.body);
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    };
    let most = limits.body.saturating_mul(HEARD_OUT);
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if announced.and_then(|length| length.parse::<u64>().ok()).is_some_and(|length| length > most as u64) {
        return Err(too_large());
    }
    let reading = async {
        let (mut body, mut kept, mut total) = (request.into_body(), Vec::new(), 0usize);
        while let Some(frame) = body.frame().await {
            let incomplete = "the body did not come whole";
            let frame =
                frame.map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "body_incomplete", incomplete))?;
            let data = frame.data_ref().map_or(&[][..], |data| data);
            total += data.len();
            match total {
                _ if total > most => break,
                _ if total > limits.body => kept = Vec::new(),
                _ => kept.extend_from_slice(data),
            }
        }
        if total > limits.body { Err(too_large()) } else { Ok(kept) }
    };
    let too_slow = "the body came too slowly";
    tokio::time::timeout(limits.body_time, reading)
        .await
        .unwrap_or_else(|_| Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", too_slow)))
}

/// A document as a response.
pub(crate) fn reply(document: &impl Serialize) -> Response {
    // Nothing that is sent has keys but texts, so all of it is JSON.
    let bytes = serde_json::to_vec(document).unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], bytes).into_response()
}

/// A document of type `T`. serde_json's own limit on its depth is 128.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Outcome<T> {
    serde_json::from_slice(body).map_err(|error| {
        let what = match error.classify() {
            Category::Data => explain(&error.to_string()),
            Category::Eof => "the JSON ends too early".to_owned(),
            Category::Syntax if error.to_string().starts_with("recursion limit") => {
                "nested deeper than 127 levels".to_owned()
            }
            Category::Syntax | Category::Io => "not valid JSON".to_owned(),
        };
        let message = format!("the body: {what} (line {}, column {})", error.line(), error.column());
        Refusal::new(StatusCode::BAD_REQUEST, "invalid_json", message)
    })
}

/// What serde says is wrong, without the value that is.
fn explain(error: &str) -> String {
    let error = error.rsplit_once(" at line ").map_or(error, |(before, _)| before);
    if error.starts_with("missing field `") || error.starts_with("duplicate field `") {
        return error.to_owned();
    }
    match error.rsplit_once(", expected ") {
        Some((_, expected)) => format!("a value of the wrong type, expected {}", in_json(expected)),
        None => "a value of the wrong type".to_owned(),
    }
}

/// What JSON calls a type of Rust.
fn in_json(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number of 0 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        _ if expected.starts_with("struct ") => "an object",
        _ => expected,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Probe {
        prompt: String,
        n: Option<u32>,
        role: Option<chat::Role>,
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_without_the_text() {
        let deep = format!("{{\"prompt\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        for (body, expected) in [
            (&b"{\"prompt\": \"CANARY"[..], "ends too early (line 1, column 18)"),
            (b"{\"prompt\": CANARY}", "not valid JSON (line 1, column 12)"),
            (b"", "ends too early (line 1, column 0)"),
            (b"[\"CANARY\"]", "a value of the wrong type, expected an object"),
            (b"{\"n\": 1}", "missing field `prompt`"),
            (b"{\"prompt\": \"CANARY\", \"prompt\": \"CANARY\"}", "duplicate field `prompt`"),
            (b"{\"prompt\": \"\", \"n\": \"CANARY\"}", "expected a whole number of 0 or more"),
            (b"{\"prompt\": \"\", \"n\": -1}", "expected a whole number of 0 or more"),
            (
                b"{\"prompt\": \"\", \"n\": 123456789012345678901234567890}",
                "expected a whole number of 0 or more",
            ),
            (b"{\"prompt\": \"\", \"n\": 1e999}", "not valid JSON"),
            (b"{\"prompt\": \"\", \"n\": NaN}", "not valid JSON"),
            (b"{\"prompt\": \"\xff\xfe\"}", "not valid JSON"),
            (b"{\"prompt\": \"\\ud800\"}", "not valid JSON"),
            (b"{\"prompt\": \"\", \"role\": \"CANARY\"}", "a value of the wrong type, expected one of"),
            (deep.as_bytes(), "(line 1, column"),
        ] {
            let refusal = parse::<Probe>(body).unwrap_err();
            assert_eq!(refusal.status, StatusCode::BAD_REQUEST);
            assert!(refusal.message.contains(expected), "{}: {expected}", refusal.message);
            assert!(!refusal.message.contains("CANARY"), "{}", refusal.message);
        }
        let nested = parse::<serde_json::Value>(deep.as_bytes()).unwrap_err();
        assert!(nested.message.contains("nested deeper than 127 levels"), "{}", nested.message);
    }
}
