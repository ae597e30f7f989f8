//! The small sequence classifiers of `tools/make_encoder_vectors.py`, with what PyTorch makes of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use formats::Checkpoint;
use formats::safetensors::{Dtype, TensorBytes, write};
use serde_json::Value;
use tempfile::TempDir;

/// The folder of a kind: `bert`, `roberta` (of two labels) or `xlm_roberta`.
pub(crate) fn classifier(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/encoder_vectors").join(kind)
}

/// A copy of it, to be changed.
pub(crate) fn copy(kind: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(classifier(kind)).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
    }
    folder
}

/// Writes a file in a folder, which may have to be made.
pub(crate) fn put(folder: &Path, file: &str, text: impl AsRef<[u8]>) {
    let path = folder.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// What PyTorch says.
#[allow(dead_code, reason = "not every test file that shares this module compares")]
pub(crate) fn expected(kind: &str) -> Value {
    serde_json::from_slice(&std::fs::read(classifier(kind).join("oracle.json")).unwrap()).unwrap()
}

/// A tensor by its name: its shape and values.
pub(crate) type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// Changes the tensors of a folder.
#[allow(dead_code, reason = "not every test file that shares this module changes tensors")]
pub(crate) fn change_tensors(folder: &Path, change: impl FnOnce(&mut Tensors)) {
    let checkpoint = Checkpoint::open(folder).unwrap();
    let mut tensors = Tensors::new();
    for name in checkpoint.names() {
        let (_, shape) = checkpoint.info(name).unwrap();
        tensors.insert(name.to_owned(), (shape.to_vec(), checkpoint.f32(name).unwrap()));
    }
    change(&mut tensors);
    let bytes = |values: &Vec<f32>| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let tensors: Vec<_> =
        tensors.iter().map(|(name, (shape, values))| (name, shape, bytes(values))).collect();
    let tensors: Vec<TensorBytes<'_>> = tensors
        .iter()
        .map(|(name, shape, bytes)| TensorBytes { name, dtype: Dtype::F32, shape, bytes })
        .collect();
    write(folder.join("model.safetensors"), &tensors, &BTreeMap::new()).unwrap();
}
