//! A `tokenizer.model`, of sentencepiece or tiktoken, is read or refused; what is read gives ids and text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use model::Tokenizer;

fuzz_target!(|bytes: &[u8]| {
    fuzz::quiet();
    fuzz::file("tokenizer.model", bytes);
    if let Ok(tokenizer) = Tokenizer::from_dir(fuzz::folder()) {
        fuzz::check_tokenizer(&tokenizer);
    }
});
