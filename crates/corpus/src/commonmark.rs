//! Markdown: CommonMark with tables, footnotes and formulas, and the HTML in it.

use std::path::Path;

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use crate::collect::Collector;
use crate::decode::decode;
use crate::table::{Grid, Span};
use crate::tidy::push_superscript;
use crate::{CorpusError, Document, Kind, Reader, Result, html};

/// Headings, paragraphs, lists, tables, captions, formulas, verbatim text and notes. An image that stands alone is its
/// caption. Under `removed` stand the metadata at the top, with the rule `front matter`, and `link definitions`.
#[derive(Debug, Clone, Copy, Default)]
pub struct MarkdownReader;

impl Reader for MarkdownReader {
    fn read(&self, path: &Path, bytes: &[u8]) -> Result<Document> {
        let decoded = decode(bytes);
        let mut walk = Walk::default();
        if let Some(warning) = decoded.warning {
            walk.out.warn(warning);
        }
        let options = Options::ENABLE_TABLES
            | Options::ENABLE_FOOTNOTES
            | Options::ENABLE_MATH
            | Options::ENABLE_HEADING_ATTRIBUTES
            | Options::ENABLE_STRIKETHROUGH
            | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
        let parser = Parser::new_ext(&decoded.text, options);
        let mut definitions: Vec<_> = parser.reference_definitions().iter().collect();
        definitions.sort_by_key(|(_, definition)| definition.span.start);
        for (label, definition) in definitions {
            walk.out.remove("link definitions", &format!("[{label}]: {}", definition.dest));
        }
        for event in parser {
            walk.event(event);
        }
        walk.flush(Kind::Paragraph);
        if walk.out.len() == 0 {
            let reason = "it holds no text".into();
            return Err(CorpusError::Malformed { path: path.into(), format: "Markdown", reason });
        }
        let title = walk.title;
        Ok(walk.out.document(bytes, title, None))
    }
}

#[derive(Debug, Default)]
struct Walk {
    out: Collector,
    title: Option<String>,
    /// Text of the block that is being read.
    run: String,
    /// Lists around the current place.
    lists: usize,
    /// Whether an item has begun and has no block yet.
    item: bool,
    table: Option<Grid>,
    row: Vec<String>,
    /// HTML of a block, until it ends.
    html: String,
    /// A superscript that has begun, with where in `run`.
    superscript: Option<usize>,
    /// Whether `run` is an image and nothing else.
    image: bool,
    metadata: bool,
    footnote: bool,
}

