//! A model under examination: held-out questions and multiple-choice items in, one outcome per item out.

use chat::{Message, Role};
use compute::{Backend, Segment};
use dataset::{Batch, ChoiceItem, Example, Sample};
use model::engine::{AdapterId, Engine, EngineSettings, Request, Stop};
use model::{
    Activations, ChatTemplate, Context, Decoder, Labels, Tokenizer, Tokens, TrainOn, encode_conversation,
    encode_prompt,
};

use crate::comparison::{Choice, Outcome, TokenLoss};
use crate::text_metrics::rouge_l;
use crate::{Error, Result};

mod memory;

pub use memory::ExaminationMemory;

/// Tokens of a batch; longer items stand alone.
const BATCH_TOKENS: usize = 2048;
/// Texts that are written at once.
const SLOTS: usize = 16;

/// A model as it will be used: with its own template, with or without its adapter.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a, B: Backend> {
    /// The decoder.
    pub decoder: &'a Decoder<B>,
    /// Its tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// Its template.
    pub template: &'a ChatTemplate,
    /// With its adapter; without it the base is examined.
    pub adapter: bool,
}

/// What is measured on held-out questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Of the first so many questions an answer is written; the loss is measured on all.
    pub answers: usize,
    /// Tokens that an answer may have.
    pub max_new_tokens: usize,
}

/// A part of the examination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Loss and token accuracy of the reference answers.
    Loss,
    /// Answers are written.
    Answers,
    /// Options are compared.
    Choices,
}

/// Hears how far an examination is: items done, of how many.
pub type Progress<'a> = &'a mut dyn FnMut(Stage, usize, usize);

