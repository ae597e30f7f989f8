//! What the options of a recipe do to a run.

mod common;

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{Silent, base, config, decoder, recipe, samples, values};
use compute::Cpu;
use dataset::Batch;
use model::{Activations, Decoder};
use track::{Run, RunFolder, StepRow};
use train::{
    Adapter, DatasetFile, Decay, Error, Examiner, GradientCheckpointing, Job, Observer, Optimizer,
    OptimizerKind, Outcome, Recipe, Settings, validation_loss,
};

/// Trains on 32 samples and validates on 8 others.
fn run(recipe: &Recipe, place: &Path, resume: bool) -> (Decoder<Cpu>, Outcome) {
    let mut folder = if resume { RunFolder::resume(place) } else { RunFolder::create(place) }.unwrap();
    let mut decoder = decoder(recipe);
    let samples = samples(40);
    let job = Job { resume, ..Job::new(recipe, &samples[..32], &samples[32..]) };
    let outcome = train::run(&mut decoder, &job, &mut folder, &mut Silent).unwrap();
    (decoder, outcome)
}

/// The validation loss of `decoder`, measured from outside.
fn measured(decoder: &Decoder<Cpu>) -> f64 {
    let samples = samples(40);
    let batches: Vec<Batch> = samples[32..].iter().map(|s| Batch::new([s])).collect();
    let mut activations = Activations::for_inference(decoder, 64).unwrap();
    validation_loss(decoder, &batches, &mut activations, &|| false).unwrap()
}

/// Random answers cannot be learned: the validation loss falls a little and then rises.
fn overfitting() -> Recipe {
    Recipe {
        adapter: Adapter::Full,
        num_epochs: 20,
        lr_scheduler: Decay::Constant,
        learning_rate: 3e-3,
        eval_steps: 4,
        save_steps: 1000,
        save_total_limit: 1,
        ..recipe()
    }
}

#[test]
fn a_run_stops_after_as_many_evaluations_without_a_better_one() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = Recipe { early_stopping_patience: Some(3), ..overfitting() };
    let (_, outcome) = run(&recipe, dir.path(), false);
    let losses = Run::load(dir.path()).unwrap().eval_points("eval_loss");
    let best = losses.iter().enumerate().min_by(|a, b| a.1.1.total_cmp(&b.1.1)).unwrap().0;
    assert_eq!(losses.len(), best + 1 + 3, "{losses:?}");
    assert!(outcome.stats.stopped_early);
    assert_eq!(outcome.stats.steps, losses[best + 3].0);
    assert_eq!(outcome.stats.best_step, None, "the last weights were kept");
    // A stopped run has ended: resuming it trains no further.
    assert_eq!(run(&recipe, dir.path(), true).1.stats.steps, outcome.stats.steps);
}

#[test]
fn what_is_computed_again_changes_no_bit_of_a_run() {
    for adapter in [Adapter::Lora, Adapter::Qlora, Adapter::Full] {
        let trained = |gradient_checkpointing| {
            let dir = tempfile::tempdir().unwrap();
            let recipe = Recipe { adapter, gradient_checkpointing, max_steps: 4, ..recipe() };
            values(&run(&recipe, dir.path(), false).0)
        };
        let kept = trained(GradientCheckpointing::None);
        for again in [GradientCheckpointing::Attention, GradientCheckpointing::Full] {
            assert_eq!(trained(again), kept, "{adapter:?} {again:?}");
        }
    }
}

#[test]
fn the_best_weights_are_kept_and_not_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = Recipe { load_best_model_at_end: true, ..overfitting() };
    let (best, outcome) = run(&recipe, dir.path(), false);
    let losses = Run::load(dir.path()).unwrap().eval_points("eval_loss");
    let &(step, loss) = losses.iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    let &(last, last_loss) = losses.last().unwrap();
    assert!(step < last && loss < last_loss, "the run should overfit: {losses:?}");
    assert_eq!((outcome.stats.best_step, outcome.stats.best_eval_loss), (Some(step), Some(loss)));
    assert_eq!(outcome.best.unwrap().step, step);
    assert!((measured(&best) - loss).abs() < 1e-9, "{} is not {loss}", measured(&best));
    // Of the checkpoints the last and the best are left, and a resume of the ended run gives the best again.
    assert_eq!(std::fs::read_dir(dir.path().join("checkpoints")).unwrap().count(), 2);
    assert_eq!(values(&run(&recipe, dir.path(), true).0), values(&best));
}

#[test]
fn options_that_need_validation_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = Recipe { load_best_model_at_end: true, ..overfitting() };
    let mut folder = RunFolder::create(dir.path()).unwrap();
    let samples = samples(8);
    let job = Job::new(&recipe, &samples, &[]);
    let error = train::run(&mut decoder(&recipe), &job, &mut folder, &mut Silent).unwrap_err();
    assert!(matches!(error, Error::Recipe { key: "load_best_model_at_end", .. }), "{error}");
}

