//! Log-likelihoods of the answers.

use compute::Backend;
use model::{Activations, Labels, Tokens};

use super::asked::{Asked, Wording};
use super::batch::{Batch, Item, ranges};
use super::{Settings, pair};
use crate::comparison::{Outcome, Rated};
use crate::task::LeftOut;
use crate::{Error, Progress, Result, Stage, Subject};

/// Tokens of a batch; a longer question stands alone.
const BATCH_TOKENS: usize = 2048;

/// Rates the answers to all questions; one that the model cannot read goes to `left_out`.
pub(super) fn rate<B: Backend>(
    subject: &Subject<'_, B>,
    asked: &[Asked<'_>],
    settings: &Settings,
    left_out: &mut Vec<LeftOut>,
    progress: Progress<'_>,
) -> Result<Vec<Outcome>> {
    let (mut items, mut kept) = (Vec::with_capacity(asked.len()), Vec::with_capacity(asked.len()));
    for (question, item) in asked.iter().zip(encode_all(&Wording::of(subject, settings), asked, settings)) {
        match item {
            Ok((item, cut)) => {
                items.push(item);
                kept.push((question, cut));
            }
            Err(error) => left_out.push(question.left_out(&error)),
        }
    }
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let ranges = ranges(&items, BATCH_TOKENS);
    let batches = || ranges.iter().map(|(range, shared)| (range, Batch::new(&items[range.clone()], *shared)));
    let largest = batches().map(|(_, batch)| batch.ids.len()).max().unwrap_or(0);
    let mut activations = Activations::for_inference(subject.decoder, largest)?;
    let mut outcomes = Vec::with_capacity(items.len());
    for (range, batch) in batches() {
        let sums = log_likelihoods(subject, &batch, &kept[range.clone()], &mut activations);
        for ((question, cut), sums) in kept[range.clone()].iter().zip(sums) {
            outcomes.push(outcome(question, &sums, settings)?.with_cut(*cut));
        }
        progress(Stage::Choices, range.end, items.len());
    }
    Ok(outcomes)
}

/// Encodes all questions, a part of them in each thread: text is long, and its tokens take a good part of the time that
/// a small model takes to read them.
fn encode_all(wording: &Wording<'_>, asked: &[Asked<'_>], settings: &Settings) -> Vec<Result<(Item, usize)>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let encode_part = |part: &[Asked<'_>]| -> Vec<Result<(Item, usize)>> {
        part.iter().map(|question| encode(wording, question, settings)).collect()
    };
    let encode_part = &encode_part;
    std::thread::scope(|scope| {
        let parts = asked.chunks(asked.len().div_ceil(threads).max(1));
        let running: Vec<_> = parts.map(|part| scope.spawn(move || encode_part(part))).collect();
        let done = running.into_iter().map(|thread| thread.join());
        done.flat_map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

/// A question in tokens, and how many of its first ones were cut off.
fn encode(wording: &Wording<'_>, asked: &Asked<'_>, settings: &Settings) -> Result<(Item, usize)> {
    let context = asked.context(wording)?;
    let pairs = pair::encode(wording.tokenizer, &context, &asked.answers).map_err(|e| asked.failed(e))?;
    let id = || asked.question.id.clone();
    if let Some(at) = pairs.continuations.iter().position(Vec::is_empty) {
        return Err(Error::NoTokens { id: id(), answer: asked.answers[at].clone() });
    }
    let (item, limit) = (Item::new(&pairs), wording.positions);
    let tokens = item.longest();
    if tokens <= limit {
        return Ok((item, 0));
    }
    let cut = if asked.may_be_cut(settings) { Item::cut(&pairs, limit) } else { None };
    cut.ok_or_else(|| Error::TooLong { id: id(), tokens, limit })
}

/// For each question of a batch the log-likelihood of each answer.
fn log_likelihoods<B: Backend>(
    subject: &Subject<'_, B>,
    batch: &Batch,
    asked: &[(&Asked<'_>, usize)],
    activations: &mut Activations<B>,
) -> Vec<Vec<f64>> {
    let tokens = Tokens { ids: &batch.ids, positions: &batch.positions };
    let weights = vec![0.0; batch.rows.len()];
    let labels = Labels { rows: &batch.rows, labels: &batch.labels, weights: &weights };
    let judged = subject.decoder.judge(tokens, &batch.segments, labels, activations, subject.adapter);
    let mut sums: Vec<Vec<f64>> = asked.iter().map(|(asked, _)| vec![0.0; asked.answers.len()]).collect();
    for (&(item, answer), &log_prob) in batch.owners.iter().zip(&judged.log_probs) {
        sums[item][answer] += f64::from(log_prob);
    }
    sums
}

fn outcome(asked: &Asked<'_>, sums: &[f64], settings: &Settings) -> Result<Outcome> {
    let mut outcome = asked.outcome(settings);
    if sums.iter().any(|sum| !sum.is_finite()) {
        return Err(Error::NotFinite { id: outcome.id, what: "the log-likelihood of an answer" });
    }
    if let Some(choice) = &mut outcome.choice {
        let rated =
            |(sum, answer): (&f64, &String)| Rated { log_likelihood: *sum, bytes: answer.len() as u32 };
        choice.rated = sums.iter().zip(&asked.answers).map(rated).collect();
        // The first of equals, as NumPy's argmax.
        let best = (0..sums.len()).reduce(|best, at| if sums[at] > sums[best] { at } else { best });
        choice.picked = best.map(|place| asked.label(place));
    }
    Ok(outcome)
}
