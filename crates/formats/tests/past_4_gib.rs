//! Tensors that lie beyond what 32 bits can count. The files have holes: they are long, and take no room on the disk.
#![cfg(unix)]

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use formats::{Dtype, GgufFile, SafetensorsFile};

/// Bytes of the tensor before the one that is read: 5 GiB and a bit, a multiple of 64.
const HOLE: u64 = (5 << 30) + 64;
const TAIL: [f32; 4] = [1.0, -2.5, 3.0, 1e-3];

/// A file of `start`, a hole up to `offset` behind it, and the tail.
fn write_with_hole(path: &Path, start: &[u8], offset: u64) {
    let mut file = File::create(path).expect("it is created");
    file.write_all(start).expect("it is written");
    file.seek(SeekFrom::Start(start.len() as u64 + offset)).expect("a hole");
    let tail: Vec<u8> = TAIL.iter().flat_map(|value| value.to_le_bytes()).collect();
    file.write_all(&tail).expect("it is written");
}

#[test]
fn a_safetensors_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.safetensors");
    let header = format!(
        r#"{{"hole":{{"dtype":"U8","shape":[{HOLE}],"data_offsets":[0,{HOLE}]}},"tail":{{"dtype":"F32","shape":[2,2],"data_offsets":[{HOLE},{}]}}}}"#,
        HOLE + 16
    );
    let start = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
    write_with_hole(&path, &start, HOLE);
    let file = SafetensorsFile::open(&path).expect("it opens");
    assert_eq!(file.byte_length("hole").expect("it is there") as u64, HOLE);
    assert_eq!(file.info("tail").expect("it is there"), (Dtype::F32, &[2, 2][..]));
    assert_eq!(file.f32("tail").expect("it can be read"), TAIL);

    // One byte less, and the file ends inside the tail.
    let length = start.len() as u64 + HOLE + 15;
    File::options().write(true).open(&path).and_then(|file| file.set_len(length)).expect("it is cut");
    let error = SafetensorsFile::open(&path).expect_err("it is cut off").to_string();
    assert!(error.contains("model.safetensors"), "{error}");
}

#[test]
fn a_gguf_file() {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let tensor = |name: &str, dimensions: &[u64], offset: u64| {
        let dimensions: Vec<u8> = (dimensions.len() as u32)
            .to_le_bytes()
            .into_iter()
            .chain(dimensions.iter().flat_map(|d| d.to_le_bytes()))
            .collect();
        // Type 0 is F32.
        [text(name), dimensions, 0u32.to_le_bytes().to_vec(), offset.to_le_bytes().to_vec()].concat()
    };
    let counts = [b"GGUF".to_vec(), 3u32.to_le_bytes().to_vec(), 2u64.to_le_bytes().to_vec(), vec![0; 8]];
    let mut start =
        [counts.concat(), tensor("hole", &[HOLE / 64, 16], 0), tensor("tail", &[2, 2], HOLE)].concat();
    start.resize(start.len().next_multiple_of(32), 0);

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.gguf");
    write_with_hole(&path, &start, HOLE);
    let file = GgufFile::open(&path).expect("it opens");
    assert_eq!(file.info("hole").expect("it is there").shape, [16, HOLE as usize / 64]);
    assert_eq!(file.f32("tail").expect("it can be read"), TAIL);

    let length = start.len() as u64 + HOLE + 15;
    File::options().write(true).open(&path).and_then(|file| file.set_len(length)).expect("it is cut");
    let error = GgufFile::open(&path).expect_err("it is cut off").to_string();
    assert!(error.contains("model.gguf") && error.contains("tail"), "{error}");
}
