//! Where to download from and to, and as whom: the variables that Hugging Face's own tools read.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use ureq::http::Uri;

use super::{PullError, Result, hub};

/// The Hub, unless `HF_ENDPOINT` names another one.
const ENDPOINT: &str = "https://huggingface.co";

/// A person's secret. It is sent to the Hub and to nobody else, and never shown.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// For the request's header.
    pub(super) fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

/// Where to download from and to, and as whom.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The cache.
    pub cache: PathBuf,
    /// Pause before the first repetition of a request; doubled for each further one.
    pub pause: Duration,
    /// Scheme and host, perhaps with a path; no slash at the end.
    pub(super) endpoint: Uri,
    pub(super) token: Option<Token>,
    /// Certificates in PEM that stand instead of the usual authorities.
    pub(super) certificates: Option<PathBuf>,
}

impl Settings {
    /// The settings of this process's environment.
    ///
    /// # Errors
    ///
    /// Those of [`Settings::read`].
    pub fn from_env() -> Result<Self> {
        Self::read(|name| std::env::var_os(name).map(PathBuf::from))
    }

    /// `HF_HUB_OFFLINE`, `HF_ENDPOINT`, `HF_HUB_CACHE` or `HF_HOME`, `HF_TOKEN` or the file that `hf auth login`
    /// writes, `SSL_CERT_FILE`, from the variables given.
    ///
    /// # Errors
    ///
    /// [`PullError::Offline`], [`PullError::NoCache`], and [`PullError::Setting`] for values without sense.
    pub fn read(variable: impl Fn(&str) -> Option<PathBuf>) -> Result<Self> {
        let text = |name: &str| {
            let value = variable(name)?.into_os_string().into_string().ok()?.trim().to_owned();
            Some(value).filter(|value| !value.is_empty())
        };
        for name in ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"] {
            let on = |value: String| ["1", "on", "yes", "true"].contains(&value.to_lowercase().as_str());
            if text(name).is_some_and(on) {
                return Err(PullError::Offline { variable: name });
            }
        }
        Ok(Settings {
            cache: hub::cache_folder(&variable).ok_or(PullError::NoCache)?,
            pause: Duration::from_millis(500),
            endpoint: endpoint(text("HF_ENDPOINT"))?,
            token: token(text, &variable)?,
            certificates: variable("SSL_CERT_FILE").filter(|path| !path.as_os_str().is_empty()),
        })
    }
}

fn endpoint(given: Option<String>) -> Result<Uri> {
    let text = given.unwrap_or_else(|| ENDPOINT.to_owned());
    let refused =
        |reason: &str| PullError::Setting { variable: "HF_ENDPOINT".to_owned(), reason: reason.to_owned() };
    let uri: Uri =
        text.trim_end_matches('/').parse().map_err(|_| refused("not an address such as https://host"))?;
    let authority = uri.authority().filter(|_| matches!(uri.scheme_str(), Some("http" | "https")));
    match authority {
        None => Err(refused("not an address such as https://host")),
        Some(authority) if authority.as_str().contains('@') => {
            Err(refused("an address with a password in it; use HF_TOKEN"))
        }
        Some(_) => Ok(uri),
    }
}

/// `HF_TOKEN`, else the file at `HF_TOKEN_PATH`, else the file `token` in Hugging Face's folder.
fn token(
    text: impl Fn(&str) -> Option<String>,
    variable: impl Fn(&str) -> Option<PathBuf>,
) -> Result<Option<Token>> {
    let (origin, token) = match text("HF_TOKEN") {
        Some(token) => ("HF_TOKEN".to_owned(), token),
        None => {
            let named = variable("HF_TOKEN_PATH").filter(|path| !path.as_os_str().is_empty());
            let Some(path) = named.or_else(|| hub::home_folder(&variable).map(|home| home.join("token")))
            else {
                return Ok(None);
            };
            let Ok(token) = fs::read_to_string(&path) else { return Ok(None) };
            (path.display().to_string(), token.trim().to_owned())
        }
    };
    if !token.chars().all(|c| c.is_ascii_graphic()) {
        let reason = "not a token: it holds blanks or characters that a token cannot have".to_owned();
        return Err(PullError::Setting { variable: origin, reason });
    }
    Ok(Some(Token(token)).filter(|token| !token.0.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings> {
        Settings::read(|name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value))
        })
    }

    #[test]
    fn the_token_comes_from_the_variable_or_the_file_and_is_never_shown() {
        let home = tempfile::tempdir().expect("a folder");
        fs::write(home.path().join("token"), "hf_file\n").expect("written");
        let home = home.path().to_str().expect("UTF-8");
        let of = |pairs: &[(&str, &str)]| {
            let settings = read(pairs).expect("settings");
            assert!(!format!("{settings:?}").contains("hf_"), "{settings:?}");
            settings.token.map(|token| token.0)
        };
        assert_eq!(of(&[("HF_HOME", home)]).as_deref(), Some("hf_file"));
        assert_eq!(of(&[("HF_HOME", home), ("HF_TOKEN", " hf_variable\n")]).as_deref(), Some("hf_variable"));
        assert_eq!(of(&[("HF_HOME", "/nowhere"), ("HF_TOKEN", "")]), None);
        let error =
            read(&[("HF_HOME", home), ("HF_TOKEN", "hf_a\r\nX: y")]).expect_err("two lines").to_string();
        assert!(error.contains("HF_TOKEN") && !error.contains("hf_a"), "{error}");
    }

    #[test]
    fn a_person_who_is_offline_stays_so() {
        for (name, value) in
            [("HF_HUB_OFFLINE", "1"), ("HF_HUB_OFFLINE", "True"), ("TRANSFORMERS_OFFLINE", "on")]
        {
            let error = read(&[("HF_HOME", "/h"), (name, value)]).expect_err("offline");
            assert!(matches!(error, PullError::Offline { variable } if variable == name));
        }
        assert!(read(&[("HF_HOME", "/h"), ("HF_HUB_OFFLINE", "0")]).is_ok());
        assert!(matches!(read(&[]), Err(PullError::NoCache)));
    }

    #[test]
    fn an_endpoint_is_an_address_without_a_password() {
        let of =
            |address| read(&[("HF_HOME", "/h"), ("HF_ENDPOINT", address)]).map(|s| s.endpoint.to_string());
        assert_eq!(of("https://mirror.example/hub/").expect("an address"), "https://mirror.example/hub");
        for wrong in ["mirror.example", "ftp://mirror.example", "https://me:secret@mirror.example", "http://"]
        {
            let error = of(wrong).expect_err(wrong).to_string();
            assert!(error.contains("HF_ENDPOINT") && !error.contains("secret"), "{error}");
        }
    }
}
