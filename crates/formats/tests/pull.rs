//! Downloads from a Hub on this machine: what is written, what is refused, and where the token goes.

mod hub_server;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use formats::hub::pull::{Plan, PullError, Settings, Wanted};
use formats::hub::{self, Kind, Repository};
use formats::safetensors::write;
use formats::{Checkpoint, Dtype, TensorBytes};
use hub_server::{Reply, Request, Server};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use tempfile::TempDir;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const TOKEN: &str = "hf_thisIsASecret";

/// A file of the Hub.
#[derive(Clone)]
struct File {
    path: &'static str,
    bytes: Vec<u8>,
    /// Large files lie on another server and are named by SHA-256.
    large: bool,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl File {
    fn small(path: &'static str, text: &str) -> Self {
        File { path, bytes: text.as_bytes().to_vec(), large: false }
    }

    fn large(path: &'static str, bytes: Vec<u8>) -> Self {
        File { path, bytes, large: true }
    }

    fn hash(&self) -> String {
        if self.large {
            return hex(digest(&SHA256, &self.bytes).as_ref());
        }
        let mut blob = format!("blob {}\0", self.bytes.len()).into_bytes();
        blob.extend(&self.bytes);
        hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, &blob).as_ref())
    }
}

/// A model that can be opened.
fn tiny_model() -> Vec<File> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.safetensors");
    let numbers: Vec<u8> = (0..40_000u32).flat_map(|n| (n as f32).to_le_bytes()).collect();
    let tensor = TensorBytes { name: "w", dtype: Dtype::F32, shape: &[200, 200], bytes: &numbers };
    write(&path, &[tensor], &BTreeMap::new()).expect("written");
    vec![
        File::small("config.json", r#"{"model_type": "llama"}"#),
        File::small("additional_chat_templates/rag.jinja", "{{ x }}"),
        File::small("empty.txt", ""),
        File::large("model.safetensors", fs::read(path).expect("read")),
        File::large("pytorch_model.bin", b"pickle".to_vec()),
    ]
}

/// The list of files as the Hub gives it.
fn listing(names: &[&str]) -> Reply {
    let siblings: Vec<_> = names.iter().map(|name| serde_json::json!({"rfilename": name})).collect();
    Reply::new(200, serde_json::json!({"sha": COMMIT, "siblings": siblings, "gated": false}).to_string())
}

/// Large files: whole, or from a byte on.
fn content(files: &[File], request: &Request) -> Reply {
    let file =
        files.iter().find(|file| request.path == format!("/{}?signature=s", file.path)).expect("a file");
    let (from, length) = (request.from(), file.bytes.len());
    match from {
        0 => Reply::new(200, file.bytes.clone()),
        _ => Reply::new(206, &file.bytes[from..])
            .with("content-range", format!("bytes {from}-{}/{length}", length - 1)),
    }
}

/// A Hub of these files, whose large ones lie at `storage`.
fn serve(files: Vec<File>, storage: &Server) -> Server {
    let storage = storage.address().to_owned();
    Server::start(move |request| {
        if request.path.starts_with("/api/") {
            return match request.path.as_str() {
                "/api/models/org/tiny/revision/main" | "/api/datasets/org/tiny/revision/refs%2Fpr%2F1" => {
                    listing(&files.iter().map(|file| file.path).collect::<Vec<_>>())
                }
                _ => Reply::new(404, "").with("x-error-code", "RevisionNotFound"),
            };
        }
        let path = request.path.trim_start_matches("/datasets");
        let path = path.strip_prefix(&format!("/org/tiny/resolve/{COMMIT}/")).expect("a file of the commit");
        let file = files.iter().find(|file| file.path == path).expect("a file that was listed");
        if file.large {
            return Reply::new(302, "moved")
                .with("location", format!("{storage}/{}?signature=s", file.path))
                .with("etag", "\"of-the-redirect\"")
                .with("x-linked-etag", format!("\"{}\"", file.hash()))
                .with("x-linked-size", file.bytes.len().to_string());
        }
        Reply::new(200, file.bytes.clone()).with("etag", format!("\"{}\"", file.hash()))
    })
}

/// A person's folder of Hugging Face, and a Hub.
struct Place {
    home: TempDir,
    settings: Settings,
}

