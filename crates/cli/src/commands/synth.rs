//! `medtune synth`: a model writes questions from a corpus.

mod estimate;
mod summary;

use ::eval::counted;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use ::chat::{Calls, Message};
use ::synth::{Kind, Made, PROMPTS, Plan, Settings, assemble, generate};
use endpoint::Cached;

use crate::args::{SynthArgs, SynthKind};
use crate::failure::{Failure, Outcome, io};
use crate::interrupt::Interrupts;
use crate::output;
use crate::pipeline::planned_calls::replies;
use crate::pipeline::question_writer::{Named, REPLIES, Writer};
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
    let Some(corpus) = &args.corpus else { return Err(Failure::input("a corpus is needed")) };
    let blocks = blocks_of(corpus)?;
    if let Some(out) = &args.out {
        check_free(out)?;
    }
    let store = replies(args.out.as_deref(), args.dry_run)?;
    let name = args.writer.model.as_deref().unwrap_or_default();
    let named = Named::new(name, &args.writer.access, &args.spending, store.as_ref())?;
    let settings = settings(args, &named)?;
    let mut plan = Plan::new(&blocks, &settings, &|text| named.count(text))?;
    let context = context(&mut plan, &named);
    if args.dry_run {
        return estimate::show(args, &plan, &named, store);
    }
    let (Some(out), Some(store)) = (&args.out, store) else {
        return Err(Failure::input("--out is needed").hint("name a new or empty folder"));
    };
    announce(args, &plan, &named);
    let model = named.start(name, &args.writer.access, context)?.kept_in(store);
    let (made, interrupted) = work(args, &plan, &model)?;
    ::synth::write(out, &made)?;
    if let Some(status) = interrupted {
        let left = made.report.chunks_left;
        return Err(Failure::interrupted(
            status,
            format!("interrupted; {left} of {} left", counted(made.report.chunks, "chunk")),
        )
        .hint(GO_ON));
    }
    if let Some(error) = made.ended_by {
        let mut failure = Failure::from(error);
        let done = made.report.chunks - made.report.chunks_left;
        let chunks = counted(made.report.chunks, "chunk");
        failure.message += &format!("\n{done} of {chunks} done, their rows are in {}", out.display());
        failure.hint = Some(failure.hint.map_or(GO_ON.to_owned(), |hint| format!("{hint}; {GO_ON}")));
        return Err(failure);
    }
    if args.json {
        let report = serde_json::to_value(&made.report).map_err(|e| Failure::unexpected(e.to_string()))?;
        output::print_json(&report)?;
    } else {
        output::print(&summary::text(&made.report, out))?;
    }
    summary::judged(&made, out)
}

/// Asks about every chunk; with the exit status of a signal, if one came.
fn work(args: &SynthArgs, plan: &Plan, model: &Cached<Writer>) -> Outcome<(Made, Option<u8>)> {
    let signals = Interrupts::watch()?;
    let calls =
        Calls { model, at_once: usize::from(args.writer.access.remote.at_once), stop: signals.flag() };
    let mut bar = Counted::new(plan.tasks.len() as u64, "chunks");
    let generated = generate(plan, calls, &mut |progress| bar.at(progress.done as u64));
    drop(bar);
    let mut bar: Option<Counted> = None;
    let made = assemble(plan, generated, calls, &mut |progress| {
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
    settings.questions.required = settings.questions.required.or(match named {
        Named::Local(_) => Some(settings.questions.least.min(1)),
        Named::Remote(_) => None,
    });
    match (args.chunk_tokens, named.positions()) {
        (Some(tokens), _) => settings.chunks.max_tokens = tokens,
        (None, Some(positions)) => fit(&mut settings, positions, named)?,
        (None, None) => {}
    }
    settings.chunks.min_tokens = settings.chunks.min_tokens.min(settings.chunks.max_tokens);
    Ok(settings)
}

/// Makes chunks so small that a model that reads `positions` tokens has room for them, for instructions and for questions.
fn fit(settings: &mut Settings, positions: usize, named: &Named) -> Outcome<()> {
    let count = |messages: &[Message]| named.prompt_tokens(messages).unwrap_or(positions);
    let room = settings.chunk_tokens_within(positions, &count)?;
    let wanted = settings.chunks.max_tokens;
    if room < wanted {
        eprintln!(
            "the model reads {positions} tokens, prompt and reply included: chunks have up to {room} tokens instead of {wanted}"
        );
        settings.chunks.max_tokens = room;
    }
    Ok(())
}

/// Tokens that a local model has to have room for; replies get no more than their prompts leave.
fn context(plan: &mut Plan, named: &Named) -> usize {
    let Some(positions) = named.positions() else { return 0 };
    let count = |messages: &[Message]| named.prompt_tokens(messages).unwrap_or(positions);
    // A reply that is repaired goes back with what is wrong with it.
    (2 * plan.keep_within(positions, &count)).min(positions)
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
    let (chunks, documents) = (counted(plan.tasks.len(), "chunk"), counted(plan.documents(), "document"));
    let model = args.writer.model.as_deref().unwrap_or_default();
    match named {
        Named::Remote(endpoint) if endpoint.is_remote() => {
            eprintln!("the text of {chunks} from {documents} is sent to {model}");
        }
        _ => eprintln!("asking {model} about {chunks} from {documents}"),
    }
}
