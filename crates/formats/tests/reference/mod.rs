//! Reference data, which lies beside the repository and is not part of it.

use std::path::{Path, PathBuf};

/// A file or folder of the reference data: under `MEDTUNE_ORACLES`, or in `shared/data` beside the repository. `None`,
/// and a line that says so, when it is not there.
pub(crate) fn oracle(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("MEDTUNE_ORACLES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from);
    let path = Some(folder.join(name)).filter(|path| path.exists());
    if path.is_none() {
        eprintln!("ORACLE ABSENT: {name} is not there, so this test compared nothing (set MEDTUNE_ORACLES)");
    }
    path
}
