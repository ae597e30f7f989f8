//! Every number once more, from what is on file of the items.

use super::{Closeness, Evaluation, Results};
use crate::Result;
use crate::comparison::Outcome;
use crate::text::rouge_l;
use serde::Serialize;

/// An evaluation with its numbers computed again.
#[derive(Clone, Debug)]
pub struct Rescored {
    /// The outcomes as the present code computes them.
    pub evaluation: Evaluation,
    /// Their numbers.
    pub results: Results,
    /// Numbers of items that are not what is on file.
    pub of_items: Vec<String>,
    /// Numbers of tasks that are not what is on file; `None` where no results are on file.
    pub of_results: Option<Vec<String>>,
}

/// Computes every number again: text metrics from answer and reference, multiple choice from the likelihoods of the
/// options, and all summaries. What cannot be computed from the file, losses and BERTScore, stays.
///
/// # Errors
/// As [`Results::of`].
pub fn rescore(evaluation: Evaluation, on_file: Option<&Results>) -> Result<Rescored> {
    let (outcomes, of_items) = rescored_outcomes(&evaluation.outcomes, Closeness::Exact);
    let evaluation = Evaluation { outcomes, ..evaluation };
    let results = evaluation.results()?;
    let of_results = on_file.map(|on_file| Results::differences(on_file, &results, Closeness::Exact));
    Ok(Rescored { evaluation, results, of_items, of_results })
}

/// The outcomes with their metrics computed again, and what that changed.
pub(super) fn rescored_outcomes(outcomes: &[Outcome], closeness: Closeness) -> (Vec<Outcome>, Vec<String>) {
    let mut differences = Vec::new();
    let rescored = outcomes.iter().map(|before| {
        let now = rescored(before);
        if now != *before {
            let document = |outcome: &Outcome| serde_json::to_value(outcome).unwrap_or_default();
            closeness.walk(&format!("`{}`", before.id), &document(before), &document(&now), &mut differences);
        }
        now
    });
    (rescored.collect(), differences)
}

fn rescored(before: &Outcome) -> Outcome {
    let mut now = before.clone();
    if let Some(choice) = &mut now.choice {
        // An answer is the likeliest option, as it is or per byte; which of the two the task decides.
        let likeliest = choice.likeliest().map(str::to_string);
        if likeliest.is_some() && !choice.picked.as_deref().is_some_and(|picked| choice.rates_highest(picked))
        {
            choice.picked = likeliest;
        }
    }
    let only_text = now.loss.is_none() && now.choice.is_none() && now.rouge_l.is_none();
    if now.text.is_some() || only_text {
        let had_rouge = now.rouge_l.is_some() || only_text;
        now.measure_text();
        now.rouge_l = now.rouge_l.filter(|_| had_rouge);
    } else if let (Some(_), Some(reference), Some(answer)) = (now.rouge_l, &now.reference, &now.answer) {
        now.rouge_l = Some(rouge_l(reference, answer).f1);
    }
    now
}

/// What a rescoring found, for a program.
#[derive(Clone, Debug, Serialize)]
pub struct Findings<'a> {
    /// Items.
    pub items: usize,
    /// The numbers.
    pub results: &'a Results,
    /// Numbers of items that are not what is on file.
    pub item_differences: &'a [String],
    /// Numbers of tasks that are not what is on file; `null` where none are.
    pub result_differences: Option<&'a [String]>,
}

impl Rescored {
    /// What was found.
    pub fn findings(&self) -> Findings<'_> {
        Findings {
            items: self.evaluation.outcomes.len(),
            results: &self.results,
            item_differences: &self.of_items,
            result_differences: self.of_results.as_deref(),
        }
    }

    /// Whether every number is what is on file.
    pub fn is_the_same(&self) -> bool {
        self.of_items.is_empty() && self.of_results.as_ref().is_none_or(Vec::is_empty)
    }
}
