//! Journal articles in XML: JATS (NLM) and BioMed Central's own DTD.
//!
//! The two share their idea and most names of elements, so one walk reads both. Sources: JATS 1.3 Archiving Tag Library;
//! BioMed Central's `article.dtd` as its articles use it.

mod body;
mod inline;
mod math;
mod tables;

use std::path::Path;

use roxmltree::Node;

use crate::collect::Collector;
use crate::decode::decode;
use crate::xml::{self, child, name};
use crate::{CorpusError, Document, Reader, Result};
use body::Body;

const FORMAT: &str = "journal article in XML";

/// Title, abstract, sections, tables, captions, formulas, notes and references of an article. Journal, authors,
/// addresses, dates, keywords and licence stand under `removed`, with the rule `article metadata`.
#[derive(Debug, Clone, Copy, Default)]
pub struct ArticleReader;

impl Reader for ArticleReader {
    fn read(&self, path: &Path, bytes: &[u8]) -> Result<Document> {
        let text = decode(bytes).text;
        let tree = xml::parse(path, FORMAT, &text)?;
        let mut reading = Reading { out: Collector::default(), title: None };
        for article in articles(tree.root_element()) {
            reading.article(article);
        }
        if reading.out.len() == 0 {
            let reason = format!("`<{}>` holds no article with text", name(tree.root_element()));
            return Err(CorpusError::Malformed { path: path.into(), format: FORMAT, reason });
        }
        Ok(reading.out.document(bytes, reading.title, None))
    }
}

/// The articles of a file: the root itself, or those in a set of articles.
fn articles<'a, 'i>(root: Node<'a, 'i>) -> Vec<Node<'a, 'i>> {
    let is_article = |node: &Node<'_, '_>| matches!(name(*node), "article" | "art");
    if is_article(&root) { vec![root] } else { root.descendants().filter(is_article).collect() }
}

#[derive(Debug)]
struct Reading {
    out: Collector,
    title: Option<String>,
}

impl Reading {
    fn article(&mut self, article: Node<'_, '_>) {
        for part in article.children().filter(Node::is_element) {
            match name(part) {
                "front" | "front-stub" => self.front(part),
                "fm" => self.front_of_bmc(part),
                "sub-article" | "response" => self.article(part),
                _ => Body::new(&mut self.out).flow(part, 2, 0),
            }
        }
    }

    fn title(&mut self, node: Node<'_, '_>) {
        let text = inline::text(node);
        self.out.heading(1, &text);
        self.title.get_or_insert(text);
    }

    fn front(&mut self, front: Node<'_, '_>) {
        let meta = child(front, "article-meta").unwrap_or(front);
        let parts = || meta.children().filter(Node::is_element);
        for titles in parts().filter(|part| name(*part) == "title-group") {
            for title in titles.children().filter(Node::is_element) {
                match name(title) {
                    "article-title" => self.title(title),
                    "subtitle" => self.out.push(crate::Kind::Paragraph, &inline::text(title)),
                    _ => self.metadata(title),
                }
            }
        }
        if meta != front {
            front
                .children()
                .filter(|part| part.is_element() && *part != meta)
                .for_each(|part| self.metadata(part));
        }
        for part in parts() {
            match name(part) {
                "title-group" => {}
                "abstract" | "trans-abstract" => Body::new(&mut self.out).block(part, 2, 0),
                _ => self.metadata(part),
            }
        }
    }

    fn front_of_bmc(&mut self, front: Node<'_, '_>) {
        for part in front.children().filter(Node::is_element) {
            match name(part) {
                "bibl" => {
                    for of_article in part.children().filter(Node::is_element) {
                        match name(of_article) {
                            "title" => self.title(of_article),
                            _ => self.metadata(of_article),
                        }
                    }
                }
                "abs" => Body::new(&mut self.out).block(part, 2, 0),
                _ => self.metadata(part),
            }
        }
    }

    fn metadata(&mut self, node: Node<'_, '_>) {
        self.out.remove("article metadata", &xml::words(node));
    }
}

#[cfg(test)]
mod tests;
