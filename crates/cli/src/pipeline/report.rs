//! `report.html` of a run.

use chat::Role;
use dataset::Prepared;
use eval::report::{Certificate, Cleaning, Example, NearestPair, Report, Split, SplitPart};
use track::Run;

use super::evaluation::Compared;
use super::training::Trained;
use crate::failure::Outcome;

/// Pairs and answers that are shown.
const SHOWN: usize = 5;

/// Writes the report of a run.
pub(crate) fn write(trained: &Trained, compared: Option<&Compared>) -> Outcome<()> {
    let path = trained.folder.path();
    let name =
        path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
    let report = Report {
        title: name.clone(),
        created: trained.manifest.created.clone(),
        base_name: trained.manifest.base_model.clone(),
        tuned_name: name,
        run: Some(Run::load(path)?),
        comparison: compared.map(|c| c.comparison.clone()),
        split: Some(split(&trained.prepared)),
        cleaning: Some(cleaning(&trained.prepared)),
        examples: compared.map(examples).unwrap_or_default(),
    };
    Ok(formats::atomic::write_atomic(trained.folder.report(), report.to_html()?.as_bytes())?)
}

fn split(prepared: &Prepared) -> Split {
    let c = &prepared.certificate;
    let sides = c.sides.iter().map(|(side, count)| SplitPart {
        name: side.as_str().into(),
        items: count.rows,
        groups: count.groups,
        tokens: None,
    });
    let by: Vec<String> =
        c.by.iter().map(|by| serde_json::json!(by).as_str().unwrap_or_default().to_owned()).collect();
    let nearest = c.nearest_pairs.iter().take(SHOWN).map(|pair| NearestPair {
        similarity: pair.similarity,
        test: pair.test_question.clone(),
        train: pair.train_question.clone(),
    });
    Split {
        by: by.join(", "),
        seed: c.seed,
        parts: sides.collect(),
        certificate: Some(Certificate {
            exact_matches: c.leak.exact_questions,
            shared_groups: c.leak.shared_documents,
            near_duplicates: c.leak.near_duplicates,
            threshold: c.question_similarity,
            measure: "Jaccard similarity of the questions' words".into(),
            nearest: nearest.collect(),
        }),
    }
}

fn cleaning(prepared: &Prepared) -> Cleaning {
    let r = &prepared.report;
    let removed = r.dropped.iter().map(|(rule, count)| {
        let name = serde_json::json!(rule).as_str().unwrap_or_default().replace('_', " ");
        (name, *count)
    });
    Cleaning { rows_in: r.rows, rows_out: r.kept, removed: removed.collect() }
}

/// The first questions with both answers.
pub(crate) fn examples(compared: &Compared) -> Vec<Example> {
    let text = |example: &dataset::Example, role: Role| {
        example.messages.iter().rev().find(|m| m.role == role).map_or_else(String::new, |m| m.content.clone())
    };
    let note = |rouge: Option<f64>| rouge.map_or_else(String::new, |r| format!("ROUGE-L {r:.2}"));
    let answered = compared.exam.questions.iter().zip(compared.base.iter().zip(&compared.tuned));
    answered
        .filter_map(|(example, (base, tuned))| {
            Some(Example {
                question: text(example, Role::User),
                reference: text(example, Role::Assistant),
                base: base.answer.clone()?,
                tuned: tuned.answer.clone()?,
                base_note: note(base.rouge_l),
                tuned_note: note(tuned.rouge_l),
            })
        })
        .take(SHOWN)
        .collect()
}
