//! The options of a question, and which of them the model holds likeliest.

use std::fmt;

use model::OptionScore;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use crate::refusal::{Outcome, Refusal};

/// Options of a question.
const MOST: usize = 26;

/// Options as they came: with the letters of their map, or none.
#[derive(Debug)]
pub(super) struct Given(Vec<(Option<String>, String)>);

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Given;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of texts or a map from letters to texts")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Given, A::Error> {
                let mut entries = Vec::new();
                while let Some(text) = list.next_element::<String>()? {
                    entries.push((None, text));
                }
                Ok(Given(entries))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Given, A::Error> {
                let mut entries = Vec::new();
                while let Some((letter, text)) = map.next_entry::<String, String>()? {
                    entries.push((Some(letter), text));
                }
                Ok(Given(entries))
            }
        }

        deserializer.deserialize_any(Entries)
    }
}

/// Options with their letters.
#[derive(Debug, Clone)]
pub(super) struct Options(Vec<(char, String)>);

impl Given {
    /// With the letters of their map, or A, B, C … in the order of their list.
    pub(super) fn lettered(self) -> Outcome<Options> {
        let wrong = |expected: String| Refusal::field("options", expected);
        if !(2..=MOST).contains(&self.0.len()) {
            return Err(wrong(format!("expected 2 to {MOST}")));
        }
        let mut options: Vec<(char, String)> = Vec::with_capacity(self.0.len());
        for ((given, text), next) in self.0.into_iter().zip('A'..='Z') {
            let letter = match given.as_deref().map(str::as_bytes) {
                None => next,
                Some([letter]) if letter.is_ascii_alphabetic() => letter.to_ascii_uppercase() as char,
                Some(_) => return Err(wrong("expected a single letter for each".to_owned())),
            };
            if options.iter().any(|(other, _)| *other == letter) {
                return Err(wrong(format!("the letter {letter} stands twice")));
            }
            if text.trim().is_empty() {
                return Err(wrong(format!("option {letter} is empty")));
            }
            options.push((letter, text));
        }
        Ok(Options(options))
    }
}

impl Options {
    pub(super) fn letters(&self) -> Vec<char> {
        self.0.iter().map(|(letter, _)| *letter).collect()
    }

    pub(super) fn texts(&self) -> Vec<String> {
        self.0.iter().map(|(_, text)| text.clone()).collect()
    }

    /// One option a line, as they stand in a prompt.
    pub(super) fn listed(&self) -> String {
        self.0.iter().map(|(letter, text)| format!("{letter}. {text}")).collect::<Vec<_>>().join("\n")
    }

    /// The likeliest by log-likelihood per byte, as `medtune eval` chooses.
    pub(super) fn choose(&self, scores: &[OptionScore]) -> Choice {
        let probabilities = probabilities(scores);
        let scored = self.0.iter().cloned().zip(scores.iter().copied()).zip(probabilities);
        let scored: Vec<Scored> = scored
            .map(|(((letter, text), score), probability)| Scored { letter, text, score, probability })
            .collect();
        // Of equals the last, as in `medtune eval`.
        let best = (0..scored.len())
            .max_by(|&a, &b| scored[a].score.per_byte().total_cmp(&scored[b].score.per_byte()));
        Choice { scored, best: best.unwrap_or(0) }
    }
}

/// Probabilities of the options if one of them is the answer and length says nothing: log-likelihoods per byte, brought
/// to the options' mean length. Of options of one length they are the model's own.
fn probabilities(scores: &[OptionScore]) -> Vec<f64> {
    let length = scores.iter().map(|s| s.bytes as f64).sum::<f64>() / scores.len().max(1) as f64;
    let logs: Vec<f64> = scores.iter().map(|s| s.per_byte() * length).collect();
    let highest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let parts: Vec<f64> = logs.iter().map(|log| (log - highest).exp()).collect();
    let total: f64 = parts.iter().sum();
    parts.into_iter().map(|part| part / total).collect()
}

/// Options with what the model says of them.
#[derive(Debug)]
pub(super) struct Choice {
    scored: Vec<Scored>,
    best: usize,
}

#[derive(Debug)]
struct Scored {
    letter: char,
    text: String,
    score: OptionScore,
    probability: f64,
}

impl Choice {
    /// The likeliest.
    pub(super) fn document(&self) -> Value {
        let Scored { letter, text, probability, .. } = &self.scored[self.best];
        json!({ "letter": letter, "text": text, "probability": probability })
    }

    /// All of them, by letter.
    pub(super) fn options(&self) -> Value {
        let entry = |s: &Scored| {
            let (probability, log_likelihood) = (s.probability, s.score.log_likelihood);
            let value =
                json!({ "text": s.text, "probability": probability, "log_likelihood": log_likelihood });
            (s.letter.to_string(), value)
        };
        Value::Object(self.scored.iter().map(entry).collect::<Map<_, _>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(json: &str) -> Outcome<Options> {
        serde_json::from_str::<Given>(json).unwrap().lettered()
    }

    #[test]
    fn options_have_letters_or_get_them() {
        assert_eq!(given(r#"["iron", "zinc"]"#).unwrap().listed(), "A. iron\nB. zinc");
        assert_eq!(given(r#"{"b": "iron", "D": "zinc"}"#).unwrap().letters(), ['B', 'D']);
        for (json, reason) in [
            (r#"["iron"]"#, "2 to 26"),
            ("[]", "2 to 26"),
            (r#"{"first": "iron", "second": "zinc"}"#, "a single letter"),
            (r#"{"1": "iron", "2": "zinc"}"#, "a single letter"),
            (r#"{"A": "iron", "a": "zinc"}"#, "A stands twice"),
            (r#"{"A": "iron", "A": "zinc"}"#, "A stands twice"),
            (r#"{"A": "iron", "B": " "}"#, "option B is empty"),
        ] {
            let refusal = given(json).unwrap_err();
            assert!(refusal.message.contains(reason), "{json}: {}", refusal.message);
        }
        assert!(serde_json::from_str::<Given>(r#""iron""#).is_err());
        assert!(serde_json::from_str::<Given>(r#"[1, 2]"#).is_err());
    }

    #[test]
    fn the_choice_is_the_likeliest_per_byte_and_the_probabilities_agree() {
        let options = given(r#"["ab", "abcd"]"#).unwrap();
        let score = |log_likelihood, bytes| OptionScore { log_likelihood, bytes };
        // The longer one is less likely as a whole and likelier per byte.
        let choice = options.choose(&[score(-2.0, 2), score(-3.0, 4)]);
        assert_eq!(choice.document()["letter"], "B");
        let of = |letter: &str| choice.options()[letter]["probability"].as_f64().unwrap();
        assert!((of("A") + of("B") - 1.0).abs() < 1e-12 && of("B") > of("A"));
        assert!((of("B") / of("A") - (0.25f64 * 3.0).exp()).abs() < 1e-9);
    }
}
