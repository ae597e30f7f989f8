use proptest::prelude::*;

use super::*;
use crate::{Kind, to_markdown};

fn read(xml: &str) -> Document {
    ArticleReader.read(Path::new("a.xml"), xml.as_bytes()).unwrap()
}

fn refused(xml: &str) -> String {
    ArticleReader.read(Path::new("a.xml"), xml.as_bytes()).unwrap_err().to_string()
}

#[test]
fn a_jats_article_is_read_in_order_with_its_levels() {
    let document = read(
        r#"<article><front><journal-meta><journal-title>Heart</journal-title></journal-meta><article-meta>
        <title-group><article-title>Gout <italic>now</italic></article-title></title-group>
        <contrib-group><contrib><name><surname>Doe</surname></name></contrib></contrib-group>
        <abstract><p>Short.</p></abstract></article-meta></front>
        <body><sec><label>1.</label><title>Introduction</title><p>It hurts<sup><xref ref-type="bibr">3</xref></sup>.
        <list><list-item><p>first</p></list-item><list-item><p>second</p><list><list-item><p>deep</p></list-item></list>
        </list-item></list> It took 10<sup>-3</sup> s.</p><sec><title>Doses</title>
        <table-wrap><label>Table 1</label><caption><p>Doses.</p></caption><table><thead><tr><th>a</th><th>b</th></tr>
        </thead><tbody><tr><td colspan="2">5</td></tr></tbody></table></table-wrap></sec></sec></body>
        <back><ref-list><ref><mixed-citation>Doe J. A paper. 2001.</mixed-citation></ref></ref-list></back></article>"#,
    );
    assert_eq!(document.title.as_deref(), Some("Gout now"));
    let expected = "# Gout now\n\n## Abstract\n\nShort.\n\n## 1. Introduction\n\nIt hurts[3].\n\n- first\n- second\n  - \
                    deep\n\nIt took 10^-3 s.\n\n### Doses\n\nTable 1. Doses.\n\n| a | b |\n| --- | --- |\n| 5 |  |\n\n## \
                    References\n\n- Doe J. A paper. 2001.\n";
    assert_eq!(to_markdown(&document.blocks), expected);
    let removed: Vec<&str> = document.removed.iter().map(|removed| removed.block.text.as_str()).collect();
    assert_eq!(removed, ["Heart", "Doe"]);
}

#[test]
fn an_article_in_biomed_centrals_own_dtd_is_read_too() {
    let document = read(
        r#"<art><fm><dochead>Research</dochead><bibl><title><p>Aspirin</p></title></bibl><abs><sec><st><p>Abstract</p>
        </st><p>Sum.</p></sec></abs></fm><bdy><sec><st><p>Methods</p></st><p>As said <abbrgrp><abbr bid="B1">1</abbr>
        <abbr bid="B2">2</abbr></abbrgrp>.</p><table id="T1"><title><p>Table 1</p></title><caption><p><b>Places</b></p>
        </caption><tgroup cols="2"><colspec colname="c1"/><colspec colname="c2"/><thead><row><entry colname="c1"><p>Site</p>
        </entry><entry colname="c2"><p>n</p></entry></row></thead><tbody><row><entry colname="c2"><p>7</p></entry></row>
        </tbody></tgroup><tfoot><p>All.</p></tfoot></table></sec></bdy><bm><ack><sec><st><p>Thanks</p></st><p>To all.</p>
        </sec></ack></bm></art>"#,
    );
    let expected = "# Aspirin\n\n## Abstract\n\nSum.\n\n## Methods\n\nAs said [1, 2].\n\nTable 1. Places\n\n| Site | n |\n\
                    | --- | --- |\n|  | 7 |\n\nAll.\n\n## Thanks\n\nTo all.\n";
    assert_eq!(to_markdown(&document.blocks), expected);
}

#[test]
fn formulas_are_tex_where_there_is_tex_and_a_line_otherwise() {
    let document = read(
        r#"<article xmlns:mml="m"><body><p>So <inline-formula><tex-math>\documentclass{x}\begin{document}$$x^2$$\end{document}
        </tex-math></inline-formula> holds.</p><disp-formula><mml:math><mml:mfrac><mml:mi>a</mml:mi><mml:mn>2</mml:mn>
        </mml:mfrac></mml:math></disp-formula></body></article>"#,
    );
    assert_eq!(document.blocks[0].text, "So $$x^2$$ holds.");
    assert_eq!((document.blocks[1].kind, document.blocks[1].text.as_str()), (Kind::Formula, "(a)/(2)"));
}

#[test]
fn entities_neither_multiply_nor_open_files() {
    let mut laughs = String::from("<!DOCTYPE article [<!ENTITY a0 \"ha\">");
    for n in 1..20 {
        laughs.push_str(&format!("<!ENTITY a{n} \"{}\">", format!("&a{};", n - 1).repeat(10)));
    }
    laughs.push_str("]><article><body><p>&a19;</p></body></article>");
    assert!(refused(&laughs).contains("journal article in XML"));
    let file = "<!DOCTYPE article [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><article><body><p>&x;</p></body></article>";
    assert!(
        !ArticleReader
            .read(Path::new("a.xml"), file.as_bytes())
            .is_ok_and(|read| format!("{read:?}").contains("root"))
    );
}

#[test]
fn a_million_nested_elements_neither_end_the_stack_nor_lose_their_text() {
    let depth = 100_000;
    for element in ["sec", "p", "list", "bold", "math"] {
        let xml = format!(
            "<article><body>{}deep{}</body></article>",
            format!("<{element}>").repeat(depth),
            format!("</{element}>").repeat(depth)
        );
        assert!(to_markdown(&read(&xml).blocks).contains("deep"), "{element}");
    }
}

#[test]
fn what_is_cut_off_or_holds_no_article_is_refused_with_a_reason() {
    assert!(refused("<article><body><p>so").contains("not a readable journal article in XML"));
    assert!(refused("<article><body></body></article>").contains("holds no article with text"));
}

proptest! {
    #[test]
    fn every_word_is_in_a_block_or_on_file_however_elements_are_nested(
        parts in prop::collection::vec((0usize..14, "[a-z]{5}[0-9]{3}"), 1..25)
    ) {
        const NAMES: [&str; 14] =
            ["sec", "p", "list", "list-item", "title", "fig", "caption", "table-wrap", "td", "sup", "xref", "label", "fn", "ack"];
        let open: String = parts.iter().map(|(at, word)| format!("<{}>{word} ", NAMES[*at])).collect();
        let close: String = parts.iter().rev().map(|(at, _)| format!("</{}>", NAMES[*at])).collect();
        let document = read(&format!("<article><body><p>x</p>{open}{close}</body></article>"));
        let mut found = to_markdown(&document.blocks);
        document.removed.iter().for_each(|removed| found.push_str(&removed.block.text));
        for (_, word) in &parts {
            prop_assert!(found.contains(word.as_str()), "{word} of {open} is not in {found}");
        }
    }
}
