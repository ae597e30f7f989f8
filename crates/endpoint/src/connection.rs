//! One request over HTTP: what came back, and whether it is worth to ask again.

use std::time::{Duration, SystemTime};

use chat::{Error, Result};
use serde_json::Value;
use ureq::Agent;
use ureq::http::Uri;

use crate::key::ApiKey;
use crate::retry::retry_after;
use crate::wire::{self, NoReply, Understood};

/// The longest body that is read.
const BODY_LIMIT: u64 = 64 << 20;
/// Statuses of servers that have no time or trouble of their own.
const PASSING: [u16; 10] = [408, 409, 425, 429, 500, 502, 503, 504, 520, 529];

/// An address and the way to it.
#[derive(Debug)]
pub(crate) struct Connection {
    agent: Agent,
    url: Uri,
    key: Option<ApiKey>,
    /// Scheme, host and port: all that messages say of the address.
    pub(crate) address: String,
    pub(crate) loopback: bool,
}

/// Why there is no reply this time.
#[derive(Debug)]
pub(crate) enum Failed {
    /// It would be the same the next time.
    Final(Error),
    /// It may go better, after this time if it is known.
    Passing { error: Error, after: Option<Duration>, for_all: bool },
    /// The form of the reply cannot be asked for in this way; `once` if that was so for this reply only.
    Form { error: Error, once: bool },
}

impl Connection {
    /// To `…/chat/completions` below `base`; a base without a path gets `/v1`.
    pub(crate) fn new(base: &str, key: Option<ApiKey>, timeout: Duration) -> Result<Self> {
        let wrong = |reason: &str| Err(Error::Request(format!("the address of a model: {reason}")));
        let Ok(uri) = base.trim().parse::<Uri>() else {
            return wrong("not an address (http://host:port/v1)");
        };
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return wrong("expected http://host:port/v1 or https://host/v1");
        };
        if authority.as_str().contains('@') || uri.query().is_some() {
            return wrong("a password or a query in it would be shown; give the key by itself");
        }
        match scheme {
            "http" => {}
            "https" if cfg!(feature = "tls") => {}
            "https" => return wrong("this build speaks http only (feature `tls`)"),
            _ => return wrong("expected http or https"),
        }
        let path = match uri.path().trim_end_matches('/') {
            "" => "/v1/chat/completions".to_owned(),
            path if path.ends_with("/chat/completions") => path.to_owned(),
            path => format!("{path}/chat/completions"),
        };
        let address = format!("{scheme}://{authority}");
        let Ok(url) = format!("{address}{path}").parse() else { return wrong("not an address") };
        let host = authority.host().trim_matches(['[', ']']);
        let loopback = host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            // A key that follows a redirect may come to somebody else.
            .max_redirects(0)
            .user_agent(concat!("medtune/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(Duration::from_secs(15)))
            .timeout_connect(Some(Duration::from_secs(15)))
            .timeout_global(Some(timeout))
            .build()
            .new_agent();
        Ok(Connection { agent, url, key, address, loopback })
    }

    /// Sends a request and reads the reply, with the cost that LiteLLM's proxy puts in a header.
    pub(crate) fn send(&self, body: &str, timeout: Duration) -> std::result::Result<Understood, Failed> {
        let mut request = self.agent.post(&self.url).header("content-type", "application/json");
        if let Some(key) = &self.key {
            request = request.header("authorization", key.bearer());
        }
        let mut response = request.send(body).map_err(|error| self.unsent(error, timeout))?;
        let status = response.status().as_u16();
        let header = |name: &str| response.headers().get(name)?.to_str().ok().map(str::to_owned);
        let after = header("retry-after").and_then(|value| retry_after(&value, SystemTime::now()));
        let cost = header("x-litellm-response-cost").and_then(|value| value.parse::<f64>().ok());
        let to = header("location").unwrap_or_default();
        let text = response.body_mut().with_config().limit(BODY_LIMIT).read_to_string();
        if (300..400).contains(&status) {
            let reason = format!("it sends on to {}; name that address", wire::line(&to));
            return Err(Failed::Final(self.not_found(status, reason)));
        }
        if status >= 400 {
            let text = text.unwrap_or_default();
            let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
            return Err(self.refused(status, &value, after));
        }
        let text = text.map_err(|error| self.passing(format!("the reply broke off: {error}")))?;
        match wire::understand(&text) {
            Ok(reply) => Ok(Understood { cost: reply.cost.or(cost.filter(|cost| *cost >= 0.0)), ..reply }),
            Err(NoReply::Failed(status, said)) => {
                Err(self.refused(status.filter(|s| *s >= 400).unwrap_or(502), &Value::String(said), after))
            }
            Err(NoReply::Malformed(reason)) => Err(self.passing(reason)),
        }
    }

    /// What a status of 400 and above means.
    fn refused(&self, status: u16, said: &Value, after: Option<Duration>) -> Failed {
        let code = said.pointer("/error/code").and_then(Value::as_str).unwrap_or_default();
        let mut reason = wire::said(said);
        if let Some(key) = &self.key {
            reason = key.hidden_in(&reason);
        }
        let address = self.address.clone();
        let lower = reason.to_lowercase();
        let mentions = |words: &[&str]| words.iter().any(|word| lower.contains(word));
        match status {
            // OpenRouter says so of a text that the model's provider does not take, and names its reasons.
            403 if said.pointer("/error/metadata/reasons").is_some()
                || mentions(&["moderation", "content policy"]) =>
            {
                Failed::Final(Error::Rejected { address, status, reason })
            }
            401 | 403 => Failed::Final(Error::Key { address, status, reason }),
            402 => Failed::Final(Error::Credit { address, status, reason }),
            429 if code == "insufficient_quota" => Failed::Final(Error::Credit { address, status, reason }),
            400 | 404 | 415 | 422 | 501 if code == "json_validate_failed" => {
                Failed::Form { error: Error::Rejected { address, status, reason }, once: true }
            }
            400 | 404 | 415 | 422 | 500 | 501
                if mentions(&[
                    "response_format",
                    "response format",
                    "json_schema",
                    "json_object",
                    "json mode",
                ]) || mentions(&["structured output", "json schema", "guided_json", "grammar"]) =>
            {
                Failed::Form { error: Error::Rejected { address, status, reason }, once: false }
            }
            404 | 405 => Failed::Final(self.not_found(status, reason)),
            status if PASSING.contains(&status) => Failed::Passing {
                error: self.busy(format!("HTTP {status}: {reason}")),
                after,
                for_all: status == 429 || after.is_some(),
            },
            status => Failed::Final(Error::Rejected { address, status, reason }),
        }
    }

    fn unsent(&self, error: ureq::Error, timeout: Duration) -> Failed {
        let unreachable = match &error {
            ureq::Error::HostNotFound => Some("the host is not known".to_owned()),
            ureq::Error::ConnectionFailed => Some("no connection".to_owned()),
            ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                Some("the connection is refused; is the server running?".to_owned())
            }
            ureq::Error::Tls(reason) => Some(format!("TLS: {reason}")),
            _ => None,
        };
        if let Some(reason) = unreachable {
            let error = Error::Unreachable { address: self.address.clone(), reason };
            return Failed::Passing { error, after: None, for_all: false };
        }
        self.passing(match error {
            ureq::Error::Timeout(_) => format!("no reply within {} s", timeout.as_secs()),
            other => wire::line(&other.to_string()),
        })
    }

