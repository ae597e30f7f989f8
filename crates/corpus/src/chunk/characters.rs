//! Chunks by number of characters, each with the blocks that its text is from.

use serde::{Deserialize, Serialize};

use super::recursive::{self, RecursiveOptions};
use super::{Chunk, id_of, pages_of};
use crate::markdown::with_ranges;
use crate::{Block, DocumentId, Kind};

/// How many characters a chunk has, in the words of LangChain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Characters {
    /// Characters (Unicode code points), at most.
    pub chunk_size: usize,
    /// Characters that a chunk may have in common with the one before it.
    #[serde(default)]
    pub chunk_overlap: usize,
}

/// Cuts the document's Markdown as [`recursive::split`] does; headings are text like any other, and those before a chunk
/// are its headings. `count` counts the tokens of a text.
pub fn by_characters(
    document: &DocumentId,
    blocks: &[Block],
    characters: Characters,
    count: &dyn Fn(&str) -> usize,
) -> Vec<Chunk> {
    let (markdown, ranges) = with_ranges(blocks);
    let Characters { chunk_size, chunk_overlap } = characters;
    let texts = recursive::split(&markdown, &RecursiveOptions::new(chunk_size, chunk_overlap));
    let (mut chunks, mut end_before) = (Vec::with_capacity(texts.len()), 0);
    // Headings that are open before the next block: level and text.
    let (mut open, mut next): (Vec<(u8, &str)>, usize) = (Vec::new(), 0);
    for (number, text) in texts.into_iter().enumerate() {
        let from = back(&markdown, end_before, chunk_overlap);
        let start = markdown[from..].find(&text).map_or(from, |at| from + at);
        end_before = start + text.len();
        let first = ranges.partition_point(|range| range.end <= start);
        let indices: Vec<usize> = (first..ranges.partition_point(|range| range.start < end_before)).collect();
        for block in blocks.get(next..first).unwrap_or_default() {
            if let Kind::Heading { level } = block.kind {
                open.retain(|(above, _)| *above < level);
                open.push((level, &block.text));
            }
        }
        next = next.max(first);
        chunks.push(Chunk {
            id: id_of(document, number),
            document: document.clone(),
            headings: open.iter().map(|(_, text)| (*text).to_owned()).collect(),
            tokens: count(&text),
            text,
            pages: pages_of(blocks, &indices),
            blocks: indices,
        });
    }
    chunks
}

/// The place so many characters before another one.
fn back(text: &str, end: usize, characters: usize) -> usize {
    match characters {
        0 => end,
        characters => text[..end].char_indices().rev().nth(characters - 1).map_or(0, |(at, _)| at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Place, to_markdown};

    fn block(kind: Kind, text: &str, page: u32) -> Block {
        Block { kind, text: text.into(), places: vec![Place { page, area: None }] }
    }

    fn blocks() -> Vec<Block> {
        vec![
            block(Kind::Heading { level: 1 }, "Pericarditis", 1),
            block(Kind::Heading { level: 2 }, "Signs", 1),
            block(Kind::Paragraph, "Chest pain that grows when lying. It hurts.", 1),
            block(Kind::Paragraph, "It hurts. It hurts. It hurts. It hurts. It hurts.", 2),
            block(Kind::Heading { level: 2 }, "Treatment", 3),
            block(Kind::Paragraph, "Aspirin, über Tage hinweg.", 3),
        ]
    }

    fn chunks(chunk_size: usize, chunk_overlap: usize) -> Vec<Chunk> {
        let characters = Characters { chunk_size, chunk_overlap };
        by_characters(&DocumentId::of(b"x"), &blocks(), characters, &|text| text.split_whitespace().count())
    }

    #[test]
    fn the_texts_are_those_of_the_splitter() {
        for (size, overlap) in [(20, 0), (30, 10), (60, 20), (1000, 0)] {
            let options = RecursiveOptions::new(size, overlap);
            let texts: Vec<String> = chunks(size, overlap).into_iter().map(|chunk| chunk.text).collect();
            assert_eq!(texts, recursive::split(&to_markdown(&blocks()), &options));
        }
    }

    #[test]
    fn a_chunk_knows_its_blocks_pages_and_the_headings_before_it() {
        let chunks = chunks(60, 0);
        let facts: Vec<_> = chunks
            .iter()
            .map(|chunk| (chunk.headings.join(" > "), &chunk.blocks[..], &chunk.pages[..]))
            .collect();
        let expected: [(String, &[usize], &[u32]); 4] = [
            (String::new(), &[0, 1], &[1]),
            ("Pericarditis > Signs".into(), &[2], &[1]),
            ("Pericarditis > Signs".into(), &[3], &[2]),
            ("Pericarditis > Signs".into(), &[4, 5], &[3]),
        ];
        assert_eq!(facts, expected);
        assert!(chunks[3].id.ends_with("-0003"));
    }

    #[test]
    fn words_that_stand_in_several_blocks_are_found_in_the_right_one() {
        let all = chunks(20, 10);
        let repeated: Vec<_> = all.iter().filter(|chunk| chunk.text.ends_with("It hurts.")).collect();
        assert!(repeated.len() > 2, "{all:?}");
        assert!(repeated[1..].iter().any(|chunk| chunk.blocks == [3] && chunk.pages == [2]), "{repeated:?}");
        assert!(all.windows(2).all(|pair| pair[0].blocks[0] <= pair[1].blocks[0]), "{all:?}");
    }
}
