//! Folders of models and adapters, and the local cache.

mod reference;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use formats::peft::{self, Part, Patterns, TargetModules, parse_tensor_name, tensor_name};
use formats::safetensors::write;
use formats::{AdapterConfig, Checkpoint, Dtype, Error, TensorBytes, hub};
use reference::oracle;
use serde_json::{Value, json};

const ZEROS: [u8; 64] = [0; 64];

fn tensor<'a>(name: &'a str, shape: &'a [usize]) -> TensorBytes<'a> {
    let length = 4 * shape.iter().product::<usize>();
    TensorBytes { name, dtype: Dtype::F32, shape, bytes: &ZEROS[..length] }
}

fn write_json(path: &Path, value: &Value) {
    fs::write(path, value.to_string()).expect("it is written");
}

#[test]
fn one_file_or_shards() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path();
    let nothing = Checkpoint::open(root).expect_err("empty").to_string();
    assert!(nothing.contains("model.safetensors.index.json") && nothing.contains("hint"), "{nothing}");
    fs::write(root.join("pytorch_model.bin"), "").expect("it is written");
    assert!(Checkpoint::open(root).expect_err("pickle").to_string().contains("pickle"));

    write(root.join("model-1.safetensors"), &[tensor("a", &[2]), tensor("b", &[3])], &BTreeMap::new())
        .expect("written");
    write(root.join("model-2.safetensors"), &[tensor("c", &[2, 2])], &BTreeMap::new()).expect("written");
    let index = root.join("model.safetensors.index.json");
    let map = |shard: &str| json!({"weight_map": {"a": "model-1.safetensors", "b": "model-1.safetensors", "c": shard}});
    write_json(&index, &map("model-2.safetensors"));
    let checkpoint = Checkpoint::open(root).expect("it opens");
    assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(checkpoint.f32("c").expect("there"), [0.0; 4]);
    assert_eq!(checkpoint.tensor("b").expect("there").shape, [3]);
    assert!(matches!(checkpoint.info("d"), Err(Error::MissingTensor { .. })));

    write_json(&index, &map("model-1.safetensors"));
    assert!(matches!(Checkpoint::open(root), Err(Error::MissingTensor { tensor, .. }) if tensor == "c"));
    for outside in ["../model-2.safetensors", "/etc/passwd", "..", "", "a/../../b"] {
        write_json(&index, &map(outside));
        let error = Checkpoint::open(root).expect_err("outside").to_string();
        assert!(error.contains("plain file name"), "{error}");
    }

    write(root.join("model.safetensors"), &[tensor("whole", &[1])], &BTreeMap::new()).expect("written");
    assert_eq!(Checkpoint::open(root).expect("it opens").names().collect::<Vec<_>>(), ["whole"]);
}

#[test]
fn a_gguf_file_is_a_model_by_its_path_or_in_the_cache() {
    let cache = tempfile::tempdir().expect("a folder");
    let snapshot = cache.path().join("models--org--tiny/snapshots/abc123");
    fs::create_dir_all(&snapshot).expect("created");
    fs::create_dir_all(cache.path().join("models--org--tiny/refs")).expect("created");
    fs::write(cache.path().join("models--org--tiny/refs/main"), "abc123\n").expect("written");
    let file = snapshot.join("tiny-Q4_0.gguf");
    fs::write(&file, "GGUF").expect("written");
    let resolve = |name: &str| hub::resolve_in(name, Some(cache.path()));
    assert_eq!(resolve(file.to_str().expect("text")).expect("a path"), file);
    assert_eq!(resolve("org/tiny/tiny-Q4_0.gguf").expect("in the cache"), file);
    assert_eq!(resolve("org/tiny@abc123/tiny-Q4_0.gguf").expect("of a revision"), file);
    assert_eq!(resolve("org/tiny").expect("the folder"), snapshot);
    let absent = resolve("org/tiny/tiny-Q8_0.gguf").expect_err("not there").to_string();
    assert!(absent.contains("medtune pull org/tiny --file 'tiny-Q8_0.gguf'"), "{absent}");
    let text = snapshot.join("notes.txt");
    fs::write(&text, "").expect("written");
    let other = resolve(text.to_str().expect("text")).expect_err("no model").to_string();
    assert!(other.contains("notes.txt") && other.contains(".gguf"), "{other}");
    assert!(resolve("org/tiny/../secret.gguf").is_err());
}

