//! The parts of an answer of a model that was taught to write `<analysis>` and `<answer>`.

/// An answer in its parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer<'t> {
    /// What stands in `<analysis>`.
    pub(super) analysis: Option<&'t str>,
    /// What stands in `<answer>`; the whole text, where there are no such parts.
    pub(super) answer: &'t str,
    /// The letter that the answer begins with, if it is one of the options'.
    pub(super) letter: Option<char>,
}

impl<'t> Answer<'t> {
    pub(super) fn of(text: &'t str, letters: &[char]) -> Self {
        let analysis = between(text, "<analysis>", "</analysis>");
        let answer = between(text, "<answer>", "</answer>");
        // An analysis that is all there is, is no answer.
        let answer = answer.unwrap_or(if analysis.is_some() { "" } else { text.trim() });
        let mut start = answer.chars().skip_while(|c| matches!(c, '(' | '*' | '[') || c.is_whitespace());
        let letter = start.next().map(|c| c.to_ascii_uppercase()).filter(|c| letters.contains(c));
        let letter = letter.filter(|_| start.next().is_none_or(|next| !next.is_alphanumeric()));
        // "A 40-year-old" begins with an article.
        let article = letter == Some('A') && answer.starts_with("A ");
        Answer { analysis, answer, letter: letter.filter(|_| !article) }
    }
}

/// What stands between two marks, or after the first when the second did not come.
fn between<'t>(text: &'t str, open: &str, close: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(open)?;
    Some(rest.split_once(close).map_or(rest, |(inside, _)| inside).trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> (Option<&str>, &str, Option<char>) {
        let Answer { analysis, answer, letter } = Answer::of(text, &['A', 'B', 'C', 'D']);
        (analysis, answer, letter)
    }

    #[test]
    fn analysis_answer_and_letter_are_told_apart() {
        let whole = "<analysis>\nCalcium is high.\n</analysis>\n<answer>\nD: Thiazide\n</answer>";
        assert_eq!(of(whole), (Some("Calcium is high."), "D: Thiazide", Some('D')));
        assert_eq!(of("<analysis>cut off"), (Some("cut off"), "", None));
        assert_eq!(of(" Sepsis is a reaction. "), (None, "Sepsis is a reaction.", None));
        assert_eq!(of("(b) Iron"), (None, "(b) Iron", Some('B')));
        assert_eq!(of("Cortisol"), (None, "Cortisol", None));
        assert_eq!(of("A 40-year-old man"), (None, "A 40-year-old man", None));
        assert_eq!(of("E: none"), (None, "E: none", None));
        assert_eq!(of(""), (None, "", None));
    }
}
