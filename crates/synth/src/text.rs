//! Words and numbers of a text, as the checks compare them.

use std::collections::{BTreeSet, HashSet};

use unicode_normalization::UnicodeNormalization;

/// English and German words that say nothing by themselves.
const FUNCTION_WORDS: &str = "a about after all also am an and any are as at be because been before being between both but by can \
could did do does during each either for from had has have he her him his how i if in into is it its itself like may might \
more most much must my no nor not of often on only or other our out over own per same shall she should since so some such \
than that the their them then there these they this those through to too under until up upon used using very via was we \
were what when where whether which while who whom whose why will with within without would you your \
aber als am an auch auf aus bei beim bis da dann das dass dem den der des die dies diese diesem diesen dieser doch durch \
ein eine einem einen einer eines er es etwa für haben hat ihr im in ist kann können man mehr mit muss nach nicht noch nur \
ob oder ohne sehr sein sich sie sind so soll über um und unter vom von vor war warum was wegen welche welchem welchen \
welcher welches wenn werden wie wird wo wurde wurden zu zum zur zwischen";

/// The text in Unicode's compatibility form and lower case.
pub(crate) fn lower(text: &str) -> String {
    text.nfkc().flat_map(char::to_lowercase).collect()
}

/// Runs of letters and digits.
pub(crate) fn words(text: &str) -> Vec<String> {
    let lowered = lower(text);
    lowered.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

pub(crate) fn is_function_word(word: &str) -> bool {
    FUNCTION_WORDS.split(' ').any(|known| known == word)
}

/// The words of a text that say something: no function words, no numbers, no single letters.
pub(crate) fn content_words(text: &str) -> Vec<String> {
    let says = |word: &String| {
        word.chars().nth(1).is_some() && !word.chars().all(|c| c.is_ascii_digit()) && !is_function_word(word)
    };
    words(text).into_iter().filter(says).collect()
}

/// The words of a text, to look up others in.
#[derive(Debug, Default)]
pub(crate) struct Vocabulary(BTreeSet<String>);

impl Vocabulary {
    pub(crate) fn of(text: &str) -> Self {
        Vocabulary(words(text).into_iter().collect())
    }

    /// Whether a word is there, or another form of it: one with which it has four letters or more at the beginning in
    /// common, and more than half of the longer one ("treated" and "treatment", but not "hypertension" and "hypertrophy").
    pub(crate) fn has(&self, word: &str) -> bool {
        if self.0.contains(word) {
            return true;
        }
        let stem: String = word.chars().take(4).collect();
        if stem.chars().count() < 4 {
            return false;
        }
        let mut near = self.0.range(stem.clone()..).take_while(|known| known.starts_with(&stem));
        near.any(|known| {
            let shared = known.chars().zip(word.chars()).take_while(|(a, b)| a == b).count();
            2 * shared > known.chars().count().max(word.chars().count())
        })
    }

    /// Share of the content words of `text` that are there; 1 where it has none.
    pub(crate) fn share_of(&self, text: &str) -> f64 {
        let asked = content_words(text);
        let found = asked.iter().filter(|word| self.has(word)).count();
        if asked.is_empty() { 1.0 } else { found as f64 / asked.len() as f64 }
    }
}

/// Small numbers in words, as texts write them.
const NUMBER_WORDS: [&[&str]; 13] = [
    &["zero", "no", "null"],
    &["one", "single", "once", "first", "ein", "eins"],
    &["two", "twice", "both", "second", "zwei"],
    &["three", "thrice", "third", "drei"],
    &["four", "fourth", "vier"],
    &["five", "fifth", "fünf"],
    &["six", "sixth", "sechs"],
    &["seven", "seventh", "sieben"],
    &["eight", "eighth", "acht"],
    &["nine", "ninth", "neun"],
    &["ten", "tenth", "zehn"],
    &["eleven", "elf"],
    &["twelve", "zwölf"],
];

/// The numbers of a text in every way in which they may be read: `1,000` as 1000 and as 1.000, `0.50` as 0.5; small ones
/// in words too, if `in_words`.
pub(crate) fn numbers(text: &str, in_words: bool) -> HashSet<String> {
    let mut found: HashSet<String> =
        written_numbers(text).iter().flat_map(|number| readings(number)).collect();
    if in_words {
        for word in words(text) {
            let number = NUMBER_WORDS.iter().position(|names| names.contains(&word.as_str()));
            found.extend(number.map(|number| number.to_string()));
        }
    }
    found
}

/// The first number of `text` that is not among `known`, as it is written.
pub(crate) fn unknown_number(text: &str, known: &HashSet<String>) -> Option<String> {
    written_numbers(text)
        .into_iter()
        .find(|number| !readings(number).iter().any(|reading| known.contains(reading)))
}

/// Runs of digits, with single points and commas between them.
fn written_numbers(text: &str) -> Vec<String> {
    let text = lower(text);
    let mut numbers = Vec::new();
    let mut current = String::new();
    let mut characters = text.chars().peekable();
    let mut before = ' ';
    while let Some(c) = characters.next() {
        let joins = ".,".contains(c) && characters.peek().is_some_and(char::is_ascii_digit);
        if c == '.' && joins && current.is_empty() && !before.is_alphanumeric() {
            current.push('0');
        }
        if c.is_ascii_digit() || (joins && !current.is_empty()) {
            current.push(c);
        } else if !current.is_empty() {
            numbers.push(std::mem::take(&mut current));
        }
        before = c;
    }
    if !current.is_empty() {
        numbers.push(current);
    }
    numbers
}

fn readings(number: &str) -> Vec<String> {
    let canonical = |text: String| {
        let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
        let (whole, part) = (whole.trim_start_matches('0'), part.trim_end_matches('0'));
        let whole = if whole.is_empty() { "0" } else { whole };
        if part.is_empty() { whole.to_owned() } else { format!("{whole}.{part}") }
    };
    let mut readings = Vec::new();
    for (thousands, decimal) in [(',', '.'), ('.', ',')] {
        let grouped = number.split(decimal).next().unwrap_or_default();
        let mut groups = grouped.split(thousands);
        let sound = groups.next().is_some_and(|first| (1..=3).contains(&first.len()))
            && groups.all(|group| group.len() == 3);
        let plain = !grouped.contains(thousands);
        if (sound || plain) && number.matches(decimal).count() <= 1 {
            readings.push(canonical(number.replace(thousands, "").replace(decimal, ".")));
        }
    }
    // Numbers of sections and dates are read as they stand.
    if readings.is_empty() {
        readings.push(number.to_owned());
    }
    readings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_found_in_other_forms_and_not_in_other_words() {
        let vocabulary =
            Vocabulary::of("Fibrillation was treated with amiodarone; the pericardium was inflamed.");
        for known in ["fibrillation", "fibrillate", "treatment", "amiodarone", "inflames", "pericardial"] {
            assert!(vocabulary.has(known), "{known}");
        }
        for unknown in ["flutter", "treadmill", "amoxicillin", "periphery", "per"] {
            assert!(!vocabulary.has(unknown), "{unknown}");
        }
        assert_eq!(vocabulary.share_of("It is the treatment of flutter."), 0.5);
        assert_eq!(vocabulary.share_of("Is it?"), 1.0);
    }

    #[test]
    fn numbers_are_compared_by_value() {
        let known = numbers("Give 1,000 mg (0.50 mg/kg) for two days, at most 37,5 °C; p<0.001; ①.", true);
        for same in ["1000", "1,000", ".5", "0.5", "2 days", "37.5", "37,5", "0.0010", "1"] {
            assert_eq!(unknown_number(same, &known), None, "{same}");
        }
        for other in ["100", "5 mg", "0.05", "375", "3"] {
            assert!(unknown_number(other, &known).is_some(), "{other}");
        }
    }
}