impl Place {
    fn new(server: &Server) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let variables = [
            ("HF_HOME", home.path().to_owned()),
            ("HF_ENDPOINT", PathBuf::from(server.address())),
            ("HF_TOKEN", PathBuf::from(TOKEN)),
        ];
        let mut settings = Settings::read(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone())
        })
        .expect("settings");
        settings.pause = Duration::from_millis(1);
        Place { home, settings }
    }

    fn cache(&self) -> PathBuf {
        self.home.path().join("hub")
    }

    fn plan(&self, kind: Kind, revision: &str, patterns: &[&str]) -> Result<Plan, PullError> {
        let repository = Repository::new(kind, "org/tiny").expect("a name");
        let patterns = patterns.iter().map(ToString::to_string).collect();
        Plan::new(&self.settings, Wanted { repository, revision: revision.to_owned(), patterns })
    }

    fn pull(&self) -> Result<PathBuf, PullError> {
        self.plan(Kind::Model, "main", &[])?.download(&mut |_, _| {})
    }

    /// The error of a pull; no word of it is the token.
    fn refused(&self) -> PullError {
        let error = self.pull().expect_err("refused");
        let shown = format!("{error} {error:?} {:?} {:?}", error.hint(), self.settings);
        assert!(!shown.contains(TOKEN), "{shown}");
        error
    }

    /// All files, with their paths below the cache.
    fn files(&self) -> Vec<String> {
        fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                match entry.file_type().expect("a type").is_dir() {
                    true => walk(&entry.path(), files),
                    false => files.push(entry.path()),
                }
            }
        }
        let mut files = Vec::new();
        walk(self.home.path(), &mut files);
        let name = |path: &PathBuf| path.strip_prefix(self.cache()).expect("below").display().to_string();
        let mut names: Vec<String> = files.iter().map(name).collect();
        names.sort();
        names
    }
}

/// Storage that answers every request in order by one of these.
fn storage(answer: impl Fn(usize, &Request) -> Reply + Send + 'static) -> Server {
    let count = AtomicUsize::new(0);
    Server::start(move |request| answer(count.fetch_add(1, Ordering::Relaxed), request))
}

#[test]
fn a_model_is_pulled_and_then_found_without_a_network() {
    let files = tiny_model();
    let cdn = storage({
        let files = files.clone();
        move |_, request| content(&files, request)
    });
    let server = serve(files.clone(), &cdn);
    let place = Place::new(&server);
    let plan = place.plan(Kind::Model, "main", &[]).expect("a plan");
    assert_eq!(plan.missing_bytes(), plan.bytes());
    assert_eq!(plan.left_out, 1, "pickle stays there");
    let mut seen = Vec::new();
    let snapshot = plan.download(&mut |_, done| seen.push(done)).expect("pulled");
    assert!(seen.is_sorted() && seen.last() == Some(&plan.bytes()), "{seen:?}");

    assert_eq!(hub::resolve_in("org/tiny", Some(&place.cache())).expect("found"), snapshot);
    let checkpoint = Checkpoint::open(&snapshot).expect("it opens");
    assert_eq!(checkpoint.f32("w").expect("there")[39_999], 39_999.0);
    assert_eq!(
        fs::read_to_string(snapshot.join("config.json")).expect("there"),
        r#"{"model_type": "llama"}"#
    );

    // As huggingface_hub lays it out.
    let entry = place.cache().join("models--org--tiny");
    assert_eq!(fs::read_to_string(entry.join("refs/main")).expect("there"), COMMIT);
    assert_eq!(snapshot, entry.join("snapshots").join(COMMIT));
    #[cfg(unix)]
    for (path, up) in [("model.safetensors", "../../"), ("additional_chat_templates/rag.jinja", "../../../")]
    {
        let file = files.iter().find(|file| file.path == path).expect("there");
        let link = fs::read_link(snapshot.join(path)).expect("a link");
        assert_eq!(link, PathBuf::from(format!("{up}blobs/{}", file.hash())));
    }
    assert_eq!(place.files().len(), 4 + 4 + 1, "{:?}", place.files());

    let (asked, stored) = (server.requests().len(), cdn.requests().len());
    let again = place.plan(Kind::Model, "main", &[]).expect("a plan");
    assert_eq!(again.missing_bytes(), 0);
    again.download(&mut |_, _| {}).expect("pulled");
    assert_eq!(cdn.requests().len(), stored, "nothing comes twice");
    assert_eq!(server.requests().len(), asked + 1 + 4);
}

