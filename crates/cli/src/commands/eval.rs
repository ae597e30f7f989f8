//! `medtune eval`: one model, measured.

use std::path::Path;

use ::eval::comparison::{Metric, summarize};
use ::eval::counted;
use ::eval::evaluation::UNNAMED_TASK;
use ::eval::statistics::Resampling;
use dataset::{ChoiceItem, Example};
use serde_json::json;
use train::Evaluation;

use super::{eval_answers, eval_safety, eval_served};
use crate::args::{EvalArgs, SuiteName};
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::pipeline::base::Model;
use crate::pipeline::bertscore;
use crate::pipeline::evaluation::Exam;
use crate::pipeline::evaluation_folder::{evaluation, keep};
use crate::pipeline::retrieval::{describe, put_before};
use crate::pipeline::served::Served;
use crate::pipeline::tasks;

/// What those are told who have rows of another kind.
const ROWS: &str = "`medtune prepare FILE… --out DIR` writes such files. `--tasks FILE` asks rows with options as they are, and \
                    `--answers-file FILE` scores answers that are there";

/// Seed of the sample, the same for every model so that outcomes can be paired.
const SEED: u64 = 42;

pub(crate) fn run(args: &EvalArgs) -> Outcome<()> {
    // A rule that reads nothing is refused, whatever is evaluated.
    args.rule()?;
    if !args.tasks.tasks.is_empty() {
        // Not a conflict of the parser's: that would let it forget which arguments belong to `--tasks`.
        return match args.files.first() {
            Some(file) => Err(Failure::input(format!("{}: a file beside --tasks", file.display()))
                .hint("name files of multiple-choice rows in --tasks, or leave --tasks out")),
            None => tasks::run(args),
        };
    }
    if let Some(index) = args.rag.rag.as_ref().filter(|_| args.files.is_empty()) {
        let message =
            format!("--rag {}: nothing is asked here that passages could be read before", index.display());
        return Err(Failure::input(message)
            .hint("it belongs to --tasks and to prepared questions; the suite is asked without passages"));
    }
    if let Some(SuiteName::Safety) = args.suite {
        return eval_safety::run(args);
    }
    if let Some(file) = &args.elsewhere.answers_file {
        return eval_answers::run(file, args);
    }
    let asked = args.named_model()?;
    let (mut questions, mut choices) = (Vec::new(), Vec::new());
    for file in &args.files {
        read(file, &mut questions, &mut choices)?;
    }
    if questions.is_empty() && choices.is_empty() {
        let files: Vec<String> = args.files.iter().map(|file| file.display().to_string()).collect();
        return Err(Failure::input(format!("{}: no question in it", files.join(", "))).hint(ROWS));
    }
    if let Some(served) = Served::of(args)? {
        return eval_served::run(args, &served, (&questions, &choices), SEED);
    }
    let model = Model::of(asked)?;
    let settings = Evaluation {
        max_examples: args.limit,
        max_answers: args.answers,
        max_new_tokens: args.max_new_tokens,
    };
    let mut exam = Exam::new(&model, (&questions, &choices), &settings, SEED);
    let found = match &args.rag.rag {
        None => None,
        Some(index) => {
            let subject = model.subject(true);
            let subject = Some((&subject, exam.wanted.max_new_tokens));
            let questions = (&mut exam.questions[..], &mut exam.choices[..]);
            Some(put_before(questions, (index, &args.rag.finding), subject)?)
        }
    };
    let mut outcomes = exam.take(model.subject(true), "model")?;
    if let Some((read, _)) = &found {
        read.note(&mut outcomes);
    }
    let summary = summarize(&outcomes, &Resampling::default())?;
    let mut evaluation = evaluation((asked, &model), &exam, outcomes, SEED)?;
    evaluation.settings.retrieval = found.map(|(_, retrieval)| retrieval);
    let before = evaluation.settings.retrieval.as_ref();
    let before = before.map(|retrieval| describe(retrieval, &evaluation.outcomes));
    bertscore::measure(&args.bertscore, &mut evaluation)?;
    let outcomes = evaluation.outcomes.clone();
    let bertscore = match args.bertscore.bertscore {
        Some(_) => {
            evaluation.results()?.metric(UNNAMED_TASK, Metric::Bertscore).map(|result| result.estimate)
        }
        None => None,
    };
    if let Some(out) = &args.out {
        keep(out, evaluation, &args.signing)?;
    }
    if args.json {
        let document = json!({ "summary": summary, "left_out": exam.left_out, "outcomes": outcomes });
        return output::print_json(&document);
    }
    let mut lines = Vec::new();
    let of_a_run = Metric::OF_A_RUN.map(|metric| (metric, summary.metric(metric).copied()));
    for (metric, estimate) in of_a_run.into_iter().chain([(Metric::Bertscore, bertscore)]) {
        if let Some(e) = estimate {
            let end = |v: Option<f64>| v.map_or("?".into(), |v| metric.format(v));
            lines.push(format!(
                "{:<20} {} [{}, {}]  n={}",
                metric.name(),
                metric.format(e.value),
                end(e.low),
                end(e.high),
                e.n
            ));
        }
    }
    lines.extend(before);
    if !exam.left_out.is_empty() {
        let (count, first) = (exam.left_out.len(), &exam.left_out[0]);
        lines.push(format!("{} could not be asked; the first: {first}", counted(count, "question")));
    }
    output::print(&lines.join("\n"))
}

/// Reads a prepared file, or `test.jsonl` and `choices.jsonl` of a prepared folder.
fn read(path: &Path, questions: &mut Vec<Example>, choices: &mut Vec<ChoiceItem>) -> Outcome<()> {
    if path.is_dir() {
        let files = ["test.jsonl", "choices.jsonl"].map(|name| path.join(name));
        let present: Vec<_> = files.iter().filter(|f| f.is_file()).collect();
        if present.is_empty() {
            return Err(Failure::input(format!("{}: no test.jsonl and no choices.jsonl", path.display()))
                .hint("`medtune prepare FILE… --out DIR` writes them"));
        }
        return present.into_iter().try_for_each(|file| read(file, questions, choices));
    }
    let read = match path.file_name().is_some_and(|n| n.to_string_lossy().contains("choices")) {
        true => dataset::load_choices(path).map(|read| choices.extend(read)),
        false => dataset::load(path).map(|read| questions.extend(read)),
    };
    read.map_err(|error| match error {
        dataset::Error::Prepared { .. } => Failure::from(error).hint(ROWS),
        error => error.into(),
    })
}
