//! Room on the disk.

use std::path::Path;

/// Bytes that can be written to the disk of an existing folder; nothing where the system does not say.
#[cfg(unix)]
pub(crate) fn free(folder: &Path) -> Option<u64> {
    let about = rustix::fs::statvfs(folder).ok()?;
    Some(about.f_bavail.saturating_mul(about.f_frsize))
}

/// Bytes that can be written to the disk of an existing folder; nothing where the system does not say.
#[cfg(not(unix))]
pub(crate) fn free(_: &Path) -> Option<u64> {
    None
}
