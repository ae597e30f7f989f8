//! `medtune synth`: a model writes questions from a corpus.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use ::chat::Message;
use ::synth::{Crew, Estimate, Kind, Made, PROMPTS, Plan, Report, Settings, assemble, generate};
use endpoint::{Cached, ReplyStore};
use serde_json::json;

use crate::args::{SynthArgs, SynthKind};
use crate::failure::{Failure, Outcome, io};
use crate::interrupt::Interrupts;
use crate::output;
use crate::pipeline::question_writer::{Named, REPLIES, Writer};
use crate::pipeline::remote;
use crate::progress::Counted;

/// What a run that ended early is told.
const GO_ON: &str =
    "the same command goes on where this one ended; replies that are there cost nothing again";

pub(crate) fn run(args: &SynthArgs) -> Outcome<()> {
    if let Some(name) = &args.print_prompt {
        let text = PROMPTS.text(name).ok_or_else(|| {
            Failure::input(format!("no shipped prompt `{name}`")).hint(PROMPTS.names().join(", "))
        })?;
        return output::print(text);
    }
    let (Some(corpus), Some(out)) = (&args.corpus, &args.out) else {
        return Err(Failure::input("a corpus and --out are needed"));
    };
    let blocks = blocks_of(corpus)?;
    check_free(out)?;
    let store = match args.dry_run && !out.join(REPLIES).is_file() {
        true => None,
        false => {
            std::fs::create_dir_all(out).map_err(io(out))?;
            Some(ReplyStore::open(&out.join(REPLIES))?)
        }
    };
    let name = args.writer.model.as_deref().unwrap_or_default();
    let named = Named::new(name, &args.writer.access, &args.spending, store.as_ref())?;
    let settings = settings(args, &named)?;
    let plan = Plan::new(&blocks, &settings, &|text| named.count(text))?;
    let context = context(&plan, &named)?;
    if args.dry_run {
        return dry_run(args, &plan, &named, store);
    }
    let store = store.ok_or_else(|| Failure::unexpected("no store of replies"))?;
    announce(args, &plan, &named);
    let model = named.start(name, &args.writer.access, context)?.kept_in(store);
    let (made, interrupted) = work(args, &plan, &model)?;
    ::synth::write(out, &made)?;
    if let Some(status) = interrupted {
        let left = made.report.chunks_left;
        return Err(Failure::interrupted(
            status,
            format!("interrupted; {left} of {} chunks are left", made.report.chunks),
        )
        .hint(GO_ON));
    }
    if let Some(error) = made.ended_by {
        let mut failure = Failure::from(error);
        let done = made.report.chunks - made.report.chunks_left;
        failure.message += &format!(
            "\n{done} of {} chunks are done, their rows are in {}",
            made.report.chunks,
            out.display()
        );
        failure.hint = Some(failure.hint.map_or(GO_ON.to_owned(), |hint| format!("{hint}; {GO_ON}")));
        return Err(failure);
    }
    if args.json {
        let report = serde_json::to_value(&made.report).map_err(|e| Failure::unexpected(e.to_string()))?;
        return output::print_json(&report);
    }
    output::print(&summary(&made.report, out))
}

/// Asks about every chunk; with the exit status of a signal, if one came.
fn work(args: &SynthArgs, plan: &Plan, model: &Cached<Writer>) -> Outcome<(Made, Option<u8>)> {
    let signals = Interrupts::watch()?;
    let crew = Crew { model, at_once: usize::from(args.writer.access.remote.at_once), stop: signals.flag() };
    let mut bar = Counted::new(plan.tasks.len() as u64, "chunks");
    let generated = generate(plan, crew, &mut |progress| bar.at(progress.done as u64));
    drop(bar);
    let mut bar: Option<Counted> = None;
    let made = assemble(plan, generated, crew, &mut |progress| {
        let bar = bar.get_or_insert_with(|| Counted::new(progress.total as u64, "second look"));
        bar.at(progress.done as u64);
    })?;
    let interrupted = signals.flag().load(Ordering::Relaxed).then(|| signals.status());
    Ok((made, interrupted))
}

/// The recipe, and what the command line says instead.
fn settings(args: &SynthArgs, named: &Named) -> Outcome<Settings> {
    let mut settings: Settings = match &args.recipe {
        None => Settings::default(),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(io(path))?;
            serde_saphyr::from_str(&text)
                .map_err(|error| Failure::input(format!("{}: {error}", path.display())))?
        }
    };
    if let Some(kind) = args.kind {
        settings.kind = match kind {
            SynthKind::Qa => Kind::Qa,
            SynthKind::Mc => Kind::Mc,
        };
    }
    settings.prompt = args.prompt.clone().or(settings.prompt);
    settings.language = args.language.clone().unwrap_or(settings.language);
    settings.temperature = args.writer.temperature.unwrap_or(settings.temperature);
    settings.split.test = args.test.unwrap_or(settings.split.test);
    settings.split.val = args.val.unwrap_or(settings.split.val);
    if let Some(seed) = args.seed {
        (settings.seed, settings.split.seed) = (seed, seed);
    }
    settings.checks.model |= args.second_look;
    match (args.chunk_tokens, named.positions()) {
        (Some(tokens), _) => settings.chunks.max_tokens = tokens,
        // What the model reads holds instructions, headings and the questions as well.
        (None, Some(positions)) if args.recipe.is_none() => {
            let count = |messages: &[Message]| named.prompt_tokens(messages).unwrap_or(positions);
            let room = settings.chunk_tokens_within(positions, &count)?;
            settings.chunks.max_tokens = settings.chunks.max_tokens.min(room);
        }
        _ => {}
    }
    settings.chunks.min_tokens = settings.chunks.min_tokens.min(settings.chunks.max_tokens);
    Ok(settings)
}

