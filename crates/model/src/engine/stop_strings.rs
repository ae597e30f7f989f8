//! Ends a text at a stop string, which may begin in one token and end in another.

/// Passes text on as soon as it cannot belong to a stop string any more.
#[derive(Debug, Clone)]
pub(super) struct StopStrings {
    strings: Vec<String>,
    held: String,
}

/// What a piece of text led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Passed {
    /// Text that is certain.
    pub(super) text: String,
    /// A stop string came; the text before it is all there.
    pub(super) stopped: bool,
}

impl StopStrings {
    /// Empty strings stop nothing.
    pub(super) fn new(strings: &[String]) -> Self {
        let strings = strings.iter().filter(|s| !s.is_empty()).cloned().collect();
        StopStrings { strings, held: String::new() }
    }

    pub(super) fn push(&mut self, text: String) -> Passed {
        if self.strings.is_empty() {
            return Passed { text, stopped: false };
        }
        self.held.push_str(&text);
        if let Some(end) = self.strings.iter().filter_map(|s| self.held.find(s)).min() {
            let text = self.held[..end].to_owned();
            self.held.clear();
            return Passed { text, stopped: true };
        }
        let begins = |from: &usize| {
            self.held.is_char_boundary(*from)
                && self.strings.iter().any(|s| s.as_bytes().starts_with(&self.held.as_bytes()[*from..]))
        };
        let longest = self.strings.iter().map(String::len).max().unwrap_or(0);
        let first = (self.held.len() + 1).saturating_sub(longest);
        let keep = (first..self.held.len()).find(begins).unwrap_or(self.held.len());
        Passed { text: self.held.drain(..keep).collect(), stopped: false }
    }

    /// The text that was held back, when no more comes.
    pub(super) fn finish(self) -> String {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text that `pieces` become, and how many of them were read.
    fn read(stops: &[&str], pieces: &[&str]) -> (String, usize) {
        let stops: Vec<String> = stops.iter().map(|s| (*s).to_owned()).collect();
        let mut strings = StopStrings::new(&stops);
        let mut text = String::new();
        for (i, piece) in pieces.iter().enumerate() {
            let passed = strings.push((*piece).to_owned());
            text += &passed.text;
            if passed.stopped {
                return (text, i + 1);
            }
        }
        (text + &strings.finish(), pieces.len())
    }

    #[test]
    fn a_stop_string_over_several_pieces_ends_the_text_before_it() {
        assert_eq!(read(&["\n\nQ:"], &["Yes.", "\n", "\nQ", ": next"]), ("Yes.".to_owned(), 4));
    }

    #[test]
    fn what_only_began_like_a_stop_string_is_given_out() {
        assert_eq!(read(&["END"], &["E", "N", "E", "N", "x"]), ("ENENx".to_owned(), 5));
        assert_eq!(read(&["END"], &["the E", "N"]), ("the EN".to_owned(), 2));
    }

    #[test]
    fn the_first_of_several_stop_strings_counts() {
        assert_eq!(read(&["cd", "b"], &["abcd"]), ("a".to_owned(), 1));
        assert_eq!(read(&["aab"], &["a", "a", "a", "b"]), ("a".to_owned(), 4));
    }

    #[test]
    fn text_is_held_back_only_while_it_may_belong_to_a_stop_string() {
        let mut strings = StopStrings::new(&["→x".to_owned()]);
        assert_eq!(strings.push("a→".to_owned()).text, "a");
        assert_eq!(strings.push("é".to_owned()).text, "→é");
        assert_eq!(strings.push("b".to_owned()).text, "b");
    }
}
