//! What must hold of the decoder on any backend, on a small random model.

mod small;

use std::sync::Arc;

use compute::cpu::Precision;
use compute::{Backend, Cpu, DeviceBuffer, Segment, Waiting};
use formats::quant::{Bnb4Options, Bnb4Type};
use model::engine::{AdapterId, Engine, EngineSettings, Request, Stop};
use model::{
    Activations, Checkpointing, Config, Context, Decoder, Family, Features, Held, InitLoraWeights, Judged,
    Labels, LoraConfig, QuantizeOnLoad, RandomStart, StoredTensor, TensorSource, Tokens, Trainable, Training,
    read_range,
};

fn config() -> Config {
    Config { max_positions: 128, ..small::config(97) }
}

/// A model of every family, with what its members may have; windows are shorter than the texts.
fn families() -> Vec<Config> {
    let of = |family| Config { features: Features::of(family), ..config() };
    let mut llama = Config { tie_word_embeddings: false, ..config() };
    (llama.features.qkv_bias, llama.features.out_bias, llama.features.mlp_bias) = (true, true, true);
    let mut mistral = of(Family::Mistral);
    mistral.features.windows = vec![Some(6); 3];
    let mut qwen2 = of(Family::Qwen2);
    qwen2.features.windows = vec![None, None, Some(9)];
    let gemma = Config { kv_heads: 1, head_dim: 12, ..of(Family::Gemma) };
    let mut gemma2 = Config { head_dim: 12, ..of(Family::Gemma2) };
    gemma2.features.windows = vec![Some(6), None, Some(6)];
    gemma2.features.attention_softcap = Some(2.0);
    gemma2.features.logit_softcap = Some(3.0);
    gemma2.features.query_scalar = Some(10.0);
    let qwen3 = Config { head_dim: 12, ..of(Family::Qwen3) };
    vec![config(), llama, mistral, qwen2, qwen3, gemma, gemma2]
}

/// A start with larger weights than a training start, so that every part matters.
struct Loud(RandomStart);

impl TensorSource for Loud {
    fn tensor(&self, name: &str) -> model::Result<StoredTensor> {
        let t = self.0.tensor(name)?;
        let values: Vec<f32> = match t.shape.len() {
            1 => {
                let noise = model::random::normal(1, name, t.shape[0]).map(|z| 0.2 * z);
                noise.zip(t.to_f32()).map(|(noise, value)| value + noise).collect()
            }
            _ => t.to_f32().iter().map(|v| v * 8.0).collect(),
        };
        Ok(StoredTensor::from_f32(t.shape, &values))
    }

    fn origin(&self) -> String {
        "test".into()
    }
}

fn decoder(trainable: &Trainable, threads: usize) -> Decoder<Cpu> {
    decoder_of(&config(), trainable, threads)
}

fn decoder_of(config: &Config, trainable: &Trainable, threads: usize) -> Decoder<Cpu> {
    decoder_on(Cpu::new(threads), config, trainable, false)
}

/// As [`decoder_of`], on a base in four bits if `quantize` says so.
fn decoder_on(device: Cpu, config: &Config, trainable: &Trainable, quantize: bool) -> Decoder<Cpu> {
    let loud = Loud(RandomStart::new(config.clone(), 3));
    let options = Bnb4Options { kind: Bnb4Type::Nf4, block: 64, double: true };
    let four_bits = QuantizeOnLoad::new(&loud, options.into());
    let source: &dyn TensorSource = if quantize { &four_bits } else { &loud };
    let mut decoder = Decoder::new(Arc::new(device), config.clone(), source, trainable).unwrap();
    if matches!(trainable, Trainable::Lora { .. }) {
        // An adapter starts where it changes nothing; a trained one has moved.
        for p in decoder.parameters.list.clone() {
            let noise = model::random::normal(5, &p.name, p.len());
            let own = decoder.parameters.read(decoder.backend(), &p);
            let values: Vec<f32> = match &p.name {
                name if name.ends_with("lora_B.weight") || name.ends_with("lora_embedding_A") => {
                    noise.map(|z| 0.1 * z).collect()
                }
                name if !name.contains(".lora_") => own.iter().zip(noise).map(|(w, z)| w + 0.1 * z).collect(),
                name if name.ends_with("magnitude_vector") => {
                    own.iter().zip(noise).map(|(m, z)| m * (1.0 + 0.1 * z)).collect()
                }
                _ => own,
            };
            let backend = decoder.backend().clone();
            backend.write(&mut decoder.parameters.values, p.offset, &values);
        }
    }
    decoder
}

