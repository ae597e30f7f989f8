//! Safetensors: what is written comes back, and broken files are errors that say what is wrong.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use formats::safetensors::write;
use formats::{Dtype, Error, SafetensorsFile, TensorBytes};
use proptest::prelude::*;

fn sample(path: &Path) -> Vec<u8> {
    let numbers: Vec<u8> =
        [1.0f32, -2.5, 0.0, 3.25, 1e-3, f32::MAX].iter().flat_map(|x| x.to_le_bytes()).collect();
    let halves: Vec<u8> =
        [half::f16::from_f32(0.5), half::f16::from_f32(-4.0)].iter().flat_map(|x| x.to_le_bytes()).collect();
    let brains: Vec<u8> = [half::bf16::from_f32(1.5)].iter().flat_map(|x| x.to_le_bytes()).collect();
    let tensors = [
        TensorBytes { name: "weight", dtype: Dtype::F32, shape: &[2, 3], bytes: &numbers },
        TensorBytes { name: "half", dtype: Dtype::F16, shape: &[2], bytes: &halves },
        TensorBytes { name: "brain", dtype: Dtype::BF16, shape: &[1, 1], bytes: &brains },
        TensorBytes { name: "count", dtype: Dtype::U8, shape: &[3], bytes: &[1, 2, 3] },
        TensorBytes { name: "empty", dtype: Dtype::F32, shape: &[0, 4], bytes: &[] },
    ];
    let metadata =
        BTreeMap::from([("format".to_owned(), "pt".to_owned()), ("by".to_owned(), "test".to_owned())]);
    write(path, &tensors, &metadata).expect("it is written");
    fs::read(path).expect("it can be read")
}

#[test]
fn what_is_written_comes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.safetensors");
    let bytes = sample(&path);
    assert_eq!(bytes, sample(&path), "the same bytes each time");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing is left beside it");
    assert!(safetensors::SafeTensors::deserialize(&bytes).is_ok(), "the reference implementation reads it");

    let file = SafetensorsFile::open(&path).expect("it opens");
    assert_eq!(file.names().collect::<Vec<_>>(), ["brain", "count", "empty", "half", "weight"]);
    assert_eq!(file.metadata()["by"], "test");
    assert_eq!(file.info("weight").expect("there"), (Dtype::F32, [2, 3].as_slice()));
    assert_eq!(file.f32("weight").expect("there"), [1.0, -2.5, 0.0, 3.25, 1e-3, f32::MAX]);
    assert_eq!(file.f32("half").expect("there"), [0.5, -4.0]);
    assert_eq!(file.f32("brain").expect("there"), [1.5]);
    assert!(file.f32("empty").expect("there").is_empty());
    assert_eq!(file.tensor("count").expect("there").bytes, [1, 2, 3]);
    let unsupported = file.f32("count").expect_err("bytes are no numbers").to_string();
    assert!(
        unsupported.contains("count") && unsupported.contains("U8") && unsupported.contains("BF16"),
        "{unsupported}"
    );
    assert!(matches!(file.bytes("absent"), Err(Error::MissingTensor { count: 5, .. })));
}

#[test]
fn bytes_that_do_not_fit_are_not_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.safetensors");
    let short = TensorBytes { name: "w", dtype: Dtype::F32, shape: &[2], bytes: &[0; 4] };
    let error = write(&path, &[short], &BTreeMap::new()).expect_err("too short").to_string();
    assert!(error.contains("tensor w") && error.contains("4 bytes"), "{error}");
    let good = TensorBytes { bytes: &[0; 8], ..short };
    assert!(write(&path, &[good, good], &BTreeMap::new()).expect_err("twice").to_string().contains("twice"));
    let huge = TensorBytes { shape: &[usize::MAX, 3], ..good };
    assert!(write(&path, &[huge], &BTreeMap::new()).is_err());
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
}

#[test]
fn every_truncation_is_an_error_that_names_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.safetensors");
    let bytes = sample(&path);
    for length in 0..bytes.len() {
        fs::write(&path, &bytes[..length]).expect("it is written");
        let error = SafetensorsFile::open(&path).expect_err("truncated").to_string();
        assert!(error.contains("a.safetensors"), "{error}");
    }
    let error = SafetensorsFile::open(&path).expect_err("one byte is missing");
    assert!(matches!(&error, Error::Length { part, .. } if part.contains("tensor ")), "{error}");
    fs::write(&path, [&bytes[..], b"x"].concat()).expect("it is written");
    assert!(matches!(SafetensorsFile::open(&path), Err(Error::Length { .. })));
}

#[test]
fn every_flipped_bit_of_the_header_is_survived() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.safetensors");
    let bytes = sample(&path);
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
    for at in 0..header {
        for bit in 0..8 {
            let mut broken = bytes.clone();
            broken[at] ^= 1 << bit;
            fs::write(&path, &broken).expect("it is written");
            // The reference implementation must not accept less or more.
            let reference = safetensors::SafeTensors::deserialize(&broken).is_ok();
            let opened = SafetensorsFile::open(&path);
            assert_eq!(opened.is_ok(), reference, "byte {at}, bit {bit}: {:?}", opened.err());
            if let Ok(file) = opened {
                for name in file.names() {
                    let _ = file.f32(name);
                    assert!(file.bytes(name).expect("it is in the file").len() <= broken.len());
                }
            }
        }
    }
}

#[test]
fn a_file_that_shrinks_while_open_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.safetensors");
    sample(&path);
    let file = SafetensorsFile::open(&path).expect("it opens");
    fs::OpenOptions::new().write(true).open(&path).and_then(|file| file.set_len(20)).expect("it shrinks");
    assert!(matches!(file.f32("weight"), Err(Error::Io { .. })));
}

#[test]
fn a_header_that_claims_too_much_allocates_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.safetensors");
    for claimed in [u64::MAX, 1 << 40, (16 << 20) + 1, 16 << 20] {
        fs::write(&path, [&claimed.to_le_bytes()[..], b"{}"].concat()).expect("it is written");
        assert!(SafetensorsFile::open(&path).is_err());
    }
    let error = SafetensorsFile::open(folder.path()).expect_err("a folder").to_string();
    assert!(error.contains("folder"), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_the_old_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.safetensors");
    let bytes = sample(&path);
    let full = |writer: &mut dyn std::io::Write| {
        writer.write_all(&[0; 4096])?;
        Err(std::io::Error::from(std::io::ErrorKind::StorageFull))
    };
    assert!(matches!(formats::atomic::write_atomic_with(&path, full), Err(Error::Io { .. })));
    assert_eq!(fs::read(&path).expect("still there"), bytes);
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
}

proptest! {
    #[test]
    fn any_header_is_accepted_as_the_reference_does(header in "\\{\"[a-z_]{1,12}\":\\{\"dtype\":\"(F32|F16|I8|X)\",\"shape\":\\[[0-9]{1,20}(,[0-9]{1,3})?\\],\"data_offsets\":\\[[0-9]{1,2},[0-9]{1,20}\\]\\}\\}", data in proptest::collection::vec(any::<u8>(), 0..64)) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.safetensors");
        let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat();
        fs::write(&path, &bytes).expect("it is written");
        prop_assert_eq!(SafetensorsFile::open(&path).is_ok(), safetensors::SafeTensors::deserialize(&bytes).is_ok());
    }
}
