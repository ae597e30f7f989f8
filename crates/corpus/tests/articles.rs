//! Articles as publishers deliver them: nothing of their XML is lost, and headings and tables are where they were.

mod reference;

use std::collections::BTreeMap;
use std::path::Path;

use corpus::{ArticleReader, Document, Kind, Reader};
use reference::oracle;

const ARTICLES: [&str; 7] = [
    "PMC4521097",
    "mdpi_04-00932",
    "plos_pone.0115884",
    "trials_15_1_511",
    "trials_16_1_1",
    "trials_16_1_2",
    "trials_16_1_50",
];

fn articles() -> Vec<(&'static str, String, Document)> {
    let read = |name: &&'static str| {
        let path = oracle(&format!("pdf/jats_pairs/{name}/fulltext.xml"))?;
        let bytes = std::fs::read(&path).unwrap();
        let document = ArticleReader.read(Path::new(name), &bytes).unwrap();
        Some((*name, String::from_utf8(bytes).unwrap(), document))
    };
    ARTICLES.iter().filter_map(read).collect()
}

/// Words with letters or digits, counted.
fn words(text: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        *counts.entry(word.to_owned()).or_default() += 1;
    }
    counts
}

fn everything(document: &Document) -> String {
    let blocks = document.blocks.iter().map(|block| block.text.as_str());
    blocks
        .chain(document.removed.iter().map(|removed| removed.block.text.as_str()))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn every_word_of_an_article_is_in_a_block_or_on_file() {
    for (name, xml, document) in articles() {
        let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
        let tree = roxmltree::Document::parse_with_options(&xml, options).unwrap();
        let texts = tree.descendants().filter(|node| node.is_text()).filter_map(|node| node.text());
        let (truth, found) = (words(&texts.collect::<Vec<_>>().join(" ")), words(&everything(&document)));
        let all: usize = truth.values().sum();
        let kept: usize = truth.iter().map(|(word, count)| count.min(found.get(word).unwrap_or(&0))).sum();
        let recall = kept as f64 / all as f64;
        eprintln!("{name}: {kept} of {all} words, recall {recall:.4}");
        assert!(recall > 0.985, "{name}: {recall}");
    }
}

#[test]
fn every_section_has_its_heading_at_its_level() {
    for (name, xml, document) in articles() {
        let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
        let tree = roxmltree::Document::parse_with_options(&xml, options).unwrap();
        let body = tree.descendants().find(|node| matches!(node.tag_name().name(), "body" | "bdy")).unwrap();
        let squeezed = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
        let truth: Vec<(u8, String)> = body
            .descendants()
            .filter(|node| node.tag_name().name() == "sec")
            .filter_map(|section| {
                let of = |name: &str| section.children().find(|part| part.tag_name().name() == name);
                let title = of("title").or_else(|| of("st"))?;
                let text = |node: roxmltree::Node<'_, '_>| {
                    node.descendants()
                        .filter_map(|part| part.text().filter(|_| part.is_text()))
                        .collect::<String>()
                };
                let label = of("label").map(text).unwrap_or_default();
                let depth = section.ancestors().filter(|up| up.tag_name().name() == "sec").count() as u8;
                Some((depth + 1, squeezed(&(label + &text(title)))))
            })
            .filter(|(_, title)| !title.is_empty())
            .collect();
        let found: Vec<(u8, String)> = document
            .blocks
            .iter()
            .filter_map(|block| match block.kind {
                Kind::Heading { level } => Some((level, squeezed(&block.text))),
                _ => None,
            })
            .collect();
        let mut rest = found.iter();
        for heading in &truth {
            assert!(
                rest.any(|found| found == heading),
                "{name}: {heading:?} is missing or out of order in {found:?}"
            );
        }
        eprintln!(
            "{name}: {} of {} section headings, {} headings in all",
            truth.len(),
            truth.len(),
            found.len()
        );
        assert_eq!(found[0].0, 1, "{name} begins with its title");
    }
}

#[test]
fn every_cell_of_every_table_is_in_one_place() {
    for (name, xml, document) in articles() {
        let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
        let tree = roxmltree::Document::parse_with_options(&xml, options).unwrap();
        let text = |node: roxmltree::Node<'_, '_>| {
            node.descendants().filter_map(|part| part.text().filter(|_| part.is_text())).collect::<String>()
        };
        let squeezed = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
        let cells: Vec<String> = tree
            .descendants()
            .filter(|node| matches!(node.tag_name().name(), "td" | "th" | "entry"))
            .map(|cell| squeezed(&text(cell)))
            .filter(|cell| !cell.is_empty())
            .collect();
        let tables: Vec<&str> = document
            .blocks
            .iter()
            .filter(|block| block.kind == Kind::Table)
            .map(|block| block.text.as_str())
            .collect();
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        for cell in tables.iter().flat_map(|table| table.split(['|', '\n'])).map(squeezed) {
            *found.entry(cell).or_default() += 1;
        }
        let mut missing = Vec::new();
        for cell in &cells {
            match found.get_mut(cell) {
                Some(count) if *count > 0 => *count -= 1,
                _ => missing.push(cell),
            }
        }
        eprintln!(
            "{name}: {} tables, {} of {} cells",
            tables.len(),
            cells.len() - missing.len(),
            cells.len()
        );
        assert!(missing.is_empty(), "{name}: {missing:?}");
    }
}
