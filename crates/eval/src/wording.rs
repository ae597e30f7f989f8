//! Numbers in sentences.

/// `1234567` as `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 group`, `2 groups`, `1,273 replies`: a number with a noun that stands there in the singular.
pub fn counted(number: usize, noun: &str) -> String {
    let noun = match (number, noun.strip_suffix('y')) {
        (1, _) => noun.to_owned(),
        (_, Some(stem)) => format!("{stem}ies"),
        (_, None) => format!("{noun}s"),
    };
    format!("{} {noun}", count(number as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nouns_follow_their_numbers() {
        let said = [counted(0, "item"), counted(1, "item"), counted(1_273, "item"), counted(2, "reply")];
        assert_eq!(said, ["0 items", "1 item", "1,273 items", "2 replies"]);
        assert_eq!((count(999), count(1_234_567)), ("999".into(), "1,234,567".into()));
    }
}
