//! Files that are whole or absent: written beside their place, synced, then renamed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Error, Result};

/// Writes `bytes` to `path`, replacing what is there in one step.
///
/// # Errors
///
/// [`Error::Io`] when the system refuses (disk full, no permission); then `path` is as it was and nothing is left behind.
pub fn write_atomic(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    write_atomic_with(path, |writer| writer.write_all(bytes))
}

/// Writes what `fill` writes to `path`, replacing what is there in one step.
///
/// # Errors
///
/// [`Error::Io`] when `fill` or the system fails; then `path` is as it was and nothing is left behind.
pub fn write_atomic_with(
    path: impl AsRef<Path>,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let path = path.as_ref();
    let temporary = temporary_beside(path).ok_or_else(|| Error::malformed(path, "not a file name"))?;
    let written = fill_and_sync(&temporary, fill).and_then(|()| fs::rename(&temporary, path));
    if let Err(source) = written {
        // The first error is the one to report; a file that was never created cannot be removed either.
        let _ = fs::remove_file(&temporary);
        return Err(Error::Io { path: path.to_owned(), source });
    }
    sync_folder(path).map_err(Error::io(path))
}

/// Creates the file, fills it and waits until it is on the disk.
fn fill_and_sync(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let mut writer = BufWriter::with_capacity(1 << 20, file);
    fill(&mut writer)?;
    writer.flush()?;
    writer.get_ref().sync_all()
}

/// A name in the same folder (a rename must not cross file systems) that no other writer has.
fn temporary_beside(path: &Path) -> Option<PathBuf> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name()?);
    name.push(format!(".{}-{}.tmp", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed)));
    Some(path.with_file_name(name))
}

/// Makes the rename itself durable.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(windows) {
        return Ok(()); // A folder cannot be opened for syncing there.
    }
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}
