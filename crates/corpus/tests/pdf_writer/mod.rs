//! Small PDF files for tests, written by hand.
#![allow(dead_code, reason = "not every test binary writes all of it")]

use std::fmt::Write;

/// A piece of text at a place, in points from the lower left corner of a page of 612 by 792.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    pub(crate) x: f32,
    pub(crate) y: f32,
    pub(crate) size: f32,
    pub(crate) bold: bool,
    /// ASCII, and octal escapes such as `\\255`.
    pub(crate) text: String,
}

/// Text in Helvetica.
pub(crate) fn text(x: f32, y: f32, size: f32, text: &str) -> Text {
    Text { x, y, size, bold: false, text: text.into() }
}

/// Text in Helvetica Bold.
pub(crate) fn bold(x: f32, y: f32, size: f32, words: &str) -> Text {
    Text { bold: true, ..text(x, y, size, words) }
}

/// Lines of 10 points below one another, 12 points apart.
pub(crate) fn lines(x: f32, y: f32, texts: &[&str]) -> Vec<Text> {
    texts.iter().enumerate().map(|(at, line)| text(x, y - 12.0 * at as f32, 10.0, line)).collect()
}

/// A file with these pages, and with bookmarks where there are any.
pub(crate) fn pdf(pages: &[Vec<Text>], bookmarks: &[&str]) -> Vec<u8> {
    let contents: Vec<String> = pages.iter().map(|page| content(page)).collect();
    with_contents(&contents, bookmarks)
}

/// The operators of a page.
pub(crate) fn content(page: &[Text]) -> String {
    let mut content = String::new();
    for piece in page {
        let font = if piece.bold { "B" } else { "R" };
        let escaped = piece.text.replace('(', "\\(").replace(')', "\\)");
        writeln!(
            content,
            "BT /{font} {} Tf 1 0 0 1 {} {} Tm ({escaped}) Tj ET",
            piece.size, piece.x, piece.y
        )
        .unwrap();
    }
    content
}

/// A file whose pages have these operators.
pub(crate) fn with_contents(contents: &[String], bookmarks: &[&str]) -> Vec<u8> {
    let first_page = 5;
    let outline = first_page + 2 * contents.len();
    let kids: String = (0..contents.len()).map(|at| format!("{} 0 R ", first_page + 2 * at)).collect();
    let mut objects = vec![
        match bookmarks {
            [] => "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
            _ => format!("<< /Type /Catalog /Pages 2 0 R /Outlines {outline} 0 R >>"),
        },
        format!("<< /Type /Pages /Kids [{kids}] /Count {} >>", contents.len()),
        font("Helvetica"),
        font("Helvetica-Bold"),
    ];
    for (at, content) in contents.iter().enumerate() {
        objects.push(format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {} 0 R \
             /Resources << /Font << /R 3 0 R /B 4 0 R >> >> >>",
            first_page + 2 * at + 1
        ));
        objects.push(format!("<< /Length {} >>\nstream\n{content}endstream", content.len()));
    }
    if !bookmarks.is_empty() {
        let last = outline + bookmarks.len();
        objects.push(format!(
            "<< /Type /Outlines /First {} 0 R /Last {last} 0 R /Count {} >>",
            outline + 1,
            bookmarks.len()
        ));
        for (at, title) in bookmarks.iter().enumerate() {
            let own = outline + 1 + at;
            let next = if own < last { format!("/Next {} 0 R", own + 1) } else { String::new() };
            objects.push(format!("<< /Title ({title}) /Parent {outline} 0 R {next} >>"));
        }
    }
    assemble(&objects)
}

fn font(name: &str) -> String {
    format!("<< /Type /Font /Subtype /Type1 /BaseFont /{name} /Encoding /WinAnsiEncoding >>")
}

/// A file of these objects, the first of which is its catalog.
pub(crate) fn assemble(objects: &[String]) -> Vec<u8> {
    let mut file = b"%PDF-1.4\n".to_vec();
    let mut offsets = Vec::new();
    for (at, object) in objects.iter().enumerate() {
        offsets.push(file.len());
        file.extend(format!("{} 0 obj\n{object}\nendobj\n", at + 1).bytes());
    }
    let start = file.len();
    file.extend(format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).bytes());
    for offset in offsets {
        file.extend(format!("{offset:010} 00000 n \n").bytes());
    }
    file.extend(
        format!("trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n", objects.len() + 1)
            .bytes(),
    );
    file
}
