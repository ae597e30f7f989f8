//! A model's weights as Hugging Face lays them out: one safetensors file, or shards with an index.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::safetensors::{Dtype, SafetensorsFile, Tensor};
use crate::{Error, Result};

/// The single file.
const SINGLE: &str = "model.safetensors";
/// The list of shards.
const INDEX: &str = "model.safetensors.index.json";
/// The longest index that is read.
const INDEX_LIMIT: u64 = 64 << 20;

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The weights of a folder: headers in memory, tensors on disk until they are asked for.
#[derive(Debug)]
pub struct Checkpoint {
    folder: PathBuf,
    files: Vec<SafetensorsFile>,
    place: BTreeMap<String, usize>,
}

impl Checkpoint {
    /// Opens `model.safetensors`, or the shards that `model.safetensors.index.json` lists.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when the folder holds neither, the errors of [`SafetensorsFile::open`] for each file,
    /// [`Error::Malformed`] when the index names a file outside the folder, and [`Error::MissingTensor`] when a shard
    /// lacks a tensor that the index promises.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref().to_owned();
        let single = folder.join(SINGLE);
        let index = folder.join(INDEX);
        if single.is_file() {
            let file = SafetensorsFile::open(&single)?;
            let place = file.names().map(|name| (name.to_owned(), 0)).collect();
            return Ok(Checkpoint { folder, files: vec![file], place });
        }
        if !index.is_file() {
            return Err(Error::NotFound {
                name: folder.display().to_string(),
                looked: vec![single, index],
                hint: no_weights_hint(&folder),
            });
        }
        let (files, place) = open_shards(&folder, &index)?;
        Ok(Checkpoint { folder, files, place })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// The names of the tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.place.keys().map(String::as_str)
    }

    /// Whether there is a tensor of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.place.contains_key(name)
    }

    /// The type and shape of a tensor.
    ///
    /// # Errors
    ///
    /// [`Error::MissingTensor`].
    pub fn info(&self, name: &str) -> Result<(Dtype, &[usize])> {
        self.file_of(name)?.info(name)
    }

    /// A tensor, read now.
    ///
    /// # Errors
    ///
    /// [`Error::MissingTensor`], or [`Error::Io`] when the file can no longer be read.
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        self.file_of(name)?.tensor(name)
    }

    /// A tensor's elements as `f32`, read now.
    ///
    /// # Errors
    ///
    /// Those of [`Checkpoint::tensor`], and [`Error::Dtype`] unless it is F32, F16 or BF16.
    pub fn f32(&self, name: &str) -> Result<Vec<f32>> {
        self.file_of(name)?.f32(name)
    }

    /// A tensor's elements as 32-bit integers, read now.
    ///
    /// # Errors
    ///
    /// Those of [`Checkpoint::tensor`], and [`Error::Dtype`] unless it is I32.
    pub fn i32(&self, name: &str) -> Result<Vec<i32>> {
        self.file_of(name)?.i32(name)
    }

    /// How many bytes a tensor has.
    ///
    /// # Errors
    ///
    /// [`Error::MissingTensor`].
    pub fn byte_length(&self, name: &str) -> Result<usize> {
        self.file_of(name)?.byte_length(name)
    }

    /// Reads a tensor's bytes into memory that is already there.
    ///
    /// # Errors
    ///
    /// Those of [`SafetensorsFile::read_into`].
    pub fn read_into(&self, name: &str, into: &mut [u8]) -> Result<()> {
        self.file_of(name)?.read_into(name, into)
    }

    fn file_of(&self, name: &str) -> Result<&SafetensorsFile> {
        self.place.get(name).and_then(|place| self.files.get(*place)).ok_or_else(|| Error::MissingTensor {
            path: self.folder.clone(),
            tensor: name.to_owned(),
            count: self.place.len(),
        })
    }
}

/// Opens each shard of an index once and finds every tensor in the shard that the index names.
fn open_shards(folder: &Path, index_path: &Path) -> Result<(Vec<SafetensorsFile>, BTreeMap<String, usize>)> {
    let index: Index = read_json(index_path, INDEX_LIMIT)?;
    let mut files: Vec<SafetensorsFile> = Vec::new();
    let mut opened: BTreeMap<&str, usize> = BTreeMap::new();
    let mut place = BTreeMap::new();
    for (tensor, shard) in &index.weight_map {
        let number = match opened.get(shard.as_str()) {
            Some(number) => *number,
            None => {
                if !is_plain_name(shard) {
                    return Err(Error::malformed(
                        index_path,
                        format!("shard {shard:?} is not a plain file name"),
                    ));
                }
                files.push(SafetensorsFile::open(folder.join(shard))?);
                opened.insert(shard, files.len() - 1);
                files.len() - 1
            }
        };
        files[number].info(tensor)?;
        place.insert(tensor.clone(), number);
    }
    Ok((files, place))
}

/// Reads a JSON file of at most `limit` bytes.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path, limit: u64) -> Result<T> {
    let length = std::fs::metadata(path).map_err(Error::io(path))?.len();
    if length > limit {
        return Err(Error::malformed(path, format!("{length} bytes long, expected at most {limit}")));
    }
    let bytes = std::fs::read(path).map_err(Error::io(path))?;
    serde_json::from_slice(&bytes).map_err(|reason| Error::malformed(path, reason.to_string()))
}

/// Whether a name stays in the folder that it is joined to.
pub(crate) fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', ':', '\0'])
}

fn no_weights_hint(folder: &Path) -> String {
    if folder.join("pytorch_model.bin").is_file() || folder.join("pytorch_model.bin.index.json").is_file() {
        "hint: the folder holds pytorch_model.bin, which is a program in disguise (pickle) and is not read; \
         save the model as safetensors"
            .to_owned()
    } else {
        format!("hint: put {SINGLE}, or shards with {INDEX}, into the folder")
    }
}
