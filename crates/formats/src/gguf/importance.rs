//! Importance matrices as llama.cpp's `llama-imatrix` writes them: for each linear layer the sum of the squares of every
//! input, and of how many tokens.
//!
//! Source: llama.cpp's `tools/imatrix/imatrix.cpp` (`save_imatrix`) and `common/imatrix-loader.cpp`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use super::GgufFile;
use super::value::{Array, Value};
use super::write::{NewTensor, write};
use crate::quant::BlockType;
use crate::{Error, Result};

const SUMS: &str = ".in_sum2";
const COUNTS: &str = ".counts";

/// What the inputs of the linear layers are like on some text.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Importance {
    /// Where the text came from.
    pub datasets: Vec<String>,
    /// Tokens that were read at once, at most.
    pub chunk_size: u32,
    sums: BTreeMap<String, InputSquares>,
}

/// The inputs of one linear layer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InputSquares {
    /// The sum of the squares of each input, `[cols]`.
    pub sums: Vec<f64>,
    /// Of how many tokens.
    pub count: u64,
}

impl Importance {
    /// Nothing is known yet of text from `datasets`, of which `chunk_size` tokens are read at once.
    pub fn new(datasets: Vec<String>, chunk_size: u32) -> Self {
        Importance { datasets, chunk_size, sums: BTreeMap::new() }
    }

    /// Sets what is known of the linear layer whose weight GGUF calls `name`.
    pub fn insert(&mut self, name: String, squares: InputSquares) {
        self.sums.insert(name, squares);
    }

    /// Adds the inputs of tokens, `[tokens, cols]`, to what is known of the weight that GGUF calls `name`.
    ///
    /// # Panics
    ///
    /// When the inputs are no rows of `cols`, or of another width than before.
    pub fn add(&mut self, name: String, cols: usize, inputs: &[f32]) {
        let known = self.sums.entry(name).or_insert_with(|| InputSquares { sums: vec![0.0; cols], count: 0 });
        assert_eq!(known.sums.len(), cols, "inputs of another width than before");
        assert!(inputs.len().is_multiple_of(cols), "{} inputs are no rows of {cols}", inputs.len());
        for row in inputs.chunks_exact(cols) {
            for (sum, input) in known.sums.iter_mut().zip(row) {
                *sum += f64::from(*input).powi(2);
            }
        }
        known.count += (inputs.len() / cols) as u64;
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.sums.is_empty()
    }

    /// The mean square of each input of the weight that GGUF calls `name`, `[cols]`, where it is known.
    ///
    /// An input that was never there is given a millionth of the mean, so that rows stay nearly what they are where
    /// the text says nothing about them.
    pub fn columns(&self, name: &str) -> Option<Vec<f32>> {
        let InputSquares { sums, count } = self.sums.get(name).filter(|squares| squares.count > 0)?;
        let mean = sums.iter().sum::<f64>() / sums.len().max(1) as f64;
        if mean <= 0.0 {
            return None;
        }
        let column = |sum: &f64| (sum.max(1e-6 * mean) / *count as f64) as f32;
        Some(sums.iter().map(column).collect())
    }

    /// Reads a file of `llama-imatrix` (its format of 2025 on, which is GGUF).
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] when it is no such file, or a sum is negative or not finite; the errors of
    /// [`GgufFile::open`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let file = GgufFile::open(path)?;
        let kind: Option<&str> = file.get("general.type")?;
        if kind != Some("imatrix") {
            return Err(Error::malformed(file.path(), "its `general.type` is not imatrix"));
        }
        let datasets: Option<&[String]> = file.get("imatrix.datasets")?;
        let chunk_size: Option<u64> = file.get("imatrix.chunk_size")?;
        let mut importance = Importance {
            datasets: datasets.unwrap_or_default().to_vec(),
            chunk_size: chunk_size.and_then(|size| u32::try_from(size).ok()).unwrap_or_default(),
            sums: BTreeMap::new(),
        };
        for name in file.names() {
            let Some(weight) = name.strip_suffix(SUMS) else { continue };
            let wrong = |what: &str| Error::malformed(file.path(), format!("tensor {name}: {what}"));
            let sums = file.f32(name)?;
            let counts = file.f32(&format!("{weight}{COUNTS}"))?;
            let &[count] = &counts[..] else {
                return Err(wrong(&format!("{} counts, expected 1 (no mixture of experts)", counts.len())));
            };
            if !(0.0..1e18).contains(&count) || sums.iter().any(|sum| !(sum.is_finite() && *sum >= 0.0)) {
                return Err(wrong("a sum of squares or a count is negative or not finite"));
            }
            let squares =
                InputSquares { sums: sums.into_iter().map(f64::from).collect(), count: count as u64 };
            importance.insert(weight.to_owned(), squares);
        }
        match importance.is_empty() {
            true => Err(Error::malformed(file.path(), "an importance matrix without tensors")),
            false => Ok(importance),
        }
    }

    /// Writes the file that `llama-quantize --imatrix` reads.
    ///
    /// # Errors
    ///
    /// Those of [`write`](super::write()).
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let most = self.sums.values().map(|squares| squares.count).max().unwrap_or(0);
        let chunks = most.div_ceil(u64::from(self.chunk_size.max(1)));
        let metadata = [
            ("general.type", Value::from("imatrix")),
            ("imatrix.datasets", Value::Array(Array::String(self.datasets.clone()))),
            ("imatrix.chunk_count", u32::try_from(chunks).unwrap_or(u32::MAX).into()),
            ("imatrix.chunk_size", self.chunk_size.into()),
        ];
        let mut parts: Vec<(String, [usize; 2], Vec<f32>)> = Vec::with_capacity(2 * self.sums.len());
        for (name, InputSquares { sums, count }) in &self.sums {
            let values = sums.iter().map(|sum| *sum as f32).collect();
            parts.push((format!("{name}{SUMS}"), [1, sums.len()], values));
            parts.push((format!("{name}{COUNTS}"), [1, 1], vec![*count as f32]));
        }
        let tensors: Vec<NewTensor<'_>> =
            parts.iter().map(|(name, shape, _)| NewTensor { name, kind: BlockType::F32, shape }).collect();
        write(path, &metadata, &tensors, |number| {
            Ok(Cow::Owned(parts[number].2.iter().flat_map(|value| value.to_le_bytes()).collect()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_undoes_writing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("imatrix.gguf");
        let mut importance =
            Importance { datasets: vec!["train.jsonl".into()], chunk_size: 512, ..Importance::default() };
        let squares = InputSquares { sums: vec![8.0, 0.0, 2.0], count: 4 };
        importance.insert("blk.0.attn_q.weight".into(), squares);
        importance.write(&path).unwrap();
        let read = Importance::read(&path).unwrap();
        assert_eq!(read, importance);
        let columns = read.columns("blk.0.attn_q.weight").unwrap();
        assert_eq!((columns[0], columns[2]), (2.0, 0.5));
        assert!(columns[1] > 0.0 && columns[1] < 1e-5, "{}", columns[1]);
        assert_eq!(read.columns("blk.0.attn_k.weight"), None);
    }

    #[test]
    fn what_is_no_importance_matrix_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.gguf");
        super::write(&path, &[("general.type", "model".into())], &[], |_| unreachable!()).unwrap();
        assert!(Importance::read(&path).unwrap_err().to_string().contains("imatrix"));
        Importance::default().write(&path).unwrap();
        assert!(Importance::read(&path).unwrap_err().to_string().contains("without tensors"));
    }
}
