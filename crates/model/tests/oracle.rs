//! The decoder against PyTorch's numbers (transformers 5.23.0, torch 2.15.0, f32). The files are not shipped; without
//! them these tests say so and check nothing.

use std::path::PathBuf;
use std::sync::Arc;

use compute::Cpu;
use model::{Decoder, Generator, Sampling, Stop, Trainable};
use serde_json::Value;

fn oracles() -> Option<PathBuf> {
    let dir = std::env::var_os("MEDTUNE_ORACLES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    if dir.is_dir() {
        return Some(dir);
    }
    eprintln!("ORACLE ABSENT: {} is not there, nothing was compared", dir.display());
    None
}

fn read(path: PathBuf) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u32).collect()
}

fn floats(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

fn load(dir: PathBuf) -> Decoder<Cpu> {
    Decoder::load(Arc::new(Cpu::new(2)), &dir, &Trainable::Nothing).unwrap()
}

fn greedy(decoder: &Decoder<Cpu>, prompt: Vec<u32>, tokens: usize) -> Vec<u32> {
    let mut generator = Generator::new(decoder, 1, prompt.len() + tokens + 1).unwrap();
    let stop = Stop { tokens: vec![], max_tokens: tokens };
    let texts = generator.generate(
        decoder,
        std::slice::from_ref(&prompt),
        (&Sampling::default(), &stop),
        true,
        &mut |_, _| {},
    );
    prompt.into_iter().chain(texts.into_iter().flatten()).collect()
}

fn assert_close(got: &[f32], expected: &[f32], largest: f32, what: &str) {
    for (g, e) in got.iter().zip(expected) {
        assert!((g - e).abs() <= 1e-4 * largest, "{what}: {g} is not {e} (largest logit {largest})");
    }
}

#[test]
fn stories260k_writes_the_published_story() {
    let Some(data) = oracles() else { return };
    let decoder = load(data.join("weights/stories260K/hf"));
    let oracle = read(data.join("weights/stories260K/oracle_fp32.json"));
    let expected = ids(&oracle["greedy_from_bos"]["ids"]);
    assert_eq!(greedy(&decoder, vec![1], 200), expected[..201]);
}

#[test]
fn stories260k_has_pytorchs_logits() {
    let Some(data) = oracles() else { return };
    let decoder = load(data.join("weights/stories260K/hf"));
    let oracle = read(data.join("weights/stories260K/oracle_fp32.json"));
    let prompts = oracle["prompts"].as_array().unwrap();
    assert_eq!(prompts.len(), 3);
    for prompt in prompts {
        let tokens = ids(&prompt["ids"]);
        let logits = Generator::new(&decoder, 1, 64).unwrap().next_logits(&decoder, &tokens, true);
        let largest = logits.iter().fold(0.0f32, |a, l| a.max(l.abs()));
        assert_close(&logits, &floats(&prompt["last_logits_first16"]), largest, "stories260K");
        for top in prompt["last_top5"].as_array().unwrap() {
            let id = top[0].as_u64().unwrap() as usize;
            assert_close(&logits[id..=id], &[top[1].as_f64().unwrap() as f32], largest, "top 5");
        }
        assert_eq!(greedy(&decoder, tokens, 60), ids(&prompt["greedy60_ids"]));
    }
}

#[test]
fn llama_architectures_have_pytorchs_logits_and_continuations() {
    let Some(data) = oracles() else { return };
    let oracle = read(data.join("numerics/arch/oracle.json"));
    for name in ["llama2_mha", "llama3_rope_scaled", "smollm2_tied"] {
        let decoder = load(data.join("numerics/arch").join(name));
        let expected = &oracle["models"][name];
        let row = ids(&oracle["input_ids"][0]);
        let logits = Generator::new(&decoder, 1, 64).unwrap().next_logits(&decoder, &row, true);
        let reference = floats(&expected["logits_row0_last"]);
        let largest = reference.iter().fold(0.0f32, |a, l| a.max(l.abs()));
        assert_close(&logits, &reference, largest, name);
        let continued = greedy(&decoder, row[..10].to_vec(), 30);
        let greedy_ids = expected.as_object().unwrap().iter().find(|(k, _)| k.contains("greedy")).unwrap().1;
        let greedy_ids = ids(greedy_ids);
        assert!(continued.ends_with(&greedy_ids) || continued == greedy_ids, "{name}");
    }
}
