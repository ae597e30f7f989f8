//! `medtune eval --model URL`: held-out questions, answered at an address.

use ::eval::evaluation::Evaluation;
use ::eval::served;
use dataset::{ChoiceItem, Example};
use serde_json::json;

use crate::args::EvalArgs;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::pipeline::bertscore;
use crate::pipeline::evaluation_folder::{keep, table};
use crate::pipeline::retrieval::{describe, put_before};
use crate::pipeline::served::{Served, remark};

/// Why the items of `choices.jsonl` are not asked.
const NO_LIKELIHOODS: &str = "its options are compared by log-likelihoods, which an address does not give";

/// Asks the first of the questions that `seed` draws, as of a model on this machine, and measures the replies as texts.
pub(crate) fn run(
    args: &EvalArgs,
    model: &Served,
    (questions, choices): (&[Example], &[ChoiceItem]),
    seed: u64,
) -> Outcome<()> {
    let limit = if args.limit == 0 { questions.len() } else { args.limit };
    let drawn = dataset::shuffled(questions.len(), seed, 0).into_iter().take(limit.min(args.answers));
    let mut asked: Vec<Example> = drawn.map(|at| questions[at].clone()).collect();
    if asked.is_empty() {
        return Err(Failure::input(
            "no question to ask: an address is asked for answers, not for log-likelihoods",
        )
        .hint(
            "--tasks FILE --mode letter asks multiple-choice items; --answers COUNT says how many questions",
        ));
    }
    let found = match &args.rag.rag {
        None => None,
        Some(index) => Some(put_before((&mut asked, &mut []), (index, &args.rag.finding), None)?),
    };
    let mut heard = model.ask(("answers", asked.len()), |bench, observe| {
        Ok(served::questions(&asked, args.max_new_tokens, bench, observe))
    })?;
    if let Some((read, _)) = &found {
        read.note(&mut heard.outcomes);
    }
    let mut settings = model.settings(&heard, args.max_new_tokens);
    let before = found.as_ref().map(|(_, retrieval)| describe(retrieval, &heard.outcomes));
    settings.retrieval = found.map(|(_, retrieval)| retrieval);
    settings.seed = seed;
    settings.left_out.extend(choices.iter().map(|item| format!("{}: {NO_LIKELIHOODS}", item.id)));
    let without_reply = remark(&heard);
    let mut evaluation = Evaluation { settings, outcomes: heard.outcomes };
    bertscore::measure(&args.bertscore, &mut evaluation)?;
    let results = evaluation.results()?;
    let document = json!({
        "results": results,
        "left_out": evaluation.settings.left_out,
        "taken": heard.taken,
        "outcomes": if args.json { json!(evaluation.outcomes) } else { json!(null) },
    });
    if let Some(out) = &args.out {
        keep(out, evaluation, &args.signing)?;
    }
    if args.json {
        return output::print_json(&document);
    }
    let mut lines = vec![table(&results)];
    lines.extend(without_reply);
    lines.extend(before);
    if !choices.is_empty() {
        lines.push(format!(
            "{} multiple-choice items were not asked: {NO_LIKELIHOODS}; --tasks FILE --mode letter asks them",
            choices.len()
        ));
    }
    output::print(&lines.join("\n"))
}
