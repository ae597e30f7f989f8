//! `medtune synth --dry-run`: what it would take.

use ::eval::counted;
use std::fmt::Write;

use ::synth::{Estimate, Plan};
use endpoint::ReplyStore;
use serde_json::json;

use crate::args::SynthArgs;
use crate::failure::Outcome;
use crate::output;
use crate::pipeline::question_writer::Named;
use crate::pipeline::remote;

/// Says how many requests, tokens and what costs it would take.
pub(super) fn show(args: &SynthArgs, plan: &Plan, named: &Named, store: Option<ReplyStore>) -> Outcome<()> {
    let count = |text: &str| named.count(text);
    let estimate = match store {
        None => plan.estimate(&count, |_| Ok(false))?,
        Some(store) => {
            let identity = named.identity(&args.writer.access)?;
            plan.estimate(&count, |request| Ok(store.get(&identity, request)?.is_some()))?
        }
    };
    let cost = cost(args, &estimate)?;
    if args.json {
        let sides: serde_json::Map<String, serde_json::Value> = plan
            .sides()
            .into_iter()
            .map(|(side, (chunks, documents))| {
                (side.as_str().to_owned(), json!({ "chunks": chunks, "documents": documents }))
            })
            .collect();
        return output::print_json(
            &json!({ "estimate": estimate, "cost": cost.map(|(usual, most)| json!({ "usual": usual, "most": most })), "sides": sides }),
        );
    }
    let Estimate { requests, kept, prompt_tokens, reply_tokens, most_reply_tokens, questions } = estimate;
    let mut text = format!(
        "{}, {}, about {}\n\n",
        counted(plan.documents(), "document"),
        counted(plan.tasks.len(), "chunk"),
        counted(questions, "question")
    );
    for (side, (chunks, documents)) in plan.sides() {
        let (noun, documents) =
            (if chunks == 1 { "chunk " } else { "chunks" }, counted(documents, "document"));
        let _ = writeln!(text, "  {:<7} {chunks:>7} {noun} of {documents}", side.as_str());
    }
    let _ = writeln!(text, "\n  requests       {requests:>10}   ({kept} more are answered already)");
    let _ = writeln!(text, "  prompt tokens  {prompt_tokens:>10}");
    let _ = writeln!(text, "  reply tokens   {reply_tokens:>10}   (at most {most_reply_tokens})");
    if plan.settings.checks.model {
        let _ = writeln!(text, "  and a short request for each row that is looked at again");
    }
    match cost {
        Some((usual, most)) => {
            let _ = writeln!(text, "  cost           {usual:>10.4}   (at most {most:.4})");
        }
        None if matches!(named, Named::Remote(_)) => {
            let _ = writeln!(text, "  cost: no price of this model is known; --prices FILE names it");
        }
        None => {}
    }
    output::print(&text)
}

/// What is usual, and what it may cost at most.
fn cost(args: &SynthArgs, estimate: &Estimate) -> Outcome<Option<(f64, f64)>> {
    let prices = remote::prices(args.spending.prices.as_deref())?;
    let price = args.writer.access.remote.model_name.as_deref().and_then(|name| prices.of(name));
    let of = |completion: usize| {
        let usage = ::chat::Usage {
            prompt_tokens: estimate.prompt_tokens as u64,
            completion_tokens: completion as u64,
            estimated: true,
        };
        price.map(|price| price.cost(&usage))
    };
    Ok(of(estimate.reply_tokens).zip(of(estimate.most_reply_tokens)))
}
