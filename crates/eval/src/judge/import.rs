//! Judgements that other programs made, from their files, counted by our rules.
//!
//! Four layouts are known, told apart by their fields: lists ranked in one prompt (ECG-LLM), scores of several judges in
//! columns (MedGPT), one object of criteria for each answer (MediLiteQA), and two samples scored from 0 to 1 (MedicalQA
//! with RLAIF). What these programs leave out, or replace by a middle score, is a failure here and enters no mean.

use super::read::{Rows, faults_of, read_records, text, wrong};
use super::reply::number as number_of;
use super::{
    Answers, Beside, Criterion, Failure, FailureKind, Item, Judgement, Mode, Rubric, Scale, Settings, Source,
    Summary, Verdict,
};
use crate::comparison::Outcome;
use crate::evaluation::AnswerFault;
use crate::records::Record;
use crate::{Error, Result};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The score that MedGPT's evaluator gives where the judge's reply cannot be read.
const MEDGPT_FALLBACK: f64 = 2.5;
/// Where a lower score is the better one; it is turned round.
const LOWER_IS_BETTER: &str = "harmfulness";

/// The verdicts of one judge.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// Who judged, as far as the file says.
    pub judge: String,
    /// What was judged.
    pub answers: Answers,
    /// How: mode, scale and the names of the scores.
    pub settings: Settings,
    /// The verdicts.
    pub judgements: Vec<Judgement>,
    /// What the layout does not let one know.
    pub notes: Vec<String>,
}

impl Imported {
    fn new(judge: String, mode: Mode, scale: Scale, criteria: &[String]) -> Self {
        let criterion = |name: &String| Criterion { name: name.clone(), description: String::new() };
        let rubric = Rubric { criteria: criteria.iter().map(criterion).collect(), ..Rubric::default() };
        let settings = Settings { scale, rubric, ..Settings::new(mode) };
        Imported { judge, answers: Answers::default(), settings, judgements: Vec::new(), notes: Vec::new() }
    }

    /// The summary, as of a judge that was asked by this program.
    pub fn summary(&self, beside: Beside<'_>) -> Summary {
        let source = Source {
            judge: &self.judge,
            prompt: "of another program",
            settings: &self.settings,
            answers: &self.answers,
        };
        let mut summary = Summary::of_judgements(&source, &self.judgements, beside);
        summary.notes.extend(self.notes.iter().cloned());
        summary
    }

    fn push(&mut self, item: &str, systems: Vec<String>, verdict: Verdict) {
        self.judgements.push(Judgement {
            item: item.to_owned(),
            group: item.to_owned(),
            systems,
            verdict,
            rationale: None,
            replies: 0,
            tokens: 0,
            cost: None,
            kept: 0,
        });
    }
}

/// A file and its rows.
struct File<'a> {
    path: &'a Path,
    /// The system or judge that it is of, by its name.
    name: String,
    rows: Vec<Map<String, Value>>,
}

/// Reads files of one layout; where each is of one system, all of them together.
///
/// # Errors
/// [`Error::File`] where a file cannot be read or is of none of the layouts; [`Error::NoItems`] where they are empty.
pub fn import(paths: &[impl AsRef<Path>]) -> Result<Vec<Imported>> {
    let mut files = Vec::new();
    for path in paths {
        let path = path.as_ref();
        files.push(File { path, name: name(path), rows: read_records(path)? });
    }
    let File { path, rows, .. } = files.first().ok_or(Error::NoItems)?;
    let first = rows.first().ok_or(Error::NoItems)?;
    if has_models(first) {
        let mut imported = Vec::new();
        for file in &files {
            imported.extend(lists(file)?);
        }
        Ok(imported)
    } else if first.contains_key("generated_answers") {
        files.iter().map(samples).collect()
    } else if first.keys().any(|key| key.starts_with("score_")) {
        Ok(score_columns(&files))
    } else if first.values().any(|value| value.get("score").is_some()) {
        Ok(vec![criteria(&files)])
    } else {
        let keys: Vec<&str> = first.keys().map(String::as_str).collect();
        Err(wrong(path, format!("judgements of no layout that is known; found {}", keys.join(", "))))
    }
}