fn lora() -> Trainable {
    Trainable::Lora { config: LoraConfig::all(4, 8.0), seed: 7 }
}

/// Every other way of adapting.
fn variants() -> Vec<Trainable> {
    let all = || LoraConfig::all(3, 6.0);
    let patterns = LoraConfig {
        targets: ["q_proj", "v_proj", "gate_proj", "model.layers.1.self_attn.o_proj", "down_proj"]
            .map(String::from)
            .to_vec(),
        rank_pattern: [("v_proj".to_owned(), 5), (r"layers\.2\..*".to_owned(), 2)].into(),
        alpha_pattern: [("gate_proj".to_owned(), 1.0)].into(),
        ..all()
    };
    let dora = LoraConfig { dora: true, ..all() };
    let some_dora = LoraConfig { dora: true, ..patterns.clone() };
    let pissa = LoraConfig { init: InitLoraWeights::Pissa { passes: None }, ..patterns.clone() };
    let ends = || ["embed_tokens", "lm_head"].map(String::from).to_vec();
    let saved = LoraConfig { modules_to_save: ends(), ..patterns.clone() };
    let saved_head = LoraConfig { modules_to_save: vec!["lm_head".into()], ..patterns.clone() };
    let adapted = LoraConfig {
        targets: [patterns.targets.clone(), ends()].concat(),
        rank_pattern: [("lm_head".to_owned(), 6)].into(),
        ..all()
    };
    [patterns, dora, some_dora, pissa, saved, saved_head, adapted]
        .map(|config| Trainable::Lora { config, seed: 7 })
        .to_vec()
}

/// Every family with a plain adapter, and one family with every other.
fn every_adapter() -> impl Iterator<Item = (Config, Trainable)> {
    let plain = families().into_iter().map(|config| (config, lora()));
    // The last has biases beside its projections and norms behind them.
    let mut config = families().pop().unwrap();
    (config.features.qkv_bias, config.features.out_bias) = (true, true);
    plain.chain(variants().into_iter().map(move |variant| (config.clone(), variant)))
}

/// Every family, with adapters and in full.
fn every_way() -> impl Iterator<Item = (Config, Trainable)> {
    every_adapter().chain(families().into_iter().map(|config| (config, Trainable::Everything)))
}

fn is_dora(trainable: &Trainable) -> bool {
    matches!(trainable, Trainable::Lora { config, .. } if config.dora)
}

fn text(n: usize, seed: u64) -> Vec<u32> {
    model::random::uniform(seed, "text", 1.0, n).map(|u| ((u + 1.0) * 48.0) as u32).collect()
}

struct Run {
    log_probs: Vec<f32>,
    gradients: Vec<f32>,
}

/// Loss and gradient of every next token of `texts`, all in one batch.
fn run(decoder: &Decoder<Cpu>, texts: &[Vec<u32>]) -> Run {
    run_as(decoder, texts, &[], &[])
}

/// As [`run`], with the dropout masks of `keys`, where `layers` compute again what they do not keep.
fn run_as(decoder: &Decoder<Cpu>, texts: &[Vec<u32>], keys: &[u64], layers: &[Checkpointing]) -> Run {
    let ids: Vec<u32> = texts.concat();
    let positions: Vec<u32> = texts.iter().flat_map(|t| 0..t.len() as u32).collect();
    let (mut segments, mut rows, mut labels, mut start) = (vec![], vec![], vec![], 0);
    for t in texts {
        segments.push(Segment::whole(start, t.len()));
        rows.extend((start..start + t.len() - 1).map(|r| r as u32));
        labels.extend(&t[1..]);
        start += t.len();
    }
    let mut activations = Activations::for_checkpointed_training(decoder, ids.len() + 3, layers).unwrap();
    let tokens = Tokens { ids: &ids, positions: &positions };
    let training = Training { dropout_keys: keys, perturb: None };
    decoder.forward_training(tokens, Context::Segments(&segments), &mut activations, training);
    let backend = decoder.backend();
    let mut gradients = backend.zeros("gradients", decoder.parameters.len()).unwrap();
    let weights = vec![1.0; rows.len()];
    let labels = Labels { rows: &rows, labels: &labels, weights: &weights };
    let output = decoder.backward(tokens, &segments, labels, &mut activations, &mut gradients);
    let mut host = vec![0.0; gradients.len()];
    backend.read(&gradients, 0, &mut host);
    Run { log_probs: output.log_probs, gradients: host }
}

