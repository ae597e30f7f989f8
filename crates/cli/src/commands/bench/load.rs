//! `medtune bench load`: loading weights, beside reading their files.

use std::hint::black_box;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

use model::{Decoder, Trainable};
use serde_json::{Value, json};
use track::memory;

use super::{about, train};
use crate::args::FourBit;
use crate::failure::{Outcome, io};
use crate::pipeline::base;

/// How much the plain reading asks for at a time, into the same memory each time.
const CHUNK: usize = 1 << 20;

/// Loads a model `rounds` times, and reads its files as often: through a small buffer (`cat FILE > /dev/null`), and into
/// new memory as long as they are. The best times count.
pub(super) fn measure(name: &str, quantize: Option<FourBit>, rounds: usize) -> Outcome<Value> {
    let folder = formats::hub::resolve(name)?;
    let files = weight_files(&folder)?;
    let options = quantize.map(train::options);
    let (mut loading, mut reading, mut filling) = (f64::INFINITY, f64::INFINITY, f64::INFINITY);
    let (mut peak, mut resident, mut length) = (None, None, 0);
    let mut report = Value::Null;
    for _ in 0..rounds {
        let clock = Instant::now();
        length = files.iter().map(|file| read_through(file)).sum::<Outcome<u64>>()?;
        reading = reading.min(clock.elapsed().as_secs_f64());

        let before = memory::resident();
        let clock = Instant::now();
        let decoder =
            Decoder::load_as(base::device(), &folder, &Trainable::Nothing, options.map(Into::into))?;
        loading = loading.min(clock.elapsed().as_secs_f64());
        // Nothing before the first load has held more.
        if peak.is_none() {
            let grown = |now: Option<u64>| Some(now?.saturating_sub(before?));
            (peak, resident) = (grown(memory::peak()), grown(memory::resident()));
        }
        report = about(("model", name), &decoder);
        drop(black_box(decoder));

        let clock = Instant::now();
        for file in &files {
            black_box(std::fs::read(file).map_err(io(file))?);
        }
        filling = filling.min(clock.elapsed().as_secs_f64());
    }
    report["file_bytes"] = length.into();
    report["load_seconds"] = loading.into();
    report["read_seconds"] = reading.into();
    report["read_into_memory_seconds"] = filling.into();
    report["load_rss_bytes"] = json!(resident);
    report["load_peak_rss_bytes"] = json!(peak);
    report["peak_by_file"] = json!(peak.map(|peak| peak as f64 / length as f64));
    Ok(report)
}

fn weight_files(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(io(folder))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "safetensors"));
    files.sort();
    Ok(files)
}

/// Reads a file to its end; its length.
fn read_through(path: &Path) -> Outcome<u64> {
    let mut file = std::fs::File::open(path).map_err(io(path))?;
    let (mut chunk, mut length) = (vec![0; CHUNK], 0);
    loop {
        match file.read(&mut chunk).map_err(io(path))? {
            0 => return Ok(length),
            count => length += count as u64,
        }
    }
}
