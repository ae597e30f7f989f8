//! Sections and what stands in them.

use roxmltree::Node;

use super::{inline, math, tables};
use crate::Kind;
use crate::collect::Collector;
use crate::tidy::tidy;
use crate::xml::{self, DEEPEST, child, name};

/// Elements that are no part of a paragraph, even where they stand inside one.
const BLOCKS: [&str; 55] = [
    "abs",
    "abstract",
    "ack",
    "app",
    "app-group",
    "array",
    "back",
    "bio",
    "bm",
    "body",
    "boxed-text",
    "bdy",
    "bibl",
    "caption",
    "code",
    "def-item",
    "def-list",
    "disp-formula",
    "disp-formula-group",
    "disp-quote",
    "display-formula",
    "fig",
    "fig-group",
    "floats-group",
    "fn",
    "fn-group",
    "glossary",
    "list",
    "list-item",
    "note",
    "notes",
    "ol",
    "p",
    "preformat",
    "ref",
    "ref-list",
    "refgrp",
    "sec",
    "sig-block",
    "speech",
    "st",
    "statement",
    "suppl",
    "supplementary-material",
    "table",
    "table-wrap",
    "table-wrap-foot",
    "table-wrap-group",
    "tfoot",
    "title",
    "trans-abstract",
    "ul",
    "verse-group",
    "verse-line",
    "questions",
];

/// Writes the blocks of an element.
#[derive(Debug)]
pub(super) struct Body<'a> {
    out: &'a mut Collector,
}

impl<'a> Body<'a> {
    pub(super) fn new(out: &'a mut Collector) -> Self {
        Body { out }
    }

    /// What stands in `node`: blocks as they come, text between them as paragraphs. Sections in it are titled at
    /// `level`.
    pub(super) fn flow(&mut self, node: Node<'_, '_>, level: usize, depth: usize) {
        if depth > DEEPEST {
            self.out.warn(format!("elements nested more than {DEEPEST} deep were read as plain text"));
            self.out.push(Kind::Paragraph, &xml::words(node));
            return;
        }
        let mut run = String::new();
        for part in node.children() {
            if BLOCKS.contains(&name(part)) {
                self.out.push(Kind::Paragraph, &std::mem::take(&mut run));
                self.block(part, level, depth + 1);
            } else {
                inline::push(part, &mut run, depth);
            }
        }
        self.out.push(Kind::Paragraph, &run);
    }

    /// One block.
    pub(super) fn block(&mut self, node: Node<'_, '_>, level: usize, depth: usize) {
        match name(node) {
            "sec" | "ack" | "app" | "glossary" | "notes" | "bio" | "boxed-text" | "statement"
            | "fn-group" | "abs" | "abstract" | "trans-abstract" | "ref-list" | "refgrp" => {
                self.section(node, level, depth)
            }
            "title" | "st" => self.out.heading(level, &inline::text(node)),
            "list" | "ul" | "ol" => self.list(node, 0, depth),
            "def-item" => self.definition(node),
            "fig" | "table-wrap" | "supplementary-material" | "suppl" => self.captioned(node, level, depth),
            // In BioMed Central's DTD a table holds its own title and caption.
            "table" if child(node, "tgroup").is_some() => self.captioned(node, level, depth),
            "table" | "array" => self.table(node),
            "caption" => self.out.push(Kind::Caption, &inline::text(node)),
            "disp-formula" | "display-formula" => self.formula(node, depth),
            "code" | "preformat" => self.out.push(Kind::Code, &xml::words(node)),
            "fn" | "note" | "table-wrap-foot" | "tfoot" => self.out.push(Kind::Footnote, &inline::text(node)),
            "ref" | "bibl" => self.out.item(0, &reference(node)),
            _ => self.flow(node, level, depth),
        }
    }

    fn section(&mut self, node: Node<'_, '_>, level: usize, depth: usize) {
        let title = child(node, "title").or_else(|| child(node, "st"));
        let label = child(node, "label");
        let nested = child(node, "sec").is_some() && title.is_none();
        let text = match title {
            Some(title) => inline::text(title),
            None if nested => String::new(),
            None => untitled(name(node)).to_owned(),
        };
        if tidy(&text).is_empty() {
            return self.parts(node, &[title], (level, depth));
        }
        let number = label.map(inline::text).unwrap_or_default();
        self.out.heading(level, &format!("{number} {text}"));
        self.parts(node, &[title, label], (level + 1, depth));
    }

    /// The blocks of a section or figure, without those that were written already.
    fn parts(&mut self, node: Node<'_, '_>, done: &[Option<Node<'_, '_>>], (level, depth): (usize, usize)) {
        if depth > DEEPEST {
            return self.flow(node, level, depth);
        }
        let mut run = String::new();
        for part in node.children().filter(|part| !done.contains(&Some(*part))) {
            if BLOCKS.contains(&name(part)) {
                self.out.push(Kind::Paragraph, &std::mem::take(&mut run));
                self.block(part, level, depth + 1);
            } else if part.is_element() || part.is_text() {
                inline::push(part, &mut run, depth);
            }
        }
        self.out.push(Kind::Paragraph, &run);
    }

