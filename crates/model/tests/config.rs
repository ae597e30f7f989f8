//! What `config.json` says, as transformers reads it, and what is refused by name.

use compute::{Activation, AttentionShape};
use model::{Config, Family, RopeScaling};
use serde_json::{Value, json};

/// A document of `model_type` with the sizes that every one has, and `more`.
fn document(model_type: &str, more: Value) -> Value {
    let mut json = json!({
        "model_type": model_type, "vocab_size": 1000, "hidden_size": 64, "intermediate_size": 96,
        "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2,
    });
    for (key, value) in more.as_object().expect("an object") {
        json[key] = value.clone();
    }
    json
}

fn read(model_type: &str, more: Value) -> Config {
    Config::from_json(&document(model_type, more)).expect("a supported config")
}

fn refused(model_type: &str, more: Value) -> String {
    Config::from_json(&document(model_type, more)).expect_err("a refusal")
}

#[test]
fn absent_keys_have_the_defaults_of_their_family() {
    let tied: Vec<bool> = Family::ALL.map(|f| read(f.model_type(), json!({})).tie_word_embeddings).to_vec();
    assert_eq!(tied, [false, false, false, false, true, true]);
    let heads = Family::ALL.map(|f| read(f.model_type(), json!({})).head_dim);
    assert_eq!(heads, [16, 16, 16, 128, 256, 256]);
    let mut llama = document("llama", json!({}));
    llama.as_object_mut().expect("an object").remove("num_key_value_heads");
    assert_eq!(Config::from_json(&llama).expect("supported").kv_heads, 4);
    assert_eq!(read("mistral", json!({"num_key_value_heads": null})).kv_heads, 4);
    assert_eq!(read("llama", json!({})).rope_theta, 10_000.0);
    assert_eq!(read("llama", json!({})).rms_norm_eps, 1e-6);
}

#[test]
fn qwen2_slides_only_where_it_is_switched_on() {
    let windows = |more| read("qwen2", more).features.windows;
    assert!(windows(json!({"sliding_window": 32})).is_empty());
    assert!(
        windows(json!({"sliding_window": 32, "use_sliding_window": true})).is_empty(),
        "28 layers are full"
    );
    let from_two = json!({"sliding_window": 32, "use_sliding_window": true, "max_window_layers": 2});
    assert_eq!(windows(from_two), [None, None, Some(32), Some(32)]);
    let types = ["sliding_attention", "full_attention", "full_attention", "full_attention"];
    let listed = json!({"sliding_window": 8, "use_sliding_window": true, "layer_types": types});
    assert_eq!(windows(listed), [Some(8), None, None, None]);
    let reason = refused("qwen2", json!({"sliding_window": 8, "layer_types": types}));
    assert!(reason.contains("sliding_window"), "{reason}");
}

#[test]
fn mistral_slides_in_every_layer_unless_the_window_is_null() {
    assert!(read("mistral", json!({"sliding_window": null})).features.windows.is_empty());
    assert_eq!(read("mistral", json!({"sliding_window": 16})).features.windows, [Some(16); 4]);
    assert_eq!(read("mistral", json!({})).features.windows, [Some(4096); 4]);
    let mixed =
        json!({"layer_types": ["full_attention", "sliding_attention", "full_attention", "full_attention"]});
    assert!(refused("mistral", mixed).contains("layer_types"));
}

#[test]
fn gemma_has_its_own_scales_caps_and_gate() {
    let gemma2 = read("gemma2", json!({"sliding_window": 16, "query_pre_attn_scalar": 144}));
    assert_eq!(gemma2.features.windows, [Some(16), None, Some(16), None]);
    let AttentionShape { scale, softcap, window, .. } = gemma2.attention_of(2);
    assert_eq!((scale, softcap, window), (1.0 / 12.0, Some(50.0), Some(16)));
    assert_eq!((gemma2.features.logit_softcap, gemma2.embedding_scale()), (Some(30.0), 8.0));
    let uncapped = read("gemma2", json!({"attn_logit_softcapping": null, "final_logit_softcapping": null}));
    assert_eq!((uncapped.features.attention_softcap, uncapped.features.logit_softcap), (None, None));
    for act in ["gelu", "gelu_pytorch_tanh"] {
        assert_eq!(read("gemma", json!({"hidden_act": act})).features.activation, Activation::GeluTanh);
    }
    assert!(refused("gemma2", json!({"hidden_activation": "gelu"})).contains("hidden_activation gelu"));
    assert_eq!(read("gemma2", json!({"hidden_act": "gelu"})).features.activation, Activation::GeluTanh);
    assert_eq!((gemma2.features.neutral_gain(), gemma2.features.gain_offset()), (0.0, 1.0));
}

