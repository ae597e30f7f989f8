//! What the styles of a document say of its paragraphs.

use std::collections::HashMap;

use roxmltree::{Document, Node};

use crate::xml::{child, name};

/// A style is based on at most so many others.
const LONGEST_CHAIN: usize = 16;

/// What a paragraph is by its style.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A heading of this level, from 1.
    Heading(usize),
    /// An item of a list, so deep.
    Item(usize),
    Caption,
    Code,
    /// An entry of the table of contents.
    Contents,
    Text,
}

#[derive(Debug, Default)]
struct Style {
    name: String,
    based_on: Option<String>,
    outline: Option<usize>,
    list: Option<usize>,
}

/// The styles of a document by their ids.
#[derive(Debug, Default)]
pub(super) struct Styles {
    by_id: HashMap<String, Style>,
}

/// The `val` attribute of a child.
pub(super) fn value<'a>(node: Node<'a, '_>, wanted: &str) -> Option<&'a str> {
    child(node, wanted)?
        .attributes()
        .find(|attribute| attribute.name() == "val")
        .map(|attribute| attribute.value())
}

/// What the properties of a paragraph, or of a style, say of an outline.
pub(super) fn outline(properties: Node<'_, '_>) -> Option<usize> {
    value(properties, "outlineLvl")?.parse().ok().filter(|level| *level < 9)
}

/// What they say of a list; the id 0 takes a paragraph out of one.
pub(super) fn list(properties: Node<'_, '_>) -> Option<usize> {
    let numbering = child(properties, "numPr")?;
    if value(numbering, "numId") == Some("0") {
        return None;
    }
    Some(value(numbering, "ilvl").and_then(|depth| depth.parse().ok()).unwrap_or(0))
}

impl Styles {
    pub(super) fn read(tree: &Document<'_>) -> Self {
        let mut by_id = HashMap::new();
        for node in tree.root_element().children().filter(|node| name(*node) == "style") {
            let attribute = |wanted: &str| node.attributes().find(|a| a.name() == wanted).map(|a| a.value());
            let Some(id) = attribute("styleId") else { continue };
            let properties = child(node, "pPr");
            by_id.insert(
                id.to_owned(),
                Style {
                    name: value(node, "name").unwrap_or_default().to_lowercase(),
                    based_on: value(node, "basedOn").map(str::to_owned),
                    outline: properties.and_then(outline),
                    list: properties.and_then(list),
                },
            );
        }
        Styles { by_id }
    }

    /// What a paragraph of the style `id` is. Names of built-in styles are English in every language of Word.
    pub(super) fn role(&self, id: Option<&str>) -> Role {
        let mut next = id;
        let mut item = None;
        for _ in 0..LONGEST_CHAIN {
            let Some(id) = next else { break };
            let style = self.by_id.get(id);
            let name = style.map_or_else(|| id.to_lowercase(), |style| style.name.clone());
            if let Some(role) = by_name(&name) {
                return role;
            }
            if let Some(level) = style.and_then(|style| style.outline) {
                return Role::Heading(level + 2);
            }
            item = item.or(style.and_then(|style| style.list));
            next = style.and_then(|style| style.based_on.as_deref());
        }
        item.map_or(Role::Text, Role::Item)
    }
}

/// The title is the first level, so that `heading 1` is the second where a document has a title; documents without one
/// keep their levels apart all the same.
fn by_name(name: &str) -> Option<Role> {
    let number = |prefix: &str| name.strip_prefix(prefix)?.trim().parse::<usize>().ok();
    if let Some(level) =
        number("heading").or_else(|| number("überschrift")).filter(|level| (1..=9).contains(level))
    {
        return Some(Role::Heading(level + 1));
    }
    if number("toc").is_some() || name == "table of figures" {
        return Some(Role::Contents);
    }
    match name {
        "title" => Some(Role::Heading(1)),
        "caption" => Some(Role::Caption),
        "html preformatted" | "macro text" | "source code" => Some(Role::Code),
        _ => None,
    }
}
