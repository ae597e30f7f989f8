//! `GET /ask?model=&prompt=&seed=`, as MedGPT has it: the response is that of Ollama's `generate`. Unlike there, the
//! prompt is put into the model's template once, and errors have a status of their own beside `{"error": …}`.

use std::time::Instant;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use chat::Message;

use crate::app::App;
use crate::ollama::write::{Shape, Story};
use crate::openai::seed;
use crate::refusal::{Outcome, Refusal};
use crate::texts::{Prompt, Wanted};

/// MedGPT's limit (`num_predict`).
const MAX_TOKENS: usize = 2048;

/// Answers a prompt.
pub(crate) async fn ask(State(app): State<App>, RawQuery(query): RawQuery) -> Outcome<Response> {
    let begun = Instant::now();
    let (mut model, mut prompt, mut given) = (None, None, None);
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        let place = match name.as_ref() {
            "model" => &mut model,
            "prompt" => &mut prompt,
            "seed" => &mut given,
            _ => continue,
        };
        *place = Some(value.into_owned());
    }
    let name = app.catalogue.find(model.as_deref())?.clone();
    let prompt = prompt.filter(|prompt| !prompt.trim().is_empty());
    let prompt = prompt.ok_or_else(|| Refusal::field("prompt", "expected a text"))?;
    let given = given.filter(|seed| !seed.is_empty()).map(|seed| seed.parse::<i64>()).transpose();
    let given = given.map_err(|_| Refusal::field("seed", "expected a whole number"))?;
    let mut wanted = Wanted { max_tokens: Some(MAX_TOKENS), ..Wanted::greedy(name.adapter) };
    wanted.sampling.seed = seed(given);
    // The name as it was asked for, which is what MedGPT tells.
    let model = model.filter(|model| !model.is_empty()).unwrap_or(name.name);
    let places = app.places(1)?;
    let story = Story { model, shape: Shape::Generate, logprobs: false, begun, app };
    let prompt = Prompt::Conversation(vec![Message::user(prompt)]);
    story.write((prompt, places), &wanted).await
}
