//! Chunks: pieces of a document that fit into a prompt, each with its headings and the places that it came from.
//!
//! [`by_headings`] cuts where sections begin and joins small sections of one parent; [`by_characters`] cuts text by number
//! of characters as LangChain does ([`recursive`]).

mod characters;
mod pieces;
pub mod recursive;
mod stored;

use serde::{Deserialize, Serialize};

use crate::{Block, DocumentId, Kind, Place, to_markdown};
use pieces::{Piece, pieces};

pub use characters::{Characters, by_characters};
pub use stored::{StoredDocument, read_blocks};

/// How large chunks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChunkOptions {
    /// Tokens of a chunk's text, at most.
    pub max_tokens: usize,
    /// A chunk with fewer is joined with the next section if both fit.
    pub min_tokens: usize,
    /// Also sections without a heading in common, such as the chapters of a book.
    pub across_parts: bool,
    /// Cut by number of characters, as LangChain does, and not by headings; what is above does not count then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recursive: Option<Characters>,
}

impl Default for ChunkOptions {
    fn default() -> Self {
        ChunkOptions { max_tokens: 1024, min_tokens: 256, across_parts: false, recursive: None }
    }
}

/// A piece of a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chunk {
    /// Document and number, `1f2e3d4c5b6a-0007`: the same for the same document and options.
    pub id: String,
    /// Where it is from.
    pub document: DocumentId,
    /// The headings over it, from the title down; those that stand in the text are not among them.
    pub headings: Vec<String>,
    /// Markdown.
    pub text: String,
    /// The document's blocks that it is made of, ascending. A long block is in several chunks.
    pub blocks: Vec<usize>,
    /// Their pages, ascending.
    pub pages: Vec<u32>,
    /// Tokens of `text`, as they were counted.
    pub tokens: usize,
}

impl Chunk {
    /// Where its blocks stand, in their order.
    pub fn places(&self, blocks: &[Block]) -> Vec<Place> {
        self.blocks
            .iter()
            .filter_map(|&block| blocks.get(block))
            .flat_map(|b| b.places.iter().copied())
            .collect()
    }
}

/// A section that is being collected.
#[derive(Debug, Default)]
struct Draft {
    headings: Vec<String>,
    pieces: Vec<Piece>,
    tokens: usize,
}

/// Cuts a document as the options say.
pub fn cut(
    document: &DocumentId,
    blocks: &[Block],
    options: &ChunkOptions,
    count: &dyn Fn(&str) -> usize,
) -> Vec<Chunk> {
    match options.recursive {
        Some(characters) => by_characters(document, blocks, characters, count),
        None => by_headings(document, blocks, options, count),
    }
}

/// Cuts a document where its sections begin, and long sections between paragraphs, sentences, table rows or words, at last
/// between characters.
/// `count` counts the tokens of a text; it is taken for a text that is joined that it has about as many tokens as its
/// parts.
pub fn by_headings(
    document: &DocumentId,
    blocks: &[Block],
    options: &ChunkOptions,
    count: &dyn Fn(&str) -> usize,
) -> Vec<Chunk> {
    let mut drafts: Vec<Draft> = Vec::new();
    // Headings that are open: level and text.
    let mut open: Vec<(u8, String)> = Vec::new();
    let mut begins = true;
    for (index, block) in blocks.iter().enumerate() {
        if let Kind::Heading { level } = block.kind {
            open.retain(|(above, _)| *above < level);
            open.push((level, block.text.clone()));
            begins = true;
            continue;
        }
        if block.text.trim().is_empty() {
            continue;
        }
        if std::mem::take(&mut begins) {
            let headings = open.iter().map(|(_, text)| text.clone()).collect();
            drafts.push(Draft { headings, ..Draft::default() });
        }
        for piece in pieces(block, index, options.max_tokens.max(1), count) {
            let Some(draft) = drafts.last_mut() else { continue };
            if !draft.pieces.is_empty() && draft.tokens + piece.tokens > options.max_tokens {
                let headings = draft.headings.clone();
                drafts.push(Draft { headings, ..Draft::default() });
            }
            let Some(draft) = drafts.last_mut() else { continue };
            draft.tokens += piece.tokens;
            draft.pieces.push(piece);
        }
    }
    let named = |(number, draft): (usize, Draft)| finished(document, blocks, number, draft, count);
    join(drafts, options, count).into_iter().enumerate().map(named).collect()
}

