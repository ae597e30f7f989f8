//! The decoder against PyTorch's numbers (transformers 5.23.0, torch 2.15.0, f32). The files are not shipped; without
//! them these tests say so and check nothing.

use std::path::PathBuf;
use std::sync::Arc;

use compute::{Cpu, Segment};
use model::engine::{Engine, EngineSettings, Request, Stop};
use model::{Activations, Context, Decoder, Labels, Tokens, Trainable};
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
    let mut engine = Engine::new(decoder, EngineSettings::new(1, prompt.len() + tokens + 1)).unwrap();
    let stop = Stop { max_tokens: tokens, ..Stop::default() };
    let texts = engine.write([Request::greedy(prompt.clone(), stop)], &mut |_, _| {}).unwrap();
    prompt.into_iter().chain(texts.into_iter().flat_map(|text| text.ids)).collect()
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
        let logits = decoder.next_logits(&tokens, true).unwrap();
        let largest = logits.iter().fold(0.0f32, |a, l| a.max(l.abs()));
        assert_close(&logits, &floats(&prompt["last_logits_first16"]), largest, "stories260K");
        for top in prompt["last_top5"].as_array().unwrap() {
            let id = top[0].as_u64().unwrap() as usize;
            assert_close(&logits[id..=id], &[top[1].as_f64().unwrap() as f32], largest, "top 5");
        }
        assert_eq!(greedy(&decoder, tokens, 60), ids(&prompt["greedy60_ids"]));
    }
}

/// Mean loss of every next token of `texts`, in one batch.
fn mean_loss(decoder: &Decoder<Cpu>, texts: &[Vec<u32>]) -> f64 {
    let ids = texts.concat();
    let positions: Vec<u32> = texts.iter().flat_map(|text| 0..text.len() as u32).collect();
    let (mut segments, mut rows, mut labels, mut start) = (vec![], vec![], vec![], 0);
    for text in texts {
        segments.push(Segment::whole(start, text.len()));
        rows.extend((start..start + text.len() - 1).map(|row| row as u32));
        labels.extend(&text[1..]);
        start += text.len();
    }
    let mut activations = Activations::for_inference(decoder, ids.len()).unwrap();
    let tokens = Tokens { ids: &ids, positions: &positions };
    decoder.forward(tokens, Context::Segments(&segments), &mut activations, true);
    let labels = Labels { rows: &rows, labels: &labels, weights: &vec![0.0; rows.len()] };
    let log_probs = decoder.loss(labels, ids.len(), &activations).log_probs;
    -log_probs.iter().map(|l| f64::from(*l)).sum::<f64>() / log_probs.len() as f64
}

#[test]
fn every_architecture_has_pytorchs_loss_logits_and_continuation() {
    let Some(data) = oracles() else { return };
    let oracle = read(data.join("numerics/arch/oracle.json"));
    let texts = [ids(&oracle["input_ids"][0]), ids(&oracle["input_ids"][1])];
    let models = oracle["models"].as_object().unwrap();
    assert_eq!(models.len(), 9);
    for (name, expected) in models {
        let decoder = load(data.join("numerics/arch").join(name));
        let logits = |text: &[u32]| decoder.next_logits(text, true).unwrap();
        let reference = floats(&expected["logits_row0_last"]);
        let largest = reference.iter().fold(0.0f32, |a, l| a.max(l.abs()));
        assert_close(&logits(&texts[0]), &reference, largest, name);
        let middle = floats(&expected["logits_row1_pos20_first32"]);
        assert_close(&logits(&texts[1][..=20])[..32], &middle, largest, name);
        let largest_ids = ids(&expected["argmax_row0"]);
        for (end, largest_id) in (1..).zip(largest_ids) {
            let logits = logits(&texts[0][..end]);
            let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
            assert_eq!(best as u32, largest_id, "{name}: after {end} tokens");
        }
        let loss = expected["loss"].as_f64().unwrap();
        let difference = (mean_loss(&decoder, &texts) - loss).abs();
        assert!(difference < 1e-5 * loss, "{name}: the loss is off by {difference}");
        let continued = greedy(&decoder, texts[0][..10].to_vec(), 30);
        assert_eq!(continued, ids(&expected["greedy_from_first10_of_row0"]), "{name}");
    }
}
