//! PDF files written by hand, each with one thing that the reader has to get right.

mod pdf_writer;

use std::collections::BTreeMap;
use std::path::Path;

use corpus::cleaning::{Rules, clean};
use corpus::pdf::PdfReader;
use corpus::{Block, CorpusError, Document, Kind, Reader};
use pdf_writer::{Text, assemble, bold, content, lines, pdf, text, with_contents};
use proptest::prelude::*;

fn read(bytes: &[u8]) -> Document {
    PdfReader::default().read(Path::new("test.pdf"), bytes).unwrap()
}

fn reason(bytes: &[u8]) -> String {
    match PdfReader::default().read(Path::new("test.pdf"), bytes) {
        Err(CorpusError::Malformed { format: "PDF", reason, .. }) => reason,
        other => panic!("expected a malformed file, got {other:?}"),
    }
}

fn texts(document: &Document, kind: fn(&Kind) -> bool) -> Vec<&str> {
    let blocks = document.blocks.iter().filter(|block| kind(&block.kind));
    blocks.map(|block| block.text.as_str()).collect()
}

const PARAGRAPH: fn(&Kind) -> bool = |kind| matches!(kind, Kind::Paragraph);
const HEADING: fn(&Kind) -> bool = |kind| matches!(kind, Kind::Heading { .. });

/// Two columns of five lines each, the left one ending within a word.
fn two_columns() -> Vec<Text> {
    let mut page = lines(
        60.0,
        700.0,
        &[
            "The pericardium is a sac of two layers that",
            "surrounds the heart and the roots of the great",
            "vessels. Between the layers there are 15 to 50",
            "millilitres of fluid, which lets the heart move",
            "without friction. An inflammation of it, peri-",
        ],
    );
    page.extend(lines(
        330.0,
        700.0,
        &[
            "carditis, is felt as a sharp pain in the chest",
            "that is worse when lying and better when one",
            "sits up. It is heard as a rub in three of four",
            "patients. The ECG shows a raised ST segment in",
            "many leads at once. Most cases pass in weeks.",
        ],
    ));
    page
}

#[test]
fn columns_are_read_one_after_the_other_and_divided_words_grow_together() {
    let document = read(&pdf(&[two_columns()], &[]));
    let paragraphs = texts(&document, PARAGRAPH);
    assert_eq!(paragraphs.len(), 1, "{paragraphs:#?}");
    let text = paragraphs[0];
    assert!(text.contains("without friction. An inflammation of it, pericarditis, is felt"), "{text}");
    let places = &document.blocks[0].places;
    assert_eq!(places.len(), 2, "one place in each column");
    let (left, right) = (places[0].area.unwrap(), places[1].area.unwrap());
    assert!(left.x1 < right.x0 && (80.0..110.0).contains(&left.y0), "{left:?} {right:?}");
}

#[test]
fn a_paragraph_goes_on_over_the_page_and_its_head_and_number_are_set_aside() {
    let words = [
        "Heart sounds come from valves that close and from",
        "walls that vibrate. The first one marks the begin",
        "of systole, the second one its end. A third sound",
        "is normal in children and in adults often a sign",
    ];
    let page = |number: usize| {
        let mut page = vec![
            text(60.0, 760.0, 8.0, "Journal of Cardiac Sounds 2020, 7:1"),
            text(500.0, 40.0, 8.0, &format!("Page {number} of 3")),
        ];
        page.extend(lines(60.0, 700.0, &words));
        page
    };
    let mut document = read(&pdf(&[page(1), page(2), page(3)], &[]));
    let heads = texts(&document, |kind| matches!(kind, Kind::RunningHead));
    assert_eq!(heads.len(), 6, "{heads:#?}");
    let report = clean(&mut document, &Rules::default());
    assert_eq!(report.removed.values().sum::<usize>(), 6);
    let rest = texts(&document, |_| true);
    assert_eq!(rest.len(), 1, "{rest:#?}");
    assert!(rest[0].contains("often a sign Heart sounds come"), "{}", rest[0]);
    assert_eq!(document.blocks[0].places.iter().map(|place| place.page).collect::<Vec<_>>(), [1, 2, 3]);
}

