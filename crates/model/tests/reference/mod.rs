//! Reference data that lies beside the repository and is not part of it.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// The folder of reference data: `MEDTUNE_ORACLES`, or `shared/data` beside the repository.
pub(crate) fn oracle_dir() -> Option<PathBuf> {
    let folder = match std::env::var_os("MEDTUNE_ORACLES") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
    };
    folder.is_dir().then_some(folder)
}

/// A file or folder of the reference data; where it is absent the caller's test says so and checks nothing.
pub(crate) fn oracle(name: &str) -> Option<PathBuf> {
    let path = oracle_dir().map(|folder| folder.join(name)).filter(|path| path.exists());
    if path.is_none() {
        eprintln!("ORACLE ABSENT: {name} is not there, so this test compared nothing (set MEDTUNE_ORACLES)");
    }
    path
}

/// A JSON file of the reference data.
#[allow(dead_code, reason = "not every test file that shares this module reads JSON")]
pub(crate) fn oracle_json(name: &str) -> Option<Value> {
    let text = std::fs::read_to_string(oracle(name)?).expect("the oracle can be read");
    Some(serde_json::from_str(&text).expect("the oracle is JSON"))
}
