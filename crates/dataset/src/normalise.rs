//! Normal forms of text, by which rows are compared.

use unicode_normalization::UnicodeNormalization;

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
    fold_whitespace(&text.nfc().collect::<String>())
}

/// The words of a text in lower case: runs of letters and digits of any script; everything else parts words.
pub fn words(text: &str) -> Vec<String> {
    let lower: String = text.nfc().flat_map(char::to_lowercase).collect();
    lower
        .split(|c: char| !c.is_alphanumeric() && !is_mark(c))
        .filter(|word| !word.is_empty())
        .map(String::from)
        .collect()
}

/// A question in lower case without punctuation, its words parted by one blank.
pub fn normalise_question(text: &str) -> String {
    words(text).join(" ")
}

/// Combining marks belong to the letter before them.
fn is_mark(c: char) -> bool {
    unicode_normalization::char::is_combining_mark(c)
}
