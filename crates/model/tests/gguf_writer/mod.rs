//! A decoder's base as llama.cpp's converter would write it (`convert_hf_to_gguf.py`): GGUF's names, interleaved rows of
//! q and k in Llama's files, gains with Gemma's one in them, Llama 3's scaling as factors.

use std::borrow::Cow;
use std::path::Path;

use formats::gguf::{NewTensor, Value, gguf_name, interleaved_row, write};
use formats::quant::BlockType;
use model::{Config, Family, RopeScaling, StoredTensor};

/// Tensors that are to be written.
pub(crate) struct Model {
    pub(crate) config: Config,
    /// By their Hugging Face names.
    pub(crate) tensors: Vec<(String, StoredTensor)>,
    /// Metadata beside the shape's.
    pub(crate) metadata: Vec<(String, Value)>,
}

/// A tensor by its GGUF name.
pub(crate) struct Encoded {
    pub(crate) name: String,
    pub(crate) kind: BlockType,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
}

impl Model {
    /// Writes matrices as `kind` where their rows are whole blocks, as F16 where not, and everything else as F32.
    pub(crate) fn write(&self, path: &Path, kind: BlockType) {
        write_tensors(path, &self.metadata(), &self.encoded(kind));
    }

    /// The tensors in the file's order of rows, encoded.
    pub(crate) fn encoded(&self, kind: BlockType) -> Vec<Encoded> {
        let mut all: Vec<Encoded> = self.tensors.iter().map(|(name, t)| self.encode(name, t, kind)).collect();
        if let Some(factors) = self.factors() {
            let bytes = BlockType::F32.encode(&factors).unwrap();
            let shape = vec![factors.len()];
            all.push(Encoded { name: "rope_freqs.weight".into(), kind: BlockType::F32, shape, bytes });
        }
        all
    }

    fn encode(&self, name: &str, tensor: &StoredTensor, kind: BlockType) -> Encoded {
        let features = &self.config.features;
        let mut values = tensor.to_f32();
        let rotary = name.contains(".q_proj.") || name.contains(".k_proj.");
        if rotary && matches!(features.family, Family::Llama | Family::Mistral) {
            let width = values.len() / tensor.shape[0];
            let ours = values.clone();
            for (row, from) in ours.chunks_exact(width).enumerate() {
                values[interleaved_row(row, self.config.head_dim) * width..][..width].copy_from_slice(from);
            }
        }
        if name.ends_with("norm.weight") {
            values.iter_mut().for_each(|gain| *gain += features.gain_offset());
        }
        let matrix = tensor.shape.len() == 2;
        let whole = tensor.shape[tensor.shape.len() - 1].is_multiple_of(kind.elements());
        let kind = match (matrix, whole) {
            (false, _) => BlockType::F32,
            (true, false) => BlockType::F16,
            (true, true) => kind,
        };
        let bytes = kind.encode(&values).unwrap();
        let name = gguf_name(name, features.post_norms).unwrap();
        Encoded { name, kind, shape: tensor.shape.clone(), bytes }
    }

    /// Llama 3's scaling as the converter computes it, in f32.
    fn factors(&self) -> Option<Vec<f32>> {
        let Some(RopeScaling::Llama3 {
            factor,
            low_freq_factor: low,
            high_freq_factor: high,
            original_max_position_embeddings: original,
        }) = self.config.rope_scaling
        else {
            return None;
        };
        let [factor, low, high, original] = [factor, low, high, original].map(|n| n as f32);
        let width = self.config.head_dim;
        let factors = (0..width / 2).map(|i| {
            let frequency = 1.0 / (self.config.rope_theta as f32).powf((2 * i) as f32 / width as f32);
            let wavelength = std::f32::consts::TAU / frequency;
            if wavelength < original / high {
                1.0
            } else if wavelength > original / low {
                factor
            } else {
                let smooth = (original / wavelength - low) / (high - low);
                1.0 / ((1.0 - smooth) / factor + smooth)
            }
        });
        Some(factors.collect())
    }

    /// The keys that describe the shape, then those that were given.
    pub(crate) fn metadata(&self) -> Vec<(String, Value)> {
        let (c, f) = (&self.config, &self.config.features);
        let architecture = c.gguf_architecture();
        let mut metadata: Vec<(String, Value)> = vec![
            ("general.architecture".into(), architecture.into()),
            ("general.type".into(), "model".into()),
        ];
        let mut put = |key: &str, value: Value| metadata.push((format!("{architecture}.{key}"), value));
        for (key, value) in [
            ("context_length", c.max_positions),
            ("embedding_length", c.hidden_size),
            ("block_count", c.layers),
            ("feed_forward_length", c.intermediate_size),
            ("attention.head_count", c.heads),
            ("attention.head_count_kv", c.kv_heads),
            ("attention.key_length", c.head_dim),
            ("attention.value_length", c.head_dim),
            ("rope.dimension_count", c.head_dim),
        ] {
            put(key, (value as u32).into());
        }
        put("attention.layer_norm_rms_epsilon", c.rms_norm_eps.into());
        put("rope.freq_base", (c.rope_theta as f32).into());
        if let Some(window) = f.windows.iter().flatten().next() {
            put("attention.sliding_window", (*window as u32).into());
        }
        if let Some(RopeScaling::Linear { factor }) = c.rope_scaling {
            put("rope.scaling.type", "linear".into());
            put("rope.scaling.factor", (factor as f32).into());
        }
        if let (Some(attention), Some(logits)) = (f.attention_softcap, f.logit_softcap) {
            put("attn_logit_softcapping", attention.into());
            put("final_logit_softcapping", logits.into());
        }
        metadata.extend(self.metadata.clone());
        metadata
    }
}

/// Writes the file.
pub(crate) fn write_tensors(path: &Path, metadata: &[(String, Value)], tensors: &[Encoded]) {
    let metadata: Vec<(&str, Value)> = metadata.iter().map(|(k, v)| (k.as_str(), v.clone())).collect();
    let described: Vec<NewTensor<'_>> =
        tensors.iter().map(|t| NewTensor { name: &t.name, kind: t.kind, shape: &t.shape }).collect();
    write(path, &metadata, &described, |number| Ok(Cow::Borrowed(&tensors[number].bytes[..]))).unwrap();
}