impl<B: Backend> Subject<'_, B> {
    /// Examines the model on questions with reference answers. The outcomes have the order of `examples`.
    ///
    /// # Errors
    /// When an example cannot be encoded, or the device has no room.
    pub fn questions(
        &self,
        examples: &[Example],
        wanted: Wanted,
        progress: Progress<'_>,
    ) -> Result<Vec<Outcome>> {
        let samples = examples.iter().map(|e| self.encode(&e.id, &e.messages)).collect::<Result<Vec<_>>>()?;
        let mut outcomes: Vec<Outcome> = examples
            .iter()
            .map(|e| Outcome { id: e.id.clone(), group: Some(e.group.clone()), ..Outcome::default() })
            .collect();
        self.losses(&samples, &mut outcomes, progress)?;
        self.answers(examples, wanted, &mut outcomes, progress)?;
        Ok(outcomes)
    }

    /// Parts `examples` into those that the model can be asked and the reasons why it cannot be asked the others.
    pub fn readable(&self, examples: &[Example]) -> (Vec<Example>, Vec<Error>) {
        let mut left_out = Vec::new();
        let keep = |e: &&Example| match self.encode(&e.id, &e.messages) {
            Ok(_) => true,
            Err(error) => {
                left_out.push(error);
                false
            }
        };
        let kept = examples.iter().filter(keep).cloned().collect();
        (kept, left_out)
    }

    fn encode(&self, id: &str, messages: &[Message]) -> Result<Sample> {
        let encoded = encode_conversation(self.tokenizer, self.template, messages, TrainOn::Answers)
            .map_err(|source| Error::Item { id: id.to_owned(), source: Box::new(source) })?;
        let length = encoded.ids.len();
        if length > self.decoder.positions() {
            return Err(Error::TooLong {
                id: id.to_owned(),
                tokens: length,
                limit: self.decoder.positions(),
            });
        }
        Ok(Sample { id: id.to_owned(), ids: encoded.ids, learned: encoded.labels })
    }

    fn losses(&self, samples: &[Sample], outcomes: &mut [Outcome], progress: Progress<'_>) -> Result<()> {
        let lengths: Vec<usize> = samples.iter().map(|s| s.ids.len()).collect();
        let ranges = dataset::consecutive(&lengths, BATCH_TOKENS);
        let largest = ranges.iter().map(|r| lengths[r.clone()].iter().sum()).max().unwrap_or(0);
        let mut activations = Activations::for_inference(self.decoder, largest)?;
        for range in ranges {
            let batch = Batch::new(&samples[range.clone()]);
            let judged = self.judge(&batch, &mut activations);
            let mut at = 0;
            for i in range.clone() {
                let count = samples[i].learned.iter().skip(1).filter(|l| **l).count();
                let mine = at..at + count;
                outcomes[i].loss = Some(TokenLoss {
                    loss_sum: -judged.log_probs[mine.clone()].iter().map(|&l| f64::from(l)).sum::<f64>(),
                    tokens: count as u64,
                    correct_tokens: judged.correct[mine].iter().filter(|&&c| c).count() as u64,
                });
                at += count;
            }
            progress(Stage::Loss, range.end, samples.len());
        }
        Ok(())
    }

    fn judge(&self, batch: &Batch, activations: &mut Activations<B>) -> compute::TokenLossOutput {
        let tokens = Tokens { ids: &batch.ids, positions: &batch.positions };
        self.decoder.forward(tokens, Context::Segments(&batch.segments), activations, self.adapter);
        let weights = vec![0.0; batch.rows.len()];
        let labels = Labels { rows: &batch.rows, labels: &batch.labels, weights: &weights };
        self.decoder.loss(labels, batch.ids.len(), activations)
    }

    fn answers(
        &self,
        examples: &[Example],
        wanted: Wanted,
        outcomes: &mut [Outcome],
        progress: Progress<'_>,
    ) -> Result<()> {
        let count = wanted.answers.min(examples.len());
        if count == 0 {
            return Ok(());
        }
        let prompts = self.prompts(&examples[..count])?;
        let mut engine = Engine::new(self.decoder, engine_settings(&prompts, wanted))?;
        let stop = Stop {
            tokens: self.tokenizer.eos_ids().to_vec(),
            max_tokens: wanted.max_new_tokens,
            ..Stop::default()
        };
        let adapter = if self.adapter { AdapterId::OWN } else { AdapterId::BASE };
        let requests = prompts.into_iter().map(|p| Request { adapter, ..Request::greedy(p, stop.clone()) });
        let mut done = 0;
        let mut last = 0;
        // Texts end at different times; what is known while they are written is how many tokens there are.
        let total = count * wanted.max_new_tokens;
        let texts = engine.write(requests, &mut |_, _| {
            done += 1;
            if done >= last + SLOTS {
                last = done;
                progress(Stage::Answers, done.min(total), total);
            }
        })?;
        progress(Stage::Answers, total, total);
        for ((example, text), outcome) in examples.iter().zip(&texts).zip(outcomes) {
            let text = self.tokenizer.decode(&text.ids, true)?.trim().to_owned();
            let reference = example.messages.iter().rev().find(|m| m.role == Role::Assistant);
            outcome.rouge_l = Some(rouge_l(reference.map_or("", |m| &m.content), &text).f1);
            outcome.answer = Some(text);
        }
        Ok(())
    }

    /// What the model is asked: every example up to its last answer.
    fn prompts(&self, examples: &[Example]) -> Result<Vec<Vec<u32>>> {
        let asked = |e: &Example| {
            let turns =
                e.messages.iter().rposition(|m| m.role == Role::Assistant).unwrap_or(e.messages.len());
            encode_prompt(self.tokenizer, self.template, &e.messages[..turns])
                .map_err(|source| Error::Item { id: e.id.clone(), source: Box::new(source) })
        };
        examples.iter().map(asked).collect()
    }

    /// Examines the model on multiple-choice items: each option is read as the answer to the question, and the one
    /// with the highest log-likelihood per byte is its choice (`acc_norm` of lm-evaluation-harness). The question is
    /// computed once for all its options.
    ///
    /// # Errors
    /// When an item cannot be encoded, or the device has no room.
    pub fn choices(&self, items: &[ChoiceItem], progress: Progress<'_>) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::with_capacity(items.len());
        let mut activations: Option<Activations<B>> = None;
        for item in items {
            let options = self.encode_options(item)?;
            let (batch, owners) = shared_question(&options);
            if activations.as_ref().is_none_or(|a| a.capacity() < batch.ids.len()) {
                // What there was is freed first.
                drop(activations.take());
                activations = Some(Activations::for_inference(self.decoder, choice_capacity(&batch))?);
            }
            let Some(room) = activations.as_mut() else { continue };
            let judged = self.judge(&batch, room);
            let mut scores = vec![0.0f64; options.len()];
            for (&owner, &log_prob) in owners.iter().zip(&judged.log_probs) {
                scores[owner] += f64::from(log_prob);
            }
            let picked = item
                .options
                .iter()
                .zip(&scores)
                .map(|((letter, text), score)| (letter, score / option_text(text).len().max(1) as f64))
                .max_by(|a, b| a.1.total_cmp(&b.1))
                .map(|(letter, _)| letter.clone());
            outcomes.push(Outcome {
                id: item.id.clone(),
                group: item.document.clone(),
                choice: Some(Choice { gold: item.answer_idx.clone(), picked }),
                ..Outcome::default()
            });
            progress(Stage::Choices, outcomes.len(), items.len());
        }
        Ok(outcomes)
    }

    /// The question with each option as its answer.
    fn encode_options(&self, item: &ChoiceItem) -> Result<Vec<Sample>> {
        let question = match &item.context {
            Some(context) => format!("{context}\n\n{}", item.question),
            None => item.question.clone(),
        };
        let encode = |text: &serde_json::Value| -> Result<Sample> {
            let messages = [Message::user(question.as_str()), Message::assistant(option_text(text))];
            let mut sample = self.encode(&item.id, &messages)?;
            // How surely a model stops says nothing about the option.
            if let Some(last) = sample.learned.iter_mut().rev().find(|l| **l) {
                *last = false;
            }
            Ok(sample)
        };
        item.options.values().map(encode).collect()
    }
}

