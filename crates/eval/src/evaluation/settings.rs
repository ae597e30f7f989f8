//! What made the outcomes of an evaluation.

use super::{Arithmetic, Results};
use crate::choice::extract::Rule;
use crate::statistics::Resampling;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use track::{FileHash, Program};

/// What made the outcomes of an evaluation. What is not known is empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// What the evaluation is called beside others.
    pub name: String,
    /// The model, as it was named: a folder, a name on the hub, an address, or `answers made elsewhere`.
    pub model: String,
    /// Its adapter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
    /// The base of the model, as the hub calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_model: Option<String>,
    /// What the model multiplied in, where it was asked on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arithmetic: Option<Arithmetic>,
    /// How options were read out of answers, where they were written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
    /// What found the passages that stood before questions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retrieval: Option<rag::Retrieval>,
    /// What computed the numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<Program>,
    /// When, as [`track::utc_timestamp`] writes it.
    pub created: String,
    /// Seed of whatever was drawn: samples, examples, the order of options.
    pub seed: u64,
    /// Seed and number of the draws behind the intervals.
    pub resampling: Resampling,
    /// How each task was asked, by its name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tasks: BTreeMap<String, TaskSettings>,
    /// Everything else that was chosen, such as `max_new_tokens`.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub options: Map<String, Value>,
    /// What each number must be quoted with, by the key of its metric.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, String>,
    /// The files of model and data, with their hashes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileHash>,
    /// Items that are in no number, with the reasons.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

/// How a task was asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskSettings {
    /// Version of the task's definition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Value>,
    /// Worked examples before the question.
    pub num_fewshot: usize,
    /// The data set, as the hub calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
    /// Items that the data set has; those that were asked may be fewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<usize>,
    /// Prompt, rule of extraction, order of options and what else there is.
    #[serde(flatten)]
    pub config: Map<String, Value>,
}

impl Settings {
    /// With the signature of every metric that was measured. A signature that is there stays: it may know more, such
    /// as the encoder of BERTScore.
    pub(super) fn with_signatures(&self, results: &Results) -> Self {
        let mut settings = self.clone();
        for metric in results.tasks.values().flat_map(|task| task.metrics.keys()) {
            settings.metrics.entry(metric.key().to_string()).or_insert_with(|| metric.signature());
        }
        settings
    }
}

/// What must be said of runs whose options were read out of answers by different rules; nothing where all are alike or it
/// is not known.
pub fn different_rules<'a>(runs: impl IntoIterator<Item = &'a Settings>) -> Option<String> {
    let each = where_different(runs, |run| Some(format!("by {}", run.rule?)))?;
    Some(format!(
        "options were read out of answers by different rules, so a difference may be theirs: {each}"
    ))
}

/// Each run with its value of a setting, where the runs that know it do not agree.
pub(super) fn where_different<'a, T: PartialEq + fmt::Display>(
    runs: impl IntoIterator<Item = &'a Settings>,
    of: impl Fn(&Settings) -> Option<T>,
) -> Option<String> {
    let known: Vec<(&str, T)> =
        runs.into_iter().filter_map(|run| Some((run.name.as_str(), of(run)?))).collect();
    let (_, first) = known.first()?;
    if known.iter().all(|(_, value)| value == first) {
        return None;
    }
    let each: Vec<String> = known.iter().map(|(name, value)| format!("{name} {value}")).collect();
    Some(each.join("; "))
}
