//! What several ranks come to together: the run of one.

mod common;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use common::thread_ranks::{ThreadRank, together};
use common::{Silent, decoder, recipe, samples, values};
use model::{Config, Decoder, StoredTensor, TensorSource};
use track::{Run, RunFolder};
use train::{Adapter, Communicator, Decay, Error, Job, OptimizerKind, Recipe, Result};

/// What a rank has at the end, and how its run ended.
type End = (Vec<u32>, Result<()>);

/// One rank of a run on 32 samples, 8 more for validation. Only rank 0 has the run folder; the others begin with another
/// adapter, to see that it is not used.
fn rank(recipe: &Recipe, place: &Path, resume: bool, ranks: &ThreadRank, stop: Option<&AtomicBool>) -> End {
    let samples = samples(40);
    let own = Recipe { seed: recipe.seed + ranks.rank() as u64, ..recipe.clone() };
    let mut decoder = decoder(&own);
    let job = Job { resume, stop, ranks, ..Job::new(recipe, &samples[..32], &samples[32..]) };
    let ended = match ranks.rank() {
        0 => {
            let folder = if resume { RunFolder::resume(place) } else { RunFolder::create(place) };
            train::run(&mut decoder, &job, &mut folder.unwrap(), &mut Silent).map(drop)
        }
        _ => train::assist(&mut decoder, &job),
    };
    (values(&decoder), ended)
}

/// A run of `size` ranks, all of which must end well; the values of each.
fn train_on(size: usize, recipe: &Recipe, place: &Path, resume: bool) -> Vec<Vec<u32>> {
    let ends = together(size, |ranks| rank(recipe, place, resume, &ranks, None));
    ends.into_iter()
        .map(|(values, ended)| {
            ended.unwrap();
            values
        })
        .collect()
}

fn steady() -> Recipe {
    Recipe { gradient_accumulation_steps: 3, num_epochs: 4, eval_steps: 2, learning_rate: 3e-3, ..recipe() }
}

/// A run's metrics without their times.
#[derive(Debug, PartialEq)]
struct Curve {
    /// Step, learned tokens and loss.
    steps: Vec<(u64, u64, f64)>,
    /// Step and validation loss.
    evals: Vec<(u64, f64)>,
}

fn curve(place: &Path) -> Curve {
    let run = Run::load(place).unwrap();
    let steps = run.steps.iter().map(|row| (row.step, row.learned_tokens, row.loss)).collect();
    Curve { steps, evals: run.eval_points("eval_loss") }
}

#[test]
fn ranks_have_the_loss_curve_of_one_and_equal_weights_at_the_end() {
    let one_batch = Recipe { gradient_accumulation_steps: 1, ..steady() };
    let full = Recipe { adapter: Adapter::Full, ..steady() };
    let noisy = Recipe { neftune_noise_alpha: Some(5.0), sample_packing: false, ..steady() };
    for (name, recipe) in
        [("accumulated", steady()), ("one batch", one_batch), ("full", full), ("noisy", noisy)]
    {
        let dir = tempfile::tempdir().unwrap();
        let place = |size: usize| dir.path().join(size.to_string());
        train_on(1, &recipe, &place(1), false);
        let Curve { steps, evals } = curve(&place(1));
        assert!(steps.len() >= 10 && evals.len() >= 4, "{name}");
        for size in [2, 3, 5] {
            let values = train_on(size, &recipe, &place(size), false);
            assert!(values.iter().all(|rank| *rank == values[0]), "{name}: {size} ranks differ");
            let Curve { steps: other_steps, evals: other_evals } = curve(&place(size));
            assert_eq!(other_steps.len(), steps.len());
            let worst = steps.iter().zip(&other_steps).map(|(a, b)| {
                assert_eq!((a.0, a.1), (b.0, b.1), "{name}: learned tokens are counted over all ranks");
                (a.2 - b.2).abs()
            });
            let worst = worst.fold(0.0, f64::max);
            let evals = evals.iter().zip(&other_evals).map(|(a, b)| (a.1 - b.1).abs()).fold(0.0, f64::max);
            eprintln!(
                "{name}, {size} ranks: losses within {worst:.1e}, validation losses within {evals:.1e}"
            );
            assert!(worst < 1e-6 && evals < 1e-6, "{name}, {size} ranks: {worst:.1e} {evals:.1e}");
        }
    }
}

#[test]
fn ranks_that_are_killed_resume_to_the_same_bits_and_only_rank_0_has_the_checkpoint() {
    let eight_bit = Recipe { optimizer: OptimizerKind::Adamw8bit, adapter: Adapter::Full, ..steady() };
    for recipe in [steady(), eight_bit] {
        let dir = tempfile::tempdir().unwrap();
        let (whole, killed) = (dir.path().join("whole"), dir.path().join("killed"));
        let expected = train_on(2, &recipe, &whole, false);
        // The beginning of the same run: what a kill after its checkpoint leaves.
        train_on(2, &recipe, &killed, false);
        let checkpoints = killed.join("checkpoints");
        let mut places: Vec<_> =
            std::fs::read_dir(&checkpoints).unwrap().map(|e| e.unwrap().path()).collect();
        places.sort();
        std::fs::remove_dir_all(places.pop().unwrap()).unwrap();
        assert!(!places.is_empty());
        assert_eq!(train_on(2, &recipe, &killed, true), expected);
        assert_eq!(curve(&killed), curve(&whole));
    }
}

