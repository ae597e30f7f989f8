//! XML without its dangers: no file or address is ever opened, entities cannot multiply, nesting cannot end the stack.

use std::path::Path;

use roxmltree::{Document, Node, ParsingOptions};

use crate::{CorpusError, Result};

/// Elements and texts of one file; 40 times what a long article has.
const MOST_NODES: u32 = 4_000_000;

/// Deeper elements are read as plain text.
pub(crate) const DEEPEST: usize = 200;

/// The tree of a file. Entities that the file itself defines are replaced (`roxmltree` bounds their depth and number);
/// external ones are never looked up.
pub(crate) fn parse<'a>(path: &Path, format: &'static str, text: &'a str) -> Result<Document<'a>> {
    let options = ParsingOptions { allow_dtd: true, nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    Document::parse_with_options(text, options).map_err(|error| CorpusError::Malformed {
        path: path.into(),
        format,
        reason: error.to_string(),
    })
}

/// The name of an element without its prefix; empty for what is no element.
pub(crate) fn name<'a>(node: Node<'a, '_>) -> &'a str {
    if node.is_element() { node.tag_name().name() } else { "" }
}

/// The first child with this name.
pub(crate) fn child<'a, 'i>(node: Node<'a, 'i>, wanted: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|child| name(*child) == wanted)
}

/// The text of all descendants, those of different elements set apart by spaces.
pub(crate) fn words(node: Node<'_, '_>) -> String {
    let texts: Vec<&str> =
        node.descendants().filter_map(|part| part.text().filter(|_| part.is_text())).collect();
    texts.join(" ")
}