/// Tokens of the longest prompt with its reply, which a local model has to have room for.
fn context(plan: &Plan, named: &Named) -> Outcome<usize> {
    let Some(positions) = named.positions() else { return Ok(0) };
    let mut longest = 0;
    for task in &plan.tasks {
        let prompt = named.prompt_tokens(&task.request.messages).unwrap_or(positions);
        longest = longest.max(prompt + task.request.max_tokens);
        if longest > positions {
            let reply = task.request.max_tokens;
            return Err(Failure::input(format!(
                "chunk {} makes a prompt of {prompt} tokens and a reply of up to {reply}, the model reads {positions}",
                task.chunk.id
            ))
            .hint(
                "cut smaller chunks with --chunk-tokens, give replies less room (max_tokens in a recipe), or take a model \
                 that reads more",
            ));
        }
    }
    // A reply that is repaired goes back with what is wrong with it.
    Ok((2 * longest).min(positions))
}

fn blocks_of(corpus: &Path) -> Outcome<PathBuf> {
    let path = if corpus.is_dir() { corpus.join("blocks.jsonl") } else { corpus.to_owned() };
    match path.is_file() {
        true => Ok(path),
        false => Err(Failure::input(format!("{}: there is no such file", path.display()))
            .hint("`medtune ingest FILES --out corpus/` makes a corpus")),
    }
}

/// An output folder is new, empty, or that of an earlier run.
fn check_free(out: &Path) -> Outcome<()> {
    let Ok(mut entries) = std::fs::read_dir(out) else { return Ok(()) };
    if entries.next().is_none() || out.join(REPLIES).is_file() {
        return Ok(());
    }
    Err(Failure::input(format!("{}: exists and was not written by synth", out.display()))
        .hint("name another folder with --out, or remove it"))
}

/// Says what is about to happen, and where text goes.
fn announce(args: &SynthArgs, plan: &Plan, named: &Named) {
    let (chunks, documents) = (plan.tasks.len(), plan.documents());
    let model = args.writer.model.as_deref().unwrap_or_default();
    match named {
        Named::Remote(endpoint) if endpoint.is_remote() => {
            eprintln!("the text of {chunks} chunks from {documents} documents is sent to {model}");
        }
        _ => eprintln!("asking {model} about {chunks} chunks from {documents} documents"),
    }
}

fn dry_run(args: &SynthArgs, plan: &Plan, named: &Named, store: Option<ReplyStore>) -> Outcome<()> {
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
        "{} documents, {} chunks, up to {questions} questions\n\n",
        plan.documents(),
        plan.tasks.len()
    );
    for (side, (chunks, documents)) in plan.sides() {
        let _ = writeln!(text, "  {:<7} {chunks:>7} chunks of {documents} documents", side.as_str());
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

/// What was done, for a person.
fn summary(report: &Report, out: &Path) -> String {
    let mut text = format!(
        "{}: {} rows from {} chunks of {} documents\n\n",
        out.display(),
        report.rows,
        report.chunks,
        report.documents
    );
    for (side, rows) in &report.sides {
        let _ = writeln!(text, "  {:<7} {rows:>7}", side.as_str());
    }
    if report.drafts > report.rows {
        let _ = writeln!(
            text,
            "\n  {} of {} questions were left out:",
            report.drafts - report.rows,
            report.drafts
        );
        for (reason, count) in &report.rejected {
            let _ = writeln!(text, "  {count:>7}  {}", reason.as_str());
        }
        let _ = writeln!(text, "  every one with its reason: {}", out.join("rejected.jsonl").display());
    }
    if report.failed_chunks > 0 {
        let place = out.join("failed.jsonl");
        let _ = writeln!(text, "\n  {} chunks failed: {}", report.failed_chunks, place.display());
    }
    if let Some(longest) = report.longest.filter(|longest| longest.questions > 0) {
        let percent = 100.0 * longest.accuracy;
        let _ = writeln!(
            text,
            "\n  Taking the longest option is right in {percent:.1} % (25 % gives nothing away)."
        );
    }
    let replies = &report.replies;
    let _ = write!(
        text,
        "\n  {} replies ({} were there), {} tokens",
        replies.total, replies.kept, replies.tokens
    );
    if replies.cost > 0.0 {
        let _ = write!(text, ", cost {:.4}", replies.cost);
    }
    if replies.without_price > 0 {
        let _ = write!(text, "; what {} of them cost is not known", replies.without_price);
    }
    if report.rows == 0 {
        let why = if report.drafts == 0 { "the model proposed none" } else { "none passed the checks" };
        let _ =
            writeln!(text, "\n\nThere is no question to train with: {why}. A larger model may do better.");
        return text;
    }
    let (train, test) = (out.join("messages/train.jsonl"), out.join("messages/test.jsonl"));
    let _ = writeln!(
        text,
        "\n\nNext: medtune prepare {} --test 0 --out prepared/\n      and, when it is trained, medtune eval {}",
        train.display(),
        test.display()
    );
    text
}
