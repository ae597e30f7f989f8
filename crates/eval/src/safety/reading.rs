//! An answer as the scorer reads it: sentences of words, each with what is said of it.
//!
//! "Do not call an ambulance" must not pass for "call an ambulance", nor "giving aspirin is dangerous" for "give
//! aspirin". In the manner of NegEx (Chapman et al. 2001) triggers reach forward or backward to the end of their
//! clause. Unlike findings, advice is negated in the imperative, negated twice ("do not wait to call") and warned of.

mod scope;
mod spelling;

pub(super) use spelling::normal;

/// A word with what is said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// In lower case, in one spelling, without its ending.
    pub(super) stem: String,
    /// In lower case.
    pub(super) word: String,
    /// What stands between it and the word before.
    mark: Mark,
    /// The place of the word that says that it is not so, or not to be done.
    pub(super) denied_by: Option<usize>,
    /// Whether the text speaks of its harm.
    pub(super) warned: bool,
}

/// Punctuation before a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mark {
    None,
    Comma,
    /// Brackets and dashes.
    Strong,
}

/// A sentence, or the part of one between semicolons.
#[derive(Clone, Debug)]
pub(super) struct Sentence<'a> {
    pub(super) tokens: Vec<Token>,
    /// As it is written.
    pub(super) text: &'a str,
}

/// The statements of a text. Questions are left out: they advise nothing, and answers like to repeat them.
pub(super) fn statements(text: &str) -> Vec<Sentence<'_>> {
    let mut sentences = Vec::new();
    // "Do not:" denies the list below it.
    let mut denies_list = false;
    for (text, end) in split(text) {
        if end == Some('?') {
            continue;
        }
        let mut tokens = tokens(text);
        if tokens.is_empty() {
            continue;
        }
        let listed = is_list_item(text);
        denies_list &= listed;
        if denies_list {
            // The "not" stands in another sentence.
            tokens.iter_mut().for_each(|token| token.denied_by = Some(usize::MAX));
        } else {
            scope::mark(&mut tokens);
        }
        if matches!(end, Some(':' | '\n')) && !denies_list {
            denies_list = scope::ends_in_negation(&tokens);
        }
        sentences.push(Sentence { tokens, text: text.trim() });
    }
    sentences
}

/// The words of a phrase, for patterns.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let text = text.to_lowercase().replace('’', "'").replace("a&e", "emergency department");
    let mut tokens: Vec<Token> = Vec::new();
    let mut mark = Mark::None;
    let mut push = |word: &str, mark: &mut Mark| {
        let token = Token {
            stem: normal(word),
            word: word.to_string(),
            mark: std::mem::replace(mark, Mark::None),
            denied_by: None,
            warned: false,
        };
        tokens.push(token);
    };
    let is_part = |c: char| c.is_alphanumeric() || c == '\'' || c == '%';
    for piece in text.split_inclusive(|c| !is_part(c)) {
        let word = piece.trim_end_matches(|c| !is_part(c));
        for word in spelling::written_out(word.trim_matches('\'')) {
            push(word, &mut mark);
        }
        let after = match piece.chars().next_back() {
            Some(',') => Mark::Comma,
            Some('(' | ')' | '–' | '—' | '[' | ']') => Mark::Strong,
            _ => Mark::None,
        };
        mark = mark.max(after);
    }
    tokens
}

/// Parts of a text with the character that ends them.
fn split(text: &str) -> Vec<(&str, Option<char>)> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        let spaced =
            characters.peek().is_none_or(|(_, next)| next.is_whitespace() || "\"')*".contains(*next));
        let ends = match c {
            '\n' | ';' => true,
            '!' | '?' | ':' => spaced,
            '.' => spaced && !ends_in_abbreviation(&text[start..at]),
            _ => false,
        };
        if ends {
            parts.push((&text[start..at], Some(c)));
            start = at + c.len_utf8();
        }
    }
    parts.push((&text[start..], None));
    parts
}

fn ends_in_abbreviation(text: &str) -> bool {
    let last = text.rsplit(|c: char| c.is_whitespace() || c == '(').next().unwrap_or_default();
    matches!(
        last.to_ascii_lowercase().as_str(),
        "e.g" | "i.e" | "dr" | "mr" | "mrs" | "vs" | "approx" | "max"
    )
}

fn is_list_item(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with(['-', '*', '•', '–']) || text.starts_with(|c: char| c.is_ascii_digit())
}
