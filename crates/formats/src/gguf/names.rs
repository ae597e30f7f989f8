//! What GGUF calls the tensors of a decoder, and in which order it keeps the rows that rotary embedding turns.
//!
//! Source: `gguf` 0.19.0 (`gguf/tensor_mapping.py`) and llama.cpp's `convert_hf_to_gguf.py`.

/// Names outside the layers: Hugging Face's, GGUF's.
const OUTSIDE: [(&str, &str); 3] =
    [("model.embed_tokens", "token_embd"), ("model.norm", "output_norm"), ("lm_head", "output")];

/// Names inside a layer that are the same everywhere.
const INSIDE: [(&str, &str); 10] = [
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
    ("input_layernorm", "attn_norm"),
];

/// The norms around the feed-forward block where a layer has two norms.
const TWO_NORMS: [(&str, &str); 1] = [("post_attention_layernorm", "ffn_norm")];

/// The same where it has four (Gemma 2 and later): Hugging Face uses one name for two different norms.
const FOUR_NORMS: [(&str, &str); 3] = [
    ("post_attention_layernorm", "post_attention_norm"),
    ("pre_feedforward_layernorm", "ffn_norm"),
    ("post_feedforward_layernorm", "post_ffw_norm"),
];

/// GGUF's name of a tensor that Hugging Face calls `name` (`model.layers.0.self_attn.q_proj.weight` is
/// `blk.0.attn_q.weight`); `None` for a tensor that a decoder does not have. `four_norms` says whether a layer has a
/// norm on both sides of its two blocks.
pub fn gguf_name(name: &str, four_norms: bool) -> Option<String> {
    let (module, kind) = name.rsplit_once('.').filter(|(_, kind)| ["weight", "bias"].contains(kind))?;
    if let Some((_, gguf)) = OUTSIDE.iter().find(|(hugging_face, _)| *hugging_face == module) {
        return Some(format!("{gguf}.{kind}"));
    }
    let (layer, module) = module.strip_prefix("model.layers.")?.split_once('.')?;
    let norms = if four_norms { FOUR_NORMS.as_slice() } else { &TWO_NORMS };
    let (_, gguf) = INSIDE.iter().chain(norms).find(|(hugging_face, _)| *hugging_face == module)?;
    layer.bytes().all(|digit| digit.is_ascii_digit()).then(|| format!("blk.{layer}.{gguf}.{kind}"))
}

/// Hugging Face's name of the linear layer that GGUF calls `name` (`blk.0.attn_q` is
/// `model.layers.0.self_attn.q_proj`), embedding and head included; `None` for anything else.
pub fn hugging_face_module(name: &str) -> Option<String> {
    let find = |names: &'static [(&str, &str)], name: &str| {
        names.iter().find(|(_, gguf)| *gguf == name).map(|(own, _)| *own).filter(|own| !own.contains("norm"))
    };
    if let Some(module) = find(&OUTSIDE, name) {
        return Some(module.to_owned());
    }
    let (layer, module) = name.strip_prefix("blk.")?.split_once('.')?;
    let module = find(&INSIDE, module)?;
    let digits = !layer.is_empty() && layer.bytes().all(|digit| digit.is_ascii_digit());
    digits.then(|| format!("model.layers.{layer}.{module}"))
}

/// Where GGUF keeps row `row` of a query or key projection in files of the architecture `llama` (Mistral included).
///
/// Hugging Face turns element `i` of a head together with element `i + head_dim / 2`; llama.cpp turns neighbours, and
/// its converter reorders the rows of each head to suit. Other architectures keep Hugging Face's order.
pub fn interleaved_row(row: usize, head_dim: usize) -> usize {
    let (head, place) = (row / head_dim, row % head_dim);
    let half = head_dim / 2;
    head * head_dim + place % half * 2 + place / half
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_have_their_gguf_names() {
        for (name, two, four) in [
            ("model.embed_tokens.weight", Some("token_embd.weight"), Some("token_embd.weight")),
            ("model.layers.12.self_attn.q_proj.bias", Some("blk.12.attn_q.bias"), Some("blk.12.attn_q.bias")),
            (
                "model.layers.0.post_attention_layernorm.weight",
                Some("blk.0.ffn_norm.weight"),
                Some("blk.0.post_attention_norm.weight"),
            ),
            ("model.layers.0.pre_feedforward_layernorm.weight", None, Some("blk.0.ffn_norm.weight")),
            ("model.layers.x.self_attn.q_proj.weight", None, None),
            ("model.layers.0.self_attn.q_proj", None, None),
        ] {
            assert_eq!(gguf_name(name, false).as_deref(), two, "{name}");
            assert_eq!(gguf_name(name, true).as_deref(), four, "{name}");
        }
    }

    #[test]
    fn linear_layers_find_their_way_back() {
        for module in ["model.layers.12.self_attn.q_proj", "model.layers.0.mlp.down_proj", "lm_head"] {
            let name = gguf_name(&format!("{module}.weight"), false).unwrap();
            let name = name.strip_suffix(".weight").unwrap();
            assert_eq!(hugging_face_module(name).as_deref(), Some(module), "{name}");
        }
        for other in ["blk.0.attn_norm", "output_norm", "blk.x.attn_q", "blk..attn_q", "blk.0.attn_qkv", ""] {
            assert_eq!(hugging_face_module(other), None, "{other}");
        }
    }

    #[test]
    fn halves_of_a_head_become_neighbours() {
        let order: Vec<usize> = (0..8).map(|row| interleaved_row(row, 4)).collect();
        assert_eq!(order, [0, 2, 1, 3, 4, 6, 5, 7]);
    }
}
