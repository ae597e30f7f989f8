//! The table of the metrics, a row each.

use super::{Direction, Form, Scale};
use crate::comparison::{ChoiceResult, Outcome, TokenLoss};
use crate::text::agreement::{QuantityOutcome, UrgencyOutcome};
use crate::text::{
    Bleu, BleuStatistics, Chrf, ChrfStatistics, Meteor, SACREBLEU_VERSION, TEXTSTAT_VERSION, TextOutcome,
};

/// One metric.
pub(super) struct Definition {
    pub(super) key: &'static str,
    pub(super) harness: &'static str,
    pub(super) name: &'static str,
    pub(super) direction: Direction,
    pub(super) scale: Scale,
    pub(super) of_text: bool,
    pub(super) form: Form,
    pub(super) signature: fn() -> String,
}

/// Counts that BLEU of a corpus is computed from.
pub(crate) const BLEU_SUMS: usize = 10;
/// Counts that chrF of a corpus is computed from.
pub(crate) const CHRF_SUMS: usize = ChrfStatistics::SUMS;

/// BLEU of summed counts.
pub(crate) fn bleu_of(sums: &[f64; BLEU_SUMS]) -> f64 {
    Bleu::default().score(BleuStatistics::from_sums(sums)).score
}

/// chrF of summed counts.
pub(crate) fn chrf_of(sums: &[f64; CHRF_SUMS]) -> f64 {
    Chrf::default().score(&ChrfStatistics::from_sums(sums))
}

/// The text metrics of an item, unless there was nothing to compare its answer with.
pub(crate) fn measured_text(outcome: &Outcome) -> Option<&TextOutcome> {
    outcome.text.as_deref().filter(|text| !text.empty_reference)
}

