//! The run folder through its front door: what survives a kill, a second writer, a resume.

use proptest::prelude::*;
use std::fs;
use std::path::Path;
use track::{
    Error, FileHash, Machine, Manifest, Program, Run, RunFolder, SkippedStep, Stats, StepRow, TextHash,
};

fn row(step: u64) -> StepRow {
    StepRow {
        step,
        epoch: step as f64 / 100.0,
        loss: 3.0 / (step as f64),
        grad_norm: 1.25,
        learning_rate: 2e-4,
        tokens: step * 4096,
        learned_tokens: 2048,
        tokens_per_second: 812.5,
        elapsed_s: step as f64 * 5.04,
    }
}

fn files(folder: &Path) -> (String, String) {
    let read = |name| fs::read_to_string(folder.join(name)).unwrap();
    (read("metrics.jsonl"), read("loss.csv"))
}

#[test]
fn a_run_reads_back_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs/one");
    let manifest = Manifest {
        program: Program { name: "medtune".into(), version: "0.1.0".into(), git: None },
        created: track::utc_timestamp(),
        seed: 42,
        base_model: "base".into(),
        base_files: vec![],
        data_files: vec![FileHash { path: "a.csv".into(), bytes: 3, blake3: "00".repeat(32) }],
        template: Some(TextHash::of("chat_template.jinja", "{{ messages }}")),
        machine: Machine::detect(),
        memory: Some(serde_json::json!({ "total": 5 })),
    };
    let stats = Stats {
        train_runtime: 10.5,
        train_samples_per_second: 0.8,
        train_steps_per_second: 0.1,
        train_tokens_per_second: 800.0,
        total_flos: 3.168e16,
        train_loss: 1.843_04,
        steps: 2,
        epoch: 1.0,
        eval_loss: Some(1.5),
        best_step: Some(1),
        best_eval_loss: Some(1.25),
        stopped_early: true,
        skipped_steps: 1,
        planned_memory_bytes: Some(1000),
        peak_memory_bytes: Some(950),
    };
    {
        let mut run = RunFolder::create(&path).unwrap();
        run.write_recipe("lora_r: 16\n").unwrap();
        run.write_manifest(&manifest).unwrap();
        run.log_step(&row(1)).unwrap();
        run.log_step(&row(2)).unwrap();
        run.log_eval(2, 0.02, [("loss", 1.5), ("eval_token_accuracy", 0.5)]).unwrap();
        run.sync().unwrap();
        run.write_stats(&stats).unwrap();
    }
    let run = Run::load(&path).unwrap();
    assert_eq!(run.recipe.as_deref(), Some("lora_r: 16\n"));
    assert_eq!(run.manifest, Some(manifest));
    assert_eq!(run.stats, Some(stats));
    assert_eq!(run.steps, [row(1), row(2)]);
    assert_eq!(run.eval_points("eval_loss"), [(2, 1.5)]);
    assert_eq!(run.eval_points("eval_token_accuracy"), [(2, 0.5)]);
    let (metrics, csv) = files(&path);
    assert_eq!(csv, "Step,Loss\n1,3.000000\n2,1.500000\n");
    assert!(
        metrics.starts_with(r#"{"step":1,"epoch":0.01,"loss":3.0,"grad_norm":1.25,"learning_rate":0.0002"#)
    );
    assert!(metrics.ends_with("{\"step\":2,\"epoch\":0.02,\"eval_loss\":1.5,\"eval_token_accuracy\":0.5}\n"));
    let left: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".tmp")), "{left:?}");
}

#[test]
fn stats_have_exactly_the_agreed_keys() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunFolder::create(folder.path()).unwrap();
    let zero = Stats::default();
    run.write_stats(&zero).unwrap();
    let text = fs::read_to_string(folder.path().join("stats.json")).unwrap();
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    let keys: Vec<&str> = object.keys().map(String::as_str).collect();
    let agreed = "train_runtime train_samples_per_second train_steps_per_second train_tokens_per_second \
                  total_flos train_loss steps epoch";
    assert_eq!(keys, agreed.split_whitespace().collect::<Vec<_>>());
}

#[test]
fn a_second_writer_is_refused_and_told_who_has_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = RunFolder::create(folder.path()).unwrap();
    first.log_step(&row(1)).unwrap();
    let refused = RunFolder::resume(folder.path()).unwrap_err();
    assert!(matches!(refused, Error::InUse { .. }));
    assert!(refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");
    drop(first);
    assert!(matches!(RunFolder::create(folder.path()), Err(Error::AlreadyARun { .. })));
    assert!(RunFolder::resume(folder.path()).is_ok());
}

#[test]
fn a_lock_file_left_by_a_killed_process_does_not_lock() {
    let folder = tempfile::tempdir().unwrap();
    drop(RunFolder::create(folder.path()).unwrap());
    fs::write(folder.path().join("run.lock"), "process 1 on somewhere\n").unwrap();
    assert!(RunFolder::resume(folder.path()).is_ok());
}