fn paper() -> Vec<Text> {
    let body =
        ["Pain in the chest was the first complaint of most", "patients of this study, and it passed."];
    let mut page = vec![bold(60.0, 720.0, 20.0, "Acute pericarditis in adults")];
    let mut y = 690.0;
    let headings = [
        (14.0, "Introduction"),
        (14.0, "Methods"),
        (11.0, "Patients"),
        (11.0, "Statistics"),
        (14.0, "Results"),
        (14.0, "Contents of the pericardium"),
        (14.0, "References"),
    ];
    for (size, heading) in headings {
        page.push(bold(60.0, y, size, heading));
        page.extend(lines(60.0, y - 20.0, &body));
        y -= 65.0;
    }
    page
}

#[test]
fn headings_and_their_levels_come_from_weight_and_size() {
    let document = read(&pdf(&[paper()], &[]));
    let found: Vec<(u8, &str)> = document
        .blocks
        .iter()
        .filter_map(|block| match block.kind {
            Kind::Heading { level } => Some((level, block.text.as_str())),
            _ => None,
        })
        .collect();
    let expected = [
        (1, "Acute pericarditis in adults"),
        (2, "Introduction"),
        (2, "Methods"),
        (3, "Patients"),
        (3, "Statistics"),
        (2, "Results"),
        (2, "Contents of the pericardium"),
        (2, "References"),
    ];
    assert_eq!(found, expected);
    assert_eq!(document.title.as_deref(), Some("Acute pericarditis in adults"));
}

#[test]
fn cleaning_takes_the_references_and_leaves_the_contents_of_the_pericardium() {
    let mut document = read(&pdf(&[paper()], &[]));
    clean(&mut document, &Rules::default());
    let headings = texts(&document, HEADING);
    assert!(headings.contains(&"Contents of the pericardium") && !headings.contains(&"References"));
    let removed: Vec<&str> = document.removed.iter().map(|removed| removed.block.text.as_str()).collect();
    assert_eq!(removed.len(), 2, "the title and its one paragraph: {removed:#?}");
}

#[test]
fn bookmarks_name_headings_that_only_open_their_paragraph() {
    let mut page = Vec::new();
    let mut y = 700.0;
    for (title, first) in [("Onset", "The pain"), ("Course", "The rub"), ("Outcome", "The heart")] {
        page.push(bold(60.0, y, 10.0, title));
        page.push(text(110.0, y, 10.0, &format!("{first} was there in all of the patients that")));
        page.extend(lines(60.0, y - 12.0, &["were seen in this hospital within one year."]));
        y -= 60.0;
    }
    let document = read(&pdf(&[page], &["Onset", "Course", "Outcome"]));
    assert_eq!(texts(&document, HEADING), ["Onset", "Course", "Outcome"]);
    assert_eq!(
        texts(&document, PARAGRAPH)[1],
        "The rub was there in all of the patients that were seen in this hospital within one year."
    );
}

#[test]
fn a_ruled_table_becomes_a_markdown_table() {
    let mut page = Vec::new();
    let rows = [
        ["Drug", "Dose", "Days"],
        ["Aspirin", "750 mg", "14"],
        ["Ibuprofen", "600 mg", "10"],
        ["Colchicine", "0.5 mg", "90"],
    ];
    for (at, row) in rows.iter().enumerate() {
        for (x, cell) in [80.0, 220.0, 360.0].into_iter().zip(row) {
            page.push(text(x, 600.0 - 15.0 * at as f32, 10.0, cell));
        }
    }
    let rules: String = [615.0, 595.0, 545.0].iter().map(|y| format!("70 {y} m 450 {y} l S\n")).collect();
    let document = read(&with_contents(&[content(&page) + &rules], &[]));
    let tables = texts(&document, |kind| matches!(kind, Kind::Table));
    let expected = "| Drug | Dose | Days |\n| --- | --- | --- |\n| Aspirin | 750 mg | 14 |\n\
                    | Ibuprofen | 600 mg | 10 |\n| Colchicine | 0.5 mg | 90 |";
    assert_eq!(tables, [expected]);
}

