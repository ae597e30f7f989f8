//! The way through a page.

use ego_tree::NodeRef;
use scraper::node::Element;
use scraper::{Html, Node};

use super::inline::{self, DEEPEST, element, is_hidden, is_machinery, name};
use super::tables;
use crate::Kind;
use crate::collect::Collector;

/// Whole words in `class` or `id` that mark what belongs to the site and not to the document.
const FURNITURE: [&str; 24] = [
    "advert",
    "advertisement",
    "ads",
    "breadcrumb",
    "breadcrumbs",
    "cookie",
    "cookies",
    "cookie-banner",
    "consent",
    "mw-editsection",
    "navbar",
    "navbox",
    "newsletter",
    "noprint",
    "pagination",
    "pager",
    "popup",
    "share",
    "sharing",
    "sidebar",
    "site-footer",
    "site-header",
    "skip-link",
    "social",
];

/// What the page calls itself.
pub(super) fn title(html: &Html) -> Option<String> {
    let of_page = |node: &NodeRef<'_, Node>| {
        name(*node) == "title" && node.parent().is_some_and(|parent| name(parent) == "head")
    };
    html.tree.root().descendants().find(of_page).map(inline::text)
}

/// Writes the blocks of a page: of its one `main` or `article` where it has one, else of all of it.
pub(super) fn read(html: &Html, out: &mut Collector) {
    let root = html.tree.root();
    let one = |wanted: &str| {
        let mut found = root.descendants().filter(|node| {
            name(*node) == wanted
                || (wanted == "main" && element(*node).is_some_and(|e| e.attr("role") == Some("main")))
        });
        found.next().filter(|_| found.next().is_none())
    };
    let mut page = Page { out, length: inline::words(root).len() };
    let large = |node: &NodeRef<'_, Node>| 4 * inline::words(*node).len() > page.length;
    match one("main").filter(large).or_else(|| one("article").filter(large)) {
        Some(main) => {
            // A title that stands above it is the document's.
            let before =
                |node: &NodeRef<'_, Node>| name(*node) == "h1" && !node.ancestors().any(|up| up == main);
            if !main.descendants().any(|node| name(node) == "h1")
                && let Some(title) = root.descendants().find(before)
            {
                page.out.heading(1, &inline::text(title));
            }
            page.flow(main, 0, 0);
            page.surroundings(root, main);
        }
        None => page.flow(root, 0, 0),
    }
}

#[derive(Debug)]
struct Page<'a> {
    out: &'a mut Collector,
    /// Bytes of all its text.
    length: usize,
}

/// What is not inside a paragraph.
const BLOCKS: &[&str] = &[
    "html",
    "body",
    "main",
    "article",
    "section",
    "div",
    "header",
    "footer",
    "aside",
    "nav",
    "form",
    "fieldset",
    "p",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "ul",
    "ol",
    "menu",
    "li",
    "dl",
    "dt",
    "dd",
    "table",
    "figure",
    "figcaption",
    "pre",
    "blockquote",
    "address",
    "details",
    "summary",
    "hr",
    "center",
    "tr",
    "td",
    "th",
    "tbody",
    "thead",
    "tfoot",
    "caption",
    "dialog",
    "hgroup",
    "search",
];

fn is_block(name: &str) -> bool {
    BLOCKS.contains(&name)
}

/// Whether its tag, role, class or id says that it belongs to the site and not to the document.
fn looks_like_furniture(node: NodeRef<'_, Node>, element: &Element) -> bool {
    let inside = |wanted: &[&str]| node.ancestors().any(|up| wanted.contains(&name(up)));
    let of_page = || !inside(&["article", "main", "section", "blockquote", "figure"]);
    let tag = match element.name() {
        "nav" | "form" | "dialog" | "search" | "menu" => true,
        // Inside a document they are its own: a box of key points, a foot of a section.
        "header" | "footer" | "aside" => of_page(),
        _ => false,
    };
    let role = matches!(
        element.attr("role"),
        Some("navigation" | "banner" | "contentinfo" | "search" | "complementary" | "dialog" | "alertdialog")
    );
    let words = || element.classes().chain(element.attr("id"));
    let marked = !matches!(element.name(), "html" | "body" | "main" | "article")
        && words().any(|word| FURNITURE.contains(&word.to_ascii_lowercase().as_str()));
    tag || role || marked
}

