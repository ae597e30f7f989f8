//! Downloads from the Hugging Face Hub into the cache that [`resolve`](super::resolve) reads. Feature `hub`.
//!
//! The layout is that of `huggingface_hub`: `blobs/<hash>` holds the bytes, `snapshots/<commit>/<path>` points to
//! them, `refs/<revision>` names the commit. A blob has its name only after its hash was found right, and the
//! revision points to a commit only when every file that was asked for is there, so that a pull that broke off is
//! never taken for a model.

mod blob;
mod client;
mod error;
mod hash;
mod listing;
mod selection;
mod settings;

use std::fs;
use std::path::{Path, PathBuf};

pub use error::PullError;
pub use settings::{Settings, Token};

use super::repository::{Kind, Repository, is_revision};
use crate::atomic::write_atomic;
use crate::{Error, hub};
use blob::Blobs;
use client::Client;
use hash::Hash;

/// Result of a download.
pub type Result<T> = std::result::Result<T, PullError>;

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The repository.
    pub repository: Repository,
    /// A branch, a tag or a commit.
    pub revision: String,
    /// Files, with `*` and `?`; none: those that are read here.
    pub patterns: Vec<String>,
}

/// A file that a pull consists of.
#[derive(Debug, Clone)]
pub struct PlannedFile {
    /// Its path in the repository.
    pub path: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Whether the cache holds it already.
    pub present: bool,
    hash: Hash,
}

/// A pull that is known before it starts.
#[derive(Debug)]
pub struct Plan {
    client: Client,
    wanted: Wanted,
    entry: PathBuf,
    /// The commit that the revision names.
    pub commit: String,
    /// The files.
    pub files: Vec<PlannedFile>,
    /// Files of the repository that stay there.
    pub left_out: usize,
}

impl Plan {
    /// Asks the Hub for the files of a repository, their lengths and their hashes.
    ///
    /// # Errors
    ///
    /// [`PullError`]; nothing has been written then.
    pub fn new(settings: &Settings, wanted: Wanted) -> Result<Self> {
        if !is_revision(&wanted.revision) {
            return Err(PullError::Name { name: wanted.revision });
        }
        let client = Client::new(settings)?;
        let listing = listing::list(&client, &wanted)?;
        let selected = selection::select(&wanted, &listing.paths)?;
        let left_out = listing.paths.len() - selected.len();
        let entry = settings.cache.join(wanted.repository.folder());
        let blobs = Blobs::of(&entry);
        let mut files = Vec::with_capacity(selected.len());
        for path in selected {
            let (hash, bytes) = listing::look_up(&client, &wanted, &listing.commit, &path)?;
            files.push(PlannedFile { present: blobs.holds(&hash, bytes), path, bytes, hash });
        }
        Ok(Plan { client, wanted, entry, commit: listing.commit, files, left_out })
    }

    /// The folder that the files will be in.
    pub fn snapshot(&self) -> PathBuf {
        self.entry.join("snapshots").join(&self.commit)
    }

    /// Length of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Bytes that are not in the cache yet, those of files that were begun counted whole.
    pub fn missing_bytes(&self) -> u64 {
        self.files.iter().filter(|file| !file.present).map(|file| file.bytes).sum()
    }

    /// Downloads what is missing, checks every hash, and points the revision to the files. Returns their folder.
    /// `at` is told the file that is worked on and how many bytes of the whole plan are there.
    ///
    /// # Errors
    ///
    /// [`PullError`]. What came whole stays and is not fetched again; a file that broke off is continued by the next
    /// call; a file with another hash than the Hub's is deleted.
    pub fn download(&self, at: &mut dyn FnMut(&str, u64)) -> Result<PathBuf> {
        let blobs = Blobs::of(&self.entry);
        let snapshot = self.snapshot();
        let mut done = 0;
        for file in &self.files {
            at(&file.path, done);
            if !blobs.holds(&file.hash, file.bytes) {
                let url = self.client.file_url(&self.wanted.repository, &self.commit, &file.path)?;
                let what = blob::Wanted { path: &file.path, hash: &file.hash, bytes: file.bytes, url: &url };
                blobs.fetch(&self.client, &what, &mut |here| at(&file.path, done + here))?;
            }
            blobs.link(&snapshot, &file.path, &file.hash)?;
            done += file.bytes;
        }
        if self.wanted.revision != self.commit {
            let reference = self.entry.join("refs").join(&self.wanted.revision);
            create_parent(&reference)?;
            write_atomic(&reference, self.commit.as_bytes())?;
        }
        if let Some(file) = self.files.last() {
            at(&file.path, done);
        }
        Ok(snapshot)
    }
}

/// The repository that a person named, `org/name` or `org/name@revision`, and its revision.
///
/// # Errors
///
/// [`PullError::Name`] when nothing can be called that.
pub fn parse_name(kind: Kind, name: &str) -> Result<(Repository, Option<String>)> {
    let (plain, revision) = match name.split_once('@') {
        Some((plain, revision)) => (plain, Some(revision.to_owned())),
        None => (name, None),
    };
    let repository = Repository::new(kind, plain).ok_or_else(|| PullError::Name { name: name.to_owned() })?;
    Ok((repository, revision))
}

fn create_parent(path: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent).map_err(|source| PullError::file(parent, source))
}

/// Whether a file name of the Hub stays inside the snapshot, and is fit to be printed.
fn is_safe_path(path: &str) -> bool {
    let reserved = |part: &str| part.ends_with(['.', ' ']) && cfg!(windows);
    path.len() <= 1024
        && !path.contains(char::is_control)
        && path.split('/').all(|part| crate::hf::is_plain_name(part) && !reserved(part))
}

impl From<Error> for PullError {
    fn from(error: Error) -> Self {
        match error {
            Error::Io { path, source } => PullError::file(&path, source),
            other => PullError::Cache(other),
        }
    }
}
