//! What is to be read: files, folders, and books that came in parts.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::folder;
use crate::{CorpusError, Format, Result};

/// Folders are searched so deep.
const DEEPEST: usize = 32;

/// A file, or one part of a document that was cut by pages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The file.
    pub path: PathBuf,
    /// First and last page, where the file's name says so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pages: Option<(u32, u32)>,
}

/// What becomes one document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The name of the document: that of its file without the ending; where several have one name, with as many of the
    /// folders above as tell them apart, `PMC4521097/fulltext`, and the ending if these do not.
    pub name: String,
    /// Its files in the order of their pages.
    pub parts: Vec<Part>,
}

impl Source {
    /// Its name behind those of some folders above it, with the ending of its file if it is to be whole.
    fn long_name(&self, folders: usize, whole: bool) -> String {
        let path = self.path();
        let above = path.parent().into_iter().flat_map(Path::components);
        let above: Vec<_> = above.map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
        let ending =
            path.extension().filter(|_| whole).map(|ending| format!(".{}", ending.to_string_lossy()));
        let name = self.name.clone() + &ending.unwrap_or_default();
        let above = &above[above.len().saturating_sub(folders)..];
        above.iter().cloned().chain([name]).collect::<Vec<_>>().join("/")
    }

    /// The file, or the first part.
    pub fn path(&self) -> &Path {
        self.parts.first().map_or(Path::new(""), |part| &part.path)
    }
}

/// `name_pages_1-300.md`, as page blocks of MinerU's output are named.
static PAGES: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^(.+)_pages_([0-9]+)-([0-9]+)$").ok());

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// What is to be read.
    pub sources: Vec<Source>,
    /// What lies in the folders and is not, sorted by path.
    pub ignored: Vec<Ignored>,
}

/// Something in a folder that is not read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ignored {
    /// The file or folder.
    pub path: PathBuf,
    /// Why it is left where it is.
    pub reason: Reason,
}

/// Why something in a folder is not read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Its ending is none of a document.
    Ending,
    /// A link: what it leads to may be named.
    Link,
    /// Neither file nor folder.
    Special,
    /// A folder inside of too many others.
    TooDeep,
    /// A folder that cannot be opened, with the system's reason.
    Unreadable(String),
}

/// Files as they were named, and every file of the folders that has a known ending; hidden ones and what an earlier call
/// wrote are left out. Sorted by path, each file once, page blocks of one name in one folder together.
///
/// # Errors
/// A named path that cannot be read, or nothing to read at all.
pub(super) fn find(inputs: &[PathBuf]) -> Result<Found> {
    let (mut files, mut ignored) = (Vec::new(), Vec::new());
    for input in inputs {
        let io = |source| CorpusError::Io { path: input.clone(), source };
        if fs::metadata(input).map_err(io)?.is_dir() {
            let entries = fs::read_dir(input).map_err(io)?;
            search(entries, 0, &mut files, &mut ignored);
        } else {
            files.push(input.clone());
        }
    }
    files.sort();
    files.dedup();
    ignored.sort();
    ignored.dedup();
    if files.is_empty() {
        let paths = inputs.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        return Err(CorpusError::Nothing { paths });
    }
    Ok(Found { sources: grouped(files), ignored })
}

/// Goes through the entries of a folder. What cannot be read inside of it does not keep the rest from being read.
fn search(entries: fs::ReadDir, depth: usize, files: &mut Vec<PathBuf>, ignored: &mut Vec<Ignored>) {
    for entry in entries.flatten() {
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let reason = match entry.file_type() {
            Ok(kind) if kind.is_dir() && folder::is_corpus(&path) => continue,
            Ok(kind) if kind.is_dir() && depth == DEEPEST => Reason::TooDeep,
            Ok(kind) if kind.is_dir() => match fs::read_dir(&path) {
                Ok(entries) => {
                    search(entries, depth + 1, files, ignored);
                    continue;
                }
                Err(error) => Reason::Unreadable(error.to_string()),
            },
            Ok(kind) if kind.is_symlink() => Reason::Link,
            Ok(kind) if !kind.is_file() => Reason::Special,
            Ok(_) if Format::of_name(&path).is_none() => Reason::Ending,
            Ok(_) => {
                files.push(path);
                continue;
            }
            Err(error) => Reason::Unreadable(error.to_string()),
        };
        ignored.push(Ignored { path, reason });
    }
}

