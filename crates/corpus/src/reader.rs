//! The one thing that a format has to do.

use std::path::Path;

use crate::{Document, Result};

/// Reads the files of one format. Implementations wrap the library that parses it, so that another can take its place.
pub trait Reader {
    /// Blocks in reading order, with headings and their levels; nothing is cleaned yet.
    ///
    /// `path` is for messages only.
    ///
    /// # Errors
    /// `Malformed` where the bytes are not of this format, are encrypted or hold no page.
    fn read(&self, path: &Path, bytes: &[u8]) -> Result<Document>;
}
