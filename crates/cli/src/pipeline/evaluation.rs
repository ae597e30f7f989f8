//! Base against tuned, on what was held out.

use std::path::Path;

use compute::Cpu;
use dataset::{ChoiceItem, Example};
use eval::comparison::{Comparison, Outcome as Item, compare};
use eval::statistics::Resampling;
use eval::{Stage, Subject, Wanted};
use serde::Serialize;
use serde_json::{Map, Value, json};
use train::{Evaluation, Recipe};

use super::base::Model;
use super::training::Trained;
use crate::failure::{Failure, Outcome};
use crate::progress::Counted;

/// What a model is examined on.
#[derive(Debug)]
pub(crate) struct Exam {
    pub(crate) questions: Vec<Example>,
    pub(crate) choices: Vec<ChoiceItem>,
    pub(crate) wanted: Wanted,
    /// Questions that the model cannot read, with the reasons.
    pub(crate) left_out: Vec<String>,
}

impl Model {
    /// The model as a subject, with or without its adapter.
    pub(crate) fn subject(&self, adapter: bool) -> Subject<'_, Cpu> {
        Subject { decoder: &self.decoder, tokenizer: &self.tokenizer, template: &self.template, adapter }
    }
}

impl Exam {
    /// The questions and items that `model` can be asked. Files are in the order of their sources, so a part of them
    /// is a sample drawn by `seed`, never the beginning.
    pub(crate) fn new(
        model: &Model,
        (questions, choices): (&[Example], &[ChoiceItem]),
        settings: &Evaluation,
        seed: u64,
    ) -> Self {
        let limit = if settings.max_examples == 0 { questions.len() } else { settings.max_examples };
        let drawn = dataset::shuffled(questions.len(), seed, 0);
        let chosen: Vec<Example> = drawn.into_iter().take(limit).map(|i| questions[i].clone()).collect();
        let (questions, left_out) = model.subject(true).readable(&chosen);
        Exam {
            questions,
            choices: choices.to_vec(),
            wanted: Wanted { answers: settings.max_answers, max_new_tokens: settings.max_new_tokens },
            left_out: left_out.iter().map(ToString::to_string).collect(),
        }
    }

    /// Examines `subject`; `name` is shown.
    pub(crate) fn take(&self, subject: Subject<'_, Cpu>, name: &str) -> Outcome<Vec<Item>> {
        let mut shown: Option<(Stage, Counted)> = None;
        let mut progress = |stage: Stage, done: usize, of: usize| {
            if shown.as_ref().is_none_or(|(s, _)| *s != stage) {
                let what = match stage {
                    Stage::Loss => "loss",
                    Stage::Answers => "answers (tokens)",
                    Stage::Choices => "multiple choice",
                };
                shown = Some((stage, Counted::new(of as u64, &format!("{name}: {what}"))));
            }
            if let Some((_, counted)) = &mut shown {
                counted.at(done as u64);
            }
        };
        let mut outcomes = Vec::new();
        if !self.questions.is_empty() {
            outcomes.extend(subject.questions(&self.questions, self.wanted, &mut progress)?);
        }
        outcomes.extend(subject.choices(&self.choices, &mut progress)?);
        Ok(outcomes)
    }
}

/// Both models' outcomes and what they say.
#[derive(Debug)]
pub(crate) struct Compared {
    pub(crate) comparison: Comparison,
    pub(crate) base: Vec<Item>,
    pub(crate) tuned: Vec<Item>,
    pub(crate) exam: Exam,
}

/// Examines base and tuned model of a run and keeps the outcomes in its folder. `None` for a model that started from
/// nothing: there is no base to compare with.
pub(crate) fn compare_with_base(recipe: &Recipe, trained: &Trained) -> Outcome<Option<Compared>> {
    let Some(name) = &recipe.base_model else { return Ok(None) };
    let held_out = (&trained.prepared.test[..], &trained.prepared.choices[..]);
    let exam = Exam::new(&trained.model, held_out, &recipe.evaluation, recipe.split.seed);
    if exam.questions.is_empty() && exam.choices.is_empty() {
        return Ok(None);
    }
    let base = match trained.model.decoder.adapter() {
        Some(_) => exam.take(trained.model.subject(false), "base")?,
        None => exam.take(Model::load(name, None)?.subject(true), "base")?,
    };
    let tuned = exam.take(trained.model.subject(true), "tuned")?;
    let resampling = Resampling { seed: recipe.seed, ..Resampling::default() };
    let comparison = compare(&base, &tuned, &resampling)?;
    let folder = trained.folder.eval();
    std::fs::create_dir_all(&folder).map_err(crate::failure::io(&folder))?;
    write_json(&folder.join("base.json"), &base)?;
    write_json(&folder.join("tuned.json"), &tuned)?;
    write_json(&folder.join("comparison.json"), &comparison)?;
    Ok(Some(Compared { comparison, base, tuned, exam }))
}

/// Writes `value` whole or not at all.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Outcome<()> {
    let mut text = serde_json::to_string_pretty(value).map_err(|e| Failure::unexpected(e.to_string()))?;
    text.push('\n');
    Ok(formats::atomic::write_atomic(path, text.as_bytes())?)
}

/// Base, tuned and the paired differences, by the name of the metric.
pub(crate) fn to_json(comparison: &Comparison) -> Value {
    let paired: Map<String, Value> =
        comparison.paired.iter().map(|p| (metric_key(&json!(p.metric)), json!(p))).collect();
    json!({
        "base": comparison.base,
        "tuned": comparison.tuned,
        "paired": paired,
        "verdict": comparison.verdict_sentence(),
        "notes": comparison.notes,
        "items": comparison.items,
        "groups": comparison.groups,
    })
}

fn metric_key(metric: &Value) -> String {
    metric.as_str().unwrap_or("metric").to_owned()
}

/// The comparison as a table for people.
pub(crate) fn table(comparison: &Comparison) -> String {
    let mut lines =
        vec![format!("{:<24} {:>22} {:>22} {:>26} {:>9}  verdict", "", "base", "tuned", "difference", "p")];
    for paired in &comparison.paired {
        let estimate = |summary: &eval::comparison::Summary| {
            summary.metric(paired.metric).map_or_else(String::new, |e| {
                let end = |v: Option<f64>| v.map_or("?".into(), |v| paired.metric.format(v));
                format!("{} [{}, {}]", paired.metric.format(e.value), end(e.low), end(e.high))
            })
        };
        lines.push(format!(
            "{:<24} {:>22} {:>22} {:>26} {:>9.2e}  {}",
            format!("{} (n={})", paired.metric.name(), paired.n),
            estimate(&comparison.base),
            estimate(&comparison.tuned),
            paired.change(),
            paired.p_holm,
            paired.verdict.name()
        ));
    }
    lines.push(String::new());
    lines.push(comparison.verdict_sentence());
    lines.extend(comparison.notes.iter().map(|note| format!("note: {note}")));
    lines.join("\n")
}
