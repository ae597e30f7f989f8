//! `medtune serve` as a process: what it prints, refuses, and how it ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use model::{ChatTemplate, Golden, Tokenizer};

/// Stands for a patient's text; it must not come back from anywhere but the answer itself.
const CANARY: &str = "xkcanaryqz";
const KEY: &str = "key-canary-0123456789";

fn medtune() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_medtune"));
    command.env_remove("MEDTUNE_API_KEY").env("MEDTUNE_THREADS", "1");
    command
}

fn model() -> String {
    format!("{}/../../models/base", env!("CARGO_MANIFEST_DIR"))
}

/// A server on a free port, ready.
struct Running {
    process: Child,
    stderr: BufReader<std::process::ChildStderr>,
    address: String,
    said: String,
}

impl Running {
    fn start(args: &[&str]) -> Self {
        Self::start_with(&model(), args)
    }

    fn start_with(model: &str, args: &[&str]) -> Self {
        let mut process = medtune()
            .args(["serve", model, "--bind", "127.0.0.1:0", "--slots", "2"])
            .args(args)
            .env("MEDTUNE_API_KEY", KEY)
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(process.stderr.take().unwrap());
        let mut said = String::new();
        stderr.read_line(&mut said).unwrap();
        let address = said.split("http://").nth(1).and_then(|rest| rest.split(' ').next());
        let address = address.unwrap_or_else(|| panic!("{said}")).to_owned();
        Running { process, stderr, address, said }
    }

    fn send(&self, method: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {KEY}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    }

    /// Asks it to end; all that it printed, and its status.
    fn end(mut self) -> (String, Option<i32>) {
        let killed = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status().unwrap();
        assert!(killed.success());
        self.stderr.read_to_string(&mut self.said).unwrap();
        self.process.stdout.take().unwrap().read_to_string(&mut self.said).unwrap();
        (std::mem::take(&mut self.said), self.process.wait().unwrap().code())
    }
}

