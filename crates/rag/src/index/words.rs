//! A question in the words that a search by words looks for.

/// Words of a query, at most: more add nothing to BM25 but time.
const MOST: usize = 256;

/// English words that ask or join. In medical prose "what" and "does" are rare, so BM25 would take them for telling.
const ASKING: [&str; 72] = [
    "a", "about", "an", "and", "any", "are", "as", "at", "be", "been", "by", "can", "could", "did", "do",
    "does", "for", "from", "had", "has", "have", "how", "i", "if", "in", "into", "is", "it", "its", "me",
    "my", "of", "on", "or", "our", "please", "should", "so", "some", "than", "that", "the", "their", "them",
    "then", "there", "these", "they", "this", "those", "to", "was", "we", "were", "what", "when", "where",
    "whether", "which", "while", "who", "whom", "whose", "why", "will", "with", "would", "you", "your",
    "tell", "know", "am",
];

/// The query in FTS5's language: a passage is found that has any of the words, those that only ask left out where others
/// are there. `None` without a word.
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
    let telling: Vec<String> =
        words.iter().filter(|word| !ASKING.contains(&word.as_str())).cloned().collect();
    let words = if telling.is_empty() { words } else { telling };
    let quoted: Vec<String> = words.into_iter().map(|word| format!("\"{word}\"")).collect();
    (!quoted.is_empty()).then(|| quoted.join(" OR "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_its_words_each_once() {
        assert_eq!(query_of("Fever, \"FEVER\" 39.5?").unwrap(), "\"fever\" OR \"39\" OR \"5\"");
        assert_eq!(query_of(" ?! "), None);
    }

    #[test]
    fn words_that_only_ask_are_left_out_where_there_are_others() {
        assert_eq!(query_of("What is the dose?").unwrap(), "\"dose\"");
        assert_eq!(query_of("What is it?").unwrap(), "\"what\" OR \"is\" OR \"it\"");
    }

    #[test]
    fn operators_are_words() {
        assert_eq!(query_of("title:x NOT y*").unwrap(), "\"title\" OR \"x\" OR \"not\" OR \"y\"");
    }
}
