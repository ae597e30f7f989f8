//! What llama.cpp made of our files, without llama.cpp: `tools/check_llama_cpp.py` wrote down what it read, wrote and
//! quantized, and what we export must still be that.

mod reference;

use std::path::Path;
use std::sync::Arc;

use compute::Cpu;
use formats::GgufFile;
use formats::gguf::FileType;
use model::engine::{Engine, EngineSettings, Request, Stop};
use model::{ChatTemplate, Decoder, GgufModel, Tokenizer, Trainable};
use reference::oracle;
use serde_json::Value;

fn vectors() -> Value {
    serde_json::from_str(include_str!("llama_cpp.json")).unwrap()
}

fn load(path: &Path) -> Decoder<Cpu> {
    Decoder::load(Arc::new(Cpu::new(2)), path, &Trainable::Nothing).unwrap()
}

fn shipped() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/base")
}

fn export_shipped(path: &Path, file_type: FileType) {
    let (tokenizer, template) =
        (Tokenizer::from_dir(shipped()).unwrap(), ChatTemplate::from_dir(shipped()).unwrap());
    let model = GgufModel {
        name: "base",
        license: None,
        tokenizer: &tokenizer,
        template: &template,
        file_type,
        importance: None,
        threads: 2,
    };
    load(&shipped()).save_gguf(path, &model).unwrap();
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

/// Compares logits after the prompt and the greedy ids behind it.
fn assert_as_llama_cpp(decoder: &Decoder<Cpu>, name: &str, expected: &Value) {
    let prompt = ids(&expected["prompt"]);
    let logits = decoder.next_logits(&prompt, true).unwrap();
    let likeliest = expected["likeliest"].as_array().unwrap();
    let largest = logits.iter().fold(0.0f64, |largest, logit| largest.max(f64::from(logit.abs())));
    for pair in likeliest {
        let (id, theirs) = (pair[0].as_u64().unwrap() as usize, pair[1].as_f64().unwrap());
        let off = (f64::from(logits[id]) - theirs).abs() / largest;
        assert!(off < 1e-3, "{name}: the logit of {id} is off by {off} of the largest");
    }
    let greedy = ids(&expected["greedy"]);
    let stop = Stop { max_tokens: greedy.len(), ..Stop::default() };
    let room = EngineSettings::new(1, prompt.len() + greedy.len());
    let mut engine = Engine::new(decoder, room).unwrap();
    let written = engine.write([Request::greedy(prompt, stop)], &mut |_, _| {}).unwrap();
    assert_eq!(written[0].ids, greedy, "{name}");
}

#[test]
fn the_shipped_base_writes_what_llama_cpp_writes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("base.gguf");
    export_shipped(&path, FileType::F32);
    let expected = &vectors()["base"];
    assert_eq!(ids(&expected["greedy"]).len(), 64);
    assert_as_llama_cpp(&load(&path), "base", expected);
}

#[test]
fn models_of_the_oracle_write_what_llama_cpp_writes() {
    let Some(data) = oracle("numerics/arch").and(oracle("weights/stories260K/hf")) else { return };
    let vectors = vectors();
    let mut compared = 0;
    for (name, expected) in vectors.as_object().unwrap() {
        let arch = data.join("../../../numerics/arch").join(name);
        let path = if name == "stories260K" { data.clone() } else { arch };
        if path.is_dir() {
            assert_as_llama_cpp(&load(&path), name, expected);
            compared += 1;
        }
    }
    assert_eq!(compared, 10, "nine architectures and stories260K");
}

/// FNV-1a.
fn digest(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[test]
fn quantized_files_have_the_types_and_bytes_of_llama_cpp() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("base.gguf");
    let vectors = vectors();
    let quantized = vectors["quantized"]["base"].as_object().unwrap();
    assert_eq!(quantized.len(), 6);
    for (name, expected) in quantized {
        let file_type =
            FileType::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(name)).unwrap();
        export_shipped(&path, file_type);
        let file = GgufFile::open(&path).unwrap();
        for (tensor, expected_digest) in expected["fnv1a"].as_object().unwrap() {
            assert_eq!(file.info(tensor).unwrap().kind.name(), expected["types"][tensor], "{name}: {tensor}");
            let got = digest(&file.bytes(tensor).unwrap());
            assert_eq!(got, *expected_digest, "{name}: {tensor}");
        }
    }
}
