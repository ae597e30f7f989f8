//! `medtune synth --dry-run`: what it would take.

use ::eval::counted;
use std::fmt::Write;

use ::synth::Plan;
use endpoint::ReplyStore;
use serde_json::json;

use crate::args::SynthArgs;
use crate::failure::Outcome;
use crate::output;
use crate::pipeline::planned_calls::{PlannedCalls, is_kept};
use crate::pipeline::question_writer::Named;

/// Says how many requests, tokens and what costs it would take.
pub(super) fn show(args: &SynthArgs, plan: &Plan, named: &Named, store: Option<ReplyStore>) -> Outcome<()> {
    let identity = named.identity(&args.writer.access)?;
    let estimate = plan.estimate(&|text| named.count(text), is_kept(store.as_ref(), &identity))?;
    let planned = PlannedCalls {
        what: "requests",
        calls: estimate.requests,
        kept: estimate.kept,
        prompt_tokens: estimate.prompt_tokens,
        most_prompt_tokens: estimate.prompt_tokens,
        reply_tokens: estimate.reply_tokens,
        most_reply_tokens: estimate.most_reply_tokens,
    };
    let cost = planned.cost(&args.writer.access, &args.spending)?;
    if args.json {
        let sides: serde_json::Map<String, serde_json::Value> = plan
            .sides()
            .into_iter()
            .map(|(side, (chunks, documents))| {
                (side.as_str().to_owned(), json!({ "chunks": chunks, "documents": documents }))
            })
            .collect();
        return output::print_json(&json!({ "estimate": estimate, "cost": cost, "sides": sides }));
    }
    let mut text = format!(
        "{}, {}, about {}\n\n",
        counted(plan.documents(), "document"),
        counted(plan.tasks.len(), "chunk"),
        counted(estimate.questions, "question")
    );
    for (side, (chunks, documents)) in plan.sides() {
        let (noun, documents) =
            (if chunks == 1 { "chunk " } else { "chunks" }, counted(documents, "document"));
        let _ = writeln!(text, "  {:<7} {chunks:>7} {noun} of {documents}", side.as_str());
    }
    text.push('\n');
    text += &planned.lines(cost, named);
    if plan.settings.checks.model {
        let _ = writeln!(text, "  and a short request for each row that is looked at again");
    }
    output::print(&text)
}
