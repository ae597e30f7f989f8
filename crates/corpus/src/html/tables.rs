//! Tables of data; those that only lay out a page are read as the page.

use ego_tree::NodeRef;
use scraper::Node;

use super::inline::{element, name, text};
use crate::table::{Grid, Span};

/// Rows of this table, not those of tables in its cells.
fn rows<'a>(table: NodeRef<'a, Node>) -> Vec<NodeRef<'a, Node>> {
    let groups = table.children().flat_map(|part| match name(part) {
        "tr" => vec![part],
        "thead" | "tbody" | "tfoot" => part.children().filter(|row| name(*row) == "tr").collect(),
        _ => Vec::new(),
    });
    groups.collect()
}

fn cells<'a>(row: NodeRef<'a, Node>) -> impl Iterator<Item = NodeRef<'a, Node>> {
    row.children().filter(|cell| matches!(name(*cell), "td" | "th"))
}

/// Whether it has one column at most, or holds what no cell of data holds.
pub(super) fn is_layout(table: NodeRef<'_, Node>) -> bool {
    let presentation =
        element(table).and_then(|table| table.attr("role")).is_some_and(|role| role == "presentation");
    let blocks = |part: NodeRef<'_, Node>| {
        matches!(name(part), "table" | "h1" | "h2" | "h3" | "h4" | "article" | "section" | "form" | "main")
    };
    let nested = table.descendants().skip(1).any(blocks);
    let headed = table.descendants().any(|part| name(part) == "th");
    presentation || nested || (!headed && rows(table).iter().all(|row| cells(*row).count() < 2))
}

/// As a pipe table.
pub(super) fn markdown(table: NodeRef<'_, Node>) -> Option<String> {
    let mut grid = Grid::default();
    for tr in rows(table) {
        let mut row = grid.row();
        for cell in cells(tr) {
            let number = |attribute: &str| -> usize {
                element(cell).and_then(|cell| cell.attr(attribute)?.trim().parse().ok()).unwrap_or(1)
            };
            row.cell(&text(cell), Span { column: None, columns: number("colspan"), rows: number("rowspan") });
        }
        row.end();
    }
    grid.to_markdown()
}
