//! Checkpoints: a folder that appears whole or not at all.
//!
//! Everything is written into a temporary folder beside the final place, each file synced; `MANIFEST.json`, with the
//! length and hash of every file, is written last; then the folder is renamed and its parent synced. A kill at any
//! moment leaves the last whole checkpoint.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use compute::{Backend, DeviceBuffer};
use formats::safetensors::TensorShape;
use formats::{Dtype, SafetensorsFile};
use model::Decoder;
use serde::{Deserialize, Serialize};

use crate::identity::Identity;
use crate::optimizer::Optimizer;
use crate::selection::Selection;
use crate::{Error, Result};
use track::failpoint;

/// What a resumed run needs besides tensors. Nothing random has a state of its own: start, order and noise follow from
/// the seed of the recipe (in `identity`) and from the step; so do the place in the data and the learning rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Steps that are done: the place in the plan.
    pub step: u64,
    /// The evaluation that is due after this step has been made.
    pub evaluated: bool,
    /// Steps that reached the weights.
    pub optimizer_steps: u64,
    /// All that decides the run: recipe, data, base.
    pub identity: Identity,
    /// Sums over the steps so far.
    pub totals: Totals,
    /// Steps in a row that were skipped.
    pub skipped_in_row: u32,
    /// Every parameter has had a gradient.
    pub gradients_seen: bool,
    /// Last validation loss per token.
    pub validation_loss: Option<f64>,
    /// The best evaluation.
    pub selection: Selection,
}

/// Sums over the steps of a run.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Sum of the losses of all steps that were not skipped.
    pub loss: f64,
    /// Steps that were skipped because a value was not finite.
    pub skipped: u64,
    /// Tokens.
    pub tokens: u64,
    /// Examples.
    pub examples: u64,
    /// Seconds of training.
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
/// Begins the name of a checkpoint that is being removed.
const RETIRED: &str = ".tmp-retired-";

fn name(step: u64) -> String {
    format!("step-{step:06}")
}

/// Where the checkpoint of `step` is in `folder`.
pub fn place(folder: &Path, step: u64) -> PathBuf {
    folder.join(name(step))
}

/// Writes the checkpoint of `state.step` into `folder` and removes the oldest beyond `keep`, but never that of the best
/// step.
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
    failpoint::hit("checkpoint.begin");
    if !folder.exists() {
        fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        sync_folder(folder.parent().unwrap_or(folder))?;
    }
    let temporary = folder.join(format!(".tmp-{}-{}", std::process::id(), state.step));
    let written = write_all(&temporary, decoder, optimizer, state);
    if let Err(error) = written {
        let _ = fs::remove_dir_all(&temporary);
        return Err(error);
    }
    failpoint::hit("checkpoint.complete");
    let place = place(folder, state.step);
    retire(&place)?;
    fs::rename(&temporary, &place).map_err(|e| Error::io(&place, e))?;
    failpoint::hit("checkpoint.renamed");
    sync_folder(folder)?;
    let best = state.selection.best.map(|best| self::place(folder, best.step));
    let mut old = list(folder)?;
    old.retain(|other| *other != place && Some(other) != best.as_ref());
    while old.len() + 1 > keep.max(1) {
        retire(&old.remove(0))?;
    }
    failpoint::hit("checkpoint.end");
    Ok(place)
}

