//! Downloads: the one verb that has an address of its own, in builds that can.

mod common;
#[cfg(feature = "hub")]
#[path = "../../formats/tests/hub_server/mod.rs"]
mod hub_server;

use common::refused;

#[test]
#[cfg(not(feature = "hub"))]
fn a_build_without_downloads_says_so() {
    let error = refused(&["pull", "org/name"]);
    assert!(error.contains("without downloads") && error.contains("--features hub"), "{error}");
}

#[test]
fn a_missing_model_is_not_downloaded_but_the_verb_is_named() {
    let error = refused(&["ask", "What is gout?", "--model", "org/missing"]);
    assert!(error.contains("medtune pull org/missing`"), "{error}");
}

/// `cargo tree` of the default build.
fn cargo_tree(arguments: &[&str]) -> String {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--package", "medtune", "--locked", "--offline"])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What is linked into the default build, as cargo sees it: it can be called (`serve`), and there is one client, which only
/// those crates have that are given an address by a person: a converter of documents, a model behind an endpoint.
#[test]
fn the_default_build_has_one_client_which_only_speaks_to_named_addresses() {
    let tree = cargo_tree(&["--edges", "normal", "--prefix", "none"]);
    assert!(tree.starts_with("medtune "), "{tree}");
    for client in ["reqwest", "isahc", "awc", "hyper-rustls", "hyper-tls", "native-tls", "openssl", "curl"] {
        let found = tree.lines().find(|line| line.split(' ').next() == Some(client));
        assert_eq!(found, None);
    }
    let callers = cargo_tree(&["--edges", "normal", "--invert", "ureq", "--depth", "1", "--prefix", "none"]);
    let callers: Vec<&str> = callers.lines().skip(1).filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(callers, ["corpus", "endpoint"]);
    let features = cargo_tree(&["--edges", "features,normal", "--invert", "hyper"]);
    assert!(
        features.contains("hyper feature \"server\"") && !features.contains("hyper feature \"client\""),
        "{features}"
    );
}

#[cfg(feature = "hub")]
mod with_a_hub {
    use std::fs;
    use std::path::Path;

    use assert_cmd::Command;

    use super::common::{medtune, stderr, stdout, text};
    use super::hub_server::{Reply, Server};

    const TOKEN: &str = "hf_thisIsASecret";
    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
    /// printf hello | sha256sum
    const SHA256: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    /// printf hello | git hash-object --stdin
    const GIT: &str = "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0";

    /// A Hub whose files all say hello.
    fn hub(names: &'static [&'static str]) -> Server {
        Server::start(move |request| {
            if request.path.starts_with("/api/") {
                let files: Vec<_> = names.iter().map(|name| serde_json::json!({"rfilename": name})).collect();
                return Reply::new(200, serde_json::json!({"sha": COMMIT, "siblings": files}).to_string());
            }
            let hash = if request.path.ends_with("safetensors") { SHA256 } else { GIT };
            Reply::new(200, "hello").with("etag", format!("\"{hash}\""))
        })
    }

    fn pull(server: &Server, home: &Path, arguments: &[&str]) -> Command {
        let mut command = medtune();
        command.env_remove("HF_HUB_CACHE").env_remove("HF_HUB_OFFLINE").env("HF_HOME", home);
        command.env("HF_ENDPOINT", server.address()).env("HF_TOKEN", TOKEN).arg("pull").args(arguments);
        command
    }

    #[test]
    fn a_model_is_pulled_and_the_token_is_never_shown() {
        let home = tempfile::tempdir().unwrap();
        let server = hub(&["config.json", "model.safetensors", "model.gguf"]);
        let output = pull(&server, home.path(), &["org/tiny"]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let snapshot = home.path().join("hub/models--org--tiny/snapshots").join(COMMIT);
        assert!(stdout(&output).starts_with(text(&snapshot)), "{}", stdout(&output));
        assert!(stdout(&output).contains("1 other file stayed there"), "{}", stdout(&output));
        assert_eq!(fs::read_to_string(snapshot.join("model.safetensors")).unwrap(), "hello");

        let again = pull(&server, home.path(), &["org/tiny", "--json"]).output().unwrap();
        let document: serde_json::Value = serde_json::from_slice(&again.stdout).unwrap();
        assert_eq!((&document["downloaded_bytes"], &document["bytes"]), (&0.into(), &10.into()));

        // The folder is found by its name; that it holds no model is another matter.
        let mut inspect = medtune();
        inspect.env_remove("HF_HUB_CACHE").env("HF_HOME", home.path());
        let output = inspect.args(["inspect", "model", "--model", "org/tiny"]).output().unwrap();
        assert!(stderr(&output).contains(text(&snapshot)), "{}", stderr(&output));

        let all = [stdout(&output), stderr(&output)].concat();
        assert!(!all.contains(TOKEN));
        assert!(server.requests().iter().all(|request| request.header("authorization").is_some()));
    }

    #[test]
    fn a_data_set_is_named_as_a_recipe_names_it() {
        let home = tempfile::tempdir().unwrap();
        let server = hub(&["README.md", "data/train.csv"]);
        let output = pull(&server, home.path(), &["org/rows", "--dataset", "--revision", "refs/pr/1"])
            .output()
            .unwrap();
        let name = "hf://datasets/org/rows@refs%2Fpr%2F1/data/train.csv";
        assert!(stdout(&output).contains(&format!("- path: {name}\n")), "{}", stdout(&output));
        let mut prepare = medtune();
        prepare.env_remove("HF_HUB_CACHE").env("HF_HOME", home.path());
        let out = home.path().join("out");
        let output = prepare.args(["prepare", name, "--out", text(&out)]).output().unwrap();
        assert!(stderr(&output).contains("data/train.csv"), "the file is found: {}", stderr(&output));
    }

    #[test]
    fn what_cannot_be_pulled_is_the_persons_input() {
        let home = tempfile::tempdir().unwrap();
        let server = hub(&["config.json", "pytorch_model.bin"]);
        let refused = |arguments: &[&str], variable: (&str, &str)| {
            let output = pull(&server, home.path(), arguments).env(variable.0, variable.1).output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", stderr(&output));
            assert!(!stderr(&output).contains(TOKEN) && output.stdout.is_empty());
            stderr(&output)
        };
        let nothing = ("NOTHING", "");
        assert!(refused(&["org/tiny"], nothing).contains("no weights in safetensors; it has config.json"));
        assert!(refused(&["org/tiny", "--file", "*.gguf"], nothing).contains("no file fits \"*.gguf\""));
        assert!(refused(&["org/tiny"], ("HF_HUB_OFFLINE", "1")).contains("hint: unset HF_HUB_OFFLINE"));
        assert!(refused(&["../tiny"], nothing).contains("cannot be the name"));
        assert!(refused(&["org/tiny@a", "--revision", "b"], nothing).contains("--revision another"));
        assert!(refused(&["org/tiny"], ("HF_ENDPOINT", "huggingface.co")).contains("HF_ENDPOINT"));
        let closed = refused(&["org/tiny"], ("HF_ENDPOINT", "http://127.0.0.1:9"));
        assert!(closed.contains("127.0.0.1:9") && closed.contains("hint: is there a network?"), "{closed}");
    }
}