impl Walk {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(&tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) | Event::Code(text) => self.text(&text),
            Event::InlineMath(tex) => self.text(&format!("${tex}$")),
            Event::DisplayMath(tex) => {
                self.flush(Kind::Paragraph);
                self.out.push(Kind::Formula, &format!("$${tex}$$"));
            }
            Event::SoftBreak | Event::HardBreak => self.run.push('\n'),
            Event::Html(html) => self.html.push_str(&html),
            Event::InlineHtml(tag) => self.inline_html(&tag),
            Event::FootnoteReference(label) => self.run.push_str(&format!("[^{label}]")),
            Event::Rule | Event::TaskListMarker(_) => {}
        }
    }

    fn text(&mut self, text: &str) {
        self.run.push_str(text);
    }

    fn start(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::Paragraph => self.image = false,
            Tag::Heading { .. } | Tag::CodeBlock(_) | Tag::HtmlBlock => self.flush(Kind::Paragraph),
            Tag::List(_) => {
                self.flush(Kind::Paragraph);
                self.lists += 1;
            }
            Tag::Item => self.item = true,
            Tag::Table(_) => {
                self.flush(Kind::Paragraph);
                self.table = Some(Grid::default());
            }
            Tag::Image { .. } => self.image = self.run.trim().is_empty(),
            Tag::MetadataBlock(_) => self.metadata = true,
            Tag::FootnoteDefinition(label) => {
                self.flush(Kind::Paragraph);
                self.footnote = true;
                self.run = format!("[^{label}]: ");
            }
            _ => {}
        }
        if let Tag::CodeBlock(CodeBlockKind::Fenced(_) | CodeBlockKind::Indented) = tag {
            self.run.clear();
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Paragraph => {
                let kind = if std::mem::take(&mut self.image) { Kind::Caption } else { Kind::Paragraph };
                self.flush(kind);
            }
            TagEnd::Heading(level) => self.heading(level),
            TagEnd::Item => {
                self.flush(Kind::Paragraph);
                self.item = false;
            }
            TagEnd::List(_) => self.lists -= 1,
            TagEnd::CodeBlock => self.flush(Kind::Code),
            TagEnd::HtmlBlock => html::fragment(&std::mem::take(&mut self.html), &mut self.out),
            TagEnd::TableCell => self.row.push(std::mem::take(&mut self.run)),
            TagEnd::TableHead | TagEnd::TableRow => self.end_row(),
            TagEnd::Table => {
                let table = self.table.take().and_then(|grid| grid.to_markdown());
                self.out.push(Kind::Table, &table.unwrap_or_default());
            }
            TagEnd::MetadataBlock(_) => {
                self.metadata = false;
                let text = std::mem::take(&mut self.run);
                let title = text.lines().find_map(|line| line.strip_prefix("title:"));
                self.title = title.map(|title| title.trim().trim_matches(['"', '\'']).to_owned());
                self.out.remove("front matter", &text);
            }
            TagEnd::FootnoteDefinition => self.footnote = false,
            // Something after the image: it is no caption.
            TagEnd::Link | TagEnd::Emphasis | TagEnd::Strong => {}
            _ => {}
        }
    }

    fn heading(&mut self, level: HeadingLevel) {
        let text = std::mem::take(&mut self.run);
        if level == HeadingLevel::H1 && self.title.is_none() {
            self.title = Some(text.clone());
        }
        self.out.heading(level as usize, &text);
    }

    fn end_row(&mut self) {
        if let Some(grid) = &mut self.table {
            let mut row = grid.row();
            self.row.drain(..).for_each(|cell| row.cell(&cell, Span::default()));
            row.end();
        }
    }

    /// Tags that change the text around them; all others only wrap it.
    fn inline_html(&mut self, tag: &str) {
        let name: String =
            tag.trim_start_matches(['<', '/']).chars().take_while(char::is_ascii_alphanumeric).collect();
        match (name.to_ascii_lowercase().as_str(), tag.starts_with("</")) {
            ("sup", false) => self.superscript = Some(self.run.len()),
            ("sup", true) => {
                if let Some(at) = self.superscript.take().filter(|at| *at <= self.run.len()) {
                    let inner = self.run.split_off(at);
                    push_superscript(&mut self.run, &inner);
                }
            }
            ("br", _) => self.run.push(' '),
            _ => {}
        }
    }

    /// Ends the block that is being read.
    fn flush(&mut self, kind: Kind) {
        let text = std::mem::take(&mut self.run);
        self.superscript = None;
        if text.trim().is_empty() || self.metadata {
            return;
        }
        match kind {
            Kind::Paragraph if self.footnote => self.out.push(Kind::Footnote, &text),
            Kind::Paragraph if self.lists > 0 && std::mem::take(&mut self.item) => {
                self.out.item(self.lists - 1, &text);
            }
            _ => self.out.push(kind, &text),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::to_markdown;

    fn read(text: &str) -> Document {
        MarkdownReader.read(Path::new("a.md"), text.as_bytes()).unwrap()
    }

    #[test]
    fn what_is_written_in_the_plain_form_comes_back_as_it_was() {
        let text = "# Gout\n\nIt hurts.\n\n- first\n  - deep\n- second\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\n```\nx\n  \
                    y\n```\n\n$$a^2$$\n";
        assert_eq!(to_markdown(&read(text).blocks), text);
    }

    #[test]
    fn html_tables_superscripts_images_and_front_matter_are_understood() {
        let text = "---\ntitle: \"Gout\"\n---\n\n10<sup>-3</sup> mol of **it**[^1].\n\n![**Figure 1.** A heart](h.png){#f}\n\n\
                    <table><tr><td>a</td><td>5</td></tr></table>\n\n[^1]: A note.\n";
        let document = read(text);
        assert_eq!(document.title.as_deref(), Some("Gout"));
        assert_eq!((document.removed[0].rule.as_str(), document.blocks.len()), ("front matter", 4));
        let blocks: Vec<_> = document.blocks.iter().map(|b| (b.kind, b.text.as_str())).collect();
        assert_eq!(blocks[0], (Kind::Paragraph, "10^-3 mol of it[^1]."));
        assert_eq!(blocks[1].0, Kind::Caption);
        assert_eq!(blocks[2], (Kind::Table, "| a | 5 |\n| --- | --- |"));
        assert_eq!(blocks[3], (Kind::Footnote, "[^1]: A note."));
    }

    proptest! {
        #[test]
        fn every_word_of_a_text_is_in_its_blocks(
            lines in prop::collection::vec("(# |- |  - |> |1. |    )[a-z]{4}[0-9]{2} [a-z]{4}[0-9]{2}", 1..20)
        ) {
            let text = lines.join("\n");
            let read = to_markdown(&read(&text).blocks);
            for word in text.split_whitespace().filter(|word| word.len() == 6) {
                prop_assert!(read.contains(word), "{word} of {text} is not in {read}");
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = MarkdownReader.read(Path::new("a.md"), &bytes);
        }
    }
}
