//! `medtune prepare`: clean rows and split them so that nothing tested was trained on.

use ::eval::counted;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use dataset::{
    Certificate, Cleaning, Input, Layout, PrepareOptions, Prepared, ReadOptions, RowSplitLeak, SplitOptions,
};
use serde_json::Value;

use crate::args::PrepareArgs;
use crate::failure::{Failure, Outcome};
use crate::output;

pub(crate) fn run(args: &PrepareArgs) -> Outcome<()> {
    let read = ReadOptions {
        layout: args.layout.as_deref().map(layout).transpose()?,
        columns: args.columns.iter().map(|pair| column(pair)).collect::<Outcome<BTreeMap<_, _>>>()?,
        ..ReadOptions::default()
    };
    let input = |path: &PathBuf| match path.to_str() {
        Some(name) => Ok(Input { path: formats::hub::resolve_rows(name)?, options: read.clone() }),
        None => Ok(Input { path: path.clone(), options: read.clone() }),
    };
    let inputs: Vec<Input> = args.files.iter().map(input).collect::<Outcome<_>>()?;
    let options = PrepareOptions {
        cleaning: Cleaning {
            max_answer_words: args.max_answer_words,
            min_topic_rows: args.min_topic_rows,
            ..Cleaning::default()
        },
        split: SplitOptions {
            test: args.test,
            val: args.val,
            seed: args.seed,
            given: !args.resplit,
            ..SplitOptions::default()
        },
        phi: args.phi.map(Into::into),
    };
    let test = |path: &PathBuf| match path.to_str() {
        Some(name) => Ok(Input::new(formats::hub::resolve_rows(name)?)),
        None => Ok(Input::new(path)),
    };
    let against: Vec<Input> = args.against.iter().map(test).collect::<Outcome<_>>()?;
    let prepared = dataset::prepare_against(&inputs, &against, &args.out, &options)?;
    if args.json {
        let report =
            serde_json::to_value(&prepared.report).map_err(|e| Failure::unexpected(e.to_string()))?;
        return output::print_json(&report);
    }
    output::print(&summary(&prepared, &args.out))
}

/// `question=Frage`: our name and the file's.
pub(super) fn column(pair: &str) -> Outcome<(String, String)> {
    match pair.split_once('=') {
        Some((ours, theirs)) if !ours.is_empty() && !theirs.is_empty() => Ok((ours.into(), theirs.into())),
        _ => Err(Failure::input(format!("--column {pair}: expected OURS=THEIRS"))
            .hint("for example --column question=Frage")),
    }
}

/// A layout by its name in recipes.
fn layout(name: &str) -> Outcome<Layout> {
    serde_json::from_value(Value::String(name.into()))
        .map_err(|error| Failure::input(format!("--type {name}: {error}")))
}

/// What was done, for a person.
fn summary(prepared: &Prepared, out: &Path) -> String {
    let (report, certificate) = (&prepared.report, &prepared.certificate);
    let dropped = report.rows - report.kept;
    let mut text = format!(
        "{}: {} read, {} kept, {dropped} dropped\n\n",
        out.display(),
        counted(report.rows, "row"),
        report.kept
    );
    for (rule, count) in &report.dropped {
        let _ = writeln!(text, "  dropped {count:>7}  {rule}");
    }
    if dropped > 0 {
        let place = out.join("dropped.jsonl");
        let _ = writeln!(text, "  every one with its reason: {}\n", place.display());
    }
    if prepared.phi.is_some() {
        let place = out.join("phi.jsonl");
        let found: Vec<String> = report.phi.iter().map(|(class, count)| format!("{count} {class}")).collect();
        let found = if found.is_empty() { "nothing".into() } else { found.join(", ") };
        let _ = writeln!(text, "  PHI gate: {found}; where: {}\n", place.display());
    }
    for (side, count) in &certificate.sides {
        let groups = counted(count.groups, "group");
        let _ = writeln!(text, "  {:<7} {:>7}  in {groups}", side.as_str(), count.rows);
    }
    if certificate.given > 0 {
        let rows = counted(certificate.given, "row");
        let _ = writeln!(text, "  the side of {rows} was given by `split` (--resplit draws anew)");
    }
    if report.choices > 0 {
        let _ = writeln!(
            text,
            "  {:<7} {:>7}  multiple-choice items, never trained on",
            "choices", report.choices
        );
    }
    if report.renamed_ids > 0 {
        let rows = counted(report.renamed_ids, "row");
        let _ = writeln!(text, "  {rows} had an id that stood before and got a number");
    }
    let _ = write!(text, "\n{}", in_words(certificate));
    if let Some(against) = &prepared.contamination {
        let _ = writeln!(
            text,
            "Against {}: {} held one and {} left out{}",
            counted(against.items, "test item"),
            counted(against.pairs.len(), "row"),
            if against.pairs.len() == 1 { "is" } else { "are" },
            if against.pairs.is_empty() { "." } else { "; the pairs: contamination.json" },
        );
    }
    text
}

/// What a certificate says, in sentences.
pub(super) fn in_words(certificate: &Certificate) -> String {
    let leak = certificate.leak;
    let mut text = format!(
        "Between train, validation and test: {}, {}, {}.\n",
        counted(leak.shared_documents, "shared document"),
        counted(leak.exact_questions, "equal question"),
        counted(leak.near_duplicates, "near-duplicate"),
    );
    let choices = certificate.choices;
    if choices.items > 0 {
        let _ = writeln!(
            text,
            "Of {}: {} with an equal question in train, {} with a near-duplicate.",
            counted(choices.items, "multiple-choice item"),
            choices.exact_questions,
            choices.near_duplicates,
        );
    }
    text + &row_split(certificate.row_split_leak)
}

fn row_split(leak: RowSplitLeak) -> String {
    if leak.test_rows == 0 {
        return String::new();
    }
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    format!(
        "A plain split by rows would have leaked: {} of the test rows share a document with train, {} an equal \
         question, {} a near-duplicate.\n",
        percent(leak.shared_documents_share),
        percent(leak.exact_questions_share),
        percent(leak.near_duplicates_share),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_named_by_a_pair() {
        assert_eq!(column("question=Frage=1").unwrap(), ("question".into(), "Frage=1".into()));
        for wrong in ["question", "=Frage", "question="] {
            assert!(column(wrong).unwrap_err().message.contains("OURS=THEIRS"), "{wrong}");
        }
    }

    #[test]
    fn an_unknown_layout_is_refused_with_the_known_ones() {
        assert_eq!(layout("medmcqa").unwrap(), Layout::MedMcqa);
        let message = layout("qna").unwrap_err().message;
        assert!(message.contains("`qna`") && message.contains("`alpaca`"), "{message}");
    }
}
