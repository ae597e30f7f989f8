//! Training by several processes that `mpirun` starts: the real binary, on this machine.

#![cfg(all(feature = "mpi", target_os = "linux"))]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::runs::{Workshop, metrics};
use common::{stderr, write_model_of};
use serde_json::Value;

/// Long enough for any machine; a test that gets here has failed.
const DEADLINE: Duration = Duration::from_secs(50);
/// What a job may take to end after one of its ranks is gone.
const SECONDS_TO_END: Duration = Duration::from_secs(10);

/// `mpirun -n ranks medtune train …`, as root and on few cores too.
fn mpirun(ranks: usize, workshop: &Workshop, run: &str, more: &[&str]) -> Command {
    let alone = workshop.command(run, more);
    let mut command = Command::new("mpirun");
    command
        .args(["--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", &ranks.to_string()])
        .arg(alone.get_program())
        .args(alone.get_args())
        // Containers forbid reading another process's memory, about which OpenMPI warns.
        .env("OMPI_MCA_btl_vader_single_copy_mechanism", "none")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for (name, value) in alone.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

fn start(mut command: Command) -> Child {
    command.spawn().expect("mpirun is missing: apt-get install openmpi-bin")
}

fn finish(command: Command) -> Output {
    let output = start(command).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    output
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let clock = Instant::now();
    while !holds() {
        assert!(clock.elapsed() < DEADLINE, "still not: {what}");
        sleep(Duration::from_millis(2));
    }
}

/// Sends a signal to a process.
fn send(process: u32, signal: &str) {
    assert!(Command::new("kill").args([signal, &process.to_string()]).status().unwrap().success());
}

/// The process of a rank that trains into the folder `run`.
fn process_of(rank: usize, run: &Path) -> u32 {
    let (rank, run) = (format!("OMPI_COMM_WORLD_RANK={rank}"), run.display().to_string());
    let holds = |file: std::path::PathBuf, text: &str, whole: bool| {
        let bytes = fs::read(file).unwrap_or_default();
        let mut parts = bytes.split(|&b| b == 0).map(String::from_utf8_lossy);
        parts.any(|part| if whole { part == text } else { part.contains(text) })
    };
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok());
    processes
        .filter(|p| {
            holds(p.path().join("environ"), &rank, true) && holds(p.path().join("cmdline"), &run, false)
        })
        .find_map(|p| p.file_name().to_str()?.parse().ok())
        .expect("the rank runs")
}

/// What a job said when it ended otherwise than well, which it must within seconds of `clock`.
fn ended(job: Child, clock: Instant) -> (Option<i32>, String) {
    let output = job.wait_with_output().unwrap();
    assert!(clock.elapsed() < SECONDS_TO_END, "ending took {:?}", clock.elapsed());
    assert_ne!(output.status.code(), Some(0));
    (output.status.code(), stderr(&output))
}

/// The values of `key` in the metrics, by step.
fn values(run: &Path, key: &str) -> Vec<(u64, f64)> {
    let rows = metrics(run);
    rows.iter().filter_map(|row| Some((row["step"].as_u64()?, row.get(key)?.as_f64()?))).collect()
}

#[test]
fn two_ranks_have_the_loss_curve_of_one() {
    // In the second recipe a step is a single batch, so that every batch is cut.
    for accumulation in [2, 1] {
        let keys = format!(
            "num_epochs: 12\neval_steps: 5\nlearning_rate: 2e-3\ngradient_accumulation_steps: {accumulation}"
        );
        let workshop = Workshop::new(&keys);
        workshop.finish("one", &[]);
        let output = finish(mpirun(2, &workshop, "two", &[]));
        let said = stderr(&output);
        assert_eq!(said.matches("2 ranks with 1 threads each").count(), 1, "rank 0 alone speaks: {said}");
        let (one, two) = (workshop.path("one"), workshop.path("two"));
        assert_eq!(values(&one, "learned_tokens"), values(&two, "learned_tokens"));
        for key in ["loss", "eval_loss", "grad_norm"] {
            let (a, b) = (values(&one, key), values(&two, key));
            assert!(a.len() >= 3 && a.len() == b.len(), "{key}: {} and {}", a.len(), b.len());
            let worst = a.iter().zip(&b).map(|(a, b)| (a.1 - b.1).abs()).fold(0.0, f64::max);
            println!("{accumulation} batches a step: {key} of {} steps within {worst:.1e}", a.len());
            assert!(worst < 1e-6 || key == "grad_norm", "{key} differs by {worst:e}");
        }
        let bytes = |file: &str| {
            let path = two.join(file);
            fs::metadata(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).len()
        };
        assert!(bytes("adapter/adapter_model.safetensors") > 0 && bytes("report.html") > 0);
    }
}