#[test]
fn raised_figures_do_not_become_part_of_a_number() {
    let page = vec![
        text(60.0, 700.0, 10.0, "A count of 10"),
        text(119.2, 704.0, 6.0, "9"),
        text(125.5, 700.0, 10.0, "per litre is low for platelets of adults."),
    ];
    let document = read(&pdf(&[page], &[]));
    assert!(
        document.blocks[0].text.starts_with("A count of 10^9 per litre"),
        "{:?}",
        document.blocks[0].text
    );
}

#[test]
fn a_page_without_text_is_named() {
    let document = read(&pdf(&[two_columns(), Vec::new(), two_columns(), Vec::new()], &[]));
    assert_eq!(document.warnings, ["no text layer on pages 2, 4"]);
    assert_eq!(document.pages, Some(4));
}

#[test]
fn what_is_no_pdf_says_so() {
    assert!(reason(b"PK\x03\x04 a zip file with another extension").contains("%PDF-"));
    assert!(reason(b"").contains("%PDF-"));
    assert!(reason(b"%PDF-1.7\n").len() > 5);
}

#[test]
fn a_file_without_pages_is_malformed() {
    let objects =
        ["<< /Type /Catalog /Pages 2 0 R >>".to_owned(), "<< /Type /Pages /Kids [] /Count 0 >>".to_owned()];
    assert!(reason(&assemble(&objects)).contains("no pages"), "{}", reason(&assemble(&objects)));
}

#[test]
fn pages_that_contain_themselves_come_to_an_end() {
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [2 0 R 3 0 R] /Count 100000 >>".to_owned(),
        "<< /Type /Pages /Parent 2 0 R /Kids [2 0 R] /Count 5 >>".to_owned(),
    ];
    assert!(!reason(&assemble(&objects)).is_empty());
}

#[test]
fn deeply_nested_arrays_do_not_overflow_the_stack() {
    let nested = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        format!("<< /Type /Page /Parent 2 0 R /MediaBox {nested} >>"),
    ];
    assert!(reason(&assemble(&objects)).contains("nested 200001 deep"), "{}", reason(&assemble(&objects)));
}

/// A page of text that paints the first of these forms; each paints the next one twice, the last one a word.
fn forms_that_paint_each_other_twice(forms: usize) -> Vec<u8> {
    let stream = |dictionary: &str, content: &str| {
        format!("<< {dictionary} /Length {} >>\nstream\n{content}\nendstream", content.len())
    };
    let mut objects = vec![
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R \
         /Resources << /Font << /R 5 0 R >> /XObject << /X 6 0 R >> >> >>"
            .to_owned(),
        stream("", "BT /R 10 Tf 72 700 Td (The heart has four chambers.) Tj ET /X Do"),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>".to_owned(),
    ];
    for next in 7..6 + forms {
        let resources = format!("/Resources << /XObject << /X {next} 0 R >> >>");
        objects.push(stream(
            &format!("/Type /XObject /Subtype /Form /BBox [0 0 612 792] {resources}"),
            "/X Do /X Do",
        ));
    }
    objects.push(stream(
        "/Type /XObject /Subtype /Form /BBox [0 0 612 792] /Resources << /Font << /R 5 0 R >> >>",
        "BT /R 10 Tf 72 600 Td (Stamp.) Tj ET",
    ));
    assemble(&objects)
}

