//! Questions to a model that shows nothing but what it says.

use chat::{Calls, ChatRequest, Form, Message, extract_json};
use serde_json::{Value, json};

use super::asked::{self, Asked};
use super::{Mode, Settings, generation};
use crate::comparison::Outcome;
use crate::served::{Heard, Question, Said, ask};
use crate::task::Task;
use crate::{Error, Result};

/// The field of a reply that names the option.
const FIELD: &str = "answer";

/// Asks a model at an address, or any other [`chat::ChatModel`], the questions of `task`, in conversations, at
/// temperature 0. What the task had left out before is not part of it.
///
/// [`Mode::Letter`] asks for a JSON document whose only field is one of the letters (`response_format: json_schema`,
/// where the server knows it), and reads it, or the reply by the rule of the settings where it is none.
/// [`Mode::Generation`] reads the reply by that rule.
///
/// # Errors
/// [`Error::Task`] for [`Mode::LogLikelihood`], as what is not written has no likelihood there; where fewer few-shot
/// examples are there than are wanted.
pub fn ask_served(
    task: &Task,
    settings: &Settings,
    calls: Calls<'_>,
    observe: &mut dyn FnMut(usize),
) -> Result<Heard> {
    if settings.mode == Mode::LogLikelihood {
        return Err(Error::Task {
            name: task.name.clone(),
            reason: format!(
                "log-likelihoods of given answers cannot be had from an address: it shows only what {} writes",
                calls.model.name()
            ),
        });
    }
    let asked = asked::all(task, settings, None)?;
    let questions: Vec<Question<'_>> = asked
        .iter()
        .map(|asked| Question { id: &asked.question.id, request: request(asked, settings) })
        .collect();
    let outcome = |at: usize, said: &Said| outcome(&asked[at], said, settings);
    Ok(ask(&questions, calls, &outcome, observe))
}

fn request(asked: &Asked<'_>, settings: &Settings) -> ChatRequest {
    let trimmed = |turn: &Message| Message::new(turn.role, turn.content.trim());
    let mut messages: Vec<Message> = asked.turns.iter().map(trimmed).collect();
    let form = (settings.mode == Mode::Letter).then(|| form(&asked.answers));
    if form.is_some() {
        // Examples are answered in the form that is asked for.
        for turn in messages.iter_mut().filter(|turn| turn.role == chat::Role::Assistant) {
            turn.content = json!({ FIELD: turn.content }).to_string();
        }
    }
    ChatRequest { form, ..ChatRequest::new(messages, settings.max_new_tokens) }
}

fn form(letters: &[String]) -> Form {
    let letter = json!({ "type": "string", "enum": letters });
    let schema = json!({ "type": "object", "required": [FIELD], "additionalProperties": false,
        "properties": { FIELD: letter } });
    Form::JsonSchema { name: "letter".to_owned(), schema }
}

fn outcome(asked: &Asked<'_>, said: &Said, settings: &Settings) -> Outcome {
    let mut outcome = generation::outcome(asked, &said.text, settings);
    outcome.finished = said.finished;
    let Some(choice) = &mut outcome.choice else { return outcome };
    if settings.mode == Mode::Letter
        && let Some(place) = letter(&said.text, &asked.answers)
    {
        choice.picked = Some(asked.label(place));
        choice.abstained = false;
    }
    // Whoever declines names no option, whatever words the provider has for it.
    if said.refused {
        choice.picked = None;
        choice.abstained = true;
    }
    outcome
}

/// The place of the letter in a reply of the form that was asked for.
fn letter(reply: &str, letters: &[String]) -> Option<usize> {
    let document = extract_json(reply)?;
    let named = document.get(FIELD).and_then(Value::as_str)?.trim();
    letters.iter().position(|letter| letter == named)
}
