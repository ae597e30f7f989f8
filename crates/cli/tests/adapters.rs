//! Every kind of adapter, from the recipe to an answer, through the binary.

mod common;

use common::runs::Workshop;
use common::*;
use serde_json::{Value, json};

/// Trains by `keys`; the workshop, and the settings that were saved.
fn trained(keys: &str) -> (Workshop, Value) {
    let workshop = Workshop::new(&format!("max_steps: 4\nwarmup_steps: 0\n{keys}"));
    workshop.finish("run", &[]);
    let settings = std::fs::read(workshop.path("run/adapter/adapter_config.json")).unwrap();
    (workshop, serde_json::from_slice(&settings).unwrap())
}

fn logits(workshop: &Workshop, adapter: bool) -> Value {
    let (model, adapter_folder) = (workshop.path("base"), workshop.path("run/adapter"));
    let mut arguments = vec!["inspect", "logits", "--model", text(&model), "--ids", "5,9,12", "--json"];
    if adapter {
        arguments.extend(["--adapter", text(&adapter_folder)]);
    }
    run_json(&arguments)["logits"].clone()
}

#[test]
fn every_kind_of_adapter_is_trained_saved_and_answers() {
    let ranks = json!({"q_proj": 2, r"layers\.0\..*": 3});
    for (keys, expected) in [
        (
            "rank_pattern: {q_proj: 2, 'layers\\.0\\..*': 3}\nalpha_pattern: {v_proj: 4}",
            json!({"rank_pattern": ranks, "alpha_pattern": {"v_proj": 4}}),
        ),
        ("lora_dropout: 0.25", json!({"lora_dropout": 0.25, "use_dora": false})),
        ("modules_to_save: [lm_head, embed_tokens]", json!({"modules_to_save": ["lm_head", "embed_tokens"]})),
        (
            "lora_target_modules: [q_proj, lm_head, embed_tokens]",
            json!({"target_modules": ["q_proj", "lm_head", "embed_tokens"], "modules_to_save": null}),
        ),
        ("use_dora: true\nlora_dropout: 0.1", json!({"use_dora": true, "lora_dropout": 0.1})),
        ("adapter: qlora\npeft_use_dora: true", json!({"use_dora": true, "r": 4})),
        // Twice the rank: the part that was taken off the base comes along.
        ("init_lora_weights: pissa", json!({"r": 8, "lora_alpha": 16, "init_lora_weights": true})),
        ("adapter: qlora\ninit_lora_weights: pissa_niter_2", json!({"r": 8, "lora_alpha": 16})),
    ] {
        let (workshop, settings) = trained(keys);
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(&settings[key], value, "{keys}: {key}");
        }
        let (tuned, base) = (logits(&workshop, true), logits(&workshop, false));
        assert!(tuned.as_array().unwrap().iter().all(|logit| logit.as_f64().is_some()), "{keys}");
        assert_ne!(tuned, base, "{keys}");
    }
}

#[test]
fn an_interrupted_run_with_dropout_and_dora_ends_in_the_same_bytes() {
    let keys = "max_steps: 6\nsave_steps: 2\nlora_dropout: 0.3\nuse_dora: true\nmodules_to_save: [lm_head]";
    let workshop = Workshop::new(keys);
    workshop.finish("whole", &[]);
    let killed = workshop.command("killed", &[]).env("MEDTUNE_FAILPOINT", "run.step:3").output().unwrap();
    assert_ne!(killed.status.code(), Some(0));
    workshop.finish("killed", &[]);
    assert_eq!(workshop.result("killed"), workshop.result("whole"));
}

#[test]
fn settings_that_cannot_work_are_refused_with_their_key() {
    for (keys, said) in [
        ("lora_dropout: 1.5", "lora_dropout"),
        ("rank_pattern: {q_porj: 4}", "q_porj"),
        ("rank_pattern: {'q_proj(': 4}", "rank_pattern"),
        ("modules_to_save: [norm]", "norm"),
        ("use_dora: true\ninit_lora_weights: pissa", "init_lora_weights"),
        ("adapter: full\nuse_dora: true", "peft_use_dora"),
    ] {
        let said_by = Workshop::new(keys).fail("run", &[], 1);
        assert!(said_by.contains(said), "{keys}: {said_by}");
    }
}