/// In the order of [`Metric`](super::Metric).
pub(super) static TABLE: [Definition; 18] = [
    Definition {
        key: "loss",
        harness: "loss",
        name: "loss",
        direction: Direction::Lower,
        scale: Scale::Nats,
        of_text: false,
        form: Form::Ratio(|outcome| losses(outcome).map(|loss| [loss.loss_sum, loss.tokens as f64])),
        signature: || {
            "negative log-likelihood of the reference answer|unit:nats/token|sums over tokens".into()
        },
    },
    Definition {
        key: "token_accuracy",
        harness: "token_acc",
        name: "token accuracy",
        direction: Direction::Higher,
        scale: Scale::Share,
        of_text: false,
        form: Form::Ratio(|outcome| {
            losses(outcome).map(|loss| [loss.correct_tokens as f64, loss.tokens as f64])
        }),
        signature: || "share of reference tokens that are the likeliest|sums over tokens".into(),
    },
    Definition {
        key: "rouge_l",
        harness: "rougeL",
        name: "ROUGE-L",
        direction: Direction::Higher,
        scale: Scale::Unit,
        of_text: true,
        form: Form::Ratio(|outcome| {
            let empty = outcome.text.as_ref().is_some_and(|text| text.empty_reference);
            let rouge = outcome.rouge_l.or_else(|| Some(outcome.text.as_ref()?.rouge.rouge_l.f1))?;
            (!empty).then_some([rouge, 1.0])
        }),
        signature: || rouge_signature("L"),
    },
    Definition {
        key: "mc_accuracy",
        harness: "acc",
        name: "multiple choice",
        direction: Direction::Higher,
        scale: Scale::Share,
        of_text: false,
        form: Form::Share(|outcome| Some(outcome.choice.as_ref()?.result() == ChoiceResult::Right)),
        signature: || "share of all questions|an answer that names no option is not right".into(),
    },
    Definition {
        key: "mc_accuracy_norm",
        harness: "acc_norm",
        name: "multiple choice, per byte",
        direction: Direction::Higher,
        scale: Scale::Share,
        of_text: false,
        form: Form::Share(|outcome| {
            let choice = outcome.choice.as_ref()?;
            Some(choice.likeliest_per_byte()? == choice.gold)
        }),
        signature: || "likeliest option by log-likelihood/bytes|like:lm-eval acc_norm".into(),
    },
    Definition {
        key: "bleu",
        harness: "bleu",
        name: "BLEU",
        direction: Direction::Higher,
        scale: Scale::Hundred,
        of_text: true,
        form: Form::Bleu,
        signature: || format!("{}|sacrebleu:{SACREBLEU_VERSION}", Bleu::default().signature(1)),
    },
    Definition {
        key: "chrf",
        harness: "chrf",
        name: "chrF",
        direction: Direction::Higher,
        scale: Scale::Hundred,
        of_text: true,
        form: Form::Chrf,
        signature: || format!("{}|sacrebleu:{SACREBLEU_VERSION}", Chrf::default().signature(1)),
    },
    Definition {
        key: "rouge1",
        harness: "rouge1",
        name: "ROUGE-1",
        direction: Direction::Higher,
        scale: Scale::Unit,
        of_text: true,
        form: Form::Ratio(|outcome| mean(outcome, |text| text.rouge.rouge1.f1)),
        signature: || rouge_signature("1"),
    },
    Definition {
        key: "rouge2",
        harness: "rouge2",
        name: "ROUGE-2",
        direction: Direction::Higher,
        scale: Scale::Unit,
        of_text: true,
        form: Form::Ratio(|outcome| mean(outcome, |text| text.rouge.rouge2.f1)),
        signature: || rouge_signature("2"),
    },
    Definition {
        key: "rouge_lsum",
        harness: "rougeLsum",
        name: "ROUGE-Lsum",
        direction: Direction::Higher,
        scale: Scale::Unit,
        of_text: true,
        form: Form::Ratio(|outcome| mean(outcome, |text| text.rouge.rouge_lsum.f1)),
        signature: || rouge_signature("Lsum"),
    },
    Definition {
        key: "meteor",
        harness: "meteor",
        name: "METEOR",
        direction: Direction::Higher,
        scale: Scale::Unit,
        of_text: true,
        form: Form::Ratio(|outcome| mean(outcome, |text| text.meteor)),
        signature: || Meteor::default().signature(),
    },
    Definition {
        key: "bertscore",
        harness: "bertscore_f1",
        name: "BERTScore",
        direction: Direction::Higher,
        scale: Scale::Unit,
        of_text: true,
        form: Form::Ratio(|outcome| outcome.bertscore.map(|score| [score.f1, 1.0])),
        signature: || "F1 of greedy matching|like:bert_score0.3.13".into(),
    },
    Definition {
        key: "changed_quantities",
        harness: "changed_quantities",
        name: "changed quantities",
        direction: Direction::Lower,
        scale: Scale::Share,
        of_text: true,
        form: Form::Share(|outcome| {
            let quantities = measured_text(outcome)?.quantities;
            (quantities != QuantityOutcome::NothingToCompare)
                .then_some(quantities == QuantityOutcome::Conflicts)
        }),
        signature: || {
            "share of answers that give a quantity of the reference differently|medtune rules".into()
        },
    },
    Definition {
        key: "polarity_conflicts",
        harness: "polarity_conflicts",
        name: "negation conflicts",
        direction: Direction::Lower,
        scale: Scale::Share,
        of_text: true,
        form: Form::Share(|outcome| measured_text(outcome).map(|text| !text.polarity.is_empty())),
        signature: || {
            "share of answers that deny what the reference affirms or affirm what it denies|medtune rules"
                .into()
        },
    },
    Definition {
        key: "missing_urgency",
        harness: "missing_urgency",
        name: "missing urgent advice",
        direction: Direction::Lower,
        scale: Scale::Share,
        of_text: true,
        form: Form::Share(|outcome| match measured_text(outcome)?.urgency {
            UrgencyOutcome::Missing => Some(true),
            UrgencyOutcome::Given => Some(false),
            UrgencyOutcome::NotNeeded | UrgencyOutcome::Unneeded => None,
        }),
        signature: || "share of answers without the urgent advice of their reference|medtune rules".into(),
    },
    Definition {
        key: "readability_grade",
        harness: "flesch_kincaid_grade",
        name: "readability grade",
        direction: Direction::Neither,
        scale: Scale::Grades,
        of_text: true,
        form: Form::Ratio(|outcome| mean(outcome, |text| text.readability.flesch_kincaid_grade)),
        signature: || format!("Flesch-Kincaid grade of the answer|like:textstat{TEXTSTAT_VERSION}"),
    },
    Definition {
        key: "words",
        harness: "words",
        name: "words",
        direction: Direction::Neither,
        scale: Scale::Words,
        of_text: true,
        form: Form::Ratio(|outcome| mean(outcome, |text| text.counts.words as f64)),
        signature: || format!("words of the answer|like:textstat{TEXTSTAT_VERSION}"),
    },
    Definition {
        key: "stop_rate",
        harness: "stop_rate",
        name: "stop rate",
        direction: Direction::Higher,
        scale: Scale::Share,
        of_text: false,
        form: Form::Share(|outcome| outcome.finished),
        signature: || "share of answers that end before the limit of tokens".into(),
    },
];

fn losses(outcome: &Outcome) -> Option<TokenLoss> {
    outcome.loss.filter(|loss| loss.tokens > 0)
}

fn mean(outcome: &Outcome, value: fn(&TextOutcome) -> f64) -> Option<[f64; 2]> {
    measured_text(outcome).map(|text| [value(text), 1.0])
}

fn rouge_signature(kind: &str) -> String {
    format!("rouge{kind} F1|stemmer:yes|like:rouge_score0.1.2")
}