/// Joins sections that are too small with those after them, under the headings that both have; the others go into the
/// text.
fn join(drafts: Vec<Draft>, options: &ChunkOptions, count: &dyn Fn(&str) -> usize) -> Vec<Draft> {
    let mut joined: Vec<Draft> = Vec::new();
    for draft in drafts {
        let Some(last) = joined.last_mut() else {
            joined.push(draft);
            continue;
        };
        let shared = last.headings.iter().zip(&draft.headings).take_while(|(a, b)| a == b).count();
        let small = last.tokens < options.min_tokens || draft.tokens < options.min_tokens;
        let titles =
            |headings: &[String]| headings.iter().map(|text| Piece::title(text, count)).collect::<Vec<_>>();
        let (above, below) = (titles(&last.headings[shared..]), titles(&draft.headings[shared..]));
        let with_titles: usize = above.iter().chain(&below).map(|piece| piece.tokens).sum();
        let tokens = last.tokens + draft.tokens + with_titles;
        // Sections that have no heading in common are of different parts of the document.
        let apart = shared == 0 && !last.headings.is_empty() && !options.across_parts;
        if !small || tokens > options.max_tokens || apart {
            joined.push(draft);
            continue;
        }
        last.headings.truncate(shared);
        last.pieces.splice(0..0, above);
        last.pieces.extend(below);
        last.pieces.extend(draft.pieces);
        last.tokens = tokens;
    }
    joined
}

fn finished(
    document: &DocumentId,
    blocks: &[Block],
    number: usize,
    draft: Draft,
    count: &dyn Fn(&str) -> usize,
) -> Chunk {
    let parts: Vec<Block> = draft.pieces.iter().map(|piece| piece.block.clone()).collect();
    let mut indices: Vec<usize> = draft.pieces.iter().filter_map(|piece| piece.index).collect();
    indices.sort_unstable();
    indices.dedup();
    let text = to_markdown(&parts).trim_end().to_owned();
    Chunk {
        id: id_of(document, number),
        document: document.clone(),
        headings: draft.headings,
        tokens: count(&text),
        text,
        pages: pages_of(blocks, &indices),
        blocks: indices,
    }
}

fn id_of(document: &DocumentId, number: usize) -> String {
    let name = document.to_string();
    format!("{}-{number:04}", name.get(..12).unwrap_or(&name))
}

