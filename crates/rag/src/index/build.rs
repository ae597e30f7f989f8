//! How an index comes to be what its sources are: what is there already stays, what is new or changed is added, what
//! is gone leaves. Each step is a transaction, so making an index may be ended at any time and goes on where it was.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;

use rusqlite::{Connection, Transaction, params};
use serde::Serialize;

use super::{APPLICATION, EncoderIdentity, Id, Index, VERSION, failed};
use crate::encoders::Vector;
use crate::{Error, Passage, Result};

/// The words of passages follow the passages (https://sqlite.org/fts5.html#external_content_tables).
const SCHEMA: &str = "
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE passages (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, document TEXT, title TEXT NOT NULL, text TEXT NOT NULL,
        places TEXT NOT NULL
    );
    CREATE TABLE vectors (passage INTEGER PRIMARY KEY, vector BLOB NOT NULL);
    CREATE VIRTUAL TABLE words USING fts5(
        title, text, content = 'passages', content_rowid = 'id', tokenize = 'porter unicode61 remove_diacritics 2'
    );
    CREATE TRIGGER added AFTER INSERT ON passages BEGIN
        INSERT INTO words (rowid, title, text) VALUES (new.id, new.title, new.text);
    END;
    CREATE TRIGGER removed AFTER DELETE ON passages BEGIN
        INSERT INTO words (words, rowid, title, text) VALUES ('delete', old.id, old.title, old.text);
        DELETE FROM vectors WHERE passage = old.id;
    END;";

/// What became of the passages of an index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// That were not there, or said something else.
    pub added: usize,
    /// That were there.
    pub kept: usize,
    /// That no source has any more, or that say something else now.
    pub removed: usize,
}

impl Index {
    /// Opens an index to change it, or makes an empty one. Once it is changed it is unfinished until [`Index::finish`].
    ///
    /// # Errors
    /// [`Error::Index`] for a file that is no index, or when the system refuses.
    pub fn build(path: &Path) -> Result<Self> {
        let failed = failed(path);
        let connection = Connection::open(path).map_err(&failed)?;
        connection.busy_timeout(std::time::Duration::from_secs(5)).map_err(&failed)?;
        let index = Index { path: path.to_owned(), connection, passages_with: RefCell::default() };
        let tables: i64 = index
            .connection
            .query_row("SELECT COUNT(*) FROM sqlite_schema", [], |row| row.get(0))
            .map_err(&failed)?;
        if tables == 0 {
            let form = format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};");
            index.connection.execute_batch(&format!("BEGIN; {SCHEMA} {form} COMMIT;")).map_err(&failed)?;
        }
        index.check_form()?;
        Ok(index)
    }

    /// Makes the passages those of `passages`. A passage of the same name that says the same keeps its vector.
    ///
    /// # Errors
    /// [`Error::Twice`] for two of one name, and nothing is changed then; [`Error::Index`] when the file cannot be
    /// written.
    pub fn set_passages(&mut self, passages: &[Passage]) -> Result<Changes> {
        let mut wanted: HashMap<&str, &Passage> = HashMap::with_capacity(passages.len());
        for passage in passages {
            if wanted.insert(&passage.name, passage).is_some() {
                return Err(Error::Twice { name: passage.name.clone() });
            }
        }
        let failed = failed(&self.path);
        let transaction = self.connection.transaction().map_err(&failed)?;
        put_meta(&transaction, "finished", &false).map_err(&failed)?;
        let changes = replace(&transaction, passages, wanted).map_err(&failed)?;
        transaction.commit().map_err(&failed)?;
        Ok(changes)
    }

    /// Names who makes the vectors. Those of another encoder leave.
    ///
    /// # Errors
    /// [`Error::Index`] when the file cannot be written.
    pub fn set_encoder(&mut self, encoder: Option<&EncoderIdentity>) -> Result<()> {
        let same = self.encoder()?.map(|made| made.hash) == encoder.map(|encoder| encoder.hash.clone());
        let failed = failed(&self.path);
        let transaction = self.connection.transaction().map_err(&failed)?;
        if !same {
            put_meta(&transaction, "finished", &false).map_err(&failed)?;
            transaction.execute("DELETE FROM vectors", []).map_err(&failed)?;
        }
        put_meta(&transaction, "encoder", &encoder).map_err(&failed)?;
        transaction.commit().map_err(&failed)
    }

    /// How many passages have no vector.
    ///
    /// # Errors
    /// [`Error::Index`] when the file cannot be read.
    pub fn without_vector(&self) -> Result<usize> {
        let contents = self.contents()?;
        Ok(contents.passages - contents.vectors)
    }

    /// The passages without a vector.
    ///
    /// # Errors
    /// [`Error::Index`] when the file cannot be read.
    pub(crate) fn ids_without_vector(&self) -> Result<Vec<Id>> {
        let failed = failed(&self.path);
        let query = "SELECT id FROM passages WHERE id NOT IN (SELECT passage FROM vectors) ORDER BY id";
        let mut statement = self.connection.prepare(query).map_err(&failed)?;
        let rows = statement.query_map([], |row| row.get::<_, Id>(0));
        rows.and_then(Iterator::collect).map_err(&failed)
    }

    /// Keeps vectors of passages.
    ///
    /// # Errors
    /// [`Error::Index`] when the file cannot be written.
    pub(crate) fn put_vectors(&mut self, vectors: &[(Id, &Vector)]) -> Result<()> {
        let failed = failed(&self.path);
        let transaction = self.connection.transaction().map_err(&failed)?;
        for (id, vector) in vectors {
            let bytes: Vec<u8> = vector.values.iter().flat_map(|value| value.to_le_bytes()).collect();
            transaction
                .execute("INSERT OR REPLACE INTO vectors VALUES (?1, ?2)", params![id, bytes])
                .map_err(&failed)?;
        }
        transaction.commit().map_err(&failed)
    }

    /// Says that it is whole. From now on it can be searched.
    ///
    /// # Errors
    /// [`Error::Index`] when the file cannot be written.
    pub fn finish(&mut self) -> Result<()> {
        let failed = failed(&self.path);
        let fingerprint = self.fingerprint()?;
        let write = || -> rusqlite::Result<()> {
            self.connection.execute("INSERT INTO words (words) VALUES ('optimize')", [])?;
            put_meta(&self.connection, "fingerprint", &fingerprint)?;
            put_meta(&self.connection, "finished", &true)
        };
        write().map_err(&failed)
    }

    fn fingerprint(&self) -> Result<String> {
        let failed = failed(&self.path);
        let mut hasher = blake3::Hasher::new();
        let mut part = |text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
        };
        let mut statement = self
            .connection
            .prepare("SELECT name, title, text FROM passages ORDER BY name")
            .map_err(&failed)?;
        let mut rows = statement.query([]).map_err(&failed)?;
        while let Some(row) = rows.next().map_err(&failed)? {
            for column in 0..3 {
                part(&row.get::<_, String>(column).map_err(&failed)?);
            }
        }
        part(&self.encoder()?.map_or(String::new(), |encoder| encoder.hash));
        Ok(hasher.finalize().to_hex().to_string())
    }
}

