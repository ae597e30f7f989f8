//! Which layout a file has, found by its columns.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ReadOptions;
use crate::Error;

/// The layouts of rows that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// OpenAI's `messages`.
    Messages,
    /// ShareGPT's `conversations` of `from` and `value`.
    #[serde(rename = "sharegpt")]
    ShareGpt,
    /// MedMCQA: `question, opa, opb, opc, opd, cop`.
    #[serde(rename = "medmcqa")]
    MedMcqa,
    /// MedQA: `question, options, answer_idx`.
    #[serde(rename = "medqa")]
    MedQa,
    /// MedQA as Hugging Face has it: `sent1, ending0 …, label`.
    #[serde(rename = "medqa_sentences")]
    MedQaSentences,
    /// PubMedQA: `QUESTION, CONTEXTS, final_decision`.
    #[serde(rename = "pubmedqa")]
    PubMedQa,
    /// MMLU: `question, choices, answer`, or its CSV files of six columns without a header.
    #[serde(rename = "mmlu")]
    Mmlu,
    /// Multiple choice as people keep it: `question, answer` and the options in a list or map `options`, or in columns
    /// `A, B, …`; the answer is a letter or the text of an option. Never found by columns, as rows that are learned may
    /// look like this, too.
    Options,
    /// Alpaca: `instruction, input, output`.
    Alpaca,
    /// `prompt, completion`.
    PromptCompletion,
    /// `question, answer`, as MedQuAD and many others.
    #[serde(rename = "qa")]
    QuestionAnswer,
}

/// The layouts that are found by their columns; the first whose columns are all there is taken.
const LAYOUTS: [Layout; 10] = [
    Layout::Messages,
    Layout::ShareGpt,
    Layout::MedMcqa,
    Layout::MedQa,
    Layout::MedQaSentences,
    Layout::PubMedQa,
    Layout::Mmlu,
    Layout::Alpaca,
    Layout::PromptCompletion,
    Layout::QuestionAnswer,
];

impl Layout {
    /// The name in recipes.
    pub fn as_str(self) -> &'static str {
        match self {
            Layout::Messages => "messages",
            Layout::ShareGpt => "sharegpt",
            Layout::MedMcqa => "medmcqa",
            Layout::MedQa => "medqa",
            Layout::MedQaSentences => "medqa_sentences",
            Layout::PubMedQa => "pubmedqa",
            Layout::Mmlu => "mmlu",
            Layout::Options => "options",
            Layout::Alpaca => "alpaca",
            Layout::PromptCompletion => "prompt_completion",
            Layout::QuestionAnswer => "qa",
        }
    }

    /// The columns that it cannot do without.
    fn needed(self) -> &'static [&'static str] {
        match self {
            Layout::Messages => &["messages"],
            Layout::ShareGpt => &["conversations"],
            Layout::MedMcqa => &["question", "opa", "opb", "opc", "opd", "cop"],
            Layout::MedQa => &["question", "options", "answer_idx"],
            Layout::MedQaSentences => &["sent1", "ending0", "ending1", "label"],
            Layout::PubMedQa => &["QUESTION", "CONTEXTS", "final_decision"],
            Layout::Mmlu => &["question", "choices", "answer"],
            Layout::Options => &["question", "answer"],
            Layout::Alpaca => &["instruction", "output"],
            Layout::PromptCompletion => &["prompt", "completion"],
            Layout::QuestionAnswer => &["question", "answer"],
        }
    }
}

/// The layout of a file with `columns`.
pub(super) fn layout(path: &Path, columns: &[String], options: &ReadOptions) -> Result<Layout, Error> {
    let missing = |layout: Layout, column: &str| Error::MissingColumn {
        path: path.into(),
        layout: layout.as_str(),
        column: column.to_string(),
        columns: columns.to_vec(),
        hint: nearest(column, columns),
    };
    let mapped = |name: &str| options.columns.get(name).is_some_and(|theirs| columns.contains(theirs));
    let has = |name: &str| mapped(name) || columns.iter().any(|column| column == name);
    let present = |layout: Layout| layout.needed().iter().filter(|name| has(name)).count();
    let full = |layout: &Layout| present(*layout) == layout.needed().len();

    let layout = options.layout.or_else(|| LAYOUTS.into_iter().find(full)).unwrap_or_else(|| {
        // The nearest one, so that the error names a column that is likely meant.
        let share = |layout: Layout| present(layout) as f64 / layout.needed().len() as f64;
        let best = LAYOUTS.into_iter().map(share).fold(0.0, f64::max);
        LAYOUTS.into_iter().rev().find(|layout| share(*layout) == best).unwrap_or(Layout::QuestionAnswer)
    });
    for (name, theirs) in &options.columns {
        if !columns.contains(theirs) {
            return Err(missing(layout, theirs));
        }
        if !layout.needed().contains(&name.as_str()) && !super::layout::OPTIONAL.contains(&name.as_str()) {
            let reason = format!("`{name}` is no column of the {} layout", layout.as_str());
            return Err(Error::Option { field: "columns", reason });
        }
    }
    match layout.needed().iter().find(|name| !has(name)) {
        Some(name) => Err(missing(layout, options.columns.get(*name).map_or(*name, String::as_str))),
        None => Ok(layout),
    }
}

fn nearest(column: &str, columns: &[String]) -> Option<String> {
    let likeness = |name: &String| strsim::jaro_winkler(&name.to_lowercase(), &column.to_lowercase());
    let near = columns.iter().map(|name| (likeness(name), name)).max_by(|a, b| a.0.total_cmp(&b.0));
    near.filter(|(likeness, _)| *likeness > 0.7).map(|(_, name)| name.clone())
}
