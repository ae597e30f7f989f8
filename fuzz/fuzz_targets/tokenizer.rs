//! A `tokenizer.json` is read or refused; what is read gives ids that are in the vocabulary, and text again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use model::Tokenizer;

fuzz_target!(|bytes: &[u8]| {
    fuzz::quiet();
    let Ok(json) = std::str::from_utf8(bytes) else { return };
    if let Ok(tokenizer) = Tokenizer::from_json(json) {
        fuzz::check_tokenizer(&tokenizer);
    }
});