/// Answers of several systems in one file, as ECG-LLM has them: rows of `question`, `answer` and `models`, lists of the
/// same length. `None` for a file of another layout.
///
/// # Errors
/// As [`read_answers`](super::read_answers) and [`Answers::join`].
pub fn read_lists(path: &Path) -> Result<Option<Answers>> {
    let Rows { rows, mut faults, .. } = Rows::read(path)?;
    if !rows.first().is_some_and(|(_, row)| has_models(&row.0)) {
        return Ok(None);
    }
    let mut systems: BTreeMap<String, Vec<Outcome>> = BTreeMap::new();
    let mut questions = BTreeSet::new();
    for (number, Record(row)) in rows {
        match list(&row) {
            Ok((question, _)) if !questions.insert(question.clone()) => {
                faults.push(AnswerFault::duplicate(number, None));
            }
            Ok((question, answers)) => {
                for (model, answer) in answers {
                    systems.entry(model).or_default().push(Outcome {
                        id: question.clone(),
                        question: Some(question.clone()),
                        reference: row.get("reference").and_then(text),
                        answer: Some(answer),
                        ..Outcome::default()
                    });
                }
            }
            Err(reason) => faults.push(AnswerFault::unreadable(number, reason)),
        }
    }
    let faults = faults_of(path, faults, systems.is_empty())?;
    Ok(Some(Answers { faults, ..Answers::join(systems.into_iter().collect())? }))
}

fn has_models(row: &Map<String, Value>) -> bool {
    row.get("models").is_some_and(Value::is_array) && row.get("answer").is_some_and(Value::is_array)
}

/// A question, and its answers by model; why a row is none.
fn list(row: &Map<String, Value>) -> std::result::Result<(String, Vec<(String, String)>), String> {
    let texts = |name: &str| -> Option<Vec<String>> { row.get(name)?.as_array()?.iter().map(text).collect() };
    let question = row.get("question").and_then(text);
    match (question, texts("models"), texts("answer")) {
        (Some(question), Some(models), Some(answers)) if models.len() == answers.len() => {
            Ok((question.trim().to_owned(), models.into_iter().zip(answers).collect()))
        }
        _ => Err("expected `question`, and `models` and `answer` of one length".to_owned()),
    }
}

/// ECG-LLM: a ranking, and whether each answer is right, of lists that were shown in one order.
fn lists(file: &File<'_>) -> Result<Vec<Imported>> {
    let File { path, name: judge, rows } = file;
    let mut right =
        Imported::new(judge.clone(), Mode::Pointwise, Scale::ZeroToOne, &["is_correct".to_owned()]);
    let mut order = Imported::new(judge.clone(), Mode::Listwise, Scale::ZeroToOne, &["rank".to_owned()]);
    let mut lists = Vec::new();
    for (row, number) in rows.iter().zip(1..) {
        let of_row = list(row).map_err(|reason| wrong(path, format!("row {number}: {reason}")))?;
        lists.push((of_row, row.get("evaluation").cloned().unwrap_or_default()));
    }
    let names: BTreeSet<String> =
        lists.iter().flat_map(|((_, answers), _)| answers.iter().map(|(model, _)| model.clone())).collect();
    let systems: Vec<String> = names.into_iter().collect();
    let mut items: BTreeMap<String, Item> = BTreeMap::new();
    for ((question, answers), evaluation) in lists {
        let models: Vec<String> = answers.iter().map(|(model, _)| model.clone()).collect();
        let flags =
            ["is_correct", "correctness_responses"].iter().find_map(|key| evaluation.get(*key)?.as_array());
        for (place, model) in models.iter().enumerate() {
            let verdict = match flags.and_then(|flags| flags.get(place)).and_then(Value::as_bool) {
                Some(flag) => scores([("is_correct", f64::from(flag))]),
                None => failed(FailureKind::Incomplete, "there is no `is_correct` for it", &evaluation),
            };
            right.push(&question, vec![model.clone()], verdict);
        }
        let letter = |value: &Value| {
            let letter = value.as_str()?.trim().bytes().next()?;
            models.get(usize::from(letter.checked_sub(b'A')?)).cloned()
        };
        let ranked: Option<Vec<String>> = evaluation
            .get("ranking")
            .and_then(Value::as_array)
            .and_then(|letters| letters.iter().map(letter).collect());
        let whole = |ranked: &Vec<String>| {
            ranked.len() == models.len() && ranked.iter().collect::<BTreeSet<_>>().len() == models.len()
        };
        let verdict = match ranked.filter(whole) {
            Some(ranked) => Verdict::Ranking(ranked),
            None => {
                failed(FailureKind::Incomplete, "the ranking does not name every answer once", &evaluation)
            }
        };
        order.push(&question, models, verdict);
        let answer = |system: &String| {
            answers
                .iter()
                .find(|(model, _)| model == system)
                .map(|(_, answer)| answer.clone())
                .unwrap_or_default()
        };
        items.insert(question.clone(), item(&question, &question, systems.iter().map(answer).collect()));
    }
    order.notes.push(
        "The answers were shown in one order only, so that place and merit cannot be told apart: no pair is decided.".to_owned(),
    );
    for imported in [&mut right, &mut order] {
        imported.answers.systems.clone_from(&systems);
        imported.answers.items = items.values().cloned().collect();
    }
    Ok(vec![right, order])
}

