//! Vocabularies of every kind against the ids of the programs they come from. Each count is pinned: a test fails when
//! fewer cases pass than passed before, and prints what was wanted and what came.

mod reference;

use std::fs;
use std::path::Path;

use formats::GgufFile;
use model::Tokenizer;
use reference::{oracle, oracle_json};
use serde_json::Value;

/// A text and its ids.
type Case = (String, Vec<u32>);

/// Counts the texts that have the wanted ids, prints those that do not, and fails when the count is another.
fn expect_count(
    what: &str,
    expected: usize,
    cases: &[Case],
    encode: impl Fn(&str) -> model::Result<Vec<u32>>,
) {
    let mut passed = 0;
    for (text, wanted) in cases {
        let got = encode(text);
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
fn llama_cpp(name: &str) -> Option<Vec<Case>> {
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

/// A vocabulary of the reference data as the only file of a model's folder, and what else the folder says.
fn of_file(path: &Path, name: &str, config: &Value) -> Tokenizer {
    let folder = tempfile::tempdir().expect("a folder");
    fs::copy(path, folder.path().join(name)).expect("it is copied");
    fs::write(folder.path().join("tokenizer_config.json"), config.to_string()).expect("it is written");
    Tokenizer::from_dir(folder.path()).expect("it has a vocabulary")
}

fn of_gguf(path: &Path) -> Tokenizer {
    Tokenizer::from_gguf(&GgufFile::open(path).expect("it opens")).expect("it has a vocabulary")
}

fn ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).expect("a list of ids")
}

fn vectors() -> (std::path::PathBuf, Value) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vocabularies");
    let text = fs::read_to_string(folder.join("vectors.json")).expect("it is there");
    (folder, serde_json::from_str(&text).expect("JSON"))
}

/// Whatever a tokenizer came from, the `tokenizer.json` that is written of it gives the same ids.
fn survives_saving(tokenizer: &Tokenizer, cases: &[Case]) {
    let saved = Tokenizer::from_json(&tokenizer.to_json().expect("it is written")).expect("it is read again");
    assert_eq!(saved.vocab_size(), tokenizer.vocab_size());
    assert_eq!(saved.special_tokens(), tokenizer.special_tokens());
    for (text, _) in cases {
        let ids = tokenizer.encode_ordinary(text).expect("it encodes");
        assert_eq!(ids, saved.encode_ordinary(text).expect("it encodes"), "{text:?}");
        assert_eq!(tokenizer.decode(&ids, false).ok(), saved.decode(&ids, false).ok(), "{text:?}");
    }
}

/// Texts that begin alike have the ids that each has alone, whether or not what they share is encoded once.
fn endings_change_nothing_before_them(tokenizer: &Tokenizer, cases: &[Case]) {
    let endings = ["", " A", " B.", "'s own", "\n\nno", " the third one", "5 mg"].map(str::to_owned);
    for (text, _) in cases {
        for text in [text.clone(), format!("What helps {text} here?\nit does\nAnswer:")] {
            let (alone, wholes) = tokenizer.encode_endings(&text, &endings, false).expect("it encodes");
            assert_eq!(alone, tokenizer.encode_ordinary(&text).expect("it encodes"), "{text:?}");
            for (ending, whole) in endings.iter().zip(wholes) {
                let expected = tokenizer.encode_ordinary(&format!("{text}{ending}")).expect("it encodes");
                assert_eq!(whole, expected, "{text:?} and {ending:?}");
            }
        }
    }
}

#[test]
fn small_sentencepiece_models_as_sentencepiece() {
    let (folder, vectors) = vectors();
    let texts: Vec<String> = serde_json::from_value(vectors["texts"].clone()).expect("texts");
    // What fails has user-defined tokens and a blank before a text: sentencepiece puts that blank before the token that
    // a text begins with, and none behind one; transformers and llama.cpp put it before each part of ordinary text.
    // And one where the name of a control token is cut between two characters that the model does not know.
    for (name, expected) in [("llama_like", 26), ("gemma_like", 29), ("unigram", 25)] {
        let tokenizer = of_file(&folder.join(format!("{name}.model")), "tokenizer.model", &Value::Null);
        let wanted = vectors["ids"][name].as_array().expect("a list").iter().map(ids);
        let cases: Vec<Case> = texts.iter().cloned().zip(wanted).collect();
        expect_count(name, expected, &cases, |text| tokenizer.encode_ordinary(text));
        survives_saving(&tokenizer, &cases);
        endings_change_nothing_before_them(&tokenizer, &cases);
    }
}

#[test]
fn sentencepiece_models_of_the_reference_data_as_sentencepiece() {
    let Some(cases) = llama_cpp("llama-spm") else { return };
    let (_, vectors) = vectors();
    for (name, expected) in [("llama2", 47), ("mistral_v1", 47), ("mistral_v3", 47), ("unigram_nfkc", 47)] {
        let of_model = &vectors["llama_cpp_texts"][name];
        let Some(path) = oracle(of_model["path"].as_str().expect("a path")) else { return };
        let tokenizer = of_file(&path, "tokenizer.model", &Value::Null);
        let texts = cases.iter().map(|(text, _)| text.clone());
        let cases: Vec<Case> =
            texts.zip(of_model["ids"].as_array().expect("a list").iter().map(ids)).collect();
        expect_count(name, expected, &cases, |text| tokenizer.encode_ordinary(text));
        survives_saving(&tokenizer, &cases);
        endings_change_nothing_before_them(&tokenizer, &cases);
    }
}

