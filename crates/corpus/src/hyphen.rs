//! Words that a line's end has divided.

use std::collections::HashSet;

/// The words of a document, to tell `hyper-|tension` from `well-|known`.
#[derive(Debug, Default)]
pub(crate) struct Vocabulary {
    words: HashSet<String>,
}

impl Vocabulary {
    /// Of texts of whole lines. The last word of a line that ends in a hyphen is left out.
    pub(crate) fn of<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        let mut words = HashSet::new();
        for line in lines {
            let mut rest = line.split_whitespace().peekable();
            while let Some(word) = rest.next() {
                if rest.peek().is_some() || !ends_in_hyphen(word) {
                    words.insert(bare(word));
                }
            }
        }
        Self { words }
    }

    fn knows(&self, word: &str) -> bool {
        self.words.contains(&bare(word))
    }
}

fn bare(word: &str) -> String {
    word.trim_matches(|c: char| !c.is_alphanumeric()).replace(HYPHENS, "-").to_lowercase()
}

/// Hyphen-minus, soft hyphen, hyphen, non-breaking hyphen.
const HYPHENS: [char; 4] = ['-', '\u{ad}', '\u{2010}', '\u{2011}'];

/// Prefixes that keep their hyphen when nothing else is known.
const KEEP: [&str; 12] =
    ["self", "non", "well", "high", "low", "long", "short", "cross", "half", "follow", "evidence", "large"];

fn ends_in_hyphen(text: &str) -> bool {
    let mut back = text.chars().rev();
    back.next().is_some_and(|c| HYPHENS.contains(&c)) && back.next().is_some_and(char::is_alphanumeric)
}

/// Appends a line of a paragraph to what is there.
///
/// The hyphen of a divided word goes; that of a compound, of a number or before a capital stays. A soft hyphen
/// within a line was painted like any other glyph and becomes a hyphen.
pub(crate) fn append(text: &mut String, line: &str, vocabulary: &Vocabulary) {
    let line = line.trim();
    if text.is_empty() {
        text.push_str(&visible(line));
        return;
    }
    if !ends_in_hyphen(text) {
        text.push(' ');
        text.push_str(&visible(line));
        return;
    }
    let hyphen = text.pop().unwrap_or('-');
    let head = text.rsplit(|c: char| c.is_whitespace() || "([{/–—".contains(c)).next().unwrap_or("");
    let tail: String = line.chars().take_while(|c| c.is_alphanumeric()).collect();
    let divided = tail.chars().next().is_some_and(char::is_lowercase)
        && !head.chars().next_back().is_some_and(|c| c.is_ascii_digit())
        && !head.chars().any(|c| c.is_uppercase() && !head.starts_with(c));
    let keep = !divided || {
        let whole = vocabulary.knows(&format!("{head}{tail}"));
        let compound = vocabulary.knows(&format!("{head}-{tail}"));
        let last = head.rsplit(HYPHENS).next().unwrap_or(head).to_lowercase();
        let parts = head.chars().count() >= 3
            && tail.chars().count() >= 5
            && vocabulary.knows(head)
            && vocabulary.knows(&tail);
        compound && !whole
            || parts && !whole && hyphen != '\u{ad}'
            || !whole && hyphen != '\u{ad}' && KEEP.contains(&last.as_str()) && tail.chars().count() > 3
    };
    if ["and", "or", "to", "und", "oder", "bis"].contains(&tail.as_str())
        && line[tail.len()..].starts_with(' ')
    {
        // `pre-|and postoperative` is not a divided word.
        text.push('-');
        text.push(' ');
    } else if keep {
        text.push('-');
    }
    text.push_str(&visible(line));
}

/// A line as it looks: soft hyphens within it were painted. The one at its end waits for the next line.
fn visible(line: &str) -> String {
    match line.strip_suffix('\u{ad}') {
        Some(head) => head.replace('\u{ad}', "-") + "\u{ad}",
        None => line.replace('\u{ad}', "-"),
    }
}

/// A hyphen that still waits at a text's end is one.
pub(crate) fn finish(text: &mut String) {
    if text.ends_with('\u{ad}') {
        text.pop();
        text.push('-');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(lines: &[&str], known: &str) -> String {
        let vocabulary = Vocabulary::of([known].into_iter());
        let mut text = String::new();
        for line in lines {
            append(&mut text, line, &vocabulary);
        }
        finish(&mut text);
        text
    }

    #[test]
    fn divided_words_grow_together_and_compounds_keep_their_hyphen() {
        assert_eq!(joined(&["arterial hyper-", "tension is"], ""), "arterial hypertension is");
        assert_eq!(joined(&["a non-", "specific"], ""), "a non-specific");
        assert_eq!(joined(&["the dose-", "response"], "a dose-response curve"), "the dose-response");
        assert_eq!(joined(&["fast-", "flowing rivers"], "a fast car, flowing"), "fast-flowing rivers");
        assert_eq!(joined(&["pre-", "and postoperative"], ""), "pre- and postoperative");
        assert_eq!(joined(&["Anti-", "HBs", "IL-", "6"], ""), "Anti-HBs IL-6");
    }

    #[test]
    fn numbers_at_a_lines_end_are_never_joined_to_one() {
        assert_eq!(joined(&["in 2014-", "2015"], ""), "in 2014-2015");
        assert_eq!(joined(&["of 12", "34 patients"], ""), "of 12 34 patients");
    }

    #[test]
    fn a_soft_hyphen_divides_at_a_lines_end_and_is_a_hyphen_within_it() {
        assert_eq!(joined(&["arterial hyper\u{ad}", "tension"], ""), "arterial hypertension");
        assert_eq!(joined(&["a T\u{ad}cell line"], ""), "a T-cell line");
        assert_eq!(joined(&["at the end\u{ad}"], ""), "at the end-");
    }
}
