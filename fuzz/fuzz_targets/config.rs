//! A `config.json` is read or refused; what is read has sizes that can be multiplied.

#![no_main]

use libfuzzer_sys::fuzz_target;
use model::Config;

fuzz_target!(|bytes: &[u8]| {
    fuzz::file("config.json", bytes);
    if let Ok(config) = Config::from_dir(fuzz::folder()) {
        let checked = config.heads.checked_mul(config.head_dim).zip(config.vocab_size.checked_mul(config.hidden_size));
        assert!(checked.is_some(), "{config:?}");
        assert!(config.kv_heads > 0 && config.heads.is_multiple_of(config.kv_heads), "{config:?}");
    }
});
