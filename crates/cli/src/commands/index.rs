//! `medtune index`: passages of documents, to be found.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use ::eval::counted;
use corpus::ChunkOptions;
use rag::{Cutting, EncoderIdentity, Index, Sources, TextEncoder, VectorsMade, add_vectors};
use serde_json::json;

use super::prepare::column;
use crate::args::IndexArgs;
use crate::failure::{Failure, Outcome, io};
use crate::interrupt::Interrupts;
use crate::output;
use crate::pipeline::base::device;
use crate::progress::Counted;

/// Of rows that are no passages so many are named.
const MOST_LINES: usize = 5;

pub(crate) fn run(args: &IndexArgs) -> Outcome<()> {
    let encoder = encoder(args)?;
    let sources = read(args, encoder.as_ref())?;
    if sources.passages.is_empty() {
        let first = sources.skipped.first();
        let first =
            first.map_or_else(String::new, |row| format!("; the first: {}: {}", row.place, row.reason));
        let message = format!("no passage; {} skipped{first}", counted(sources.skipped.len(), "row"));
        return Err(Failure::input(message).hint("say which column is the text: `--column text=answer`"));
    }
    if let Some(folder) = args.out.parent() {
        std::fs::create_dir_all(folder).map_err(io(folder))?;
    }
    let mut index = Index::build(&args.out)?;
    let changes = index.set_passages(&sources.passages)?;
    let made = match &encoder {
        None => index.set_encoder(None).map(|()| None)?,
        Some(encoder) => Some(make_vectors(&mut index, encoder)?),
    };
    index.finish()?;
    let contents = index.contents()?;
    if args.json {
        return output::print_json(
            &json!({ "contents": contents, "changes": changes, "vectors": made, "skipped": sources.skipped }),
        );
    }
    let mut lines = vec![format!(
        "{}: {} of {}; {} added, {} kept, {} removed; {}",
        args.out.display(),
        counted(contents.passages, "passage"),
        counted(contents.documents, "document"),
        changes.added,
        changes.kept,
        changes.removed,
        match &contents.encoder {
            Some(encoder) => format!("vectors of {} by {}", encoder.width, encoder.name),
            None => "no vectors (--encoder makes them)".to_owned(),
        }
    )];
    if let Some(made) = made.filter(|made| made.cut > 0) {
        lines.push(format!(
            "{} longer than the encoder reads: {} have no part in vectors; a smaller --passage-tokens leaves room for titles",
            counted(made.cut, "passage"),
            counted(made.tokens_cut, "token")
        ));
    }
    if !sources.skipped.is_empty() {
        lines.push(format!("{} skipped:", counted(sources.skipped.len(), "row")));
    }
    lines.extend(
        sources.skipped.iter().take(MOST_LINES).map(|row| format!("  {}: {}", row.place, row.reason)),
    );
    output::print(&lines.join("\n"))
}

/// The encoder that is named, else the one that made the vectors of the index that is there: these took long.
fn encoder(args: &IndexArgs) -> Outcome<Option<TextEncoder<compute::Cpu>>> {
    if let Some(named) = &args.encoder {
        return Ok(Some(TextEncoder::from_dir(device(), &formats::hub::resolve(named)?)?));
    }
    let made_by = match args.out.is_file() {
        true => Index::build(&args.out)?.encoder()?,
        false => None,
    };
    let load = |made_by: EncoderIdentity| {
        TextEncoder::from_dir(device(), &made_by.place).map_err(|error| {
            let (out, name) = (args.out.display(), made_by.name);
            Failure::from(error)
                .hint(format!("the vectors of {out} were made by {name}: say where it lies now with --encoder, or name a new file"))
        })
    };
    made_by.map(load).transpose()
}

fn read(args: &IndexArgs, encoder: Option<&TextEncoder<compute::Cpu>>) -> Outcome<Sources> {
    let words = |text: &str| text.split_whitespace().count();
    let count = |text: &str| encoder.map_or_else(|| words(text), |encoder| encoder.count(text).unwrap_or(0));
    let tokens = args.passage_tokens as usize;
    let options = ChunkOptions { max_tokens: tokens, min_tokens: tokens / 4, ..ChunkOptions::default() };
    let columns = args.columns.iter().map(|pair| column(pair)).collect::<Outcome<BTreeMap<_, _>>>()?;
    let cutting = Cutting { options, count: &count, columns };
    let mut sources = Sources::default();
    for source in &args.sources {
        sources.add(source, &cutting)?;
    }
    Ok(sources)
}

/// Makes the vectors that are missing; what was made stays when a signal ends it.
fn make_vectors(index: &mut Index, encoder: &TextEncoder<compute::Cpu>) -> Outcome<VectorsMade> {
    let signals = Interrupts::watch()?;
    let mut progress: Option<(usize, Counted)> = None;
    let made = add_vectors(index, encoder, &mut |done, all| {
        let (before, progress) =
            progress.get_or_insert_with(|| (done, Counted::new((all - done) as u64, "vectors")));
        progress.at((done - *before) as u64);
        !signals.flag().load(Ordering::Relaxed)
    })?;
    match made.left {
        0 => Ok(made),
        left => {
            let message = format!("interrupted; {} without a vector", counted(left, "passage"));
            Err(Failure::interrupted(signals.status(), message)
                .hint("the same command goes on where this one ended"))
        }
    }
}
