//! `medtune rescore`: every number once more, from the items on file.

use ::eval::choice::extract::Rule;
use ::eval::counted;
use ::eval::evaluation::{Evaluation, Reread, Rescored, reread, rescore};
use serde_json::json;

use crate::args::RescoreArgs;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::pipeline::bertscore;
use crate::pipeline::evaluation_folder::{program, signing_key, table};

/// Differences that are shown; `--json` has all.
const SHOWN: usize = 20;

pub(crate) fn run(args: &RescoreArgs) -> Outcome<()> {
    let mut evaluation = Evaluation::read(&args.evaluation)?;
    let on_file = Evaluation::results_on_file(&args.evaluation)?;
    let holds_evaluation = args.evaluation.is_dir() && args.evaluation.join("items.jsonl").is_file();
    let read_by = evaluation.settings.rule;
    let reread = args.rule.map(|rule| reread(&mut evaluation, rule.into())).transpose()?;
    if let Some(reread) = reread.as_ref().filter(|reread| read_by != Some(reread.rule))
        && holds_evaluation
        && args.out.is_none()
    {
        return Err(in_place(args, reread));
    }
    bertscore::measure(&args.bertscore, &mut evaluation)?;
    let written_by = evaluation.settings.program.replace(program());
    let rescored = rescore(evaluation, on_file.as_ref())?;
    let out = args.out.as_ref().or_else(|| holds_evaluation.then_some(&args.evaluation));
    if let Some(out) = out {
        rescored.evaluation.write(out, signing_key(&args.signing)?.as_ref())?;
    }
    if args.json {
        let mut document = json!(rescored.findings());
        if let Some(reread) = reread {
            document["reread"] = json!(reread);
        }
        return output::print_json(&document);
    }
    let mut lines = vec![table(&rescored.results), String::new()];
    lines.extend(reread.as_ref().map(readings));
    lines.extend(differences(&rescored));
    if let Some(before) = written_by {
        lines.push(format!(
            "measured by {} {}, rescored by {}",
            before.name,
            before.version,
            program().version
        ));
    }
    lines.extend(out.map(|out| format!("written to {}", out.display())));
    output::print(&lines.join("\n"))
}

/// Numbers by one rule are replaced by those by another only where somebody names their folder for it.
fn in_place(args: &RescoreArgs, reread: &Reread) -> Failure {
    let folder = args.evaluation.display();
    let before = reread.before.map_or("another reading", Rule::name);
    let rule = reread.rule.name();
    Failure::input(format!(
        "{folder}: its numbers are by {before}, and those by the rule {rule} would replace them: expected --out"
    ))
    .hint(format!("`--out {folder}-{rule}` keeps both, `--out {folder}` replaces those that are there"))
}

fn readings(reread: &Reread) -> String {
    let before = reread.before.map_or("another reading", Rule::name);
    let answers = counted(reread.answers, "answer");
    let changed = reread.changed.len();
    format!("options read by the rule {}; other than by {before}: {changed} of {answers}", reread.rule)
}

fn differences(rescored: &Rescored) -> Vec<String> {
    let of_results = rescored.of_results.as_deref().unwrap_or_default();
    if rescored.is_the_same() {
        let what = if rescored.of_results.is_some() { "items and results" } else { "items" };
        return vec![format!("every number is what is on file ({what})")];
    }
    let mut lines = vec![format!(
        "not what is on file: {} of items and {} of tasks:",
        counted(rescored.of_items.len(), "number"),
        of_results.len()
    )];
    let all = rescored.of_items.iter().chain(of_results);
    lines.extend(all.take(SHOWN).map(|difference| format!("  {difference}")));
    let more = (rescored.of_items.len() + of_results.len()).saturating_sub(SHOWN);
    lines.extend((more > 0).then(|| format!("  and {more} more")));
    lines
}
