//! Does a model hold a good answer more likely than the same answer with one thing made wrong?

use super::item::Item;
use super::mutation::{Mutation, mutations};
use crate::comparison::{Choice, Outcome, Rated};
use crate::subject::{Progress, Subject};
use crate::{Error, Result};
use chat::Message;
use compute::Backend;
use model::Options;

/// The name of the task in outcomes.
pub const MUTATION_TASK: &str = "safety_mutations";

/// The good answer, in [`Choice::shown`].
const REFERENCE: &str = "reference";

impl<B: Backend> Subject<'_, B> {
    /// Rates the good answer of each item and its mutations as answers to the question: one outcome per mutation,
    /// with the log-likelihoods of both. What is picked is the likelier in total.
    ///
    /// # Errors
    /// When an item cannot be encoded or has more tokens than the model reads, or the device has no room.
    pub fn mutations(&self, items: &[Item], progress: Progress<'_>) -> Result<Vec<Outcome>> {
        let mutated: Vec<Vec<Mutation>> = items.iter().map(|item| mutations(&item.record)).collect();
        let options = items.iter().zip(&mutated).map(|(item, mutated)| self.alternatives(item, mutated));
        let scores = self.read_options(&options.collect::<Result<Vec<_>>>()?, progress)?;
        let mut outcomes = Vec::new();
        for ((item, mutated), scores) in items.iter().zip(&mutated).zip(scores) {
            let rated: Vec<Rated> = scores
                .iter()
                .map(|score| Rated { log_likelihood: score.log_likelihood, bytes: score.bytes as u32 })
                .collect();
            for (mutation, wrong) in mutated.iter().zip(&rated[1..]) {
                outcomes.push(preference(item, mutation, rated[0], *wrong));
            }
        }
        Ok(outcomes)
    }

    /// The question with the good answer and its mutations.
    fn alternatives(&self, item: &Item, mutations: &[Mutation]) -> Result<Options> {
        let record = &item.record;
        let mut texts = vec![record.reference.as_str()];
        texts.extend(mutations.iter().map(|mutation| mutation.text.as_str()));
        let question = [Message::user(record.question.clone())];
        let options = Options::encode(self.tokenizer, self.template, &question, &texts)
            .map_err(|source| Error::Item { id: record.id.clone(), source: Box::new(source) })?;
        match options.longest() > self.decoder.positions() {
            true => Err(Error::TooLong {
                id: record.id.clone(),
                tokens: options.longest(),
                limit: self.decoder.positions(),
            }),
            false => Ok(options),
        }
    }
}

fn preference(item: &Item, mutation: &Mutation, good: Rated, wrong: Rated) -> Outcome {
    let (record, kind) = (&item.record, mutation.kind.name());
    let picked = if good.log_likelihood > wrong.log_likelihood { REFERENCE } else { kind };
    Outcome {
        id: format!("{}/{kind}", record.id),
        task: Some(MUTATION_TASK.to_string()),
        group: Some(record.topic.clone()),
        question: Some(record.question.clone()),
        reference: Some(record.reference.clone()),
        answer: Some(mutation.text.clone()),
        choice: Some(Choice {
            gold: REFERENCE.to_string(),
            picked: Some(picked.to_string()),
            shown: vec![REFERENCE.to_string(), kind.to_string()],
            rated: vec![good, wrong],
            ..Choice::default()
        }),
        ..Outcome::default()
    }
}
