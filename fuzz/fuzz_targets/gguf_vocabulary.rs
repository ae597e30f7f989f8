//! The vocabulary and the chat template inside a GGUF file are read or refused.

#![no_main]

use chat::Message;
use formats::GgufFile;
use libfuzzer_sys::fuzz_target;
use model::{ChatTemplate, Tokenizer};

fuzz_target!(|bytes: &[u8]| {
    fuzz::quiet();
    let path = fuzz::file("vocabulary.gguf", bytes);
    let Ok(file) = GgufFile::open(&path) else { return };
    if let Ok(tokenizer) = Tokenizer::from_gguf(&file) {
        fuzz::check_tokenizer(&tokenizer);
    }
    if let Ok(template) = ChatTemplate::from_gguf(&file) {
        let _ = template.render(&[Message::user("Hello")], true);
    }
});
