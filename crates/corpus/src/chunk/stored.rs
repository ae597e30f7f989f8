//! `blocks.jsonl`: the blocks of all documents of a corpus, as `medtune ingest` writes them.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;

use crate::{Block, CorpusError, DocumentId, Result};

/// One line longer than this is no block.
const LINE_LIMIT: u64 = 16 << 20;

/// A document as it is kept in a corpus.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredDocument {
    /// From the bytes of the file.
    pub id: DocumentId,
    /// In reading order.
    pub blocks: Vec<Block>,
}

#[derive(Deserialize)]
struct Line {
    document: DocumentId,
    block: usize,
    #[serde(flatten)]
    content: Block,
}

/// The documents in a file of blocks, in the order of their first lines.
///
/// # Errors
/// `Io` when the file cannot be read; `Malformed` with the number of the first line that is no block, or whose number
/// is not the next one of its document.
pub fn read_blocks(path: &Path) -> Result<Vec<StoredDocument>> {
    let io = |source| CorpusError::Io { path: path.to_owned(), source };
    let malformed = |line: usize, reason: String| CorpusError::Malformed {
        path: path.to_owned(),
        format: "file of blocks",
        reason: format!("line {line}: {reason}"),
    };
    let mut reader = BufReader::new(File::open(path).map_err(io)?);
    let (mut documents, mut places): (Vec<StoredDocument>, HashMap<DocumentId, usize>) = Default::default();
    let mut text = Vec::new();
    for number in 1.. {
        text.clear();
        let read = std::io::Read::take(&mut reader, LINE_LIMIT).read_until(b'\n', &mut text).map_err(io)?;
        if read == 0 {
            break;
        }
        if read as u64 == LINE_LIMIT && text.last() != Some(&b'\n') {
            return Err(malformed(number, format!("longer than {LINE_LIMIT} bytes")));
        }
        if text.trim_ascii().is_empty() {
            continue;
        }
        let line: Line =
            serde_json::from_slice(&text).map_err(|error| malformed(number, error.to_string()))?;
        let place = *places.entry(line.document.clone()).or_insert_with(|| {
            documents.push(StoredDocument { id: line.document.clone(), blocks: Vec::new() });
            documents.len() - 1
        });
        let blocks = &mut documents[place].blocks;
        if line.block != blocks.len() {
            let reason =
                format!("block {} of {}, expected block {}", line.block, line.document, blocks.len());
            return Err(malformed(number, reason));
        }
        blocks.push(line.content);
    }
    Ok(documents)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Area, Kind, Place};

    fn read(text: &str) -> Result<Vec<StoredDocument>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("blocks.jsonl");
        std::fs::write(&path, text).unwrap();
        read_blocks(&path)
    }

    #[test]
    fn blocks_are_read_back_by_document() {
        let (a, b) = (DocumentId::of(b"a"), DocumentId::of(b"b"));
        let text = format!(
            "{{\"document\":\"{a}\",\"block\":0,\"kind\":\"heading\",\"level\":2,\"text\":\"Signs\"}}\n\
             {{\"document\":\"{b}\",\"block\":0,\"kind\":\"table\",\"text\":\"| x |\"}}\n\n\
             {{\"document\":\"{a}\",\"block\":1,\"kind\":\"paragraph\",\"text\":\"Pain.\",\
             \"places\":[{{\"page\":3,\"area\":{{\"x0\":1,\"y0\":2,\"x1\":3,\"y1\":4}}}}]}}\n"
        );
        let documents = read(&text).unwrap();
        assert_eq!((documents.len(), &documents[0].id, &documents[1].id), (2, &a, &b));
        assert_eq!(documents[0].blocks[0].kind, Kind::Heading { level: 2 });
        let area = Some(Area { x0: 1.0, y0: 2.0, x1: 3.0, y1: 4.0 });
        assert_eq!(documents[0].blocks[1].places, [Place { page: 3, area }]);
    }

    #[test]
    fn a_line_that_is_no_block_is_named() {
        let a = DocumentId::of(b"a");
        let wrong = |text: &str| read(text).unwrap_err().to_string();
        assert!(wrong("{}\n").contains("line 1: missing field"));
        assert!(wrong(&format!("\n{{\"document\":\"{a}\",\"blo")).contains("line 2: "));
        let skipped = format!("{{\"document\":\"{a}\",\"block\":1,\"kind\":\"paragraph\",\"text\":\"x\"}}");
        assert!(wrong(&skipped).contains("expected block 0"));
    }
}
