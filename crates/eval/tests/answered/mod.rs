//! A made-up evaluation of two tasks, the same every time.

#![allow(dead_code, reason = "each test binary uses its part")]

use eval::comparison::{Choice, Outcome, Rated};
use eval::evaluation::{Evaluation, Settings};
use eval::statistics::Resampling;

/// Few draws: tests of meaning, not of intervals.
pub(crate) const FEW: Resampling = Resampling { seed: 42, resamples: 200 };

/// A key of this file alone, made with `openssl genpkey -algorithm ed25519`.
pub(crate) const KEY: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJOGhBSxShI7+ORc8hE9Qua2AB0G84xsPl6ONMrwzDPh
-----END PRIVATE KEY-----
";

const QUESTIONS: [(&str, &str); 4] = [
    ("How much paracetamol may an adult take?", "At most 4 g in 24 hours, in doses of 500 mg to 1 g."),
    ("Does a cold cause high fever?", "A cold rarely causes high fever. There is no need for antibiotics."),
    ("What to do with chest pain?", "Call 911 at once. Chew 300 mg of aspirin unless you are allergic."),
    ("What is anemia?", "Anemia means too little hemoglobin in the blood, most often from lack of iron."),
];

/// What runs answer, from the best to the worst.
const SAID: [[&str; 3]; 4] = [
    ["At most 4 g in 24 hours.", "At most 4 g a day, 1 g at a time.", "Take 40 g in 24 hours."],
    [
        "A cold rarely causes high fever.",
        "High fever is rare with a cold.",
        "Antibiotics are needed for high fever.",
    ],
    ["Call 911 at once and chew 300 mg of aspirin.", "Go to a doctor some day.", ""],
    ["Anemia means too little hemoglobin in the blood.", "Too little iron in the blood.", "A disease."],
];

/// 30 multiple-choice items of the task `medqa` and 24 questions of 8 documents without a task. The higher the
/// `skill`, from 0 to 2, the better.
pub(crate) fn answers(skill: usize) -> Vec<Outcome> {
    let asked = (0..30).map(|index| {
        let gold = ["A", "B", "C", "D"][index % 4];
        // An item is easy or hard for all; a skilled run has more of them right.
        let right = (index * 7 + 3) % 10 < 4 + 2 * skill;
        let picked = if right { gold } else { ["B", "C", "D", "A"][index % 4] };
        let rated = ["A", "B", "C", "D"].map(|letter| Rated {
            log_likelihood: if letter == picked { -2.5 } else { -4.0 - index as f64 / 7.0 },
            bytes: 12,
        });
        Outcome {
            id: format!("medqa-{index:02}"),
            task: Some("medqa".into()),
            question: Some(format!("Which option is right, number {index}?")),
            choice: Some(Choice {
                gold: gold.into(),
                picked: Some(picked.into()),
                shown: ["A", "B", "C", "D"].map(String::from).to_vec(),
                rated: rated.to_vec(),
                ..Choice::default()
            }),
            ..Outcome::default()
        }
    });
    let told = (0..24).map(|index| {
        let (question, reference) = QUESTIONS[index % 4];
        let worse = usize::from(!(index * 5 + 1).is_multiple_of(3)) + usize::from(index.is_multiple_of(2));
        let mut outcome = Outcome {
            id: format!("question-{index:02}"),
            group: Some(format!("document-{}", index / 3)),
            question: Some(question.into()),
            reference: Some(reference.into()),
            answer: Some(SAID[index % 4][worse.saturating_sub(skill).min(2)].into()),
            ..Outcome::default()
        };
        outcome.measure_text();
        outcome
    });
    asked.chain(told).collect()
}

pub(crate) fn evaluation(name: &str, skill: usize) -> Evaluation {
    let settings = Settings {
        name: name.into(),
        model: "models/base".into(),
        created: "2026-11-22T01:00:00Z".into(),
        seed: 42,
        resampling: FEW,
        ..Settings::default()
    };
    Evaluation { settings, outcomes: answers(skill) }
}
