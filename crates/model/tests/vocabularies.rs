//! Vocabularies of every kind against the ids of the programs they come from. Each count is pinned: a test fails when
//! fewer cases pass than passed before, and prints what was wanted and what came.

mod reference;

use std::fs;

use formats::GgufFile;
use model::Tokenizer;
use reference::{oracle, oracle_json};

/// Counts the texts that have the wanted ids, prints those that do not, and fails when the count is another.
fn expect_count(what: &str, expected: usize, tokenizer: &Tokenizer, cases: &[(String, Vec<u32>)]) {
    let mut passed = 0;
    for (text, wanted) in cases {
        let got = tokenizer.encode_ordinary(text);
        if got.as_ref().is_ok_and(|got| got == wanted) {
            passed += 1;
        } else {
            eprintln!("{what}: {text:?}\n  wanted {wanted:?}\n  got    {got:?}");
        }
    }
    eprintln!("{what}: {passed} of {}", cases.len());
    assert_eq!(passed, expected, "{what}: the number of passing cases changed");
}

/// The 47 texts of llama.cpp with their ids by one vocabulary, without BOS.
fn llama_cpp(name: &str) -> Option<Vec<(String, Vec<u32>)>> {
    let folder = oracle("tokenizers/llama.cpp")?;
    let read = |ending: &str| {
        fs::read_to_string(folder.join(format!("ggml-vocab-{name}.gguf.{ending}"))).expect("it can be read")
    };
    let (texts, ids) = (read("inp"), read("out"));
    let ids =
        ids.split('\n').map(|line| line.split_whitespace().map(|id| id.parse().expect("an id")).collect());
    let cases: Vec<_> = texts.split("\n__ggml_vocab_test__\n").map(str::to_owned).zip(ids).collect();
    assert_eq!(cases.len(), 47);
    Some(cases)
}

fn of_gguf(path: &str) -> Option<Tokenizer> {
    let file = GgufFile::open(oracle(path)?).expect("it opens");
    Some(Tokenizer::from_gguf(&file).expect("it has a vocabulary"))
}

#[test]
fn vocabularies_in_gguf_as_llama_cpp() {
    for (name, expected) in [("llama-spm", 47), ("phi-3", 47), ("gpt-2", 47)] {
        let Some(tokenizer) = of_gguf(&format!("tokenizers/llama.cpp/ggml-vocab-{name}.gguf")) else {
            return;
        };
        let cases = llama_cpp(name).expect("they are beside it");
        expect_count(name, expected, &tokenizer, &cases);
        for (text, ids) in &cases {
            assert_eq!(&tokenizer.decode(ids, false).expect("it decodes"), text, "{name}");
        }
    }
}