#[test]
fn a_run_that_ended_before_its_first_step_makes_room_for_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    RunFolder::create(folder.path()).unwrap().write_recipe("base_model: misspelt\n").unwrap();
    let mut second = RunFolder::create(folder.path()).unwrap();
    second.log_step(&row(1)).unwrap();
    drop(second);
    let refused = RunFolder::create(folder.path()).unwrap_err();
    assert!(matches!(refused, Error::AlreadyARun { found: "metrics.jsonl", .. }), "{refused}");
}

#[test]
fn a_new_run_writes_over_nothing_that_a_run_leaves() {
    for (place, file) in
        [("checkpoints", "step-000002"), ("adapter", "adapter_config.json"), ("model", "model.safetensors")]
    {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(place)).unwrap();
        fs::write(folder.path().join(place).join(file), "").unwrap();
        let refused = RunFolder::create(folder.path()).unwrap_err();
        assert!(matches!(&refused, Error::AlreadyARun { found, .. } if *found == place), "{refused}");
    }
}

#[test]
fn an_empty_folder_is_no_run() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(RunFolder::resume(folder.path()), Err(Error::NotARun { .. })));
    assert!(matches!(Run::load(folder.path()), Err(Error::NotARun { .. })));
}

#[test]
fn a_resumed_run_has_each_step_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = RunFolder::create(folder.path()).unwrap();
    for step in 1..=5 {
        run.log_step(&row(step)).unwrap();
    }
    run.log_eval(5, 0.05, [("loss", 1.0)]).unwrap();
    let whole = files(folder.path());
    drop(run);
    let mut run = RunFolder::resume(folder.path()).unwrap();
    run.rewind(3).unwrap();
    assert!(matches!(run.log_step(&row(3)), Err(Error::StepOrder { step: 3, last: 3 })));
    for step in 4..=5 {
        run.log_step(&row(step)).unwrap();
    }
    run.log_eval(5, 0.05, [("loss", 1.0)]).unwrap();
    assert_eq!(files(folder.path()), whole);
}

#[test]
fn a_value_that_is_no_number_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = RunFolder::create(folder.path()).unwrap();
    let broken = StepRow { grad_norm: f64::NAN, ..row(1) };
    let error = run.log_step(&broken).unwrap_err();
    assert_eq!(error.to_string(), "step 1: grad_norm is not finite");
    assert!(run.log_eval(1, 0.0, [("loss", f64::INFINITY)]).is_err());
    assert_eq!(files(folder.path()).0, "");
}

#[test]
fn damage_in_the_middle_names_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = RunFolder::create(folder.path()).unwrap();
    run.log_step(&row(1)).unwrap();
    drop(run);
    let path = folder.path().join("metrics.jsonl");
    let good = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{good}{{\"step\":\n{good}")).unwrap();
    let error = Run::load(folder.path()).unwrap_err();
    assert!(error.to_string().contains("metrics.jsonl:2:"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A kill can stop either file after any byte; reopening leaves whole rows, the same in both files.
    #[test]
    fn a_log_cut_anywhere_reopens_to_whole_rows(cut in 0.0f64..=1.0, csv_cut in 0.0f64..=1.0) {
        let folder = tempfile::tempdir().unwrap();
        let mut run = RunFolder::create(folder.path()).unwrap();
        for step in 1..=6 {
            run.log_step(&row(step)).unwrap();
        }
        drop(run);
        let (metrics, csv) = files(folder.path());
        let keep = (metrics.len() as f64 * cut) as usize;
        fs::write(folder.path().join("metrics.jsonl"), &metrics[..keep]).unwrap();
        fs::write(folder.path().join("loss.csv"), &csv[..(csv.len() as f64 * csv_cut) as usize]).unwrap();
        let before = Run::load(folder.path()).unwrap();

        let mut run = RunFolder::resume(folder.path()).unwrap();
        let (repaired, table) = files(folder.path());
        prop_assert!(metrics.starts_with(&repaired));
        let rows = metrics[..keep].matches('\n').count();
        prop_assert_eq!(repaired.lines().count(), rows);
        prop_assert_eq!(before.steps.len(), rows);
        prop_assert_eq!(table.lines().count(), rows + 1);
        for step in rows as u64 + 1..=6 {
            run.log_step(&row(step)).unwrap();
        }
        prop_assert_eq!(files(folder.path()), (metrics, csv));
    }
}

#[test]
fn a_skipped_step_is_kept_with_its_examples_and_dropped_by_a_resume_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = RunFolder::create(folder.path()).unwrap();
    let skipped = |step| SkippedStep {
        step,
        loss: "NaN".into(),
        grad_norm: "inf".into(),
        examples: vec![vec!["a.csv:1".into(), "a.csv:2".into()]],
    };
    run.log_skipped(&skipped(2)).unwrap();
    run.log_skipped(&skipped(5)).unwrap();
    let lines = || fs::read_to_string(folder.path().join("skipped.jsonl")).unwrap();
    let read = |line: &str| serde_json::from_str::<SkippedStep>(line).unwrap();
    assert_eq!(lines().lines().map(read).collect::<Vec<_>>(), [skipped(2), skipped(5)]);
    run.rewind(4).unwrap();
    assert_eq!(lines().lines().map(read).collect::<Vec<_>>(), [skipped(2)]);
}
