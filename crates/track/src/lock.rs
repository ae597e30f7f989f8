//! One writer per run folder.

use crate::machine::host_name;
use crate::{Error, Result};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

/// Name of the lock file in a run folder.
pub(crate) const LOCK_FILE: &str = "run.lock";

/// The lock on a run folder, held until dropped.
///
/// The operating system holds it (`flock`, `LockFileEx`), so it goes with the process however that ends; the
/// text inside only tells a person who it is.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock of `folder`, or says who has it.
    pub(crate) fn take(folder: &Path) -> Result<Self> {
        let path = folder.join(LOCK_FILE);
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.map_err(Error::io(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let read = (&file).take(512).read_to_string(&mut text);
                let known = read.is_ok() && !text.trim().is_empty();
                let holder = if known { text.trim().to_string() } else { "another process".to_string() };
                return Err(Error::InUse { path: folder.to_path_buf(), holder });
            }
            Err(TryLockError::Error(source)) => return Err(Error::Io { path, source }),
        }
        let holder = format!("process {} on {}\n", std::process::id(), host_name());
        let mut write = || {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(holder.as_bytes())
        };
        write().map_err(Error::io(&path))?;
        Ok(Self { file })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The file stays: removing it would let two processes lock two files of one name.
        let _ = self.file.set_len(0);
        let _ = self.file.unlock();
    }
}
