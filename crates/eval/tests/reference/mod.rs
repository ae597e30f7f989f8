//! Where the values of other programs are.

use std::path::PathBuf;

/// A file of the folder of oracles: `MEDTUNE_ORACLES`, or the one beside the repository. It is no part of the repository.
pub(crate) fn oracle(path: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("MEDTUNE_ORACLES").map(PathBuf::from);
    let folder =
        folder.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"));
    let file = folder.join(path);
    if !file.exists() {
        eprintln!("ORACLE ABSENT: {path} is not there, so this test compared nothing (set MEDTUNE_ORACLES)");
        return None;
    }
    Some(file)
}
