//! `medtune ask`: one question, one answer, from passages of an index where one is named.

use std::path::Path;
use std::time::Instant;

use ::chat::{Message, Role};
use model::encode_prompt;
use rag::cite::{self, Sentence, Support};
use rag::prompt::{INSTRUCTIONS, above, fitting};
use rag::{Passage, Retrieval};
use serde_json::{Value, json};

use crate::args::AskArgs;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::pipeline::base::Model;
use crate::pipeline::retrieval::Library;
use crate::pipeline::writing::Writer;

pub(crate) fn run(args: &AskArgs) -> Outcome<()> {
    let found = args.rag.rag.as_deref().map(|index| find(index, args)).transpose()?;
    if let Some(found) = &found
        && found.passages.is_empty()
    {
        return nothing(args, found);
    }
    let model = Model::of(&args.model)?;
    let instructions = found.as_ref().map(|_| INSTRUCTIONS);
    let system = args.system.as_deref().or(instructions);
    let mut messages: Vec<Message> = system.into_iter().map(|s| Message::new(Role::System, s)).collect();
    messages.push(Message::user(args.question.as_str()));
    let (passages, cut) = match &found {
        None => (Vec::new(), false),
        Some(found) => fit(&model, &mut messages, found, args)?,
    };
    let clock = Instant::now();
    let mut writer = Writer::new(&model, &args.sampling)?;
    let mut show = |text: &str| {
        if !args.json {
            output::stream(text);
        }
    };
    let answer = writer.answer(&messages, &mut show)?;
    let sentences = found.as_ref().map(|_| cite::check(&answer.text, &passages));
    if args.json {
        let mut document = json!({
            "question": args.question,
            "answer": answer.text,
            "prompt_tokens": answer.prompt_tokens,
            "answer_tokens": answer.tokens,
            "complete": answer.complete,
            "seconds": clock.elapsed().as_secs_f64(),
        });
        if let (Some(found), Some(sentences), Some(fields)) = (&found, &sentences, document.as_object_mut()) {
            fields.extend([
                ("retrieval".to_owned(), json!(found.retrieval)),
                ("passages".to_owned(), json!(passages)),
                ("last_passage_cut".to_owned(), json!(cut)),
                ("sentences".to_owned(), json!(sentences)),
                ("cited".to_owned(), json!(cite::cited(sentences, passages.len()))),
            ]);
        }
        return output::print_json(&document);
    }
    match sentences {
        None => output::print(""),
        Some(sentences) => output::print(&format!("\n\n{}", sources(&sentences, &passages))),
    }
}

/// What a search found.
struct Found {
    passages: Vec<Passage>,
    retrieval: Retrieval,
    /// What was searched.
    searched: String,
}

fn find(index: &Path, args: &AskArgs) -> Outcome<Found> {
    let library = Library::open(index, &args.rag.finding)?;
    let retriever = library.retriever(0)?;
    let hits = retriever.search(&args.question)?;
    Ok(Found {
        passages: hits.into_iter().map(|hit| hit.passage).collect(),
        retrieval: retriever.retrieval()?,
        searched: library.describe()?,
    })
}

/// Says that there is no answer, without asking a model that could only make one up.
fn nothing(args: &AskArgs, found: &Found) -> Outcome<()> {
    match args.json {
        true => output::print_json(&json!({
            "question": args.question,
            "answer": Value::Null,
            "retrieval": found.retrieval,
            "passages": [],
        })),
        false => output::print(&format!("nothing found in {}: no answer", found.searched)),
    }
}

/// Puts as many passages before the question as the model has room for.
fn fit(
    model: &Model,
    messages: &mut [Message],
    found: &Found,
    args: &AskArgs,
) -> Outcome<(Vec<Passage>, bool)> {
    let Model { decoder, tokenizer, template, .. } = model;
    let tokens = |text: &str| tokenizer.encode_ordinary(text).map_or(usize::MAX / 4, |ids| ids.len());
    let asked = encode_prompt(tokenizer, template, messages)?.len();
    let room = decoder.positions().saturating_sub(asked + args.sampling.max_new_tokens);
    let (passages, cut) = fitting(&found.passages, room, &tokens);
    if passages.is_empty() {
        let message = format!(
            "no room for a passage: the model reads {} tokens, question and instructions take {asked} and the answer may \
             have {}",
            decoder.positions(),
            args.sampling.max_new_tokens
        );
        return Err(Failure::input(message)
            .hint("a smaller --max-new-tokens, a shorter --system, or a model that reads more"));
    }
    if let Some(turn) = messages.last_mut() {
        turn.content = above(&passages, &format!("Question: {}", args.question));
    }
    Ok((passages, cut))
}

/// The passages that an answer cites, and what is wrong with its citations.
fn sources(sentences: &[Sentence], passages: &[Passage]) -> String {
    let cited = cite::cited(sentences, passages.len());
    let mut lines: Vec<String> =
        cited.iter().map(|number| format!("[{number}] {}", passages[number - 1].source())).collect();
    if cited.is_empty() {
        lines.push(format!("No passage is cited. Read were {}:", ::eval::counted(passages.len(), "passage")));
        lines.extend(
            passages.iter().enumerate().map(|(at, passage)| format!("[{}] {}", at + 1, passage.source())),
        );
    }
    lines.extend(sentences.iter().filter_map(warning));
    lines.join("\n")
}

fn warning(sentence: &Sentence) -> Option<String> {
    let about = match &sentence.support {
        Support::Found | Support::Uncited => return None,
        Support::NoSuchPassage(numbers) => {
            let numbers: Vec<String> = numbers.iter().map(|number| format!("[{number}]")).collect();
            format!("there is no passage {}", numbers.join(", "))
        }
        Support::Numbers(numbers) => format!("not in what it cites: {}", numbers.join(", ")),
        Support::Words(words) => format!("what it cites does not say: {}", words.join(", ")),
    };
    Some(format!("unsupported: \"{}\": {about}", sentence.text))
}