impl Page<'_> {
    /// Whether it belongs to the site. What holds most of a page's text is the document, whatever it is called: some
    /// sites put all of a page into a form.
    fn is_furniture(&self, node: NodeRef<'_, Node>, element: &Element) -> bool {
        looks_like_furniture(node, element) && 2 * inline::words(node).len() <= self.length
    }

    /// What stands in `node`. `list` is the nesting of the lists around it.
    fn flow(&mut self, node: NodeRef<'_, Node>, list: usize, depth: usize) {
        if depth > DEEPEST {
            self.out.warn(format!("elements nested more than {DEEPEST} deep were read as plain text"));
            return self.out.push(Kind::Paragraph, &inline::words(node));
        }
        let mut run = String::new();
        for child in node.children() {
            let Some(element) = element(child) else {
                inline::push(child, &mut run, 0);
                continue;
            };
            if is_machinery(element.name()) {
                continue;
            }
            let rule = if is_hidden(element) {
                Some("hidden text")
            } else {
                self.is_furniture(child, element).then_some("page furniture")
            };
            if let Some(rule) = rule {
                self.out.remove(rule, &inline::words(child));
            } else if is_block(element.name()) || self.holds_blocks(child) {
                self.out.push(Kind::Paragraph, &std::mem::take(&mut run));
                self.block(child, element.name(), list, depth + 1);
            } else {
                inline::push(child, &mut run, 0);
            }
        }
        self.out.push(Kind::Paragraph, &run);
    }

    /// Whether an inline element has blocks in it, as in `<a><p>…</p></a>` or an element of the page's own making.
    fn holds_blocks(&self, node: NodeRef<'_, Node>) -> bool {
        node.children().any(|child| is_block(name(child)))
    }

    fn block(&mut self, node: NodeRef<'_, Node>, tag: &str, list: usize, depth: usize) {
        match tag {
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                let level = tag[1..].parse().unwrap_or(1);
                self.out.heading(level, &inline::text(node));
            }
            "ul" | "ol" | "menu" => self.flow(node, list + 1, depth),
            "li" => self.item(node, list, depth),
            "dt" => self.out.item(list, &inline::text(node)),
            "dd" => self.item(node, list + 2, depth),
            "table" if !tables::is_layout(node) => {
                for caption in node.children().filter(|part| name(*part) == "caption") {
                    self.out.push(Kind::Caption, &inline::text(caption));
                }
                match tables::markdown(node) {
                    Some(table) => self.out.push(Kind::Table, &table),
                    None => self.out.push(Kind::Paragraph, &inline::words(node)),
                }
            }
            "figcaption" | "caption" => self.out.push(Kind::Caption, &inline::text(node)),
            "pre" => self.out.push(Kind::Code, &inline::verbatim(node)),
            _ => self.flow(node, list, depth),
        }
    }

    /// An item: its own text, then the blocks in it. Paragraphs of an item are one.
    fn item(&mut self, node: NodeRef<'_, Node>, list: usize, depth: usize) {
        if depth > DEEPEST {
            return self.flow(node, list, depth);
        }
        let nesting = list.saturating_sub(1);
        let own = |name: &str| {
            matches!(name, "ul" | "ol" | "dl" | "table" | "pre" | "figure" | "h1" | "h2" | "h3" | "h4")
        };
        let mut run = String::new();
        for child in node.children() {
            let holds = child.descendants().any(|part| own(name(part)));
            if holds {
                self.out.item(nesting, &std::mem::take(&mut run));
                if own(name(child)) {
                    self.block(child, name(child), list, depth + 1);
                } else {
                    self.flow(child, list, depth + 1);
                }
            } else {
                inline::push(child, &mut run, 0);
            }
        }
        self.out.item(nesting, &run);
    }

    /// Keeps on file what stands around the main part.
    fn surroundings(&mut self, root: NodeRef<'_, Node>, main: NodeRef<'_, Node>) {
        let mut words = String::new();
        let mut pending = vec![root];
        while let Some(node) = pending.pop() {
            match node.value() {
                Node::Text(piece) => {
                    words.push_str(piece);
                    words.push(' ');
                }
                _ if node == main || is_machinery(name(node)) => {}
                _ => pending.extend(node.children().rev()),
            }
        }
        self.out.remove("page furniture", &words);
    }
}
