//! Reads LoRA adapters in GGUF, as `convert_lora_to_gguf.py` and [`write_adapter`](super::write_adapter()) leave them.
//!
//! Source: llama.cpp's `src/llama-adapter.cpp`.

use std::path::Path;

use super::names::{hugging_face_module, interleaved_row};
use crate::{Error, GgufFile, Result};

/// An open adapter.
#[derive(Debug)]
pub struct AdapterFile {
    file: GgufFile,
    alpha: f64,
    /// GGUF's names of the matrices that are changed, with what Hugging Face calls their modules.
    modules: Vec<(String, String)>,
}

/// How large the two factors of a matrix's change are: `A` `[rank, columns]`, `B` `[rows, rank]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extents {
    /// The rank.
    pub rank: usize,
    /// Out features.
    pub rows: usize,
    /// In features.
    pub columns: usize,
}

/// The two factors of one matrix's change, decoded, in Hugging Face's order of rows.
#[derive(Debug, Clone, PartialEq)]
pub struct AdapterFactors {
    /// The module that is changed, by its Hugging Face name: `model.layers.0.self_attn.q_proj`.
    pub module: String,
    /// What the product is multiplied with.
    pub scale: f64,
    /// The number of rows of `a`.
    pub rank: usize,
    /// `[rank, in]`.
    pub a: Vec<f32>,
    /// `[out, rank]`.
    pub b: Vec<f32>,
}

impl AdapterFile {
    /// Opens an adapter and checks that its matrices come in pairs and belong to linear layers.
    ///
    /// # Errors
    ///
    /// Those of [`GgufFile::open`]; [`Error::Malformed`] when the file is no LoRA adapter, or a tensor in it is no
    /// factor of a linear layer; [`Error::MissingTensor`] when one of a pair is absent.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let file = GgufFile::open(path)?;
        for (key, expected) in [("general.type", "adapter"), ("adapter.type", "lora")] {
            let got: &str = file.require(key)?;
            if got != expected {
                let what = format!("`{key}` is {got:?}, expected {expected:?}");
                return Err(Error::malformed(file.path(), what));
            }
        }
        let alpha: f64 = file.require("adapter.lora.alpha")?;
        if !alpha.is_finite() {
            return Err(Error::malformed(file.path(), format!("`adapter.lora.alpha` is {alpha}")));
        }
        let mut modules = Vec::new();
        for name in file.names() {
            let stem = name.strip_suffix(".lora_a").or_else(|| name.strip_suffix(".lora_b"));
            let module = stem.and_then(|stem| hugging_face_module(stem.strip_suffix(".weight")?));
            let (Some(stem), Some(module)) = (stem, module) else {
                let what = format!("tensor {name}: expected a name like blk.0.attn_q.weight.lora_a");
                return Err(Error::malformed(file.path(), what));
            };
            for side in ["lora_a", "lora_b"] {
                file.info(&format!("{stem}.{side}"))?;
            }
            if name.ends_with("a") {
                modules.push((stem.to_owned(), module));
            }
        }
        if modules.is_empty() {
            return Err(Error::malformed(file.path(), "no adapter tensors in it"));
        }
        Ok(AdapterFile { file, alpha, modules })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The base's `general.architecture`.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] when the file does not say.
    pub fn architecture(&self) -> Result<&str> {
        self.file.require("general.architecture")
    }

    /// The modules that are changed, by their Hugging Face names, with the extents of their factors.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] when two factors do not fit each other.
    pub fn modules(&self) -> impl Iterator<Item = Result<(&str, Extents)>> {
        self.modules.iter().map(|(stem, module)| Ok((module.as_str(), self.extents_of(stem)?)))
    }

    /// What the product of factors of this rank is multiplied with; llama.cpp takes an alpha of 0 as a scale of one.
    pub fn scale(&self, rank: usize) -> f64 {
        if self.alpha == 0.0 { 1.0 } else { self.alpha / rank as f64 }
    }

    /// The factors of each module, read as they are asked for. `interleaved_heads` is the length of a head where the
    /// base keeps the rows of queries and keys interleaved.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] when two factors do not fit each other, [`Error::Io`].
    pub fn factors(
        &self,
        interleaved_heads: Option<usize>,
    ) -> impl Iterator<Item = Result<AdapterFactors>> + use<'_> {
        self.modules.iter().map(move |(stem, module)| self.factors_of(stem, module, interleaved_heads))
    }

    fn extents_of(&self, stem: &str) -> Result<Extents> {
        let (a, b) = (format!("{stem}.lora_a"), format!("{stem}.lora_b"));
        let (down, up) = (&self.file.info(&a)?.shape, &self.file.info(&b)?.shape);
        match (&down[..], &up[..]) {
            ([rank, columns], [rows, same])
                if rank == same && [rank, columns, rows].iter().all(|extent| **extent > 0) =>
            {
                Ok(Extents { rank: *rank, rows: *rows, columns: *columns })
            }
            (_, _) => Err(Error::Shape {
                path: self.file.path().to_owned(),
                tensor: b,
                expected: format!("[out, {}]", down.first().unwrap_or(&0)),
                got: up.clone(),
            }),
        }
    }

    fn factors_of(&self, stem: &str, module: &str, interleaved: Option<usize>) -> Result<AdapterFactors> {
        let Extents { rank, rows, .. } = self.extents_of(stem)?;
        let a = self.file.f32(&format!("{stem}.lora_a"))?;
        let mut b = self.file.f32(&format!("{stem}.lora_b"))?;
        let rotary = module.ends_with(".q_proj") || module.ends_with(".k_proj");
        if let Some(head) = interleaved.filter(|_| rotary) {
            if head == 0 || !rows.is_multiple_of(head) {
                return Err(Error::Shape {
                    path: self.file.path().to_owned(),
                    tensor: format!("{stem}.lora_b"),
                    expected: format!("rows of heads of {head}"),
                    got: vec![rows, rank],
                });
            }
            b = (0..rows).flat_map(|row| &b[interleaved_row(row, head) * rank..][..rank]).copied().collect();
        }
        Ok(AdapterFactors { module: module.to_owned(), scale: self.scale(rank), rank, a, b })
    }
}
