//! Quantized checkpoints load to the values that the packages which wrote them stand for, and broken ones are errors.
//!
//! The vectors are made by `tools/quant_vectors.py`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use formats::quant::{Absmax, Columns, GptqConfig, QuantizationConfig};
use formats::safetensors::write;
use formats::{Checkpoint, Dtype, Error, QuantizedMatrix, SafetensorsFile, Tensor, TensorBytes};
use proptest::prelude::*;
use serde_json::{Value, json};

fn vectors(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name)
}

fn configs(name: &str) -> BTreeMap<String, QuantizationConfig> {
    let path = vectors(name).join("configs.json");
    let configs: BTreeMap<String, Value> =
        serde_json::from_slice(&fs::read(&path).expect("configs")).expect("JSON");
    configs
        .into_iter()
        .map(|(case, config)| (case, QuantizationConfig::parse(&path, &config).expect("a config")))
        .collect()
}

/// Loads every case, compares it bit for bit and gives it on.
fn compare(name: &str, cases: usize) -> BTreeMap<String, QuantizedMatrix> {
    let checkpoint = Checkpoint::open(vectors(name)).expect("it opens");
    let expected = SafetensorsFile::open(vectors(name).join("expected.safetensors")).expect("it opens");
    let mut loaded = BTreeMap::new();
    for (case, config) in configs(name) {
        let matrix =
            QuantizedMatrix::load(&checkpoint, &case, &config).expect("it loads").expect("quantized");
        let (_, shape) = expected.info(&case).expect("there");
        assert_eq!([matrix.rows(), matrix.cols()], shape, "{case}");
        let values = expected.f32(&case).expect("there");
        for (i, (got, expected)) in matrix.to_f32().iter().zip(&values).enumerate() {
            assert_eq!(
                got.to_bits(),
                expected.to_bits(),
                "{case}: element {i} is {got}, expected {expected}"
            );
        }
        assert!(matrix.bytes() < 4 * values.len(), "{case}: {} bytes", matrix.bytes());
        loaded.insert(case, matrix);
    }
    assert_eq!(loaded.len(), cases);
    let none = QuantizedMatrix::load(&checkpoint, "absent", configs(name).values().next().expect("one"));
    assert_eq!(none.expect("no error"), None);
    loaded
}

#[test]
fn bitsandbytes_checkpoints_load_exactly() {
    let loaded = compare("bnb", 5);
    let QuantizedMatrix::Bnb4(double) = &loaded["nf4_double"] else { panic!("four bits") };
    assert!(matches!(double.absmax(), Absmax::Nested { .. }));
    let QuantizedMatrix::Bnb4(many) = &loaded["fp4_many"] else { panic!("four bits") };
    let Absmax::Nested { values, .. } = many.absmax() else { panic!("nested") };
    assert_eq!((values.len(), values.absmax().len()), (260, 2));
}

#[test]
fn int8_rows_are_quantized_as_bitsandbytes_does() {
    let expected = SafetensorsFile::open(vectors("bnb").join("expected.safetensors")).expect("it opens");
    let values = expected.f32("int8.unquantized").expect("there");
    let ours = formats::quant::Int8Matrix::quantize([7, 33], &values).expect("quantized");
    assert_eq!(QuantizedMatrix::from(ours), compare("bnb", 5)["int8"]);
}

#[test]
fn gptq_checkpoints_load_exactly() {
    let loaded = compare("gptq", 8);
    let columns = |case: &str| match &loaded[case] {
        QuantizedMatrix::Gptq(matrix) => matrix.columns().clone(),
        other => panic!("{case} is {other:?}"),
    };
    // Columns in their order need no list, whether or not the checkpoint has one.
    assert_eq!(columns("symmetric"), Columns::Consecutive { size: 16 });
    assert_eq!(columns("asymmetric"), Columns::Consecutive { size: 16 });
    assert_eq!(columns("whole_rows"), Columns::Consecutive { size: 64 });
    assert!(matches!(columns("act_order"), Columns::Each(groups) if groups.len() == 64));
}

