//! A question in the words that a search by words looks for.

use std::collections::HashSet;

use dataset::near_duplicate::FUNCTION_WORDS;

/// Words that are read of a query, at most.
const MOST: usize = 1024;

/// English words that ask or join, beside [`FUNCTION_WORDS`]; of two questions they could be the difference. In medical prose
/// "what" and "why" are rare, so BM25 would take them for telling.
const ASKING: [&str; 14] = [
    "our", "than", "them", "then", "those", "we", "where", "whether", "while", "whom", "whose", "why",
    "will", "know",
];

/// The words of a query in lower case, each once, in their order; those that only ask are left out where others are there.
pub(super) fn words_of(text: &str) -> Vec<String> {
    let (mut words, mut seen) = (Vec::new(), HashSet::new());
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).take(MOST) {
        let word = word.to_lowercase();
        if seen.insert(word.clone()) {
            words.push(word);
        }
    }
    let tells = |word: &&String| !FUNCTION_WORDS.contains(&word.as_str()) && !ASKING.contains(&word.as_str());
    let telling: Vec<String> = words.iter().filter(tells).cloned().collect();
    if telling.is_empty() { words } else { telling }
}

/// Words in FTS5's language: a passage is found that has any of them. `None` without a word.
///
/// Each is a string of FTS5's (https://sqlite.org/fts5.html#fts5_strings) of letters and digits alone, so nothing in a
/// question is an operator.
pub(super) fn query_of(words: &[String]) -> Option<String> {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    (!quoted.is_empty()).then(|| quoted.join(" OR "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_its_words_each_once() {
        assert_eq!(words_of("Fever, \"FEVER\" 39.5?"), ["fever", "39", "5"]);
        assert!(words_of(" ?! ").is_empty());
        assert_eq!(query_of(&[]), None);
    }

    #[test]
    fn words_that_only_ask_are_left_out_where_there_are_others() {
        assert_eq!(words_of("What is the dose?"), ["dose"]);
        assert_eq!(words_of("What is it?"), ["what", "is", "it"]);
    }

    #[test]
    fn operators_are_words() {
        let query = query_of(&words_of("title:x NOT y*")).unwrap();
        assert_eq!(query, "\"title\" OR \"x\" OR \"not\" OR \"y\"");
    }
}
