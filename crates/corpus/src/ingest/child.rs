//! One document in a process of its own: what goes wrong there ends there.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::limits::Limits;
use super::parse::{Parsed, Task, parse};

/// A longer answer is none.
const LONGEST_ANSWER: u64 = 1 << 30;
/// So much of what a child says of its end is kept.
const LAST_WORDS: usize = 4096;
/// How often a child is looked at, at first and at most.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_millis(20);

/// How to start the process that reads a document: the program itself, with the verb that calls [`serve`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildCommand {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// Why a document was skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The file: unreadable, unknown, malformed or without text.
    File,
    /// It took more memory than it may.
    Memory,
    /// It took more time than it may.
    Time,
    /// Its reader crashed.
    Crash,
}

/// A document that was skipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The kind of reason.
    pub cause: Cause,
    /// The reason, for a person.
    pub error: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Request {
    limits: Limits,
    task: Task,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Parsed(Box<Parsed>),
    Failed(String),
}

/// The child's side: reads one request from `input`, binds this process to its limits, and writes the answer.
///
/// # Errors
/// The request is none, the system refuses a limit, or the answer cannot be written. What is wrong with a document is
/// part of the answer.
pub fn serve(input: impl Read, mut output: impl Write) -> io::Result<()> {
    let request: Request = serde_json::from_reader(input)?;
    request.limits.bind_this_process()?;
    let answer = match parse(&request.task) {
        Ok(parsed) => Answer::Parsed(Box::new(parsed)),
        Err(error) => Answer::Failed(error.to_string()),
    };
    let mut text = io::BufWriter::new(&mut output);
    serde_json::to_writer(&mut text, &answer)?;
    text.flush()
}

/// The parent's side: has a child carry out a task. `scratch` is where the child may write.
pub(super) fn run(
    command: &ChildCommand,
    task: &Task,
    limits: Limits,
    scratch: &Path,
) -> Result<Parsed, Failure> {
    let crash = |error: String| Failure { cause: Cause::Crash, error };
    let request = Request { limits, task: task.clone() };
    let request = serde_json::to_vec(&request).map_err(|error| crash(error.to_string()))?;
    let mut child =
        start(command, scratch).map_err(|error| crash(format!("{}: {error}", command.program.display())))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (ended, answer, last_words) = thread::scope(|scope| {
        // Its end is told by its exit status; a pipe that breaks is part of that.
        scope.spawn(move || stdin.map(|mut pipe| pipe.write_all(&request)));
        let answer =
            scope.spawn(move || stdout.map(|pipe| read_all(pipe, LONGEST_ANSWER)).unwrap_or_default());
        let words = scope.spawn(move || stderr.map(read_last).unwrap_or_default());
        let ended = wait(&mut child, Duration::from_secs(limits.seconds));
        (ended, answer.join().unwrap_or_default(), words.join().unwrap_or_default())
    });
    match ended {
        Ok(Some(status)) if status.success() => match serde_json::from_slice(&answer) {
            Ok(Answer::Parsed(parsed)) => Ok(*parsed),
            Ok(Answer::Failed(error)) => Err(Failure { cause: Cause::File, error }),
            Err(error) => Err(crash(format!("the reader's answer is broken: {error}"))),
        },
        Ok(Some(status)) => Err(why(status, &last_words, limits)),
        Ok(None) => Err(out_of_time(limits)),
        Err(error) => Err(crash(error.to_string())),
    }
}

fn start(command: &ChildCommand, scratch: &Path) -> io::Result<Child> {
    let mut process = Command::new(&command.program);
    process.args(&command.arguments).env("TMPDIR", scratch).env("RUST_BACKTRACE", "0");
    process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A group of its own, so that the commands that it starts end with it.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut process, 0);
    process.spawn()
}

/// The child's end, or nothing where it had to be ended after `time`.
fn wait(child: &mut Child, time: Duration) -> io::Result<Option<ExitStatus>> {
    let (deadline, mut look) = (Instant::now() + time, FIRST_LOOK);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            end(child)?;
            return Ok(None);
        }
        thread::sleep(look);
        look = (2 * look).min(LAST_LOOK);
    }
}