/// Counts what it is asked.
#[derive(Debug, Default)]
struct Counting {
    seen: RefCell<Vec<f64>>,
}

impl Examiner<Cpu> for Counting {
    fn examine(
        &self,
        decoder: &Decoder<Cpu>,
    ) -> Result<Vec<(&'static str, f64)>, Box<dyn std::error::Error + Send + Sync>> {
        self.seen.borrow_mut().push(measured(decoder));
        Ok(vec![("choice_accuracy", self.seen.borrow().len() as f64 / 100.0)])
    }
}

#[test]
fn an_examination_fires_at_exactly_its_steps_on_the_weights_of_that_step() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = Recipe { bench_steps: 3, eval_steps: 3, num_epochs: 2, ..recipe() };
    let mut folder = RunFolder::create(dir.path()).unwrap();
    let samples = samples(40);
    let counting = Counting::default();
    let job = Job { examiner: Some(&counting), ..Job::new(&recipe, &samples[..32], &samples[32..]) };
    let outcome = train::run(&mut decoder(&recipe), &job, &mut folder, &mut Silent).unwrap();
    let run = Run::load(dir.path()).unwrap();
    let expected: Vec<u64> = (1..=outcome.stats.steps).filter(|step| step % 3 == 0).collect();
    let accuracies = run.eval_points("eval_choice_accuracy");
    assert!(expected.len() >= 4);
    assert_eq!(accuracies.iter().map(|(step, _)| *step).collect::<Vec<_>>(), expected);
    let values: Vec<f64> = (1..=expected.len()).map(|n| n as f64 / 100.0).collect();
    assert_eq!(accuracies.iter().map(|(_, value)| *value).collect::<Vec<_>>(), values);
    // What the examiner measured is what the loop measured at that step.
    let losses = run.eval_points("eval_loss");
    for (step, seen) in expected.iter().zip(counting.seen.borrow().iter()) {
        let (_, loss) = losses.iter().find(|(s, _)| s == step).unwrap();
        assert!((loss - seen).abs() < 1e-9, "step {step}");
    }
}

/// Asks the run to stop when it hears of a step.
struct StopAt<'a>(u64, &'a AtomicBool);

impl Observer for StopAt<'_> {
    fn step(&mut self, row: &StepRow, _: u64) {
        self.1.store(row.step == self.0, Ordering::Relaxed);
    }
    fn validated(&mut self, _: u64, _: f64) {}
    fn note(&mut self, _: &str) {}
}

#[test]
fn a_run_that_is_stopped_before_an_evaluation_makes_it_when_it_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = Recipe { eval_steps: 4, save_steps: 1000, load_best_model_at_end: true, ..overfitting() };
    let (whole, _) = run(&recipe, &dir.path().join("whole"), false);
    let stopped = dir.path().join("stopped");
    // After step 8 an evaluation is due: the wish to stop comes before it.
    for step in [3, 8, 9] {
        let mut folder = match step {
            3 => RunFolder::create(&stopped),
            _ => RunFolder::resume(&stopped),
        }
        .unwrap();
        let samples = samples(40);
        let stop = AtomicBool::new(false);
        let mut job = Job::new(&recipe, &samples[..32], &samples[32..]);
        (job.resume, job.stop) = (step > 3, Some(&stop));
        let result = train::run(&mut decoder(&recipe), &job, &mut folder, &mut StopAt(step, &stop));
        let Err(Error::Interrupted { step: done, checkpoint: Some(_), .. }) = result else {
            panic!("{result:?}")
        };
        assert_eq!(done, step);
    }
    let (resumed, _) = run(&recipe, &stopped, true);
    assert_eq!(values(&resumed), values(&whole));
    let rows = |place: &Path| {
        let run = Run::load(place).unwrap();
        let steps: Vec<_> = run.steps.iter().map(|s| (s.step, s.loss.to_bits(), s.learned_tokens)).collect();
        (steps, run.evals)
    };
    assert_eq!(rows(&stopped), rows(&dir.path().join("whole")));
}

#[test]
fn learned_tokens_of_a_step_are_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = Recipe { num_epochs: 1, ..recipe() };
    run(&recipe, dir.path(), false);
    let learned: usize = samples(32).iter().map(|s| s.learned.iter().filter(|l| **l).count()).sum();
    let steps = Run::load(dir.path()).unwrap().steps;
    assert_eq!(steps.iter().map(|row| row.learned_tokens).sum::<u64>(), learned as u64);
}

