//! Text as readers hand it on: one space between words, nothing that a person cannot see.

/// Characters that take no room and carry no meaning in prose: they only hide text from people or from searches.
/// Zero-width joiners stay, some scripts need them.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{200b}' | '\u{2060}' | '\u{feff}'
        | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        | '\u{e0000}'..='\u{e007f}')
        || (c.is_control() && !c.is_whitespace())
}

/// `raw` with every run of white space as one space, none at the ends, without soft hyphens and invisible characters.
pub(crate) fn tidy(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    for c in raw.chars().filter(|c| !is_invisible(*c)) {
        if !c.is_whitespace() {
            text.push(c);
        } else if !text.is_empty() && !text.ends_with(' ') {
            text.push(' ');
        }
    }
    text.truncate(text.trim_end().len());
    text
}

/// `raw` with its lines and columns, without invisible characters, empty lines at its ends and blanks at the ends of
/// lines.
pub(crate) fn tidy_lines(raw: &str) -> String {
    let visible: String = raw.chars().filter(|c| !is_invisible(*c)).collect();
    let lines: Vec<&str> = visible.lines().map(str::trim_end).collect();
    let first = lines.iter().position(|line| !line.is_empty()).unwrap_or(lines.len());
    let last = lines.iter().rposition(|line| !line.is_empty()).map_or(first, |last| last + 1);
    lines[first..last].join("\n")
}

/// Appends a superscript so that no number changes: an exponent or a mark behind a digit is set apart by `^`.
/// Ordinals (`5th`) and what stands behind letters (`cm2`) are joined as they are.
pub(crate) fn push_superscript(text: &mut String, superscript: &str) {
    let inner = tidy(superscript);
    let after_digit = text.ends_with(|c: char| c.is_ascii_digit() || c == ')');
    let ordinal = matches!(inner.as_str(), "st" | "nd" | "rd" | "th" | "°" | "∘");
    if after_digit && !ordinal && inner.starts_with(|c: char| c.is_alphanumeric() || "+-−–*".contains(c))
    {
        text.push('^');
    }
    text.push_str(&inner);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_is_one_space_and_hidden_characters_go() {
        assert_eq!(tidy(" a\u{a0}\n\t b\u{200b}c\u{202e} peri\u{ad}card "), "a bc pericard");
        assert_eq!(tidy("\u{e0041}\u{feff}"), "");
        assert_eq!(tidy_lines("\n  x = 1  \n\n\ty\n \n"), "  x = 1\n\n\ty");
    }

    #[test]
    fn a_superscript_never_grows_a_number() {
        let joined = |before: &str, sup: &str| {
            let mut text = before.to_owned();
            push_superscript(&mut text, sup);
            text
        };
        assert_eq!(joined("10", "−3"), "10^−3");
        assert_eq!(joined("17", "a"), "17^a");
        assert_eq!(joined("the 5", "th"), "the 5th");
        assert_eq!(joined("kg/m", "2"), "kg/m2");
    }
}
