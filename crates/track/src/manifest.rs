//! Where a run came from: enough to tell whether it can be repeated, and to see what changed when it cannot.

use crate::{Error, Machine, Result};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// `manifest.json` of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The program that made the run.
    pub program: Program,
    /// When the run began, UTC, RFC 3339.
    pub created: String,
    /// The seed of everything random.
    pub seed: u64,
    /// The base model as the recipe names it.
    pub base_model: String,
    /// The base model's files.
    pub base_files: Vec<FileHash>,
    /// The data files.
    pub data_files: Vec<FileHash>,
    /// The chat template that trained the model.
    pub template: Option<TextHash>,
    /// Where it ran.
    pub machine: Machine,
    /// The memory that was planned, by purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<serde_json::Value>,
}

/// Name, version and revision of the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The git revision it was built from, where known.
    pub git: Option<String>,
}

/// A file with its BLAKE3 hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileHash {
    /// The path as it was given.
    pub path: String,
    /// Length in bytes.
    pub bytes: u64,
    /// BLAKE3 of the content, 64 hexadecimal digits.
    pub blake3: String,
}

impl FileHash {
    /// Hashes a file without holding it in memory.
    pub fn of(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let mut hasher = blake3::Hasher::new();
        let file = File::open(path).map_err(Error::io(path))?;
        hasher.update_reader(file).map_err(Error::io(path))?;
        Ok(Self {
            path: path.display().to_string(),
            bytes: hasher.count(),
            blake3: hasher.finalize().to_hex().to_string(),
        })
    }

    /// Whether the file at the recorded path still has the recorded content.
    pub fn still_holds(&self) -> Result<bool> {
        let now = Self::of(&self.path)?;
        Ok(now.blake3 == self.blake3)
    }
}

/// A text with its BLAKE3 hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextHash {
    /// What the text is, e.g. `chat_template.jinja`.
    pub name: String,
    /// BLAKE3 of its UTF-8 bytes, 64 hexadecimal digits.
    pub blake3: String,
}

impl TextHash {
    /// Hashes a text.
    pub fn of(name: &str, text: &str) -> Self {
        Self { name: name.to_string(), blake3: blake3::hash(text.as_bytes()).to_hex().to_string() }
    }
}

/// Now in UTC as RFC 3339, to the second. A clock before 1970 gives 1970.
pub fn utc_timestamp() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
    timestamp(seconds)
}

/// Seconds since 1970 as a UTC date and time (Hinnant, "chrono-compatible low-level date algorithms",
/// `civil_from_days`, for days from 1970 on).
fn timestamp(seconds: u64) -> String {
    let days = seconds / 86_400 + 719_468; // since 0000-03-01
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153; // 0 is March
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_hashed_as_blake3_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty");
        std::fs::write(&path, "").unwrap();
        let hash = FileHash::of(&path).unwrap();
        // The empty input of BLAKE3's own test vectors.
        assert_eq!(hash.blake3, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
        assert_eq!(hash.bytes, 0);
        assert!(hash.still_holds().unwrap());
        std::fs::write(&path, "changed").unwrap();
        assert!(!hash.still_holds().unwrap());
    }

    #[test]
    fn timestamps_follow_the_calendar() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00Z");
        assert_eq!(timestamp(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(timestamp(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(timestamp(1_709_251_199), "2024-02-29T23:59:59Z");
        assert_eq!(timestamp(4_107_542_400), "2100-03-01T00:00:00Z");
    }
}
