//! The memory of AdamW: 32-bit moments on the device, or 8-bit ones.

use compute::{AdamW, Backend, EightBitMoments};
use formats::{Dtype, SafetensorsFile};
use model::Decoder;

use crate::Result;
use crate::checkpoint::{NamedTensor, Values, read_into};

/// First and second moment of every trained value.
#[derive(Debug)]
pub(crate) enum Moments<B: Backend> {
    /// 32 bits, on the device.
    Full {
        /// First moment.
        m: B::Buffer,
        /// Second moment.
        v: B::Buffer,
    },
    /// 8 bits, in blocks.
    EightBit(EightBitMoments),
}

impl<B: Backend> Moments<B> {
    pub(crate) fn new(decoder: &Decoder<B>, eight_bit: bool) -> Result<Self> {
        if eight_bit {
            return Ok(Moments::EightBit(EightBitMoments::new(
                decoder.parameters.list.iter().map(|p| p.len()),
            )));
        }
        let zeros = |what| decoder.backend().zeros(what, decoder.parameters.len());
        Ok(Moments::Full { m: zeros("first moment")?, v: zeros("second moment")? })
    }

    /// Moves the range of `step`.
    pub(crate) fn step(&mut self, backend: &B, values: &mut B::Buffer, gradients: &B::Buffer, step: &AdamW) {
        match self {
            Moments::Full { m, v } => backend.adamw(values, gradients, m, v, step),
            Moments::EightBit(moments) => backend.adamw_8bit(values, gradients, moments, step),
        }
    }

    /// What a checkpoint keeps.
    pub(crate) fn tensors(&self) -> Vec<NamedTensor<'_, B>> {
        let named = |name, values| NamedTensor { name, values };
        match self {
            Moments::Full { m, v } => {
                vec![named("m", Values::Device(m)), named("v", Values::Device(v))]
            }
            Moments::EightBit(e) => vec![
                named("m", Values::U8(&e.m)),
                named("m_scale", Values::F32(&e.m_scale)),
                named("v", Values::U8(&e.v)),
                named("v_scale", Values::F32(&e.v_scale)),
            ],
        }
    }

    /// Takes back what [`Moments::tensors`] gave. The inner error says what does not fit.
    pub(crate) fn restore(
        &mut self,
        backend: &B,
        file: &SafetensorsFile,
    ) -> Result<std::result::Result<(), String>> {
        let wrong = |name: &str, got: usize, expected: usize| {
            Ok(Err(format!("{name} has {got} values, the model {expected}")))
        };
        match self {
            Moments::Full { m, v } => {
                for (name, buffer) in [("m", m), ("v", v)] {
                    if let Err(reason) = read_into(file, name, backend, buffer)? {
                        return Ok(Err(reason));
                    }
                }
            }
            Moments::EightBit(e) => {
                for (name, codes) in [("m", &mut e.m), ("v", &mut e.v)] {
                    if file.info(name)?.0 != Dtype::U8 {
                        return Ok(Err(format!("{name} is not in 8 bits")));
                    }
                    let bytes = file.bytes(name)?;
                    if bytes.len() != codes.len() {
                        return wrong(name, bytes.len(), codes.len());
                    }
                    codes.copy_from_slice(&bytes);
                }
                for (name, scales) in [("m_scale", &mut e.m_scale), ("v_scale", &mut e.v_scale)] {
                    let values = file.f32(name)?;
                    if values.len() != scales.len() {
                        return wrong(name, values.len(), scales.len());
                    }
                    scales.copy_from_slice(&values);
                }
            }
        }
        Ok(Ok(()))
    }
}
