//! Normal forms of text, by which rows are compared.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// One blank between words, none at the ends.
pub fn fold_whitespace(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// Blanks within a line folded, lines trimmed, at most one empty line between paragraphs: what is left of text that
/// was cut out of indented XML.
pub fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut gap = 0;
    for line in text.replace("\r\n", "\n").replace('\r', "\n").split('\n') {
        let line = fold_whitespace(line);
        if line.is_empty() {
            gap += 1;
            continue;
        }
        if !out.is_empty() {
            out.push_str(if gap > 0 { "\n\n" } else { "\n" });
        }
        gap = 0;
        out.push_str(&line);
    }
    out
}

/// Unicode's composed form with folded whitespace: two texts that print alike.
pub fn printed_form(text: &str) -> String {
    if text.is_ascii() { fold_whitespace(text) } else { fold_whitespace(&text.nfc().collect::<String>()) }
}

/// The composed form in lower case, whose words [`words`] finds.
pub(crate) fn lower(text: &str) -> String {
    if text.is_ascii() {
        text.to_ascii_lowercase()
    } else {
        text.nfc().flat_map(char::to_lowercase).collect()
    }
}

/// The words of a text: runs of letters and digits of any script; everything else parts words.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && !is_combining_mark(c)).filter(|word| !word.is_empty())
}

/// A question in lower case without punctuation, its words parted by one blank.
pub fn normalise_question(text: &str) -> String {
    words(&lower(text)).collect::<Vec<_>>().join(" ")
}
