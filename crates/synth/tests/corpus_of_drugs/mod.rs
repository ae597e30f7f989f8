//! A corpus of invented drugs, and a model that writes questions about them.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// Writes `blocks.jsonl` with `documents` documents of two sections each and gives its path.
pub(crate) fn write(folder: &Path, documents: usize) -> PathBuf {
    let mut lines = String::new();
    for document in 0..documents {
        let id = format!("{document:02x}{:062x}", 0);
        let mut block = 0;
        let mut add = |kind: Value, text: &str, page: usize| {
            let area = json!({ "x0": 72.0, "y0": 100.0 + block as f64, "x1": 300.0, "y1": 120.0 });
            let mut line = json!({ "document": id, "block": block, "text": text, "places": [{ "page": page, "area": area }] });
            line.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
            lines += &format!("{line}\n");
            block += 1;
        };
        let name = name(document);
        add(json!({ "kind": "heading", "level": 1 }), &format!("The drug {name}"), 1);
        for (section, title) in ["Use", "Harm"].iter().enumerate() {
            add(json!({ "kind": "heading", "level": 2 }), title, section + 1);
            for fact in 0..3 {
                add(json!({ "kind": "paragraph" }), &fact_text(&name, section, fact), section + 1);
            }
        }
    }
    let path = folder.join("blocks.jsonl");
    std::fs::write(&path, lines).unwrap();
    path
}

/// A name that has no four letters in common with the others.
pub(crate) fn name(document: usize) -> String {
    let syllables = ["balo", "cemi", "dufa", "gopi", "hune", "jari", "kolu", "leto", "mavi", "nori"];
    format!("{}{}ine", syllables[document % 10], syllables[(document / 10 + document) % 7])
}

fn fact_text(name: &str, section: usize, fact: usize) -> String {
    match (section, fact) {
        (0, 0) => format!("Oral {name} lowers blood pressure within 20 minutes in most adults."),
        (0, 1) => format!("Its peak concentration after tablets of {name} comes at 3 hours."),
        (0, _) => format!("Renal clearance removes 60 percent of {name} unchanged."),
        (_, 0) => format!("Prolonged {name} therapy leads to ankle oedema in 12 percent."),
        (_, 1) => format!("Grapefruit juice doubles the plasma level of {name} by enzyme inhibition."),
        _ => format!("Abrupt withdrawal of {name} provokes rebound tachycardia."),
    }
}

/// What a good model answers to a prompt: a question for each sentence, and two that no check lets pass.
pub(crate) fn questions(prompt: &str, options: bool) -> Value {
    let passage = prompt.split("\"\"\"").nth(1).unwrap_or_default();
    let mut questions = Vec::new();
    for line in passage.lines().filter(|line| line.ends_with('.')) {
        let name = line.split([' ', '.']).find(|word| word.ends_with("ine")).unwrap_or_default();
        let (question, answer) = match line.split(' ').next().unwrap_or_default() {
            "Oral" => (format!("How fast does oral {name} lower blood pressure?"), "Within 20 minutes."),
            "Its" => {
                (format!("When is the peak concentration of {name} reached after tablets?"), "At 3 hours.")
            }
            "Renal" => {
                (format!("What share of {name} does renal clearance remove unchanged?"), "60 percent.")
            }
            "Prolonged" => {
                (format!("What does prolonged {name} therapy lead to in 12 percent?"), "Ankle oedema.")
            }
            "Grapefruit" => {
                (format!("How does grapefruit juice change the plasma level of {name}?"), "It doubles it.")
            }
            _ => (format!("What does abrupt withdrawal of {name} provoke?"), "Rebound tachycardia."),
        };
        questions.push(question_of(&question, answer, options));
    }
    questions.push(question_of("What does this study show?", "Within 20 minutes.", options));
    questions.push(question_of(
        "What does balocemine, the drug, do to the liver in 77 percent?",
        "Nothing.",
        options,
    ));
    json!({ "questions": questions })
}

fn question_of(question: &str, answer: &str, options: bool) -> Value {
    match options {
        true => {
            json!({ "question": question, "answer": answer, "distractors": ["Nothing at all.", "A dry cough.", "Deep sleep."] })
        }
        false => json!({ "question": question, "answer": answer }),
    }
}
