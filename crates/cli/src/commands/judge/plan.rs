//! What a judgement takes, before anything is asked.

use std::fmt::Write;

use ::eval::counted;
use ::eval::judge::{CallEstimate, Plan};
use endpoint::ReplyStore;
use serde_json::json;

use crate::args::JudgeArgs;
use crate::failure::Outcome;
use crate::output;
use crate::pipeline::question_writer::Named;
use crate::pipeline::remote;

/// Prompts that a dry run shows.
const SHOWN: usize = 2;

/// Tokens of the longest prompt with its replies, as far as a local model reads. What is longer fails by itself and is
/// counted.
pub(super) fn context(plan: &Plan<'_>, named: &Named) -> usize {
    let Some(positions) = named.positions() else { return 0 };
    let tokens = |request: &::chat::ChatRequest| {
        named.prompt_tokens(&request.messages).unwrap_or(positions) + request.max_tokens
    };
    // A reply that is repaired goes back with what is wrong with it.
    (2 * plan.tasks.iter().map(|task| tokens(&task.request)).max().unwrap_or(0)).min(positions)
}

/// Says how many calls, tokens and what costs it would take, and shows the first prompts.
pub(super) fn show(
    args: &JudgeArgs,
    plan: &Plan<'_>,
    named: &Named,
    store: Option<ReplyStore>,
) -> Outcome<()> {
    let count = |text: &str| named.count(text);
    let estimate = match store {
        None => plan.estimate(&count, |_| ::chat::Result::Ok(false))?,
        Some(store) => {
            let identity = named.identity(&args.access)?;
            plan.estimate(&count, |request| Ok::<_, ::chat::Error>(store.get(&identity, request)?.is_some()))?
        }
    };
    let cost = cost(args, &estimate)?;
    let prompts: Vec<_> = plan.tasks.iter().take(SHOWN).map(|task| &task.request.messages).collect();
    if args.json {
        let cost = cost.map(|(usual, most)| json!({ "usual": usual, "most": most }));
        return output::print_json(&json!({
            "systems": plan.answers.systems, "items": plan.answers.items.len(), "left_out": plan.left_out,
            "calls": plan.tasks.len(), "estimate": estimate, "cost": cost, "prompt": plan.prompt.to_string(),
            "prompts": prompts,
        }));
    }
    let mut text = format!(
        "{}, {}, {} left out\n\n",
        counted(plan.answers.systems.len(), "system"),
        counted(plan.answers.items.len(), "question"),
        plan.left_out.len()
    );
    let CallEstimate { requests, kept, prompt_tokens, reply_tokens, most_reply_tokens } = estimate;
    let _ = writeln!(text, "  calls          {requests:>10}   ({kept} more are answered already)");
    let _ = writeln!(text, "  prompt tokens  {prompt_tokens:>10}");
    let _ = writeln!(text, "  reply tokens   {reply_tokens:>10}   (at most {most_reply_tokens})");
    match cost {
        Some((usual, most)) => {
            let _ = writeln!(text, "  cost           {usual:>10.4}   (at most {most:.4})");
        }
        None if matches!(named, Named::Remote(_)) => {
            let _ = writeln!(text, "  cost: no price of this model is known; --prices FILE names it");
        }
        None => {}
    }
    for (messages, number) in prompts.iter().zip(1..) {
        let _ = writeln!(text, "\n── prompt {number} of {}, {}", plan.tasks.len(), plan.prompt);
        for message in *messages {
            let _ = writeln!(text, "[{}]\n{}", message.role.as_str(), message.content);
        }
    }
    output::print(&text)
}

/// What is usual, and what it may cost at most.
fn cost(args: &JudgeArgs, estimate: &CallEstimate) -> Outcome<Option<(f64, f64)>> {
    let prices = remote::prices(args.spending.prices.as_deref())?;
    let price = args.access.remote.model_name.as_deref().and_then(|name| prices.of(name));
    let of = |prompts: usize, completion: usize| {
        let usage = ::chat::Usage {
            prompt_tokens: prompts as u64,
            completion_tokens: completion as u64,
            estimated: true,
        };
        price.map(|price| price.cost(&usage))
    };
    // A call that is repaired sends its prompt and its first reply again.
    let again = 2 * estimate.prompt_tokens + estimate.most_reply_tokens / 2;
    Ok(of(estimate.prompt_tokens, estimate.reply_tokens).zip(of(again, estimate.most_reply_tokens)))
}
