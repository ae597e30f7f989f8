//! The files of a task under a folder.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Endings that rows are read from.
const ENDINGS: [&str; 8] =
    [".jsonl", ".json", ".parquet", ".csv", ".jsonl.gz", ".json.gz", ".csv.gz", ".tsv"];

/// The files of the first of `stems` that has any: one file, or the numbered parts that the Hugging Face Hub cuts large
/// ones into (`test-00000-of-00002.parquet`), in order.
pub(super) fn find(data: &Path, stems: &[String]) -> Vec<PathBuf> {
    stems.iter().map(|stem| files_of(data, stem)).find(|files| !files.is_empty()).unwrap_or_default()
}

fn files_of(data: &Path, stem: &str) -> Vec<PathBuf> {
    let whole = ENDINGS.iter().map(|ending| data.join(format!("{stem}{ending}"))).find(|path| path.is_file());
    if let Some(path) = whole {
        return vec![path];
    }
    let place = data.join(stem);
    let (Some(folder), Some(name)) = (place.parent(), place.file_name()) else { return Vec::new() };
    let prefix = format!("{}-", name.to_string_lossy());
    let is_part = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.strip_prefix(&prefix).is_some_and(|rest| rest.contains("-of-") && rest.ends_with(".parquet"))
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut parts: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_part).collect();
    parts.sort();
    parts
}

/// The keys of a JSON object.
pub(super) fn keys(path: &Path) -> Result<HashSet<String>, String> {
    let wrong = |reason: String| format!("{}: {reason}", path.display());
    let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
    Ok(object.into_iter().map(|(key, _)| key).collect())
}
