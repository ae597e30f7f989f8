//! Plain text.

use std::path::Path;

use crate::collect::Collector;
use crate::decode::decode;
use crate::hyphen::{self, Vocabulary};
use crate::{CorpusError, Document, Kind, Place, Reader, Result};

/// A heading in capitals is at most so long.
const LONGEST_HEADING: usize = 80;

/// Paragraphs set apart by empty lines, lists, underlined headings and headings in capitals, columns as verbatim text.
/// A form feed begins a page, as `pdftotext` writes it.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlainReader;

impl Reader for PlainReader {
    fn read(&self, path: &Path, bytes: &[u8]) -> Result<Document> {
        let decoded = decode(bytes);
        let mut out = Collector::default();
        if let Some(warning) = decoded.warning {
            out.warn(warning);
        }
        let text = decoded.text.trim_end_matches('\u{c}');
        let paged = text.contains('\u{c}');
        let vocabulary = Vocabulary::of(text.lines());
        let mut pages = 0;
        for page in text.split('\u{c}') {
            pages += 1;
            let start = out.len();
            read_page(page, &vocabulary, &mut out);
            if paged {
                out.since(start)
                    .iter_mut()
                    .for_each(|block| block.places.push(Place { page: pages, area: None }));
            }
        }
        if out.len() == 0 {
            let reason = "it holds no text".into();
            return Err(CorpusError::Malformed { path: path.into(), format: "plain text", reason });
        }
        Ok(out.document(bytes, None, paged.then_some(pages)))
    }
}

fn read_page(page: &str, vocabulary: &Vocabulary, out: &mut Collector) {
    let lines: Vec<&str> = page.lines().map(str::trim_end).collect();
    for paragraph in lines.split(|line| line.trim().is_empty()).filter(|lines| !lines.is_empty()) {
        read_paragraph(paragraph, vocabulary, out);
    }
}

fn read_paragraph(lines: &[&str], vocabulary: &Vocabulary, out: &mut Collector) {
    match lines {
        [title, line, rest @ ..] if is_underline(line, title) => {
            out.heading(if line.trim().starts_with('=') { 1 } else { 2 }, title);
            if !rest.is_empty() {
                read_paragraph(rest, vocabulary, out);
            }
        }
        [title] if is_capital_heading(title) => out.heading(2, title),
        _ if lines.len() > 1 && 2 * lines.iter().filter(|line| has_columns(line)).count() > lines.len() => {
            out.push(Kind::Code, &lines.join("\n"));
        }
        _ => read_lines(lines, vocabulary, out),
    }
}

/// Items of lists, and all other lines joined, with the words that their ends have divided.
fn read_lines(lines: &[&str], vocabulary: &Vocabulary, out: &mut Collector) {
    let (mut run, mut depth) = (String::new(), None);
    let mut flush = |run: &mut String, depth: Option<usize>| {
        let mut text = std::mem::take(run);
        hyphen::finish(&mut text);
        match depth {
            Some(depth) => out.item(depth, &text),
            None => out.push(Kind::Paragraph, &text),
        }
    };
    for line in lines {
        if let Some(item) = bullet(line) {
            flush(&mut run, depth);
            depth = Some((line.len() - line.trim_start().len()) / 2);
            hyphen::append(&mut run, &without_soft_hyphens(item), vocabulary);
        } else {
            hyphen::append(&mut run, &without_soft_hyphens(line), vocabulary);
        }
    }
    flush(&mut run, depth);
}

/// A soft hyphen says where a word may be divided, and is seen at the end of a line alone.
fn without_soft_hyphens(line: &str) -> String {
    let line = line.trim();
    let (inner, end) = line.strip_suffix('\u{ad}').map_or((line, ""), |inner| (inner, "\u{ad}"));
    inner.replace('\u{ad}', "") + end
}

/// What follows the mark of an item. Numbers are no marks: they stay in the text.
fn bullet(line: &str) -> Option<&str> {
    let line = line.trim_start();
    ["- ", "* ", "• ", "– ", "· "].iter().find_map(|mark| line.strip_prefix(mark))
}

fn is_underline(line: &str, title: &str) -> bool {
    let line = line.trim();
    let of = |mark: char| line.chars().all(|c| c == mark);
    line.len() >= 3 && (of('=') || of('-')) && !title.trim().is_empty() && bullet(title).is_none()
}

fn is_capital_heading(line: &str) -> bool {
    let letters: Vec<char> = line.chars().filter(|c| c.is_alphabetic()).collect();
    letters.len() >= 4
        && line.chars().count() <= LONGEST_HEADING
        && letters.iter().all(|c| c.is_uppercase())
        && !line.trim_end().ends_with(['.', ',', ';', '!', '?'])
        && bullet(line).is_none()
}

/// Whether a line has cells: texts with three blanks or a tab between them.
fn has_columns(line: &str) -> bool {
    let line = line.trim();
    line.contains("   ") || line.contains('\t')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Format, to_markdown};

    fn read(text: &str) -> Document {
        PlainReader.read(Path::new("a.txt"), text.as_bytes()).unwrap()
    }

    #[test]
    fn lines_are_joined_and_lists_headings_and_columns_are_kept() {
        let text = "Gout\n====\n\nIt hurts\nat night.\n- first\n  goes on\n- second\n\nPAST HISTORY\n\n1. None known.\n\n\
                    Drug    mg\nA       5\n";
        let expected = "# Gout\n\nIt hurts at night.\n\n- first goes on\n- second\n\n## PAST HISTORY\n\n1. None known.\n\n\
                        ```\nDrug    mg\nA       5\n```\n";
        assert_eq!(to_markdown(&read(text).blocks), expected);
    }

    #[test]
    fn words_that_the_end_of_a_line_has_divided_are_joined() {
        let text = "A para-\ngraph on hyper\u{ad}\nten\u{ad}sion, a well-\nknown disease. Well-known, 5-\n10 mg, pre-\nand \
                    postoperative.\n\n- an intra-\n  venous drug\n";
        let expected = "A paragraph on hypertension, a well-known disease. Well-known, 5-10 mg, pre- and postoperative.\n\n\
                        - an intravenous drug\n";
        assert_eq!(to_markdown(&read(text).blocks), expected);
    }

    #[test]
    fn a_form_feed_begins_a_page() {
        let document = read("One.\n\u{c}Two.\n\nThree.\n\u{c}");
        let pages: Vec<u32> = document.blocks.iter().map(|block| block.places[0].page).collect();
        assert_eq!((pages.as_slice(), document.pages), ([1, 2, 2].as_slice(), Some(2)));
    }

    #[test]
    fn a_file_without_text_is_refused() {
        let error = PlainReader.read(Path::new("a.txt"), b" \n\n").unwrap_err().to_string();
        assert_eq!(error, "a.txt: not a readable plain text: it holds no text");
    }

    proptest! {
        #[test]
        fn every_word_of_a_text_is_in_its_blocks(text in "([a-zA-Z0-9]{1,6}|[ \\n\\t\\x0c#=.-]){1,80}") {
            if let Ok(document) = PlainReader.read(Path::new("a.txt"), text.as_bytes()) {
                let count = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).count();
                let kept: usize = document.blocks.iter().map(|block| count(&block.text)).sum();
                prop_assert_eq!(kept, count(&text));
            }
        }

        #[test]
        fn any_bytes_have_a_format_or_a_reason(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Err(reason) = Format::detect(Path::new("a.pdf"), &bytes) {
                prop_assert!(!reason.is_empty());
            }
        }
    }
}