#[test]
fn the_token_goes_to_the_hub_and_to_nobody_else() {
    let files = tiny_model();
    let cdn = storage({
        let files = files.clone();
        move |_, request| content(&files, request)
    });
    let server = serve(files, &cdn);
    Place::new(&server).pull().expect("pulled");
    let bearer = format!("Bearer {TOKEN}");
    assert!(server.requests().iter().all(|request| request.header("authorization") == Some(&bearer)));
    assert!(!cdn.requests().is_empty());
    assert!(cdn.requests().iter().all(|request| request.header("authorization").is_none()));
}

#[test]
fn a_file_that_breaks_off_goes_on_where_it_stopped() {
    let files = tiny_model();
    let cdn = storage({
        let files = files.clone();
        move |count, request| match count {
            0 => content(&files, request).cut_after(100_000),
            1 => Reply::new(503, ""),
            2 => content(&files, request).cut_after(20_000),
            _ => content(&files, request),
        }
    });
    let place = Place::new(&serve(files, &cdn));
    let snapshot = place.pull().expect("pulled");
    let asked: Vec<usize> = cdn.requests().iter().map(Request::from).collect();
    assert_eq!(asked, [0, 100_000, 100_000, 120_000]);
    assert!(Checkpoint::open(snapshot).is_ok());
    assert!(!place.files().iter().any(|file| file.contains("incomplete")), "{:?}", place.files());
}

#[test]
fn a_pull_that_failed_is_taken_up_by_the_next_one() {
    let files = tiny_model();
    let length = files[3].bytes.len();
    // Sends a part once and then nothing, until the sixth request.
    let cdn = storage({
        let files = files.clone();
        move |count, request| match count {
            0 => content(&files, request).cut_after(100_000),
            1..=5 => content(&files, request).cut_after(0),
            _ => content(&files, request),
        }
    });
    let place = Place::new(&serve(files, &cdn));
    let error = place.refused();
    let PullError::Incomplete { got, expected, .. } = &error else { panic!("{error}") };
    assert_eq!((*got, *expected), (100_000, length as u64));
    assert!(error.hint().expect("a hint").contains("goes on where it stopped"));
    assert!(hub::resolve_in("org/tiny", Some(&place.cache())).is_err(), "half a model is no model");
    let snapshot = place.pull().expect("pulled");
    assert_eq!(cdn.requests().last().expect("one").from(), 100_000);
    assert!(Checkpoint::open(snapshot).is_ok());
}

#[test]
fn a_server_without_ranges_sends_everything_again() {
    let files = tiny_model();
    let whole = files[3].bytes.clone();
    let cdn = storage(move |count, _| {
        let reply = Reply::new(200, whole.clone());
        if count == 0 { reply.cut_after(1000) } else { reply }
    });
    let place = Place::new(&serve(files, &cdn));
    assert!(Checkpoint::open(place.pull().expect("pulled")).is_ok());
    assert_eq!(cdn.requests()[1].from(), 1000);
}

#[test]
fn a_wrong_content_is_refused_and_nothing_of_it_stays() {
    let files = tiny_model();
    for large in [true, false] {
        let changed = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            bytes[0] ^= 1;
            bytes
        };
        let cdn = storage({
            let bytes = files[3].bytes.clone();
            move |_, _| Reply::new(200, if large { changed(&bytes) } else { bytes.clone() })
        });
        let hub = serve(files.clone(), &cdn);
        let (inner, config) = (hub.address().to_owned(), files[0].clone());
        // A mirror that passes everything on but for the configuration, which it changes.
        let mirror = Server::start(move |request| match request.path.ends_with("config.json") && !large {
            true => Reply::new(200, changed(&config.bytes)).with("etag", format!("\"{}\"", config.hash())),
            false => Reply::new(307, "").with("location", format!("{inner}{}", request.path)),
        });
        let place = Place::new(if large { &hub } else { &mirror });
        let error = if large {
            place.refused()
        } else {
            place
                .plan(Kind::Model, "main", &["config.json"])
                .and_then(|p| p.download(&mut |_, _| {}))
                .expect_err("refused")
        };
        assert!(matches!(&error, PullError::WrongHash { .. }), "{error}");
        let wrong = if large { &files[3] } else { &files[0] };
        assert!(
            !place.files().iter().any(|file| file.contains(&wrong.hash()) || file.contains("refs")),
            "{:?}",
            place.files()
        );
        assert!(hub::resolve_in("org/tiny", Some(&place.cache())).is_err());
    }
}

