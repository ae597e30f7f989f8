//! What a judgement takes, before anything is asked.

use std::fmt::Write;

use ::eval::counted;
use ::eval::evaluation::AnswerFault;
use ::eval::judge::Plan;
use endpoint::ReplyStore;
use serde_json::json;

use crate::args::JudgeArgs;
use crate::failure::Outcome;
use crate::output;
use crate::pipeline::planned_calls::{PlannedCalls, is_kept};
use crate::pipeline::question_writer::Named;

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
    let identity = named.identity(&args.access)?;
    let estimate = plan.estimate(&|text| named.count(text), is_kept(store.as_ref(), &identity))?;
    let planned = PlannedCalls {
        what: "calls",
        calls: estimate.requests,
        kept: estimate.kept,
        prompt_tokens: estimate.prompt_tokens,
        // A call that is repaired sends its prompt and its first reply again.
        most_prompt_tokens: 2 * estimate.prompt_tokens + estimate.most_reply_tokens / 2,
        reply_tokens: estimate.reply_tokens,
        most_reply_tokens: estimate.most_reply_tokens,
    };
    let cost = planned.cost(&args.access, &args.spending)?;
    let prompts: Vec<_> = plan.tasks.iter().take(SHOWN).map(|task| &task.request.messages).collect();
    if args.json {
        return output::print_json(&json!({
            "systems": plan.answers.systems, "items": plan.answers.items.len(), "left_out": plan.left_out,
            "faults": plan.answers.faults,
            "calls": plan.tasks.len(), "estimate": estimate, "cost": cost, "prompt": plan.prompt.to_string(),
            "prompts": prompts,
        }));
    }
    let mut text = format!(
        "{}, {}, {} left out\n",
        counted(plan.answers.systems.len(), "system"),
        counted(plan.answers.items.len(), "question"),
        plan.left_out.len()
    );
    if let Some(faults) = AnswerFault::list(&plan.answers.faults) {
        let _ = writeln!(text, "{faults}");
    }
    text.push('\n');
    text += &planned.lines(cost, named);
    for (messages, number) in prompts.iter().zip(1..) {
        let _ = writeln!(text, "\n── prompt {number} of {}, {}", plan.tasks.len(), plan.prompt);
        for message in *messages {
            let _ = writeln!(text, "[{}]\n{}", message.role.as_str(), message.content);
        }
    }
    output::print(&text)
}
