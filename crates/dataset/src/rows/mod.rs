//! Rows: what a file holds, one question and answer, conversation or multiple-choice item each.
//!
//! A file is read as a stream of records (by [`read`]); each becomes a [`Row`] or a [`Dropped`] that names the
//! file, the row and the reason. Nothing that is in a file disappears without one of the two.

mod csv;
mod detect;
mod json;
mod layout;
mod lines;
mod parquet;
mod records;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chat::Message;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use detect::Layout;
pub use records::{FieldsOfRow, records};

use crate::Error;
use crate::dropped::{Dropped, Fault, Rule};

/// Where a row comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// The file.
    pub file: String,
    /// Number of the row in the file, from 1; a header is not counted.
    pub row: u64,
    /// The line on which it begins, from 1, in a text file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
}

/// One answer option.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerOption {
    /// Its letter, `A` and on.
    pub letter: String,
    /// Its text.
    pub text: String,
}

/// A multiple-choice item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The question.
    pub question: String,
    /// What is to be read before the question, as PubMedQA's abstract.
    pub context: Option<String>,
    /// The options, in order.
    pub options: Vec<AnswerOption>,
    /// Index of the right one.
    pub answer: usize,
    /// Why it is right.
    pub explanation: Option<String>,
}

/// What a row says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A conversation that ends with the model's turn; material for training.
    Conversation(Vec<Message>),
    /// A multiple-choice item; material for evaluation only.
    Choice(Choice),
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The file's own id (with the source before MedQuAD's, which are unique within a source only), or
    /// `<file stem>-<row>`.
    pub id: String,
    /// The document that the row was made from; its rows stay on one side of the split.
    pub document: Option<String>,
    /// What it is about.
    pub topic: Option<String>,
    /// The collection that it is from.
    pub source: Option<String>,
    /// What the file says about its side of the split.
    pub split: Option<String>,
    /// What it says.
    pub item: Item,
    /// Where it is from.
    pub origin: Origin,
}

impl Row {
    /// The person's words: all user turns, or the question of an item.
    pub fn question(&self) -> String {
        match &self.item {
            Item::Conversation(messages) => turns(messages, chat::Role::User),
            Item::Choice(choice) => choice.question.clone(),
        }
    }

    /// The model's words: all assistant turns, or the right option of an item.
    pub fn answer(&self) -> String {
        match &self.item {
            Item::Conversation(messages) => turns(messages, chat::Role::Assistant),
            Item::Choice(choice) => {
                choice.options.get(choice.answer).map_or(String::new(), |o| o.text.clone())
            }
        }
    }
}

fn turns(messages: &[Message], role: chat::Role) -> String {
    let turns =
        messages.iter().filter(|message| message.role == role).map(|message| message.content.as_str());
    turns.collect::<Vec<_>>().join("\n")
}

/// How to read a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReadOptions {
    /// The layout of the rows; found by the columns when not given.
    pub layout: Option<Layout>,
    /// Our name of a column → the file's name of it, as `question: Q`.
    pub columns: BTreeMap<String, String>,
    /// A system turn for every conversation that brings none.
    pub system: Option<String>,
    /// Most bytes of one record.
    pub max_record_bytes: usize,
}

impl Default for ReadOptions {
    fn default() -> Self {
        ReadOptions { layout: None, columns: BTreeMap::new(), system: None, max_record_bytes: 16 << 20 }
    }
}

/// A file and how to read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The file.
    pub path: PathBuf,
    /// How to read it.
    pub options: ReadOptions,
}

impl Input {
    /// A file whose layout is found by its columns.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Input { path: path.into(), options: ReadOptions::default() }
    }
}

/// A record of a file before it is understood as a row.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// Its key in an object of objects.
    key: Option<String>,
    /// Its fields by column.
    fields: Map<String, Value>,
}

impl Record {
    fn new(key: Option<String>, value: Value) -> Result<Self, Fault> {
        match value {
            value if holds_nul(&value) => Err(Fault::new(Rule::NulByte, "the row holds a NUL character")),
            Value::Object(fields) => Ok(Record { key, fields }),
            _ => Err(Fault::new(Rule::JsonSyntax, "not an object")),
        }
    }
}

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(holds_nul),
        Value::Object(map) => map.values().any(holds_nul),
        _ => false,
    }
}

/// What was read for one row.
#[derive(Debug)]
pub(crate) struct Raw {
    row: u64,
    line: Option<u64>,
    content: Result<Record, Fault>,
}

