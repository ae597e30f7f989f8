//! Text inside a paragraph.

use roxmltree::Node;

use super::math;
use crate::tidy::{push_superscript, tidy};
use crate::xml::{self, DEEPEST, name};

/// The text of an element, as a person reads it.
pub(super) fn text(node: Node<'_, '_>) -> String {
    let mut text = String::new();
    for part in node.children() {
        push(part, &mut text, 0);
    }
    text
}

/// Appends a part of a paragraph.
pub(super) fn push(node: Node<'_, '_>, text: &mut String, depth: usize) {
    if node.is_text() {
        text.push_str(node.text().unwrap_or_default());
        return;
    }
    if depth > DEEPEST {
        text.push_str(&xml::words(node));
        return;
    }
    match name(node) {
        "" | "graphic" | "inline-graphic" | "media" | "object-id" | "file" | "processing-meta"
        | "permissions" => {}
        "sup" => push_sup(node, text, depth),
        "abbrgrp" => push_citations(node, text),
        "break" | "br" => text.push(' '),
        "math" | "tex-math" | "alternatives" | "inline-formula" | "disp-formula" | "display-formula" => {
            math::push(node, text, depth)
        }
        // Parts of a caption, a cell or a citation that would run into each other.
        "p" | "title" | "label" | "st" | "name" | "string-name" | "surname" | "snm" | "list-item" | "def"
        | "li" | "term" => {
            push_children(node, text, depth);
            text.push(' ');
        }
        _ => push_children(node, text, depth),
    }
}

pub(super) fn push_children(node: Node<'_, '_>, text: &mut String, depth: usize) {
    node.children().for_each(|part| push(part, text, depth + 1));
}

/// A citation that is printed as a superscript would run into the word or number before it: it goes into brackets.
fn push_sup(node: Node<'_, '_>, text: &mut String, depth: usize) {
    let mut inner = String::new();
    push_children(node, &mut inner, depth);
    let cites = |part: &Node<'_, '_>| name(*part) == "xref" && part.attribute("ref-type") == Some("bibr");
    if node.descendants().any(|part| cites(&part)) {
        text.push_str(&format!("[{}]", tidy(&inner)));
    } else {
        push_superscript(text, &inner);
    }
}

/// BioMed Central's citations, `[1, 2]`: the journal prints the brackets.
fn push_citations(node: Node<'_, '_>, text: &mut String) {
    let cited: Vec<String> =
        node.children().filter(Node::is_element).map(|part| tidy(&xml::words(part))).collect();
    text.push_str(&format!("[{}]", cited.join(", ")));
}
