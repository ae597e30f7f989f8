//! Finds a model on this machine: a folder, or an entry of the Hugging Face cache. Never the network.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::hf::is_plain_name;
use crate::{Error, Result};

/// The folder of a model, given as a path or as `org/name` (with `@revision` if not `main`) in the local cache.
///
/// An existing folder wins. The cache is `$HF_HUB_CACHE`, else `$HF_HOME/hub`, else
/// `$XDG_CACHE_HOME/huggingface/hub`, else `~/.cache/huggingface/hub`.
///
/// # Errors
///
/// [`Error::NotFound`] with every place that was tried and what to do about it.
pub fn resolve(name_or_path: &str) -> Result<PathBuf> {
    resolve_in(name_or_path, cache().as_deref())
}

/// Where the cache is, whether or not it exists; nothing where no variable names a place.
pub fn cache() -> Option<PathBuf> {
    cache_folder(|name| env::var_os(name).map(PathBuf::from))
}

/// As [`resolve`], with the cache given.
///
/// # Errors
///
/// [`Error::NotFound`] with every place that was tried and what to do about it.
pub fn resolve_in(name_or_path: &str, cache: Option<&Path>) -> Result<PathBuf> {
    let folder = Path::new(name_or_path);
    if !name_or_path.is_empty() && folder.is_dir() {
        return Ok(folder.to_owned());
    }
    let mut looked = vec![folder.to_owned()];
    let (name, revision) = name_or_path.split_once('@').unwrap_or((name_or_path, "main"));
    let Some(entry) = entry_name(name).filter(|_| revision.split('/').all(is_plain_name)) else {
        let hint = "hint: give a folder that exists, or a name such as org/model".to_owned();
        return Err(Error::NotFound { name: name_or_path.to_owned(), looked, hint });
    };
    if let Some(cache) = cache {
        let entry = cache.join(entry);
        if let Some(snapshot) = snapshot(&entry, revision, &mut looked) {
            return Ok(snapshot);
        }
    }
    let revision_flag = if revision == "main" { String::new() } else { format!(" --revision {revision}") };
    let hint = format!(
        "hint: nothing is downloaded here; run `hf download {name}{revision_flag}` where there is a network, \
         or set HF_HOME or HF_HUB_CACHE to the cache that holds it"
    );
    Err(Error::NotFound { name: name_or_path.to_owned(), looked, hint })
}

/// The cache's place, from the variables that Hugging Face's own tools read, in their order.
fn cache_folder(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let set = |name| variable(name).filter(|value| !value.as_os_str().is_empty());
    set("HF_HUB_CACHE")
        .or_else(|| set("HF_HOME").map(|home| home.join("hub")))
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("huggingface/hub")))
        .or_else(|| {
            set("HOME").or_else(|| set("USERPROFILE")).map(|home| home.join(".cache/huggingface/hub"))
        })
}

/// `org/name` or `name` as the cache's folder name, if it can be one.
fn entry_name(name: &str) -> Option<String> {
    let parts: Vec<&str> = name.split('/').collect();
    let allowed = |part: &&str| {
        is_plain_name(part) && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    (parts.len() <= 2 && parts.iter().all(allowed)).then(|| format!("models--{}", parts.join("--")))
}

/// The snapshot that a revision (a branch, a tag or a commit) names.
fn snapshot(entry: &Path, revision: &str, looked: &mut Vec<PathBuf>) -> Option<PathBuf> {
    let reference = entry.join("refs").join(revision);
    let commit = match fs::read_to_string(&reference) {
        Ok(text) => text.trim().to_owned(),
        Err(_) => {
            looked.push(reference);
            revision.to_owned()
        }
    };
    let snapshot = entry.join("snapshots").join(&commit);
    if is_plain_name(&commit) && snapshot.is_dir() {
        return Some(snapshot);
    }
    looked.push(snapshot);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_where_hugging_face_would_look() {
        let with = |pairs: &'static [(&str, &str)]| {
            cache_folder(|name| {
                pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value))
            })
        };
        assert_eq!(with(&[("HF_HUB_CACHE", "/a"), ("HF_HOME", "/b"), ("HOME", "/c")]), Some("/a".into()));
        assert_eq!(with(&[("HF_HUB_CACHE", ""), ("HF_HOME", "/b")]), Some("/b/hub".into()));
        assert_eq!(with(&[("XDG_CACHE_HOME", "/x"), ("HOME", "/c")]), Some("/x/huggingface/hub".into()));
        assert_eq!(with(&[("HOME", "/c")]), Some("/c/.cache/huggingface/hub".into()));
        assert_eq!(with(&[]), None);
    }
}