enum Records {
    Csv(csv::CsvRecords),
    Json(json::JsonRecords),
    Parquet(Box<parquet::ParquetRecords>),
}

impl Records {
    fn open(path: &Path, limit: usize) -> Result<Self, Error> {
        let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
            "csv" | "tsv" => Ok(Records::Csv(csv::CsvRecords::new(lines::Lines::open(path, limit)?)?)),
            extension @ ("json" | "jsonl" | "ndjson") => {
                let lines = lines::Lines::open(path, limit)?;
                Ok(Records::Json(json::JsonRecords::new(lines, extension != "json")?))
            }
            "parquet" => Ok(Records::Parquet(Box::new(parquet::ParquetRecords::open(path, limit)?))),
            _ => Err(Error::UnknownKind { path: path.into() }),
        }
    }

    fn next_record(&mut self) -> Result<Option<Raw>, Error> {
        match self {
            Records::Csv(records) => records.next_record(),
            Records::Json(records) => records.next_record(),
            Records::Parquet(records) => records.next_record(),
        }
    }

    /// The columns, where the file states them ahead of the rows.
    fn columns(&self) -> Option<Vec<String>> {
        match self {
            Records::Csv(records) => Some(records.columns().to_vec()),
            Records::Parquet(records) => Some(records.columns().to_vec()),
            Records::Json(_) => None,
        }
    }
}

/// Reads the rows of a file as a stream.
pub struct Reader {
    records: Records,
    /// Records that were read to find the layout.
    ahead: std::collections::VecDeque<Raw>,
    plan: Option<layout::Plan>,
    file: String,
    stem: String,
}

/// Opens a file and finds its layout.
///
/// # Errors
/// The file cannot be read, is not text, or lacks a column that its layout needs.
pub fn read(input: &Input) -> Result<Reader, Error> {
    let Input { path, options } = input;
    let mut records = Records::open(path, options.max_record_bytes)?;
    let mut ahead = std::collections::VecDeque::new();
    let mut columns = records.columns();
    while columns.is_none() {
        let Some(raw) = records.next_record()? else { break };
        columns = raw.content.as_ref().ok().map(|record| record.fields.keys().cloned().collect());
        ahead.push_back(raw);
    }
    let layout = columns.map(|columns| detect::layout(path, &columns, options)).transpose()?;
    let mut plan = layout.map(|layout| layout::Plan::new(layout, options));
    if let Some(plan) = &mut plan
        && layout == Some(Layout::MedMcqa)
    {
        plan.first_key = first_key(path, options)?;
    }
    let file = path.display().to_string();
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = name.split('.').next().unwrap_or_default().to_string();
    Ok(Reader { records, ahead, plan, file, stem })
}

impl Reader {
    /// The layout of the rows; `None` for a file without a single readable record.
    pub fn layout(&self) -> Option<Layout> {
        self.plan.as_ref().map(|plan| plan.layout)
    }

    fn next_row(&mut self) -> Result<Option<Result<Row, Dropped>>, Error> {
        let raw = match self.ahead.pop_front() {
            Some(raw) => Some(raw),
            None => self.records.next_record()?,
        };
        let Some(raw) = raw else {
            return Ok(None);
        };
        let origin = Origin { file: self.file.clone(), row: raw.row, line: raw.line };
        let row = raw.content.and_then(|record| match &self.plan {
            Some(plan) => plan.row(record, origin.clone(), &self.stem),
            None => Err(Fault::new(Rule::MissingField, "no layout is known")),
        });
        Ok(Some(row.map_err(|fault| Dropped::new(None, origin, fault))))
    }
}

impl Iterator for Reader {
    type Item = Result<Result<Row, Dropped>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_row().transpose()
    }
}

/// Whether MedMCQA's `cop` counts from 1 (the authors' files) or from 0 (as on Hugging Face): a key that only one
/// of the two can hold decides. Without one, Parquet files count from 0.
fn first_key(path: &Path, options: &ReadOptions) -> Result<i64, Error> {
    let mut records = Records::open(path, options.max_record_bytes)?;
    let name = options.columns.get("cop").map_or("cop", String::as_str);
    let (mut zeros, mut fours) = (0, 0);
    while let Some(raw) = records.next_record()? {
        let key = raw.content.ok().and_then(|record| record.fields.get(name).and_then(layout::whole_number));
        zeros += usize::from(key == Some(0));
        fours += usize::from(key == Some(4));
    }
    let parquet = matches!(records, Records::Parquet(_));
    Ok(if zeros > fours || (zeros == fours && parquet) { 0 } else { 1 })
}