/// The engine that writes the answers to `prompts`.
fn engine_settings(prompts: &[Vec<u32>], wanted: Wanted) -> EngineSettings {
    let longest = prompts.iter().map(Vec::len).max().unwrap_or(0);
    EngineSettings::new(SLOTS.min(prompts.len()), longest + wanted.max_new_tokens)
}

/// Tokens that there is room for when an item is examined that has no room yet.
fn choice_capacity(batch: &Batch) -> usize {
    batch.ids.len().next_power_of_two()
}

fn option_text(value: &serde_json::Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// One batch in which the tokens that all options have in common are a prefix segment. Also says, for each label,
/// whose it is.
fn shared_question(options: &[Sample]) -> (Batch, Vec<usize>) {
    let first = options.first().map_or(&[][..], |o| &o.ids);
    let common =
        (0..first.len()).take_while(|&i| options.iter().all(|o| o.ids.get(i) == Some(&first[i]))).count();
    // The last common token stands in every option: it predicts the first token that differs.
    let labelled = options.iter().filter_map(|o| o.learned.iter().position(|l| *l)).min().unwrap_or(common);
    let shared = common.min(labelled).saturating_sub(1);
    let mut batch = Batch::default();
    let mut owners = Vec::new();
    if shared > 0 {
        batch.segments.push(Segment::whole(0, shared));
        batch.ids.extend(&first[..shared]);
        batch.positions.extend(0..shared as u32);
    }
    for (owner, option) in options.iter().enumerate() {
        let start = batch.ids.len();
        let prefix = (shared > 0).then_some(0);
        batch.segments.push(Segment { start, len: option.ids.len() - shared, prefix });
        batch.ids.extend(&option.ids[shared..]);
        batch.positions.extend(shared as u32..option.ids.len() as u32);
        for i in shared + 1..option.ids.len() {
            if option.learned[i] {
                batch.rows.push((start + i - shared - 1) as u32);
                batch.labels.push(option.ids[i]);
                owners.push(owner);
            }
        }
    }
    (batch, owners)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(ids: &[u32], first_label: usize) -> Sample {
        let learned = (0..ids.len()).map(|i| i >= first_label).collect();
        Sample { id: "item".into(), ids: ids.to_vec(), learned }
    }

    #[test]
    fn options_share_their_question_and_keep_their_labels() {
        let options = [option(&[1, 2, 3, 7, 8], 3), option(&[1, 2, 3, 7, 9, 4], 3)];
        let (batch, owners) = shared_question(&options);
        assert_eq!(batch.ids, [1, 2, 3, 7, 8, 3, 7, 9, 4]);
        assert_eq!(batch.positions, [0, 1, 2, 3, 4, 2, 3, 4, 5]);
        assert_eq!(batch.segments[2], Segment { start: 5, len: 4, prefix: Some(0) });
        assert_eq!((batch.rows, batch.labels), (vec![2, 3, 5, 6, 7], vec![7, 8, 7, 9, 4]));
        assert_eq!(owners, [0, 0, 1, 1, 1]);
    }
}
