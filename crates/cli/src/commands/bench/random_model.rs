//! `medtune bench model`: a model of random weights on disk, however large, written without holding it in memory.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use formats::Dtype;
use formats::safetensors::{TensorShape, write_with};
use half::bf16;
use model::Config;
use rand::Rng;
use serde_json::{Value, json};

use super::{SEED, shape_name};
use crate::args::Shape;
use crate::failure::{Failure, Outcome, io as system};
use crate::known_models;

/// Deviation of the matrices.
const DEVIATION: f32 = 0.02;
/// Positions that it can be asked for.
const POSITIONS: usize = 8192;
/// Values that are drawn at a time.
const CHUNK: usize = 1 << 18;

/// Writes `config.json` and `model.safetensors` of `shape` to `out`.
pub(super) fn write(shape: Shape, out: &Path) -> Outcome<Value> {
    let file = out.join("model.safetensors");
    if file.exists() {
        return Err(Failure::input(format!("{} is there already", file.display())));
    }
    std::fs::create_dir_all(out).map_err(system(out))?;
    let config = known_models::measured(shape, POSITIONS);
    let tensors = tensors(&config);
    let normal = NormalTable::new();
    write_with(&file, &tensors, &BTreeMap::from([("format".into(), "pt".into())]), |index, writer| {
        let tensor = &tensors[index];
        let values = tensor.shape.iter().product();
        match tensor.shape.len() {
            1 => writer.write_all(&bf16::ONE.to_le_bytes().repeat(values)),
            _ => normal.write(&tensor.name, values, writer),
        }
    })?;
    let json = format!("{:#}\n", config.to_json("bfloat16", None, None));
    formats::atomic::write_atomic(out.join("config.json"), json.as_bytes())?;
    let bytes = std::fs::metadata(&file).map_err(system(&file))?.len();
    Ok(json!({"shape": shape_name(shape), "parameters": config.parameters(), "file_bytes": bytes}))
}

/// The tensors of a plain Llama, which all shapes here are.
fn tensors(config: &Config) -> Vec<TensorShape> {
    let (c, a) = (config, config.attention());
    let (h, i) = (c.hidden_size, c.intermediate_size);
    let tensor = |name: String, shape: &[usize]| TensorShape {
        name: format!("{name}.weight"),
        dtype: Dtype::BF16,
        shape: shape.to_vec(),
    };
    let layer = |l: usize| {
        [
            ("input_layernorm", vec![h]),
            ("self_attn.q_proj", vec![a.q_width(), h]),
            ("self_attn.k_proj", vec![a.kv_width(), h]),
            ("self_attn.v_proj", vec![a.kv_width(), h]),
            ("self_attn.o_proj", vec![h, a.q_width()]),
            ("post_attention_layernorm", vec![h]),
            ("mlp.gate_proj", vec![i, h]),
            ("mlp.up_proj", vec![i, h]),
            ("mlp.down_proj", vec![h, i]),
        ]
        .map(|(name, shape)| tensor(format!("model.layers.{l}.{name}"), &shape))
    };
    let head = (!c.tie_word_embeddings).then(|| tensor("lm_head".into(), &[c.vocab_size, h]));
    [tensor("model.embed_tokens".into(), &[c.vocab_size, h]), tensor("model.norm".into(), &[h])]
        .into_iter()
        .chain((0..c.layers).flat_map(layer))
        .chain(head)
        .collect()
}

/// Values of the normal distribution: two random bytes choose one, so that gigabytes take seconds.
struct NormalTable(Vec<[u8; 2]>);

impl NormalTable {
    fn new() -> Self {
        let values = model::random::normal(SEED, "table", 1 << 16);
        NormalTable(values.map(|z| bf16::from_f32(DEVIATION * z).to_le_bytes()).collect())
    }

    fn write(&self, name: &str, values: usize, writer: &mut dyn Write) -> io::Result<()> {
        let mut rng = model::random::stream(SEED, name);
        let mut bytes = vec![0; 2 * CHUNK.min(values)];
        for first in (0..values).step_by(CHUNK) {
            let bytes = &mut bytes[..2 * CHUNK.min(values - first)];
            rng.fill_bytes(bytes);
            for pair in bytes.as_chunks_mut::<2>().0 {
                *pair = self.0[usize::from(u16::from_le_bytes(*pair))];
            }
            writer.write_all(bytes)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_values_have_the_deviation_of_a_start() {
        let mut bytes = Vec::new();
        NormalTable::new().write("a", 300_000, &mut bytes).unwrap();
        let values: Vec<f32> =
            bytes.as_chunks().0.iter().map(|pair| bf16::from_le_bytes(*pair).to_f32()).collect();
        let n = values.len() as f32;
        let mean = values.iter().sum::<f32>() / n;
        let deviation = (values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n).sqrt();
        assert!(mean.abs() < 4e-4 && (deviation - DEVIATION).abs() < 4e-4, "{mean} {deviation}");
    }

    #[test]
    fn the_tensors_are_all_that_a_shape_has() {
        for shape in [Shape::Base, Shape::Tinyllama] {
            let config = known_models::measured(shape, 512);
            let count: usize = tensors(&config).iter().map(|t| t.shape.iter().product::<usize>()).sum();
            assert_eq!(count, config.parameters());
        }
    }
}
