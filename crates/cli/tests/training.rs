//! What a recipe asks for during training, through the binary.

mod common;

use std::fs;

use common::runs::{Workshop, metrics};
use common::text;
use serde_json::Value;

/// Ten items whose answers no training row gives away.
fn items() -> String {
    let item = |i: usize| {
        let options = serde_json::json!({
            "A": format!("organ number {i}"), "B": format!("vessel {}", i * 7), "C": "a nerve", "D": "a tendon"
        });
        let letter = ["A", "B", "C", "D"][i % 4];
        let question = format!("Which structure does the atlas show on plate {i}{i}?");
        serde_json::json!({ "question": question, "options": options, "answer_idx": letter }).to_string()
            + "\n"
    };
    (0..10).map(item).collect()
}

#[test]
fn multiple_choice_is_asked_during_training_at_its_steps_as_it_is_after_training() {
    let workshop = Workshop::new("num_epochs: 4\nbench_steps: 2\nmax_bench_samples: 0\neval_steps: 4");
    fs::write(workshop.path("items.jsonl"), items()).unwrap();
    let file = |name: &str| format!("{{path: {}}}", text(&workshop.path(name)));
    let datasets = format!("datasets=[{}, {}]", file("rows.csv"), file("items.jsonl"));
    workshop.finish("run", &["--set", &datasets]);

    let run = workshop.path("run");
    let rows = metrics(&run);
    let steps = rows.iter().filter(|row| row.get("loss").is_some()).count() as u64;
    assert!(steps >= 6 && steps.is_multiple_of(2), "{steps} steps");
    let asked: Vec<(u64, f64)> = rows
        .iter()
        .filter_map(|row| Some((row["step"].as_u64()?, row.get("eval_choice_accuracy")?.as_f64()?)))
        .collect();
    let expected: Vec<u64> = (1..=steps).filter(|step| step.is_multiple_of(2)).collect();
    assert_eq!(asked.iter().map(|(step, _)| *step).collect::<Vec<_>>(), expected);

    // The last examination had the weights that the comparison had, and the same items.
    let outcomes: Value = serde_json::from_slice(&fs::read(run.join("eval/tuned.json")).unwrap()).unwrap();
    let choices: Vec<&Value> =
        outcomes.as_array().unwrap().iter().map(|o| &o["choice"]).filter(|c| !c.is_null()).collect();
    assert_eq!(choices.len(), 10);
    let right = choices.iter().filter(|c| c["gold"] == c["picked"]).count();
    assert_eq!(asked[asked.len() - 1].1, right as f64 / 10.0);

    let report = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(report.contains("Multiple-choice items during training"));
}

#[test]
fn asking_items_that_are_not_there_is_refused() {
    let workshop = Workshop::new("num_epochs: 1\nbench_steps: 2");
    let said = workshop.fail("run", &[], 1);
    assert!(said.contains("bench_steps: the data sets hold no multiple-choice items"), "{said}");
}

#[test]
fn the_best_weights_are_what_is_saved() {
    let workshop = Workshop::new(
        "num_epochs: 12\neval_steps: 3\nlearning_rate: 2e-2\nload_best_model_at_end: true\n\
         early_stopping_patience: 2\noptimizer: adamw_8bit\nlr_scheduler: constant",
    );
    workshop.finish("run", &[]);
    let run = workshop.path("run");
    let stats: Value = serde_json::from_slice(&fs::read(run.join("stats.json")).unwrap()).unwrap();
    let losses: Vec<(u64, f64)> = metrics(&run)
        .iter()
        .filter_map(|row| Some((row["step"].as_u64()?, row.get("eval_loss")?.as_f64()?)))
        .collect();
    let best = losses.iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    assert_eq!((stats["best_step"].as_u64(), stats["best_eval_loss"].as_f64()), (Some(best.0), Some(best.1)));
    assert!(workshop.checkpoints("run").contains(&format!("step-{:06}", best.0)));
}
