//! Puts inputs where the readers look for them, and holds what several targets check.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Once, OnceLock};

use model::Tokenizer;

/// A folder of this process, in memory where the system has such a place.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = parent.join(format!("medtune-fuzz-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for inputs");
        folder
    })
}

/// A file of that name with those bytes.
pub fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder().join(name);
    fs::write(&path, bytes).expect("the input is written");
    path
}

/// Keeps panics that the readers catch (of a library, on vocabularies that contradict themselves) from ending the run.
/// Those that nobody catches still end it: libFuzzer's own entry point stops the process.
pub fn quiet() {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| {})));
}

/// Ids are in the vocabulary and come back as text, without a panic.
pub fn check_tokenizer(tokenizer: &Tokenizer) {
    let text = "  What is <s> asthma</s>?\n\n<|im_end|> 38.5 °C 日本 <0x41>";
    for ids in [tokenizer.encode_ordinary(text), tokenizer.encode_with_control(text)].into_iter().flatten() {
        assert!(ids.iter().all(|id| (*id as usize) < tokenizer.vocab_size()), "{ids:?}");
        let _ = tokenizer.decode(&ids, true);
    }
}
