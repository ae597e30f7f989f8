//! Files to a corpus: clean Markdown, blocks with their places, what was removed, and a report.
//!
//! Every document is read in a process of its own with bounds on memory and time. What was read is kept by the hash of
//! its content, so that a call goes on where an earlier one was killed. The files do not depend on the number of workers
//! or on the order in which documents were done.

mod child;
mod converter;
mod folder;
mod limits;
mod parse;
mod report;
mod sources;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

pub use child::{Cause, ChildCommand, Failure, serve};
pub use converter::{Converter, Program};
use folder::{Folder, Stored};
pub use limits::Limits;
pub use parse::{Parsed, Task, parse};
pub use report::{BlockRow, DocumentReport, RemovedRow, Report, Status};
pub use sources::{Ignored, Part, Reason, Source};

use crate::{CorpusError, DocumentId, Format, Result, phi};

/// Changes where reading or cleaning does: what an older version read is read again.
const REVISION: u32 = 2;

/// Where a document is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Isolation {
    /// In a process of its own, within the limits.
    Child(ChildCommand),
    /// In this process: for files that are trusted. Nothing bounds it.
    InProcess,
}

/// How to ingest.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where documents are read.
    pub isolation: Isolation,
    /// What reading one may take.
    pub limits: Limits,
    /// Documents that are read at a time.
    pub workers: usize,
    /// What to do about what identifies a person.
    pub phi: phi::Mode,
    /// Languages for `tesseract`, as it names them.
    pub languages: String,
    /// A program that reads PDF files and pictures instead.
    pub converter: Option<Converter>,
}

/// A document is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// Documents that are done.
    pub done: usize,
    /// All documents.
    pub total: usize,
    /// The name of this one.
    pub name: &'a str,
    /// Why it was skipped, if it was.
    pub failure: Option<&'a Failure>,
}