fn grouped(files: Vec<PathBuf>) -> Vec<Source> {
    let mut sources: BTreeMap<(PathBuf, String), Vec<Part>> = BTreeMap::new();
    for path in files {
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let block = PAGES.as_ref().and_then(|pattern| pattern.captures(&stem)).and_then(|found| {
            let pages = (found[2].parse().ok()?, found[3].parse().ok()?);
            Some((found[1].to_owned(), pages))
        });
        let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
        let (key, part) = match block {
            // The name alone: the parts share it.
            Some((name, pages)) => ((folder, name), Part { path, pages: Some(pages) }),
            None => ((path.clone(), stem), Part { path, pages: None }),
        };
        sources.entry(key).or_default().push(part);
    }
    let source = |((_, name), mut parts): ((PathBuf, String), Vec<Part>)| {
        parts.sort_by_key(|part| part.pages);
        Source { name, parts }
    };
    let mut sources: Vec<Source> = sources.into_iter().map(source).collect();
    tell_apart(&mut sources);
    sources
}

/// Gives sources of one name longer ones.
fn tell_apart(sources: &mut [Source]) {
    let mut alike: Vec<usize> = (0..sources.len()).collect();
    let mut names: Vec<String> = sources.iter().map(|source| source.name.clone()).collect();
    for folders in 1..=DEEPEST {
        for whole in [false, true] {
            let mut count: HashMap<&str, usize> = HashMap::new();
            names.iter().for_each(|name| *count.entry(name).or_default() += 1);
            alike.retain(|&at| count[names[at].as_str()] > 1);
            if alike.is_empty() {
                break;
            }
            for &at in &alike {
                names[at] = sources[at].long_name(folders, whole);
            }
        }
    }
    for (source, name) in sources.iter_mut().zip(names) {
        source.name = name;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_one_name_are_one_document_in_the_order_of_their_pages() {
        let home = tempfile::tempdir().unwrap();
        for name in [
            "a_pages_301-600.md",
            "a_pages_1-300.md",
            "b.txt",
            ".hidden.md",
            "c.unknown",
            "sub/a_pages_1-9.md",
        ] {
            let path = home.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        // The corpus of an earlier call, inside the folder.
        folder::Folder::open(&home.path().join("out")).unwrap();
        fs::write(home.path().join("out/documents/a-12345678.md"), "x").unwrap();
        let found = find(&[home.path().into(), home.path().join("b.txt")]).unwrap();
        let unknown = Ignored { path: home.path().join("c.unknown"), reason: Reason::Ending };
        assert_eq!(found.ignored, [unknown]);
        let found = found.sources;
        let names: Vec<_> = found.iter().map(|source| (source.name.as_str(), source.parts.len())).collect();
        let outer = home.path().file_name().unwrap().to_str().unwrap();
        assert_eq!(names, [(format!("{outer}/a").as_str(), 2), ("b", 1), ("sub/a", 1)]);
        assert_eq!(found[0].parts[0].pages, Some((1, 300)));
    }

    #[test]
    fn documents_of_one_name_are_told_apart_by_folder_and_ending() {
        let files =
            ["x/1/text.pdf", "x/1/text.xml", "x/2/text.pdf", "y/2/text.pdf", "y/3/other.pdf", "y/4/note.txt"];
        let names = |files: &[&str]| -> Vec<String> {
            grouped(files.iter().map(PathBuf::from).collect()).into_iter().map(|source| source.name).collect()
        };
        let expected = ["1/text.pdf", "1/text.xml", "x/2/text", "y/2/text", "other", "note"];
        assert_eq!(names(&files), expected);
        assert_eq!(names(&["a.md", "a.txt", "./a.md"]), ["./a", "a.md", "a.txt"]);
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_document_is_named_and_does_not_keep_the_rest_from_being_read() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        fs::write(at("a.txt"), "x").unwrap();
        fs::write(at("table.xlsx"), "x").unwrap();
        std::os::unix::fs::symlink(at("nowhere"), at("link.pdf")).unwrap();
        std::os::unix::net::UnixListener::bind(at("socket.txt")).unwrap();
        let deep = "sub/".repeat(DEEPEST + 1);
        fs::create_dir_all(at(&deep)).unwrap();
        fs::write(at(&deep).join("b.txt"), "x").unwrap();
        let found = find(&[home.path().into()]).unwrap();
        assert_eq!(found.sources.len(), 1);
        let ignored: Vec<_> =
            found.ignored.into_iter().map(|ignored| (ignored.path, ignored.reason)).collect();
        let expected = [
            (at("link.pdf"), Reason::Link),
            (at("socket.txt"), Reason::Special),
            (at(&deep[..deep.len() - 1]), Reason::TooDeep),
            (at("table.xlsx"), Reason::Ending),
        ];
        assert_eq!(ignored, expected);
    }

    #[test]
    fn a_missing_path_and_an_empty_folder_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let error = find(&[folder.path().into()]).unwrap_err().to_string();
        assert!(error.contains("nothing to read"), "{error}");
        assert!(matches!(find(&[folder.path().join("no")]), Err(CorpusError::Io { .. })));
    }
}
