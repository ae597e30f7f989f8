//! Requests to the Hub: where the token goes, which redirects are followed, what is repeated.

use std::time::Duration;

use ureq::http::header::{AUTHORIZATION, LOCATION, RANGE};
use ureq::http::{HeaderMap, Response, StatusCode, Uri};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use super::settings::{Settings, Token};
use super::{PullError, Repository, Result};

/// Repetitions of a request that failed for a reason that may pass.
pub(super) const REPETITIONS: u32 = 4;
const REDIRECTS: usize = 10;
/// The longest JSON document that is read.
const DOCUMENT_LIMIT: u64 = 64 << 20;

/// How a request is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// The head of the answer; a redirect to another host is the answer.
    Head,
    /// The answer from this byte on, from wherever the Hub sends us.
    Get {
        /// The first byte.
        from: u64,
    },
}

/// Speaks with the Hub.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    endpoint: Uri,
    token: Option<Token>,
    pause: Duration,
}

impl Client {
    pub(super) fn new(settings: &Settings) -> Result<Self> {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            // Redirects are followed by hand, so that the token stays with the Hub.
            .max_redirects(0)
            .user_agent(concat!("medtune/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(Duration::from_secs(15)))
            .timeout_connect(Some(Duration::from_secs(15)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            .timeout_per_read(Some(Duration::from_secs(60)));
        if let Some(path) = &settings.certificates {
            config = config.tls_config(trusting(path)?);
        }
        Ok(Client {
            agent: config.build().new_agent(),
            endpoint: settings.endpoint.clone(),
            token: settings.token.clone(),
            pause: settings.pause,
        })
    }

    /// Host of the Hub, for messages.
    pub(super) fn host(&self) -> String {
        host(&self.endpoint)
    }

    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// The page of a repository.
    pub(super) fn page(&self, repository: &Repository) -> String {
        format!("{}/{}", self.endpoint.to_string().trim_end_matches('/'), repository.page_path())
    }

    /// The address of a file.
    pub(super) fn file_url(&self, repository: &Repository, commit: &str, path: &str) -> Result<Uri> {
        let path: Vec<String> = path.split('/').map(percent_encoded).collect();
        self.url(&format!("{}/resolve/{commit}/{}", repository.page_path(), path.join("/")))
    }

    /// The address of what is known about a revision.
    pub(super) fn revision_url(&self, repository: &Repository, revision: &str) -> Result<Uri> {
        self.url(&format!("{}/revision/{}", repository.api_path(), percent_encoded(revision)))
    }

    fn url(&self, path: &str) -> Result<Uri> {
        let text = format!("{}/{path}", self.endpoint.to_string().trim_end_matches('/'));
        text.parse().map_err(|_| self.answer(&self.endpoint, "the address of a file cannot be written"))
    }

    /// Asks, follows redirects, and asks again when the reason may pass. The status is for the caller to judge, but
    /// for those that are repeated.
    pub(super) fn send(&self, method: Method, url: &Uri) -> Result<Response<Body>> {
        let mut repetition = 0;
        loop {
            let outcome = self.follow(method, url);
            let passing = match &outcome {
                Ok(response) => {
                    response.status() == StatusCode::TOO_MANY_REQUESTS || response.status().is_server_error()
                }
                Err(Unsent::Passing(_)) => true,
                Err(Unsent::Final(_)) => false,
            };
            if !passing || repetition == REPETITIONS {
                return match outcome {
                    Ok(response) if passing => {
                        Err(PullError::Status { host: host(url), status: response.status().as_u16() })
                    }
                    Ok(response) => Ok(response),
                    Err(Unsent::Passing(error) | Unsent::Final(error)) => Err(error),
                };
            }
            self.wait(repetition);
            repetition += 1;
        }
    }

    /// Waits before a repetition, longer each time.
    pub(super) fn wait(&self, repetition: u32) {
        std::thread::sleep(self.pause * 2u32.saturating_pow(repetition));
    }

    fn follow(&self, method: Method, url: &Uri) -> std::result::Result<Response<Body>, Unsent> {
        let mut url = url.clone();
        for _ in 0..=REDIRECTS {
            let response = self.send_once(method, &url)?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(response);
            }
            let next = header(response.headers(), LOCATION.as_str()).and_then(|to| resolved(&url, to));
            let next =
                next.ok_or_else(|| self.answer(&url, "redirects to an address that cannot be used"))?;
            if method == Method::Head && !same_origin(&next, &self.endpoint) {
                return Ok(response);
            }
            url = next;
        }
        Err(self.answer(&url, "redirects in a circle").into())
    }

    fn send_once(&self, method: Method, url: &Uri) -> std::result::Result<Response<Body>, Unsent> {
        let mut request = match method {
            Method::Head => self.agent.head(url),
            Method::Get { .. } => self.agent.get(url),
        };
        // A compressed answer would have another length and another hash.
        request = request.header("accept-encoding", "identity");
        if let Method::Get { from: from @ 1.. } = method {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        if let Some(token) = self.token.as_ref().filter(|_| same_origin(url, &self.endpoint)) {
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.secret()));
        }
        request.call().map_err(|error| {
            let lasting = matches!(
                &error,
                ureq::Error::HostNotFound
                    | ureq::Error::ConnectionFailed
                    | ureq::Error::InvalidProxyUrl
                    | ureq::Error::ConnectProxyFailed(_)
                    | ureq::Error::Tls(_)
                    | ureq::Error::Rustls(_)
            ) || matches!(&error, ureq::Error::Io(e) if e.kind() == std::io::ErrorKind::ConnectionRefused);
            let reason = match error {
                ureq::Error::HostNotFound => "the host is not known".to_owned(),
                other => other.to_string(),
            };
            let error = PullError::Network { host: host(url), reason };
            if lasting { Unsent::Final(error) } else { Unsent::Passing(error) }
        })
    }

    /// The JSON document in an answer.
    pub(super) fn document<T: serde::de::DeserializeOwned>(&self, response: Response<Body>) -> Result<T> {
        let mut body = response.into_body();
        let text = body.with_config().limit(DOCUMENT_LIMIT).read_to_string();
        let text = text.map_err(|e| PullError::Network { host: self.host(), reason: e.to_string() })?;
        serde_json::from_str(&text).map_err(|_| {
            self.answer(&self.endpoint, "the list of files is not the document that was expected")
        })
    }

    pub(super) fn answer(&self, url: &Uri, what: impl Into<String>) -> PullError {
        PullError::Answer { host: host(url), what: what.into() }
    }
}

/// A request without an answer.
enum Unsent {
    /// May go better the next time.
    Passing(PullError),
    /// Will not.
    Final(PullError),
}

impl From<PullError> for Unsent {
    fn from(error: PullError) -> Self {
        Unsent::Final(error)
    }
}

/// A header as text.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn host(url: &Uri) -> String {
    url.authority().map_or_else(|| "the Hub".to_owned(), ToString::to_string)
}

/// Whether both are the same scheme, host and port.
fn same_origin(a: &Uri, b: &Uri) -> bool {
    let origin = |uri: &Uri| {
        let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        let host = uri.host().map(str::to_ascii_lowercase);
        (uri.scheme_str().map(str::to_owned), host, uri.port_u16().unwrap_or(default))
    };
    origin(a) == origin(b)
}

/// Where a redirect from `base` leads; nothing where it leads to no web address, names a person, or leaves TLS.
fn resolved(base: &Uri, location: &str) -> Option<Uri> {
    let (scheme, authority) = (base.scheme_str()?, base.authority()?);
    let text = if location.contains("://") {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    };
    let uri: Uri = text.parse().ok()?;
    let sound = match uri.scheme_str()? {
        "https" => true,
        "http" => scheme == "http",
        _ => false,
    };
    (sound && !uri.authority()?.as_str().contains('@')).then_some(uri)
}

/// One part of a path, as RFC 3986 wants it.
fn percent_encoded(part: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    let encode = |byte: u8| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    part.bytes().map(encode).collect()
}

/// TLS that trusts the certificates in a file, as a proxy that looks into connections needs it.
fn trusting(path: &std::path::Path) -> Result<TlsConfig> {
    let pem = std::fs::read(path).map_err(|source| PullError::file(path, source))?;
    let certificates: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        let reason = format!("{} holds no certificate", path.display());
        return Err(PullError::Setting { variable: "SSL_CERT_FILE".to_owned(), reason });
    }
    Ok(TlsConfig::builder().root_certs(RootCerts::Specific(std::sync::Arc::new(certificates))).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().expect("an address")
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let hub = uri("https://huggingface.co");
        assert!(same_origin(&uri("https://HuggingFace.co:443/a?b"), &hub));
        for other in [
            "http://huggingface.co",
            "https://huggingface.co:8443",
            "https://huggingface.co.evil.example",
            "https://cdn.huggingface.co",
        ] {
            assert!(!same_origin(&uri(other), &hub), "{other}");
        }
    }

    #[test]
    fn redirects_lead_to_web_addresses_only() {
        let base = uri("https://hub.example/org/name/resolve/main/a.json");
        let to = |location| resolved(&base, location).map(|uri| uri.to_string());
        assert_eq!(to("/b?x=1").as_deref(), Some("https://hub.example/b?x=1"));
        assert_eq!(to("b.json").as_deref(), Some("https://hub.example/org/name/resolve/main/b.json"));
        assert_eq!(to("//cdn.example/c").as_deref(), Some("https://cdn.example/c"));
        assert_eq!(to("https://cdn.example/c").as_deref(), Some("https://cdn.example/c"));
        for wrong in ["http://hub.example/b", "file:///etc/passwd", "https://me:pw@hub.example/", "https://"]
        {
            assert_eq!(to(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_are_percent_encoded() {
        assert_eq!(percent_encoded("refs/pr/1"), "refs%2Fpr%2F1");
        assert_eq!(percent_encoded("ä #?.json"), "%C3%A4%20%23%3F.json");
    }
}
