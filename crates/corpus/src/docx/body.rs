//! Paragraphs and tables of a Word document.

use roxmltree::Node;

use super::styles::{self, Role, Styles};
use crate::Kind;
use crate::collect::Collector;
use crate::table::{Grid, Span};
use crate::tidy::{push_superscript, tidy};
use crate::xml::{self, DEEPEST, child, name};

/// Writes the blocks of a part.
#[derive(Debug)]
pub(super) struct Body<'a> {
    out: &'a mut Collector,
    styles: &'a Styles,
}

impl<'a> Body<'a> {
    pub(super) fn new(out: &'a mut Collector, styles: &'a Styles) -> Self {
        Body { out, styles }
    }

    /// Paragraphs and tables, also those in content controls.
    pub(super) fn flow(&mut self, node: Node<'_, '_>, depth: usize) {
        for part in node.children().filter(Node::is_element) {
            match name(part) {
                "p" => self.paragraph(part),
                "tbl" => self.table(part),
                "sdt" | "sdtContent" | "customXml" | "ins" | "moveTo" | "smartTag" | "txbxContent"
                    if depth < DEEPEST =>
                {
                    self.flow(part, depth + 1);
                }
                _ => {}
            }
        }
    }

    /// Footnotes or endnotes; separators are none.
    pub(super) fn notes(&mut self, root: Node<'_, '_>) {
        for note in root.children().filter(|note| matches!(name(*note), "footnote" | "endnote")) {
            let kind =
                note.attributes().find(|attribute| attribute.name() == "type").map(|kind| kind.value());
            if kind.is_none_or(|kind| kind == "normal") {
                let id =
                    note.attributes().find(|attribute| attribute.name() == "id").map_or("", |id| id.value());
                self.out.push(Kind::Footnote, &format!("[^{id}]: {}", cell_text(note)));
            }
        }
    }

    fn paragraph(&mut self, node: Node<'_, '_>) {
        let properties = child(node, "pPr");
        let style = properties.and_then(|properties| styles::value(properties, "pStyle"));
        let role = match self.styles.role(style) {
            Role::Text | Role::Item(_) if properties.and_then(styles::outline).is_some() => {
                Role::Heading(properties.and_then(styles::outline).unwrap_or(0) + 2)
            }
            Role::Text => properties.and_then(styles::list).map_or(Role::Text, Role::Item),
            Role::Item(depth) => Role::Item(properties.and_then(styles::list).unwrap_or(depth)),
            role => role,
        };
        let mut text = String::new();
        let mut boxes = Vec::new();
        push_runs(node, &mut text, &mut boxes, 0);
        match role {
            Role::Heading(level) => self.out.heading(level, &text),
            Role::Item(depth) => self.out.item(depth, &text),
            Role::Caption => self.out.push(Kind::Caption, &text),
            Role::Code => self.out.push(Kind::Code, &text),
            Role::Contents => self.out.remove("table of contents", &text),
            Role::Text => self.out.push(Kind::Paragraph, &text),
        }
        for text_box in boxes {
            self.out.push(Kind::Paragraph, &cell_text(text_box));
        }
    }

    fn table(&mut self, node: Node<'_, '_>) {
        let mut grid = Grid::default();
        for line in rows(node) {
            let mut row = grid.row();
            for cell in line.children().flat_map(unwrap).filter(|cell| name(*cell) == "tc") {
                let properties = child(cell, "tcPr");
                let value =
                    |wanted: &str| properties.and_then(|properties| styles::value(properties, wanted));
                let columns = value("gridSpan").and_then(|span| span.parse().ok()).unwrap_or(1);
                row.cell(&cell_text(cell), Span { columns, ..Span::default() });
            }
            row.end();
        }
        if let Some(table) = grid.to_markdown() {
            self.out.push(Kind::Table, &table);
        }
    }
}

/// The element itself, or what a content control wraps.
fn unwrap<'a, 'i>(node: Node<'a, 'i>) -> Vec<Node<'a, 'i>> {
    match name(node) {
        "sdt" => child(node, "sdtContent").into_iter().flat_map(|content| content.children()).collect(),
        "ins" | "customXml" => node.children().collect(),
        _ => vec![node],
    }
}

fn rows<'a, 'i>(table: Node<'a, 'i>) -> Vec<Node<'a, 'i>> {
    table.children().flat_map(unwrap).filter(|row| name(*row) == "tr").collect()
}

/// All text of a cell, a note or a text box; its paragraphs set apart by spaces.
fn cell_text(node: Node<'_, '_>) -> String {
    let mut text = String::new();
    for paragraph in node.descendants().filter(|part| name(*part) == "p") {
        let mut boxes = Vec::new();
        push_runs(paragraph, &mut text, &mut boxes, 0);
        text.push(' ');
    }
    tidy(&text)
}

/// Appends the text of the runs under `node`; text boxes come after it.
fn push_runs<'a, 'i>(node: Node<'a, 'i>, text: &mut String, boxes: &mut Vec<Node<'a, 'i>>, depth: usize) {
    if depth > DEEPEST {
        text.push_str(&xml::words(node));
        return;
    }
    for part in node.children().filter(Node::is_element) {
        match name(part) {
            "t" => text.push_str(part.text().unwrap_or_default()),
            "tab" | "br" | "cr" => text.push(if name(part) == "tab" { '\t' } else { '\n' }),
            "noBreakHyphen" => text.push('-'),
            "footnoteReference" | "endnoteReference" => {
                let id =
                    part.attributes().find(|attribute| attribute.name() == "id").map_or("", |id| id.value());
                text.push_str(&format!("[^{id}]"));
            }
            "r" if is_superscript(part) => {
                let mut inner = String::new();
                push_runs(part, &mut inner, boxes, depth + 1);
                match inner.starts_with("[^") {
                    true => text.push_str(&inner),
                    false => push_superscript(text, &inner),
                }
            }
            // Properties, deleted text, what only older programs show, and field codes.
            "pPr" | "rPr" | "del" | "delText" | "moveFrom" | "Fallback" | "instrText" | "footnoteRef"
            | "endnoteRef" => {}
            "txbxContent" => boxes.push(part),
            // Paragraphs of cells have their own turn.
            "p" | "tbl" => {}
            _ => push_runs(part, text, boxes, depth + 1),
        }
    }
}

fn is_superscript(run: Node<'_, '_>) -> bool {
    child(run, "rPr").and_then(|properties| styles::value(properties, "vertAlign")) == Some("superscript")
}