#[test]
fn vocabularies_in_gguf_as_llama_cpp() {
    for (name, expected) in [("llama-spm", 47), ("phi-3", 47), ("gpt-2", 47)] {
        let Some(path) = oracle(&format!("tokenizers/llama.cpp/ggml-vocab-{name}.gguf")) else { return };
        let tokenizer = of_gguf(&path);
        let cases = llama_cpp(name).expect("they are beside it");
        expect_count(name, expected, &cases, |text| tokenizer.encode_ordinary(text));
        for (text, ids) in &cases {
            assert_eq!(&tokenizer.decode(ids, false).expect("it decodes"), text, "{name}");
        }
        survives_saving(&tokenizer, &cases);
        endings_change_nothing_before_them(&tokenizer, &cases);
    }
}

#[test]
fn ranks_of_tiktoken_as_llama_cpp() {
    let files = [
        ("llama-bpe", 47, "tokenizers/llama3/tokenizer.model", "tokenizer.model"),
        ("qwen2", 47, "tokenizers/qwen/qwen.tiktoken", "qwen.tiktoken"),
        // The same vocabulary under another name of llama.cpp's.
        ("deepseek-r1-qwen", 47, "tokenizers/qwen/qwen.tiktoken", "qwen.tiktoken"),
    ];
    for (name, expected, path, file) in files {
        let (Some(path), Some(cases)) = (oracle(path), llama_cpp(name)) else { return };
        let tokenizer = of_file(&path, file, &Value::Null);
        expect_count(name, expected, &cases, |text| tokenizer.encode_ordinary(text));
        survives_saving(&tokenizer, &cases);
        endings_change_nothing_before_them(&tokenizer, &cases);
    }
}

#[test]
fn stories260k_is_the_same_in_all_its_files() {
    let Some(vectors) = oracle_json("weights/stories260K/tokenizer_vectors.json") else { return };
    let case = |vector: &Value| {
        (vector["text"].as_str().expect("a text").to_owned(), ids(&vector["sentencepiece_ids"]))
    };
    let cases: Vec<Case> = vectors.as_array().expect("a list").iter().map(case).collect();
    let folder = oracle("weights/stories260K").expect("it is there");
    for file in ["f32", "f16", "q8_0", "q4_0"] {
        let tokenizer = of_gguf(&folder.join(format!("gguf/stories260K-{file}.gguf")));
        assert_eq!((tokenizer.bos(), tokenizer.eos_ids(), tokenizer.pad()), (Some(1), &[2][..], None));
        expect_count(file, 11, &cases, |text| tokenizer.encode_ordinary(text));
    }
    let tokenizer = of_file(&folder.join("hf/tokenizer.model"), "tokenizer.model", &Value::Null);
    expect_count("tokenizer.model", 11, &cases, |text| tokenizer.encode_ordinary(text));
}

/// The cases of swift-transformers, whose ids begin with a BOS where the model has one.
#[test]
fn cases_of_swift_transformers() {
    let Some(all) = oracle_json("tokenizers/swift-transformers/tokenizer_tests.json") else { return };
    let cases = |name: &str, bos: Option<u32>| -> Vec<Case> {
        let case = |case: &Value| {
            let ids = ids(&case["encoded"]["input_ids"]);
            let ids = ids.strip_prefix(bos.as_slice()).expect("it begins with BOS").to_vec();
            (case["input"].as_str().expect("a text").to_owned(), ids)
        };
        all[name].as_array().expect("a list").iter().map(case).collect()
    };
    let long = |name: &str, bos: Option<u32>| -> Vec<Case> {
        let path = format!("tokenizers/swift-transformers/{name}.json");
        let case = oracle_json(&path).expect("it is beside the others");
        let ids = ids(&case["token_ids"]);
        let ids = ids.strip_prefix(bos.as_slice()).expect("it begins with BOS").to_vec();
        vec![(case["text"].as_str().expect("a text").to_owned(), ids)]
    };
    let gpt2 = of_gguf(&oracle("tokenizers/llama.cpp/ggml-vocab-gpt-2.gguf").expect("GPT-2"));
    let llama2 = oracle("tokenizers/llama2_tokenizer.model").expect("Llama 2");
    let llama2 = of_file(&llama2, "tokenizer.model", &Value::Null);
    let llama3 = oracle("tokenizers/llama3/tokenizer.model").expect("Llama 3");
    let llama3 = of_file(&llama3, "tokenizer.model", &Value::Null);
    let lists = [
        (&gpt2, "distilgpt2", 18, cases("distilgpt2", None)),
        (&gpt2, "gpt2_encoded_tokens", 1, long("gpt2_encoded_tokens", None)),
        (&llama2, "Llama-2-7b-chat", 18, cases("coreml-projects/Llama-2-7b-chat-coreml", Some(1))),
        (&llama2, "llama_encoded", 1, long("llama_encoded", Some(1))),
        (
            &llama3,
            "Llama-3.2-1B-Instruct",
            18,
            cases("pcuenq/Llama-3.2-1B-Instruct-tokenizer", Some(128_000)),
        ),
        (&llama3, "llama_3.2_encoded", 1, long("llama_3.2_encoded", Some(128_000))),
    ];
    for (tokenizer, name, expected, cases) in lists {
        expect_count(name, expected, &cases, |text| tokenizer.encode_with_control(text));
    }
}
