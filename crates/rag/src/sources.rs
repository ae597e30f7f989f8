//! Where passages come from: a corpus that `ingest` made, or rows of text.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use corpus::chunk::cut;
use corpus::ingest::Report;
use corpus::{Block, ChunkOptions, DocumentId, Kind, read_blocks};
use dataset::FieldsOfRow;
use serde::Serialize;
use serde_json::Value;

use crate::{Passage, Result};

/// Blocks of a corpus, and what its documents are called.
const BLOCKS: &str = "blocks.jsonl";
const REPORT: &str = "report.json";

/// Bytes of one row, at most.
const LONGEST_ROW: usize = 16 << 20;

/// The columns that are known: our name, and what others call it, best first.
const COLUMNS: [(&str, &[&str]); 4] = [
    ("text", &["text", "content", "contents", "passage", "abstract", "body", "answer"]),
    ("title", &["title", "heading", "question"]),
    ("id", &["id", "_id", "docid", "pmid", "name"]),
    ("document", &["document", "document_id", "url", "source"]),
];

/// A row that is no passage, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// File and row.
    pub place: String,
    /// Why.
    pub reason: String,
}

/// How texts become passages.
pub struct Cutting<'a> {
    /// How large a passage is.
    pub options: ChunkOptions,
    /// Counts the tokens of a text.
    pub count: &'a dyn Fn(&str) -> usize,
    /// Our name of a column of rows and the file's: `title` and `question`.
    pub columns: BTreeMap<String, String>,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Sources {
    /// The passages, in the order of their sources.
    pub passages: Vec<Passage>,
    /// Rows without a passage.
    pub skipped: Vec<Skipped>,
}

impl Sources {
    /// Adds a source: the folder of a corpus, its `blocks.jsonl`, or a file of rows (CSV, JSON, JSONL, Parquet, also
    /// gzipped).
    ///
    /// # Errors
    /// When the source cannot be read; a row that is no passage is counted, not an error.
    pub fn add(&mut self, source: &Path, cutting: &Cutting<'_>) -> Result<()> {
        let wrong = |reason| Err(crate::Error::Source { path: source.to_owned(), reason });
        let blocks = if source.is_dir() { source.join(BLOCKS) } else { source.to_owned() };
        match (source.exists(), blocks.is_file()) {
            (false, _) => return wrong("there is no such file or folder"),
            (true, false) => return wrong("a folder that is no corpus: there is no blocks.jsonl in it"),
            (true, true) => {}
        }
        match blocks.file_name().is_some_and(|name| name == BLOCKS) {
            true => self.add_corpus(&blocks, cutting),
            false => self.add_rows(source, cutting),
        }
    }

    fn add_corpus(&mut self, blocks: &Path, cutting: &Cutting<'_>) -> Result<()> {
        let names = names(&blocks.with_file_name(REPORT));
        for document in read_blocks(blocks)? {
            let name = names.get(&document.id).cloned().unwrap_or_else(|| document.id.to_string());
            for chunk in cut(&document.id, &document.blocks, &cutting.options, cutting.count) {
                self.passages.push(Passage::of_chunk(chunk, &document, &name));
            }
        }
        Ok(())
    }

    fn add_rows(&mut self, file: &Path, cutting: &Cutting<'_>) -> Result<()> {
        let stem = stem(file);
        for record in dataset::records(file, LONGEST_ROW)? {
            let read = match record? {
                Ok(row) => Row::of(&row, &stem, &cutting.columns).map_err(|reason| (row.origin, reason)),
                Err(dropped) => Err((dropped.origin, format!("{}: {}", dropped.rule, dropped.detail))),
            };
            match read {
                Ok(row) => self.add_row(row, cutting),
                Err((origin, reason)) => {
                    self.skipped
                        .push(Skipped { place: format!("{}, row {}", origin.file, origin.row), reason });
                }
            }
        }
        Ok(())
    }

    /// A row that fits is a passage of its name, a longer one several: `name#1`, `name#2`, … of the document `name`.
    fn add_row(&mut self, row: Row, cutting: &Cutting<'_>) {
        let Row { name, document, title, text } = row;
        let fits = (cutting.count)(&text) <= cutting.options.max_tokens;
        let whole = Passage { name, document, title, text, places: Vec::new() };
        if fits {
            self.passages.push(whole);
            return;
        }
        let paragraph =
            |text: &str| Block { kind: Kind::Paragraph, text: text.to_owned(), places: Vec::new() };
        let id = DocumentId::of(whole.name.as_bytes());
        let blocks: Vec<Block> = whole.text.split("\n\n").map(paragraph).collect();
        let document = whole.document.clone().unwrap_or_else(|| whole.name.clone());
        for (at, chunk) in cut(&id, &blocks, &cutting.options, cutting.count).into_iter().enumerate() {
            self.passages.push(Passage {
                name: format!("{}#{}", whole.name, at + 1),
                document: Some(document.clone()),
                text: chunk.text,
                ..whole.clone()
            });
        }
    }
}

