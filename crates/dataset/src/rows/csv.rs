//! Records of a CSV file.
//!
//! The `csv` crate unescapes the fields, but it takes any quote for good, so that one broken quote can swallow the
//! rows after it without a word. So records are cut here first, strictly as RFC 4180 says; after a broken record
//! reading goes on at the next physical line, and no row is lost without being counted.

use serde_json::{Map, Value};

use super::lines::{Line, Lines};
use super::{Raw, Record};
use crate::Error;
use crate::dropped::{Fault, Rule};

/// Columns of an MMLU file.
const MMLU_COLUMNS: [&str; 3] = ["question", "choices", "answer"];

/// Reads records after a header line.
pub(crate) struct CsvRecords {
    lines: Lines,
    columns: Vec<String>,
    delimiter: u8,
    row: u64,
    /// The file is one of MMLU's: question, four options, letter, and no header.
    mmlu: bool,
}

impl CsvRecords {
    /// Reads the header. The delimiter (comma, semicolon or tab) is the most frequent one in it.
    pub(crate) fn new(mut lines: Lines) -> Result<Self, Error> {
        let header = loop {
            match lines.next_line()? {
                Some(line) if line.bytes.iter().all(u8::is_ascii_whitespace) => {}
                other => break other,
            }
        };
        let path = lines.path().to_path_buf();
        let not_text = |reason| Error::NotText { path: path.clone(), reason };
        let Some(header) = header else {
            return Err(not_text("has no header line"));
        };
        let text = std::str::from_utf8(strip_line_end(&header.bytes));
        let text = text.map_err(|_| not_text("the header line is not UTF-8"))?;
        if header.over || text.contains('\0') {
            return Err(not_text("the header line is not text"));
        }
        if text.contains('\r') {
            return Err(not_text("has bare carriage returns for line ends; save it with ordinary ones"));
        }
        let delimiter = delimiter_of(text);
        if cut(&mut vec![header.clone()].into_iter(), delimiter, usize::MAX).is_err() {
            return Err(not_text("the header line has a broken quote"));
        }
        let columns = fields(text.as_bytes(), delimiter);
        let columns: Vec<String> = columns.iter().map(|name| name.trim().to_string()).collect();
        let mmlu = columns.len() == 6 && matches!(columns[5].as_str(), "A" | "B" | "C" | "D");
        if mmlu {
            lines.give_back(vec![header]);
            let columns = MMLU_COLUMNS.map(String::from).to_vec();
            return Ok(CsvRecords { lines, columns, delimiter, row: 0, mmlu });
        }
        Ok(CsvRecords { lines, columns, delimiter, row: 0, mmlu })
    }

    /// The columns of the header.
    pub(crate) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The next record.
    pub(crate) fn next_record(&mut self) -> Result<Option<Raw>, Error> {
        let mut taken = Vec::new();
        let mut failure = None;
        let limit = self.lines.limit();
        let cut = {
            let mut lines = std::iter::from_fn(|| match self.lines.next_line() {
                Ok(line) => {
                    taken.extend(line.clone());
                    line
                }
                Err(error) => {
                    failure = Some(error);
                    None
                }
            })
            .skip_while(|line| line.bytes.iter().all(u8::is_ascii_whitespace));
            cut(&mut lines, self.delimiter, limit)
        };
        if let Some(error) = failure {
            return Err(error);
        }
        let blank = taken.iter().take_while(|line| line.bytes.iter().all(u8::is_ascii_whitespace)).count();
        taken.drain(..blank);
        let Some(line) = taken.first().map(|line| line.number) else {
            return Ok(None);
        };
        self.row += 1;
        let content = match cut {
            Ok(bytes) => self.record(&bytes),
            Err(fault) => {
                taken.remove(0);
                self.lines.give_back(taken);
                Err(fault)
            }
        };
        Ok(Some(Raw { row: self.row, line: Some(line), content }))
    }

    fn record(&self, bytes: &[u8]) -> Result<Record, Fault> {
        let text = std::str::from_utf8(strip_line_end(bytes));
        let text = text.map_err(|error| Fault::new(Rule::InvalidUtf8, format!("{error}")))?;
        if text.contains('\0') {
            return Err(Fault::new(Rule::NulByte, "the row holds a NUL byte"));
        }
        let fields = fields(text.as_bytes(), self.delimiter);
        if self.mmlu {
            let count = fields.len();
            let Ok([question, a, b, c, d, answer]) = <[String; 6]>::try_from(fields) else {
                return Err(Fault::new(Rule::ColumnCount, format!("{count} fields, MMLU's files have 6")));
            };
            let values = [Value::from(question), Value::from(vec![a, b, c, d]), Value::from(answer)];
            let named = MMLU_COLUMNS.map(String::from).into_iter().zip(values);
            return Ok(Record { key: None, fields: Map::from_iter(named) });
        }
        if fields.len() != self.columns.len() {
            let detail = format!("{} fields, the header has {}", fields.len(), self.columns.len());
            return Err(Fault::new(Rule::ColumnCount, detail));
        }
        let named = self.columns.iter().cloned().zip(fields.into_iter().map(Value::String));
        Ok(Record { key: None, fields: Map::from_iter(named) })
    }
}

/// Joins the lines of one record.
fn cut(lines: &mut impl Iterator<Item = Line>, delimiter: u8, limit: usize) -> Result<Vec<u8>, Fault> {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        Start,
        Plain,
        Quoted,
        Closed,
    }
    let broken = |detail: &str| Err(Fault::new(Rule::BrokenQuote, detail));
    let (mut record, mut state) = (Vec::new(), State::Start);
    for line in lines {
        if line.over || record.len() + line.bytes.len() > limit {
            return Err(Fault::new(Rule::TooLong, format!("longer than {limit} bytes")));
        }
        let text_end = strip_line_end(&line.bytes).len();
        for (at, &byte) in line.bytes.iter().enumerate() {
            state = match (state, byte) {
                (State::Quoted, b'"') => State::Closed,
                (State::Quoted, _) => State::Quoted,
                (State::Closed, b'"') => State::Quoted,
                (State::Start, b'"') => State::Quoted,
                (_, byte) if byte == delimiter => State::Start,
                (State::Closed, _) if at >= text_end => State::Closed,
                (State::Closed, _) => return broken("text after a closing quote"),
                (State::Plain, b'"') => return broken("a quote inside a field that is not quoted"),
                (state, _) if at >= text_end => state,
                (State::Start | State::Plain, _) => State::Plain,
            };
        }
        record.extend_from_slice(&line.bytes);
        if state != State::Quoted {
            return Ok(record);
        }
    }
    broken("a quoted field does not end")
}

fn fields(record: &[u8], delimiter: u8) -> Vec<String> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .delimiter(delimiter)
        .terminator(csv::Terminator::Any(b'\n'))
        .buffer_capacity(record.len() + 1)
        .from_reader(record);
    let mut out = csv::ByteRecord::new();
    match reader.read_byte_record(&mut out) {
        Ok(_) => out.iter().map(|field| String::from_utf8_lossy(field).into_owned()).collect(),
        Err(_) => Vec::new(),
    }
}

fn strip_line_end(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

fn delimiter_of(header: &str) -> u8 {
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0)];
    let mut quoted = false;
    for byte in header.bytes() {
        quoted ^= byte == b'"';
        for (delimiter, count) in &mut counts {
            *count += usize::from(!quoted && byte == *delimiter);
        }
    }
    // The first of equals: the comma.
    counts.iter().rev().max_by_key(|(_, count)| *count).map_or(b',', |(delimiter, _)| *delimiter)
}
