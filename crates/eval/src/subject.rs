//! A model under examination: held-out questions and multiple-choice items in, one outcome per item out.

use chat::{Message, Role};
use compute::Backend;
use dataset::{Batch, ChoiceItem, Example, Sample};
use model::engine::{AdapterId, Engine, EngineSettings, FinishReason, Request, Stop};
use model::{
    Activations, ChatTemplate, Decoder, Labels, OptionScore, Options, Tokenizer, Tokens, TrainOn,
    encode_conversation, encode_prompt,
};

use crate::comparison::{Choice, Outcome, Rated, TokenLoss};
use crate::served::asked;
use crate::{Error, Result};

mod memory;
mod options;

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
        let mut outcomes: Vec<Outcome> = examples.iter().map(Outcome::of_example).collect();
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
        let weights = vec![0.0; batch.rows.len()];
        let labels = Labels { rows: &batch.rows, labels: &batch.labels, weights: &weights };
        self.decoder.judge(tokens, &batch.segments, labels, activations, self.adapter)
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
        for (text, outcome) in texts.iter().zip(outcomes) {
            let ended = text.reason != FinishReason::Length;
            let text = self.tokenizer.decode(&text.ids, true)?.trim().to_owned();
            outcome.answer = Some(text);
            outcome.finished = Some(ended);
            outcome.measure_text();
        }
        Ok(())
    }

    /// What the model is asked: every example up to its last answer.
    fn prompts(&self, examples: &[Example]) -> Result<Vec<Vec<u32>>> {
        let prompt = |e: &Example| {
            encode_prompt(self.tokenizer, self.template, asked(&e.messages))
                .map_err(|source| Error::Item { id: e.id.clone(), source: Box::new(source) })
        };
        examples.iter().map(prompt).collect()
    }

    /// Examines the model on multiple-choice items: each option is read as the answer to the question, and the one
    /// with the highest log-likelihood per byte is its choice (`acc_norm` of lm-evaluation-harness). The question is
    /// computed once for all its options.
    ///
    /// # Errors
    /// When an item cannot be encoded, or the device has no room.
    pub fn choices(&self, items: &[ChoiceItem], progress: Progress<'_>) -> Result<Vec<Outcome>> {
        let options = items.iter().map(|item| self.encode_options(item)).collect::<Result<Vec<_>>>()?;
        let scores = self.read_options(&options, progress)?;
        Ok(items.iter().zip(&scores).map(|(item, scores)| choice(item, scores)).collect())
    }

    /// The question with each option as its answer.
    fn encode_options(&self, item: &ChoiceItem) -> Result<Options> {
        let question = match &item.context {
            Some(context) => format!("{context}\n\n{}", item.question),
            None => item.question.clone(),
        };
        let texts: Vec<&str> = item.options.values().map(|text| text.as_str().unwrap_or_default()).collect();
        let options = Options::encode(self.tokenizer, self.template, &[Message::user(question)], &texts)
            .map_err(|source| Error::Item { id: item.id.clone(), source: Box::new(source) })?;
        match options.longest() > self.decoder.positions() {
            true => Err(Error::TooLong {
                id: item.id.clone(),
                tokens: options.longest(),
                limit: self.decoder.positions(),
            }),
            false => Ok(options),
        }
    }
}

/// What reading the options of `item` comes to.
fn choice(item: &ChoiceItem, scores: &[OptionScore]) -> Outcome {
    let picked = item.options.keys().zip(scores).max_by(|a, b| a.1.per_byte().total_cmp(&b.1.per_byte()));
    let rated =
        |score: &OptionScore| Rated { log_likelihood: score.log_likelihood, bytes: score.bytes as u32 };
    Outcome {
        id: item.id.clone(),
        group: item.document.clone(),
        question: Some(item.question.clone()),
        choice: Some(Choice {
            gold: item.answer_idx.clone(),
            picked: picked.map(|(letter, _)| letter.clone()),
            shown: item.options.keys().cloned().collect(),
            rated: scores.iter().map(rated).collect(),
            ..Choice::default()
        }),
        ..Outcome::default()
    }
}

impl Outcome {
    /// What is known of a conversation before a model has answered it.
    pub(crate) fn of_example(example: &Example) -> Self {
        Outcome {
            id: example.id.clone(),
            group: Some(example.group.clone()),
            question: last_of(example, Role::User),
            reference: last_of(example, Role::Assistant),
            ..Outcome::default()
        }
    }
}

/// The last thing that somebody says.
fn last_of(example: &Example, role: Role) -> Option<String> {
    example.messages.iter().rev().find(|message| message.role == role).map(|message| message.content.clone())
}

/// The engine that writes the answers to `prompts`.
fn engine_settings(prompts: &[Vec<u32>], wanted: Wanted) -> EngineSettings {
    let longest = prompts.iter().map(Vec::len).max().unwrap_or(0);
    EngineSettings::new(SLOTS.min(prompts.len()), longest + wanted.max_new_tokens)
}
