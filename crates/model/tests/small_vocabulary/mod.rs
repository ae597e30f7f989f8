//! A vocabulary as small as byte-level ones can be, for decoders of a few tokens.

use model::{SPECIALS, Tokenizer};
use serde_json::{Map, json};

/// 256 tokens: the special ones, every byte that UTF-8 text has, and ten merges. Words are cut as SmolLM does.
pub(crate) fn tokenizer(folder: &std::path::Path) -> Tokenizer {
    let mut vocabulary: Vec<String> = SPECIALS.map(str::to_owned).to_vec();
    let never = |byte: u8| matches!(byte, 0xc0 | 0xc1 | 0xf5..=0xff);
    let printable = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let mut beyond = 0x100;
    for byte in 0..=255u8 {
        let character = match printable(byte) {
            true => char::from(byte),
            false => {
                beyond += 1;
                char::from_u32(beyond - 1).unwrap()
            }
        };
        if !never(byte) {
            vocabulary.push(character.into());
        }
    }
    let merges = ["Ġ t", "h e", "i n", "Ġ a", "r e", "o n", "Ġt he", "e r", "Ġ s", "a t"];
    vocabulary.extend(merges.iter().map(|merge| merge.replace(' ', "")));
    let ids: Map<_, _> = vocabulary.iter().enumerate().map(|(id, text)| (text.clone(), id.into())).collect();
    assert_eq!(ids.len(), 256);
    let added = SPECIALS.iter().enumerate().map(|(id, text)| {
        json!({"id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": true})
    });
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null,
        "added_tokens": added.collect::<Vec<_>>(),
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Digits", "individual_digits": true},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        ]},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                  "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
                  "vocab": ids, "merges": merges},
    });
    model::write_tokenizer(folder, &tokenizer.to_string(), 256).unwrap();
    Tokenizer::from_dir(folder).unwrap()
}
