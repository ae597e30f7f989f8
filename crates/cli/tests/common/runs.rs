//! A training run of the real binary, small enough to be repeated a hundred times.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::{questions, stderr, text, write_model_of};

/// A model, rows and a recipe in a folder of their own.
pub(crate) struct Workshop {
    folder: TempDir,
}

impl Workshop {
    /// `keys` are lines of the recipe, beside those that are needed or in their place.
    pub(crate) fn new(keys: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        write_model_of(&at("base"), 16, 256);
        fs::write(at("rows.csv"), questions()).unwrap();
        let mut recipe =
            format!("base_model: {}\ndatasets: [{{path: {}}}]\n", text(&at("base")), text(&at("rows.csv")));
        let usual = "split: {test: 0.1, val: 0.1}\nlora_r: 4\nlora_alpha: 8\nmicro_batch_tokens: 512\n\
                     learning_rate: 5e-3\nevaluation: {max_examples: 1, max_answers: 0}";
        let name = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
        let given: Vec<String> = keys.lines().map(name).collect();
        let lines = usual.lines().filter(|line| !given.contains(&name(line))).chain(keys.lines());
        lines.for_each(|line| recipe.push_str(&format!("{line}\n")));
        fs::write(at("recipe.yaml"), recipe).unwrap();
        Workshop { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `medtune train recipe.yaml --resume` into the run folder `run`.
    pub(crate) fn command(&self, run: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_medtune"));
        command
            .args(["train", text(&self.path("recipe.yaml")), "--resume"])
            .arg("--set")
            .arg(format!("output_dir={}", text(&self.path(run))))
            .args(more)
            .env("MEDTUNE_THREADS", "1")
            .env_remove("MEDTUNE_ISA")
            .env_remove("RUST_BACKTRACE")
            .env("HF_HUB_CACHE", "no-cache-here")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn spawn(&self, run: &str, more: &[&str]) -> Child {
        self.command(run, more).spawn().unwrap()
    }

    /// Lets the run go to its end.
    pub(crate) fn finish(&self, run: &str, more: &[&str]) -> Output {
        let output = self.command(run, more).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        output
    }

    /// The run's end with a failure of `status`; what it said.
    pub(crate) fn fail(&self, run: &str, more: &[&str], status: i32) -> String {
        let output = self.command(run, more).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{}", stderr(&output));
        stderr(&output)
    }

    /// What a finished run came to, without times and memory: files byte by byte, metrics value by value.
    pub(crate) fn result(&self, run: &str) -> BTreeMap<String, String> {
        let run = self.path(run);
        let mut result = BTreeMap::new();
        for file in ["adapter/adapter_model.safetensors", "adapter/adapter_config.json", "loss.csv"] {
            let bytes = fs::read(run.join(file)).unwrap();
            result.insert(file.to_owned(), blake3::hash(&bytes).to_string());
        }
        let rows: Vec<String> = metrics(&run).into_iter().map(|row| without_times(row).to_string()).collect();
        result.insert("metrics.jsonl".into(), rows.join("\n"));
        let stats: Value = serde_json::from_slice(&fs::read(run.join("stats.json")).unwrap()).unwrap();
        result.insert("stats.json".into(), without_times(stats).to_string());
        result
    }

    /// Names of the checkpoints of a run, oldest first.
    pub(crate) fn checkpoints(&self, run: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path(run).join("checkpoints")) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

/// The rows of a run's metrics.
pub(crate) fn metrics(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn without_times(mut row: Value) -> Value {
    if let Some(object) = row.as_object_mut() {
        let varies = ["elapsed_s", "train_runtime", "planned_memory_bytes", "peak_memory_bytes"];
        object.retain(|key, _| !key.ends_with("_per_second") && !varies.contains(&key.as_str()));
    }
    row
}
