//! `medtune ingest`: documents to a corpus.

use ::eval::counted;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use corpus::ingest::{
    ChildCommand, Converter, DocumentReport, Ignored, Isolation, Limits, Options, Program, Reason, Report,
    Status, ingest, serve,
};

use crate::args::IngestArgs;
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::progress::Counted;

/// Documents that are told of one by one.
const MOST_LINES: usize = 30;
/// The verb by which the program reads one document in a process of its own.
const CHILD: &str = "ingest-child";
/// What docling-serve and MinerU may take for a document: a scanned book without a GPU takes this long.
const CONVERTER_SECONDS: u64 = 3600;

pub(crate) fn run(args: &IngestArgs) -> Outcome<()> {
    let program =
        std::env::current_exe().map_err(|error| Failure::unexpected(format!("this program: {error}")))?;
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let options = Options {
        isolation: Isolation::Child(ChildCommand { program, arguments: vec![CHILD.into()] }),
        limits: Limits { memory: args.memory << 20, seconds: args.seconds },
        workers: args.workers.map_or_else(cores, usize::from),
        phi: args.phi.into(),
        languages: args.languages.clone(),
        converter: converter(args)?,
    };
    let mut bar: Option<Counted> = None;
    let started = Instant::now();
    let report = ingest(&args.inputs, &args.out, &options, &mut |done| {
        bar.get_or_insert_with(|| Counted::new(done.total as u64, "documents")).at(done.done as u64);
    })?;
    drop(bar);
    let took = started.elapsed();
    if args.json {
        let report = serde_json::to_value(&report).map_err(|error| Failure::unexpected(error.to_string()))?;
        output::print_json(&report)?;
    } else {
        output::print(&summary(&report, &args.out, took))?;
    }
    judged(&report)
}

/// The program that was asked for.
fn converter(args: &IngestArgs) -> Outcome<Option<Converter>> {
    let (program, address) = match (&args.docling, &args.mineru) {
        (Some(address), _) => (Program::Docling, address),
        (None, Some(address)) => (Program::MinerU, address),
        (None, None) => return Ok(None),
    };
    if !address.starts_with("http://") {
        let hint = "only plain HTTP is spoken here: for another machine use a tunnel, such as `ssh -L`";
        return Err(
            Failure::input(format!("{address}: expected an address that begins with http://")).hint(hint)
        );
    }
    let (address, timeout) = (address.clone(), Duration::from_secs(CONVERTER_SECONDS));
    Ok(Some(Converter { program, address, send_phi: args.send_phi, timeout }))
}

/// Reads one document on standard input; see [`serve`].
pub(crate) fn child() -> Outcome<()> {
    serve(io::stdin().lock(), io::stdout().lock()).map_err(|error| Failure::unexpected(error.to_string()))
}

/// Broken documents are skipped; only a corpus without any is a failure. A document that the gate refused is a no.
fn judged(report: &Report) -> Outcome<()> {
    let [done, refused] = [Status::Done, Status::Refused].map(|status| report.with(status).count());
    if refused > 0 {
        let all = report.documents.len();
        return Err(Failure::gate(format!("the PHI gate refused {refused} of {}", counted(all, "document")))
            .hint("phi.jsonl says where; `--phi mask` takes it out, `--phi report` only counts it"));
    }
    match report.documents.iter().find_map(|document| document.failure.as_ref()) {
        Some(first) if done == 0 => {
            Err(Failure::input(format!("no document could be read; the first: {}", first.error)))
        }
        _ => Ok(()),
    }
}

/// What was done, for a person.
fn summary(report: &Report, out: &Path, took: Duration) -> String {
    let [done, refused, failed] =
        [Status::Done, Status::Refused, Status::Failed].map(|status| report.with(status).count());
    let pages: u32 = report.documents.iter().filter_map(|document| document.pages).sum();
    let blocks = report.documents.iter().map(|document| document.blocks).sum();
    let mut text = format!(
        "{}: {}, {}, {}; {failed} skipped, {refused} refused; {} read before; {:.1} s\n",
        out.display(),
        counted(done, "document"),
        counted(blocks, "block"),
        counted(pages as usize, "page"),
        report.reused,
        took.as_secs_f64(),
    );
    match report.dropped {
        0 => {}
        1 => text += "  1 document of an earlier call left the corpus: not named, refused or skipped now\n",
        dropped => {
            let _ = writeln!(
                text,
                "  {dropped} documents of an earlier call left the corpus: not named, refused or skipped now"
            );
        }
    }
    for (what, counts) in [("removed", sums(report, |d| &d.removed)), ("PHI gate", sums(report, |d| &d.phi))]
    {
        if !counts.is_empty() {
            let _ = writeln!(text, "  {what}: {}", counts.join(", "));
        }
    }
    text += &not_read(&report.ignored, out);
    let told = |document: &&DocumentReport| document.status != Status::Done || !document.warnings.is_empty();
    for document in report.documents.iter().filter(told).take(MOST_LINES) {
        let _ = writeln!(text, "  {}", in_words(document));
    }
    let more = report.documents.iter().filter(told).count().saturating_sub(MOST_LINES);
    if more > 0 {
        let _ = writeln!(text, "  and {more} more: {}", out.join("report.json").display());
    }
    text
}

/// What lies in the folders beside documents, by its ending; a folder that cannot be opened by its name.
fn not_read(ignored: &[Ignored], out: &Path) -> String {
    let (mut text, mut kinds) = (String::new(), BTreeMap::<String, usize>::new());
    for Ignored { path, reason } in ignored {
        let kind = match reason {
            Reason::Unreadable(error) => {
                let _ = writeln!(text, "  skipped: {}: {error}", path.display());
                continue;
            }
            Reason::Ending => match path.extension() {
                Some(ending) => format!(".{}", ending.to_string_lossy()),
                None => "without ending".into(),
            },
            Reason::Link => "link".into(),
            Reason::Special => "neither file nor folder".into(),
            Reason::TooDeep => "folder nested too deep".into(),
        };
        *kinds.entry(kind).or_default() += 1;
    }
    if !kinds.is_empty() {
        let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let report = out.join("report.json");
        let _ = writeln!(text, "  no documents: {} (listed in {})", kinds.join(", "), report.display());
    }
    text
}

/// Counts of all documents together, as `12 page furniture`.
fn sums<K: Ord + ToString>(
    report: &Report,
    counts: impl Fn(&DocumentReport) -> &BTreeMap<K, usize>,
) -> Vec<String> {
    let mut sums = BTreeMap::new();
    for document in &report.documents {
        counts(document).iter().for_each(|(key, count)| *sums.entry(key.to_string()).or_insert(0) += count);
    }
    sums.into_iter().map(|(key, count)| format!("{count} {key}")).collect()
}

fn in_words(document: &DocumentReport) -> String {
    match (document.status, &document.failure) {
        (Status::Failed, Some(failure)) => {
            let path = document.paths.first().map(|path| path.display().to_string()).unwrap_or_default();
            // Errors of files name the file themselves.
            let who = if failure.error.starts_with(&path) { String::new() } else { format!("{path}: ") };
            format!("skipped: {who}{}", failure.error)
        }
        (Status::Refused, _) => format!("refused: {}", document.name),
        _ => format!("{}: {}", document.name, document.warnings.join("; ")),
    }
}
