//! A file that is read at given places, whatever else happens to it.

use std::fs::File;
#[cfg(not(unix))]
use std::io::Read;
use std::io::{BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{Error, Result};

/// An open file with the length it had when it was opened.
#[derive(Debug)]
pub(crate) struct PositionedFile {
    path: PathBuf,
    length: u64,
    file: File,
    /// Held while the file is read from where it stands.
    position: Mutex<()>,
}

/// From this many bytes on, several threads read: one does not keep up with the memory.
const SHARED_READ: usize = 8 << 20;
/// More threads than this do not read faster.
const READERS: usize = 4;

impl PositionedFile {
    /// Opens a file; a folder or a device is refused.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path))?;
        let about = file.metadata().map_err(Error::io(path))?;
        if !about.is_file() {
            return Err(Error::malformed(path, "expected a file, got a folder or a device"));
        }
        Ok(PositionedFile { path: path.to_owned(), length: about.len(), file, position: Mutex::new(()) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Fills `into` from `offset` on.
    pub(crate) fn read_into(&self, offset: u64, into: &mut [u8]) -> Result<()> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(READERS);
        if into.len() < SHARED_READ || threads == 1 {
            return self.read_at(offset, into).map_err(Error::io(&self.path));
        }
        let part = into.len().div_ceil(threads);
        let read = std::thread::scope(|scope| {
            let parts = into.chunks_mut(part).zip((offset..).step_by(part));
            let readers: Vec<_> =
                parts.map(|(into, offset)| scope.spawn(move || self.read_at(offset, into))).collect();
            readers
                .into_iter()
                .try_for_each(|reader| reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        read.map_err(Error::io(&self.path))
    }

    #[cfg(unix)]
    fn read_at(&self, offset: u64, into: &mut [u8]) -> std::io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, into, offset)
    }

    #[cfg(not(unix))]
    fn read_at(&self, offset: u64, into: &mut [u8]) -> std::io::Result<()> {
        let _position = self.lock();
        let mut file = &self.file;
        file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(into))
    }

    /// `length` bytes from `offset` on. The caller has checked them against the file's length.
    pub(crate) fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.read_into(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads on from the start, as a stream with a buffer.
    pub(crate) fn read_stream<T>(&self, read: impl FnOnce(BufReader<&File>) -> Result<T>) -> Result<T> {
        let _position = self.lock();
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0)).map_err(Error::io(&self.path))?;
        read(BufReader::with_capacity(1 << 16, file))
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        // A thread that panicked while reading has left nothing but a position, and every read sets it anew.
        self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
