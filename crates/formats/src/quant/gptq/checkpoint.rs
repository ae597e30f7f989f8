//! GPTQ matrices as AutoGPTQ and GPTQModel save them: packed along the inputs, transposed, zeros packed along the
//! outputs.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Columns, GptqMatrix, GptqParts};
use crate::{Checkpoint, Error, Result};

/// Bits of a packed word.
const WORD: usize = 32;

/// What a GPTQ checkpoint's config says about its tensors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GptqConfig {
    /// Bits of a code: 2, 4 or 8.
    pub bits: usize,
    /// Columns that share a scale; `None` for all of them.
    pub group_size: Option<usize>,
    /// Whether zeros are stored less one (`checkpoint_format: gptq`, the first version) or as they are (`gptq_v2`).
    pub zeros_less_one: bool,
}

#[derive(Deserialize)]
struct Raw {
    bits: usize,
    group_size: i64,
    checkpoint_format: Option<String>,
    format: Option<String>,
    #[serde(default)]
    is_marlin_format: bool,
    dynamic: Option<Map<String, Value>>,
}

impl GptqConfig {
    /// Reads the object that stands under `quantization_config` in the file at `path` (or alone in AutoGPTQ's
    /// `quantize_config.json`).
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] when it is not the object it should be, [`Error::Unsupported`] for other widths, other
    /// layouts, and settings of their own for some layers.
    pub fn parse(path: &Path, config: &Value) -> Result<Self> {
        let raw = Raw::deserialize(config)
            .map_err(|reason| Error::malformed(path, format!("no quantization config of GPTQ: {reason}")))?;
        let unsupported = |setting: &str, value: String, hint: &str| Error::Unsupported {
            path: path.to_owned(),
            setting: setting.to_owned(),
            value,
            hint: hint.to_owned(),
        };
        if ![2, 4, 8].contains(&raw.bits) {
            return Err(unsupported("bits", raw.bits.to_string(), "; 2, 4 and 8 are"));
        }
        let group_size = match raw.group_size {
            -1 => None,
            size => match usize::try_from(size) {
                Ok(size) if size > 0 => Some(size),
                _ => return Err(unsupported("group_size", size.to_string(), "; -1 and sizes above 0 are")),
            },
        };
        if raw.is_marlin_format {
            return Err(unsupported("is_marlin_format", "true".to_owned(), ""));
        }
        let format = raw.checkpoint_format.or(raw.format).map(|format| format.to_lowercase());
        let zeros_less_one = match format.as_deref() {
            None | Some("gptq") => true,
            Some("gptq_v2") => false,
            Some(other) => {
                return Err(unsupported("checkpoint_format", other.to_owned(), "; gptq and gptq_v2 are"));
            }
        };
        // Keys that begin with a minus exclude layers, whose tensors then say so themselves.
        if let Some(layer) = raw.dynamic.iter().flat_map(Map::keys).find(|layer| !layer.starts_with('-')) {
            return Err(unsupported("dynamic", format!("{layer:?}"), "; one setting for all layers is"));
        }
        Ok(GptqConfig { bits: raw.bits, group_size, zeros_less_one })
    }
}

/// The weight of a module, `[out, in]`, out of `qweight` `[in * bits / 32, out]`, `qzeros` `[groups, out * bits / 32]`,
/// `scales` `[groups, out]` and, where it is there, `g_idx` `[in]`.
pub(crate) fn load(checkpoint: &Checkpoint, module: &str, config: &GptqConfig) -> Result<GptqMatrix> {
    let part = |name: &str| format!("{module}.{name}");
    let per_word = WORD / config.bits;
    let [words, rows] = matrix_shape(checkpoint, &part("qweight"), "[in * bits / 32, out]")?;
    let [groups, scale_rows] = matrix_shape(checkpoint, &part("scales"), "[groups, out]")?;
    let zero_words = rows.div_ceil(per_word);
    for (name, expected, got) in [
        ("scales", [groups, rows], [groups, scale_rows]),
        (
            "qzeros",
            [groups, zero_words],
            matrix_shape(checkpoint, &part("qzeros"), "[groups, out * bits / 32]")?,
        ),
    ] {
        if expected != got {
            return Err(wrong_shape(checkpoint, &part(name), format!("{expected:?}"), &got));
        }
    }
    let (cols, columns) = columns_of(checkpoint, &part("g_idx"), words.saturating_mul(per_word), config)?;
    if cols.div_ceil(per_word) != words {
        let expected = format!("[{}, {rows}]", cols.div_ceil(per_word));
        return Err(wrong_shape(checkpoint, &part("qweight"), expected, &[words, rows]));
    }
    let codes = transposed(&checkpoint.i32(&part("qweight"))?, rows, (cols * config.bits).div_ceil(8));
    let zeros = zeros_of(&checkpoint.i32(&part("qzeros"))?, rows, config);
    let scales = checkpoint.f32(&part("scales"))?;
    let scales = (0..rows).flat_map(|row| scales.iter().skip(row).step_by(rows)).copied().collect();
    GptqMatrix::new(GptqParts { shape: [rows, cols], bits: config.bits, codes, scales, zeros, columns })
        .map_err(|reason| Error::malformed(checkpoint.path(), format!("{module}: {reason}")))
}

