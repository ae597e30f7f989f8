//! PDF files with a text layer.
//!
//! ```text
//! spans ▸ lines ▸ running heads aside ▸ tables ▸ columns ▸ paragraphs ▸ captions, headings, lists ▸ blocks
//! ```

mod columns;
mod element;
mod furniture;
mod heading;
mod library;
mod line;
mod list;
mod paragraph;
mod role;
mod table;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use columns::Piece;
use element::{Element, Role};
use library::{Source, Style};
use line::Line;
use paragraph::Paragraph;
use table::Table;

use crate::document::pages_in_words;
use crate::hyphen::Vocabulary;
use crate::{CorpusError, Document, DocumentId, Reader, Result};

/// Reads the text layer of PDF files; pages without one are named in the document's warnings.
#[derive(Debug, Clone, Copy)]
pub struct PdfReader {
    /// Trust the file's bookmarks for headings where they match its text. On by default.
    pub outline: bool,
}

impl Default for PdfReader {
    fn default() -> Self {
        Self { outline: true }
    }
}

impl Reader for PdfReader {
    fn read(&self, path: &Path, bytes: &[u8]) -> Result<Document> {
        let malformed = |reason| CorpusError::Malformed { path: path.to_owned(), format: "PDF", reason };
        // The parser is another's and reads what anybody sends: a panic of it is a broken file, not a broken program.
        let read = catch_unwind(AssertUnwindSafe(|| {
            library::load(bytes).map(|source| self.document(bytes, source))
        }));
        match read {
            Ok(document) => document.map_err(malformed),
            Err(_) => Err(malformed("its structure defeats the parser".into())),
        }
    }
}

impl PdfReader {
    fn document(self, bytes: &[u8], mut source: Source) -> Document {
        let mut pages: Vec<Vec<Line>> =
            source.pages.iter().map(|page| line::lines(page.number, &page.spans, line::COLUMN_GAP)).collect();
        let mut warnings = std::mem::take(&mut source.warnings);
        warnings.extend(without_text(&source));
        let furniture = furniture::take(&mut pages, &source.pages);
        let vocabulary = vocabulary(&pages);
        let body = body_style(&pages);
        let leading = leading(&pages, body);
        let mut elements = Vec::new();
        for ((lines, page), aside) in pages.into_iter().zip(&source.pages).zip(furniture) {
            page_elements(lines, page, leading, &mut elements);
            elements.extend(aside.into_iter().map(|line| {
                let column = (line.area.x0, line.area.x1);
                let paragraph = Paragraph { lines: vec![line], column, room: f32::INFINITY };
                Element::Text(paragraph, Role::Furniture)
            }));
        }
        let context = heading::Context { body, leading, vocabulary: &vocabulary };
        role::captions_and_notes(&mut elements, &source.pages, &context);
        let bookmarks = if self.outline { source.outline.as_slice() } else { &[] };
        heading::mark(&mut elements, bookmarks, &context);
        let mut elements = role::joined(elements, &context);
        role::list_items(&mut elements, &context);
        Document {
            id: DocumentId::of(bytes),
            title: title(&elements, &vocabulary).or(source.title),
            pages: u32::try_from(source.pages.len()).ok(),
            blocks: elements.into_iter().map(|element| element.into_block(&vocabulary)).collect(),
            removed: Vec::new(),
            warnings,
        }
    }
}

fn title(elements: &[Element], vocabulary: &Vocabulary) -> Option<String> {
    elements.iter().find_map(|element| match element {
        Element::Text(paragraph, Role::Heading(1)) => Some(paragraph.text(vocabulary)),
        _ => None,
    })
}

fn without_text(source: &Source) -> Option<String> {
    let empty = source.pages.iter().filter(|page| page.spans.is_empty());
    let empty: Vec<u32> = empty.map(|page| page.number).collect();
    (!empty.is_empty()).then(|| format!("no text layer on {}", pages_in_words(&empty)))
}

fn vocabulary(pages: &[Vec<Line>]) -> Vocabulary {
    let texts: Vec<String> = pages.iter().flatten().map(Line::text).collect();
    Vocabulary::of(texts.iter().map(String::as_str))
}

/// The style of most letters in lines of text.
fn body_style(pages: &[Vec<Line>]) -> Style {
    let mut counts: HashMap<Style, usize> = HashMap::new();
    for line in pages.iter().flatten() {
        let letters = line.text().chars().filter(|c| c.is_alphabetic()).count();
        // Labels and cells are many and short.
        let weight = if letters >= 20 { 4 * letters } else { letters };
        *counts.entry(line.style).or_default() += weight;
    }
    let most = counts.into_iter().max_by_key(|&(style, count)| (count, std::cmp::Reverse(style)));
    most.map_or(Style { quarters: 40, font: 0, bold: false, italic: false }, |(style, _)| style)
}

/// The usual distance between baselines of running text, in ems.
fn leading(pages: &[Vec<Line>], body: Style) -> f32 {
    let mut pitches: Vec<f32> = Vec::new();
    for lines in pages {
        let mut own: Vec<&Line> = lines.iter().filter(|line| line.style == body).collect();
        own.sort_by(|a, b| a.baseline.total_cmp(&b.baseline));
        for (index, line) in own.iter().enumerate() {
            let below = own[index + 1..].iter().take(12).find(|next| {
                next.baseline > line.baseline + 0.5 * body.size()
                    && next.area.x0 < line.area.x1
                    && next.area.x1 > line.area.x0
            });
            pitches.extend(below.map(|next| (next.baseline - line.baseline) / body.size()));
        }
    }
    pitches.sort_by(f32::total_cmp);
    pitches.get(pitches.len() / 2).copied().unwrap_or(1.2).clamp(0.9, 2.6)
}

/// Tables and paragraphs of a page in reading order.
fn page_elements(mut lines: Vec<Line>, page: &library::Page, leading: f32, elements: &mut Vec<Element>) {
    let tables = table::ruled(&mut lines, page);
    let lines = list::with_their_marks(lines);
    let pieces: Vec<Piece> = lines
        .iter()
        .map(|line| Piece { area: line.area, size: line.size(), length: line.text().chars().count() })
        .chain(tables.iter().map(|table| Piece { area: table.area, size: 10.0, length: 0 }))
        .collect();
    let mut lines: Vec<Option<Line>> = lines.into_iter().map(Some).collect();
    let mut tables: Vec<Option<Table>> = tables.into_iter().map(Some).collect();
    for column in columns::columns(&pieces) {
        let mut pending: Vec<Line> = Vec::new();
        for index in column {
            match index.checked_sub(lines.len()) {
                None => pending.extend(lines[index].take()),
                Some(table) => {
                    flow(std::mem::take(&mut pending), leading, elements);
                    elements.extend(tables[table].take().map(Element::Table));
                }
            }
        }
        flow(pending, leading, elements);
    }
}

/// Lines of one column without a ruled table among them.
fn flow(lines: Vec<Line>, leading: f32, elements: &mut Vec<Element>) {
    let mut pending = Vec::new();
    let text = |pending: &mut Vec<Line>, elements: &mut Vec<Element>| {
        let paragraphs = paragraph::of_column(std::mem::take(pending), leading);
        elements.extend(paragraphs.into_iter().map(|p| Element::Text(p, Role::Body)));
    };
    for part in table::split_column(table::rows(lines)) {
        match part {
            table::Part::Line(line) => pending.push(line),
            table::Part::Table(table) => {
                text(&mut pending, elements);
                elements.push(Element::Table(table));
            }
        }
    }
    text(&mut pending, elements);
}