/// Reads files and folders into the corpus `out`: `documents/*.md`, `blocks.jsonl`, `removed.jsonl`, `phi.jsonl` and
/// `report.json`. The corpus holds what is named now; documents of an earlier call that are not named leave it.
///
/// # Errors
/// Nothing to read, a folder of someone else, or one that cannot be written. A document that cannot be read is part of
/// the report.
pub fn ingest(
    inputs: &[PathBuf],
    out: &Path,
    options: &Options,
    watch: &mut dyn FnMut(Progress<'_>),
) -> Result<Report> {
    let sources::Found { sources, ignored } = sources::find(inputs)?;
    let folder = Folder::open(out)?;
    let (jobs, mut documents) = jobs(sources);
    let total = jobs.len() + documents.len();
    let (next, mut reused) = (AtomicUsize::new(0), 0);
    thread::scope(|scope| -> Result<()> {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..options.workers.clamp(1, jobs.len().max(1)) {
            let (sender, jobs, next, folder) = (sender.clone(), &jobs, &next, &folder);
            scope.spawn(move || {
                while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if sender.send(job.carry_out(folder, options)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for done in receiver {
            let (document, was_stored) = done?;
            reused += usize::from(was_stored);
            let (name, failure) = (document.name.as_str(), document.failure.as_ref());
            watch(Progress { done: documents.len() + 1, total, name, failure });
            documents.push(document);
        }
        Ok(())
    })?;
    documents.sort_by(|a, b| (&a.name, &a.id, &a.paths).cmp(&(&b.name, &b.id, &b.paths)));
    let mut report = Report { documents, ignored, reused, dropped: 0 };
    let read = report.documents.iter().filter(|document| document.status != Status::Failed);
    let ids: Vec<DocumentId> = read.filter_map(|document| document.id.clone()).collect();
    report.dropped = folder.finish(&report, &ids)?;
    Ok(report)
}

/// A document to read.
#[derive(Debug)]
struct Job {
    id: DocumentId,
    source: Source,
    /// Files with the same content.
    also: Vec<PathBuf>,
}

/// Sources by their content, each content once; and those that cannot be read at all.
fn jobs(sources: Vec<Source>) -> (Vec<Job>, Vec<DocumentReport>) {
    let (mut jobs, mut failed) = (Vec::<Job>::new(), Vec::new());
    let mut known: BTreeMap<DocumentId, usize> = BTreeMap::new();
    for source in sources {
        match id_of(&source) {
            Ok(id) => match known.get(&id) {
                Some(at) => jobs[*at].also.extend(source.parts.into_iter().map(|part| part.path)),
                None => {
                    known.insert(id.clone(), jobs.len());
                    jobs.push(Job { id, source, also: Vec::new() });
                }
            },
            Err(error) => {
                let failure = Failure { cause: Cause::File, error: error.to_string() };
                failed.push(unread(&source, None, failure, 0.0));
            }
        }
    }
    (jobs, failed)
}

/// The id that reading will give it.
fn id_of(source: &Source) -> Result<DocumentId> {
    let ids: Vec<DocumentId> = source.parts.iter().map(|part| hash(&part.path)).collect::<Result<_>>()?;
    match ids.as_slice() {
        [id] => Ok(id.clone()),
        ids => Ok(DocumentId::of(ids.iter().map(DocumentId::to_string).collect::<String>().as_bytes())),
    }
}

fn hash(path: &Path) -> Result<DocumentId> {
    let io = |source| CorpusError::Io { path: path.into(), source };
    if !path.metadata().map_err(io)?.is_file() {
        return Err(CorpusError::UnknownFormat {
            path: path.into(),
            reason: "no file but a device or a pipe".into(),
        });
    }
    DocumentId::of_reader(File::open(path).map_err(io)?).map_err(io)
}

fn unread(source: &Source, id: Option<DocumentId>, failure: Failure, seconds: f64) -> DocumentReport {
    DocumentReport {
        name: source.name.clone(),
        paths: source.parts.iter().map(|part| part.path.clone()).collect(),
        status: Status::Failed,
        failure: Some(failure),
        id,
        format: None,
        markdown: None,
        title: None,
        pages: None,
        blocks: 0,
        characters: 0,
        warnings: Vec::new(),
        removed: BTreeMap::new(),
        phi: BTreeMap::new(),
        seconds,
    }
}

/// Carries out a task where the options say.
fn read_in(folder: &Folder, options: &Options, task: &Task) -> std::result::Result<Parsed, Failure> {
    match &options.isolation {
        Isolation::Child(command) => child::run(command, task, options.limits, &folder.scratch()),
        Isolation::InProcess => {
            parse(task).map_err(|error| Failure { cause: Cause::File, error: error.to_string() })
        }
    }
}

impl Job {
    /// What the result depends on beside the content.
    fn settings(&self, options: &Options) -> String {
        let parts: Vec<_> =
            self.source.parts.iter().map(|part| (Format::of_name(&part.path), part.pages)).collect();
        let (phi, languages) = (options.phi, &options.languages);
        let program = options.converter.as_ref().map(|converter| converter.program);
        format!("{REVISION} {} {phi:?} {languages} {program:?} {parts:?}", env!("CARGO_PKG_VERSION"))
    }

    /// Reads it, or takes what was read before; whether it was.
    fn carry_out(&self, folder: &Folder, options: &Options) -> Result<(DocumentReport, bool)> {
        let settings = self.settings(options);
        let stored = folder.stored(&self.id, &settings);
        let reused = stored.is_some();
        let stored = match stored {
            Some(stored) => stored,
            None => {
                let started = Instant::now();
                let read = self.read(folder, options);
                let seconds = started.elapsed().as_secs_f64();
                match read {
                    Err(failure) => return Ok((self.failed(failure, seconds), false)),
                    Ok(parsed) => {
                        let stored = Stored { settings, seconds, parsed };
                        folder.store(&self.id, &stored)?;
                        stored
                    }
                }
            }
        };
        Ok((self.report(folder, &stored)?, reused))
    }

    fn task(&self, options: &Options, phi: phi::Mode) -> Task {
        let (source, languages) = (self.source.clone(), options.languages.clone());
        // What is left is for the text, which is not to be lost to a time limit.
        let seconds_for_pictures = options.limits.seconds / 2;
        Task { source, phi, languages, seconds_for_pictures, converted: None }
    }

    fn read(&self, folder: &Folder, options: &Options) -> std::result::Result<Parsed, Failure> {
        let mut task = self.task(options, options.phi);
        if let Some(converter) = &options.converter {
            task.converted = self.converted(folder, options, converter)?;
        }
        let parsed = read_in(folder, options, &task)?;
        if parsed.document.id == self.id {
            Ok(parsed)
        } else {
            Err(Failure { cause: Cause::File, error: "the file changed while it was read".into() })
        }
    }

    /// What a converter makes of it; nothing for what it is not asked about. The text is shown to the gate before it
    /// leaves this machine.
    fn converted(
        &self,
        folder: &Folder,
        options: &Options,
        converter: &Converter,
    ) -> std::result::Result<Option<String>, Failure> {
        let failure = |error: String| Failure { cause: Cause::File, error };
        let [part] = self.source.parts.as_slice() else { return Ok(None) };
        let bytes = std::fs::read(&part.path)
            .map_err(|error| failure(format!("{}: {error}", part.path.display())))?;
        if !matches!(Format::detect(&part.path, &bytes), Ok(Format::Pdf | Format::Image)) {
            return Ok(None);
        }
        let look = self.task(options, phi::Mode::Report);
        let seen = match converter.is_local() || converter.send_phi {
            true => None,
            false => read_in(folder, options, &look).ok(),
        };
        let seen: Option<phi::Findings> =
            seen.map(|parsed| parsed.phi.into_iter().map(|entry| entry.finding).collect());
        converter.may_send(seen.as_ref()).map_err(failure)?;
        converter.convert(&part.path, &bytes).map(Some).map_err(failure)
    }

    fn failed(&self, failure: Failure, seconds: f64) -> DocumentReport {
        let mut report = unread(&self.source, Some(self.id.clone()), failure, seconds);
        report.paths.extend(self.also.iter().cloned());
        report
    }

    fn report(&self, folder: &Folder, stored: &Stored) -> Result<DocumentReport> {
        let Stored { parsed, seconds, .. } = stored;
        let document = &parsed.document;
        let markdown =
            if parsed.refused { None } else { Some(folder.write_markdown(&self.source.name, parsed)?) };
        let (mut removed, mut phi) = (BTreeMap::new(), BTreeMap::new());
        document.removed.iter().for_each(|block| *removed.entry(block.rule.clone()).or_default() += 1);
        parsed.phi.iter().for_each(|entry| *phi.entry(entry.finding.class).or_default() += 1);
        let paths = self.source.parts.iter().map(|part| part.path.clone()).chain(self.also.iter().cloned());
        Ok(DocumentReport {
            name: self.source.name.clone(),
            paths: paths.collect(),
            status: if parsed.refused { Status::Refused } else { Status::Done },
            failure: None,
            id: Some(self.id.clone()),
            format: Some(parsed.format),
            markdown,
            title: document.title.clone(),
            pages: document.pages,
            blocks: document.blocks.len(),
            characters: document.blocks.iter().map(|block| block.text.chars().count()).sum(),
            warnings: document.warnings.clone(),
            removed,
            phi,
            seconds: *seconds,
        })
    }
}
