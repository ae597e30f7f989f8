//! `README.md` with the front matter that Hugging Face reads: `model-index`, one result per task.
//!
//! <https://github.com/huggingface/hub-docs/blob/main/modelcard.md>. YAML takes JSON's strings, so every text is one.

use super::{Results, Settings, TaskResults};
use crate::comparison::{Estimate, Metric};
use crate::wording::counted;
use std::fmt::Write as _;

/// The card.
pub(super) fn readme(settings: &Settings, results: &Results) -> String {
    let name = if settings.name.is_empty() { &settings.model } else { &settings.name };
    let mut text = front_matter(name, settings, results);
    let _ = write!(text, "\n# {}\n\n", line(name));
    let _ = writeln!(text, "{}\n", facts(settings));
    for (task, numbers) in &results.tasks {
        let _ = writeln!(text, "## {}\n\n{}", line(task), table(numbers));
    }
    let _ = writeln!(
        text,
        "Brackets hold 95 % intervals over {} of related items: Wilson's for shares, bias-corrected accelerated \
         bootstrap ({} draws, seed {}) for the rest. An answer that names no option is not right. Every number can be \
         computed again from `items.jsonl` (`medtune rescore`), and `medtune verify card.json` checks them all.",
        counted(results.groups, "group"),
        results.resampling.resamples,
        results.resampling.seed
    );
    let _ = writeln!(text, "\n## Signatures of the metrics\n");
    for (metric, signature) in &settings.metrics {
        let _ = writeln!(text, "- `{metric}`: {}", line(signature));
    }
    text
}

fn front_matter(name: &str, settings: &Settings, results: &Results) -> String {
    let mut text = String::from("---\nlanguage: en\ntags:\n- medical\n- medtune\n");
    if let Some(base) = &settings.base_model {
        let _ = writeln!(text, "base_model: {}", quoted(base));
    }
    let _ = write!(text, "model-index:\n- name: {}\n  results:\n", quoted(name));
    for (task, numbers) in &results.tasks {
        let kind = if numbers.choices.is_some() { "multiple-choice" } else { "text-generation" };
        let dataset = settings.tasks.get(task).and_then(|asked| asked.dataset.as_deref()).unwrap_or(task);
        let _ = write!(
            text,
            "  - task:\n      type: {kind}\n    dataset:\n      name: {}\n      type: {}\n    metrics:\n",
            quoted(task),
            quoted(dataset)
        );
        for (metric, result) in &numbers.metrics {
            let signature = settings.metrics.get(metric.key()).cloned().unwrap_or_else(|| metric.signature());
            let _ = write!(
                text,
                "    - type: {}\n      name: {}\n      value: {}\n      args: {}\n",
                metric.harness_key(),
                quoted(metric.name()),
                result.estimate.value,
                quoted(&signature)
            );
        }
    }
    text.push_str("---\n");
    text
}

fn facts(settings: &Settings) -> String {
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: &str| {
        if !value.is_empty() {
            facts.push(format!("- {name}: {}", line(value)));
        }
    };
    fact("Model", &settings.model);
    fact("Adapter", settings.adapter.as_deref().unwrap_or_default());
    fact("Measured", &settings.created);
    if let Some(program) = &settings.program {
        fact("By", &format!("{} {}", program.name, program.version));
    }
    fact("Seed", &settings.seed.to_string());
    if !settings.left_out.is_empty() {
        fact("Items that are in no number", &settings.left_out.len().to_string());
    }
    facts.join("\n")
}

fn table(numbers: &TaskResults) -> String {
    let mut text =
        String::from("| metric | value | 95 % interval | items | groups |\n|---|---|---|---|---|\n");
    for (metric, result) in &numbers.metrics {
        let Estimate { value, n, groups, .. } = result.estimate;
        let interval = interval(*metric, &result.estimate);
        let _ =
            writeln!(text, "| {} | {} | {interval} | {n} | {groups} |", metric.name(), metric.format(value));
    }
    for number in numbers.choice_numbers() {
        let Estimate { value, n, groups, .. } = number.estimate;
        let (value, interval) = (number.format(value), number.interval());
        let _ = writeln!(text, "| {} | {value} | {interval} | {n} | {groups} |", number.name);
    }
    if let Some(counts) = numbers.choices {
        let _ = writeln!(
            text,
            "\nRight {}, wrong {}, abstained {}, no option named {}.",
            counts.right, counts.wrong, counts.abstained, counts.unparsed
        );
    }
    for (what, ids) in [
        ("without a reference: in no number of the text", &numbers.empty_references),
        ("without an answer: they count as 0", &numbers.empty_answers),
        (
            "whose question lost its beginning, being longer than the model reads: they count",
            &numbers.cut_questions,
        ),
    ] {
        if !ids.is_empty() {
            let _ = writeln!(text, "\nItems {what}: {}.", ids.len());
        }
    }
    text
}

/// The interval of an estimate; empty where one group is all there is.
pub(crate) fn interval(metric: Metric, estimate: &Estimate) -> String {
    let end = |value: f64| metric.format(value).trim_end_matches(" %").to_string();
    match (estimate.low, estimate.high) {
        (Some(low), Some(high)) => format!("[{}, {}]", end(low), end(high)),
        _ => String::new(),
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Text of others in one line of Markdown, without its own markup.
fn line(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\r' => escaped.push(' '),
            '<' => escaped.push_str("&lt;"),
            '|' | '`' | '*' | '[' | ']' | '#' | '_' => escaped.extend(['\\', character]),
            _ => escaped.push(character),
        }
    }
    escaped
}