    fn list(&mut self, node: Node<'_, '_>, nesting: usize, depth: usize) {
        if depth > DEEPEST {
            return self.out.item(nesting, &xml::words(node));
        }
        for part in node.children() {
            match name(part) {
                "title" | "label" => self.out.push(Kind::Paragraph, &inline::text(part)),
                "" => self.out.item(nesting, part.text().filter(|_| part.is_text()).unwrap_or_default()),
                _ => self.list_item(part, nesting, depth),
            }
        }
    }

    fn list_item(&mut self, item: Node<'_, '_>, nesting: usize, depth: usize) {
        let is_list = |part: &Node<'_, '_>| matches!(name(*part), "list" | "ul" | "ol");
        let mut run = String::new();
        let mut pending: Vec<Node<'_, '_>> = item.children().collect();
        pending.reverse();
        while let Some(part) = pending.pop() {
            if is_list(&part) {
                self.out.item(nesting, &std::mem::take(&mut run));
                self.list(part, nesting + 1, depth + 1);
            } else if name(part) == "p" {
                // A paragraph of an item may hold a list of its own.
                run.push(' ');
                pending.extend(part.children().rev());
            } else {
                inline::push(part, &mut run, depth);
            }
        }
        self.out.item(nesting, &run);
    }

    fn definition(&mut self, node: Node<'_, '_>) {
        let part =
            |wanted: &str| child(node, wanted).map(|part| tidy(&inline::text(part))).unwrap_or_default();
        let (term, meaning) = (part("term"), part("def"));
        let mark = if term.is_empty() || meaning.is_empty() || term.ends_with(':') { " " } else { ": " };
        self.out.item(0, &format!("{term}{mark}{meaning}"));
    }

    /// A figure, a table or a file: label, title and caption as one caption, then what belongs to it.
    fn captioned(&mut self, node: Node<'_, '_>, level: usize, depth: usize) {
        let of_caption = |part: &Node<'_, '_>| matches!(name(*part), "label" | "title" | "caption" | "text");
        let mut caption = String::new();
        for part in node.children().filter(of_caption) {
            let text = tidy(&inline::text(part));
            // BioMed Central repeats a caption under `text`.
            if !text.is_empty() && !caption.ends_with(&text) {
                let mark = if caption.is_empty() {
                    ""
                } else if caption.ends_with(['.', ':']) {
                    " "
                } else {
                    ". "
                };
                caption.push_str(mark);
                caption.push_str(&text);
            }
        }
        self.out.push(Kind::Caption, &caption);
        if name(node) == "table" {
            self.table(node);
            let feet =
                node.descendants().filter(|part| name(*part) == "tfoot" && child(*part, "row").is_none());
            return feet.for_each(|foot| self.out.push(Kind::Footnote, &inline::text(foot)));
        }
        for part in node.children().filter(|part| !of_caption(part)) {
            match name(part) {
                "alternatives" => self.table(part),
                "attrib" => self.out.push(Kind::Caption, &inline::text(part)),
                known if BLOCKS.contains(&known) => self.block(part, level, depth + 1),
                _ => {
                    let mut text = String::new();
                    inline::push(part, &mut text, depth);
                    self.out.push(Kind::Paragraph, &text);
                }
            }
        }
    }

    fn table(&mut self, node: Node<'_, '_>) {
        for table in tables::markdown(node) {
            self.out.push(Kind::Table, &table);
        }
        self.out.push(Kind::Paragraph, &tables::outside_cells(node));
    }

    fn formula(&mut self, node: Node<'_, '_>, depth: usize) {
        let mut text = String::new();
        math::push(node, &mut text, depth);
        self.out.push(Kind::Formula, &text);
    }
}

/// The heading of a part that has none of its own.
fn untitled(element: &str) -> &'static str {
    match element {
        "abs" | "abstract" | "trans-abstract" => "Abstract",
        "ack" => "Acknowledgements",
        "ref-list" | "refgrp" => "References",
        _ => "",
    }
}

/// A reference. Some have their punctuation in them, others are only parts: those are set apart by spaces.
fn reference(node: Node<'_, '_>) -> String {
    let mixed = |part: &Node<'_, '_>| matches!(name(*part), "mixed-citation" | "citation" | "nlm-citation");
    let printed = |part: Node<'_, '_>| {
        part.children()
            .filter(|text| text.is_text())
            .any(|text| text.text().is_some_and(|text| text.contains(['.', ','])))
    };
    let other = |part: Node<'_, '_>| {
        let text = part.is_text() && part.text().is_some_and(|text| !text.trim().is_empty());
        text || (part.is_element() && !mixed(&part) && name(part) != "label")
    };
    if node.children().any(other) || node.children().filter(mixed).count() > 1 {
        return xml::words(node);
    }
    match node.children().find(mixed).filter(|part| printed(*part)) {
        Some(citation) => {
            let label = child(node, "label").map(inline::text).unwrap_or_default();
            format!("{label} {}", inline::text(citation))
        }
        None => xml::words(node),
    }
}