    fn passing(&self, reason: String) -> Failed {
        Failed::Passing { error: self.busy(reason), after: None, for_all: false }
    }

    fn busy(&self, reason: String) -> Error {
        Error::Busy { address: self.address.clone(), attempts: 1, reason }
    }

    fn not_found(&self, status: u16, reason: String) -> Error {
        Error::NotFound { address: self.address.clone(), status, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(base: &str) -> Result<Connection> {
        Connection::new(base, None, Duration::from_secs(1))
    }

    #[test]
    fn an_address_is_where_the_protocol_begins() {
        for (base, url) in [
            ("http://localhost:11434", "http://localhost:11434/v1/chat/completions"),
            ("http://localhost:11434/", "http://localhost:11434/v1/chat/completions"),
            ("http://10.0.0.1/v1/", "http://10.0.0.1/v1/chat/completions"),
            ("http://host/openai/v1", "http://host/openai/v1/chat/completions"),
            ("http://host/v1/chat/completions", "http://host/v1/chat/completions"),
        ] {
            assert_eq!(connection(base).unwrap().url.to_string(), url);
        }
        for wrong in ["", "localhost", "ftp://host", "http://user:secret@host", "http://host/v1?key=secret"] {
            let error = connection(wrong).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn only_this_machine_is_not_remote() {
        for near in ["http://localhost", "http://127.0.0.1:8000", "http://[::1]:80"] {
            assert!(connection(near).unwrap().loopback, "{near}");
        }
        for far in ["http://localhost.example.org", "http://10.0.0.1", "http://127.example.org"] {
            assert!(!connection(far).unwrap().loopback, "{far}");
        }
    }

    #[test]
    fn a_text_that_moderation_holds_back_is_no_wrong_key() {
        let refused = |said: Value| match connection("http://host").unwrap().refused(403, &said, None) {
            Failed::Final(error) => error,
            other => panic!("{other:?}"),
        };
        let metadata = serde_json::json!({ "reasons": ["violence"], "flagged_input": "…" });
        let error = refused(
            serde_json::json!({ "error": { "message": "Your input was flagged", "metadata": metadata } }),
        );
        assert!(matches!(error, Error::Rejected { status: 403, .. }) && !error.is_lasting(), "{error}");
        let error = refused(serde_json::json!({ "error": { "message": "No right to this model" } }));
        assert!(matches!(error, Error::Key { status: 403, .. }), "{error}");
    }

    #[test]
    fn a_key_that_the_provider_repeats_is_not_passed_on() {
        let key = Some(ApiKey::new("sk-secret").unwrap());
        let connection = Connection::new("http://host", key, Duration::from_secs(1)).unwrap();
        let said = serde_json::json!({ "error": { "message": "Incorrect API key provided: sk-secret." } });
        let Failed::Final(error) = connection.refused(401, &said, None) else { panic!("not final") };
        assert_eq!(
            error.to_string(),
            "http://host: the key is refused (HTTP 401): Incorrect API key provided: [key]."
        );
        assert!(!format!("{connection:?}").contains("secret"));
    }
}
