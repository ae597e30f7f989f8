//! Checkpoints: a folder that appears whole or not at all.
//!
//! Everything is written into a temporary folder beside the final place, each file synced; `MANIFEST.json`, with the
//! length and hash of every file, is written last; then the folder is renamed and its parent synced. A kill at any
//! moment leaves the last whole checkpoint.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use compute::{Backend, DeviceBuffer};
use formats::{Dtype, SafetensorsFile, TensorBytes};
use model::Decoder;
use serde::{Deserialize, Serialize};

use crate::optimizer::Optimizer;
use crate::{Error, Result};

/// What a resumed run needs besides tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Steps that are done.
    pub step: u64,
    /// Steps that reached the weights.
    pub optimizer_steps: u64,
    /// Hash of all that decides the run: recipe, data, base.
    pub run_hash: String,
    /// Sum of the losses of all steps so far.
    pub loss_sum: f64,
    /// Tokens so far.
    pub tokens: u64,
    /// Examples so far.
    pub examples: u64,
    /// Seconds of training so far.
    pub seconds: f64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    step: u64,
    files: BTreeMap<String, FileRecord>,
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
struct FileRecord {
    bytes: u64,
    blake3: String,
}

const MANIFEST: &str = "MANIFEST.json";
const WEIGHTS: &str = "parameters.safetensors";
const MOMENTS: &str = "optimizer.safetensors";
const STATE: &str = "state.json";

fn name(step: u64) -> String {
    format!("step-{step:06}")
}

/// Writes the checkpoint of `state.step` into `folder` and removes the oldest beyond `keep`.
///
/// # Errors
/// When the system refuses; checkpoints that were there are as they were.
pub fn save<B: Backend>(
    folder: &Path,
    keep: usize,
    decoder: &Decoder<B>,
    optimizer: &Optimizer<B>,
    state: &State,
) -> Result<PathBuf> {
    fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    let temporary = folder.join(format!(".tmp-{}-{}", std::process::id(), state.step));
    let written = write_all(&temporary, decoder, optimizer, state);
    if let Err(error) = written {
        let _ = fs::remove_dir_all(&temporary);
        return Err(error);
    }
    let place = folder.join(name(state.step));
    if place.exists() {
        fs::remove_dir_all(&place).map_err(|e| Error::io(&place, e))?;
    }
    fs::rename(&temporary, &place).map_err(|e| Error::io(&place, e))?;
    sync_folder(folder)?;
    let mut all = list(folder)?;
    while all.len() > keep.max(1) {
        let oldest = all.remove(0);
        fs::remove_dir_all(&oldest).map_err(|e| Error::io(&oldest, e))?;
    }
    Ok(place)
}

fn write_all<B: Backend>(
    temporary: &Path,
    decoder: &Decoder<B>,
    optimizer: &Optimizer<B>,
    state: &State,
) -> Result<()> {
    if temporary.exists() {
        fs::remove_dir_all(temporary).map_err(|e| Error::io(temporary, e))?;
    }
    fs::create_dir(temporary).map_err(|e| Error::io(temporary, e))?;
    let flat = |buffer: &B::Buffer| -> Vec<u8> {
        let mut values = vec![0.0; decoder.parameters.len()];
        decoder.backend().read(buffer, 0, &mut values);
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    };
    let shape = [decoder.parameters.len()];
    let put = |file: &str, tensors: &[(&str, Vec<u8>)]| -> Result<()> {
        let views: Vec<TensorBytes<'_>> = tensors
            .iter()
            .map(|(name, bytes)| TensorBytes { name, dtype: Dtype::F32, shape: &shape, bytes })
            .collect();
        Ok(formats::safetensors::write(temporary.join(file), &views, &BTreeMap::new())?)
    };
    put(WEIGHTS, &[("parameters", flat(&decoder.parameters.values))])?;
    put(MOMENTS, &[("m", flat(&optimizer.first_moment)), ("v", flat(&optimizer.second_moment))])?;
    let text = serde_json::to_vec_pretty(state).expect("numbers and strings");
    formats::atomic::write_atomic(temporary.join(STATE), &text)?;
    let mut files = BTreeMap::new();
    for file in [WEIGHTS, MOMENTS, STATE] {
        files.insert(file.to_owned(), record(&temporary.join(file))?);
    }
    let manifest =
        serde_json::to_vec_pretty(&Manifest { step: state.step, files }).expect("numbers and strings");
    formats::atomic::write_atomic(temporary.join(MANIFEST), &manifest)?;
    sync_folder(temporary)
}

