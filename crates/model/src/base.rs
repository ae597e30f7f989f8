//! A base model on disk, as it comes: a Hugging Face folder, plain or quantized, or a GGUF file. Both give tensors by
//! their Hugging Face names, with quantized matrices in their own bits.

mod folder;
mod gguf;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use compute::DType;
use formats::quant::QuantizedMatrix;

use crate::weights::{StoredTensor, TensorSource};
use crate::{Config, Error, Result};

use folder::FolderBase;
use gguf::GgufBase;

const EMBEDDING: &str = "model.embed_tokens.weight";
const HEAD: &str = "lm_head.weight";

/// An open base: headers and config in memory, tensors on disk until they are asked for.
#[derive(Debug)]
pub struct Base {
    store: Store,
    config: Config,
    /// Tensors that were taken, by the names that the files give them.
    used: RefCell<BTreeSet<String>>,
}

#[derive(Debug)]
enum Store {
    Folder(FolderBase),
    Gguf(GgufBase),
}

impl Base {
    /// Opens the Hugging Face folder or GGUF file at `path`.
    ///
    /// # Errors
    /// When a file is missing or broken, or describes a model or a quantization that is not supported.
    pub fn open(path: &Path) -> Result<Self> {
        let (store, config) = match path.is_file() {
            true => {
                let (base, config) = GgufBase::open(path)?;
                (Store::Gguf(base), config)
            }
            false => {
                let (base, config) = FolderBase::open(path)?;
                (Store::Folder(base), config)
            }
        };
        Ok(Base { store, config, used: RefCell::default() })
    }

    /// The shape.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether matrices are kept in the bits of a quantization.
    pub fn is_quantized(&self) -> bool {
        match &self.store {
            Store::Folder(base) => base.is_quantized(),
            Store::Gguf(base) => base.is_quantized(),
        }
    }

    /// Refuses a base with tensors that nothing has read: they belong to a feature that the config does not name.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with the first of them.
    pub fn refuse_strays(&self) -> Result<()> {
        let used = self.used.borrow();
        let strays = match &self.store {
            Store::Folder(base) => base.strays(&used)?,
            Store::Gguf(base) => base.strays(&used),
        };
        let Some(first) = strays.first() else { return Ok(()) };
        let (count, family) = (strays.len(), self.config.features.family.model_type());
        Err(Error::Unsupported {
            path: self.path().to_owned(),
            reason: format!(
                "the {family} decoder of its config has no place for {count} tensors, such as {first}"
            ),
        })
    }

    /// The folder or file.
    pub fn path(&self) -> &Path {
        match &self.store {
            Store::Folder(base) => base.path(),
            Store::Gguf(base) => base.path(),
        }
    }
}

impl TensorSource for Base {
    fn tensor(&self, name: &str) -> Result<StoredTensor> {
        match &self.store {
            Store::Folder(base) => base.tensor(name, &mut self.used.borrow_mut()),
            Store::Gguf(base) => base.tensor(name, &mut self.used.borrow_mut()),
        }
    }

    fn info(&self, name: &str) -> Result<Option<(DType, Vec<usize>)>> {
        match &self.store {
            Store::Folder(base) => base.info(name).map(Some),
            Store::Gguf(base) => base.info(name),
        }
    }

    fn read_into(&self, name: &str, into: &mut [u8]) -> Result<()> {
        match &self.store {
            Store::Folder(base) => base.read_into(name, into, &mut self.used.borrow_mut()),
            Store::Gguf(base) => base.read_into(name, into, &mut self.used.borrow_mut()),
        }
    }

    fn quantized(&self, name: &str) -> Result<Option<QuantizedMatrix>> {
        match &self.store {
            Store::Folder(base) => base.quantized(name, &mut self.used.borrow_mut()),
            Store::Gguf(base) => base.quantized(name, &mut self.used.borrow_mut()),
        }
    }

    fn origin(&self) -> String {
        self.path().display().to_string()
    }
}
