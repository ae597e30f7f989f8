//! Tables: rows of HTML (JATS) and of CALS (BioMed Central, OASIS in JATS).

use std::collections::HashMap;

use roxmltree::Node;

use super::inline;
use crate::table::{Grid, Span};
use crate::xml::name;

/// The pipe tables under a `table` or `alternatives` element.
pub(super) fn markdown(table: Node<'_, '_>) -> Vec<String> {
    let groups: Vec<Node<'_, '_>> = table.descendants().filter(|part| name(*part) == "tgroup").collect();
    if groups.is_empty() {
        return html(table).into_iter().collect();
    }
    groups.into_iter().filter_map(cals).collect()
}

/// Text of a table that stands in no cell, title, caption or foot.
pub(super) fn outside_cells(table: Node<'_, '_>) -> String {
    const INSIDE: [&str; 8] = ["td", "th", "entry", "title", "caption", "label", "text", "tfoot"];
    let inside = |text: &Node<'_, '_>| {
        text.ancestors().take_while(|up| *up != table).any(|up| {
            INSIDE.contains(&name(up))
                && (name(up) != "tfoot" || up.descendants().all(|part| name(part) != "tr"))
        })
    };
    let texts =
        table.descendants().filter(|part| part.is_text() && !inside(part)).filter_map(|part| part.text());
    texts.collect::<Vec<_>>().join(" ")
}

fn number(node: Node<'_, '_>, attribute: &str) -> Option<usize> {
    node.attribute(attribute)?.trim().parse().ok()
}

fn html(table: Node<'_, '_>) -> Option<String> {
    let mut grid = Grid::default();
    for tr in table.descendants().filter(|part| name(*part) == "tr") {
        let mut row = grid.row();
        for cell in tr.children().filter(|part| matches!(name(*part), "td" | "th")) {
            let span = Span {
                column: None,
                columns: number(cell, "colspan").unwrap_or(1),
                rows: number(cell, "rowspan").unwrap_or(1),
            };
            row.cell(&inline::text(cell), span);
        }
        row.end();
    }
    grid.to_markdown()
}

/// CALS names its columns: `namest` to `nameend`, or `colname`; `morerows` counts the rows below.
fn cals(group: Node<'_, '_>) -> Option<String> {
    let columns: HashMap<&str, usize> = group
        .children()
        .filter(|part| name(*part) == "colspec")
        .enumerate()
        .filter_map(|(at, column)| Some((column.attribute("colname")?, at)))
        .collect();
    let mut grid = Grid::default();
    for line in group.descendants().filter(|part| name(*part) == "row") {
        let mut row = grid.row();
        for entry in line.children().filter(|part| name(*part) == "entry") {
            let place = |attribute: &str| columns.get(entry.attribute(attribute)?).copied();
            let first = place("namest").or_else(|| place("colname"));
            let width = first.zip(place("nameend")).map_or(1, |(first, last)| last.saturating_sub(first) + 1);
            let rows = number(entry, "morerows").unwrap_or(0).saturating_add(1);
            row.cell(&inline::text(entry), Span { column: first, columns: width, rows });
        }
        row.end();
    }
    grid.to_markdown()
}