fn record(path: &Path) -> Result<FileRecord> {
    let mut file = fs::File::open(path).map_err(|e| Error::io(path, e))?;
    let mut hasher = blake3::Hasher::new();
    let bytes = std::io::copy(&mut file, &mut hasher).map_err(|e| Error::io(path, e))?;
    Ok(FileRecord { bytes, blake3: hasher.finalize().to_hex().to_string() })
}

fn sync_folder(folder: &Path) -> Result<()> {
    fs::File::open(folder).and_then(|f| f.sync_all()).map_err(|e| Error::io(folder, e))
}

/// Checkpoints in `folder`, oldest first, whole or not.
fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder).map_err(|e| Error::io(folder, e))?;
    let mut all: Vec<PathBuf> = entries
        .filter_map(|e| e.ok())
        .map(|e| e.path())
        .filter(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("step-")))
        .collect();
    all.sort();
    Ok(all)
}

/// Removes what a killed run left half-written.
///
/// # Errors
/// When the system refuses.
pub fn remove_stale(folder: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.filter_map(|e| e.ok()) {
        if entry.file_name().to_string_lossy().starts_with(".tmp-") {
            fs::remove_dir_all(entry.path()).map_err(|e| Error::io(&entry.path(), e))?;
        }
    }
    Ok(())
}

/// What [`newest`] found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Newest {
    /// The newest whole checkpoint, and its state.
    pub found: Option<(PathBuf, State)>,
    /// Why newer ones were passed over.
    pub skipped: Vec<String>,
}

/// The newest whole checkpoint, and why newer ones were passed over.
///
/// # Errors
/// When the folder cannot be read.
pub fn newest(folder: &Path) -> Result<Newest> {
    let mut skipped = Vec::new();
    for place in list(folder)?.into_iter().rev() {
        match verify(&place) {
            Ok(state) => return Ok(Newest { found: Some((place, state)), skipped }),
            Err(reason) => skipped.push(format!("{}: {reason}", place.display())),
        }
    }
    Ok(Newest { found: None, skipped })
}

fn verify(place: &Path) -> std::result::Result<State, String> {
    let text = fs::read(place.join(MANIFEST)).map_err(|_| "has no MANIFEST.json".to_owned())?;
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|e| format!("{MANIFEST}: {e}"))?;
    for (file, expected) in &manifest.files {
        let found = record(&place.join(file)).map_err(|e| e.to_string())?;
        if found != *expected {
            return Err(format!("{file} is not what the manifest says"));
        }
    }
    let text = fs::read(place.join(STATE)).map_err(|e| e.to_string())?;
    serde_json::from_slice(&text).map_err(|e| format!("{STATE}: {e}"))
}

/// Puts the weights and moments of a checkpoint into `decoder` and `optimizer`.
///
/// # Errors
/// When the checkpoint belongs to another model.
pub fn load<B: Backend>(
    place: &Path,
    state: &State,
    decoder: &mut Decoder<B>,
    optimizer: &mut Optimizer<B>,
) -> Result<()> {
    let backend = decoder.backend().clone();
    let fill = |file: &SafetensorsFile, tensor: &str, buffer: &mut B::Buffer| -> Result<()> {
        let values = file.f32(tensor)?;
        if values.len() != buffer.len() {
            let reason = format!("{tensor} has {} values, the model {}", values.len(), buffer.len());
            return Err(Error::Checkpoint { path: place.to_owned(), reason });
        }
        backend.write(buffer, 0, &values);
        Ok(())
    };
    fill(&SafetensorsFile::open(place.join(WEIGHTS))?, "parameters", &mut decoder.parameters.values)?;
    let moments = SafetensorsFile::open(place.join(MOMENTS))?;
    fill(&moments, "m", &mut optimizer.first_moment)?;
    fill(&moments, "v", &mut optimizer.second_moment)?;
    optimizer.steps = state.optimizer_steps;
    Ok(())
}