fn end(child: &mut Child) -> io::Result<()> {
    #[cfg(unix)]
    if let Some(group) = rustix::process::Pid::from_raw(child.id() as i32) {
        // Its members may be gone already.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    // It may have ended in the meantime.
    let _ = child.kill();
    child.wait().map(|_| ())
}

fn read_all(pipe: impl Read, longest: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    match pipe.take(longest).read_to_end(&mut bytes) {
        Ok(_) => bytes,
        Err(_) => Vec::new(),
    }
}

/// The end of what a child says.
fn read_last(mut pipe: impl Read) -> String {
    let (mut kept, mut piece) = (Vec::new(), [0; LAST_WORDS]);
    while let Ok(count @ 1..) = pipe.read(&mut piece) {
        kept.extend_from_slice(&piece[..count]);
        kept.drain(..kept.len().saturating_sub(LAST_WORDS));
    }
    String::from_utf8_lossy(&kept).into_owned()
}

fn out_of_time(limits: Limits) -> Failure {
    Failure { cause: Cause::Time, error: format!("not read within {} s", limits.seconds) }
}

fn out_of_memory(limits: Limits) -> Failure {
    Failure { cause: Cause::Memory, error: format!("needs more than {} MiB of memory", limits.memory >> 20) }
}

/// What a child died of.
fn why(status: ExitStatus, last_words: &str, limits: Limits) -> Failure {
    if last_words.contains("memory allocation of") {
        return out_of_memory(limits);
    }
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        if signal == rustix::process::Signal::XCPU.as_raw() {
            return out_of_time(limits);
        }
        let stack = last_words.contains("overflowed its stack");
        let what =
            if stack { "ran out of stack".to_owned() } else { format!("was ended by signal {signal}") };
        return Failure { cause: Cause::Crash, error: format!("its reader {what}") };
    }
    let said = last_words
        .lines()
        .rfind(|line| !line.trim().is_empty() && !line.starts_with("note:"))
        .unwrap_or_default();
    Failure { cause: Cause::Crash, error: format!("its reader crashed ({status}): {said}") }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::ingest::{Part, Source};
    use crate::phi::Mode;

    fn task() -> Task {
        let part = Part { path: "/nowhere/a.txt".into(), pages: None };
        let source = Source { name: "a".into(), parts: vec![part] };
        Task { source, phi: Mode::Report, languages: "eng".into(), seconds_for_pictures: 1, converted: None }
    }

    /// A child that does what a shell is told.
    fn shell(script: &str, seconds: u64) -> Failure {
        let command = ChildCommand { program: "/bin/sh".into(), arguments: vec!["-c".into(), script.into()] };
        run(&command, &task(), Limits { memory: 1 << 30, seconds }, Path::new("/tmp")).unwrap_err()
    }

    #[test]
    fn a_child_that_hangs_is_ended_with_all_that_it_started() {
        let started = Instant::now();
        let failure = shell("sleep 60 & sleep 60", 1);
        assert_eq!((failure.cause, failure.error.as_str()), (Cause::Time, "not read within 1 s"));
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_child_that_dies_is_reported_with_what_it_died_of() {
        let failure = shell("kill -SEGV $$", 9);
        assert_eq!(
            (failure.cause, failure.error.as_str()),
            (Cause::Crash, "its reader was ended by signal 11")
        );
        assert_eq!(shell("kill -XCPU $$", 9).cause, Cause::Time);
        assert_eq!(
            shell("echo 'memory allocation of 5 bytes failed' >&2; kill -ABRT $$", 9).cause,
            Cause::Memory
        );
        let failure = shell("echo 'thread main panicked: no luck' >&2; exit 101", 9);
        assert!(failure.error.ends_with("thread main panicked: no luck"), "{}", failure.error);
    }

    #[test]
    fn a_child_that_talks_nonsense_or_does_not_start_is_reported() {
        assert!(shell("cat > /dev/null; echo nonsense", 9).error.contains("answer is broken"));
        let command = ChildCommand { program: "/nowhere/medtune".into(), arguments: Vec::new() };
        let failure = run(&command, &task(), Limits::default(), Path::new("/tmp")).unwrap_err();
        assert!(failure.error.starts_with("/nowhere/medtune: "), "{}", failure.error);
    }

    #[test]
    fn a_request_that_is_none_is_an_error() {
        assert!(serve(&b"{}"[..], Vec::new()).is_err());
    }
}