#[test]
fn the_cache_is_resolved_without_a_network() {
    let cache = tempfile::tempdir().expect("a folder");
    let entry = cache.path().join("models--org--tiny");
    let snapshot = entry.join("snapshots/abc123");
    fs::create_dir_all(&snapshot).expect("created");
    fs::create_dir_all(entry.join("refs")).expect("created");
    fs::write(entry.join("refs/main"), "abc123\n").expect("written");
    let resolve = |name: &str| hub::resolve_in(name, Some(cache.path()));
    assert_eq!(resolve("org/tiny").expect("cached"), snapshot);
    assert_eq!(resolve("org/tiny@abc123").expect("cached"), snapshot);
    assert_eq!(resolve(snapshot.to_str().expect("UTF-8")).expect("a folder"), snapshot);
    let error = resolve("org/other").expect_err("not cached").to_string();
    assert!(error.contains("models--org--other") && error.contains("medtune pull org/other`"), "{error}");
    fs::write(entry.join("refs/evil"), "../../..").expect("written");
    for name in ["org/tiny@evil", "org/tiny@../x", "../org/tiny", "a/b/c", "", "org/ti ny"] {
        assert!(matches!(resolve(name), Err(Error::NotFound { .. })), "{name}");
    }
}

#[test]
fn files_of_data_sets_are_found_in_the_cache() {
    let cache = tempfile::tempdir().expect("a folder");
    let entry = cache.path().join("datasets--org--questions");
    let rows = entry.join("snapshots/abc123/data/train.parquet");
    fs::create_dir_all(rows.parent().expect("a folder")).expect("created");
    fs::create_dir_all(entry.join("refs/convert")).expect("created");
    fs::write(&rows, "rows").expect("written");
    fs::write(entry.join("refs/main"), "abc123").expect("written");
    fs::write(entry.join("refs/convert/parquet"), "abc123").expect("written");
    let resolve = |path: &str| hub::resolve_rows_in(path, Some(cache.path()));
    assert_eq!(resolve("hf://datasets/org/questions/data/train.parquet").expect("cached"), rows);
    assert_eq!(resolve("hf://datasets/org/questions@abc123/data/train.parquet").expect("cached"), rows);
    assert_eq!(
        resolve("hf://datasets/org/questions@convert%2Fparquet/data/train.parquet").expect("cached"),
        rows
    );
    assert_eq!(resolve("rows.csv").expect("a path"), Path::new("rows.csv"));
    let error = resolve("hf://datasets/org/questions/data/test.parquet").expect_err("not cached").to_string();
    assert!(error.contains("abc123") && error.contains("medtune pull org/questions --dataset"), "{error}");
    for wrong in
        ["org/questions", "org/questions/../../../etc/passwd", "org/questions@../x/a.csv", "../a/b.csv"]
    {
        let error = resolve(&format!("hf://datasets/{wrong}")).expect_err(wrong).to_string();
        assert!(error.contains("hf://datasets/org/name/file"), "{error}");
    }
}

#[test]
fn adapters_as_peft_writes_them() {
    let Some(folder) = oracle("numerics/lora_final") else { return };
    let (config, file) = peft::read(folder).expect("it is read");
    assert_eq!((config.r, config.lora_alpha), (4, 8.0));
    assert!(matches!(&config.target_modules, Some(TargetModules::Names(names)) if names.len() == 7));
    assert_eq!(file.names().count(), 5 * 7 * 2);
    assert!(file.names().all(|name| parse_tensor_name(name).is_some()));
}

#[test]
fn an_adapter_comes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let module = "model.layers.0.self_attn.q_proj";
    let (a, b) = (tensor_name(module, Part::A), tensor_name(module, Part::B));
    assert_eq!(a, "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight");
    assert_eq!(parse_tensor_name(&b), Some((module, Part::B)));
    let mut config = AdapterConfig::new(2, 16.0, vec!["q_proj".to_owned()]);
    config.base_model_name_or_path = Some("org/base".to_owned());
    config.other.insert("peft_version".to_owned(), json!("0.21.2"));
    let pair = [tensor(&a, &[2, 3]), tensor(&b, &[4, 2])];
    peft::write(folder.path(), &config, &pair).expect("it is written");
    let text = fs::read_to_string(folder.path().join(peft::CONFIG_FILE)).expect("it can be read");
    assert!(text.contains("\"lora_alpha\": 16,"), "{text}");
    let (read, file) = peft::read(folder.path()).expect("it is read");
    assert_eq!(read, config);
    assert_eq!(file.info(&b).expect("there").1, [4, 2]);

    let wrong_rank = [tensor(&a, &[3, 2]), tensor(&b, &[4, 2])];
    peft::write(folder.path(), &config, &wrong_rank).expect("it is written");
    let error = peft::read(folder.path()).expect_err("rank 3").to_string();
    assert!(error.contains("[2, in]") && error.contains("[3, 2]"), "{error}");
    peft::write(folder.path(), &config, &pair[..1]).expect("it is written");
    assert!(matches!(peft::read(folder.path()), Err(Error::MissingTensor { .. })));
}

