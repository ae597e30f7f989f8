use std::io::Write;

use proptest::prelude::*;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::*;
use crate::to_markdown;

const W: &str = "xmlns:w='http://schemas.openxmlformats.org/wordprocessingml/2006/main'";

fn archive(parts: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (name, text) in parts {
        zip.start_file(*name, options).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn document(body: &str) -> String {
    format!("<w:document {W}><w:body>{body}</w:body></w:document>")
}

fn styled(style: &str, text: &str) -> String {
    format!("<w:p><w:pPr><w:pStyle w:val='{style}'/></w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>")
}

fn read(bytes: &[u8]) -> Result<Document> {
    DocxReader.read(Path::new("a.docx"), bytes)
}

#[test]
fn headings_lists_tables_and_notes_of_a_word_document_are_read() {
    let styles = format!(
        "<w:styles {W}><w:style w:styleId='berschrift1'><w:name w:val='heading 1'/></w:style>\
         <w:style w:styleId='Mine'><w:name w:val='Mine'/><w:basedOn w:val='berschrift1'/></w:style>\
         <w:style w:styleId='Punkt'><w:name w:val='List Bullet'/><w:pPr><w:numPr><w:numId w:val='1'/></w:numPr></w:pPr>\
         </w:style></w:styles>"
    );
    let body = styled("Title", "Gout")
        + &styled("Mine", "Signs")
        + "<w:p><w:r><w:t xml:space='preserve'>It </w:t></w:r><w:del><w:r><w:delText>never</w:delText></w:r></w:del><w:ins><w:r>\
           <w:t>hurts: 10</w:t></w:r></w:ins><w:r><w:rPr><w:vertAlign w:val='superscript'/></w:rPr><w:t>-3</w:t></w:r><w:r>\
           <w:footnoteReference w:id='2'/></w:r></w:p>"
        + &styled("Punkt", "first")
        + "<w:p><w:pPr><w:numPr><w:ilvl w:val='1'/><w:numId w:val='1'/></w:numPr></w:pPr><w:r><w:t>deep</w:t></w:r></w:p>"
        + "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>a</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>b</w:t></w:r></w:p></w:tc></w:tr>\
           <w:tr><w:tc><w:tcPr><w:gridSpan w:val='2'/></w:tcPr><w:p><w:r><w:t>5</w:t></w:r></w:p></w:tc></w:tr></w:tbl>"
        + &styled("Caption", "Table 1");
    let notes = format!(
        "<w:footnotes {W}><w:footnote w:type='separator' w:id='0'><w:p/></w:footnote><w:footnote w:id='2'><w:p><w:r><w:t>A note.\
         </w:t></w:r></w:p></w:footnote></w:footnotes>"
    );
    let head = format!("<w:hdr {W}><w:p><w:r><w:t>Page head</w:t></w:r></w:p></w:hdr>");
    let parts = [
        ("word/document.xml", document(&body)),
        ("word/styles.xml", styles),
        ("word/footnotes.xml", notes),
        ("word/header1.xml", head),
    ];
    let parts: Vec<(&str, &str)> = parts.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let read = read(&archive(&parts)).unwrap();
    let expected = "# Gout\n\n## Signs\n\nIt hurts: 10^-3[^2]\n\n- first\n  - deep\n\n| a | b |\n| --- | --- |\n| 5 |  |\n\n\
                    Table 1\n\n[^2]: A note.\n";
    assert_eq!(to_markdown(&read.blocks), expected);
    assert_eq!(
        (read.removed[0].rule.as_str(), read.removed[0].block.text.as_str()),
        ("running head", "Page head")
    );
}

#[test]
fn a_bomb_is_refused_before_it_is_unpacked() {
    let bomb = document(&format!("<w:p><w:r><w:t>{}</w:t></w:r></w:p>", "0".repeat(64 << 20)));
    let bytes = archive(&[("word/document.xml", &bomb)]);
    assert!(bytes.len() < 200_000);
    let error = read(&bytes).unwrap_err().to_string();
    assert!(error.contains("`word/document.xml` unpacks to more than"), "{error}");
}

#[test]
fn what_is_no_word_document_is_refused_with_a_reason() {
    assert!(read(b"PK\x03\x04 nothing").unwrap_err().to_string().contains("not a readable Word document"));
    let other = archive(&[("xl/workbook.xml", "<a/>")]);
    assert!(read(&other).unwrap_err().to_string().contains("no `word/document.xml`"));
    let empty = archive(&[("word/document.xml", &document(""))]);
    assert!(read(&empty).unwrap_err().to_string().contains("no text"));
    let broken = archive(&[("word/document.xml", "<w:document")]);
    assert!(read(&broken).unwrap_err().to_string().contains("not a readable Word document"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_damaged_file_is_read_or_refused(at in 0usize..400, byte in any::<u8>(), cut in 0usize..400) {
        let mut bytes = archive(&[("word/document.xml", &document(&styled("Title", "Gout")))]);
        let length = bytes.len();
        bytes[at % length] = byte;
        let _ = read(&bytes);
        bytes.truncate(cut % length);
        let _ = read(&bytes);
    }
}