#[test]
fn loraplus_has_the_groups_of_peft() {
    let after_one_step = |ratio: Option<f64>| {
        let targets = ["q_proj", "down_proj", "embed_tokens", "lm_head"];
        let recipe = Recipe {
            loraplus_lr_ratio: ratio,
            loraplus_lr_embedding: 1e-4,
            learning_rate: 1e-3,
            lora_target_modules: targets.map(str::to_owned).into(),
            ..recipe()
        };
        let mut decoder = decoder(&recipe);
        let mut activations = Activations::for_training(&decoder, 256).unwrap();
        let mut optimizer = Optimizer::new(&decoder, Settings::from(&recipe)).unwrap();
        let list = decoder.parameters.list.clone();
        let read =
            |decoder: &Decoder<Cpu>, p: &model::Parameter| decoder.parameters.read(decoder.backend(), p);
        let before: Vec<Vec<f32>> = list.iter().map(|p| read(&decoder, p)).collect();
        optimizer.accumulate(&decoder, &Batch::new(&samples(8)), &mut activations);
        let norm = optimizer.grad_norm(&decoder);
        optimizer.step(&mut decoder, recipe.learning_rate, norm);
        let moved = |(p, before): (&model::Parameter, Vec<f32>)| {
            let moved = read(&decoder, p).iter().zip(before).map(|(after, before)| after - before).collect();
            (p.name.clone(), moved)
        };
        list.iter().zip(before).map(moved).collect::<Vec<(String, Vec<f32>)>>()
    };
    // As `create_loraplus_optimizer` does: every B but the embedding's by the ratio, both sides of the embedding's at a
    // rate of their own.
    let factor = |name: &str| match name {
        name if name.contains("lora_embedding_") => 0.1,
        name if name.contains("lora_B") => 16.0,
        _ => 1.0,
    };
    let (plain, plus) = (after_one_step(None), after_one_step(Some(16.0)));
    let factors: Vec<f32> = plain.iter().map(|(name, _)| factor(name)).collect();
    // The other side of each pair starts at zero, so the first step moves one of them alone.
    for wanted in [0.1, 16.0] {
        let moves = |((_, moved), factor): (&(String, Vec<f32>), &f32)| {
            *factor == wanted && moved.iter().any(|v| *v != 0.0)
        };
        assert!(plain.iter().zip(&factors).any(moves), "nothing with the factor {wanted} moves");
    }
    for (((name, plain), (_, plus)), factor) in plain.iter().zip(&plus).zip(factors) {
        let near = |(a, b): (&f32, &f32)| (a * factor - b).abs() <= 2e-3 * b.abs() + 1e-7;
        assert!(plain.iter().zip(plus).all(near), "{name}");
    }
}

#[test]
fn noise_is_in_training_and_not_in_evaluation() {
    let dir = tempfile::tempdir().unwrap();
    let plain = Recipe { num_epochs: 1, learning_rate: 1e-30, eval_steps: 2, ..recipe() };
    let noisy = Recipe { neftune_noise_alpha: Some(5.0), ..plain.clone() };
    let rows = |recipe: &Recipe, name: &str| {
        let place = dir.path().join(name);
        run(recipe, &place, false);
        Run::load(&place).unwrap()
    };
    let (without, with) = (rows(&plain, "plain"), rows(&noisy, "noisy"));
    // The weights hardly move, so the losses differ by the noise alone.
    assert!(without.steps.iter().zip(&with.steps).all(|(a, b)| a.loss != b.loss));
    let (a, b) = (without.eval_points("eval_loss"), with.eval_points("eval_loss"));
    assert!(a.iter().zip(&b).all(|(a, b)| (a.1 - b.1).abs() < 1e-9), "{a:?} {b:?}");
    assert_eq!(rows(&noisy, "again").steps[0].loss.to_bits(), with.steps[0].loss.to_bits());
}

#[test]
fn dropout_is_in_training_and_not_in_evaluation() {
    let dir = tempfile::tempdir().unwrap();
    // PiSSA's B is not zero, so that what is dropped shows from the first step on.
    let plain = Recipe {
        num_epochs: 1,
        learning_rate: 1e-30,
        eval_steps: 2,
        init_lora_weights: "pissa".into(),
        ..recipe()
    };
    let dropping = Recipe { lora_dropout: 0.5, ..plain.clone() };
    let rows = |recipe: &Recipe, name: &str| {
        let place = dir.path().join(name);
        run(recipe, &place, false);
        Run::load(&place).unwrap()
    };
    let (without, with) = (rows(&plain, "plain"), rows(&dropping, "dropping"));
    assert!(without.steps.iter().zip(&with.steps).all(|(a, b)| a.loss != b.loss));
    let (a, b) = (without.eval_points("eval_loss"), with.eval_points("eval_loss"));
    assert!(a.iter().zip(&b).all(|(a, b)| (a.1 - b.1).abs() < 1e-9), "{a:?} {b:?}");
}

