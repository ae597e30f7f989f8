//! An index: one SQLite file with passages, their words (FTS5) and their vectors.
//!
//! ```text
//! meta      form, encoder, fingerprint, whether it is finished
//! passages  id, name, document, title, text, places
//! words     FTS5 over title and text, Porter's stems, accents folded
//! vectors   id of the passage, f32 values in little-endian
//! ```

mod build;
mod words;

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

pub use build::Changes;
use words::{query_of, words_of};

use crate::{Error, Passage, Result};

/// The form of the file.
const VERSION: i64 = 1;

/// Which program's file it is (`PRAGMA application_id`): "mtRG".
const APPLICATION: i64 = 0x6d74_5247;

/// Who made the vectors of an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncoderIdentity {
    /// What people call it.
    pub name: String,
    /// Where it lay.
    pub place: PathBuf,
    /// BLAKE3 of its files.
    pub hash: String,
    /// Values of a vector.
    pub width: usize,
}

/// What an index holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Contents {
    /// Passages.
    pub passages: usize,
    /// Documents that they are from.
    pub documents: usize,
    /// Passages with a vector.
    pub vectors: usize,
    /// Who made the vectors.
    pub encoder: Option<EncoderIdentity>,
    /// BLAKE3 of all names and texts and of the encoder: the same index has the same one wherever it lies.
    pub fingerprint: String,
}

/// The row of a passage in the file.
pub(crate) type Id = i64;

/// An index that is on disk.
#[derive(Debug)]
pub struct Index {
    path: PathBuf,
    connection: Connection,
    /// How many passages have a word, of the words that were counted.
    passages_with: RefCell<HashMap<String, i64>>,
}

/// Words of a query that count, at most.
const TELLING: usize = 32;