#[test]
fn a_text_has_the_same_bits_alone_and_in_a_batch() {
    for (config, adapter) in every_adapter() {
        let decoder = decoder_of(&config, &adapter, 2);
        let texts = [text(17, 1), text(40, 2), text(9, 3)];
        let together = run(&decoder, &texts).log_probs;
        let alone: Vec<f32> =
            texts.iter().flat_map(|t| run(&decoder, std::slice::from_ref(t)).log_probs).collect();
        assert_eq!(together, alone, "{:?}", config.features);
    }
}

#[test]
fn packing_changes_the_gradient_by_rounding_only() {
    for config in families() {
        let decoder = decoder_of(&config, &Trainable::Everything, 2);
        let texts = [text(17, 1), text(40, 2), text(9, 3)];
        let together = run(&decoder, &texts).gradients;
        let mut alone = vec![0.0f64; together.len()];
        for t in &texts {
            for (a, g) in alone.iter_mut().zip(run(&decoder, std::slice::from_ref(t)).gradients) {
                *a += f64::from(g);
            }
        }
        let difference: f64 = together.iter().zip(&alone).map(|(t, a)| (f64::from(*t) - a).powi(2)).sum();
        let norm: f64 = alone.iter().map(|a| a * a).sum();
        let relative = (difference / norm).sqrt();
        assert!(relative < 1e-5, "{:?}: {relative}", config.features.family);
    }
}

#[test]
fn one_thread_and_two_give_the_same_bits() {
    let texts = [text(33, 1), text(20, 2)];
    for (config, trainable) in every_way() {
        let one = run(&decoder_of(&config, &trainable, 1), &texts);
        let two = run(&decoder_of(&config, &trainable, 2), &texts);
        assert_eq!(one.log_probs, two.log_probs);
        assert_eq!(one.gradients, two.gradients);
    }
}

#[test]
fn what_is_computed_again_has_the_bits_of_what_is_kept() {
    use Checkpointing::{Attention, Full, None};
    let texts = [text(33, 1), text(20, 2)];
    let keys = [keys(&texts[0], 1), keys(&texts[1], 2)].concat();
    let mut ways = vec![Waiting::Exact];
    match Precision::Bf16.available() {
        true => ways.extend([Waiting::Bf16, Waiting::Codes]),
        false => eprintln!("NO BF16: this processor has no products of bf16 pairs, only f32 was compared"),
    }
    let device = |waiting| match waiting {
        Waiting::Exact => Cpu::new(2),
        Waiting::Bf16 => Cpu::new(2).with_precision(Precision::Bf16),
        Waiting::Codes => Cpu::new(2).with_precision(Precision::Bf16).with_8bit_activations(),
    };
    for (config, trainable) in every_way().chain(dropping()) {
        for (waiting, quantize) in ways.iter().flat_map(|&waiting| [(waiting, false), (waiting, true)]) {
            if quantize && trainable == Trainable::Everything {
                continue;
            }
            let decoder = decoder_on(device(waiting), &config, &trainable, quantize);
            let kept = run_as(&decoder, &texts, &keys, &[]);
            assert!(kept.gradients.iter().any(|g| *g != 0.0));
            for layers in [[Attention; 3], [Full; 3], [Full, Attention, None], [None, Full, Full]] {
                let again = run_as(&decoder, &texts, &keys, &layers);
                let what = format!("{:?} {trainable:?} {layers:?} {waiting:?}", config.features.family);
                assert_eq!(kept.log_probs, again.log_probs, "{what}");
                assert_eq!(kept.gradients, again.gradients, "{what}, quantized: {quantize}");
            }
        }
    }
}