#[test]
fn forms_that_paint_each_other_twice_are_read_while_they_are_few_and_else_refused_at_once() {
    let document = read(&forms_that_paint_each_other_twice(4));
    let all: Vec<&str> = all_blocks(&document).map(|block| block.text.as_str()).collect();
    assert!(all.iter().any(|text| text.contains("four chambers")), "{all:?}");
    assert!(all.iter().any(|text| text.contains("Stamp.")), "{all:?}");

    let began = std::time::Instant::now();
    let reason = reason(&forms_that_paint_each_other_twice(40));
    assert!(reason.contains("page 1 paints more than 100000 forms"), "{reason}");
    // Followed to the end they are a billion and more.
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
}

#[test]
fn a_form_that_paints_itself_is_painted_once() {
    let file = String::from_utf8(forms_that_paint_each_other_twice(2)).unwrap();
    // The first form paints itself instead of the second; its length stays.
    let file = file.replace("/XObject << /X 7 0 R >>", "/XObject << /X 6 0 R >>");
    let document = read(file.as_bytes());
    assert!(all_blocks(&document).any(|block| block.text.contains("four chambers")));
}

#[test]
fn a_file_encrypted_with_a_password_says_so() {
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [] /Count 0 >>".to_owned(),
        format!("<< /Filter /Standard /V 1 /R 2 /P -4 /O <{0}> /U <{0}> >>", "28".repeat(32)),
    ];
    let file = String::from_utf8(assemble(&objects)).unwrap();
    let file = file.replace("/Root 1 0 R", "/Root 1 0 R /Encrypt 3 0 R /ID [<00><00>]");
    assert!(reason(file.as_bytes()).contains("encrypted"), "{}", reason(file.as_bytes()));
}

/// How often each digit occurs.
fn digits<'a>(texts: impl Iterator<Item = &'a str>) -> BTreeMap<char, usize> {
    let mut counts = BTreeMap::new();
    for digit in texts.flat_map(str::chars).filter(char::is_ascii_digit) {
        *counts.entry(digit).or_default() += 1;
    }
    counts
}

fn all_blocks(document: &Document) -> impl Iterator<Item = &Block> {
    document.blocks.iter().chain(document.removed.iter().map(|removed| &removed.block))
}

fn words() -> impl Strategy<Value = String> {
    prop::collection::vec("[A-Za-z]{1,9}|[0-9]{1,5}|[0-9]\\.[0-9]{2}|[a-z]{2,5}-|- |[0-9]\\. ", 1..7)
        .prop_map(|words| words.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_digit_is_lost_or_doubled_wherever_text_stands(
        pieces in prop::collection::vec(
            (20.0..560.0_f32, 10.0..780.0_f32, prop::sample::select(vec![6.0_f32, 10.0, 14.0, 30.0]), words(), any::<bool>()),
            1..60,
        ),
        rules in prop::collection::vec((10.0..780.0_f32, 20.0..200.0_f32, 210.0..600.0_f32), 0..6),
    ) {
        let page: Vec<Text> = pieces
            .iter()
            .map(|(x, y, size, words, heavy)| Text { bold: *heavy, ..text(*x, *y, *size, words) })
            .collect();
        let rules: String = rules.iter().map(|(y, a, b)| format!("{a} {y} m {b} {y} l S\n")).collect();
        let mut document = read(&with_contents(&[content(&page) + &rules, content(&page)], &[]));
        clean(&mut document, &Rules::default());
        let written = digits(page.iter().chain(&page).map(|piece| piece.text.as_str()));
        let kept = digits(all_blocks(&document).map(|block| block.text.as_str()));
        prop_assert_eq!(written, kept);
    }

    #[test]
    fn a_damaged_file_is_read_or_refused_but_never_panics(
        cut in 0.0..1.0_f64,
        changes in prop::collection::vec((0.0..1.0_f64, any::<u8>()), 0..20),
    ) {
        let mut file = pdf(&[paper(), two_columns()], &["Introduction", "Methods", "Results"]);
        for (at, byte) in changes {
            let at = (at * file.len() as f64) as usize;
            file[at] = byte;
        }
        let length = if cut < 0.5 { file.len() } else { (cut * file.len() as f64) as usize };
        let _ = PdfReader::default().read(Path::new("damaged.pdf"), &file[..length]);
    }
}
