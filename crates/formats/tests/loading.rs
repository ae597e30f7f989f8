//! Loading a checkpoint costs what reading its file costs, in time and in memory.
//!
//! The file here is small, so that this runs everywhere, and other work on the machine is allowed for.
//! `MEDTUNE_LARGE_FILE_MB=2048 cargo test --release -p formats --test loading -- --nocapture` measures one of a real
//! model's size on a machine of one's own, and holds it to a fifth; `TMPDIR` sets the place.

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use formats::safetensors::write;
use formats::{Checkpoint, Dtype, TensorBytes};

const MIB: usize = 1 << 20;
/// A tensor of a seven-billion-parameter model's projections, 32 MiB.
const SHAPE: [usize; 2] = [4096, 4096];

#[test]
fn a_checkpoint_loads_as_fast_as_its_file_is_read() {
    let given = std::env::var("MEDTUNE_LARGE_FILE_MB").ok().map(|text| text.parse().expect("a number"));
    let (megabytes, most) = given.map_or((256, 4.0), |megabytes: usize| (megabytes, 1.2));
    let bytes: Vec<u8> = (0..SHAPE[0] * SHAPE[1] * 2).map(|i| (i * 31) as u8).collect();
    let names: Vec<String> =
        (0..megabytes * MIB / bytes.len()).map(|i| format!("layer.{i}.weight")).collect();
    let tensors: Vec<TensorBytes<'_>> = names
        .iter()
        .map(|name| TensorBytes { name, dtype: Dtype::BF16, shape: &SHAPE, bytes: &bytes })
        .collect();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.safetensors");
    write(&path, &tensors, &BTreeMap::new()).expect("it is written");
    let length = fs::metadata(&path).expect("it is there").len();
    drop(bytes);

    let before = memory("VmRSS:");
    let (mut loading, mut reading, mut peak) = (Duration::MAX, Duration::MAX, None);
    for _ in 0..3 {
        let start = Instant::now();
        let checkpoint = Checkpoint::open(folder.path()).expect("it opens");
        let loaded: Vec<_> = names.iter().map(|name| checkpoint.tensor(name).expect("it is there")).collect();
        loading = loading.min(start.elapsed());
        // Nothing before the first load has held more.
        peak.get_or_insert_with(|| memory("VmHWM:").saturating_sub(before));
        drop(black_box(loaded));

        let start = Instant::now();
        let whole = fs::read(&path).expect("it can be read");
        reading = reading.min(start.elapsed());
        drop(black_box(whole));
    }
    let (time, size) =
        (loading.as_secs_f64() / reading.as_secs_f64(), peak.unwrap_or(0) as f64 / length as f64);
    println!(
        "{length} bytes: {loading:.2?} against {reading:.2?}: {time:.2} of the time, {size:.3} of the size"
    );
    assert!(time < most, "{time:.2} times as long as reading the file");
    assert!(size < 1.1, "{size:.3} times as much memory as the file is long");
}

/// Memory of this process in bytes as Linux counts it, now (`VmRSS:`) or at its largest (`VmHWM:`); 0 elsewhere.
fn memory(key: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|text| text.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) * 1024
}
