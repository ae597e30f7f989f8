//! Passages before a question of a task.

use rag::prompt::above;

use super::asked::{Asked, Wording};
use super::{Mode, Settings, pair};
use crate::evidence::{fit, tokens};

/// Puts what was found into the last turn, and notes what the model reads of it.
pub(super) fn put_before(asked: &mut Asked<'_>, settings: &Settings, wording: Option<&Wording<'_>>) {
    let Some(found) = &asked.question.passages else { return };
    let room = wording.map(|wording| (wording.tokenizer, room(asked, settings, wording).unwrap_or(0)));
    let (kept, evidence) = fit(found, room);
    asked.evidence = Some(evidence);
    if let Some(turn) = asked.turns.last_mut() {
        turn.content = above(&kept, &asked.prompt);
    }
}

/// Tokens that the question and its answer leave; nothing where they cannot be counted, and whoever asks will say why.
fn room(asked: &Asked<'_>, settings: &Settings, wording: &Wording<'_>) -> Option<usize> {
    let context = asked.context(wording).ok()?;
    let question = pair::ids(wording.tokenizer, &context, &context.text).ok()?.len();
    let answer = match settings.mode {
        Mode::Generation => settings.max_new_tokens,
        Mode::LogLikelihood | Mode::Letter => {
            asked.answers.iter().map(|answer| tokens(wording.tokenizer, answer)).max().unwrap_or(0)
        }
    };
    wording.positions.checked_sub(question.checked_add(answer)?)
}