fn replace(
    transaction: &Transaction<'_>,
    passages: &[Passage],
    mut wanted: HashMap<&str, &Passage>,
) -> rusqlite::Result<Changes> {
    let mut changes = Changes::default();
    let mut gone: Vec<Id> = Vec::new();
    let mut there = transaction.prepare("SELECT id, name, document, title, text, places FROM passages")?;
    let mut rows = there.query([])?;
    while let Some(row) = rows.next()? {
        let name: String = row.get(1)?;
        let same = match wanted.get(name.as_str()) {
            Some(passage) => {
                row.get::<_, Option<String>>(2)? == passage.document
                    && row.get::<_, String>(3)? == passage.title
                    && row.get::<_, String>(4)? == passage.text
                    && row.get::<_, String>(5)? == places(passage)
            }
            None => false,
        };
        match same {
            true => drop(wanted.remove(name.as_str())),
            false => gone.push(row.get(0)?),
        }
    }
    for id in &gone {
        transaction.execute("DELETE FROM passages WHERE id = ?1", [id])?;
    }
    changes.removed = gone.len();
    changes.kept = passages.len() - wanted.len();
    let mut add = transaction
        .prepare("INSERT INTO passages (name, document, title, text, places) VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for passage in passages.iter().filter(|passage| wanted.contains_key(passage.name.as_str())) {
        let Passage { name, document, title, text, .. } = passage;
        add.execute(params![name, document, title, text, places(passage)])?;
        changes.added += 1;
    }
    Ok(changes)
}

fn places(passage: &Passage) -> String {
    serde_json::json!(passage.places).to_string()
}

fn put_meta<T: Serialize>(connection: &Connection, key: &str, value: &T) -> rusqlite::Result<()> {
    let value = serde_json::json!(value).to_string();
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?1, ?2)", [key, &value]).map(drop)
}
