//! What decides the weights that a run ends with, and what differs between two runs.

use std::collections::{BTreeMap, BTreeSet};

use dataset::Sample;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Recipe;

/// Keys of a recipe that may change when a run is resumed: in which folders things lie (their contents are hashed, and a
/// data file's name is part of the ids of its rows), how often and how many checkpoints are kept, how long bad steps are
/// borne, what is kept in memory and what is computed again, what happens after training.
pub const MAY_CHANGE: [&str; 9] = [
    "output_dir",
    "base_model",
    "datasets.*.path",
    "save_steps",
    "save_total_limit",
    "nonfinite_patience",
    "gradient_checkpointing",
    "memory_check",
    "evaluation",
];

/// What decides the weights that a run ends with; kept in every checkpoint, so that a resume under another recipe or
/// with other data is refused with what differs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Identity {
    /// The recipe without the keys of [`MAY_CHANGE`], flat: `split.test` → `0.1`.
    pub recipe: BTreeMap<String, Value>,
    /// BLAKE3 of what is read, by what it is: `base model config.json`, `data file 1`, `training
    /// samples`.
    pub inputs: BTreeMap<String, String>,
}

impl Identity {
    /// The identity of a run of `recipe`, its inputs still to be added.
    pub fn new(recipe: &Recipe) -> Self {
        let mut flat = BTreeMap::new();
        // A recipe is plain data: numbers, strings, lists.
        flatten("", &serde_json::to_value(recipe).unwrap_or(Value::Null), &mut flat);
        flat.retain(|key, _| !may_change(key));
        Identity { recipe: flat, inputs: BTreeMap::new() }
    }

    /// Adds the hash of something that is read.
    pub fn with_input(mut self, name: impl Into<String>, blake3: impl Into<String>) -> Self {
        self.inputs.insert(name.into(), blake3.into());
        self
    }

    /// Adds the samples as the model reads them: ids of the examples, tokens, and which of them are learned.
    pub fn with_samples(self, name: &str, samples: &[Sample]) -> Self {
        let mut hasher = blake3::Hasher::new();
        let mut bytes = Vec::new();
        for sample in samples {
            bytes.clear();
            bytes.extend((sample.id.len() as u64).to_le_bytes());
            bytes.extend(sample.id.as_bytes());
            bytes.extend((sample.ids.len() as u64).to_le_bytes());
            bytes.extend(sample.ids.iter().flat_map(|id| id.to_le_bytes()));
            bytes.extend(sample.learned.iter().map(|&learned| u8::from(learned)));
            hasher.update(&bytes);
        }
        self.with_input(name, hasher.finalize().to_hex().to_string())
    }

    /// What is another in `now` than in `self`, a line each. Inputs of a kind that only one of them names are not
    /// compared, so that a recipe can be judged before its samples are made.
    pub fn differences(&self, now: &Identity) -> Vec<String> {
        let mut lines = Vec::new();
        let shown = |value: Option<&Value>| value.map_or_else(|| "not set".to_owned(), Value::to_string);
        let keys: BTreeSet<&String> = self.recipe.keys().chain(now.recipe.keys()).collect();
        for key in keys {
            let (was, is) = (self.recipe.get(key), now.recipe.get(key));
            if was != is {
                lines.push(format!("{key}: {} in the checkpoint, {} now", shown(was), shown(is)));
            }
        }
        let names: BTreeSet<&String> = self.inputs.keys().chain(now.inputs.keys()).collect();
        for name in names {
            let named = |identity: &Identity| identity.inputs.keys().any(|other| kind(other) == kind(name));
            let short = |hash: &str| hash.chars().take(12).collect::<String>();
            match (self.inputs.get(name), now.inputs.get(name)) {
                (Some(was), Some(is)) if was != is => lines.push(format!(
                    "{name}: other content (blake3 {}… in the checkpoint, {}… now)",
                    short(was),
                    short(is)
                )),
                (Some(_), None) if named(now) => lines.push(format!("{name}: not there now")),
                (None, Some(_)) if named(self) => lines.push(format!("{name}: not in the checkpoint")),
                _ => {}
            }
        }
        lines
    }
}