/// The number of columns and their groups: `g_idx` where it is there, runs of the group size otherwise.
fn columns_of(
    checkpoint: &Checkpoint,
    name: &str,
    packed: usize,
    config: &GptqConfig,
) -> Result<(usize, Columns)> {
    if !checkpoint.contains(name) {
        let size = config.group_size.unwrap_or(packed).max(1);
        return Ok((packed, Columns::Consecutive { size }));
    }
    let groups = checkpoint.i32(name)?;
    let cols = groups.len();
    let size = config.group_size.unwrap_or(cols).max(1);
    let in_order = groups.iter().enumerate().all(|(col, group)| usize::try_from(*group) == Ok(col / size));
    if in_order {
        return Ok((cols, Columns::Consecutive { size }));
    }
    let groups: std::result::Result<Vec<u32>, _> = groups.into_iter().map(u32::try_from).collect();
    let groups =
        groups.map_err(|_| Error::malformed(checkpoint.path(), format!("{name} holds a negative group")))?;
    Ok((cols, Columns::Each(groups)))
}

/// Words `[words, rows]`, each with consecutive columns of a row from its lowest bits up, as bytes `[rows, row_bytes]`.
fn transposed(packed: &[i32], rows: usize, row_bytes: usize) -> Vec<u8> {
    let mut codes = vec![0; rows * row_bytes];
    // Eight words of a row at a time, so that both sides stay in the cache.
    for (block, words) in packed.chunks(8 * rows).enumerate() {
        for row in 0..rows {
            let target = &mut codes[row * row_bytes..][..row_bytes][block * 32..];
            for (bytes, word) in target.chunks_mut(4).zip(words.iter().skip(row).step_by(rows)) {
                bytes.copy_from_slice(&word.to_le_bytes()[..bytes.len()]);
            }
        }
    }
    codes
}

/// Zeros `[groups, rows]` in packed words as bytes `[rows, groups]`.
fn zeros_of(packed: &[i32], rows: usize, config: &GptqConfig) -> Vec<u8> {
    let per_word = WORD / config.bits;
    let mask = u32::MAX >> (WORD - config.bits);
    // GPTQModel writes the first version by taking a one in every field off the packed word, borrows included, and
    // undoes it the same way (`convert_gptq_v1_to_v2_format_module`). Where no field is full, as in what AutoGPTQ
    // writes, this is the plus one of AutoGPTQ's own kernels.
    let ones = if config.zeros_less_one { u32::MAX / mask } else { 0 };
    let words = rows.div_ceil(per_word);
    let groups = packed.len() / words;
    let mut zeros = Vec::with_capacity(rows * groups);
    for row in 0..rows {
        for group in 0..groups {
            let word = (packed[group * words + row / per_word] as u32).wrapping_add(ones);
            // At most eight bits.
            zeros.push(((word >> (row % per_word * config.bits)) & mask) as u8);
        }
    }
    zeros
}

fn matrix_shape(checkpoint: &Checkpoint, name: &str, expected: &str) -> Result<[usize; 2]> {
    let (_, shape) = checkpoint.info(name)?;
    match *shape {
        // Without zeros, no extent is more than the tensor's bytes.
        [first, second] if first > 0 && second > 0 => Ok([first, second]),
        _ => Err(wrong_shape(checkpoint, name, expected.to_owned(), shape)),
    }
}

fn wrong_shape(checkpoint: &Checkpoint, name: &str, expected: String, got: &[usize]) -> Error {
    Error::Shape { path: checkpoint.path().to_owned(), tensor: name.to_owned(), expected, got: got.to_vec() }
}
