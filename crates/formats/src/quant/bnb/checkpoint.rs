//! bitsandbytes matrices as `save_pretrained` leaves them.

use serde::Deserialize;

use super::{Absmax, Blockwise8, Bnb4Matrix, Bnb4Type, Int8Matrix};
use crate::quant::Mismatch;
use crate::{Checkpoint, Dtype, Error, Result, Tensor};

/// The longest quantization state that is read.
const STATE_LIMIT: usize = 1 << 16;
/// `weight_format` of rows in their order; the others are layouts of long-gone GPU kernels.
const ROW_MAJOR: u8 = 0;

/// What stands beside a four-bit matrix as JSON in a tensor of bytes (bitsandbytes' `QuantState.as_dict`).
#[derive(Deserialize)]
struct QuantState {
    quant_type: String,
    blocksize: usize,
    shape: Vec<usize>,
    nested_blocksize: Option<usize>,
    nested_offset: Option<f32>,
}

/// The name of the quantization state of a module's weight, if it has one.
pub(crate) fn state_of(checkpoint: &Checkpoint, module: &str) -> Option<String> {
    [Bnb4Type::Nf4, Bnb4Type::Fp4]
        .map(|kind| format!("{module}.weight.quant_state.bitsandbytes__{}", kind.name()))
        .into_iter()
        .find(|name| checkpoint.contains(name))
}

/// A four-bit weight, `[out, in]`, with the code book and the scales that the checkpoint gives.
pub(crate) fn load_four_bit(checkpoint: &Checkpoint, module: &str, state_name: &str) -> Result<Bnb4Matrix> {
    let weight = format!("{module}.weight");
    let state = read_state(checkpoint, state_name)?;
    let wrong = |reason: Mismatch| Error::malformed(checkpoint.path(), format!("{weight}: {reason}"));
    let [rows, cols] = state.shape[..] else {
        return Err(Error::Shape {
            path: checkpoint.path().to_owned(),
            tensor: weight,
            expected: "[out, in]".to_owned(),
            got: state.shape,
        });
    };
    if !state_name.ends_with(&state.quant_type) {
        return Err(wrong(Mismatch::new("quant_type", state_name, &state.quant_type)));
    }
    let code = levels::<16>(checkpoint, &format!("{weight}.quant_map"))?;
    let absmax_name = format!("{weight}.absmax");
    let nested_name = format!("{weight}.nested_absmax");
    let absmax = if checkpoint.contains(&nested_name) {
        let (Some(block), Some(offset)) = (state.nested_blocksize, state.nested_offset) else {
            return Err(wrong(Mismatch::new(
                "quantization state",
                "a nested_blocksize and a nested_offset",
                "none",
            )));
        };
        let code = Box::new(levels::<256>(checkpoint, &format!("{weight}.nested_quant_map"))?);
        let codes = expect(checkpoint, &absmax_name, Dtype::U8, "U8")?.bytes;
        let values = Blockwise8::new(codes, checkpoint.f32(&nested_name)?, code, block).map_err(wrong)?;
        Absmax::Nested { values, offset }
    } else {
        Absmax::Plain(checkpoint.f32(&absmax_name)?)
    };
    // The bytes may be stored as any type (`bnb_4bit_quant_storage`); what counts is how many there are.
    let packed = checkpoint.tensor(&weight)?.bytes;
    Bnb4Matrix::new([rows, cols], state.blocksize, packed, absmax, code).map_err(wrong)
}

/// A weight of LLM.int8, `[out, in]`: signed bytes, and `SCB`, the largest magnitude of each row.
pub(crate) fn load_int8(checkpoint: &Checkpoint, module: &str) -> Result<Int8Matrix> {
    let weight = format!("{module}.weight");
    let format = format!("{module}.weight_format");
    if checkpoint.contains(&format) {
        let format = checkpoint.tensor(&format)?.bytes;
        if format != [ROW_MAJOR] {
            return Err(Error::Unsupported {
                path: checkpoint.path().to_owned(),
                setting: format!("{module}.weight_format"),
                value: format!("{format:?}"),
                hint: "; 0, rows in their order, is".to_owned(),
            });
        }
    }
    let tensor = expect(checkpoint, &weight, Dtype::I8, "I8")?;
    let [rows, cols] = tensor.shape[..] else {
        return Err(Error::Shape {
            path: checkpoint.path().to_owned(),
            tensor: weight,
            expected: "[out, in]".to_owned(),
            got: tensor.shape,
        });
    };
    let codes = tensor.bytes.into_iter().map(|byte| byte as i8).collect();
    Int8Matrix::new([rows, cols], codes, checkpoint.f32(&format!("{module}.SCB"))?)
        .map_err(|reason| Error::malformed(checkpoint.path(), format!("{weight}: {reason}")))
}

fn read_state(checkpoint: &Checkpoint, name: &str) -> Result<QuantState> {
    let length = checkpoint.byte_length(name)?;
    if length > STATE_LIMIT {
        let what = format!("{name} has {length} bytes, expected at most {STATE_LIMIT}");
        return Err(Error::malformed(checkpoint.path(), what));
    }
    let json = expect(checkpoint, name, Dtype::U8, "U8")?.bytes;
    serde_json::from_slice(&json).map_err(|reason| {
        Error::malformed(checkpoint.path(), format!("{name} is no quantization state: {reason}"))
    })
}

/// A code book of `N` levels.
fn levels<const N: usize>(checkpoint: &Checkpoint, name: &str) -> Result<[f32; N]> {
    let wrong = |got| Error::Shape {
        path: checkpoint.path().to_owned(),
        tensor: name.to_owned(),
        expected: format!("[{N}]"),
        got,
    };
    let (_, shape) = checkpoint.info(name)?;
    if shape != [N] {
        return Err(wrong(shape.to_vec()));
    }
    checkpoint.f32(name)?.try_into().map_err(|levels: Vec<f32>| wrong(vec![levels.len()]))
}

fn expect(checkpoint: &Checkpoint, name: &str, dtype: Dtype, expected: &'static str) -> Result<Tensor> {
    let (got, _) = checkpoint.info(name)?;
    if got != dtype {
        let (path, tensor, got) = (checkpoint.path().to_owned(), name.to_owned(), got.to_string());
        return Err(Error::Dtype { path, tensor, expected, got });
    }
    checkpoint.tensor(name)
}
