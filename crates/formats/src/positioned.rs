//! A file that is read at given places, whatever else happens to it.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{Error, Result};

/// An open file with the length it had when it was opened.
#[derive(Debug)]
pub(crate) struct PositionedFile {
    path: PathBuf,
    length: u64,
    file: Mutex<File>,
}

impl PositionedFile {
    /// Opens a file; a folder or a device is refused.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path))?;
        let about = file.metadata().map_err(Error::io(path))?;
        if !about.is_file() {
            return Err(Error::malformed(path, "expected a file, got a folder or a device"));
        }
        Ok(PositionedFile { path: path.to_owned(), length: about.len(), file: Mutex::new(file) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Fills `into` from `offset` on.
    pub(crate) fn read_into(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        let mut file = self.lock();
        file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(into)).map_err(Error::io(&self.path))
    }

    /// `length` bytes from `offset` on. The caller has checked them against the file's length.
    pub(crate) fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.read_into(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads on from the start, as a stream with a buffer.
    pub(crate) fn read_stream<T>(&self, read: impl FnOnce(BufReader<&File>) -> Result<T>) -> Result<T> {
        let mut file = self.lock();
        file.seek(SeekFrom::Start(0)).map_err(Error::io(&self.path))?;
        read(BufReader::with_capacity(1 << 16, &file))
    }

    fn lock(&self) -> MutexGuard<'_, File> {
        // A thread that panicked while reading has left nothing but a position, and every read sets it anew.
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
