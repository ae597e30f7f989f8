//! Text inside a paragraph of a page.

use ego_tree::NodeRef;
use scraper::Node;
use scraper::node::Element;

use crate::tidy::push_superscript;

/// Deeper elements are read as plain text.
pub(super) const DEEPEST: usize = 200;

/// The element of a node.
pub(super) fn element<'a>(node: NodeRef<'a, Node>) -> Option<&'a Element> {
    node.value().as_element()
}

/// The name of an element; empty for what is no element.
pub(super) fn name<'a>(node: NodeRef<'a, Node>) -> &'a str {
    element(node).map_or("", Element::name)
}

/// Elements whose content is no text.
pub(super) fn is_machinery(name: &str) -> bool {
    matches!(
        name,
        "script"
            | "style"
            | "noscript"
            | "template"
            | "svg"
            | "canvas"
            | "iframe"
            | "object"
            | "embed"
            | "audio"
            | "video"
            | "head"
            | "link"
            | "meta"
            | "map"
    )
}

/// Text that a person does not see, by the element's own attributes.
pub(super) fn is_hidden(element: &Element) -> bool {
    let style: String = element
        .attr("style")
        .unwrap_or_default()
        .chars()
        .filter(|c| !c.is_whitespace())
        .collect::<String>()
        .to_lowercase();
    let styles = ["display:none", "visibility:hidden", "font-size:0", "opacity:0;", "color:transparent"];
    element.attr("hidden").is_some()
        || element.attr("aria-hidden") == Some("true")
        || styles.iter().any(|hiding| style.contains(hiding))
        || style.ends_with("opacity:0")
}

/// The text of an element.
pub(super) fn text(node: NodeRef<'_, Node>) -> String {
    let mut text = String::new();
    push_children(node, &mut text, 0);
    text
}

fn push_children(node: NodeRef<'_, Node>, text: &mut String, depth: usize) {
    node.children().for_each(|child| push(child, text, depth + 1));
}

/// Appends a part of a paragraph.
pub(super) fn push(node: NodeRef<'_, Node>, text: &mut String, depth: usize) {
    if let Node::Text(piece) = node.value() {
        text.push_str(piece);
        return;
    }
    let Some(element) = element(node) else { return };
    if is_machinery(element.name()) || is_hidden(element) {
        return;
    }
    if depth > DEEPEST {
        text.push_str(&words(node));
        return;
    }
    match element.name() {
        "br" | "hr" | "wbr" => text.push(if element.name() == "wbr" { '\u{200b}' } else { ' ' }),
        "sup" => {
            let mut inner = String::new();
            push_children(node, &mut inner, depth);
            push_superscript(text, &inner);
        }
        "math" => push_math(node, element, text),
        "img" | "input" | "button" | "select" | "textarea" => {}
        "p" | "div" | "li" | "td" | "th" | "tr" | "caption" | "dt" | "dd" => {
            text.push(' ');
            push_children(node, text, depth);
            text.push(' ');
        }
        _ => push_children(node, text, depth),
    }
}

/// TeX where the page has it.
fn push_math(node: NodeRef<'_, Node>, element: &Element, text: &mut String) {
    let is_tex = |part: &NodeRef<'_, Node>| {
        part.value().as_element().is_some_and(|part| {
            part.name() == "annotation"
                && part.attr("encoding").is_some_and(|encoding| encoding.contains("tex"))
        })
    };
    match (node.descendants().find(is_tex), element.attr("alttext")) {
        (Some(tex), _) => text.push_str(&words(tex)),
        (None, Some(tex)) => text.push_str(tex),
        (None, None) => text.push_str(&words(node)),
    }
}

/// The text of all descendants.
pub(super) fn words(node: NodeRef<'_, Node>) -> String {
    let mut words = String::new();
    let mut pending = vec![node];
    while let Some(node) = pending.pop() {
        match node.value() {
            Node::Text(piece) => {
                words.push_str(piece);
                words.push(' ');
            }
            Node::Element(element) if is_machinery(element.name()) => {}
            _ => pending.extend(node.children().rev()),
        }
    }
    words
}

/// The text of an element with its line breaks.
pub(super) fn verbatim(node: NodeRef<'_, Node>) -> String {
    let piece = |node: NodeRef<'_, Node>| match node.value() {
        Node::Text(piece) => Some(piece.to_string()),
        Node::Element(element) if element.name() == "br" => Some("\n".to_owned()),
        _ => None,
    };
    node.descendants().filter_map(piece).collect()
}