#[test]
fn texts_and_keys_never_come_back_in_logs_errors_or_counters() {
    let server = Running::start(&["--access-log"]);
    let mut errors = Vec::new();
    let question = format!("What is {CANARY}?");
    let answered = [
        server.send("POST", "/ask", &format!(r#"{{"question": "{question}", "max_tokens": 3}}"#)),
        server.send("GET", &format!("/ask?prompt={CANARY}&seed=1"), ""),
        server.send(
            "POST",
            "/api/generate",
            &format!(r#"{{"prompt": "{question}", "options": {{"num_predict": 3}}}}"#),
        ),
    ];
    assert!(answered.iter().all(|response| response.starts_with("HTTP/1.1 200")), "{answered:?}");
    for (path, body) in [
        ("/ask", format!(r#"{{"question": "{question}"#)),
        ("/ask", format!(r#"{{"question": "{question}", "seed": "{CANARY}"}}"#)),
        ("/ask", format!(r#"{{"question": "{question}", "model": "{CANARY}"}}"#)),
        ("/ask", format!(r#"{{"question": "a", "options": {{"{CANARY}": "x", "B": "y"}}}}"#)),
        ("/ask", format!(r#"{{"question": "a", "options": "{CANARY}"}}"#)),
        ("/v1/chat/completions", format!(r#"{{"messages": [{{"role": "{CANARY}", "content": "a"}}]}}"#)),
        (
            "/v1/chat/completions",
            format!(r#"{{"messages": [{{"role": "user", "content": {{"a": "{CANARY}"}}}}]}}"#),
        ),
        ("/v1/chat/completions", format!(r#"{{"messages": "{CANARY}"}}"#)),
        ("/v1/completions", format!(r#"{{"prompt": "{}"}}"#, CANARY.repeat(3000))),
        ("/v1/completions", format!(r#"{{"prompt": "a", "stop": "{}"}}"#, CANARY.repeat(10))),
        ("/api/chat", format!(r#"{{"messages": [{{"role": "{CANARY}"}}]}}"#)),
        ("/api/generate", format!(r#"{{"prompt": "a", "format": "{CANARY}"}}"#)),
    ] {
        let response = server.send("POST", path, &body);
        assert!(response.starts_with("HTTP/1.1 4"), "{path} {body}: {response}");
        errors.push(response);
    }
    errors.push(server.send("GET", &format!("/{CANARY}"), ""));
    errors.push(server.send("GET", &format!("/v1/models/{CANARY}"), ""));
    errors.push(server.send("GET", "/metrics", ""));
    let (said, status) = server.end();
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("POST /ask 200"), "{said}");
    errors.push(said);
    for text in errors {
        let text = text.to_ascii_lowercase();
        assert!(!text.contains(CANARY) && !text.contains(KEY), "{text}");
    }
}

#[test]
fn nobody_from_outside_is_answered_without_a_key() {
    for bind in ["0.0.0.0:0", "[::]:0"] {
        let output = medtune().args(["serve", &model(), "--bind", bind]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{bind}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("an API key is needed") && said.contains("--api-key-file"), "{said}");
    }
}

#[test]
fn bad_addresses_keys_and_models_end_it_with_one() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let short = folder.path().join("key");
    std::fs::write(&short, "short-secret\n").unwrap();
    let short = short.display().to_string();
    for (args, reason) in [
        (vec!["--bind", taken.as_str()], "cannot listen"),
        (vec!["--bind", "localhost"], "invalid"),
        (vec!["--bind", "127.0.0.1:99999"], "invalid"),
        (vec!["--api-key-file", short.as_str()], "at least 16"),
        (vec!["--api-key-file", "absent"], "absent"),
        (vec!["--context", "1000000"], "the model reads"),
    ] {
        let output = medtune().args(["serve", &model()]).args(&args).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        assert!(said.contains(reason) && !said.contains("secret"), "{args:?}: {said}");
    }
    let output = medtune().args(["serve", "absent/absent"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_second_server_is_refused_and_the_first_serves_on() {
    let first = Running::start(&["--name", "first"]);
    let output = medtune().args(["serve", &model(), "--bind", &first.address]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(first.send("GET", "/v1/models", "").contains("\"first\""));
    std::thread::sleep(Duration::from_millis(10));
    assert_eq!(first.end().1, Some(0));
}

#[test]
fn what_is_not_what_was_trained_is_not_served() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(format!("{}/{name}", model()), folder.path().join(name)).unwrap();
    }
    let place = folder.path().display().to_string();
    let report = |passed: bool| {
        let reasons = if passed { "" } else { "\"golden conversation 0: id 3\"" };
        let text = format!(
            r#"{{"passed": {passed}, "forms": [{{"name": "as trained", "passed": {passed}, "reasons": [{reasons}]}}]}}"#
        );
        std::fs::write(folder.path().join("verify.json"), text).unwrap();
    };
    report(false);
    let output = medtune().args(["serve", &place, "--bind", "127.0.0.1:0"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("golden conversation 0") && said.contains("--allow-unverified"), "{said}");
    let allowed = Running::start_with(&place, &["--allow-unverified"]);
    assert_eq!(allowed.end().1, Some(0));
    report(true);
    assert_eq!(Running::start_with(&place, &[]).end().1, Some(0));

    // A character of the template has changed since the ids were written down.
    std::fs::remove_file(folder.path().join("verify.json")).unwrap();
    let text = (Tokenizer::from_dir(&place).unwrap(), ChatTemplate::from_dir(&place).unwrap());
    Golden::record(&text.0, &text.1).unwrap().write(folder.path()).unwrap();
    assert_eq!(Running::start_with(&place, &[]).end().1, Some(0));
    let settings = folder.path().join("tokenizer_config.json");
    let before = std::fs::read_to_string(&settings).unwrap();
    let after = before.replacen("<|im_start|>assistant", "<|im_start|> assistant", 1);
    assert_ne!(before, after);
    std::fs::write(&settings, after).unwrap();
    let output = medtune().args(["serve", &place, "--bind", "127.0.0.1:0"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("golden conversation"), "{said}");
}
