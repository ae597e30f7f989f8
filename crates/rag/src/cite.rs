//! What an answer rests on: the passages that its sentences name, and whether these hold what the sentences say.
//!
//! The check reads words and numbers, not meaning: it finds citations of nothing, numbers that stand in no cited
//! passage, and sentences that share no words with theirs. It cannot find a "not" too much.

use std::collections::HashSet;

use serde::Serialize;

use crate::Passage;

/// Of a sentence's words so many must stand in the passages that it cites.
const SHARE: f64 = 0.5;

/// Words of fewer letters are not looked for.
const SHORTEST: usize = 4;

/// What became of a sentence's citations.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "support", content = "missing")]
pub enum Support {
    /// Its words and numbers stand in the passages that it cites.
    Found,
    /// It cites nothing.
    Uncited,
    /// It cites numbers that no passage has.
    NoSuchPassage(Vec<usize>),
    /// Numbers that stand in no passage that it cites.
    Numbers(Vec<String>),
    /// More than half of its words stand in none of them.
    Words(Vec<String>),
}

/// A sentence of an answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sentence {
    /// As it was written, without its citations.
    pub text: String,
    /// The numbers of the passages that it cites, from 1, each once.
    pub cited: Vec<usize>,
    /// Whether they hold it.
    #[serde(flatten)]
    pub support: Support,
}

/// The sentences of an answer that was written with `passages` before it, numbered from 1.
pub fn check(answer: &str, passages: &[Passage]) -> Vec<Sentence> {
    let checked = |(text, cited): (String, Vec<usize>)| {
        let support = support(&text, &cited, passages);
        Sentence { text, cited, support }
    };
    sentences(answer).into_iter().map(checked).collect()
}

/// The passages that an answer cites, by their numbers, ascending; those that are not there are not among them.
pub fn cited(sentences: &[Sentence], passages: usize) -> Vec<usize> {
    let mut cited: Vec<usize> = sentences.iter().flat_map(|sentence| sentence.cited.clone()).collect();
    cited.retain(|number| (1..=passages).contains(number));
    cited.sort_unstable();
    cited.dedup();
    cited
}

fn support(text: &str, cited: &[usize], passages: &[Passage]) -> Support {
    if cited.is_empty() {
        return Support::Uncited;
    }
    let strangers: Vec<usize> =
        cited.iter().copied().filter(|number| !(1..=passages.len()).contains(number)).collect();
    if !strangers.is_empty() {
        return Support::NoSuchPassage(strangers);
    }
    let read: String =
        cited.iter().map(|number| passages[number - 1].whole().to_lowercase() + "\n").collect();
    let read: HashSet<&str> = words(&read).collect();
    let lower = text.to_lowercase();
    let missing = |wanted: fn(&str) -> bool| -> (usize, Vec<String>) {
        let mut seen = HashSet::new();
        let wanted: Vec<&str> = words(&lower).filter(|word| wanted(word) && seen.insert(*word)).collect();
        let missing = wanted.iter().filter(|word| !read.contains(*word)).map(|word| word.to_string());
        (wanted.len(), missing.collect())
    };
    let (_, numbers) = missing(is_number);
    if !numbers.is_empty() {
        return Support::Numbers(numbers);
    }
    let (wanted, words) = missing(|word| !is_number(word) && word.chars().count() >= SHORTEST);
    match words.len() as f64 > (1.0 - SHARE) * wanted as f64 {
        true => Support::Words(words),
        false => Support::Found,
    }
}

/// Letters and digits, and points and commas between digits: `2.5` is one word.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let apart = |c: char| !(c.is_alphanumeric() || c == '.' || c == ',');
    text.split(apart)
        .flat_map(|part| {
            let part = part.trim_matches(['.', ',']);
            let number = part.starts_with(|c: char| c.is_ascii_digit());
            part.split(move |c| !number && (c == '.' || c == ','))
        })
        .filter(|word| !word.is_empty())
}

fn is_number(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit())
}

