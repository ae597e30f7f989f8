//! What stops a run, or a step of it: values that are not finite, parameters without a gradient.

mod common;

use common::{Silent, base, decoder_of, recipe, samples, values};
use model::{Config, StoredTensor, TensorSource};
use track::{Run, RunFolder, SkippedStep};
use train::{Decay, Error, Job, Recipe};

/// With a head of its own: a bad embedding must not reach the logits of every token.
fn config() -> Config {
    Config { tie_word_embeddings: false, ..common::config() }
}

/// A base in which some values are others.
#[derive(Debug)]
struct Changed<F>(F);

impl<F: Fn(&str, &mut Vec<f32>)> TensorSource for Changed<F> {
    fn tensor(&self, name: &str) -> model::Result<StoredTensor> {
        let tensor = base(&config()).tensor(name)?;
        let mut values = tensor.to_f32();
        self.0(name, &mut values);
        Ok(StoredTensor::from_f32(tensor.shape.clone(), &values))
    }

    fn origin(&self) -> String {
        "a changed random start".into()
    }
}

/// The token, in none of the samples, that makes every value infinite or no number.
const BAD: u32 = 60;

fn bad_token(value: f32) -> impl TensorSource {
    Changed(move |name: &str, values: &mut Vec<f32>| {
        if name == "model.embed_tokens.weight" {
            let width = config().hidden_size;
            values[BAD as usize * width..][..width].fill(value);
        }
    })
}

/// One sample a step, so that it is known which step is bad.
fn one_by_one() -> Recipe {
    Recipe {
        sample_packing: false,
        micro_batch_size: 1,
        num_epochs: 1,
        lr_scheduler: Decay::Constant,
        ..recipe()
    }
}

#[test]
fn a_step_that_is_not_finite_is_skipped_before_the_optimizer_and_its_examples_are_kept() {
    for value in [f32::NAN, f32::INFINITY] {
        let recipe = one_by_one();
        let dir = tempfile::tempdir().unwrap();
        let mut folder = RunFolder::create(dir.path()).unwrap();
        let mut samples = samples(12);
        samples[3].ids[1] = BAD;
        samples[7].ids[4] = BAD;
        let mut decoder = decoder_of(&bad_token(value), &config(), &recipe);
        let outcome =
            train::run(&mut decoder, &Job::new(&recipe, &samples, &[]), &mut folder, &mut Silent).unwrap();
        assert_eq!((outcome.skipped, outcome.stats.skipped_steps, outcome.stats.steps), (2, 2, 12));
        assert!(values(&decoder).iter().all(|bits| f32::from_bits(*bits).is_finite()));

        let text = std::fs::read_to_string(dir.path().join("skipped.jsonl")).unwrap();
        let skipped: Vec<SkippedStep> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let mut ids: Vec<&str> = skipped.iter().map(|s| s.examples[0][0].as_str()).collect();
        ids.sort_unstable();
        assert_eq!(ids, ["3", "7"], "{text}");
        let run = Run::load(dir.path()).unwrap();
        let steps: Vec<u64> = run.steps.iter().map(|row| row.step).collect();
        assert_eq!(steps.len(), 10, "a skipped step has no row");
        assert!(skipped.iter().all(|s| !steps.contains(&s.step)));
        let mean = run.steps.iter().map(|row| row.loss).sum::<f64>() / 10.0;
        assert!((outcome.stats.train_loss - mean).abs() < 1e-12, "the mean is over the other steps");
    }
}

#[test]
fn several_bad_steps_in_a_row_end_the_run_and_keep_its_checkpoints() {
    let recipe = Recipe { learning_rate: 1e30, nonfinite_patience: 3, save_steps: 1, ..one_by_one() };
    let dir = tempfile::tempdir().unwrap();
    let mut folder = RunFolder::create(dir.path()).unwrap();
    let samples = samples(12);
    let mut decoder = decoder_of(&base(&config()), &config(), &recipe);
    let error =
        train::run(&mut decoder, &Job::new(&recipe, &samples, &[]), &mut folder, &mut Silent).unwrap_err();
    let Error::NotFinite { step, count: 3 } = error else { panic!("{error}") };
    let text = std::fs::read_to_string(dir.path().join("skipped.jsonl")).unwrap();
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(step >= 4, "the first step is sound");
    let newest = train::checkpoint::newest(&folder.checkpoints()).unwrap();
    assert_eq!(newest.found.unwrap().1.step, step - 1);
}

#[test]
fn a_parameter_without_a_gradient_ends_the_run_by_name() {
    // Behind an output projection of zeros no value can be learned.
    let severed = Changed(|name: &str, values: &mut Vec<f32>| {
        if name == "model.layers.1.self_attn.o_proj.weight" {
            values.fill(0.0);
        }
    });
    let recipe = Recipe { lora_target_modules: vec!["v_proj".into()], ..one_by_one() };
    let dir = tempfile::tempdir().unwrap();
    let mut folder = RunFolder::create(dir.path()).unwrap();
    let samples = samples(12);
    let mut decoder = decoder_of(&severed, &config(), &recipe);
    let error =
        train::run(&mut decoder, &Job::new(&recipe, &samples, &[]), &mut folder, &mut Silent).unwrap_err();
    let Error::MissingGradient { parameter, steps: 2 } = &error else { panic!("{error}") };
    assert_eq!(parameter, "model.layers.1.self_attn.v_proj.lora_A.weight");
}

#[test]
fn a_skipped_first_step_does_not_look_like_a_missing_gradient() {
    let recipe = one_by_one();
    let dir = tempfile::tempdir().unwrap();
    let mut folder = RunFolder::create(dir.path()).unwrap();
    let mut samples = samples(12);
    let first = train::Plan::new(&recipe, &samples).steps[0].batches[0][0];
    samples[first].ids[0] = BAD;
    let mut decoder = decoder_of(&bad_token(f32::NAN), &config(), &recipe);
    let outcome =
        train::run(&mut decoder, &Job::new(&recipe, &samples, &[]), &mut folder, &mut Silent).unwrap();
    assert_eq!(outcome.skipped, 1);
}