/// A row of text.
struct Row {
    name: String,
    document: Option<String>,
    title: String,
    text: String,
}

impl Row {
    /// The passage of a row, or why there is none.
    fn of(
        row: &FieldsOfRow,
        stem: &str,
        columns: &BTreeMap<String, String>,
    ) -> std::result::Result<Self, String> {
        let field = |name: &str| -> Option<String> {
            let known = COLUMNS.iter().find(|(ours, _)| *ours == name).map_or(&[][..], |(_, known)| *known);
            let value = match columns.get(name) {
                Some(theirs) => row.fields.get(theirs)?,
                None => known.iter().find_map(|theirs| row.fields.get(*theirs))?,
            };
            text_of(value).filter(|text| !text.trim().is_empty())
        };
        let name = field("id").unwrap_or_else(|| format!("{stem}-{}", row.origin.row));
        let text = field("text").ok_or_else(|| {
            let there: Vec<&str> = row.fields.keys().map(String::as_str).collect();
            format!("no text: expected a column `text`, there are {}", there.join(", "))
        })?;
        let title = field("title").unwrap_or_default();
        Ok(Row {
            document: field("document"),
            title: title.trim().to_owned(),
            text: text.trim().to_owned(),
            name,
        })
    }
}

/// Texts and numbers; a list of texts is its paragraphs.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(parts) => Some(parts.iter().map(text_of).collect::<Option<Vec<_>>>()?.join("\n\n")),
        _ => None,
    }
}

/// What the documents of a corpus are called, as far as its report says so.
fn names(report: &Path) -> HashMap<DocumentId, String> {
    let read = std::fs::read(report).ok().and_then(|bytes| serde_json::from_slice::<Report>(&bytes).ok());
    let documents = read.unwrap_or_default().documents.into_iter();
    documents.filter_map(|document| Some((document.id?, document.name))).collect()
}

fn stem(file: &Path) -> String {
    let name = file.file_name().map(PathBuf::from).unwrap_or_default();
    name.to_string_lossy().split('.').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> usize {
        text.split_whitespace().count()
    }

    fn read(name: &str, content: &str, columns: &[(&str, &str)]) -> Sources {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        std::fs::write(&file, content).unwrap();
        let columns = columns.iter().map(|(ours, theirs)| (ours.to_string(), theirs.to_string())).collect();
        let options = ChunkOptions { max_tokens: 6, min_tokens: 0, ..ChunkOptions::default() };
        let mut sources = Sources::default();
        sources.add(&file, &Cutting { options, count: &words, columns }).unwrap();
        sources
    }

    #[test]
    fn rows_are_passages_and_long_ones_are_several() {
        let sources = read(
            "abstracts.jsonl",
            "{\"pmid\": 7, \"title\": \"Sleep\", \"contents\": [\"One two three four.\", \"Five six seven eight.\"]}\n\
             {\"pmid\": 8, \"abstract\": \"Short.\", \"url\": \"https://x\"}\n{\"pmid\": 9}\nno json\n",
            &[],
        );
        let names: Vec<_> = sources.passages.iter().map(|passage| passage.name.as_str()).collect();
        assert_eq!(names, ["7#1", "7#2", "8"]);
        assert_eq!(sources.passages[1].text, "Five six seven eight.");
        assert_eq!(sources.passages[1].source(), "7: Sleep");
        assert_eq!(sources.passages[2].document.as_deref(), Some("https://x"));
        let reasons: Vec<_> = sources.skipped.iter().map(|skipped| skipped.reason.as_str()).collect();
        assert!(reasons[0].contains("no text") && reasons[1].contains("json_syntax"), "{reasons:?}");
    }

    #[test]
    fn columns_can_be_named() {
        let sources =
            read("faq.csv", "Frage,Antwort\nWas?,Das hier.\n", &[("text", "Antwort"), ("title", "Frage")]);
        let passage = &sources.passages[0];
        assert_eq!(
            (passage.name.as_str(), passage.title.as_str(), passage.text.as_str()),
            ("faq-1", "Was?", "Das hier.")
        );
    }
}
