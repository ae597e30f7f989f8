//! The cache's contents: received in pieces, checked, then named by their hash.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use ureq::http::Uri;

use super::client::{Client, Method, REPETITIONS, header};
use super::hash::Hash;
use super::{PullError, Result, create_parent};

/// A file to fetch.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    /// Its path in the repository, for messages.
    pub(super) path: &'a str,
    pub(super) hash: &'a Hash,
    pub(super) bytes: u64,
    pub(super) url: &'a Uri,
}

/// The contents that a repository's entry in the cache holds.
#[derive(Debug)]
pub(super) struct Blobs {
    folder: PathBuf,
}

impl Blobs {
    pub(super) fn of(entry: &Path) -> Self {
        Blobs { folder: entry.join("blobs") }
    }

    /// Whether a content is there. It got its name only after its hash was found right.
    pub(super) fn holds(&self, hash: &Hash, bytes: u64) -> bool {
        fs::metadata(self.place(hash)).is_ok_and(|about| about.is_file() && about.len() == bytes)
    }

    fn place(&self, hash: &Hash) -> PathBuf {
        self.folder.join(hash.text())
    }

    /// Receives a content, going on where an earlier call stopped. `at` is told how many of its bytes are there.
    pub(super) fn fetch(&self, client: &Client, wanted: &Wanted<'_>, at: &mut dyn FnMut(u64)) -> Result<()> {
        fs::create_dir_all(&self.folder).map_err(|source| PullError::file(&self.folder, source))?;
        let place = self.place(wanted.hash);
        let mut partial =
            Partial::open(&self.folder.join(format!("{}.incomplete", wanted.hash.text())), wanted)?;
        if self.holds(wanted.hash, wanted.bytes) {
            // Another process came first, between our look and our lock.
            return partial.remove();
        }
        let mut repetition = 0;
        while partial.length < wanted.bytes {
            let before = partial.length;
            let Err(reason) = partial.receive(client, wanted, at)? else { continue };
            // Whoever sends something each time gets any number of times.
            repetition = if partial.length > before { 0 } else { repetition + 1 };
            if repetition > REPETITIONS {
                let (path, got, expected) = (wanted.path.to_owned(), partial.length, wanted.bytes);
                return Err(PullError::Incomplete { path, got, expected, reason });
            }
            client.wait(repetition);
        }
        partial.check(wanted)?;
        fs::rename(&partial.path, &place).map_err(|source| PullError::file(&place, source))
    }

    /// Puts a file of a snapshot in its place: a relative link to its content, so that the cache can be moved.
    pub(super) fn link(&self, snapshot: &Path, path: &str, hash: &Hash) -> Result<()> {
        let place = snapshot.join(path);
        create_parent(&place)?;
        let up = "../".repeat(2 + path.matches('/').count());
        let target = PathBuf::from(format!("{up}blobs/{}", hash.text()));
        if fs::read_link(&place).is_ok_and(|there| there == target) {
            return Ok(());
        }
        let temporary = snapshot.join(format!(".{}-{}.tmp", hash.text(), std::process::id()));
        // A process of the same number may have died here.
        let _ = fs::remove_file(&temporary);
        let named = point(&target, &self.place(hash), &place, &temporary)
            .and_then(|()| fs::rename(&temporary, &place));
        named.map_err(|source| {
            let _ = fs::remove_file(&temporary);
            PullError::file(&place, source)
        })
    }
}

/// Makes `temporary` stand for a content. It will be renamed to `place`, from where `target` leads there.
#[cfg(unix)]
fn point(target: &Path, _: &Path, _: &Path, temporary: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, temporary)
}

/// Makes `temporary` stand for a content: by a second name, as links need a permission here, or else by a copy.
#[cfg(not(unix))]
fn point(_: &Path, blob: &Path, _: &Path, temporary: &Path) -> std::io::Result<()> {
    fs::hard_link(blob, temporary).or_else(|_| fs::copy(blob, temporary).map(|_| ()))
}

/// A content that is not whole yet. One process at a time has it.
struct Partial {
    file: File,
    path: PathBuf,
    length: u64,
}

impl Partial {
    fn open(path: &Path, wanted: &Wanted<'_>) -> Result<Self> {
        let failed = |source| PullError::file(path, source);
        let file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(PullError::Busy { path: wanted.path.to_owned() }),
            // A file system without locks: two processes at once would be found out by the hash.
            Err(TryLockError::Error(_)) => {}
        }
        let mut partial =
            Partial { length: file.metadata().map_err(failed)?.len(), file, path: path.to_owned() };
        if partial.length > wanted.bytes {
            partial.restart()?;
        }
        Ok(partial)
    }

    fn restart(&mut self) -> Result<()> {
        self.file.set_len(0).map_err(|source| PullError::file(&self.path, source))?;
        self.length = 0;
        Ok(())
    }

    fn remove(self) -> Result<()> {
        fs::remove_file(&self.path).map_err(|source| PullError::file(&self.path, source))
    }

    /// Asks for what is missing and takes what comes. The inner error is a connection that broke off.
    fn receive(
        &mut self,
        client: &Client,
        wanted: &Wanted<'_>,
        at: &mut dyn FnMut(u64),
    ) -> Result<std::result::Result<(), String>> {
        let response = client.send(Method::Get { from: self.length }, wanted.url)?;
        match response.status().as_u16() {
            206 if starts_at(header(response.headers(), "content-range"), self.length) => {}
            // The server does not know ranges, or takes ours for senseless: from the beginning.
            200 => self.restart()?,
            206 | 416 if self.length > 0 => {
                self.restart()?;
                return Ok(Err("the server does not go on where it was asked to".to_owned()));
            }
            status => return Err(PullError::Status { host: client.host(), status }),
        }
        at(self.length);
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; 1 << 18];
        loop {
            let read = match body.read(&mut buffer) {
                Ok(0) if self.length < wanted.bytes => return Ok(Err("it ended early".to_owned())),
                Ok(0) => return Ok(Ok(())),
                Ok(read) => read,
                Err(error) => return Ok(Err(error.to_string())),
            };
            if self.length + read as u64 > wanted.bytes {
                self.restart()?;
                let what =
                    format!("sends more than the {} bytes that {} should have", wanted.bytes, wanted.path);
                return Err(client.answer(wanted.url, what));
            }
            let written = self.file.write_all(&buffer[..read]);
            written.map_err(|source| PullError::file(&self.path, source))?;
            self.length += read as u64;
            at(self.length);
        }
    }

    /// The content must have the hash that the Hub promised, and be on the disk. If not, it is deleted.
    fn check(&mut self, wanted: &Wanted<'_>) -> Result<()> {
        let failed = |source| PullError::file(&self.path, source);
        self.file.sync_all().map_err(failed)?;
        self.file.rewind().map_err(failed)?;
        let got = wanted.hash.of(&mut self.file, wanted.bytes).map_err(failed)?;
        if got != wanted.hash.text() {
            fs::remove_file(&self.path).map_err(failed)?;
            let (path, expected) = (wanted.path.to_owned(), wanted.hash.text().to_owned());
            return Err(PullError::WrongHash { path, expected, got });
        }
        Ok(())
    }
}

/// Whether a `Content-Range: bytes 5-9/10` starts where it should.
fn starts_at(range: Option<&str>, from: u64) -> bool {
    let first =
        range.and_then(|range| range.trim().strip_prefix("bytes ")?.split_once('-')).map(|(first, _)| first);
    first.and_then(|first| first.trim().parse().ok()) == Some(from)
}