/// Removes a checkpoint, if it is there: out of the list in one step, then from the disk.
fn retire(place: &Path) -> Result<()> {
    if !place.exists() {
        return Ok(());
    }
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    let retired = place.with_file_name(format!("{RETIRED}{name}"));
    if retired.exists() {
        fs::remove_dir_all(&retired).map_err(|e| Error::io(&retired, e))?;
    }
    fs::rename(place, &retired).map_err(|e| Error::io(place, e))?;
    failpoint::hit("checkpoint.retiring");
    fs::remove_dir_all(&retired).map_err(|e| Error::io(&retired, e))
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
    let backend = &**decoder.backend();
    let put = |file: &str, tensors: &[NamedTensor<'_, B>]| -> Result<()> {
        let shapes: Vec<TensorShape> = tensors.iter().map(NamedTensor::shape).collect();
        let fill = |index: usize, writer: &mut dyn Write| tensors[index].write(backend, writer);
        Ok(formats::safetensors::write_with(temporary.join(file), &shapes, &BTreeMap::new(), fill)?)
    };
    put(WEIGHTS, &[NamedTensor { name: "parameters", values: Values::Device(&decoder.parameters.values) }])?;
    failpoint::hit("checkpoint.parameters");
    put(MOMENTS, &optimizer.moments.tensors())?;
    failpoint::hit("checkpoint.optimizer");
    let text = serde_json::to_vec_pretty(state).expect("numbers and strings");
    formats::atomic::write_atomic(temporary.join(STATE), &text)?;
    failpoint::hit("checkpoint.state");
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

/// Makes names in a folder durable.
fn sync_folder(folder: &Path) -> Result<()> {
    if cfg!(windows) {
        return Ok(()); // A folder cannot be opened for syncing there.
    }
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

/// Removes what a killed run left half-written. A whole checkpoint that was on its way out comes back: the one that was
/// to take its place may not be there.
///
/// # Errors
/// When the system refuses.
pub fn remove_stale(folder: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.filter_map(|e| e.ok()) {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let place = name.strip_prefix(RETIRED).map(|name| folder.join(name));
        match place.filter(|place| !place.exists() && verify(&path).is_ok()) {
            Some(place) => fs::rename(&path, &place).map_err(|e| Error::io(&path, e))?,
            None if name.starts_with(".tmp-") => {
                fs::remove_dir_all(&path).map_err(|e| Error::io(&path, e))?;
            }
            None => {}
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

/// Refuses a resume under another identity than that of the newest checkpoint, before anything is written.
///
/// # Errors
/// [`Error::Changed`] with what differs.
pub fn refuse_other(folder: &Path, now: &Identity) -> Result<()> {
    match newest(folder)?.found {
        Some((place, state)) => same_run(&place, &state, now),
        None => Ok(()),
    }
}

/// As [`refuse_other`], for a checkpoint that has been found.
pub(crate) fn same_run(place: &Path, state: &State, now: &Identity) -> Result<()> {
    let differences = state.identity.differences(now);
    match differences.is_empty() {
        true => Ok(()),
        false => Err(Error::Changed { path: place.to_owned(), differences }),
    }
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
    load_weights(place, decoder)?;
    let moments = SafetensorsFile::open(place.join(MOMENTS))?;
    let restored = optimizer.moments.restore(&**decoder.backend(), &moments)?;
    restored.map_err(|reason| Error::Checkpoint { path: place.join(MOMENTS), reason })?;
    optimizer.steps = state.optimizer_steps;
    Ok(())
}

/// Puts the weights of the checkpoint of `step` into `decoder`.
///
/// # Errors
/// When the checkpoint is not whole, or belongs to another model.
pub fn load_step<B: Backend>(folder: &Path, step: u64, decoder: &mut Decoder<B>) -> Result<()> {
    let place = place(folder, step);
    verify(&place).map_err(|reason| Error::Checkpoint { path: place.clone(), reason })?;
    load_weights(&place, decoder)
}

fn load_weights<B: Backend>(place: &Path, decoder: &mut Decoder<B>) -> Result<()> {
    let backend = decoder.backend().clone();
    let file = SafetensorsFile::open(place.join(WEIGHTS))?;
    let read = read_into(&file, "parameters", &*backend, &mut decoder.parameters.values)?;
    read.map_err(|reason| Error::Checkpoint { path: place.join(WEIGHTS), reason })
}

/// Brings a flat tensor of a file to the device. The inner error says what does not fit.
pub(crate) fn read_into<B: Backend>(
    file: &SafetensorsFile,
    name: &str,
    backend: &B,
    buffer: &mut B::Buffer,
) -> Result<std::result::Result<(), String>> {
    let length: usize = file.info(name)?.1.iter().product();
    if length != buffer.len() {
        return Ok(Err(format!("{name} has {length} values, the model {}", buffer.len())));
    }
    file.each_f32(name, |first, values| backend.write(buffer, first, values))?;
    Ok(Ok(()))
}

/// A flat tensor on its way to a file.
#[derive(Debug)]
pub(crate) struct NamedTensor<'a, B: Backend> {
    pub(crate) name: &'static str,
    pub(crate) values: Values<'a, B>,
}

/// Where the values of a tensor are.
#[derive(Debug)]
pub(crate) enum Values<'a, B: Backend> {
    Device(&'a B::Buffer),
    F32(&'a [f32]),
    U8(&'a [u8]),
}

/// Values that are written at a time: a copy of all of them would be the largest thing in memory.
const CHUNK: usize = 1 << 18;

impl<B: Backend> NamedTensor<'_, B> {
    fn shape(&self) -> TensorShape {
        let (dtype, length) = match &self.values {
            Values::Device(buffer) => (Dtype::F32, buffer.len()),
            Values::F32(values) => (Dtype::F32, values.len()),
            Values::U8(values) => (Dtype::U8, values.len()),
        };
        TensorShape { name: self.name.to_owned(), dtype, shape: vec![length] }
    }

    fn write(&self, backend: &B, writer: &mut dyn Write) -> io::Result<()> {
        let mut bytes = Vec::new();
        let mut put = |values: &[f32]| {
            bytes.clear();
            bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
            writer.write_all(&bytes)
        };
        match &self.values {
            Values::U8(values) => writer.write_all(values),
            Values::F32(values) => values.chunks(CHUNK).try_for_each(put),
            Values::Device(buffer) => {
                let mut values = vec![0.0; CHUNK.min(buffer.len())];
                (0..buffer.len()).step_by(CHUNK).try_for_each(|first| {
                    let values = &mut values[..CHUNK.min(buffer.len() - first)];
                    backend.read(buffer, first, values);
                    put(values)
                })
            }
        }
    }
}