#[test]
fn a_run_goes_on_with_another_number_of_ranks() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, grown) = (dir.path().join("whole"), dir.path().join("grown"));
    let short = Recipe { save_steps: 4, ..steady() };
    train_on(1, &short, &whole, false);
    let stop = AtomicBool::new(false);
    let ends = together(1, |ranks| {
        stop.store(true, Ordering::Relaxed);
        rank(&short, &grown, false, &ranks, Some(&stop))
    });
    assert!(matches!(ends[0].1, Err(Error::Interrupted { step: 0, .. })));
    train_on(3, &short, &grown, true);
    for (a, b) in curve(&whole).steps.iter().zip(&curve(&grown).steps) {
        assert!((a.2 - b.2).abs() < 1e-6, "step {}: {} and {}", a.0, a.2, b.2);
    }
}

#[test]
fn all_ranks_stop_when_one_is_asked_to_and_go_on_to_the_same_bits() {
    let dir = tempfile::tempdir().unwrap();
    let recipe = Recipe { save_steps: 1000, ..steady() };
    let expected = train_on(2, &recipe, &dir.path().join("whole"), false);
    let place = dir.path().join("stopped");
    // Rank 1 is asked as soon as rank 0 has recorded three steps.
    let ends = together(2, |ranks| {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            if ranks.rank() == 1 {
                scope.spawn(|| {
                    while Run::load(&place).map_or(0, |run| run.steps.len()) < 3 {
                        std::thread::sleep(std::time::Duration::from_millis(1));
                    }
                    stop.store(true, Ordering::Relaxed);
                });
            }
            rank(&recipe, &place, false, &ranks, Some(&stop))
        })
    });
    let stopped = |end: &End| match &end.1 {
        Err(Error::Interrupted { step, checkpoint, .. }) => (*step, checkpoint.is_some()),
        other => panic!("{other:?}"),
    };
    let (first, second) = (stopped(&ends[0]), stopped(&ends[1]));
    assert!(first.0 >= 3 && first.0 == second.0, "they agree on the step");
    assert!(first.1 && !second.1, "rank 0 alone writes");
    assert_eq!(train_on(2, &recipe, &place, true), expected);
}

#[test]
fn early_stopping_is_the_same_decision_on_all_ranks() {
    let recipe = Recipe {
        adapter: Adapter::Full,
        num_epochs: 20,
        lr_scheduler: Decay::Constant,
        early_stopping_patience: Some(3),
        load_best_model_at_end: true,
        eval_steps: 4,
        gradient_accumulation_steps: 1,
        ..steady()
    };
    let dir = tempfile::tempdir().unwrap();
    let stats = |size: usize| {
        let place = dir.path().join(size.to_string());
        train_on(size, &recipe, &place, false);
        Run::load(&place).unwrap().stats.unwrap()
    };
    let (one, two) = (stats(1), stats(2));
    assert!(one.stopped_early);
    assert_eq!((one.steps, one.best_step), (two.steps, two.best_step));
}

#[test]
fn ranks_whose_weights_differ_write_no_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let ends = together(2, |mut ranks| {
        ranks.off = ranks.rank() as f32;
        rank(&steady(), dir.path(), false, &ranks, None)
    });
    for (_, ended) in ends {
        let error = ended.unwrap_err().to_string();
        assert_eq!(error, "the ranks of this job: after step 3 rank 1 has other weights than rank 0");
    }
    assert!(!dir.path().join("checkpoints").exists());
}

/// A base in which one token, that stands in a single sample, is no number.
#[derive(Debug)]
struct Poisoned;

const BAD: u32 = 60;

fn poisoned_config() -> Config {
    Config { tie_word_embeddings: false, ..common::config() }
}

impl TensorSource for Poisoned {
    fn tensor(&self, name: &str) -> model::Result<StoredTensor> {
        let tensor = common::base(&poisoned_config()).tensor(name)?;
        let mut values = tensor.to_f32();
        if name == "model.embed_tokens.weight" {
            let width = poisoned_config().hidden_size;
            values[BAD as usize * width..][..width].fill(f32::NAN);
        }
        Ok(StoredTensor::from_f32(tensor.shape.clone(), &values))
    }

    fn origin(&self) -> String {
        "a poisoned random start".into()
    }
}

#[test]
fn a_value_that_is_no_number_on_one_rank_skips_the_step_on_all() {
    let recipe = Recipe { num_epochs: 1, sample_packing: false, micro_batch_size: 1, ..steady() };
    let mut samples = samples(32);
    samples[5].ids[1] = BAD;
    let dir = tempfile::tempdir().unwrap();
    let ends = together(3, |ranks| {
        let mut decoder: Decoder<_> = common::decoder_of(&Poisoned, &poisoned_config(), &recipe);
        let job = Job { ranks: &ranks, ..Job::new(&recipe, &samples, &[]) };
        match ranks.rank() {
            0 => {
                let mut folder = RunFolder::create(dir.path()).unwrap();
                let outcome = train::run(&mut decoder, &job, &mut folder, &mut Silent).unwrap();
                assert_eq!(outcome.skipped, 1);
            }
            _ => train::assist(&mut decoder, &job).unwrap(),
        }
        values(&decoder)
    });
    assert!(ends.iter().all(|rank| *rank == ends[0]));
    assert!(ends[0].iter().all(|bits| f32::from_bits(*bits).is_finite()));
    let skipped = std::fs::read_to_string(dir.path().join("skipped.jsonl")).unwrap();
    assert!(skipped.lines().count() == 1 && skipped.contains("\"5\""), "{skipped}");
}

#[test]
fn what_rank_0_shares_arrives_on_all() {
    let arrived = together(3, |ranks| {
        let own = (ranks.rank() == 0).then(|| samples(7));
        let text = (ranks.rank() == 0).then(|| ("recipe".to_owned(), 0.1f64));
        (train::share(&ranks, text).unwrap(), train::share_samples(&ranks, own.unwrap_or_default()).unwrap())
    });
    assert!(arrived.iter().all(|(text, got)| *text == ("recipe".to_owned(), 0.1) && *got == samples(7)));
}
