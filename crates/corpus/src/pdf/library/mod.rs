//! The one module that knows the library which parses PDF files.
//!
//! Everything it hands out is measured from the page's upper left corner, in points.

mod forms;
mod nesting;
mod rulings;

use std::collections::HashMap;

use unpdf::Error;
use unpdf::parser::backend::{PageBox, PdfBackend, RawBackend, RawOutlineItem};
use unpdf::parser::{LayoutAnalyzer, TextSpan};

use crate::Area;
use crate::document::pages_in_words;

/// What a file holds.
pub(super) struct Source {
    pub(super) title: Option<String>,
    pub(super) pages: Vec<Page>,
    /// Bookmarks in order, with their depth from 0.
    pub(super) outline: Vec<Bookmark>,
    pub(super) warnings: Vec<String>,
}

pub(super) struct Bookmark {
    pub(super) depth: u8,
    pub(super) title: String,
}

pub(super) struct Page {
    /// From 1.
    pub(super) number: u32,
    pub(super) height: f32,
    /// In the order in which the file paints them.
    pub(super) spans: Vec<Span>,
    pub(super) rulings: Vec<Ruling>,
}

/// A straight line drawn on the page, or a rectangle too thin to be anything else.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Ruling {
    Horizontal { y: f32, x0: f32, x1: f32 },
    Vertical { x: f32, y0: f32, y1: f32 },
}

/// A face in a size. Two spans of one style look alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Style {
    /// Quarters of a point.
    pub(super) quarters: u16,
    /// Number of the font's name in this file.
    pub(super) font: u16,
    pub(super) bold: bool,
    pub(super) italic: bool,
}

impl Style {
    /// In points.
    pub(super) fn size(self) -> f32 {
        f32::from(self.quarters) / 4.0
    }
}

/// Text that one operator of the file paints.
#[derive(Debug, Clone)]
pub(super) struct Span {
    pub(super) text: String,
    pub(super) area: Area,
    pub(super) baseline: f32,
    pub(super) style: Style,
    /// Reads in another direction than from left to right.
    pub(super) turned: bool,
}

/// Largest number of pages that is read; a file that claims more is not a document.
const MAX_PAGES: usize = 20_000;

/// Parses a whole file.
///
/// # Errors
/// The reason, in words for a person.
pub(super) fn load(bytes: &[u8]) -> Result<Source, String> {
    if !bytes.iter().take(1024).collect::<Vec<_>>().windows(5).any(|w| w.iter().copied().eq(b"%PDF-")) {
        return Err("it does not begin with %PDF-".into());
    }
    let depth = nesting::depth(bytes);
    if depth > nesting::DEEPEST {
        return Err(format!("its objects are nested {depth} deep"));
    }
    let backend = RawBackend::load_bytes(bytes).map_err(reason)?;
    let numbers = backend.pages();
    if numbers.is_empty() {
        return Err("it has no pages".into());
    }
    if numbers.len() > MAX_PAGES {
        return Err(format!("it has {} pages, more than {MAX_PAGES}", numbers.len()));
    }
    let mut warnings = Vec::new();
    let integrity = backend.integrity();
    if integrity.pages_incomplete() {
        warnings.push(format!(
            "the file is damaged: {} of {} declared pages were found",
            integrity.found_page_count,
            integrity.declared_page_count.unwrap_or_default()
        ));
    }
    let mut fonts = HashMap::new();
    let mut pages = Vec::with_capacity(numbers.len());
    let (mut undecoded, mut unreadable) = (Vec::new(), Vec::new());
    for (&number, &id) in &numbers {
        let content = backend.page_content(id).unwrap_or_default();
        let operations = backend.decode_content(&content).unwrap_or_default();
        if forms::too_many(&backend, id, &operations) {
            return Err(format!("page {number} paints more than {} forms", forms::MOST));
        }
        let analyzer = LayoutAnalyzer::new(&backend);
        let frame = backend.crop_box(id);
        let spans = match analyzer.extract_page_spans(number) {
            Ok(spans) => spans.into_iter().filter_map(|s| span(s, &frame, &mut fonts)).collect(),
            Err(_) => {
                unreadable.push(number);
                Vec::new()
            }
        };
        if analyzer.undecodable_content_streams() > 0 || analyzer.suppressed_text_runs() > 0 {
            undecoded.push(number);
        }
        let rulings = rulings::of_page(&backend, id, &operations, &frame);
        pages.push(Page { number, height: frame.height(), spans, rulings });
    }
    if !unreadable.is_empty() {
        warnings.push(format!("unreadable content on {}", pages_in_words(&unreadable)));
    }
    if !undecoded.is_empty() {
        warnings.push(format!("text that could not be decoded on {}", pages_in_words(&undecoded)));
    }
    let mut outline = Vec::new();
    flatten(&backend.outline().unwrap_or_default(), 0, &mut outline);
    let title = backend.metadata().title.filter(|title| !title.trim().is_empty());
    Ok(Source { title, pages, outline, warnings })
}

fn reason(error: Error) -> String {
    match error {
        Error::Encrypted | Error::InvalidPassword => "it is encrypted with a password".into(),
        Error::UnknownFormat => "it is not a PDF file".into(),
        other => other.to_string(),
    }
}

fn span(span: TextSpan, frame: &PageBox, fonts: &mut HashMap<String, u16>) -> Option<Span> {
    let finite = [span.x, span.y, span.width, span.font_size].into_iter().all(f32::is_finite);
    if !finite || span.text.trim().is_empty() {
        return None;
    }
    let size = span.font_size.abs().clamp(0.25, 2000.0);
    let next = u16::try_from(fonts.len()).unwrap_or(u16::MAX);
    let font = *fonts.entry(family(&span.font_name).to_owned()).or_insert(next);
    // Publishers' own names of fonts mark weight and slope by a last letter.
    let marks = family(&span.font_name).rsplit_once('.').map_or("", |(_, marks)| marks);
    let marked = |mark| marks.len() <= 2 && marks.contains(mark);
    let width = match span.ink_width {
        Some(ink) if span.width_measured => ink,
        _ => span.width,
    };
    let (x0, baseline) = (span.x - frame.llx, frame.ury - span.y);
    Some(Span {
        area: Area { x0, y0: baseline - 0.8 * size, x1: x0 + width.max(0.0), y1: baseline + 0.2 * size },
        baseline,
        style: Style {
            quarters: (size * 4.0).round() as u16,
            font,
            bold: span.is_bold || marked('B'),
            italic: span.is_italic || marked('I'),
        },
        turned: span.is_rotated(),
        text: span.text,
    })
}

/// The name without the tag of a subset (`ABCDEF+Name`) and of its part (`Name+20`).
fn family(name: &str) -> &str {
    let name = match name.split_once('+') {
        Some((tag, rest)) if tag.len() == 6 && tag.bytes().all(|b| b.is_ascii_uppercase()) => rest,
        _ => name,
    };
    match name.rsplit_once('+') {
        Some((rest, part)) if part.bytes().all(|b| b.is_ascii_hexdigit()) => rest,
        _ => name,
    }
}

fn flatten(items: &[RawOutlineItem], depth: u8, outline: &mut Vec<Bookmark>) {
    for item in items {
        let title = item.title.trim().to_owned();
        if !title.is_empty() {
            outline.push(Bookmark { depth, title });
        }
        if depth < 8 {
            flatten(&item.children, depth + 1, outline);
        }
    }
}
