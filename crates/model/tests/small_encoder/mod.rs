//! A random encoder of a few words, as a folder of Hugging Face.

use std::collections::BTreeMap;
use std::path::Path;

use formats::Dtype;
use formats::safetensors::{TensorBytes, write};
use serde_json::{Map, json};

const WORDS: [&str; 8] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "fever", "cough", "no", "##s"];
const HIDDEN: usize = 12;
const INNER: usize = 20;
const LAYERS: usize = 2;

/// Writes the folder; `kind` is its `model_type`, `positions` how many rows its table of positions has.
pub(crate) fn write_encoder(folder: &Path, kind: &str, positions: usize) {
    let config = json!({
        "model_type": kind, "vocab_size": WORDS.len(), "hidden_size": HIDDEN, "intermediate_size": INNER,
        "num_hidden_layers": LAYERS, "num_attention_heads": 3, "max_position_embeddings": positions,
        "type_vocab_size": 1, "layer_norm_eps": 1e-5, "hidden_act": "gelu", "pad_token_id": 1,
    });
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let ids: Map<_, _> = WORDS.iter().enumerate().map(|(id, word)| (word.to_string(), id.into())).collect();
    let added = WORDS[..4].iter().enumerate().map(|(id, word)| {
        json!({"id": id, "content": word, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": true})
    });
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null,
        "added_tokens": added.collect::<Vec<_>>(), "pre_tokenizer": {"type": "Whitespace"},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": ids},
    });
    std::fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let mut shapes: Vec<(String, Vec<usize>)> = vec![
        ("embeddings.word_embeddings.weight".into(), vec![WORDS.len(), HIDDEN]),
        ("embeddings.position_embeddings.weight".into(), vec![positions, HIDDEN]),
        ("embeddings.token_type_embeddings.weight".into(), vec![1, HIDDEN]),
        ("embeddings.LayerNorm.weight".into(), vec![HIDDEN]),
        ("embeddings.LayerNorm.bias".into(), vec![HIDDEN]),
    ];
    for layer in 0..LAYERS {
        let modules = [
            ("attention.self.query", HIDDEN, HIDDEN),
            ("attention.self.key", HIDDEN, HIDDEN),
            ("attention.self.value", HIDDEN, HIDDEN),
            ("attention.output.dense", HIDDEN, HIDDEN),
            ("intermediate.dense", INNER, HIDDEN),
            ("output.dense", HIDDEN, INNER),
        ];
        for (module, rows, cols) in modules {
            shapes.push((format!("encoder.layer.{layer}.{module}.weight"), vec![rows, cols]));
            shapes.push((format!("encoder.layer.{layer}.{module}.bias"), vec![rows]));
        }
        for norm in ["attention.output.LayerNorm", "output.LayerNorm"] {
            shapes.push((format!("encoder.layer.{layer}.{norm}.weight"), vec![HIDDEN]));
            shapes.push((format!("encoder.layer.{layer}.{norm}.bias"), vec![HIDDEN]));
        }
    }
    let prefix = if kind == "roberta" { "roberta." } else { "bert." };
    let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = shapes
        .into_iter()
        .map(|(name, shape)| {
            let values = model::random::uniform(7, &name, 0.9, shape.iter().product());
            (format!("{prefix}{name}"), shape, values.flat_map(f32::to_le_bytes).collect())
        })
        .collect();
    let tensors: Vec<TensorBytes<'_>> = tensors
        .iter()
        .map(|(name, shape, bytes)| TensorBytes { name, dtype: Dtype::F32, shape, bytes })
        .collect();
    write(folder.join("model.safetensors"), &tensors, &BTreeMap::new()).unwrap();
}
