//! The corpus on disk. Every file is written beside its place and renamed, so that a kill leaves it as it was or whole.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::parse::Parsed;
use super::report::{BlockRow, RemovedRow, Report};
use crate::{CorpusError, DocumentId, Result, to_markdown};

/// The mark by which a folder of ours is known.
const MARK: &str = "corpus.json";
const WRITTEN_BY: &str = "medtune ingest";

/// The longest name of a document in the name of its file, in characters.
const LONGEST_NAME: usize = 80;

/// A document as it is kept for the next time.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Stored {
    /// What it was read with; another setting reads it again.
    pub(super) settings: String,
    /// How long that took.
    pub(super) seconds: f64,
    pub(super) parsed: Parsed,
}

/// A corpus that is being written.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Mark {
    written_by: String,
    version: u32,
}

/// Whether an earlier call wrote this folder.
pub(super) fn is_corpus(folder: &Path) -> bool {
    let mark = fs::read(folder.join(MARK)).ok().and_then(|bytes| serde_json::from_slice::<Mark>(&bytes).ok());
    mark.is_some_and(|mark| mark.written_by == WRITTEN_BY)
}

impl Folder {
    /// Opens or makes it. A folder of someone else is left alone.
    pub(super) fn open(root: &Path) -> Result<Self> {
        let folder = Folder { root: root.into() };
        let mark = root.join(MARK);
        // A call that was killed at its very beginning leaves the mark under its first name.
        let begun = |entry: &fs::DirEntry| entry.file_name() == format!(".{MARK}.new").as_str();
        let free = || {
            fs::read_dir(root).is_ok_and(|mut entries| entries.all(|entry| entry.is_ok_and(|e| begun(&e))))
        };
        if root.exists() && !is_corpus(root) && !free() {
            return Err(CorpusError::NoCorpus { path: root.into() });
        }
        fs::create_dir_all(root).map_err(io(root))?;
        folder.write_json(&mark, &Mark { written_by: WRITTEN_BY.into(), version: 1 })?;
        for part in ["documents", "parsed", "scratch"] {
            let path = root.join(part);
            fs::create_dir_all(&path).map_err(io(&path))?;
        }
        folder.clear_scratch()?;
        Ok(folder)
    }

    /// Where children may write.
    pub(super) fn scratch(&self) -> PathBuf {
        self.root.join("scratch")
    }

    fn clear_scratch(&self) -> Result<()> {
        let path = self.scratch();
        fs::remove_dir_all(&path).and_then(|()| fs::create_dir(&path)).map_err(io(&path))
    }

    fn parsed(&self, id: &DocumentId) -> PathBuf {
        self.root.join("parsed").join(format!("{id}.json"))
    }

    /// A document that was read before with these settings.
    pub(super) fn stored(&self, id: &DocumentId, settings: &str) -> Option<Stored> {
        let bytes = fs::read(self.parsed(id)).ok()?;
        serde_json::from_slice::<Stored>(&bytes).ok().filter(|stored| stored.settings == settings)
    }

    /// Keeps a document for the next time.
    pub(super) fn store(&self, id: &DocumentId, stored: &Stored) -> Result<()> {
        self.write_json(&self.parsed(id), stored)
    }

    /// Writes a document as Markdown; the path in the corpus.
    pub(super) fn write_markdown(&self, name: &str, parsed: &Parsed) -> Result<String> {
        let path = markdown_name(name, &parsed.document.id);
        let text = to_markdown(&parsed.document.blocks);
        write_atomic(&self.root.join(&path), |file| file.write_all(text.as_bytes()))?;
        Ok(path)
    }