/// MedicalQA with RLAIF: samples of one model with scores from 0 to 1 by their numbers.
fn samples(file: &File<'_>) -> Result<Imported> {
    let File { path, name: judge, rows } = file;
    let mut imported =
        Imported::new(judge.to_owned(), Mode::Pointwise, Scale::ZeroToOne, &["score".to_owned()]);
    let answers = |row: &Map<String, Value>| -> Vec<String> {
        row.get("generated_answers")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(text)
            .collect()
    };
    let count = rows.iter().map(|row| answers(row).len()).max().unwrap_or(0);
    imported.answers.systems = (0..count).map(|sample| format!("sample {sample}")).collect();
    for (row, number) in rows.iter().zip(0..) {
        let of_row = answers(row);
        if of_row.len() != count {
            return Err(wrong(path, format!("row {}: expected {count} `generated_answers`", number + 1)));
        }
        let id = format!("{number:06}");
        let question = row.get("question").and_then(text).unwrap_or_default();
        for (sample, system) in imported.answers.systems.clone().into_iter().enumerate() {
            let score = row.get("scores").and_then(|scores| match scores {
                Value::Array(scores) => scores.get(sample),
                scores => scores.get(sample.to_string()),
            });
            let verdict = on_scale(score, "score", Scale::ZeroToOne);
            imported.push(&id, vec![system], verdict);
        }
        imported.answers.items.push(item(&id, &question, of_row));
    }
    Ok(imported)
}

