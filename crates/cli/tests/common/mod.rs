//! The binary, and a model small enough to write in a test.

#![allow(dead_code, reason = "every test file takes what it needs")]

pub(crate) mod runs;

use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use assert_cmd::Command;
use compute::{Cpu, DType};
use model::{Config, Decoder, Features, LoraConfig, RandomStart, Tokenizer, Trainable};
use serde_json::Value;

/// Positions of the tiny model.
pub(crate) const POSITIONS: usize = 64;

/// The binary, with nothing of the person's own settings.
pub(crate) fn medtune() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_medtune"));
    command.env("MEDTUNE_THREADS", "1").env_remove("MEDTUNE_ISA").env("HF_HUB_CACHE", "no-cache-here");
    command
}

/// Runs the binary; says what it wrote where the exit status is another one.
pub(crate) fn run(arguments: &[&str], status: i32) -> Output {
    let output = medtune().args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {}", stderr(&output));
    output
}

/// Runs the binary and reads the document on its standard output, where nothing else stands. Progress is for people,
/// on standard error.
pub(crate) fn run_json(arguments: &[&str]) -> Value {
    let output = run(arguments, 0);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Runs the binary on input that it refuses; its error, and its hint.
pub(crate) fn refused(arguments: &[&str]) -> String {
    let output = run(arguments, 1);
    let text = stderr(&output);
    assert!(!text.contains("panicked"), "{text}");
    assert!(output.stdout.is_empty(), "{arguments:?}: an error is no data");
    text
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Writes a model of random weights whose residual stream has the width `hidden`, with a tokenizer of its own.
pub(crate) fn write_model(folder: &Path, hidden: usize) -> Config {
    write_model_of(folder, hidden, POSITIONS)
}

/// As [`write_model`], for longer texts.
pub(crate) fn write_model_of(folder: &Path, hidden: usize, positions: usize) -> Config {
    std::fs::create_dir_all(folder).unwrap();
    let texts =
        ["What is anemia? Anemia means too little hemoglobin.", "What is asthma? A disease of the lungs."];
    let json = model::train_bpe(texts.iter(), 280, &model::SPECIALS).unwrap();
    model::write_tokenizer(folder, &json, positions).unwrap();
    let tokenizer = Tokenizer::from_dir(folder).unwrap();
    let config = Config { max_positions: positions, ..config(tokenizer.vocab_size(), hidden) };
    let decoder = decoder(&config, &Trainable::Nothing);
    decoder.save(folder, DType::F32, (tokenizer.bos(), tokenizer.eos())).unwrap();
    config
}

/// Writes an adapter for the models of this width.
pub(crate) fn write_adapter(folder: &Path, hidden: usize) {
    let trainable = Trainable::Lora { config: LoraConfig::all(2, 4.0), seed: 7 };
    decoder(&config(300, hidden), &trainable).save_adapter(folder, "base").unwrap();
}

fn config(vocab_size: usize, hidden: usize) -> Config {
    Config {
        vocab_size,
        hidden_size: hidden,
        intermediate_size: 2 * hidden,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        head_dim: hidden / 4,
        max_positions: POSITIONS,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        rope_scaling: None,
        tie_word_embeddings: true,
        features: Features::default(),
    }
}

fn decoder(config: &Config, trainable: &Trainable) -> Decoder<Cpu> {
    let start = RandomStart::new(config.clone(), 42);
    Decoder::new(Arc::new(Cpu::new(1)), config.clone(), &start, trainable).unwrap()
}

/// Rows of questions and answers with documents, as CSV. Ten documents of four rows each.
pub(crate) fn questions() -> String {
    let topics = [
        "asthma", "anemia", "migraine", "gout", "measles", "rickets", "scurvy", "malaria", "eczema",
        "tetanus",
    ];
    let asked = [
        ("What are the first signs of {}?", "The first signs of {} differ from person to person; ask early."),
        (
            "How do doctors recognise {}?",
            "Doctors recognise {} by history, examination and, at times, a test.",
        ),
        (
            "Which treatment helps against {}?",
            "Treatment of {} depends on how severe it is and on the patient.",
        ),
        (
            "Can {} be prevented by vaccines or habits?",
            "Prevention of {} rests on what causes it in the first place.",
        ),
    ];
    let mut csv = String::from("question,answer,document\n");
    for topic in topics {
        for (question, answer) in asked {
            let (question, answer) = (question.replace("{}", topic), answer.replace("{}", topic));
            csv.push_str(&format!("\"{question}\",\"{answer}\",{topic}\n"));
        }
    }
    csv
}
