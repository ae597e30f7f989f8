//! A quantization config, then a quantization state beside a small four-bit weight: read or refused.

#![no_main]

use std::collections::BTreeMap;
use std::path::Path;

use formats::quant::{Bnb4Type, QuantizationConfig};
use formats::{Checkpoint, Dtype, QuantizedMatrix, TensorBytes};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(config) = serde_json::from_slice(bytes) {
        let _ = QuantizationConfig::parse(Path::new("config.json"), &config);
    }
    let levels: Vec<u8> = Bnb4Type::Nf4.levels().iter().flat_map(|level| level.to_le_bytes()).collect();
    let tensors = [
        TensorBytes { name: "m.weight", dtype: Dtype::U8, shape: &[48, 1], bytes: &[0x5a; 48] },
        TensorBytes { name: "m.weight.absmax", dtype: Dtype::F32, shape: &[2], bytes: &[0x3f; 8] },
        TensorBytes { name: "m.weight.quant_map", dtype: Dtype::F32, shape: &[16], bytes: &levels },
        TensorBytes {
            name: "m.weight.quant_state.bitsandbytes__nf4",
            dtype: Dtype::U8,
            shape: &[bytes.len()],
            bytes,
        },
    ];
    formats::safetensors::write(fuzz::folder().join("model.safetensors"), &tensors, &BTreeMap::new())
        .expect("the checkpoint is written");
    let checkpoint = Checkpoint::open(fuzz::folder()).expect("it opens");
    if let Ok(Some(matrix)) = QuantizedMatrix::load(&checkpoint, "m", &QuantizationConfig::Bitsandbytes) {
        assert!(matrix.rows() * matrix.cols() <= 96, "no more elements than codes");
        let _ = matrix.to_f32();
    }
});
