//! Finds models and data sets on this machine: a folder, or an entry of the Hugging Face cache. Never the network,
//! but for the module `pull`, which only a build with the feature `hub` has.

#[cfg(feature = "hub")]
pub mod pull;
mod repository;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::hf::is_plain_name;
use crate::{Error, Result};
use repository::is_revision;
pub use repository::{Kind, Repository};

/// What the name of a file in a data set of the Hub begins with.
const DATASETS: &str = "hf://datasets/";

/// The folder or GGUF file of a model, given as a path, or as `org/name` (with `@revision` if not `main`) or
/// `org/name/file.gguf` in the local cache.
///
/// An existing folder or GGUF file wins. The cache is `$HF_HUB_CACHE`, else `$HF_HOME/hub`, else
/// `$XDG_CACHE_HOME/huggingface/hub`, else `~/.cache/huggingface/hub`.
///
/// # Errors
///
/// [`Error::NotFound`] with every place that was tried and what to do about it.
pub fn resolve(name_or_path: &str) -> Result<PathBuf> {
    resolve_in(name_or_path, cache().as_deref())
}

/// Whether a path has the ending of GGUF files.
fn is_gguf(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gguf"))
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
    let place = Path::new(name_or_path);
    if !name_or_path.is_empty() && (place.is_dir() || is_gguf(place) && place.is_file()) {
        return Ok(place.to_owned());
    }
    let mut looked = vec![place.to_owned()];
    let not_found = |looked, hint: &str| {
        Err(Error::NotFound { name: name_or_path.to_owned(), looked, hint: format!("hint: {hint}") })
    };
    if place.is_file() {
        return not_found(looked, "a model is a folder in Hugging Face layout or a file that ends in .gguf");
    }
    let (repository, file) = match name_or_path.rsplit_once('/') {
        Some((repository, file)) if is_gguf(place) && repository.contains('/') => (repository, Some(file)),
        _ => (name_or_path, None),
    };
    let (name, revision) = repository.split_once('@').unwrap_or((repository, "main"));
    let repository = Repository::new(Kind::Model, name).filter(|_| is_revision(revision));
    let Some(repository) = repository else {
        return not_found(looked, "give a folder or GGUF file that exists, or a name such as org/model");
    };
    if let Some(snapshot) = cache.and_then(|cache| snapshot(cache, &repository, revision, &mut looked)) {
        let Some(file) = file else { return Ok(snapshot) };
        let place = snapshot.join(file);
        if is_plain_name(file) && place.is_file() {
            return Ok(place);
        }
        looked.push(place);
    }
    let mut hint = pull_hint(&repository, revision);
    if let Some(file) = file {
        hint = hint.replacen(repository.name(), &format!("{} --file '{file}'", repository.name()), 1);
    }
    Err(Error::NotFound { name: name_or_path.to_owned(), looked, hint })
}

/// The file of rows that a recipe names: a path, or `hf://datasets/org/name@revision/file` (`@main` may be left out)
/// in the local cache, as Hugging Face's `datasets` writes it.
///
/// # Errors
///
/// [`Error::DatasetNotFound`] with every place that was tried and what to do about it.
pub fn resolve_rows(path: &str) -> Result<PathBuf> {
    resolve_rows_in(path, cache().as_deref())
}

/// As [`resolve_rows`], with the cache given.
///
/// # Errors
///
/// [`Error::DatasetNotFound`] with every place that was tried and what to do about it.
pub fn resolve_rows_in(path: &str, cache: Option<&Path>) -> Result<PathBuf> {
    let Some(address) = path.strip_prefix(DATASETS) else { return Ok(PathBuf::from(path)) };
    let not_found = |looked, hint| Err(Error::DatasetNotFound { name: path.to_owned(), looked, hint });
    let parts: Vec<&str> = address.splitn(3, '/').collect();
    let sound = |file: &str| file.split('/').all(is_plain_name);
    let [org, name, file] = parts[..] else {
        return not_found(Vec::new(), format!("hint: a file of a data set is {DATASETS}org/name/file"));
    };
    let (name, revision) = name.split_once('@').unwrap_or((name, "main"));
    // A slash in a revision is written %2F here, as it would end the name.
    let revision = revision.replace("%2F", "/");
    let repository = Repository::new(Kind::Dataset, &format!("{org}/{name}"));
    let Some(repository) = repository.filter(|_| is_revision(&revision) && sound(file)) else {
        return not_found(Vec::new(), format!("hint: a file of a data set is {DATASETS}org/name/file"));
    };
    let mut looked = Vec::new();
    if let Some(snapshot) = cache.and_then(|cache| snapshot(cache, &repository, &revision, &mut looked)) {
        let place = snapshot.join(file);
        if place.is_file() {
            return Ok(place);
        }
        looked.push(place);
    }
    not_found(looked, pull_hint(&repository, &revision))
}

/// What to do about a repository that is not in the cache.
fn pull_hint(repository: &Repository, revision: &str) -> String {
    let revision = if revision == "main" { String::new() } else { format!(" --revision {revision}") };
    let dataset = if repository.kind() == Kind::Dataset { " --dataset" } else { "" };
    format!(
        "hint: nothing is downloaded here; run `medtune pull {}{revision}{dataset}` where there is a network, \
         or set HF_HOME or HF_HUB_CACHE to the cache that holds it",
        repository.name()
    )
}

/// The cache's place, from the variables that Hugging Face's own tools read, in their order.
fn cache_folder(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let set = |name| variable(name).filter(|value| !value.as_os_str().is_empty());
    set("HF_HUB_CACHE").or_else(|| home_folder(&variable).map(|home| home.join("hub")))
}

/// Hugging Face's folder, in which the cache and the token are.
fn home_folder(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let set = |name| variable(name).filter(|value| !value.as_os_str().is_empty());
    set("HF_HOME")
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("huggingface")))
        .or_else(|| set("HOME").or_else(|| set("USERPROFILE")).map(|home| home.join(".cache/huggingface")))
}

/// The snapshot that a revision (a branch, a tag or a commit) names.
fn snapshot(
    cache: &Path,
    repository: &Repository,
    revision: &str,
    looked: &mut Vec<PathBuf>,
) -> Option<PathBuf> {
    let entry = cache.join(repository.folder());
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