impl Index {
    /// Opens an index to search in it.
    ///
    /// # Errors
    /// [`Error::Index`] for a file that is none or cannot be read; [`Error::Unfinished`] for one that was not made whole.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = failed(path);
        if !path.is_file() {
            return Err(Error::Index { path: path.to_owned(), reason: "there is no such file".to_owned() });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(&failed)?;
        // A file of someone else's must not bring code along.
        connection.execute_batch("PRAGMA trusted_schema = OFF;").map_err(&failed)?;
        let index = Index { path: path.to_owned(), connection, passages_with: RefCell::default() };
        index.check_form()?;
        match index.meta::<bool>("finished")? {
            Some(true) => Ok(index),
            _ => Err(Error::Unfinished { path: path.to_owned() }),
        }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn check_form(&self) -> Result<()> {
        let failed = failed(&self.path);
        let pragma = |name| self.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        if pragma("application_id").map_err(&failed)? != APPLICATION {
            return Err(self.broken("it is no index of medtune"));
        }
        match pragma("user_version").map_err(&failed)? {
            VERSION => Ok(()),
            version => {
                Err(self
                    .broken(format!("an index of version {version}, this program knows version {VERSION}")))
            }
        }
    }

    /// What it holds.
    ///
    /// # Errors
    /// [`Error::Index`] when the file cannot be read.
    pub fn contents(&self) -> Result<Contents> {
        let count = |query: &str| -> Result<usize> {
            let count: i64 =
                self.connection.query_row(query, [], |row| row.get(0)).map_err(failed(&self.path))?;
            Ok(usize::try_from(count).unwrap_or(0))
        };
        Ok(Contents {
            passages: count("SELECT COUNT(*) FROM passages")?,
            documents: count("SELECT COUNT(DISTINCT COALESCE(document, name)) FROM passages")?,
            vectors: count("SELECT COUNT(*) FROM vectors")?,
            encoder: self.encoder()?,
            fingerprint: self.meta("fingerprint")?.unwrap_or_default(),
        })
    }

    /// Who made its vectors; nothing where it has none.
    ///
    /// # Errors
    /// [`Error::Index`] when the file cannot be read.
    pub fn encoder(&self) -> Result<Option<EncoderIdentity>> {
        Ok(self.meta::<Option<EncoderIdentity>>("encoder")?.flatten())
    }

    /// The passage of a row.
    ///
    /// # Errors
    /// [`Error::Index`] when the file cannot be read, or has no such row.
    pub(crate) fn passage(&self, id: Id) -> Result<Passage> {
        let query = "SELECT name, document, title, text, places FROM passages WHERE id = ?1";
        let mut statement = self.connection.prepare(query).map_err(failed(&self.path))?;
        let found = statement.query_row([id], |row| Ok((passage_of(row)?, row.get::<_, String>(4)?)));
        let (mut passage, places) = found
            .optional()
            .map_err(failed(&self.path))?
            .ok_or_else(|| self.broken(format!("no passage {id}")))?;
        passage.places = serde_json::from_str(&places)
            .map_err(|error| self.broken(format!("the places of {}: {error}", passage.name)))?;
        Ok(passage)
    }

    /// The passages that share words with `query`, best first, at most `count`; with each its BM25. Of a query of many
    /// words only the rarest count: the others say little, and BM25 takes as long as they are frequent.
    ///
    /// # Errors
    /// [`Error::Index`] when the file cannot be read.
    pub(crate) fn by_words(&self, query: &str, count: usize) -> Result<Vec<(Id, f64)>> {
        let mut words = words_of(query);
        if words.len() > TELLING {
            words = self.rarest(words)?;
        }
        let Some(words) = query_of(&words) else { return Ok(Vec::new()) };
        // SQLite's BM25 is negative, so that better passages come first (https://sqlite.org/fts5.html#the_bm25_function).
        let search =
            "SELECT rowid, -bm25(words) FROM words WHERE words MATCH ?1 ORDER BY bm25(words), rowid LIMIT ?2";
        let mut statement = self.connection.prepare(search).map_err(failed(&self.path))?;
        let rows = statement.query_map(params![words, count as i64], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.and_then(Iterator::collect).map_err(failed(&self.path))
    }

    /// The rarest of `words`, without those that no passage has.
    fn rarest(&self, words: Vec<String>) -> Result<Vec<String>> {
        let failed = failed(&self.path);
        let mut count =
            self.connection.prepare("SELECT COUNT(*) FROM words WHERE words MATCH ?1").map_err(&failed)?;
        let mut known = self.passages_with.borrow_mut();
        let mut counted = Vec::with_capacity(words.len());
        for word in words {
            let passages = match known.get(&word) {
                Some(passages) => *passages,
                None => {
                    let query = query_of(std::slice::from_ref(&word)).unwrap_or_default();
                    let passages: i64 = count.query_row([query], |row| row.get(0)).map_err(&failed)?;
                    known.insert(word.clone(), passages);
                    passages
                }
            };
            counted.push((passages, word));
        }
        counted.retain(|(passages, _)| *passages > 0);
        counted.sort_by_key(|(passages, _)| *passages);
        Ok(counted.into_iter().take(TELLING).map(|(_, word)| word).collect())
    }

    /// All vectors, `[N, W]` with the row of the passage of each.
    ///
    /// # Errors
    /// [`Error::NoVectors`] without any; [`Error::Index`] when the file cannot be read, or a vector has another width
    /// than the encoder.
    pub(crate) fn vectors(&self) -> Result<(Vec<Id>, Vec<f32>)> {
        let Some(encoder) = self.encoder()? else { return Err(Error::NoVectors { path: self.path.clone() }) };
        let failed = failed(&self.path);
        let mut statement = self
            .connection
            .prepare("SELECT passage, vector FROM vectors ORDER BY passage")
            .map_err(&failed)?;
        let mut rows = statement.query([]).map_err(&failed)?;
        let (mut ids, mut values) = (Vec::new(), Vec::new());
        while let Some(row) = rows.next().map_err(&failed)? {
            let id: Id = row.get(0).map_err(&failed)?;
            let bytes = row.get_ref(1).and_then(|value| Ok(value.as_blob()?)).map_err(&failed)?;
            let (parts, rest) = bytes.as_chunks::<4>();
            if parts.len() != encoder.width || !rest.is_empty() {
                let (got, expected) = (bytes.len(), 4 * encoder.width);
                return Err(
                    self.broken(format!("the vector of passage {id} has {got} bytes, expected {expected}"))
                );
            }
            ids.push(id);
            values.extend(parts.iter().map(|bytes| f32::from_le_bytes(*bytes)));
        }
        Ok((ids, values))
    }

    fn meta<T: for<'a> Deserialize<'a>>(&self, key: &str) -> Result<Option<T>> {
        let value: Option<String> = self
            .connection
            .query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0))
            .optional()
            .map_err(failed(&self.path))?;
        let read = |text: String| {
            serde_json::from_str(&text).map_err(|error| self.broken(format!("its `{key}`: {error}")))
        };
        value.map(read).transpose()
    }

    fn broken(&self, reason: impl Into<String>) -> Error {
        Error::Index { path: self.path.clone(), reason: reason.into() }
    }
}

/// Name, document, title and text; the places are JSON and read by who can say what is wrong with them.
fn passage_of(row: &Row<'_>) -> rusqlite::Result<Passage> {
    Ok(Passage {
        name: row.get(0)?,
        document: row.get(1)?,
        title: row.get(2)?,
        text: row.get(3)?,
        places: Vec::new(),
    })
}

fn failed(path: &Path) -> impl Fn(rusqlite::Error) -> Error {
    move |error| Error::Index { path: path.to_owned(), reason: error.to_string() }
}
