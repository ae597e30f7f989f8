//! What a converter made of a file, read back from its Markdown.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

use corpus::cleaning::{Rules, clean};
use corpus::pdf::PdfReader;
use corpus::{Reader, to_markdown};

/// Where the Markdown comes from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// This project's reader and its cleaning.
    Reader {
        /// Whether bookmarks are used.
        outline: bool,
    },
    /// Files that another tool wrote.
    Folder(PathBuf),
}

/// A converted file.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// All that was read.
    pub(crate) markdown: String,
    /// What cleaning left; the same as above for other tools.
    pub(crate) cleaned: String,
    pub(crate) seconds: f64,
}

impl Source {
    /// Converts `pdf`, which belongs to the set `set`.
    pub(crate) fn convert(&self, set: &str, pdf: &Path) -> Result<Output, Box<dyn Error>> {
        match self {
            Self::Reader { outline } => {
                let bytes = std::fs::read(pdf)?;
                let start = Instant::now();
                let mut document = PdfReader { outline: *outline }.read(pdf, &bytes)?;
                let markdown = to_markdown(&document.blocks);
                clean(&mut document, &Rules::default());
                let cleaned = to_markdown(&document.blocks);
                Ok(Output { markdown, cleaned, seconds: start.elapsed().as_secs_f64() })
            }
            Self::Folder(folder) => {
                let mut name = pdf.file_stem().unwrap_or_default().to_owned();
                if name == "fulltext" {
                    name = pdf.parent().and_then(Path::file_name).unwrap_or_default().to_owned();
                }
                let path = folder.join(set).join(name).with_extension("md");
                // `with_extension` would cut a name at its last dot.
                let path = match path.exists() {
                    true => path,
                    false => folder.join(set).join(format!(
                        "{}.md",
                        pdf.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy()
                    )),
                };
                let markdown = std::fs::read_to_string(path).unwrap_or_default();
                Ok(Output { cleaned: markdown.clone(), markdown, seconds: 0.0 })
            }
        }
    }
}

impl Output {
    /// Level and text of each heading.
    pub(crate) fn headings(&self) -> Vec<(usize, String)> {
        let lines = self.markdown.lines().filter(|line| line.starts_with('#'));
        lines
            .map(|line| {
                let level = line.chars().take_while(|&c| c == '#').count();
                (level, plain(line[level..].trim()))
            })
            .filter(|(_, text)| !text.is_empty())
            .collect()
    }

    /// Everything without Markdown's marks.
    pub(crate) fn text(&self) -> String {
        self.markdown.lines().map(|line| plain(line) + "\n").collect()
    }

    /// What cleaning left, without Markdown's marks.
    pub(crate) fn cleaned_text(&self) -> String {
        self.cleaned.lines().map(|line| plain(line) + "\n").collect()
    }

    /// Rows of each table.
    pub(crate) fn tables(&self) -> Vec<Vec<Vec<String>>> {
        let mut tables: Vec<Vec<Vec<String>>> = Vec::new();
        let mut inside = false;
        for line in self.markdown.lines() {
            let row = line.trim();
            if !row.starts_with('|') {
                inside = false;
                continue;
            }
            if !inside {
                tables.push(Vec::new());
                inside = true;
            }
            if row.chars().all(|c| "|-: ".contains(c)) {
                continue;
            }
            let row = row.replace("\\|", "\u{1}");
            let row = row.strip_suffix('|').unwrap_or(&row);
            let cells = row[1..].split('|').map(|cell| plain(&cell.replace('\u{1}', "|")));
            tables.last_mut().expect("a table was begun").push(cells.collect());
        }
        tables
    }
}

/// Text without emphasis, comments, line breaks and images.
fn plain(text: &str) -> String {
    let mut text = text.replace("<br>", " ").replace("**", "").replace("\\_", "_");
    for mark in
        ["<sup>", "</sup>", "<sub>", "</sub>", "<u>", "</u>", "==> picture", "intentionally omitted <=="]
    {
        text = text.replace(mark, " ");
    }
    while let (Some(from), Some(to)) = (text.find("<!--"), text.find("-->")) {
        if to < from {
            break;
        }
        text.replace_range(from..to + 3, " ");
    }
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
    for (entity, sign) in entities {
        text = text.replace(entity, sign);
    }
    // Emphasis marks stand at the edges of words.
    let words = text.split_whitespace().map(|word| word.trim_matches(|c| c == '_' || c == '*' || c == '`'));
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}
