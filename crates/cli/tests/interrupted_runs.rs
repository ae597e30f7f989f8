//! What a training run does when a person, the system or another run comes in between.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::runs::{Workshop, metrics};
use common::{stderr, text};

/// Long enough for any machine; a test that gets here has failed.
const DEADLINE: Duration = Duration::from_secs(50);

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let clock = Instant::now();
    while !holds() {
        assert!(clock.elapsed() < DEADLINE, "still not: {what}");
        sleep(Duration::from_millis(2));
    }
}

fn send(child: &Child, signal: &str) {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// A run that is stopped by `signal` after a few steps, far from its next regular checkpoint.
fn stopped_by(workshop: &Workshop, run: &str, signal: &str) -> Output {
    let child = workshop.spawn(run, &[]);
    wait_until("three steps", || metrics(&workshop.path(run)).len() >= 3);
    send(&child, signal);
    let clock = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert!(clock.elapsed() < Duration::from_secs(10), "stopping took {:?}", clock.elapsed());
    output
}

#[cfg(unix)]
#[test]
fn a_signal_saves_the_state_and_the_run_goes_on_to_the_same_bytes() {
    let workshop = Workshop::new("num_epochs: 60\nsave_steps: 100000\neval_steps: 7");
    workshop.finish("whole", &[]);
    for (signal, status) in [("-INT", 130), ("-TERM", 143)] {
        let run = format!("stopped{signal}");
        let output = stopped_by(&workshop, &run, signal);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(said.contains("error: stopped after step ") && said.contains("holds the state"), "{said}");
        assert!(said.contains("hint: the same command with `--resume` goes on from there"), "{said}");
        assert_eq!(workshop.checkpoints(&run).len(), 1);
        workshop.finish(&run, &[]);
        assert_eq!(workshop.result(&run), workshop.result("whole"), "{signal}");
    }
}

#[cfg(unix)]
#[test]
fn a_second_signal_ends_the_program_at_once() {
    if !cfg!(debug_assertions) {
        return; // Only there can the first be made to take long.
    }
    let workshop = Workshop::new("num_epochs: 60\nsave_steps: 100000");
    let child =
        workshop.command("run", &[]).env("MEDTUNE_FAILPOINT", "checkpoint.begin:1:pause").spawn().unwrap();
    wait_until("three steps", || metrics(&workshop.path("run")).len() >= 3);
    send(&child, "-INT");
    // The first signal is known to have arrived when no further step is made.
    let steps = || metrics(&workshop.path("run")).len();
    wait_until("no further step", || {
        let before = steps();
        sleep(Duration::from_millis(300));
        steps() == before
    });
    send(&child, "-INT");
    let clock = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(clock.elapsed() < Duration::from_secs(5), "{:?}", clock.elapsed());
    assert_eq!(workshop.checkpoints("run"), [""; 0]);
}

#[cfg(unix)]
#[test]
fn a_second_run_in_the_folder_is_refused_and_the_lock_dies_with_the_first() {
    if !cfg!(debug_assertions) {
        return; // Only there can a run be held.
    }
    let workshop = Workshop::new("num_epochs: 2");
    let mut first =
        workshop.command("run", &[]).env("MEDTUNE_FAILPOINT", "run.step:1:pause").spawn().unwrap();
    wait_until("a step", || !metrics(&workshop.path("run")).is_empty());
    let said = workshop.fail("run", &[], 1);
    assert!(said.contains(&format!("is in use by process {}", first.id())), "{said}");
    assert!(said.contains("hint: wait for it to end, or name another folder"), "{said}");
    first.kill().unwrap();
    first.wait().unwrap();
    workshop.finish("run", &[]);
}

#[test]
fn a_resume_with_another_recipe_or_other_data_is_refused_with_what_differs() {
    let workshop = Workshop::new("num_epochs: 2");
    workshop.finish("run", &[]);
    let kept = |file: &str| fs::read(workshop.path("run").join(file)).unwrap();
    let before = (kept("recipe.yaml"), kept("data/train.jsonl"), kept("manifest.json"));

    let said = workshop.fail("run", &["--set", "learning_rate=1e-4", "--set", "split.seed=3"], 1);
    assert!(said.contains("learning_rate: 0.005 in the checkpoint, 0.0001 now"), "{said}");
    assert!(said.contains("split.seed: 42 in the checkpoint, 3 now"), "{said}");
    assert!(said.contains("hint: undo the change"), "{said}");

    let rows = fs::read_to_string(workshop.path("rows.csv")).unwrap();
    fs::write(workshop.path("rows.csv"), format!("{rows}What is lupus?,An illness.,lupus\n")).unwrap();
    let said = workshop.fail("run", &[], 1);
    assert!(said.contains("data file 1: other content"), "{said}");
    fs::write(workshop.path("rows.csv"), &rows).unwrap();

    fs::write(workshop.path("base/adapter_config.json"), "{}").unwrap();
    let said = workshop.fail("run", &[], 1);
    assert!(said.contains("base model adapter_config.json: not in the checkpoint"), "{said}");
    fs::remove_file(workshop.path("base/adapter_config.json")).unwrap();
    let after = (kept("recipe.yaml"), kept("data/train.jsonl"), kept("manifest.json"));
    assert!(before == after, "a refused resume writes nothing");

    // What decides nothing may change, and so may the folder of the data.
    fs::create_dir(workshop.path("moved")).unwrap();
    fs::write(workshop.path("moved/rows.csv"), rows).unwrap();
    let moved = format!("datasets.0.path={}", text(&workshop.path("moved/rows.csv")));
    workshop.finish(
        "run",
        &["--set", &moved, "--set", "save_total_limit=7", "--set", "evaluation.max_examples=2"],
    );
}

/// A run that was killed after its first checkpoint, with moments of some 80 kB.
fn with_one_checkpoint() -> Workshop {
    let workshop = Workshop::new("num_epochs: 3\nsave_steps: 2\nlora_r: 20");
    let killed = workshop.command("run", &[]).env("MEDTUNE_FAILPOINT", "checkpoint.end:1").output().unwrap();
    assert_eq!(killed.status.code(), None, "{}", stderr(&killed));
    assert_eq!(workshop.checkpoints("run"), ["step-000002"]);
    workshop
}

#[cfg(unix)]
#[test]
fn a_disk_without_room_is_a_clear_error_and_leaves_the_last_checkpoint() {
    if !cfg!(debug_assertions) {
        return;
    }
    let workshop = with_one_checkpoint();
    let command = workshop.command("run", &[]);
    // No file may grow beyond 64 KiB: the system refuses the write as it would on a full disk.
    let limited = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 128; exec \"$@\"", "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .env("MEDTUNE_THREADS", "1")
        .output()
        .unwrap();
    let said = stderr(&limited);
    assert_eq!(limited.status.code(), Some(1), "{said}");
    assert!(said.contains("optimizer.safetensors: File too large"), "{said}");
    assert!(said.contains("hint: the checkpoints that were there are whole"), "{said}");
    assert_eq!(workshop.checkpoints("run"), ["step-000002"]);
    workshop.finish("whole", &[]);
    workshop.finish("run", &[]);
    assert_eq!(workshop.result("run"), workshop.result("whole"));
}

#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_written_is_a_clear_error() {
    use std::os::unix::fs::PermissionsExt;
    if !cfg!(debug_assertions) {
        return;
    }
    let workshop = with_one_checkpoint();
    let checkpoints = workshop.path("run").join("checkpoints");
    let allow = |mode| fs::set_permissions(&checkpoints, fs::Permissions::from_mode(mode)).unwrap();
    allow(0o555);
    if fs::write(checkpoints.join("probe"), "").is_ok() {
        eprintln!("NOT TESTED: this user may write anywhere");
        return;
    }
    let said = workshop.fail("run", &[], 1);
    assert!(said.contains("checkpoints") && said.contains("Permission denied"), "{said}");
    assert!(said.contains("hint: the checkpoints that were there are whole"), "{said}");
    allow(0o755);
    workshop.finish("run", &[]);
}

#[test]
fn a_run_folder_that_cannot_be_made_is_named() {
    let workshop = Workshop::new("num_epochs: 1");
    fs::write(workshop.path("file"), "").unwrap();
    let said = workshop.fail(text(Path::new("file/run")), &[], 1);
    assert!(said.contains("file/run: Not a directory"), "{said}");
}
