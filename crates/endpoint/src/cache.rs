//! Replies that were paid for are kept: work that was killed goes on where it was, and costs nothing twice.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chat::{ChatModel, ChatRequest, Error, Reply, Result};
use rusqlite::{Connection, OptionalExtension, params};

use crate::account::Spent;

/// The form of the file.
const VERSION: i64 = 1;

/// Replies by the hash of model and request, in one SQLite file. Several threads and programs may use it at once.
#[derive(Debug)]
pub struct ReplyStore {
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl ReplyStore {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// [`Error::Cache`] when the system refuses, or the file is not one of replies.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |error: rusqlite::Error| failure(path, &error);
        let connection = Connection::open(path).map_err(failed)?;
        connection.busy_timeout(Duration::from_secs(30)).map_err(failed)?;
        let version: i64 =
            connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
        if version > VERSION {
            let reason = format!("a store of version {version}, this program knows version {VERSION}");
            return Err(Error::Cache { path: path.display().to_string(), reason });
        }
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
                 CREATE TABLE IF NOT EXISTS replies (
                     key BLOB PRIMARY KEY, reply TEXT NOT NULL, tokens INTEGER NOT NULL, cost REAL,
                     created INTEGER NOT NULL
                 ) WITHOUT ROWID;
                 PRAGMA user_version = 1;",
            )
            .map_err(failed)?;
        Ok(ReplyStore { path: path.to_owned(), connection: Mutex::new(connection) })
    }

    /// The reply of the model `identity` to a request, if it is there.
    ///
    /// # Errors
    /// [`Error::Cache`] when the file cannot be read.
    pub fn get(&self, identity: &str, request: &ChatRequest) -> Result<Option<Reply>> {
        let found: Option<String> = self
            .connection()
            .query_row("SELECT reply FROM replies WHERE key = ?1", [key(identity, request)], |row| row.get(0))
            .optional()
            .map_err(|error| failure(&self.path, &error))?;
        // What an older program wrote and this one cannot read is asked for anew.
        let reply = found.and_then(|text| serde_json::from_str::<Reply>(&text).ok());
        Ok(reply.map(|reply| Reply { cached: true, ..reply }))
    }

    /// Keeps a reply.
    ///
    /// # Errors
    /// [`Error::Cache`] when the file cannot be written.
    pub fn put(&self, identity: &str, request: &ChatRequest, reply: &Reply) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let text = serde_json::to_string(reply).map_err(|error| Error::Cache {
            path: self.path.display().to_string(),
            reason: error.to_string(),
        })?;
        let tokens = i64::try_from(reply.usage.total()).unwrap_or(i64::MAX);
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        self.connection()
            .execute(
                // What a reply took that was forgotten was spent all the same.
                "INSERT INTO replies VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT(key) DO UPDATE SET
                     reply = excluded.reply, tokens = tokens + excluded.tokens,
                     cost = COALESCE(cost + excluded.cost, cost, excluded.cost), created = excluded.created",
                params![key(identity, request), text, tokens, reply.cost, now],
            )
            .map_err(|error| failure(&self.path, &error))?;
        Ok(())
    }

    /// Forgets the reply to a request. What it took stays in [`ReplyStore::spent`].
    ///
    /// # Errors
    /// [`Error::Cache`] when the file cannot be written.
    pub fn forget(&self, identity: &str, request: &ChatRequest) -> Result<()> {
        // An empty text is no reply, so `get` does not find it.
        self.connection()
            .execute("UPDATE replies SET reply = '' WHERE key = ?1", [key(identity, request)])
            .map_err(|error| failure(&self.path, &error))?;
        Ok(())
    }

    /// What all replies in it took, those included that were forgotten.
    ///
    /// # Errors
    /// [`Error::Cache`] when the file cannot be read.
    pub fn spent(&self) -> Result<Spent> {
        let sums = self.connection().query_row(
            "SELECT COALESCE(SUM(tokens), 0), COALESCE(SUM(cost), 0.0) FROM replies",
            [],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, f64>(1)?)),
        );
        let (tokens, money) = sums.map_err(|error| failure(&self.path, &error))?;
        Ok(Spent { tokens: tokens.unsigned_abs(), money })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failure(path: &Path, error: &rusqlite::Error) -> Error {
    Error::Cache { path: path.display().to_string(), reason: error.to_string() }
}

