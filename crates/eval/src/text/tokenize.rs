//! The tokenizers of sacreBLEU.

use super::python;
use regex::Regex;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::LazyLock;

/// How a line is cut into tokens before n-grams are counted. BLEU is only comparable between equal tokenizers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum BleuTokenizer {
    /// That of mteval-v13a: Western punctuation apart, numbers whole. The default of sacreBLEU.
    #[default]
    #[serde(rename = "13a")]
    V13a,
    /// That of mteval-v14 international: every Unicode punctuation mark and symbol apart.
    #[serde(rename = "intl")]
    International,
    /// Only split at white space.
    #[serde(rename = "none")]
    None,
    /// Every character is a token.
    #[serde(rename = "char")]
    Char,
}

impl BleuTokenizer {
    /// Its name in a signature.
    pub fn name(self) -> &'static str {
        match self {
            Self::V13a => "13a",
            Self::International => "intl",
            Self::None => "none",
            Self::Char => "char",
        }
    }

    /// The line with spaces between its tokens; there may be several in a row.
    pub(super) fn spaced(self, line: &str) -> Cow<'_, str> {
        match self {
            Self::V13a => Cow::Owned(v13a(line)),
            Self::International => Cow::Owned(international(line)),
            Self::None => Cow::Borrowed(line),
            Self::Char => Cow::Owned(line.chars().flat_map(|c| [c, ' ']).collect()),
        }
    }
}

/// `tokenizer_13a.py`: four substitutions, each over the result of the one before.
fn v13a(line: &str) -> String {
    let mut line = Cow::Borrowed(line);
    for (from, to) in [("<skipped>", ""), ("-\n", ""), ("\n", " ")] {
        if line.contains(from) {
            line = Cow::Owned(line.replace(from, to));
        }
    }
    if line.contains('&') {
        let unescaped = line.replace("&quot;", "\"").replace("&amp;", "&");
        line = Cow::Owned(unescaped.replace("&lt;", "<").replace("&gt;", ">"));
    }
    // Every character that matters is ASCII, so bytes will do: those of other characters are neither stop nor digit.
    let mut spaced = Vec::with_capacity(line.len() * 3 / 2 + 2);
    spaced.push(b' ');
    for byte in line.bytes() {
        match byte {
            b'{'..=b'~' | b'['..=b'`' | b'!'..=b'&' | b'('..=b'+' | b':'..=b'@' | b'/' => {
                spaced.extend([b' ', byte, b' ']);
            }
            _ => spaced.push(byte),
        }
    }
    spaced.push(b' ');
    let stop = |byte: u8| byte == b'.' || byte == b',';
    let digit = |byte: u8| byte.is_ascii_digit();
    let spaced = replace_pairs(&spaced, |a, b| !digit(a) && stop(b), |a, b| [a, b' ', b, b' ']);
    let spaced = replace_pairs(&spaced, |a, b| stop(a) && !digit(b), |a, b| [b' ', a, b' ', b]);
    let spaced = replace_pairs(&spaced, |a, b| digit(a) && b == b'-', |a, b| [a, b' ', b, b' ']);
    String::from_utf8(spaced).expect("spaces beside ASCII leave UTF-8 as it is")
}

/// Replaces pairs of neighbours from left to right; a replaced byte begins no further pair.
fn replace_pairs(
    text: &[u8],
    is_pair: impl Fn(u8, u8) -> bool,
    replacement: impl Fn(u8, u8) -> [u8; 4],
) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 8);
    let mut at = 0;
    while at < text.len() {
        match text.get(at + 1) {
            Some(second) if is_pair(text[at], *second) => {
                out.extend(replacement(text[at], *second));
                at += 2;
            }
            _ => {
                out.push(text[at]);
                at += 1;
            }
        }
    }
    out
}

/// `tokenizer_intl.py`, with its treatment of a full stop after a number at the end of the line.
fn international(line: &str) -> String {
    static STEPS: LazyLock<[(Regex, &str); 3]> = LazyLock::new(|| {
        let pattern = |text| Regex::new(text).expect("a fixed pattern");
        [
            (pattern(r"(?s)(\P{N})(\p{P})"), "$1 $2 "),
            (pattern(r"(?s)(\p{P})(\P{N})"), " $1 $2"),
            (pattern(r"(\p{S})"), " $1 "),
        ]
    });
    STEPS.iter().fold(line.to_string(), |line, (pattern, replacement)| {
        pattern.replace_all(&line, *replacement).into_owned()
    })
}

/// A line as a metric of sacreBLEU sees it: without white space at its end, in lower case if wanted.
pub(super) fn prepared(line: &str, lowercase: bool) -> Cow<'_, str> {
    let line = python::trim_end(line);
    if lowercase { Cow::Owned(line.to_lowercase()) } else { Cow::Borrowed(line) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(tokenizer: BleuTokenizer, line: &str) -> Vec<String> {
        python::split(&tokenizer.spaced(line)).map(str::to_string).collect()
    }

    #[test]
    fn numbers_stay_whole_and_punctuation_stands_apart() {
        let line = "Take 0.5-1,000 mg/d (p.o.), \"twice\"... 5. &lt;x&gt;";
        let v13a = "Take 0.5 - 1,000 mg / d ( p . o . ) , \" twice \" . . . 5 . < x >";
        assert_eq!(tokens(BleuTokenizer::V13a, line).join(" "), v13a);
        // A mark between two numbers stays.
        let intl = "Take 0.5-1,000 mg / d ( p . o . ) , \" twice \" . . . 5 . & lt ; x & gt ;";
        assert_eq!(tokens(BleuTokenizer::International, line).join(" "), intl);
        assert_eq!(tokens(BleuTokenizer::Char, "a b"), ["a", "b"]);
        assert_eq!(tokens(BleuTokenizer::None, " a\u{1f}b "), ["a", "b"]);
    }
}