/// The sentences of a text with the citations that stand in or directly behind each.
fn sentences(text: &str) -> Vec<(String, Vec<usize>)> {
    let mut sentences: Vec<(String, Vec<usize>)> = Vec::new();
    let (mut current, mut cited): (String, Vec<usize>) = Default::default();
    let mut ended = false;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some((number, length)) = citation(rest) {
            // Citations behind the full stop belong to the sentence before it.
            let of = if ended && current.trim().is_empty() {
                sentences.last_mut().map(|last| &mut last.1)
            } else {
                None
            };
            let of = of.unwrap_or(&mut cited);
            if !of.contains(&number) {
                of.push(number);
            }
            rest = &rest[length..];
            continue;
        }
        rest = &rest[first.len_utf8()..];
        current.push(first);
        let stop = matches!(first, '.' | '!' | '?' | '。' | '！' | '？')
            && rest.chars().next().is_none_or(|next| next.is_whitespace() || next == '[');
        if stop || first == '\n' {
            push(&mut sentences, &mut current, &mut cited);
            ended = true;
        }
    }
    push(&mut sentences, &mut current, &mut cited);
    sentences
}

fn push(sentences: &mut Vec<(String, Vec<usize>)>, current: &mut String, cited: &mut Vec<usize>) {
    let text = std::mem::take(current);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ").replace(" .", ".");
    if text.chars().any(char::is_alphanumeric) {
        sentences.push((text, std::mem::take(cited)));
    }
}

/// The number of a citation, `[3]`, that `text` begins with, and its length in bytes.
fn citation(text: &str) -> Option<(usize, usize)> {
    let (number, _) = text.strip_prefix('[')?.split_once(']')?;
    let digits = (1..=4).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    let value = digits.then(|| number.parse().ok())??;
    Some((value, number.len() + 2))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn passages() -> [Passage; 2] {
        [
            "Adults with asthma inhale 2.5 mg of salbutamol every 4 hours.",
            "Children under 12 should be seen by a paediatrician before treatment.",
        ]
        .map(|text| Passage { name: text.into(), text: text.into(), ..Passage::default() })
    }

    fn of(answer: &str) -> Vec<(Vec<usize>, Support)> {
        check(answer, &passages()).into_iter().map(|sentence| (sentence.cited, sentence.support)).collect()
    }

    #[test]
    fn citations_belong_to_the_sentence_they_stand_in_or_behind() {
        let checked =
            check("Adults inhale salbutamol [1]. Children see a paediatrician.[2] It helps.", &passages());
        let seen: Vec<_> = checked.iter().map(|s| (s.text.as_str(), s.cited.clone())).collect();
        assert_eq!(
            seen,
            [
                ("Adults inhale salbutamol.", vec![1]),
                ("Children see a paediatrician.", vec![2]),
                ("It helps.", vec![])
            ]
        );
        assert_eq!(cited(&checked, 2), [1, 2]);
    }

    #[test]
    fn a_number_that_the_passage_does_not_have_is_named() {
        assert_eq!(of("Adults inhale 2.5 mg of salbutamol [1]."), [(vec![1], Support::Found)]);
        assert_eq!(
            of("Adults inhale 25 mg of salbutamol [1]."),
            [(vec![1], Support::Numbers(vec!["25".into()]))]
        );
    }

    #[test]
    fn another_passage_does_not_support_a_sentence() {
        let missing = ["inhale", "salbutamol", "asthma"].map(String::from).to_vec();
        assert_eq!(of("Inhale salbutamol in asthma [2]."), [(vec![2], Support::Words(missing))]);
        assert_eq!(of("It is known."), [(vec![], Support::Uncited)]);
        assert_eq!(of("Adults inhale salbutamol [1][7]."), [(vec![1, 7], Support::NoSuchPassage(vec![7]))]);
    }

    proptest! {
        #[test]
        fn any_answer_can_be_read(answer in "(\\PC|\\[|\\]|[0-9]|\\.|\n){0,60}") {
            let passages = passages();
            for sentence in check(&answer, &passages) {
                prop_assert!(sentence.text.chars().any(char::is_alphanumeric));
            }
        }
    }
}