#[test]
fn gradients_agree_with_finite_differences() {
    let plain = every_way().map(|(config, trainable)| (config, trainable, false));
    for (config, trainable, drop) in plain.chain(dropping().map(|(config, way)| (config, way, true))) {
        let mut decoder = decoder_of(&config, &trainable, 2);
        let texts = [text(12, 4), text(7, 5)];
        let keys = if drop { [keys(&texts[0], 1), keys(&texts[1], 2)].concat() } else { Vec::new() };
        let run = |decoder: &Decoder<Cpu>, texts: &[Vec<u32>]| run_as(decoder, texts, &keys, &[]);
        let gradients = run(&decoder, &texts).gradients;
        let backend = decoder.backend().clone();
        for p in decoder.parameters.list.clone() {
            // DoRA holds the lengths of the turned weights constant in its backward, so that only those of the trained
            // lengths are whole derivatives.
            if is_dora(&trainable) && !p.name.ends_with("magnitude_vector") {
                continue;
            }
            // Along the gradient the difference stands out of the rounding of f32.
            let g = &gradients[p.offset..p.offset + p.len()];
            let norm = g.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
            let values = read_range(&*backend, &decoder.parameters.values, &p);
            let step = 3e-3 / norm.max(1e-9);
            let mut loss = |sign: f64| {
                let moved: Vec<f32> = values
                    .iter()
                    .zip(g)
                    .map(|(v, g)| (f64::from(*v) + sign * step * f64::from(*g) / norm * norm.min(1.0)) as f32)
                    .collect();
                backend.write(&mut decoder.parameters.values, p.offset, &moved);
                -run(&decoder, &texts).log_probs.iter().map(|l| f64::from(*l)).sum::<f64>()
            };
            let slope = (loss(1.0) - loss(-1.0)) / (2.0 * step * norm.min(1.0));
            backend.write(&mut decoder.parameters.values, p.offset, &values);
            let family = config.features.family;
            let near = (slope - norm).abs() < 0.02 * norm;
            assert!(near, "{family:?} {}: slope {slope}, gradient {norm}", p.name);
        }
    }
}

/// Plain, per module of another rank, with DoRA, and with PiSSA's anchor, each with dropout.
fn dropping() -> impl Iterator<Item = (Config, Trainable)> {
    every_adapter().filter_map(|(config, trainable)| match trainable {
        Trainable::Lora { config: lora, seed } => {
            Some((config, Trainable::Lora { config: LoraConfig { dropout: 0.4, ..lora }, seed }))
        }
        _ => None,
    })
}

fn keys(text: &[u32], seed: u64) -> Vec<u64> {
    (0..text.len() as u64).map(|i| (seed << 32) + i * i).collect()
}

#[test]
fn what_is_dropped_follows_from_the_tokens_keys_and_not_from_the_company() {
    let texts = [text(17, 1), text(40, 2), text(9, 3)];
    let each: Vec<Vec<u64>> = texts.iter().zip(1..).map(|(text, seed)| keys(text, seed)).collect();
    for (config, trainable) in dropping() {
        let decoder = decoder_of(&config, &trainable, 2);
        let together = run_as(&decoder, &texts, &each.concat(), &[]);
        let alone: Vec<f32> = texts
            .iter()
            .zip(&each)
            .flat_map(|(text, keys)| run_as(&decoder, std::slice::from_ref(text), keys, &[]).log_probs)
            .collect();
        assert_eq!(together.log_probs, alone, "{trainable:?}");
        let one_thread = run_as(&decoder_of(&config, &trainable, 1), &texts, &each.concat(), &[]);
        assert_eq!(together.gradients, one_thread.gradients, "{trainable:?}");
        let others: Vec<u64> = each.concat().iter().map(|key| key + 1).collect();
        assert_ne!(together.log_probs, run_as(&decoder, &texts, &others, &[]).log_probs);
        // Without keys nothing is dropped, whatever the adapter was trained with.
        let Trainable::Lora { config: lora, seed } = trainable else { unreachable!() };
        let kept = Trainable::Lora { config: LoraConfig { dropout: 0.0, ..lora }, seed };
        let plain = run(&decoder_of(&config, &kept, 2), &texts);
        assert_eq!(run(&decoder, &texts).log_probs, plain.log_probs);
        assert_eq!(run(&decoder, &texts).gradients, plain.gradients);
    }
}

