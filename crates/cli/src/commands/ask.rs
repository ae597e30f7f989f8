//! `medtune ask`: one question, one answer.

use std::time::Instant;

use ::chat::{Message, Role};
use serde_json::json;

use crate::args::AskArgs;
use crate::failure::Outcome;
use crate::output;
use crate::pipeline::base::Model;
use crate::pipeline::writing::Writer;

pub(crate) fn run(args: &AskArgs) -> Outcome<()> {
    let model = Model::of(&args.model)?;
    let mut messages: Vec<Message> =
        args.system.iter().map(|s| Message::new(Role::System, s.as_str())).collect();
    messages.push(Message::user(args.question.as_str()));
    let clock = Instant::now();
    let mut writer = Writer::new(&model, &args.sampling)?;
    let mut show = |text: &str| {
        if !args.json {
            output::stream(text);
        }
    };
    let answer = writer.answer(&messages, &mut show)?;
    if args.json {
        let document = json!({
            "question": args.question,
            "answer": answer.text,
            "prompt_tokens": answer.prompt_tokens,
            "answer_tokens": answer.tokens,
            "complete": answer.complete,
            "seconds": clock.elapsed().as_secs_f64(),
        });
        return output::print_json(&document);
    }
    output::print("")
}
