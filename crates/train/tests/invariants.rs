//! What must hold of training, on a small random model.

use std::path::Path;
use std::sync::Arc;

use compute::{Backend, Cpu};
use dataset::{Batch, Sample};
use model::{Activations, Config, Decoder, Features, RandomStart};
use track::{Run, RunFolder, StepRow};
use train::{Adapter, Job, Observer, Optimizer, Recipe, Settings};

fn config() -> Config {
    Config {
        vocab_size: 61,
        hidden_size: 24,
        intermediate_size: 40,
        layers: 2,
        heads: 3,
        kv_heads: 1,
        head_dim: 8,
        max_positions: 64,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: None,
        tie_word_embeddings: true,
        features: Features::default(),
    }
}

fn decoder(recipe: &Recipe) -> Decoder<Cpu> {
    let source = RandomStart::new(config(), 1);
    Decoder::new(Arc::new(Cpu::new(2)), config(), &source, &recipe.trainable()).unwrap()
}

fn samples(n: usize) -> Vec<Sample> {
    (0..n)
        .map(|i| {
            let length = 6 + (i * 7) % 20;
            let ids =
                model::random::uniform(i as u64, "sample", 30.0, length).map(|u| (u + 30.0) as u32).collect();
            let learned = (0..length).map(|at| at > 2).collect();
            Sample { id: format!("{i}"), ids, learned }
        })
        .collect()
}

fn recipe() -> Recipe {
    Recipe {
        lora_r: 4,
        micro_batch_tokens: 64,
        num_epochs: 2,
        save_steps: 3,
        learning_rate: 1e-2,
        ..Recipe::default()
    }
}

struct Silent;

impl Observer for Silent {
    fn step(&mut self, _: &StepRow, _: u64) {}
    fn validated(&mut self, _: u64, _: f64) {}
    fn note(&mut self, _: &str) {}
}

/// Ends the process's part in a run after some steps, as a kill would: by unwinding out of the loop.
struct KilledAfter(u64);

impl Observer for KilledAfter {
    fn step(&mut self, row: &StepRow, _: u64) {
        assert!(row.step < self.0, "killed");
    }
    fn validated(&mut self, _: u64, _: f64) {}
    fn note(&mut self, _: &str) {}
}

fn values(decoder: &Decoder<Cpu>) -> Vec<u32> {
    let mut out = vec![0.0; decoder.parameters.len()];
    decoder.backend().read(&decoder.parameters.values, 0, &mut out);
    out.iter().map(|v| v.to_bits()).collect()
}

fn train(recipe: &Recipe, place: &Path, resume: bool, observer: &mut dyn Observer) -> Vec<u32> {
    let mut folder = if resume { RunFolder::resume(place) } else { RunFolder::create(place) }.unwrap();
    let mut decoder = decoder(recipe);
    let samples = samples(40);
    let job =
        Job { recipe, samples: &samples[..32], validation: &samples[32..], run_hash: recipe.hash(), resume };
    train::run(&mut decoder, &job, &mut folder, observer).unwrap();
    values(&decoder)
}

#[test]
fn a_killed_run_resumes_to_the_same_bits() {
    for adapter in [Adapter::Lora, Adapter::Full] {
        let recipe = Recipe { adapter, ..recipe() };
        let dir = tempfile::tempdir().unwrap();
        let whole = train(&recipe, &dir.path().join("whole"), false, &mut Silent);
        let killed = dir.path().join("killed");
        for step in [5, 8] {
            let resume = step == 8;
            let attempt = std::panic::catch_unwind(|| {
                train(&recipe, &killed, resume, &mut KilledAfter(step));
            });
            assert!(attempt.is_err(), "the run should have been killed at step {step}");
        }
        assert_eq!(train(&recipe, &killed, true, &mut Silent), whole);
        let (a, b) = (Run::load(dir.path().join("whole")).unwrap(), Run::load(&killed).unwrap());
        let losses = |r: &Run| r.steps.iter().map(|s| (s.step, s.loss.to_bits())).collect::<Vec<_>>();
        assert_eq!(losses(&a), losses(&b), "every step once, with the same loss");
    }
}

#[test]
fn the_same_seed_gives_the_same_bits_and_another_seed_others() {
    let dir = tempfile::tempdir().unwrap();
    let run =
        |seed, name: &str| train(&Recipe { seed, ..recipe() }, &dir.path().join(name), false, &mut Silent);
    let first = run(1, "a");
    assert_eq!(first, run(1, "b"));
    assert_ne!(first, run(2, "c"));
}

