//! A training run survives being killed: at any moment, and at the worst ones.

mod common;

use std::fs;
use std::time::{Duration, Instant};

use common::runs::{Workshop, metrics};
use common::stderr;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Kills in all.
const KILLS: usize = 50;

/// Places at which the process ends itself, and at which pass of a fresh run.
const FAILPOINTS: [(&str, u64); 15] = [
    ("run.step", 1),
    ("run.step", 6),
    ("run.evaluated", 3),
    ("metrics.torn_row", 5),
    ("checkpoint.begin", 1),
    ("checkpoint.begin", 3),
    ("checkpoint.parameters", 2),
    ("checkpoint.optimizer", 2),
    ("checkpoint.state", 2),
    ("checkpoint.complete", 2),
    ("checkpoint.renamed", 2),
    ("checkpoint.retiring", 1),
    ("checkpoint.end", 3),
    ("adapter.begin", 1),
    ("adapter.end", 1),
];

fn workshop() -> Workshop {
    Workshop::new(
        "num_epochs: 5\neval_steps: 3\nsave_steps: 2\nsave_total_limit: 1\nneftune_noise_alpha: 5\n\
         loraplus_lr_ratio: 4\nload_best_model_at_end: true",
    )
}

#[test]
fn a_run_killed_fifty_times_ends_as_the_one_that_was_not() {
    let workshop = workshop();
    let clock = Instant::now();
    workshop.finish("whole", &[]);
    let whole_takes = clock.elapsed();
    let whole = workshop.result("whole");
    let steps = metrics(&workshop.path("whole")).iter().filter(|row| row.get("loss").is_some()).count();
    assert!(steps >= 12, "only {steps} steps");

    let mut kills = 0;
    if cfg!(debug_assertions) {
        for (i, (name, pass)) in FAILPOINTS.into_iter().enumerate() {
            let run = format!("failpoint-{i}");
            let output = workshop
                .command(&run, &[])
                .env("MEDTUNE_FAILPOINT", format!("{name}:{pass}"))
                .output()
                .unwrap();
            assert_eq!(output.status.code(), None, "{name} was not reached: {}", stderr(&output));
            kills += 1;
            workshop.finish(&run, &[]);
            assert_eq!(workshop.result(&run), whole, "killed at {name}, pass {pass}");
            fs::remove_dir_all(workshop.path(&run)).unwrap();
        }
    }

    // One run after another is killed at moments that chance chooses, until it ends before its killer comes.
    let mut random = StdRng::seed_from_u64(11);
    let mut run = 0;
    while kills < KILLS {
        let mut child = workshop.spawn(&format!("killed-{run}"), &[]);
        std::thread::sleep(random.random_range(Duration::ZERO..whole_takes));
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        if output.status.code().is_none() {
            kills += 1;
            continue;
        }
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(workshop.result(&format!("killed-{run}")), whole);
        run += 1;
        assert!(run < 20 * KILLS, "the runs always end before they are killed");
    }
    workshop.finish(&format!("killed-{run}"), &[]);
    assert_eq!(workshop.result(&format!("killed-{run}")), whole);
    eprintln!("a run of {steps} steps takes {whole_takes:?}; {kills} kills, {} runs", run + 1);
    assert!(workshop.checkpoints("whole").len() <= 2, "the last checkpoint and the best");
}

#[test]
fn a_release_build_has_no_failpoints() {
    if cfg!(debug_assertions) {
        return;
    }
    let workshop = workshop();
    let output = workshop.command("run", &[]).env("MEDTUNE_FAILPOINT", "run.step").output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}
