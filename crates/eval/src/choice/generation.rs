//! Answers that are written freely.

use compute::Backend;
use model::engine::{AdapterId, Engine, EngineSettings, Event, FinishReason, Request, Stop};

use super::asked::{Asked, Wording};
use super::extract::{Reader, Reading};
use super::{Settings, pair};
use crate::comparison::Outcome;
use crate::task::LeftOut;
use crate::{Error, Progress, Result, Stage, Subject};

/// Texts that are written at once.
const SLOTS: usize = 16;

/// Writes an answer to every question and reads it; a question that the model cannot read goes to `left_out`.
pub(super) fn write<B: Backend>(
    subject: &Subject<'_, B>,
    asked: &[Asked<'_>],
    settings: &Settings,
    left_out: &mut Vec<LeftOut>,
    progress: Progress<'_>,
) -> Result<Vec<Outcome>> {
    let (mut prompts, mut kept) = (Vec::with_capacity(asked.len()), Vec::with_capacity(asked.len()));
    let wording = Wording::of(subject, settings);
    for question in asked {
        match prompt(&wording, question, settings) {
            Ok((prompt, cut)) => {
                prompts.push(prompt);
                kept.push((question, cut));
            }
            Err(error) => left_out.push(question.left_out(&error)),
        }
    }
    if prompts.is_empty() {
        return Ok(Vec::new());
    }
    let longest = prompts.iter().map(Vec::len).max().unwrap_or(0);
    let engine_settings = EngineSettings::new(SLOTS.min(prompts.len()), longest + settings.max_new_tokens);
    let mut engine = Engine::new(subject.decoder, engine_settings)?.with_tokenizer(subject.tokenizer);
    // In bare text a model goes on with a question of its own; the answer ends where the next example would begin.
    let strings = if settings.chat_template { Vec::new() } else { vec!["\n\n".to_owned()] };
    let tokens = subject.tokenizer.eos_ids().to_vec();
    let stop = Stop { tokens, strings, max_tokens: settings.max_new_tokens };
    let adapter = if subject.adapter { AdapterId::OWN } else { AdapterId::BASE };
    let requests = prompts.into_iter().map(|ids| Request { adapter, ..Request::greedy(ids, stop.clone()) });
    let mut done = 0;
    let texts = engine.write(requests, &mut |_, event| {
        if matches!(event, Event::Finished { .. }) {
            done += 1;
            progress(Stage::Choices, done, kept.len());
        }
    })?;
    let read = |((question, cut), text): (&(&Asked<'_>, usize), &model::engine::Text)| {
        let finished = Some(text.reason != FinishReason::Length);
        Outcome { finished, ..outcome(question, &text.text, settings) }.with_cut(*cut)
    };
    Ok(kept.iter().zip(&texts).map(read).collect())
}

/// A prompt, and how many of its first tokens were cut off to leave room for the answer.
fn prompt(wording: &Wording<'_>, asked: &Asked<'_>, settings: &Settings) -> Result<(Vec<u32>, usize)> {
    let context = asked.context(wording)?;
    let ids = pair::ids(wording.tokenizer, &context, &context.text).map_err(|error| asked.failed(error))?;
    let (tokens, limit) = (ids.len() + settings.max_new_tokens, wording.positions);
    let lost = tokens.saturating_sub(limit);
    match lost == 0 || (asked.may_be_cut(settings) && lost < ids.len()) {
        true => Ok((ids[lost..].to_vec(), lost)),
        false => Err(Error::TooLong { id: asked.question.id.clone(), tokens, limit }),
    }
}

/// What a written answer comes to.
pub(super) fn outcome(asked: &Asked<'_>, answer: &str, settings: &Settings) -> Outcome {
    let mut outcome = asked.outcome(settings);
    let answer = answer.trim();
    let texts: Vec<&str> =
        asked.order.iter().map(|option| asked.question.options[*option].text.as_str()).collect();
    let labels = asked.named(settings.mode);
    let reading =
        Reader::new(settings.rule, &labels).map_or(Reading::Unparsed, |reader| reader.read(answer, &texts));
    if let Some(choice) = &mut outcome.choice {
        let options: Vec<String> = (0..asked.order.len()).map(|place| asked.label(place)).collect();
        choice.take(reading, &options);
    }
    outcome.answer = Some(answer.to_owned());
    outcome
}
