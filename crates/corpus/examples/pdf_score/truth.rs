//! What the publisher's XML says: JATS, and BioMed Central's own DTD.

use std::error::Error;
use std::path::Path;

use roxmltree::{Document, Node, ParsingOptions};

/// A paper as its publisher has it.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    /// Depth (the title is 1) and text of each title of a section, in order.
    pub(crate) headings: Vec<(usize, String)>,
    /// Title, abstract and body in reading order, without what floats.
    pub(crate) running: Vec<String>,
    /// As above with figures' captions and tables.
    pub(crate) body: String,
    /// The whole file, references and all.
    pub(crate) all: String,
    /// Texts of the cells of all tables.
    pub(crate) cells: Vec<String>,
}

/// Names of the folders with a paper, sorted.
pub(crate) fn papers(data: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(data.join("jats_pairs"))? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

const FLOATS: [&str; 9] = [
    "fig",
    "table-wrap",
    "tbl",
    "table",
    "suppl",
    "supplementary-material",
    "fig-group",
    "graphic",
    "tex-math",
];
const PARTS: [&str; 8] = ["p", "title", "st", "caption", "label", "td", "th", "entry"];

/// Reads `fulltext.xml` of a paper.
pub(crate) fn read(folder: &Path) -> Result<Truth, Box<dyn Error>> {
    let bytes = std::fs::read(folder.join("fulltext.xml"))?;
    let mut xml = String::from_utf8_lossy(&bytes).into_owned();
    if let (Some(from), true) = (xml.find("<!DOCTYPE"), true)
        && let Some(length) = xml[from..].find('>')
    {
        xml.replace_range(from..=from + length, "");
    }
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    let document = Document::parse_with_options(&xml, options)?;
    let root = document.root_element();
    let mut truth = Truth { all: text(root), ..Truth::default() };
    let find = |names: &[&str]| root.descendants().find(|node| names.contains(&node.tag_name().name()));
    let title = match root.tag_name().name() {
        "art" => root.descendants().find(|n| {
            n.tag_name().name() == "title" && n.parent().is_some_and(|p| p.tag_name().name() == "bibl")
        }),
        _ => find(&["article-title"]),
    };
    if let Some(title) = title {
        truth.headings.push((1, text(title)));
        truth.running.push(text(title));
        truth.body.push_str(&text(title));
        truth.body.push(' ');
    }
    let abstracts = root.descendants().find(|node| matches!(node.tag_name().name(), "abstract" | "abs"));
    for part in [abstracts, find(&["body", "bdy"])].into_iter().flatten() {
        truth.body.push_str(&text(part));
        truth.body.push(' ');
        running(part, &mut truth.running);
        headings(part, 1, &mut truth.headings);
    }
    for part in root.children().filter(|n| matches!(n.tag_name().name(), "back" | "bm")) {
        headings(part, 1, &mut truth.headings);
    }
    if let Some(floats) = find(&["floats-group"]) {
        truth.body.push_str(&text(floats));
    }
    for cell in root.descendants().filter(|n| matches!(n.tag_name().name(), "td" | "th" | "entry" | "c")) {
        let table = cell.ancestors().any(|n| matches!(n.tag_name().name(), "table" | "tgroup" | "tblbdy"));
        let cell = text(cell);
        if table && !cell.trim().is_empty() {
            truth.cells.push(cell);
        }
    }
    Ok(truth)
}

/// All text below, with a space where a block ends.
pub(crate) fn text(node: Node<'_, '_>) -> String {
    let mut all = String::new();
    for part in node.descendants() {
        if part.is_text() {
            let skipped = part.ancestors().any(|n| matches!(n.tag_name().name(), "tex-math" | "annotation"));
            if !skipped {
                all.push_str(part.text().unwrap_or_default());
            }
        } else if PARTS.contains(&part.tag_name().name()) {
            all.push(' ');
        }
    }
    all
}

fn running(node: Node<'_, '_>, paragraphs: &mut Vec<String>) {
    for child in node.children() {
        let name = child.tag_name().name();
        if FLOATS.contains(&name) {
            continue;
        }
        if matches!(name, "p" | "title" | "st") {
            let mut all = String::new();
            for part in child.descendants().filter(Node::is_text) {
                let skipped = part
                    .ancestors()
                    .take_while(|n| *n != child)
                    .any(|n| FLOATS.contains(&n.tag_name().name()));
                if !skipped {
                    all.push_str(part.text().unwrap_or_default());
                }
            }
            if !all.trim().is_empty() {
                paragraphs.push(all);
            }
        } else {
            running(child, paragraphs);
        }
    }
}

fn headings(node: Node<'_, '_>, depth: usize, found: &mut Vec<(usize, String)>) {
    for child in node.children() {
        let name = child.tag_name().name();
        let depth = depth + usize::from(name == "sec");
        if matches!(name, "title" | "st") {
            let parent = node.tag_name().name();
            let title = text(child).split_whitespace().collect::<Vec<_>>().join(" ");
            if !matches!(parent, "caption" | "bibl" | "table" | "fig" | "abstract") && !title.is_empty() {
                found.push((depth.max(2), title));
            }
        } else if !FLOATS.contains(&name) && !matches!(name, "ref" | "bibl" | "caption" | "refgrp") {
            headings(child, depth, found);
        }
    }
}