#[test]
fn configs_that_are_not_read_are_refused_by_name() {
    let path = Path::new("config.json");
    let gptq = |key: &str, value: Value| {
        let mut config = json!({"quant_method": "gptq", "bits": 4, "group_size": 128, "some_later_key": {}});
        config[key] = value;
        QuantizationConfig::parse(path, &config)
    };
    let plain = GptqConfig { bits: 4, group_size: Some(128), zeros_less_one: true };
    assert_eq!(gptq("bits", json!(4)).expect("read"), QuantizationConfig::Gptq(plain.clone()));
    assert_eq!(
        gptq("dynamic", json!({"-:lm_head": {}})).expect("read"),
        QuantizationConfig::Gptq(plain.clone())
    );
    let second = GptqConfig { zeros_less_one: false, ..plain.clone() };
    assert_eq!(gptq("format", json!("gptq_v2")).expect("read"), QuantizationConfig::Gptq(second));
    let whole = GptqConfig { group_size: None, ..plain };
    assert_eq!(gptq("group_size", json!(-1)).expect("read"), QuantizationConfig::Gptq(whole));
    for (key, value) in [
        ("quant_method", json!("awq")),
        ("bits", json!(3)),
        ("group_size", json!(0)),
        ("group_size", json!(-2)),
        ("is_marlin_format", json!(true)),
        ("checkpoint_format", json!("marlin")),
        ("dynamic", json!({"+:q_proj": {"bits": 8}})),
    ] {
        let error = gptq(key, value).expect_err(key);
        assert!(matches!(&error, Error::Unsupported { setting, .. } if setting == key), "{key}: {error}");
    }
    assert!(matches!(gptq("bits", json!("four")), Err(Error::Malformed { .. })));
    assert!(matches!(QuantizationConfig::parse(path, &json!({"bits": 4})), Err(Error::Malformed { .. })));
}

/// A copy of a folder's checkpoint with changes.
fn changed(
    name: &str,
    change: impl FnOnce(&mut BTreeMap<String, Tensor>),
) -> (tempfile::TempDir, Checkpoint) {
    let source = Checkpoint::open(vectors(name)).expect("it opens");
    let mut tensors: BTreeMap<String, Tensor> =
        source.names().map(|name| (name.to_owned(), source.tensor(name).expect("there"))).collect();
    change(&mut tensors);
    let folder = tempfile::tempdir().expect("a folder");
    let list: Vec<TensorBytes<'_>> = tensors
        .iter()
        .map(|(name, tensor)| TensorBytes {
            name,
            dtype: tensor.dtype,
            shape: &tensor.shape,
            bytes: &tensor.bytes,
        })
        .collect();
    write(folder.path().join("model.safetensors"), &list, &BTreeMap::new()).expect("it is written");
    let checkpoint = Checkpoint::open(folder.path()).expect("it opens");
    (folder, checkpoint)
}

fn bytes_of(text: &str) -> Tensor {
    Tensor { dtype: Dtype::U8, shape: vec![text.len()], bytes: text.as_bytes().to_vec() }
}

fn floats(shape: &[usize]) -> Tensor {
    Tensor { dtype: Dtype::F32, shape: shape.to_vec(), bytes: vec![0; 4 * shape.iter().product::<usize>()] }
}