/// MedGPT: a column `score_…` for each judge, from 0 to 5; a file for each system.
fn score_columns(files: &[File<'_>]) -> Vec<Imported> {
    let judges: BTreeSet<&str> = files
        .iter()
        .flat_map(|file| file.rows.iter().flat_map(Map::keys))
        .filter_map(|key| key.strip_prefix("score_"))
        .collect();
    let answers = of_files(files, &["model_response", "answer"]);
    judges
        .into_iter()
        .map(|judge| {
            let mut imported =
                Imported::new(judge.to_owned(), Mode::Pointwise, Scale::ZeroToFive, &["score".to_owned()]);
            imported.answers = answers.clone();
            for File { name: system, rows, .. } in files {
                for (row, number) in rows.iter().zip(0..) {
                    let score = row.get(&format!("score_{judge}"));
                    let verdict = match score.and_then(number_of) {
                        Some(MEDGPT_FALLBACK) => {
                            let reason = "2.5 is what its program writes where the judge could not be read";
                            failed(FailureKind::Placeholder, reason, &Value::Null)
                        }
                        _ => on_scale(score, "score", Scale::ZeroToFive),
                    };
                    imported.push(&format!("{number:06}"), vec![system.clone()], verdict);
                }
            }
            imported
        })
        .collect()
}

/// MediLiteQA: an object of criteria, each with a score from 1 to 10, for each answer; a file for each system.
fn criteria(files: &[File<'_>]) -> Imported {
    let mut names: Vec<String> = Vec::new();
    for (key, value) in files.iter().flat_map(|file| file.rows.iter().flatten()) {
        if value.get("score").is_some() && !names.contains(key) {
            names.push(key.clone());
        }
    }
    let shown = |name: &String| match name.to_lowercase() == LOWER_IS_BETTER {
        true => format!("{name}, turned round"),
        false => name.clone(),
    };
    let shown_names: Vec<String> = names.iter().map(shown).collect();
    let mut imported =
        Imported::new("of another program".to_owned(), Mode::Pointwise, Scale::OneToTen, &shown_names);
    imported.answers = of_files(files, &["response", "answer"]);
    let lengths: BTreeSet<usize> = files.iter().map(|file| file.rows.len()).collect();
    if lengths.len() > 1 {
        imported.notes.push(
            "The files have different numbers of rows, so that answers to one question cannot be told: systems are not paired.".to_owned(),
        );
    }
    for File { name: system, rows, .. } in files {
        for (row, number) in rows.iter().zip(0..) {
            let id = if lengths.len() > 1 { format!("{system} {number:06}") } else { format!("{number:06}") };
            let read = |name: &String| match on_scale(row.get(name), name, Scale::OneToTen) {
                Verdict::Scores(scores) => {
                    let score = scores.into_values().next().unwrap_or_default();
                    let turned = if name.to_lowercase() == LOWER_IS_BETTER { 11.0 - score } else { score };
                    Ok((shown(name), turned))
                }
                failed => Err(failed),
            };
            let verdict = names.iter().map(read).collect::<std::result::Result<_, _>>();
            imported.push(&id, vec![system.clone()], verdict.map_or_else(|failed| failed, Verdict::Scores));
        }
    }
    imported
}

/// The answers of files of one system each, row by row.
fn of_files(files: &[File<'_>], columns: &[&str]) -> Answers {
    let rows = files.iter().map(|file| file.rows.len()).max().unwrap_or(0);
    let answer = |rows: &[Map<String, Value>], row: usize| {
        columns.iter().find_map(|name| text(rows.get(row)?.get(*name)?)).unwrap_or_default()
    };
    let items = (0..rows).map(|row| {
        item(&format!("{row:06}"), "", files.iter().map(|file| answer(&file.rows, row)).collect())
    });
    Answers {
        systems: files.iter().map(|file| file.name.clone()).collect(),
        items: items.collect(),
        ..Answers::default()
    }
}

fn item(id: &str, question: &str, answers: Vec<String>) -> Item {
    Item { id: id.to_owned(), group: id.to_owned(), question: question.to_owned(), reference: None, answers }
}

/// A score by its own: a number, in quotation marks or not, or the `score` of an object.
fn on_scale(value: Option<&Value>, name: &str, scale: Scale) -> Verdict {
    let raw = value.cloned().unwrap_or_default();
    match value.map(|value| (number_of(value), value)) {
        None | Some((None, Value::Null)) => failed(FailureKind::Incomplete, "there is no score", &raw),
        Some((None, _)) => failed(FailureKind::Unparsable, "the score is no number", &raw),
        Some((Some(score), _)) if !(scale.low()..=scale.high()).contains(&score) => {
            failed(FailureKind::OutOfRange, &format!("{score} is not on the scale {scale}"), &raw)
        }
        Some((Some(score), _)) => scores([(name, score)]),
    }
}

fn scores<const N: usize>(scores: [(&str, f64); N]) -> Verdict {
    Verdict::Scores(scores.into_iter().map(|(name, score)| (name.to_owned(), score)).collect())
}

fn failed(kind: FailureKind, reason: &str, raw: &Value) -> Verdict {
    let raw = if raw.is_null() { String::new() } else { raw.to_string() };
    Verdict::Failed(Failure { kind, reason: reason.to_owned(), raw })
}

/// The system or judge of a file: its name without what is the same for all.
fn name(path: &Path) -> String {
    let stem = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    stem.strip_suffix("_per_response").unwrap_or(&stem).to_owned()
}
