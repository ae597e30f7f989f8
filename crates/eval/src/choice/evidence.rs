//! What a search found, before the question: as much of it as the model has room for.

use rag::prompt::{HEADING, above, within};

use super::asked::{Asked, Wording};
use super::{Mode, Settings, pair};
use crate::comparison::Evidence;

/// Tokens that stay free, for what joining texts may add.
const SPARE: usize = 16;

/// Puts what was found into the last turn, and notes what the model reads of it.
pub(super) fn put_before(asked: &mut Asked<'_>, settings: &Settings, wording: Option<&Wording<'_>>) {
    let Some(found) = &asked.question.passages else { return };
    let (kept, cut) = match wording {
        None => (found.clone(), false),
        Some(wording) => {
            let room = room(asked, settings, wording).unwrap_or(0);
            within(found, room, &|text| tokens(wording, text))
        }
    };
    asked.evidence = Some(Evidence {
        passages: kept.iter().map(|passage| passage.name.clone()).collect(),
        left_out: (found.len() - kept.len()) as u32,
        cut,
    });
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
            asked.answers.iter().map(|answer| tokens(wording, answer)).max().unwrap_or(0)
        }
    };
    wording.positions.checked_sub(question.checked_add(answer)? + tokens(wording, HEADING) + SPARE)
}

fn tokens(wording: &Wording<'_>, text: &str) -> usize {
    wording.tokenizer.encode_ordinary(text).map_or(usize::MAX / 4, |ids| ids.len())
}
