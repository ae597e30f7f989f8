//! Where the reference data lie, for the tests of this crate and of `dataset`.

use std::path::{Path, PathBuf};

/// The file under the folder of reference data (`MEDTUNE_ORACLES`, or `shared/data` beside the checkout); `None`,
/// with a word about it, where it is not there.
pub(crate) fn oracle(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("MEDTUNE_ORACLES").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"));
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} is not there", path.display());
    None
}