#[test]
fn rotary_parameters_are_read_in_the_old_and_the_new_way() {
    let llama3 = json!({
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    });
    let mut new = llama3.clone();
    new["rope_theta"] = json!(5e5);
    let new = read("llama", json!({"rope_parameters": new}));
    let old = read("llama", json!({"rope_scaling": llama3, "rope_theta": 5e5}));
    assert_eq!(new, old);
    assert!(matches!(new.rope_scaling, Some(RopeScaling::Llama3 { factor: 8.0, .. })));
    let both = json!({"rope_parameters": {"rope_theta": 7.0, "rope_type": "default"}, "rope_theta": 9.0});
    assert_eq!(read("llama", both).rope_theta, 7.0, "the table wins");
    let linear = read("llama", json!({"rope_scaling": {"type": "linear", "factor": 2.0}}));
    let plain = read("llama", json!({}));
    let (linear, plain) = (linear.rope_table(9), plain.rope_table(9));
    assert_eq!(linear[8 * 16..], plain[4 * 16..5 * 16], "position 8 turns as far as 4");
    for (scaling, name) in [
        (json!({"rope_type": "yarn", "factor": 4.0}), "yarn"),
        (json!({"rope_type": "default", "mrope_section": [16]}), "mrope_section"),
        (json!({"full_attention": {"rope_type": "default"}}), "full_attention"),
        (json!({"rope_type": "llama3", "factor": 4.0}), "low_freq_factor"),
    ] {
        let reason = refused("llama", json!({"rope_parameters": scaling}));
        assert!(reason.contains(name), "{reason}");
    }
}

#[test]
fn what_is_not_implemented_is_refused_by_name() {
    for (key, value) in [
        ("hidden_act", json!("relu")),
        ("partial_rotary_factor", json!(0.5)),
        ("use_bidirectional_attention", json!(true)),
        ("num_experts", json!(8)),
        ("logits_scaling", json!(8.0)),
        ("hidden_size", json!(-1)),
        ("num_key_value_heads", json!(3)),
        ("attention_bias", json!("yes")),
        ("rms_norm_eps", json!(-1.0)),
    ] {
        let reason = refused("llama", json!({ key: value }));
        assert!(reason.contains(key), "{key}: {reason}");
    }
    assert!(refused("mixtral", json!({})).contains("gemma2"), "says what is supported");
    assert!(Config::from_json(&json!({"vocab_size": 3})).expect_err("no type").contains("model_type"));
    assert!(Config::from_json(&json!([1])).is_err());
    assert!(refused("gemma2", json!({"sliding_window": null})).contains("sliding_window"));
    read("llama", json!({"use_bidirectional_attention": null, "num_experts": 0, "logits_scaling": 1.0}));
}

#[test]
fn a_config_that_is_written_is_read_back() {
    let windowed = json!({"sliding_window": 8, "use_sliding_window": true, "max_window_layers": 1});
    for family in Family::ALL {
        for more in [json!({}), windowed.clone(), json!({"rope_scaling": {"type": "linear", "factor": 3.0}})]
        {
            let config = read(family.model_type(), more);
            let written = config.to_json("float32", Some(1), None);
            assert_eq!(Config::from_json(&written), Ok(config), "{written:#}");
        }
    }
}

#[test]
fn a_depth_that_nothing_has_is_refused_before_its_layers_are_listed() {
    let reason = refused("mistral", json!({"num_hidden_layers": u64::MAX}));
    assert!(reason.contains("num_hidden_layers is 18446744073709551615, expected 1 to 1024"), "{reason}");
}