/// BLAKE3 of the model and the request.
fn key(identity: &str, request: &ChatRequest) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(identity.len() as u64).to_le_bytes()).update(identity.as_bytes());
    // The order of fields is that of the struct; a request has no maps of its own but in a schema, which keeps its order.
    hasher.update(serde_json::json!(request).to_string().as_bytes());
    *hasher.finalize().as_bytes()
}

/// A model whose replies are kept.
#[derive(Debug)]
pub struct Cached<M> {
    model: M,
    store: ReplyStore,
}

impl<M: ChatModel> Cached<M> {
    /// Asks `model` for what is not in `store`.
    pub fn new(model: M, store: ReplyStore) -> Self {
        Cached { model, store }
    }

    /// The model itself.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// Whether the reply to this request is there already.
    ///
    /// # Errors
    /// [`Error::Cache`] when the file cannot be read.
    pub fn has(&self, request: &ChatRequest) -> Result<bool> {
        Ok(self.store.get(&self.model.identity(), request)?.is_some())
    }
}

impl<M: ChatModel> ChatModel for Cached<M> {
    fn name(&self) -> &str {
        self.model.name()
    }

    fn identity(&self) -> String {
        self.model.identity()
    }

    fn reply(&self, request: &ChatRequest) -> Result<Reply> {
        let identity = self.model.identity();
        if let Some(reply) = self.store.get(&identity, request)? {
            return Ok(reply);
        }
        let reply = self.model.reply(request)?;
        self.store.put(&identity, request, &reply)?;
        Ok(reply)
    }

    fn forget(&self, request: &ChatRequest) -> Result<()> {
        self.store.forget(&self.model.identity(), request)?;
        self.model.forget(request)
    }
}

#[cfg(test)]
mod tests {
    use chat::{Finish, Message, Usage};

    use super::*;

    fn request(text: &str) -> ChatRequest {
        ChatRequest::new(vec![Message::user(text)], 10)
    }

    fn reply(text: &str) -> Reply {
        let usage = Usage { prompt_tokens: 7, completion_tokens: 3, estimated: false };
        Reply {
            text: text.into(),
            finish: Finish::Stop,
            usage,
            cost: Some(0.25),
            model: "m".into(),
            cached: false,
        }
    }

    #[test]
    fn a_reply_is_found_again_after_the_program_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("replies.sqlite");
        ReplyStore::open(&path).unwrap().put("a model", &request("Why?"), &reply("So.")).unwrap();
        let store = ReplyStore::open(&path).unwrap();
        let found = store.get("a model", &request("Why?")).unwrap();
        assert_eq!(found, Some(Reply { cached: true, ..reply("So.") }));
        assert_eq!(store.spent().unwrap(), Spent { tokens: 10, money: 0.25 });
    }

    #[test]
    fn what_is_forgotten_is_asked_anew_and_stays_spent() {
        let folder = tempfile::tempdir().unwrap();
        let store = ReplyStore::open(&folder.path().join("replies.sqlite")).unwrap();
        store.put("m", &request("Why?"), &reply("Nonsense.")).unwrap();
        store.forget("m", &request("Why?")).unwrap();
        store.forget("m", &request("Never asked.")).unwrap();
        assert_eq!(store.get("m", &request("Why?")).unwrap(), None);
        assert_eq!(store.spent().unwrap(), Spent { tokens: 10, money: 0.25 });
        store.put("m", &request("Why?"), &reply("So.")).unwrap();
        assert_eq!(store.get("m", &request("Why?")).unwrap().unwrap().text, "So.");
        assert_eq!(store.spent().unwrap(), Spent { tokens: 20, money: 0.5 });
    }

    #[test]
    fn another_model_or_another_request_is_another_reply() {
        let folder = tempfile::tempdir().unwrap();
        let store = ReplyStore::open(&folder.path().join("replies.sqlite")).unwrap();
        store.put("a", &request("Why?"), &reply("So.")).unwrap();
        assert_eq!(store.get("b", &request("Why?")).unwrap(), None);
        assert_eq!(store.get("a", &request("Why not?")).unwrap(), None);
        assert_eq!(store.get("a", &ChatRequest { temperature: 0.5, ..request("Why?") }).unwrap(), None);
        assert_eq!(store.get("a", &ChatRequest { seed: Some(1), ..request("Why?") }).unwrap(), None);
    }

    #[test]
    fn a_file_of_something_else_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        std::fs::write(&path, "This is no database, but it is long enough to be one. ".repeat(40)).unwrap();
        let error = ReplyStore::open(&path).unwrap_err().to_string();
        assert!(error.contains("notes.txt") && error.contains("not a database"), "{error}");
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("This is"));
    }
}
