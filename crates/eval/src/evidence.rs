//! What a search found, before a question: as much of it as the model has room for.

use std::collections::HashMap;

use chat::Role;
use compute::Backend;
use dataset::{ChoiceItem, Example};
use model::{Tokenizer, TrainOn, encode_conversation, encode_prompt};
use rag::Passage;
use rag::prompt::{HEADING, above, fitting, numbered};

use crate::Subject;
use crate::comparison::{Evidence, Outcome};
use crate::served::asked;

/// As many of the passages that were found as `room` tokens hold, heading included, and the note about them. Without a
/// tokenizer, as nobody knows how much is read, all of them.
pub(crate) fn fit(found: &[Passage], room: Option<(&Tokenizer, usize)>) -> (Vec<Passage>, Evidence) {
    let (kept, cut) = match room {
        None => (found.to_vec(), false),
        Some((tokenizer, room)) => fitting(found, room, &|text| tokens(tokenizer, text)),
    };
    let evidence = Evidence {
        passages: kept.iter().map(|passage| passage.name.clone()).collect(),
        left_out: (found.len() - kept.len()) as u32,
        cut,
    };
    (kept, evidence)
}

/// Tokens of a text; more than any room where it has none.
pub(crate) fn tokens(tokenizer: &Tokenizer, text: &str) -> usize {
    tokenizer.encode_ordinary(text).map_or(usize::MAX / 4, |ids| ids.len())
}

/// What was put before questions, by the name of the item; outcomes show the questions without it.
#[derive(Debug, Default)]
pub struct EvidenceRead {
    items: HashMap<String, (String, Evidence)>,
}

impl EvidenceRead {
    /// Puts what was `found` before the last question of an example. `subject` has room beside the question and the
    /// longer of the reference and `max_new_tokens`; without a subject all of it is put there.
    pub fn put_before<B: Backend>(
        &mut self,
        example: &mut Example,
        found: &[Passage],
        subject: Option<(&Subject<'_, B>, usize)>,
    ) {
        let room = subject.map(|(subject, max_new_tokens)| {
            (subject.tokenizer, room_beside(subject, example, max_new_tokens).unwrap_or(0))
        });
        let (kept, evidence) = fit(found, room);
        let Some(turn) = example.messages.iter_mut().rfind(|turn| turn.role == Role::User) else { return };
        let with_passages = above(&kept, &turn.content);
        let question = std::mem::replace(&mut turn.content, with_passages);
        self.items.insert(example.id.clone(), (question, evidence));
    }

    /// As [`EvidenceRead::put_before`], for a multiple-choice item: behind its own context.
    pub fn put_before_item<B: Backend>(
        &mut self,
        item: &mut ChoiceItem,
        found: &[Passage],
        subject: &Subject<'_, B>,
    ) {
        let longest = item.options.values().filter_map(|text| text.as_str()).max_by_key(|text| text.len());
        let own = [item.context.as_deref().unwrap_or_default(), &item.question, longest.unwrap_or_default()];
        let turns = [chat::Message::user(own.join("\n\n"))];
        let taken = encode_prompt(subject.tokenizer, subject.template, &turns)
            .map_or(usize::MAX / 4, |ids| ids.len());
        let room = subject.decoder.positions().saturating_sub(taken);
        let (kept, evidence) = fit(found, Some((subject.tokenizer, room)));
        if !kept.is_empty() {
            let read = format!("{HEADING}\n\n{}", numbered(&kept));
            item.context =
                Some(item.context.take().map_or(read.clone(), |context| format!("{context}\n\n{read}")));
        }
        self.items.insert(item.id.clone(), (item.question.clone(), evidence));
    }

    /// Notes in the outcomes what was read, and the questions as they were.
    pub fn note(&self, outcomes: &mut [Outcome]) {
        for outcome in outcomes {
            if let Some((question, evidence)) = self.items.get(&outcome.id) {
                outcome.question = Some(question.clone());
                outcome.evidence = Some(evidence.clone());
            }
        }
    }
}

/// Tokens that an example leaves, or nothing where it cannot be encoded, and whoever asks will say why.
fn room_beside<B: Backend>(
    subject: &Subject<'_, B>,
    example: &Example,
    max_new_tokens: usize,
) -> Option<usize> {
    let Subject { tokenizer, template, decoder, .. } = subject;
    let whole = encode_conversation(tokenizer, template, &example.messages, TrainOn::Answers).ok()?.ids.len();
    let prompt = encode_prompt(tokenizer, template, asked(&example.messages)).ok()?.len();
    decoder.positions().checked_sub(whole.max(prompt + max_new_tokens))
}