    /// Writes the files about all documents, and takes out the Markdown of those that are not named any more; how many.
    pub(super) fn finish(&self, report: &Report, documents: &[DocumentId]) -> Result<usize> {
        let load = |id: &DocumentId| -> Result<Parsed> {
            let path = self.parsed(id);
            let bytes = fs::read(&path).map_err(io(&path))?;
            let stored: Stored = serde_json::from_slice(&bytes).map_err(|error| io(&path)(error.into()))?;
            Ok(stored.parsed)
        };
        // One document in memory at a time; a file is written whole before the next begins.
        self.write_lines("removed.jsonl", documents, |id, out| {
            for removed in load(id)?.document.removed {
                line(out, &RemovedRow { document: id.clone(), removed })?;
            }
            Ok(())
        })?;
        self.write_lines("phi.jsonl", documents, |id, out| {
            load(id)?.phi.iter().try_for_each(|entry| line(out, entry))
        })?;
        self.write_lines("blocks.jsonl", documents, |id, out| {
            for (block, content) in load(id)?.document.blocks.into_iter().enumerate() {
                line(out, &BlockRow { document: id.clone(), block, content })?;
            }
            Ok(())
        })?;
        let dropped = self.drop_markdown(report)?;
        self.write_json(&self.root.join("report.json"), report)?;
        self.clear_scratch()?;
        Ok(dropped)
    }

    fn drop_markdown(&self, report: &Report) -> Result<usize> {
        let named: BTreeSet<PathBuf> = report
            .documents
            .iter()
            .filter_map(|document| Some(self.root.join(document.markdown.as_ref()?)))
            .collect();
        let folder = self.root.join("documents");
        let mut dropped = 0;
        for entry in fs::read_dir(&folder).map_err(io(&folder))? {
            let path = entry.map_err(io(&folder))?.path();
            if path.extension().is_some_and(|ending| ending == "md") && !named.contains(&path) {
                fs::remove_file(&path).map_err(io(&path))?;
                dropped += 1;
            }
        }
        Ok(dropped)
    }

    fn write_json(&self, path: &Path, value: &impl Serialize) -> Result<()> {
        write_atomic(path, |file| {
            serde_json::to_writer_pretty(&mut *file, value)?;
            file.write_all(b"\n")
        })
    }

    fn write_lines(
        &self,
        name: &str,
        documents: &[DocumentId],
        mut write: impl FnMut(&DocumentId, &mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let path = self.root.join(name);
        let mut failed = None;
        let written = write_atomic(&path, |file| {
            for id in documents {
                let mut lines = Vec::new();
                match write(id, &mut lines) {
                    Ok(()) => file.write_all(&lines)?,
                    Err(error) => {
                        failed = Some(error);
                        return Err(std::io::Error::other("a document could not be written"));
                    }
                }
            }
            Ok(())
        });
        failed.map_or(written, Err)
    }
}

fn line(out: &mut Vec<u8>, value: &impl Serialize) -> Result<()> {
    serde_json::to_writer(&mut *out, value)
        .map_err(|error| io(Path::new("a line of the corpus"))(error.into()))?;
    out.push(b'\n');
    Ok(())
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> CorpusError + '_ {
    move |source| CorpusError::Io { path: path.into(), source }
}

/// Writes beside `path`, syncs, and renames.
fn write_atomic(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>) -> Result<()> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let beside = path.with_file_name(format!(".{name}.new"));
    let written = File::create(&beside).and_then(|file| {
        let mut file = BufWriter::new(file);
        write(&mut file)?;
        file.into_inner()?.sync_all()?;
        fs::rename(&beside, path)
    });
    if written.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&beside);
    }
    written.map_err(io(path))
}

/// `documents/<name>-<first 8 digits of the id>.md`.
fn markdown_name(name: &str, id: &DocumentId) -> String {
    let kept = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = name.chars().map(kept).take(LONGEST_NAME).collect();
    let id = id.to_string();
    format!("documents/{}-{}.md", name.trim_matches(['.', '-']), &id[..id.len().min(8)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_safe_in_every_file_system() {
        let id = DocumentId::of(b"");
        assert_eq!(markdown_name("../a b/ü:*?", &id), "documents/a-b-ü-af1349b9.md");
        assert!(markdown_name(&"x".repeat(300), &id).len() < 110);
    }

    #[test]
    fn a_folder_of_someone_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.tex"), "x").unwrap();
        assert!(matches!(Folder::open(folder.path()), Err(CorpusError::NoCorpus { .. })));
        assert!(!folder.path().join("documents").exists());
    }
}