#[test]
fn broken_bitsandbytes_checkpoints_say_what_is_wrong() {
    let state = "nf4_double.weight.quant_state.bitsandbytes__nf4";
    let json = |shape: &str, block: u64| {
        bytes_of(&format!(
            r#"{{"quant_type": "nf4", "blocksize": {block}, "dtype": "float32", "shape": {shape}, "nested_blocksize": 256, "nested_offset": 1.0}}"#
        ))
    };
    for (tensor, value, reason) in [
        (state, Some(bytes_of("not JSON")), "no quantization state"),
        (state, Some(bytes_of(&"[".repeat(60_000))), "no quantization state"),
        (state, Some(bytes_of(&" ".repeat(70_000))), "expected at most 65536"),
        (state, Some(floats(&[4])), "expected U8, got F32"),
        (state, Some(json("[24, 41]", 64)), "four-bit codes: expected 492, got 480"),
        (state, Some(json("[960]", 64)), "expected shape [out, in], got [960]"),
        (state, Some(json("[4294967296, 4294967296]", 64)), "fits into memory"),
        (state, Some(json("[0, 0]", 64)), "columns: expected at least 1"),
        (state, Some(json("[24, 40]", 0)), "block size: expected at least 1"),
        (state, Some(json("[24, 40]", 32)), "scales of blocks: expected 30, got 15"),
        (state, Some(bytes_of(r#"{"quant_type": "fp4", "blocksize": 64, "shape": [24, 40]}"#)), "quant_type"),
        (
            state,
            Some(bytes_of(r#"{"quant_type": "nf4", "blocksize": 64, "shape": [24, 40]}"#)),
            "nested_blocksize",
        ),
        ("nf4_double.weight", None, "no tensor nf4_double.weight "),
        ("nf4_double.weight.quant_map", Some(floats(&[15])), "expected shape [16], got [15]"),
        ("nf4_double.weight.nested_quant_map", Some(floats(&[16])), "expected shape [256]"),
        ("nf4_double.weight.absmax", Some(floats(&[15])), "expected U8, got F32"),
        ("nf4_double.weight.nested_absmax", Some(floats(&[2])), "scales of 8-bit blocks: expected 1, got 2"),
    ] {
        let (_folder, checkpoint) = changed("bnb", |tensors| match value {
            Some(value) => drop(tensors.insert(tensor.to_owned(), value)),
            None => drop(tensors.remove(tensor)),
        });
        let error = QuantizedMatrix::load(&checkpoint, "nf4_double", &QuantizationConfig::Bitsandbytes);
        let error = error.expect_err(reason).to_string();
        assert!(error.contains(reason), "{tensor}: {error}");
    }
    for (tensor, value, reason) in [
        ("int8.SCB", floats(&[6]), "row scales: expected 7, got 6"),
        ("int8.weight", floats(&[7, 33]), "expected I8, got F32"),
        ("int8.weight_format", bytes_of("\u{1}"), "weight_format` is [1]"),
    ] {
        let (_folder, checkpoint) = changed("bnb", |tensors| drop(tensors.insert(tensor.to_owned(), value)));
        let error = QuantizedMatrix::load(&checkpoint, "int8", &QuantizationConfig::Bitsandbytes);
        let error = error.expect_err(reason).to_string();
        assert!(error.contains(reason), "{tensor}: {error}");
    }
}

fn ints(shape: &[usize], value: i32) -> Tensor {
    let bytes = value.to_le_bytes().repeat(shape.iter().product());
    Tensor { dtype: Dtype::I32, shape: shape.to_vec(), bytes }
}

#[test]
fn broken_gptq_checkpoints_say_what_is_wrong() {
    let config = &configs("gptq")["act_order"];
    for (tensor, value, reason) in [
        ("act_order.qweight", Some(ints(&[8, 31], 0)), "scales: expected shape [4, 31], got [4, 32]"),
        ("act_order.qweight", Some(ints(&[7, 32], 0)), "qweight: expected shape [8, 32], got [7, 32]"),
        ("act_order.qweight", Some(ints(&[256], 0)), "expected shape [in * bits / 32, out], got [256]"),
        ("act_order.qweight", Some(ints(&[usize::MAX >> 3, 0], 0)), "expected shape [in * bits / 32, out]"),
        ("act_order.qweight", Some(floats(&[8, 32])), "expected I32, got F32"),
        ("act_order.qzeros", Some(ints(&[4, 5], 0)), "qzeros: expected shape [4, 4], got [4, 5]"),
        ("act_order.scales", Some(floats(&[3, 32])), "qzeros: expected shape [3, 4], got [4, 4]"),
        ("act_order.scales", None, "no tensor act_order.scales "),
        ("act_order.g_idx", Some(ints(&[64], 4)), "group of a column: expected below 4, got 4"),
        ("act_order.g_idx", Some(ints(&[64], -1)), "g_idx holds a negative group"),
        ("act_order.g_idx", Some(ints(&[0], 0)), "qweight: expected shape [0, 32], got [8, 32]"),
        ("act_order.qzeros", None, "no tensor act_order.qzeros "),
    ] {
        let (_folder, checkpoint) = changed("gptq", |tensors| match value {
            Some(value) => drop(tensors.insert(tensor.to_owned(), value)),
            None => drop(tensors.remove(tensor)),
        });
        let error = QuantizedMatrix::load(&checkpoint, "act_order", config).expect_err(reason).to_string();
        assert!(error.contains(reason), "{tensor}: {error}");
    }
    let mut wide = configs("gptq")["symmetric"].clone();
    let QuantizationConfig::Gptq(settings) = &mut wide else { panic!("GPTQ") };
    settings.group_size = Some(32);
    let (_folder, checkpoint) = changed("gptq", |_| ());
    let error = QuantizedMatrix::load(&checkpoint, "symmetric", &wide).expect_err("two groups").to_string();
    assert!(error.contains("scales: expected 64, got 128"), "{error}");
}

proptest! {
    #[test]
    fn whatever_the_tensors_are_a_load_ends_in_a_matrix_or_an_error(
        words in 0usize..5, rows in 0usize..9, groups in 0usize..4, zero_words in 0usize..3,
        group_of in proptest::collection::vec(-1i32..5, 0..40), bits in prop_oneof![Just(2usize), Just(4), Just(8)],
        size in prop_oneof![Just(None), (1usize..40).prop_map(Some)], listed in any::<bool>(),
    ) {
        let (_folder, checkpoint) = changed("gptq", |tensors| {
            tensors.clear();
            tensors.insert("m.qweight".to_owned(), ints(&[words, rows], -1));
            tensors.insert("m.qzeros".to_owned(), ints(&[groups, zero_words], 0x7654_3210));
            tensors.insert("m.scales".to_owned(), floats(&[groups, rows]));
            if listed {
                let bytes = group_of.iter().flat_map(|group| group.to_le_bytes()).collect();
                tensors.insert("m.g_idx".to_owned(), Tensor { dtype: Dtype::I32, shape: vec![group_of.len()], bytes });
            }
        });
        let config = QuantizationConfig::Gptq(GptqConfig { bits, group_size: size, zeros_less_one: true });
        if let Ok(Some(matrix)) = QuantizedMatrix::load(&checkpoint, "m", &config) {
            prop_assert_eq!(matrix.rows(), rows);
            prop_assert!(matrix.to_f32().iter().all(|value| *value == 0.0));
        }
    }

    #[test]
    fn whatever_the_quantization_state_says_a_load_ends_in_a_matrix_or_an_error(
        state in prop_oneof![
            ".{0,60}",
            (any::<i64>(), any::<u64>(), any::<u64>()).prop_map(|(block, rows, cols)| json!({
                "quant_type": "nf4", "blocksize": block, "shape": [rows, cols],
                "nested_blocksize": block, "nested_offset": 1.0
            }).to_string()),
        ],
    ) {
        let (_folder, checkpoint) = changed("bnb", |tensors| {
            tensors.insert("nf4_double.weight.quant_state.bitsandbytes__nf4".to_owned(), bytes_of(&state));
        });
        let loaded = QuantizedMatrix::load(&checkpoint, "nf4_double", &QuantizationConfig::Bitsandbytes);
        if let Ok(Some(matrix)) = loaded {
            prop_assert_eq!(matrix.rows() * matrix.cols(), 960);
        }
    }
}
