//! Prompts: named, versioned texts with places to fill in. Those that are shipped are files of their own, and any of them
//! can be replaced by a file of the user's.

use std::fmt;
use std::path::Path;

use crate::{Message, Role};

/// A prompt that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {reason}")]
pub struct PromptError {
    /// Its file or name.
    pub origin: String,
    /// What is wrong with it.
    pub reason: String,
}

/// The texts of the prompts that are shipped for one purpose.
#[derive(Debug, Clone, Copy)]
pub struct Prompts(pub &'static [&'static str]);

impl Prompts {
    /// A shipped prompt by its name, or one from a file.
    ///
    /// # Errors
    /// When there is neither, or the file is no prompt.
    pub fn find(&self, name_or_path: &str) -> Result<Prompt, PromptError> {
        for text in self.0 {
            let prompt = Prompt::parse("a shipped prompt", text)?;
            if prompt.name == name_or_path {
                return Ok(prompt);
            }
        }
        let text = std::fs::read_to_string(Path::new(name_or_path)).map_err(|error| {
            let names = self.names().join(", ");
            wrong(name_or_path, format!("{error}; shipped prompts are {names}"))
        })?;
        Prompt::parse(name_or_path, &text)
    }

    /// The names of the shipped prompts.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().filter_map(|text| Prompt::parse("", text).ok()).map(|prompt| prompt.name).collect()
    }

    /// The text of a shipped prompt, to begin one's own with.
    pub fn text(&self, name: &str) -> Option<&'static str> {
        self.0.iter().copied().find(|text| Prompt::parse("", text).is_ok_and(|prompt| prompt.name == name))
    }
}

/// A prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// What it is called.
    pub name: String,
    /// Raised with every change.
    pub version: u32,
    system: String,
    user: String,
    hash: String,
}

impl Prompt {
    /// Front matter with `name` and `version`, then the parts `# system` (may be left out) and `# user`.
    ///
    /// # Errors
    /// When something of it is missing; `origin` says of which text.
    pub fn parse(origin: &str, text: &str) -> Result<Self, PromptError> {
        Self::parts(text).map_err(|reason| wrong(origin, reason))
    }

    fn parts(text: &str) -> Result<Self, String> {
        let text = text.replace("\r\n", "\n");
        let front = text.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---\n"));
        let (front, body) = front.ok_or("expected front matter between lines of `---`")?;
        let (mut name, mut version) = (None, None);
        for line in front.lines().filter(|line| !line.trim().is_empty()) {
            match line.split_once(':').map(|(key, value)| (key.trim(), value.trim())) {
                Some(("name", value)) => name = Some(value.to_owned()),
                Some(("version", value)) => version = value.parse().ok(),
                _ => return Err(format!("expected `name: …` and `version: N`, found `{line}`")),
            }
        }
        let plain = |name: &String| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        let name =
            name.filter(plain).ok_or("`name` is missing, or not of letters, digits, `-`, `_` and `.`")?;
        let version = version.ok_or("`version` is missing or no number")?;
        let body = format!("\n{body}");
        let (before, user) = body.split_once("\n# user\n").ok_or("the part `# user` is missing")?;
        let system = before.trim().strip_prefix("# system").map_or(before, |rest| rest);
        if before.trim() == system.trim() && !system.trim().is_empty() {
            return Err("a text before the parts `# system` and `# user`".to_owned());
        }
        let hash = blake3::hash(text.as_bytes()).to_hex()[..8].to_owned();
        Ok(Prompt { name, version, system: system.trim().to_owned(), user: user.trim().to_owned(), hash })
    }

    /// The conversation with the places filled in; a place is `{{name}}`.
    ///
    /// # Errors
    /// When a place has no value.
    pub fn fill(&self, values: &[(&str, &str)]) -> Result<Vec<Message>, PromptError> {
        let mut messages = Vec::new();
        if !self.system.is_empty() {
            messages.push(Message::new(Role::System, self.filled(&self.system, values)?));
        }
        messages.push(Message::user(self.filled(&self.user, values)?));
        Ok(messages)
    }

    /// Each place once, from left to right: what is filled in is not looked at again.
    fn filled(&self, text: &str, values: &[(&str, &str)]) -> Result<String, PromptError> {
        let mut parts = text.split("{{");
        let mut filled = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let place = part.split_once("}}").map(|(name, rest)| (name.trim(), rest));
            let value = place.and_then(|(name, _)| values.iter().find(|(known, _)| *known == name));
            let (Some((_, rest)), Some((_, value))) = (place, value) else {
                let name = place.map_or("", |(name, _)| name);
                let known: Vec<_> = values.iter().map(|(name, _)| *name).collect();
                let reason =
                    format!("the place `{{{{{name}}}}}` is not known; there are {}", known.join(", "));
                return Err(wrong(&self.to_string(), reason));
            };
            filled += value;
            filled += rest;
        }
        Ok(filled)
    }

    /// Whether it has this place.
    pub fn asks_for(&self, place: &str) -> bool {
        [&self.system, &self.user].iter().any(|text| text.contains(&format!("{{{{{place}}}}}")))
    }
}

/// `qa/1@1f2e3d4c`: name, version and the beginning of the hash of its text, so that a prompt that was edited and kept
/// its number is told from the one before.
impl fmt::Display for Prompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.name, self.version, self.hash)
    }
}

fn wrong(origin: &str, reason: impl Into<String>) -> PromptError {
    PromptError { origin: origin.to_owned(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Prompt, PromptError> {
        Prompt::parse("a.md", text)
    }

    #[test]
    fn what_is_filled_in_is_not_filled_again() {
        let prompt = parse("---\nname: a\nversion: 2\n---\n# user\n{{text}}, {{ count }}\n").unwrap();
        let messages = prompt.fill(&[("text", "{{count}}"), ("count", "3")]).unwrap();
        assert_eq!(messages, [Message::user("{{count}}, 3")]);
        let error = prompt.fill(&[("text", "x")]).unwrap_err().to_string();
        assert!(error.contains("`{{count}}` is not known; there are text"), "{error}");
    }

    #[test]
    fn a_file_that_is_no_prompt_says_what_is_missing() {
        for (text, reason) in [
            ("# user\nhello", "front matter"),
            ("---\nname: a\n---\n# user\nx", "`version`"),
            ("---\nname: a b\nversion: 1\n---\n# user\nx", "`name`"),
            ("---\nname: a\nversion: 1\nmodel: x\n---\n# user\nx", "found `model: x`"),
            ("---\nname: a\nversion: 1\n---\nhello", "`# user` is missing"),
            ("---\nname: a\nversion: 1\n---\nhello\n# user\nx", "a text before"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with("a.md: ") && error.contains(reason), "{error}");
        }
        const SHIPPED: Prompts = Prompts(&["---\nname: a\nversion: 1\n---\n# user\nx"]);
        let error = SHIPPED.find("no-such-prompt").unwrap_err().to_string();
        assert!(error.contains("shipped prompts are a"), "{error}");
    }
}