#[test]
fn names_of_all_parts_come_back() {
    use Part::*;
    for part in [A, B, Magnitude, EmbeddingA, EmbeddingB, Base, Saved] {
        for module in ["lm_head", "model.embed_tokens", "model.layers.0.mlp.up_proj"] {
            assert_eq!(parse_tensor_name(&tensor_name(module, part)), Some((module, part)));
        }
    }
    assert_eq!(tensor_name("lm_head", Saved), "base_model.model.lm_head.weight");
    for stray in
        ["lm_head.weight", "base_model.model.lm_head.lora_C.weight", "base_model.model.lm_head.lora_A.bias"]
    {
        assert_eq!(parse_tensor_name(stray), None, "{stray}");
    }
}

#[test]
fn tensors_that_the_settings_do_not_speak_of_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let module = "model.layers.0.self_attn.q_proj";
    let names = [Part::A, Part::B, Part::Magnitude].map(|part| tensor_name(module, part));
    let head = tensor_name("lm_head", Part::Saved);
    let config = AdapterConfig::new(2, 16.0, vec!["q_proj".to_owned()]);
    let pair = || vec![tensor(&names[0], &[2, 3]), tensor(&names[1], &[4, 2])];
    let refused = |config: &AdapterConfig, tensors: &[TensorBytes<'_>]| {
        peft::write(folder.path(), config, tensors).expect("it is written");
        peft::read(folder.path()).expect_err("it is refused").to_string()
    };
    let error = refused(&config, &[pair(), vec![tensor(&head, &[5, 3])]].concat());
    assert!(error.contains("lm_head is not among modules_to_save"), "{error}");
    let error = refused(&config, &[pair(), vec![tensor(&names[2], &[4])]].concat());
    assert!(error.contains("use_dora is off"), "{error}");
    let dora = AdapterConfig { use_dora: true, ..config };
    let error = refused(&dora, &pair());
    assert!(error.contains("lora_magnitude_vector"), "{error}");
}

#[test]
fn patterns_match_as_pefts_do() {
    // `re.match(rf"(.*\.)?({key})$", path)`, the first key in the order of the file, which PEFT sorts.
    let of = |keys: &[&str]| {
        let patterns = keys.iter().enumerate().map(|(i, key)| ((*key).to_owned(), i)).collect();
        Patterns::new(&patterns).expect("they compile")
    };
    let (q, other) = ("model.layers.1.self_attn.q_proj", "model.layers.10.self_attn.other_q_proj");
    for (key, matches_q, matches_other) in [
        ("q_proj", true, false),
        (".*q_proj", true, true),
        ("self_attn.q_proj", true, false),
        ("^q_proj", false, false),
        ("^model.layers.1.self_attn.q_proj", true, false),
        (r"layers\.[01]\.self_attn\.q_proj", true, false),
        (r"layers\.\d+\..*_proj", true, true),
        ("k_proj|q_proj", true, false),
        ("q_pro", false, false),
        ("proj", false, false),
    ] {
        let patterns = of(&[key]);
        assert_eq!(patterns.get(q).is_some(), matches_q, "{key}");
        assert_eq!(patterns.get(other).is_some(), matches_other, "{key}");
    }
    assert_eq!(of(&[".*", "q_proj"]).get(q), Some(0));
    let paths = [q.to_owned()];
    assert_eq!(of(&["k_proj", "q_proj"]).unmatched(&paths).collect::<Vec<_>>(), ["k_proj"]);
    let error = Patterns::new(&[("(?=q_proj)".to_owned(), 1)].into()).expect_err("looks ahead");
    assert!(error.pattern == "(?=q_proj)" && error.reason.contains("look-around"), "{error}");
}

#[test]
fn settings_that_change_the_mathematics_are_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(peft::CONFIG_FILE);
    for (key, value) in [
        ("peft_type", json!("LOHA")),
        ("r", json!(0)),
        ("bias", json!("all")),
        ("fan_in_fan_out", json!(true)),
        ("lora_bias", json!(true)),
        ("layer_replication", json!([[0, 2]])),
        ("ensure_weight_tying", json!(true)),
        ("init_lora_weights", json!("pissa_niter_4")),
        ("trainable_token_indices", json!([1])),
        ("rank_pattern", json!({"layers\\.[01": 3})),
    ] {
        let mut settings = json!({"peft_type": "LORA", "r": 2, "some_later_key": {"x": 1}});
        settings[key] = value;
        write_json(&path, &settings);
        let error = peft::read(folder.path()).expect_err(key);
        assert!(
            matches!(&error, Error::Unsupported { setting, .. } if setting.contains(key)),
            "{key}: {error}"
        );
    }
    write_json(
        &path,
        &json!({"peft_type": "LORA", "r": 2, "some_later_key": {"x": 1}, "layers_to_transform": null}),
    );
    let error = peft::read(folder.path()).expect_err("no tensors").to_string();
    assert!(error.contains("adapter_model.safetensors"), "{error}");
}
