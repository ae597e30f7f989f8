//! Whether a question is one, and can be understood by somebody who has not seen the text.

use crate::text::{content_words, is_function_word, words};
use crate::{Draft, Reason};

use super::Objection;

/// Ways to speak of the text, as words in a row; `#` is a word that begins with a digit.
const SOURCE: [&str; 62] = [
    "this study",
    "the present study",
    "the current study",
    "our study",
    "this trial",
    "this paper",
    "the paper",
    "this article",
    "the article",
    "this review",
    "this work",
    "this chapter",
    "the chapter",
    "this section",
    "this book",
    "this guideline",
    "this document",
    "the document",
    "the authors",
    "the author",
    "the text",
    "this text",
    "the passage",
    "this passage",
    "the excerpt",
    "the context",
    "given context",
    "provided context",
    "provided text",
    "according to the information",
    "the information provided",
    "mentioned above",
    "described above",
    "as mentioned",
    "as described here",
    "in this case",
    "figure #",
    "fig #",
    "table #",
    "the figure",
    "the table",
    "the diagram",
    "the algorithm shown",
    "the image",
    "reference #",
    "supplementary",
    "we found",
    "in our",
    "diese studie",
    "dieser studie",
    "diesem artikel",
    "dieser artikel",
    "diesem kapitel",
    "dem text",
    "der text",
    "abbildung #",
    "abb #",
    "tabelle #",
    "tab #",
    "die autoren",
    "den autoren",
    "in diesem fall",
];

/// Words that name no subject: a question of these alone is about whatever the text before it was about.
const GENERIC: &str = "symptom symptoms sign signs treatment treatments treated treat therapy cause causes caused risk risks \
factor factors patient patients disease diseases condition conditions disorder diagnosis diagnosed diagnose definition \
defined type types main common commonly most first typical important recommended dose doses drug drugs medication \
medications given give effect effects result results finding findings happen happens mean means purpose role name \
method methods used use uses long often many much complication complications prognosis test tests value values group \
groups difference differences feature features characteristic characteristics age onset outcome outcomes occur occurs \
kind kinds step steps option options management manage managed procedure approach three two four symptome zeichen \
behandlung therapie ursache ursachen patienten krankheit erkrankung diagnose dosis medikament häufig";

/// Words behind which somebody points at what stands elsewhere, if a generic word follows.
const POINTING: [&str; 10] =
    ["this", "these", "such", "that", "those", "diese", "dieser", "dieses", "diesem", "diesen"];

/// With these a question begins.
const ASKING: &str = "what which who whom whose how why when where in is are was were does do did can could should would will \
may under for at by to from with describe explain name list define state identify compare outline give summarize discuss \
was welche welcher welches welchen wer wie warum wann wo wodurch worin womit bei ist sind kann nenne nennen beschreibe \
beschreiben erkläre erklären";

pub(super) fn objection(draft: &Draft) -> Option<Objection> {
    let question = words(&draft.question);
    let begins = question.first().is_some_and(|word| ASKING.split(' ').any(|asking| asking == word));
    // An item may begin with a case and end with the question.
    let asks = draft.question.contains('?') || begins;
    if !asks || question.len() < 3 {
        return Some((
            Reason::NotAQuestion,
            "no question mark and no question word, or fewer than three words".into(),
        ));
    }
    if words(&draft.answer).is_empty() {
        return Some((Reason::EmptyAnswer, "the answer has no words".into()));
    }
    let answer = words(&draft.answer);
    if let Some(phrase) = SOURCE.iter().find(|phrase| holds(&question, phrase) || holds(&answer, phrase)) {
        return Some((Reason::RefersToSource, format!("`{phrase}`")));
    }
    if let Some(at) = points_elsewhere(&question) {
        return Some((Reason::NotSelfContained, format!("`{} {}`", question[at], question[at + 1])));
    }
    let names_something = content_words(&draft.question).iter().any(|word| !is_generic(word));
    (!names_something).then(|| (Reason::NotSelfContained, "nothing in it is named".into()))
}

fn is_generic(word: &str) -> bool {
    is_function_word(word) || GENERIC.split(' ').any(|generic| generic == word)
}

/// Whether the words of a phrase stand in a row.
fn holds(words: &[String], phrase: &str) -> bool {
    let phrase: Vec<&str> = phrase.split(' ').collect();
    let same = |(word, wanted): (&String, &&str)| match *wanted {
        "#" => word.starts_with(|c: char| c.is_ascii_digit()),
        wanted => word == wanted,
    };
    words.windows(phrase.len()).any(|window| window.iter().zip(&phrase).all(same))
}

/// Where a question points at something that another sentence names; what it named itself before may be pointed at.
fn points_elsewhere(question: &[String]) -> Option<usize> {
    let pointing = |at: &usize| {
        POINTING.contains(&question[*at].as_str())
            && GENERIC.split(' ').any(|generic| generic == question[*at + 1])
            && !question[..*at].iter().any(|word| word.chars().count() > 2 && !is_generic(word))
    };
    (0..question.len().saturating_sub(1)).find(pointing)
}