/// The pages of some of the blocks, ascending.
fn pages_of(blocks: &[Block], indices: &[usize]) -> Vec<u32> {
    let places = indices.iter().filter_map(|&index| blocks.get(index)).flat_map(|block| &block.places);
    let mut pages: Vec<u32> = places.map(|place| place.page).collect();
    pages.sort_unstable();
    pages.dedup();
    pages
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> usize {
        text.split_whitespace().count()
    }

    fn block(kind: Kind, text: &str, page: u32) -> Block {
        Block { kind, text: text.into(), places: vec![Place { page, area: None }] }
    }

    fn heading(level: u8, text: &str) -> Block {
        block(Kind::Heading { level }, text, 1)
    }

    fn paragraph(text: &str, page: u32) -> Block {
        block(Kind::Paragraph, text, page)
    }

    fn chunks(blocks: &[Block], max_tokens: usize, min_tokens: usize) -> Vec<Chunk> {
        let options = ChunkOptions { max_tokens, min_tokens, ..ChunkOptions::default() };
        by_headings(&DocumentId::of(b"x"), blocks, &options, &words)
    }

    #[test]
    fn a_chunk_is_a_section_with_its_headings_blocks_and_pages() {
        let blocks = [
            heading(1, "Pericarditis"),
            heading(2, "Signs"),
            paragraph("Chest pain that grows when lying.", 1),
            paragraph("A friction rub.", 2),
            heading(2, "Treatment"),
            paragraph("Aspirin and colchicine.", 3),
        ];
        let chunks = chunks(&blocks, 100, 0);
        assert_eq!(chunks.len(), 2);
        assert_eq!(chunks[0].headings, ["Pericarditis", "Signs"]);
        assert_eq!(chunks[0].text, "Chest pain that grows when lying.\n\nA friction rub.");
        assert_eq!(
            (&chunks[0].blocks[..], &chunks[0].pages[..], chunks[0].tokens),
            (&[2, 3][..], &[1, 2][..], 9)
        );
        assert_eq!(chunks[1].headings, ["Pericarditis", "Treatment"]);
        assert!(chunks[1].id.ends_with("-0001") && chunks[1].id != chunks[0].id);
        assert_eq!(chunks[1].places(&blocks), blocks[5].places);
    }

    #[test]
    fn small_sections_are_joined_under_what_their_headings_share() {
        let blocks = [
            heading(1, "Pericarditis"),
            heading(2, "Signs"),
            paragraph("Chest pain.", 1),
            heading(2, "Treatment"),
            paragraph("Aspirin.", 1),
            heading(1, "Myocarditis"),
            paragraph("Fever.", 1),
        ];
        let chunks = chunks(&blocks, 100, 50);
        assert_eq!(chunks.len(), 2, "two diseases are never joined");
        assert_eq!(chunks[0].headings, ["Pericarditis"]);
        assert_eq!(chunks[0].text, "## Signs\n\nChest pain.\n\n## Treatment\n\nAspirin.");
        assert_eq!(chunks[1].headings, ["Myocarditis"]);

        let options = ChunkOptions { max_tokens: 100, min_tokens: 100, across_parts: true, recursive: None };
        let whole = by_headings(&DocumentId::of(b"x"), &blocks, &options, &words);
        assert_eq!((whole.len(), whole[0].headings.len()), (1, 0), "unless the whole document is wanted");
        assert_eq!(
            whole[0].text,
            "## Pericarditis\n\n## Signs\n\nChest pain.\n\n## Treatment\n\nAspirin.\n\n## Myocarditis\n\nFever."
        );
    }

    #[test]
    fn a_table_is_cut_between_rows_and_each_part_has_its_head() {
        let rows: Vec<String> = (0..6).map(|row| format!("| drug{row} | {row} mg |")).collect();
        let table = format!("| Drug | Dose |\n|---|---|\n{}", rows.join("\n"));
        let blocks = [heading(1, "Doses"), block(Kind::Table, &table, 1)];
        let chunks = chunks(&blocks, 25, 0);
        assert!(chunks.len() > 1);
        for chunk in &chunks {
            assert!(chunk.text.starts_with("| Drug | Dose |\n|---|---|\n| drug"), "{}", chunk.text);
            assert!(chunk.text.lines().all(|line| line.starts_with('|') && line.ends_with('|')));
            assert_eq!(chunk.blocks, [1]);
        }
        for row in &rows {
            assert_eq!(chunks.iter().filter(|chunk| chunk.text.contains(row.as_str())).count(), 1, "{row}");
        }
    }

    #[test]
    fn nothing_is_lost_whatever_the_limit() {
        let text: String = (0..200).map(|n| format!("Word{n} follows e.g. word {n}. ")).collect();
        let blocks = [paragraph("Before all headings.", 1), heading(1, "A"), paragraph(&text, 1)];
        for limit in [1, 3, 10, 64, 10_000] {
            let chunks = chunks(&blocks, limit, 0);
            let all: Vec<&str> = chunks.iter().flat_map(|chunk| chunk.text.split_whitespace()).collect();
            let expected: Vec<&str> =
                "Before all headings.".split(' ').chain(text.split_whitespace()).collect();
            assert_eq!(all, expected, "limit {limit}");
            assert!(chunks.iter().all(|chunk| chunk.tokens <= limit), "limit {limit}");
        }
    }

    #[test]
    fn a_document_without_text_has_no_chunks() {
        assert!(chunks(&[heading(1, "Nothing"), paragraph("  ", 1)], 10, 5).is_empty());
    }
}
