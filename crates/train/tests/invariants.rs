//! What must hold of training, on a small random model.

mod common;

use std::path::Path;

use common::{Silent, decoder, recipe, samples, values};
use compute::{Backend, Cpu};
use dataset::Batch;
use model::{Activations, Decoder};
use track::{Run, RunFolder, StepRow};
use train::{Adapter, Job, Observer, Optimizer, Recipe, Regularisation, Settings};

/// Ends the process's part in a run after some steps, as a kill would: by unwinding out of the loop.
struct KilledAfter(u64);

impl Observer for KilledAfter {
    fn step(&mut self, row: &StepRow, _: u64) {
        assert!(row.step < self.0, "killed");
    }
    fn validated(&mut self, _: u64, _: f64) {}
    fn note(&mut self, _: &str) {}
}

fn train(recipe: &Recipe, place: &Path, resume: bool, observer: &mut dyn Observer) -> Vec<u32> {
    let mut folder = if resume { RunFolder::resume(place) } else { RunFolder::create(place) }.unwrap();
    let mut decoder = decoder(recipe);
    let samples = samples(40);
    let job = Job { resume, ..Job::new(recipe, &samples[..32], &samples[32..]) };
    train::run(&mut decoder, &job, &mut folder, observer).unwrap();
    values(&decoder)
}

#[test]
fn a_killed_run_resumes_to_the_same_bits() {
    let full = Recipe { adapter: Adapter::Full, ..recipe() };
    let eight_bit = Recipe { optimizer: train::OptimizerKind::Adamw8bit, ..full.clone() };
    let dora = Recipe {
        lora_dropout: 0.2,
        peft_use_dora: true,
        rank_pattern: [("q_proj".to_owned(), 2)].into(),
        lora_modules_to_save: vec!["lm_head".into()],
        ..recipe()
    };
    let pissa = Recipe { init_lora_weights: "pissa_niter_2".into(), lora_dropout: 0.2, ..recipe() };
    for recipe in [recipe(), full, eight_bit, dora, pissa] {
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
fn dropout_is_the_same_in_eight_batches_of_one_and_in_one_batch_of_eight() {
    let recipe = Recipe { lora_dropout: 0.3, ..recipe() };
    let samples = samples(8);
    let mut decoder = decoder(&recipe);
    // An adapter whose B is zero drops nothing that shows.
    for p in decoder.parameters.list.clone() {
        let values: Vec<f32> = model::random::normal(3, &p.name, p.len()).map(|z| 0.1 * z).collect();
        decoder.backend().clone().write(&mut decoder.parameters.values, p.offset, &values);
    }
    let loss = |batches: &[&[usize]], step: u64, probability: f32| {
        let mut activations = Activations::for_training(&decoder, 256).unwrap();
        let mut optimizer = Optimizer::new(&decoder, Settings::from(&recipe)).unwrap();
        let mut keys = Vec::new();
        for batch in batches {
            if probability > 0.0 {
                train::dropout::keys(&mut keys, (recipe.seed, step), &samples, batch);
            }
            let regularisation = Regularisation { dropout_keys: &keys, noise: None };
            let whole = Batch::new(batch.iter().map(|&i| &samples[i]));
            optimizer.accumulate_regularised(&decoder, &whole, &mut activations, regularisation);
        }
        optimizer.sums().loss.to_bits()
    };
    let each: Vec<[usize; 1]> = (0..8).map(|i| [i]).collect();
    let each: Vec<&[usize]> = each.iter().map(|batch| &batch[..]).collect();
    let whole: &[&[usize]] = &[&[0, 1, 2, 3, 4, 5, 6, 7]];
    assert_eq!(loss(&each, 1, 0.3), loss(whole, 1, 0.3));
    assert_ne!(loss(whole, 1, 0.3), loss(whole, 2, 0.3), "every step drops others");
    assert_ne!(loss(whole, 1, 0.3), loss(whole, 1, 0.0));
}

#[test]
fn training_an_adapter_leaves_the_base_as_it_was() {
    let dora = Recipe { peft_use_dora: true, lora_modules_to_save: vec!["embed_tokens".into()], ..recipe() };
    let ends = [model::PROJECTIONS.to_vec(), vec!["embed_tokens", "lm_head"]].concat();
    let ends = Recipe { lora_target_modules: ends.into_iter().map(String::from).collect(), ..recipe() };
    let pissa = Recipe { init_lora_weights: "pissa".into(), ..recipe() };
    for recipe in [recipe(), dora, ends, pissa] {
        leaves_the_base_as_it_was(&recipe);
    }
}

fn leaves_the_base_as_it_was(recipe: &Recipe) {
    let base = |d: &Decoder<Cpu>| -> Vec<(String, Vec<u32>)> {
        d.base().map(|(name, t)| (name, t.to_f32().iter().map(|v| v.to_bits()).collect())).collect()
    };
    let mut decoder = decoder(recipe);
    let (before, adapter) = (base(&decoder), values(&decoder));
    let dir = tempfile::tempdir().unwrap();
    let mut folder = RunFolder::create(dir.path()).unwrap();
    let samples = samples(32);
    let job = Job::new(recipe, &samples, &[]);
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
    let job = Job { resume: true, ..Job::new(&other, &samples, &[]) };
    let error = train::run(&mut decoder(&other), &job, &mut folder, &mut Silent).unwrap_err().to_string();
    assert!(error.contains("learning_rate: 0.01 in the checkpoint, 0.003 now"), "{error}");
    assert!(error.contains("validation samples: other content"), "{error}");
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