#[test]
fn the_mean_over_many_masks_is_the_adapter_without_dropout() {
    let config = Config { layers: 1, ..config() };
    let lora = LoraConfig { targets: vec!["down_proj".into()], dropout: 0.3, ..LoraConfig::all(4, 1.0) };
    let decoder = decoder_of(&config, &Trainable::Lora { config: lora, seed: 7 }, 2);
    let text = text(6, 1);
    let hidden = |dropout_keys: &[u64]| {
        let mut activations = Activations::for_training(&decoder, text.len()).unwrap();
        let tokens = Tokens { ids: &text, positions: &[0, 1, 2, 3, 4, 5] };
        let context = Context::Segments(&[Segment { start: 0, len: 6, prefix: None }]);
        let training = Training { dropout_keys, perturb: None };
        decoder.forward_training(tokens, context, &mut activations, training);
        let view = activations.hidden(6);
        let mut values = vec![0.0; 6 * config.hidden_size];
        decoder.backend().read(view.buffer, view.offset, &mut values);
        values
    };
    let without = hidden(&[]);
    let mut mean = vec![0.0f64; without.len()];
    let rounds = 2000;
    for round in 0..rounds {
        let drawn = hidden(&keys(&text, round));
        mean.iter_mut().zip(drawn).for_each(|(mean, v)| *mean += f64::from(v) / rounds as f64);
    }
    let length = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
    let once = hidden(&keys(&text, 1));
    let off = |v: &[f64]| length(&mut v.iter().zip(&without).map(|(a, b)| a - f64::from(*b)));
    let (single, averaged) = (off(&once.iter().map(|v| f64::from(*v)).collect::<Vec<_>>()), off(&mean));
    assert!(single > 0.0 && averaged < 0.1 * single, "{averaged} after {rounds} masks, {single} after one");
}

#[test]
fn a_fresh_adapter_is_the_base() {
    let base = decoder(&Trainable::Nothing, 2);
    let logits = |d: &Decoder<Cpu>| d.next_logits(&text(30, 1), true).unwrap();
    for adapter in variants().into_iter().chain([lora()]) {
        let source = Loud(RandomStart::new(config(), 3));
        let fresh = Decoder::new(Arc::new(Cpu::new(2)), config(), &source, &adapter).unwrap();
        let pissa =
            matches!(&adapter, Trainable::Lora { config, .. } if config.init != InitLoraWeights::Default);
        match pissa {
            // What is taken off the base and what is put in its place are the same numbers, summed in another order.
            true => assert_near(&logits(&fresh), &logits(&base), &adapter),
            false => assert_eq!(logits(&fresh), logits(&base), "{adapter:?}"),
        }
    }
}

fn assert_near(a: &[f32], b: &[f32], what: &dyn std::fmt::Debug) {
    let largest = a.iter().fold(0.0f32, |m, l| m.max(l.abs()));
    let off = a.iter().zip(b).fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
    assert!(off < 2e-5 * largest, "{what:?}: off by {off} of {largest}");
}

#[test]
fn switching_the_adapter_off_gives_the_base() {
    let base = decoder(&Trainable::Nothing, 2);
    let logits = |d: &Decoder<Cpu>, on| d.next_logits(&text(30, 1), on).unwrap();
    for adapter in variants().into_iter().chain([lora()]) {
        let tuned = decoder(&adapter, 2);
        assert_eq!(logits(&tuned, false), logits(&base, true), "{adapter:?}");
        assert_ne!(logits(&tuned, true), logits(&base, true), "{adapter:?}");
    }
}

#[test]
fn a_merged_adapter_answers_like_the_unmerged_one() {
    struct Merged(Vec<(String, StoredTensor)>);
    impl TensorSource for Merged {
        fn tensor(&self, name: &str) -> model::Result<StoredTensor> {
            Ok(self.0.iter().find(|(n, _)| n == name).unwrap().1.clone())
        }
        fn origin(&self) -> String {
            "merged".into()
        }
    }
    for (config, adapter) in every_adapter() {
        let tuned = decoder_of(&config, &adapter, 2);
        let source = Merged(tuned.merged().collect());
        let device = Arc::new(Cpu::new(2));
        let merged = Decoder::new(device, tuned.merged_config(), &source, &Trainable::Nothing).unwrap();
        let logits = |d: &Decoder<Cpu>| d.next_logits(&text(30, 1), true).unwrap();
        assert_near(&logits(&tuned), &logits(&merged), &(config, adapter));
    }
}

