//! LoRA adapters as llama.cpp loads them (`--lora`).
//!
//! Source: llama.cpp's `convert_lora_to_gguf.py` and `src/llama-adapter.cpp`: `general.type` is `adapter`,
//! `adapter.type` is `lora`, and a matrix `w` has `w.lora_a` `[rank, in]` and `w.lora_b` `[out, rank]`. llama.cpp adds
//! `alpha / rank * B A`, with one alpha for the whole file.

use std::borrow::Cow;
use std::path::Path;

use super::names::{gguf_name, interleaved_row};
use super::value::Value;
use super::write::{NewTensor, write};
use crate::quant::BlockType;
use crate::{Error, Result};

/// The two factors of one matrix's change.
#[derive(Debug, Clone, Copy)]
pub struct AdapterTensor<'a> {
    /// The module that is changed, by its Hugging Face name: `model.layers.0.self_attn.q_proj`.
    pub module: &'a str,
    /// What the product is multiplied with.
    pub scale: f64,
    /// The number of rows of `a`.
    pub rank: usize,
    /// `[rank, in]`.
    pub a: &'a [f32],
    /// `[out, rank]`.
    pub b: &'a [f32],
}

/// A LoRA adapter to be written.
#[derive(Debug, Clone, Copy)]
pub struct GgufAdapter<'a> {
    /// The base model's `general.architecture`.
    pub architecture: &'a str,
    /// What to call the adapter.
    pub name: &'a str,
    /// The length of a head, for base models whose query and key rows GGUF keeps interleaved (see
    /// [`interleaved_row`]); `None` for the others.
    pub interleaved_heads: Option<usize>,
    /// The factors. Of layers with four norms nothing is special: norms have no factors.
    pub tensors: &'a [AdapterTensor<'a>],
}

/// Writes an adapter in single precision. Where modules have different scales, the difference goes into `B`, since
/// the file has a single alpha.
///
/// # Errors
///
/// [`Error::Malformed`] when there is no tensor, a module has no GGUF name, or factors are not as long as the rank
/// asks for; those of [`write`](super::write()).
pub fn write_adapter(path: impl AsRef<Path>, adapter: &GgufAdapter<'_>) -> Result<()> {
    let path = path.as_ref();
    let Some(first) = adapter.tensors.first() else {
        return Err(Error::malformed(path, "an adapter without tensors"));
    };
    let alpha = first.scale * first.rank as f64;
    let mut parts = Vec::with_capacity(2 * adapter.tensors.len());
    for tensor in adapter.tensors {
        let AdapterTensor { module, rank, a, b, .. } = *tensor;
        let name = gguf_name(&format!("{module}.weight"), false)
            .ok_or_else(|| Error::malformed(path, format!("module {module} has no name in GGUF")))?;
        if rank == 0 || !a.len().is_multiple_of(rank) || !b.len().is_multiple_of(rank) {
            let (a, b) = (a.len(), b.len());
            let what =
                format!("module {module}: factors of {a} and {b} numbers are no matrices of rank {rank}");
            return Err(Error::malformed(path, what));
        }
        parts.push((format!("{name}.lora_a"), [rank, a.len() / rank], Cow::Borrowed(a)));
        let interleaved = adapter.interleaved_heads.filter(|_| is_rotary(module));
        let b = b_of_file(path, tensor, alpha, interleaved)?;
        parts.push((format!("{name}.lora_b"), [b.len() / rank, rank], b));
    }
    let tensors: Vec<NewTensor<'_>> =
        parts.iter().map(|(name, shape, _)| NewTensor { name, kind: BlockType::F32, shape }).collect();
    let metadata = [
        ("general.architecture", Value::from(adapter.architecture)),
        ("general.type", "adapter".into()),
        ("general.name", adapter.name.into()),
        // All tensors are F32.
        ("general.file_type", 0u32.into()),
        ("adapter.type", "lora".into()),
        ("adapter.lora.alpha", (alpha as f32).into()),
    ];
    write(path, &metadata, &tensors, |number| {
        Ok(Cow::Owned(parts[number].2.iter().flat_map(|value| value.to_le_bytes()).collect()))
    })
}

fn is_rotary(module: &str) -> bool {
    module.ends_with(".q_proj") || module.ends_with(".k_proj")
}

/// `B` with the module's own scale in it and its rows in the file's order.
fn b_of_file<'a>(
    path: &Path,
    tensor: &AdapterTensor<'a>,
    alpha: f64,
    interleaved: Option<usize>,
) -> Result<Cow<'a, [f32]>> {
    let AdapterTensor { module, scale, rank, b, .. } = *tensor;
    let mut ours = Cow::Borrowed(b);
    let factor = scale * rank as f64 / alpha;
    if factor != 1.0 {
        ours.to_mut().iter_mut().for_each(|value| *value = (f64::from(*value) * factor) as f32);
    }
    let Some(head) = interleaved else { return Ok(ours) };
    let rows = b.len() / rank;
    if head == 0 || !head.is_multiple_of(2) || !rows.is_multiple_of(head) {
        return Err(Error::malformed(
            path,
            format!("module {module}: {rows} rows are not made of heads of {head}"),
        ));
    }
    let mut file = vec![0.0; b.len()];
    for (row, values) in ours.chunks_exact(rank).enumerate() {
        file[interleaved_row(row, head) * rank..][..rank].copy_from_slice(values);
    }
    Ok(Cow::Owned(file))
}