#[test]
fn a_killed_rank_ends_the_job_with_an_error_and_the_run_goes_on_to_the_same_bytes() {
    let workshop = Workshop::new("num_epochs: 60\nsave_steps: 5\ngradient_accumulation_steps: 2");
    finish(mpirun(2, &workshop, "whole", &[]));
    for rank in [1, 0] {
        let run = format!("killed-{rank}");
        let folder = workshop.path(&run);
        let job = start(mpirun(2, &workshop, &run, &[]));
        wait_until("twelve steps", || metrics(&folder).len() >= 12);
        send(process_of(rank, &folder), "-KILL");
        let (_, said) = ended(job, Instant::now());
        assert!(said.contains("signal 9"), "the launcher says which rank was killed: {said}");
        assert!(!workshop.checkpoints(&run).is_empty(), "a checkpoint is there");
        let output = finish(mpirun(2, &workshop, &run, &[]));
        assert!(stderr(&output).contains("going on after step"), "{}", stderr(&output));
        assert_eq!(workshop.result(&run), workshop.result("whole"), "rank {rank} was killed");
    }
}

#[test]
fn a_signal_to_the_launcher_saves_the_state_of_the_step() {
    let workshop = Workshop::new("num_epochs: 60\nsave_steps: 100000\ngradient_accumulation_steps: 2");
    // Large enough that the run lasts for seconds, and the signal comes in the midst of it.
    write_model_of(&workshop.path("base"), 192, 256);
    finish(mpirun(2, &workshop, "whole", &[]));
    let job = start(mpirun(2, &workshop, "stopped", &[]));
    wait_until("three steps", || metrics(&workshop.path("stopped")).len() >= 3);
    send(job.id(), "-TERM");
    let (_, said) = ended(job, Instant::now());
    assert_eq!(said.matches("error: stopped after step ").count(), 1, "rank 0 alone speaks: {said}");
    assert_eq!(workshop.checkpoints("stopped").len(), 1);
    finish(mpirun(2, &workshop, "stopped", &[]));
    assert_eq!(workshop.result("stopped"), workshop.result("whole"));
}

#[test]
fn a_failure_of_one_rank_ends_the_job_with_its_status_and_its_reason() {
    let workshop = Workshop::new("num_epochs: 60\nsave_steps: 3");
    let (status, said) = ended(start(mpirun(2, &workshop, "run", &["--set", "lora_rank=3"])), Instant::now());
    assert_eq!(status, Some(1), "{said}");
    assert_eq!(said.matches("error: ").count(), 1, "{said}");
    assert!(said.contains("unknown key `lora_rank`"), "{said}");
    // Where rank 0 cannot write, rank 1 does not wait for ever.
    let clock = Instant::now();
    let full = workshop.path("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("checkpoints"), "a file where a folder should be").unwrap();
    let (status, said) = ended(start(mpirun(2, &workshop, "full", &[])), clock);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("error: ") && said.contains("checkpoints"), "{said}");
}

/// Tokens per second of a finished run.
fn speed(run: &Path) -> f64 {
    let stats: Value = serde_json::from_slice(&fs::read(run.join("stats.json")).unwrap()).unwrap();
    stats["train_tokens_per_second"].as_f64().unwrap()
}

#[test]
fn scaling_is_told() {
    let workshop = Workshop::new("num_epochs: 6\ngradient_accumulation_steps: 2\nsave_steps: 100000");
    write_model_of(&workshop.path("base"), 256, 256);
    workshop.finish("one", &["--threads", "1"]);
    workshop.finish("threads", &["--threads", "2"]);
    finish(mpirun(2, &workshop, "ranks", &["--threads", "1"]));
    let [one, threads, ranks] = ["one", "threads", "ranks"].map(|run| speed(&workshop.path(run)));
    println!(
        "scaling: 1 rank x 1 thread {one:.0} tokens/s, 1 rank x 2 threads {threads:.0}, 2 ranks x 1 thread {ranks:.0}; \
         efficiency of 2 ranks {:.0} %, {:.2} of 2 threads",
        50.0 * ranks / one,
        ranks / threads
    );
    assert!(ranks > 0.0 && one > 0.0 && threads > 0.0);
}
