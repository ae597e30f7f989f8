//! Replaces a file in one piece: written beside its place, synced, renamed.

use crate::{Error, Result};
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Puts `bytes` at `path` so that a kill at any moment leaves either the old file or the new one.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.tmp", std::process::id()));
    let beside = path.with_file_name(name);
    let put = || -> std::io::Result<()> {
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        // The rename itself is durable once the folder is synced; not every system can sync a folder.
        if let Some(folder) = path.parent().and_then(|folder| File::open(folder).ok()) {
            let _ = folder.sync_all();
        }
        Ok(())
    };
    put().map_err(|source| {
        let _ = std::fs::remove_file(&beside);
        Error::Io { path: path.to_path_buf(), source }
    })
}
