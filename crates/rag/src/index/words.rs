//! A question in the words that a search by words looks for.

/// Words of a query, at most: more add nothing to BM25 but time.
const MOST: usize = 256;

/// The query in FTS5's language: a passage is found that has any of the words. `None` without a word.
///
/// Each word is a string of FTS5's (https://sqlite.org/fts5.html#fts5_strings) of letters and digits alone, so nothing
/// in a question is an operator.
pub(crate) fn query_of(text: &str) -> Option<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let word = word.to_lowercase();
        if !words.contains(&word) {
            words.push(word);
        }
        if words.len() == MOST {
            break;
        }
    }
    let quoted: Vec<String> = words.into_iter().map(|word| format!("\"{word}\"")).collect();
    (!quoted.is_empty()).then(|| quoted.join(" OR "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_its_words_each_once() {
        assert_eq!(query_of("Fever, and \"fever\"?").unwrap(), "\"fever\" OR \"and\"");
        assert_eq!(query_of(" ?! "), None);
    }

    #[test]
    fn operators_are_words() {
        assert_eq!(query_of("title:x NOT y*").unwrap(), "\"title\" OR \"x\" OR \"not\" OR \"y\"");
    }
}
