//! Log-likelihoods of the answers.

use compute::Backend;
use model::{Activations, Held, Judged, Tokens};

use super::asked::{Asked, Wording};
use super::batch::{Batch, Item, ranges};
use super::{Settings, pair};
use crate::comparison::{Outcome, Rated};
use crate::task::LeftOut;
use crate::{Error, Progress, Result, Stage, Subject};

/// Tokens of a batch, few enough for what a layer computes of them to stay in the nearer caches; a longer question stands
/// alone.
const BATCH_TOKENS: usize = 768;

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
    let mut reading = Reading::default();
    let mut outcomes = Vec::with_capacity(items.len());
    let mut take = |sums: Vec<Vec<f64>>| -> Result<()> {
        for ((question, cut), sums) in kept[outcomes.len()..].iter().zip(sums) {
            outcomes.push(outcome(question, &sums, settings)?.with_cut(*cut));
        }
        Ok(())
    };
    for (range, batch) in batches() {
        if reading.held.is_enough() || !reading.held.has_room(&batch.rows, &activations) {
            take(reading.judge(subject, &mut activations))?;
        }
        reading.read(subject, batch, &kept[range.clone()], &mut activations);
        progress(Stage::Choices, range.end, items.len());
    }
    take(reading.judge(subject, &mut activations))?;
    Ok(outcomes)
}

/// Batches that were read and not judged yet.
#[derive(Default)]
struct Reading {
    held: Held,
    /// Of every question the log-likelihoods of its answers.
    sums: Vec<Vec<f64>>,
    /// Of every label its question and answer.
    owners: Vec<(usize, usize)>,
}

impl Reading {
    fn read<B: Backend>(
        &mut self,
        subject: &Subject<'_, B>,
        batch: Batch,
        asked: &[(&Asked<'_>, usize)],
        activations: &mut Activations<B>,
    ) {
        let judged = Judged {
            tokens: Tokens { ids: &batch.ids, positions: &batch.positions },
            segments: &batch.segments,
            labels: (&batch.rows, &batch.labels),
            adapter: subject.adapter,
        };
        self.held.read(judged, subject.decoder, activations);
        let before = self.sums.len();
        self.owners.extend(batch.owners.iter().map(|(item, answer)| (before + item, *answer)));
        self.sums.extend(asked.iter().map(|(asked, _)| vec![0.0; asked.answers.len()]));
    }

    /// For each question since the last time the log-likelihood of each answer.
    fn judge<B: Backend>(
        &mut self,
        subject: &Subject<'_, B>,
        activations: &mut Activations<B>,
    ) -> Vec<Vec<f64>> {
        let judged = self.held.judge(subject.decoder, activations);
        let mut sums = std::mem::take(&mut self.sums);
        for ((question, answer), log_prob) in self.owners.drain(..).zip(judged.log_probs) {
            sums[question][answer] += f64::from(log_prob);
        }
        sums
    }
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