/// Log-probabilities of the next tokens of `whole`, read as `segments`.
fn log_probs(decoder: &Decoder<Cpu>, whole: &[u32], segments: &[Segment]) -> Vec<f32> {
    let mut activations = Activations::for_inference(decoder, whole.len()).unwrap();
    let positions: Vec<u32> = (0..whole.len() as u32).collect();
    let tokens = Tokens { ids: whole, positions: &positions };
    decoder.forward(tokens, Context::Segments(segments), &mut activations, true);
    let rows: Vec<u32> = (0..whole.len() as u32 - 1).collect();
    let weights = vec![0.0; rows.len()];
    let labels = Labels { rows: &rows, labels: &whole[1..], weights: &weights };
    decoder.loss(labels, whole.len(), &activations).log_probs
}

#[test]
fn judged_rows_have_the_bits_that_they_have_among_all() {
    for (config, adapter) in every_adapter() {
        let decoder = decoder_of(&config, &adapter, 2);
        let ids = text(60, 4);
        let positions: Vec<u32> = (0..40).chain(40..50).chain(40..50).collect();
        let tokens = Tokens { ids: &ids, positions: &positions };
        let after = |start| Segment { start, len: 10, prefix: Some(0) };
        let segments = [Segment::whole(0, 40), after(40), after(50)];
        // A row may have several labels, and the last layer may be asked for one row or for none.
        for rows in [vec![3, 39, 39, 39, 41, 59], vec![59], (0..60).collect(), vec![]] {
            let (next, weights) = (vec![7; rows.len()], vec![0.0; rows.len()]);
            let labels = Labels { rows: &rows, labels: &next, weights: &weights };
            let mut activations = Activations::for_inference(&decoder, 2 * ids.len() + 5).unwrap();
            decoder.forward(tokens, Context::Segments(&segments), &mut activations, true);
            let all = decoder.loss(labels, ids.len(), &activations).log_probs;
            let judged = decoder.judge(tokens, &segments, labels, &mut activations, true).log_probs;
            assert_eq!(judged, all, "{:?}, rows {rows:?}", config.features.family);
            let batch = Judged { tokens, segments: &segments, labels: (&rows, &next), adapter: true };
            let mut held = Held::default();
            held.read(batch, &decoder, &mut activations);
            held.read(batch, &decoder, &mut activations);
            let judged = held.judge(&decoder, &mut activations).log_probs;
            assert_eq!(judged, [&all[..], &all].concat(), "{:?}, two batches", config.features.family);
            assert_eq!(
                held.judge(&decoder, &mut activations).log_probs,
                [0.0; 0],
                "nothing is held any more"
            );
        }
    }
}

#[test]
fn a_text_cut_into_prefix_and_segment_gives_the_bits_of_the_whole() {
    for (config, adapter) in every_adapter() {
        let decoder = decoder_of(&config, &adapter, 2);
        let whole = text(70, 9);
        let expected = log_probs(&decoder, &whole, &[Segment::whole(0, 70)]);
        for cut in [3, 40, 66] {
            let rest = Segment { start: cut, len: 70 - cut, prefix: Some(0) };
            let parts = log_probs(&decoder, &whole, &[Segment::whole(0, cut), rest]);
            assert_eq!(parts, expected, "{:?}, cut at {cut}", config.features.family);
        }
    }
}

#[test]
fn writing_token_by_token_gives_the_bits_of_the_whole_text() {
    for (config, adapter) in every_adapter() {
        let decoder = decoder_of(&config, &adapter, 2);
        let whole = text(70, 9);
        let expected = log_probs(&decoder, &whole, &[Segment::whole(0, 70)]);
        let mut cache = model::Cache::new(&decoder, 2, 80).unwrap();
        let mut step = Activations::for_inference(&decoder, 8).unwrap();
        for (i, &expected) in expected.iter().enumerate() {
            let tokens = Tokens { ids: &whole[i..=i], positions: &[i as u32] };
            decoder.forward(tokens, Context::Cached(&[1], &mut cache), &mut step, true);
            let labels = Labels { rows: &[0], labels: &whole[i + 1..i + 2], weights: &[0.0] };
            let family = config.features.family;
            assert_eq!(decoder.loss(labels, 1, &step).log_probs, [expected], "{family:?}, token {i}");
        }
    }
}

