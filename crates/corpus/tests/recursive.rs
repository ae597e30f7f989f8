//! The recursive splitter against chunks that LangChain's own made (`tools/make_splitter_vectors.py`, with
//! langchain-text-splitters 1.1).

use corpus::chunk::recursive::{RecursiveOptions, split};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    texts: Vec<String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    size: usize,
    overlap: usize,
    separators: Option<Vec<String>>,
    text: usize,
    /// Where they are few; else their lengths and a checksum.
    chunks: Option<Vec<String>>,
    lengths: Option<Vec<usize>>,
    sum: Option<u64>,
}

fn checksum(chunks: &[String]) -> u64 {
    let joined = chunks.join("\u{241e}");
    joined.chars().zip(1u64..).fold(0, |sum, (c, at)| (sum + at * u64::from(u32::from(c))) % (1 << 32))
}

#[test]
fn chunks_are_those_of_langchain() {
    let vectors: Vectors = serde_json::from_str(include_str!("recursive.json")).unwrap();
    assert!(vectors.cases.len() > 100);
    for case in vectors.cases {
        let mut options = RecursiveOptions::new(case.size, case.overlap);
        options.separators = case.separators.unwrap_or(options.separators);
        let chunks = split(&vectors.texts[case.text], &options);
        let name = format!("text {} at {} with overlap {}", case.text, case.size, case.overlap);
        if let Some(expected) = case.chunks {
            assert_eq!(chunks, expected, "{name}");
        }
        if let Some(expected) = case.lengths {
            let lengths: Vec<usize> = chunks.iter().map(|chunk| chunk.chars().count()).collect();
            assert_eq!((lengths, Some(checksum(&chunks))), (expected, case.sum), "{name}");
        }
    }
}