/// What an input is, by the two words that its name begins with: `base model`, `data file`, `training samples`.
fn kind(name: &str) -> (&str, &str) {
    let mut words = name.split(' ');
    (words.next().unwrap_or_default(), words.next().unwrap_or_default())
}

/// Brings nested maps and lists of maps to one level; lists of plain values stay whole.
fn flatten(path: &str, value: &Value, flat: &mut BTreeMap<String, Value>) {
    let inner = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match value {
        Value::Object(map) if !map.is_empty() => {
            map.iter().for_each(|(key, value)| flatten(&inner(key), value, flat));
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            items.iter().enumerate().for_each(|(i, item)| flatten(&inner(&i.to_string()), item, flat));
        }
        _ => {
            flat.insert(path.to_owned(), value.clone());
        }
    }
}

/// Whether a flat key is covered by [`MAY_CHANGE`], where `*` stands for a number and a name for all below it.
fn may_change(key: &str) -> bool {
    MAY_CHANGE.iter().any(|pattern| {
        let mut parts = key.split('.');
        pattern.split('.').all(|wanted| parts.next().is_some_and(|part| wanted == "*" || wanted == part))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DatasetFile;

    fn recipe() -> Recipe {
        let file = |path: &str| DatasetFile { path: path.into(), ..DatasetFile::default() };
        Recipe { datasets: vec![file("a.csv"), file("b.csv")], ..Recipe::default() }
    }

    #[test]
    fn differences_are_named_key_by_key() {
        let was = Identity::new(&recipe()).with_input("data 1", "aa").with_input("data 2", "bb");
        let mut other = recipe();
        other.learning_rate = 1e-3;
        other.split.test = 0.25;
        other.datasets[1].system = Some("Be brief.".into());
        let now = Identity::new(&other).with_input("data 1", "aa").with_input("data 2", "cc");
        let lines = was.differences(&now);
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert_eq!(lines[0], "datasets.1.system: null in the checkpoint, \"Be brief.\" now");
        assert_eq!(lines[1], "learning_rate: 0.0002 in the checkpoint, 0.001 now");
        assert_eq!(lines[2], "split.test: 0.1 in the checkpoint, 0.25 now");
        assert!(lines[3].starts_with("data 2: other content"), "{lines:?}");
    }

    #[test]
    fn a_base_of_other_files_is_another_base() {
        let of = |files: &[&str]| {
            files
                .iter()
                .fold(Identity::default(), |all, file| all.with_input(format!("base model {file}"), "aa"))
        };
        let folder = of(&["config.json", "model.safetensors"]);
        assert_eq!(
            folder.differences(&of(&["base.gguf"])),
            [
                "base model base.gguf: not in the checkpoint",
                "base model config.json: not there now",
                "base model model.safetensors: not there now"
            ]
        );
        let later = folder.clone().with_input("training samples", "bb");
        assert_eq!(later.differences(&folder), [""; 0], "samples are not made yet");
    }

    #[test]
    fn keys_that_decide_nothing_may_change() {
        let mut other = recipe();
        other.output_dir = "elsewhere".into();
        other.base_model = Some("moved".into());
        other.datasets[0].path = "moved/a.csv".into();
        (other.save_steps, other.save_total_limit, other.nonfinite_patience) = (7, 9, 1);
        other.evaluation.max_answers = 3;
        assert_eq!(Identity::new(&recipe()).differences(&Identity::new(&other)), [""; 0]);
    }

    #[test]
    fn samples_are_told_apart_by_tokens_and_mask() {
        let sample = |ids: &[u32], learned: &[bool]| Sample {
            id: "a".into(),
            ids: ids.to_vec(),
            learned: learned.to_vec(),
        };
        let of = |s: Sample| Identity::default().with_samples("samples", &[s]);
        let first = of(sample(&[1, 2], &[false, true]));
        assert_eq!(first, of(sample(&[1, 2], &[false, true])));
        assert_eq!(first.differences(&of(sample(&[1, 3], &[false, true]))).len(), 1);
        assert_eq!(first.differences(&of(sample(&[1, 2], &[true, true]))).len(), 1);
    }
}
