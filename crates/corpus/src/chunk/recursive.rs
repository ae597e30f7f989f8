//! Cuts by number of characters as LangChain's `RecursiveCharacterTextSplitter` does (`langchain-text-splitters`,
//! `character.py` and `base.py`, with its defaults: separators kept at the start of what follows, parts stripped), so
//! that what was indexed or generated with it can be made again.

/// How to cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecursiveOptions {
    /// Characters (Unicode code points) of a chunk, at most, if its separators allow it.
    pub chunk_size: usize,
    /// Characters that a chunk may have in common with the one before it.
    pub chunk_overlap: usize,
    /// Where to cut, the best first; an empty one cuts between any two characters.
    pub separators: Vec<String>,
}

impl RecursiveOptions {
    /// With LangChain's separators: paragraphs, lines, words, characters.
    pub fn new(chunk_size: usize, chunk_overlap: usize) -> Self {
        let separators = ["\n\n", "\n", " ", ""].map(str::to_owned).to_vec();
        RecursiveOptions { chunk_size, chunk_overlap, separators }
    }
}

/// The chunks of a text.
pub fn split(text: &str, options: &RecursiveOptions) -> Vec<String> {
    split_with(text, &options.separators, options)
}

fn split_with(text: &str, separators: &[String], options: &RecursiveOptions) -> Vec<String> {
    let found =
        separators.iter().position(|separator| separator.is_empty() || text.contains(separator.as_str()));
    let at = found.unwrap_or(separators.len().saturating_sub(1));
    let separator = separators.get(at).map_or("", String::as_str);
    let finer = match separator.is_empty() {
        true => &[],
        false => separators.get(at + 1..).unwrap_or_default(),
    };
    let mut chunks = Vec::new();
    let mut good: Vec<&str> = Vec::new();
    for part in parts(text, separator) {
        if length(part) < options.chunk_size {
            good.push(part);
            continue;
        }
        chunks.extend(merge(&good, options));
        good.clear();
        match finer.is_empty() {
            true => chunks.push(part.to_owned()),
            false => chunks.extend(split_with(part, finer, options)),
        }
    }
    chunks.extend(merge(&good, options));
    chunks
}

/// The parts of a text, each with the separator before it; empty ones left out.
fn parts<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    let mut starts: Vec<usize> = match separator.is_empty() {
        true => text.char_indices().map(|(at, _)| at).collect(),
        false => text.match_indices(separator).map(|(at, _)| at).collect(),
    };
    starts.insert(0, 0);
    starts.push(text.len());
    starts.windows(2).map(|ends| &text[ends[0]..ends[1]]).filter(|part| !part.is_empty()).collect()
}

/// Parts put together into chunks; the last parts of a chunk, as far as they are within the overlap, begin the next.
fn merge(parts: &[&str], options: &RecursiveOptions) -> Vec<String> {
    let mut chunks = Vec::new();
    let mut current: std::collections::VecDeque<&str> = std::collections::VecDeque::new();
    let mut total = 0;
    let mut close = |current: &std::collections::VecDeque<&str>| {
        let text: String = current.iter().copied().collect();
        // Python's `str.strip` takes these separators of files and records for blanks as well.
        let text = text.trim_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c));
        if !text.is_empty() {
            chunks.push(text.to_owned());
        }
    };
    for part in parts {
        let size = length(part);
        if total + size > options.chunk_size && !current.is_empty() {
            close(&current);
            while total > options.chunk_overlap || (total + size > options.chunk_size && total > 0) {
                total -= current.pop_front().map_or(total, length);
            }
        }
        current.push_back(part);
        total += size;
    }
    close(&current);
    chunks
}

fn length(text: &str) -> usize {
    text.chars().count()
}
