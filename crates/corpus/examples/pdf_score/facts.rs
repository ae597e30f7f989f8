//! The lines of olmOCR-bench: facts about pages, checked by hand.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use serde_json::Value;
use unicode_normalization::UnicodeNormalization;

use super::output::{Output, Source};

/// Passed and all lines of each kind. Formulas are not read and count as failed.
pub(crate) fn olmocr(
    data: &Path,
    source: &Source,
    print: bool,
) -> Result<BTreeMap<String, (usize, usize)>, Box<dyn Error>> {
    let folder = data.join("olmocr_bench");
    let mut counts = BTreeMap::new();
    for file in ["dataset.jsonl", "blanks.jsonl"] {
        for line in std::fs::read_to_string(folder.join(file))?.lines() {
            let fact: Value = serde_json::from_str(line)?;
            let pdf = folder.join("pdfs").join(fact["pdf"].as_str().unwrap_or_default());
            let output = source.convert("olmocr_bench", &pdf).unwrap_or_default();
            let kind = fact["type"].as_str().unwrap_or_default().to_owned();
            let passed = holds(&fact, &output);
            if print && !passed {
                eprintln!("fails: {}", fact["id"].as_str().unwrap_or_default());
            }
            let count: &mut (usize, usize) = counts.entry(kind).or_default();
            *count = (count.0 + usize::from(passed), count.1 + 1);
        }
    }
    Ok(counts)
}

fn holds(fact: &Value, output: &Output) -> bool {
    let folded = fact["case_sensitive"].as_bool() == Some(false);
    let diffs = fact["max_diffs"].as_u64().unwrap_or(0) as usize;
    let text = normal(&output.cleaned_text(), folded);
    let wanted = |name: &str| fact[name].as_str().map(|s| normal(s, folded));
    let position = |wanted: &str, text: &str| find(wanted, text, diffs);
    match fact["type"].as_str() {
        Some(kind @ ("present" | "absent")) => {
            let part = part(&text, fact);
            let found = wanted("text").is_some_and(|wanted| position(&wanted, &part).is_some());
            found == (kind == "present")
        }
        Some("order") => {
            let before = wanted("before").and_then(|wanted| position(&wanted, &text));
            let after = wanted("after").and_then(|wanted| position(&wanted, &text));
            matches!((before, after), (Some(a), Some(b)) if a < b)
        }
        Some("table") => in_table(fact, output),
        Some("blank" | "baseline") => text.trim().is_empty() || fact["type"] == "baseline",
        _ => false,
    }
}

/// The first or last characters only, where a line says so.
fn part(text: &str, fact: &Value) -> String {
    let letters: Vec<char> = text.chars().collect();
    let first = fact["first_n"].as_u64().map(|n| n as usize);
    let last = fact["last_n"].as_u64().map(|n| n as usize);
    match (first, last) {
        (Some(n), _) => letters.iter().take(n).collect(),
        (_, Some(n)) => letters.iter().skip(letters.len().saturating_sub(n)).collect(),
        _ => text.to_owned(),
    }
}

fn normal(text: &str, folded: bool) -> String {
    let text: String = text.nfkc().collect();
    let text =
        text.replace(['“', '”', '„'], "\"").replace(['‘', '’', '‚'], "'").replace(['–', '—', '‑', '−'], "-");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if folded { text.to_lowercase() } else { text }
}

/// Where `wanted` ends in `text` with at most `diffs` edits (Sellers 1980).
fn find(wanted: &str, text: &str, diffs: usize) -> Option<usize> {
    if diffs == 0 {
        return text.find(wanted);
    }
    let wanted: Vec<char> = wanted.chars().collect();
    let mut column: Vec<usize> = (0..=wanted.len()).collect();
    for (at, c) in text.chars().enumerate() {
        let mut diagonal = column[0];
        for (row, w) in wanted.iter().enumerate() {
            let above = column[row + 1];
            column[row + 1] = (diagonal + usize::from(*w != c)).min(above + 1).min(column[row] + 1);
            diagonal = above;
        }
        if column[wanted.len()] <= diffs {
            return Some(at);
        }
    }
    None
}

fn in_table(fact: &Value, output: &Output) -> bool {
    let same = |cell: &str, wanted: &str| {
        let (cell, wanted) = (normal(cell, true), normal(wanted, true));
        strsim::normalized_levenshtein(&cell, &wanted) >= 0.9
    };
    let field = |name: &str| fact[name].as_str().filter(|s| !s.is_empty());
    let cell = field("cell").unwrap_or_default();
    output.tables().iter().any(|table| {
        let at = |row: usize, column: usize| table.get(row).and_then(|r| r.get(column)).map(String::as_str);
        (0..table.len()).any(|row| {
            (0..table[row].len()).any(|column| {
                let beside = |name: &str, cell: Option<&str>| {
                    field(name).is_none_or(|wanted| cell.is_some_and(|cell| same(cell, wanted)))
                };
                same(&table[row][column], cell)
                    && beside("up", row.checked_sub(1).and_then(|r| at(r, column)))
                    && beside("down", at(row + 1, column))
                    && beside("left", column.checked_sub(1).and_then(|c| at(row, c)))
                    && beside("right", at(row, column + 1))
                    && field("top_heading").is_none_or(|wanted| {
                        (0..row).any(|r| at(r, column).is_some_and(|cell| same(cell, wanted)))
                    })
                    && field("left_heading").is_none_or(|wanted| {
                        (0..column).any(|c| at(row, c).is_some_and(|cell| same(cell, wanted)))
                    })
            })
        })
    })
}