#[test]
fn settings_of_adapters_that_cannot_work_are_named() {
    let file = DatasetFile { path: "a.jsonl".into(), ..DatasetFile::default() };
    let usable = Recipe { base_model: Some("base".into()), datasets: vec![file], ..Recipe::default() };
    usable.validate().unwrap();
    let with_head = || vec!["q_proj".to_owned(), "lm_head".to_owned()];
    for (key, recipe) in [
        ("lora_dropout", Recipe { lora_dropout: 1.0, ..usable.clone() }),
        ("lora_dropout", Recipe { lora_dropout: 0.1, adapter: Adapter::Full, ..usable.clone() }),
        ("lora_dropout", Recipe { lora_dropout: 0.1, lora_target_modules: with_head(), ..usable.clone() }),
        ("rank_pattern", Recipe { rank_pattern: [("q_proj".into(), 0)].into(), ..usable.clone() }),
        ("rank_pattern", Recipe { rank_pattern: [("q_proj(".into(), 1)].into(), ..usable.clone() }),
        ("alpha_pattern", Recipe { alpha_pattern: [("[".into(), 1.0)].into(), ..usable.clone() }),
        ("peft_use_dora", Recipe { peft_use_dora: true, adapter: Adapter::Full, ..usable.clone() }),
        ("peft_use_dora", Recipe { peft_use_dora: true, lora_target_modules: with_head(), ..usable.clone() }),
        ("init_lora_weights", Recipe { init_lora_weights: "pizza".into(), ..usable.clone() }),
        (
            "init_lora_weights",
            Recipe { init_lora_weights: "pissa_niter_4".into(), peft_use_dora: true, ..usable.clone() },
        ),
        (
            "lora_modules_to_save",
            Recipe {
                lora_modules_to_save: vec!["lm_head".into()],
                lora_target_modules: with_head(),
                ..usable.clone()
            },
        ),
    ] {
        match recipe.validate() {
            Err(Error::Recipe { key: named, .. }) => assert_eq!(named, key),
            other => panic!("{key}: {other:?}"),
        }
    }
}

#[test]
fn a_pattern_or_target_that_means_no_module_is_named() {
    let refused = |recipe: Recipe| {
        let source = base(&config());
        let backend = Arc::new(Cpu::new(1));
        Decoder::new(backend, config(), &source, &recipe.trainable()).unwrap_err().to_string()
    };
    let error = refused(Recipe { rank_pattern: [("q_porj".into(), 4)].into(), ..recipe() });
    assert!(error.contains("rank_pattern: q_porj matches no module"), "{error}");
    let error = refused(Recipe { lora_target_modules: vec!["fc1".into()], ..recipe() });
    assert!(error.contains("fc1") && error.contains("q_proj"), "{error}");
    let error = refused(Recipe { lora_modules_to_save: vec!["norm".into()], ..recipe() });
    assert!(error.contains("modules_to_save: norm"), "{error}");
}

#[test]
fn eight_bit_moments_learn_as_32_bit_ones_do_and_give_the_same_bits_on_any_number_of_threads() {
    let eight = Recipe {
        optimizer: OptimizerKind::Adamw8bit,
        adapter: Adapter::Full,
        num_epochs: 20,
        lr_scheduler: Decay::Constant,
        ..recipe()
    };
    let full = Recipe { optimizer: OptimizerKind::AdamwTorch, ..eight.clone() };
    let dir = tempfile::tempdir().unwrap();
    let last = |recipe: &Recipe, name: &str| {
        let place = dir.path().join(name);
        run(recipe, &place, false);
        let steps = Run::load(&place).unwrap().steps;
        let tail = &steps[steps.len() - 8..];
        tail.iter().map(|row| row.loss).sum::<f64>() / 8.0
    };
    let (a, b) = (last(&full, "full"), last(&eight, "eight"));
    assert!((a - b).abs() < 0.25 * a.max(0.2) && a < 2.0, "32 bits {a}, 8 bits {b}");

    let on = |threads: usize| {
        let samples = samples(16);
        let source = base(&config());
        let backend = Arc::new(Cpu::new(threads));
        let mut decoder = Decoder::new(backend, config(), &source, &eight.trainable()).unwrap();
        let mut folder = RunFolder::create(dir.path().join(format!("{threads} threads"))).unwrap();
        let job = Job::new(&eight, &samples, &[]);
        train::run(&mut decoder, &job, &mut folder, &mut Silent).unwrap();
        values(&decoder)
    };
    assert_eq!(on(1), on(3));
}
