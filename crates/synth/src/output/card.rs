//! The card of the data set: what Hugging Face's site and `datasets` read, and what a person should know.

use std::fmt::Write;

use dataset::Side;

use super::hub_name;
use crate::{Kind, Report};

/// Two-letter codes of languages that are often asked for.
const LANGUAGES: [(&str, &str); 8] = [
    ("english", "en"),
    ("german", "de"),
    ("deutsch", "de"),
    ("french", "fr"),
    ("spanish", "es"),
    ("italian", "it"),
    ("dutch", "nl"),
    ("portuguese", "pt"),
];

/// `README.md` of the rows that have this hash. `datasets` tells folders of one name and layout apart by their card alone,
/// and would give the rows of the first that it has read for all others.
pub(super) fn card(report: &Report, rows: &str) -> String {
    let (task, noun) = match report.kind {
        Kind::Qa => ("question-answering", "questions with answers"),
        Kind::Mc => ("multiple-choice", "questions with four options"),
    };
    let language = report.settings.language.to_lowercase();
    let code =
        LANGUAGES.iter().find(|(name, code)| *name == language || *code == language).map(|(_, code)| *code);
    let size = match report.rows {
        0..1000 => "n<1K",
        1000..10_000 => "1K<n<10K",
        10_000..100_000 => "10K<n<100K",
        _ => "100K<n<1M",
    };
    let mut text = String::from("---\n");
    if let Some(code) = code {
        let _ = writeln!(text, "language:\n- {code}");
    }
    let _ = writeln!(
        text,
        "task_categories:\n- {task}\nsize_categories:\n- {size}\ntags:\n- medical\n- synthetic\n- medtune"
    );
    let sides: Vec<Side> = Side::ALL.into_iter().filter(|side| report.sides.contains_key(side)).collect();
    if !sides.is_empty() {
        let _ = writeln!(text, "configs:\n- config_name: default\n  description: rows {rows}\n  data_files:");
        for side in &sides {
            let name = hub_name(*side);
            let _ = writeln!(text, "  - split: {name}\n    path: data/{name}-*.parquet");
        }
    }
    text += "---\n\n";
    let _ = writeln!(
        text,
        "# {} {noun} from {} documents\n\nWritten by the model `{}` with the prompt `{}` of medtune, each from one passage.",
        report.rows, report.documents, report.model, report.prompt
    );
    text += "A document's passages are all on one side of the split, which was drawn before anything was written.\n\n";
    text += "| split | rows |\n|---|---|\n";
    for (side, rows) in &report.sides {
        let _ = writeln!(text, "| {} | {rows} |", hub_name(*side));
    }
    let left_out: usize = report.rejected.values().sum();
    let _ = writeln!(
        text,
        "\nOf {} questions that the model wrote, {left_out} did not stand the checks{}",
        report.drafts,
        if left_out > 0 { ":\n" } else { "." }
    );
    for (reason, count) in &report.rejected {
        let _ = writeln!(text, "- {count} `{}`", reason.as_str());
    }
    if let Some(longest) = report.longest.filter(|longest| longest.questions > 0) {
        let percent = 100.0 * longest.accuracy;
        let _ = writeln!(
            text,
            "\nTaking the longest option is right in {percent:.1} % of them (25 % is chance)."
        );
    }
    if !report.settings.checks.model {
        text += "\nNo person and no second model has looked at them.\n";
    } else {
        text += "\nThe model that wrote them has looked at each a second time; no person has.\n";
    }
    text += "\n`document` is the BLAKE3 hash of the file that a row is from; `pages` and `boxes` (points, from the upper left \
             corner) say where in it the answer stands, `headings` under what.\n";
    text
}