#[test]
fn more_bytes_than_were_promised_are_not_taken() {
    let files = tiny_model();
    let mut longer = files[3].bytes.clone();
    longer.resize(longer.len() + (1 << 20), 0);
    let cdn = storage(move |_, _| Reply::new(200, longer.clone()));
    let place = Place::new(&serve(files, &cdn));
    let error = place.refused();
    assert!(error.to_string().contains("sends more than"), "{error}");
}

#[test]
fn file_names_that_leave_the_cache_are_refused() {
    for name in [
        "../evil.json",
        "a/../../evil.json",
        "/etc/evil.json",
        "..",
        "",
        "a//b.json",
        "C:\\evil.json",
        "a\\..\\b.json",
        "\u{1b}[2Jevil.json",
    ] {
        let server = Server::start(move |_| listing(&["model.safetensors", name]));
        let place = Place::new(&server);
        let error = place.refused();
        assert!(matches!(&error, PullError::UnsafeName { .. }), "{name:?}: {error}");
        assert!(!error.to_string().contains('\u{1b}'));
        assert_eq!(place.files(), Vec::<String>::new(), "{name:?}");
    }
}

#[test]
fn a_commit_or_a_hash_that_is_a_path_is_refused() {
    let server = Server::start(|_| Reply::new(200, r#"{"sha": "../../../../tmp/evil", "siblings": []}"#));
    assert!(matches!(Place::new(&server).refused(), PullError::Answer { .. }));
    let server = Server::start(|request| match request.path.starts_with("/api/") {
        true => listing(&["model.safetensors"]),
        false => Reply::new(200, "x").with("etag", "\"../../../evil\""),
    });
    let place = Place::new(&server);
    let error = place.refused();
    assert!(error.to_string().contains("names no hash for model.safetensors"), "{error}");
    assert_eq!(place.files(), Vec::<String>::new());
}

#[test]
fn what_is_gated_or_missing_is_told_with_what_to_do() {
    let answer = |status, code: &'static str| {
        // A server that shows the token back must not make us show it.
        let server = Server::start(move |request| {
            let echo = request.header("authorization").unwrap_or_default().to_owned();
            Reply::new(status, echo.clone()).with("x-error-code", code).with("x-error-message", echo)
        });
        let error = Place::new(&server).refused();
        (error.to_string(), error.hint().unwrap_or_default(), server.requests().len())
    };
    let (error, hint, _) = answer(403, "GatedRepo");
    assert!(error.contains("model org/tiny is gated") && hint.contains("/org/tiny"), "{error} {hint}");
    let (error, hint, _) = answer(401, "RepoNotFound");
    assert!(error.contains("does not show model org/tiny") && hint.contains("token"), "{error} {hint}");
    let (error, hint, _) = answer(404, "RepoNotFound");
    assert!(
        error.contains("model org/tiny at revision main") && hint.contains("--dataset"),
        "{error} {hint}"
    );
    let (error, _, _) = answer(404, "RevisionNotFound");
    assert!(error.contains("no such revision in model org/tiny at revision main"), "{error}");
    let (error, _, requests) = answer(500, "");
    assert!(error.contains("status 500") && requests == 5, "{error}: {requests} requests");
}

#[test]
fn a_hub_that_cannot_be_reached_is_named() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let closed = format!("http://{port}");
    let server = Server::start(move |_| Reply::new(302, "").with("location", closed.clone()));
    let error = Place::new(&server).refused();
    assert!(matches!(&error, PullError::Network { host, .. } if *host == port.to_string()), "{error}");
    assert!(error.hint().expect("a hint").contains("HTTPS_PROXY"));
}

#[test]
fn data_sets_have_their_own_place() {
    let files = vec![
        File::small("data/train.csv", "question,answer\n"),
        File::small("loader.py", "import os"),
        File::small("README.md", "# Questions"),
    ];
    let server = serve(files, &storage(|_, _| Reply::new(404, "")));
    let place = Place::new(&server);
    let plan = place.plan(Kind::Dataset, "refs/pr/1", &[]).expect("a plan");
    plan.download(&mut |_, _| {}).expect("pulled");
    let rows = "hf://datasets/org/tiny@refs%2Fpr%2F1/data/train.csv";
    let found = hub::resolve_rows_in(rows, Some(&place.cache())).expect("found");
    assert_eq!(fs::read_to_string(found).expect("read"), "question,answer\n");
    assert!(!place.files().iter().any(|file| file.contains("loader.py")));
}