#[test]
fn an_adapter_on_a_shared_base_has_the_bits_of_one_with_a_base_of_its_own() {
    for (config, adapter) in every_adapter() {
        let Trainable::Lora { config: lora, seed } = &adapter else { continue };
        let own = decoder_of(&config, &adapter, 1);
        let base = decoder_of(&config, &Trainable::Nothing, 1);
        let mut shared = base.with_another(lora.clone(), *seed).unwrap();
        assert!(shared.shares_base(&base) && !shared.shares_base(&own));
        let mut values = vec![0.0; own.parameters.len()];
        own.backend().read(&own.parameters.values, 0, &mut values);
        own.backend().write(&mut shared.parameters.values, 0, &values);
        let logits = |d: &Decoder<Cpu>, on| d.next_logits(&text(30, 1), on).unwrap();
        let what = format!("{:?}, {adapter:?}", config.features.family);
        assert_eq!(logits(&shared, true), logits(&own, true), "{what}");
        assert_eq!(logits(&shared, false), logits(&base, true), "{what}");

        let request = |adapter| {
            let stop = Stop { max_tokens: 12, ..Stop::default() };
            Request { adapter, logprobs: Some(5), ..Request::greedy(text(20, 2), stop) }
        };
        let mut engine = Engine::new(&base, EngineSettings::new(4, 64)).unwrap();
        assert!(engine.add_adapter(&own).is_err(), "another base");
        let plain = AdapterId::BASE;
        let adapter = engine.add_adapter(&shared).unwrap();
        let mixed = [adapter, plain, adapter, plain].map(request);
        let mixed = engine.write(mixed, &mut |_, _| {}).unwrap();
        let mut alone = Engine::new(&own, EngineSettings::new(1, 64)).unwrap();
        let alone = alone.write([AdapterId::OWN, plain].map(request), &mut |_, _| {}).unwrap();
        for (mixed, alone) in mixed.iter().zip(alone.iter().cycle()) {
            assert_eq!((&mixed.ids, &mixed.logprobs), (&alone.ids, &alone.logprobs), "{what}");
        }
    }
}

#[test]
fn every_family_and_every_adapter_survives_the_disk() {
    for (config, adapter) in every_adapter() {
        let dir = tempfile::tempdir().unwrap();
        let (tuned, base) = (decoder_of(&config, &adapter, 1), decoder_of(&config, &Trainable::Nothing, 1));
        base.save(dir.path(), compute::DType::F32, (None, Some(2))).unwrap();
        tuned.save_adapter(&dir.path().join("adapter"), "base").unwrap();
        let device = Arc::new(Cpu::new(1));
        let loaded =
            Decoder::load_with_adapter(device.clone(), dir.path(), &dir.path().join("adapter"), None)
                .unwrap();
        assert_eq!(*loaded.config(), config, "the config as it was written");
        let logits = |d: &Decoder<Cpu>| d.next_logits(&text(30, 1), true).unwrap();
        match &adapter {
            // Saved as a plain adapter, whose sums run in another order.
            Trainable::Lora { config: lora, .. } if lora.init != InitLoraWeights::Default => {
                assert_near(&logits(&tuned), &logits(&loaded), &adapter);
            }
            _ => {
                assert_eq!(logits(&tuned), logits(&loaded), "{:?}, {adapter:?}", config.features.family);
                assert_eq!(tuned.adapter(), loaded.adapter());
                let another = base.load_another(&dir.path().join("adapter")).unwrap();
                assert_eq!(logits(&tuned), logits(&another), "{:?}, {adapter:?}", config.features.family);
            }
        }
        let full = Decoder::load(device, dir.path(), &Trainable::Everything).unwrap();
        assert_eq!(full.parameters.len(), config.parameters(), "all of it is trained");
        let saved: Vec<String> = base.merged().map(|(name, _)| name).collect();
        let mut trained: Vec<String> = full.parameters.list.iter().map(|p| p.name.clone()).collect();
        trained.sort_by_key(|name| saved.iter().position(|saved| saved == name));
        assert_eq!(trained, saved);
    }
}