#[test]
fn eight_batches_of_one_make_the_step_of_one_batch_of_eight() {
    let recipe = Recipe { adapter: Adapter::Full, ..recipe() };
    let samples = samples(8);
    let settings = Settings::from(&recipe);
    let step = |batches: &[Batch]| {
        let mut decoder = decoder(&recipe);
        let mut activations = Activations::for_training(&decoder, 256).unwrap();
        let mut optimizer = Optimizer::new(&decoder, settings).unwrap();
        for batch in batches {
            optimizer.accumulate(&decoder, batch, &mut activations);
        }
        let norm = optimizer.grad_norm(&decoder);
        let sums = optimizer.sums();
        optimizer.step(&mut decoder, 1e-3, norm);
        (sums.loss / sums.labels as f64, norm, values(&decoder))
    };
    let one = step(&[Batch::new(&samples)]);
    let eight = step(&samples.iter().map(|s| Batch::new([s])).collect::<Vec<_>>());
    assert_eq!(
        one.0.to_bits(),
        eight.0.to_bits(),
        "the loss is a sum over the same tokens in the same order"
    );
    assert!((one.1 / eight.1 - 1.0).abs() < 1e-6, "gradient norms {} and {}", one.1, eight.1);
    // The residual must have no direction: dropped or doubled batches would shift all weights one way.
    let start = values(&decoder(&recipe));
    let moved = |v: &[u32]| -> Vec<f64> {
        v.iter()
            .zip(&start)
            .map(|(v, s)| f64::from(f32::from_bits(*v)) - f64::from(f32::from_bits(*s)))
            .collect()
    };
    let (a, b) = (moved(&one.2), moved(&eight.2));
    let length = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
    let difference: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
    assert!(length(&difference) / length(&a) < 2e-2, "{}", length(&difference) / length(&a));
}

#[test]
fn training_an_adapter_leaves_the_base_as_it_was() {
    let recipe = recipe();
    let base = |d: &Decoder<Cpu>| -> Vec<(String, Vec<u32>)> {
        d.base().map(|(name, t)| (name, t.to_f32().iter().map(|v| v.to_bits()).collect())).collect()
    };
    let mut decoder = decoder(&recipe);
    let (before, adapter) = (base(&decoder), values(&decoder));
    let dir = tempfile::tempdir().unwrap();
    let mut folder = RunFolder::create(dir.path()).unwrap();
    let samples = samples(32);
    let job =
        Job { recipe: &recipe, samples: &samples, validation: &[], run_hash: recipe.hash(), resume: false };
    train::run(&mut decoder, &job, &mut folder, &mut Silent).unwrap();
    assert_eq!(before, base(&decoder));
    assert_ne!(adapter, values(&decoder), "the adapter should have moved");
}

#[test]
fn training_learns_what_it_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let recipe =
        Recipe { adapter: Adapter::Full, num_epochs: 30, lr_scheduler: train::Decay::Constant, ..recipe() };
    train(&recipe, dir.path(), false, &mut Silent);
    let run = Run::load(dir.path()).unwrap();
    let (first, last) = (run.steps[0].loss, run.steps[run.steps.len() - 1].loss);
    assert!((first - 61f64.ln()).abs() < 0.1, "an untrained model knows nothing: {first}");
    assert!(last < 0.3 * first, "from {first} only to {last}");
}

#[test]
fn a_checkpoint_of_another_run_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    train(&recipe(), dir.path(), false, &mut Silent);
    let other = Recipe { learning_rate: 3e-3, ..recipe() };
    let mut folder = RunFolder::resume(dir.path()).unwrap();
    let samples = samples(32);
    let job =
        Job { recipe: &other, samples: &samples, validation: &[], run_hash: other.hash(), resume: true };
    let error = train::run(&mut decoder(&other), &job, &mut folder, &mut Silent).unwrap_err();
    assert!(error.to_string().contains("have changed"), "{error}");
}

#[test]
fn a_damaged_checkpoint_is_passed_over_for_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    train(&recipe(), dir.path(), false, &mut Silent);
    let checkpoints = dir.path().join("checkpoints");
    let (place, state) = train::checkpoint::newest(&checkpoints).unwrap().found.unwrap();
    let file = place.join("parameters.safetensors");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let train::checkpoint::Newest { found, skipped } = train::checkpoint::newest(&checkpoints).unwrap();
    assert!(found.unwrap().1.step < state.step);
    assert!(skipped[0].contains("parameters.safetensors is not what the manifest says"), "{skipped:?}");
}
