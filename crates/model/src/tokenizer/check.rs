//! What the library does not ask of a `tokenizer.json` before it makes room for it.

use serde::Deserialize;
use serde_json::Value;

use super::{base64, spm};

/// One more than the largest id. The largest vocabularies have a quarter of a million tokens.
pub(super) const ID_LIMIT: u32 = 16 << 20;

/// The parts of a file that are not its vocabulary.
#[derive(Deserialize)]
struct Rules {
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    decoder: Value,
}

/// Whether a file is JSON, and its maps of characters are as long as they say.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    let rules: Rules = serde_json::from_slice(bytes).map_err(|reason| format!("not valid JSON: {reason}"))?;
    [&rules.normalizer, &rules.pre_tokenizer, &rules.decoder].into_iter().try_for_each(check_maps)
}

fn check_maps(value: &Value) -> Result<(), String> {
    match value {
        Value::Object(entries) => entries.iter().try_for_each(|(key, value)| match value {
            Value::String(map) if key == "precompiled_charsmap" => {
                let map = base64::decode(map).ok_or("`precompiled_charsmap` is not Base64")?;
                spm::check_charsmap(&map)
            }
            value => check_maps(value),
        }),
        Value::Array(values) => values.iter().try_for_each(check_maps),
        _ => Ok(()),
    }
}
