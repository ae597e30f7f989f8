//! GGUF files: real ones read as they were written, ours are those of gguf-py, and broken ones are errors.

mod reference;

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use formats::gguf::{
    AdapterTensor, Array, GgufAdapter, NewTensor, Value, gguf_name, interleaved_row, write, write_adapter,
};
use formats::quant::BlockType;
use formats::{Error, GgufFile, QuantizedMatrix, SafetensorsFile};
use proptest::prelude::*;
use reference::oracle;

const STORIES: &str = "weights/stories260K";

/// A small file with every type of value and several tensors.
fn sample(path: &Path) -> Vec<u8> {
    let metadata = [
        ("general.architecture", Value::from("llama")),
        ("a.u8", Value::U8(7)),
        ("a.i8", Value::I8(-7)),
        ("a.u16", Value::U16(300)),
        ("a.i16", Value::I16(-300)),
        ("a.u32", Value::U32(70_000)),
        ("a.i32", Value::I32(-70_000)),
        ("a.f32", Value::F32(0.5)),
        ("a.bool", Value::Bool(true)),
        ("a.u64", Value::U64(1 << 40)),
        ("a.i64", Value::I64(-1 << 40)),
        ("a.f64", Value::F64(0.1)),
        ("a.tokens", Value::Array(Array::String(vec!["<s>".to_owned(), String::new(), "é".to_owned()]))),
        ("a.scores", Value::Array(Array::F32(vec![0.0, -1.5]))),
        ("a.kinds", Value::Array(Array::I32(vec![3, 1, 6]))),
        ("a.flags", Value::Array(Array::Bool(vec![true, false]))),
        ("a.none", Value::Array(Array::U64(vec![]))),
    ];
    let tensors = [
        NewTensor { name: "norm", kind: BlockType::F32, shape: &[3] },
        NewTensor { name: "matrix", kind: BlockType::Q8_0, shape: &[2, 32] },
        NewTensor { name: "half", kind: BlockType::F16, shape: &[2, 1, 2] },
    ];
    let bytes: [Vec<u8>; 3] = [vec![1; 12], (0..68).collect(), vec![0x3c; 8]];
    write(path, &metadata, &tensors, |number| Ok(Cow::Borrowed(&bytes[number][..]))).expect("it is written");
    fs::read(path).expect("it can be read")
}

/// The bytes of a file with these counts, then whatever is given.
fn file_of(version: u32, tensors: u64, entries: u64, rest: &[u8]) -> Vec<u8> {
    [b"GGUF".as_slice(), &version.to_le_bytes(), &tensors.to_le_bytes(), &entries.to_le_bytes(), rest]
        .concat()
}

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

fn tensor(name: &str, dimensions: &[u64], kind: u32, offset: u64) -> Vec<u8> {
    let mut bytes = string(name);
    bytes.extend((dimensions.len() as u32).to_le_bytes());
    dimensions.iter().for_each(|extent| bytes.extend(extent.to_le_bytes()));
    bytes.extend(kind.to_le_bytes());
    bytes.extend(offset.to_le_bytes());
    bytes
}

fn open_bytes(bytes: &[u8]) -> formats::Result<GgufFile> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.gguf");
    fs::write(&path, bytes).expect("it is written");
    GgufFile::open(&path)
}

#[test]
fn what_is_written_comes_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.gguf");
    let bytes = sample(&path);
    assert_eq!(bytes, sample(&path), "the same bytes each time");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing is left beside it");

    let file = GgufFile::open(&path).expect("it opens");
    assert_eq!((file.version(), file.metadata().len()), (3, 17));
    assert_eq!(file.require::<&str>("general.architecture").expect("there"), "llama");
    assert_eq!(file.require::<u64>("a.u16").expect("there"), 300);
    assert_eq!(file.require::<usize>("a.u64").expect("there"), 1 << 40);
    assert_eq!(file.require::<f64>("a.f32").expect("there"), 0.5);
    assert!(file.require::<bool>("a.bool").expect("there"));
    assert_eq!(file.require::<&[String]>("a.tokens").expect("there"), ["<s>", "", "é"]);
    assert_eq!(file.require::<&[f32]>("a.scores").expect("there"), [0.0, -1.5]);
    assert_eq!(file.require::<Vec<u64>>("a.kinds").expect("there"), [3, 1, 6]);
    assert_eq!(file.metadata()["a.none"], Value::Array(Array::U64(vec![])));
    assert_eq!(file.get::<u64>("a.absent").expect("no error"), None);

    assert_eq!(file.names().collect::<Vec<_>>(), ["half", "matrix", "norm"]);
    assert_eq!(file.info("matrix").expect("there").shape, [2, 32]);
    assert_eq!(file.bytes("matrix").expect("there"), (0..68).collect::<Vec<u8>>());
    let matrix = QuantizedMatrix::from(file.matrix("matrix").expect("there"));
    assert_eq!((matrix.rows(), matrix.cols(), matrix.bytes()), (2, 32, 68));
    assert_eq!(matrix.to_f32(), file.f32("matrix").expect("there"));
    let half = file.matrix("half").expect("there");
    assert_eq!((half.rows(), half.cols()), (2, 2));
    assert_eq!(file.matrix("norm").expect("there").rows(), 1);
    assert!(matches!(file.bytes("absent"), Err(Error::MissingTensor { count: 3, .. })));
}

#[test]
fn metadata_of_the_wrong_kind_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.gguf");
    sample(&path);
    let file = GgufFile::open(&path).expect("it opens");
    let error = file.require::<u64>("a.i8").expect_err("negative").to_string();
    assert!(error.ends_with("`a.i8`: expected an integer of 0 or more, got an i8"), "{error}");
    let error = file.require::<&str>("a.tokens").expect_err("an array").to_string();
    assert!(error.ends_with("`a.tokens`: expected a string, got an array of strings"), "{error}");
    let error = file.require::<f64>("a.absent").expect_err("absent").to_string();
    assert!(error.ends_with("the metadata has no `a.absent`: expected a float"), "{error}");
}

#[test]
fn a_trained_model_reads_as_its_hugging_face_twin() {
    let (Some(gguf), Some(hugging_face)) =
        (oracle(&format!("{STORIES}/gguf")), oracle(&format!("{STORIES}/hf/model.safetensors")))
    else {
        return;
    };
    let twin = SafetensorsFile::open(hugging_face).expect("it opens");
    for (file, limit) in [("f32", 0.0f32), ("f16", 1e-3), ("q8_0", 1e-2), ("q4_0", 0.15)] {
        let file = GgufFile::open(gguf.join(format!("stories260K-{file}.gguf"))).expect("it opens");
        let head = file.require::<usize>("llama.embedding_length").expect("there")
            / file.require::<usize>("llama.attention.head_count").expect("there");
        let mut compared = 0;
        for name in twin.names() {
            let expected = twin.f32(name).expect("there");
            let shape = twin.info(name).expect("there").1;
            let matrix = file.matrix(&gguf_name(name, false).expect("a name")).expect("there");
            let rotary = name.contains("q_proj") || name.contains("k_proj");
            let matrix = if rotary { matrix.reordered(|row| interleaved_row(row, head)) } else { matrix };
            assert_eq!(matrix.rows() * matrix.cols(), shape.iter().product::<usize>(), "{name}");
            let largest = expected.iter().fold(0.0f32, |a, b| a.max(b.abs()));
            for (got, expected) in QuantizedMatrix::from(matrix).to_f32().iter().zip(&expected) {
                assert!((got - expected).abs() <= limit * largest, "{name}: {got} for {expected}");
            }
            compared += 1;
        }
        assert!(compared >= 47, "{compared} tensors");
    }
}

/// The keys of the reference file in the order in which gguf-py wrote them.
const KEYS: [&str; 24] = [
    "general.architecture",
    "general.name",
    "general.license",
    "llama.context_length",
    "llama.embedding_length",
    "llama.block_count",
    "llama.feed_forward_length",
    "llama.attention.head_count",
    "llama.attention.head_count_kv",
    "llama.rope.dimension_count",
    "llama.rope.freq_base",
    "llama.attention.layer_norm_rms_epsilon",
    "llama.vocab_size",
    "general.file_type",
    "tokenizer.ggml.model",
    "tokenizer.ggml.tokens",
    "tokenizer.ggml.scores",
    "tokenizer.ggml.token_type",
    "tokenizer.ggml.bos_token_id",
    "tokenizer.ggml.eos_token_id",
    "tokenizer.ggml.unknown_token_id",
    "tokenizer.ggml.add_bos_token",
    "tokenizer.ggml.add_eos_token",
    "tokenizer.ggml.add_space_prefix",
];

#[test]
fn a_file_is_written_as_gguf_py_writes_it() {
    for kind in ["q4_0", "q8_0", "f16"] {
        let Some(source) = oracle(&format!("{STORIES}/gguf/stories260K-{kind}.gguf")) else { return };
        let file = GgufFile::open(&source).expect("it opens");
        let metadata: Vec<_> = KEYS.iter().map(|key| (*key, file.metadata()[*key].clone())).collect();
        let mut names: Vec<&str> = file.names().collect();
        names.sort_by_key(|name| file.info(name).expect("there").offset);
        let infos: Vec<_> = names.iter().map(|name| file.info(name).expect("there")).collect();
        let tensors: Vec<_> = names
            .iter()
            .zip(&infos)
            .map(|(name, info)| NewTensor { name, kind: info.kind, shape: &info.shape })
            .collect();
        // What was quantized is quantized anew, from the single-precision twin.
        let exact = GgufFile::open(source.with_file_name("stories260K-f32.gguf")).expect("it opens");
        let folder = tempfile::tempdir().expect("a folder");
        let ours = folder.path().join("ours.gguf");
        write(&ours, &metadata, &tensors, |number| {
            let bytes = infos[number].kind.encode(&exact.f32(names[number])?).expect("an encoder");
            Ok(Cow::Owned(bytes))
        })
        .expect("it is written");
        assert!(fs::read(&ours).expect("bytes") == fs::read(&source).expect("bytes"), "{kind}");
    }
}

#[test]
fn vocabularies_of_llama_cpp_open() {
    let Some(folder) = oracle("tokenizers/llama.cpp") else { return };
    for (name, architecture, tokens) in [
        ("llama-spm", "llama", 32_000),
        ("phi-3", "phi3", 32_064),
        ("bert-bge", "bert", 30_522),
        ("gpt-2", "gpt2", 50_257),
    ] {
        let file = GgufFile::open(folder.join(format!("ggml-vocab-{name}.gguf"))).expect(name);
        assert_eq!(file.names().count(), 0);
        assert_eq!(file.require::<&str>("general.architecture").expect("there"), architecture);
        assert_eq!(
            file.require::<&[String]>("tokenizer.ggml.tokens").expect("there").len(),
            tokens,
            "{name}"
        );
    }
}

#[test]
fn an_adapter_is_what_llama_cpp_asks_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("adapter.gguf");
    let numbers: Vec<f32> = (0..32).map(|i| i as f32).collect();
    let tensors = [
        AdapterTensor {
            module: "model.layers.0.self_attn.q_proj",
            scale: 2.0,
            rank: 2,
            a: &numbers[..8],
            b: &numbers[..16],
        },
        AdapterTensor {
            module: "model.layers.0.mlp.down_proj",
            scale: 8.0,
            rank: 1,
            a: &numbers[..4],
            b: &numbers[..3],
        },
    ];
    let adapter =
        GgufAdapter { architecture: "llama", name: "test", interleaved_heads: Some(4), tensors: &tensors };
    write_adapter(&path, &adapter).expect("it is written");
    let file = GgufFile::open(&path).expect("it opens");
    for (key, value) in
        [("general.architecture", "llama"), ("general.type", "adapter"), ("adapter.type", "lora")]
    {
        assert_eq!(file.require::<&str>(key).expect("there"), value);
    }
    // llama.cpp multiplies with alpha / rank: 4 / 2 for the first module, 4 / 1 for the second, whose own scale is 8.
    assert_eq!(file.require::<f64>("adapter.lora.alpha").expect("there"), 4.0);
    let names: Vec<&str> = file.names().collect();
    assert_eq!(
        names,
        [
            "blk.0.attn_q.weight.lora_a",
            "blk.0.attn_q.weight.lora_b",
            "blk.0.ffn_down.weight.lora_a",
            "blk.0.ffn_down.weight.lora_b"
        ]
    );
    let shapes: Vec<_> = names.iter().map(|name| file.info(name).expect("there").shape.clone()).collect();
    assert_eq!(shapes, [vec![2, 4], vec![8, 2], vec![1, 4], vec![3, 1]]);
    assert_eq!(file.f32(names[0]).expect("there"), numbers[..8]);
    // Rows 0 to 3 of a head, halves 01 and 23, become 0 2 1 3.
    assert_eq!(
        file.f32(names[1]).expect("there"),
        [0.0, 1.0, 4.0, 5.0, 2.0, 3.0, 6.0, 7.0, 8.0, 9.0, 12.0, 13.0, 10.0, 11.0, 14.0, 15.0]
    );
    assert_eq!(file.f32(names[3]).expect("there"), [0.0, 2.0, 4.0]);

    let unknown = [AdapterTensor { module: "model.rotary", ..tensors[0] }];
    let error =
        write_adapter(&path, &GgufAdapter { tensors: &unknown, ..adapter }).expect_err("no name").to_string();
    assert!(error.contains("model.rotary has no name in GGUF"), "{error}");
    let short = [AdapterTensor { rank: 3, ..tensors[0] }];
    let error =
        write_adapter(&path, &GgufAdapter { tensors: &short, ..adapter }).expect_err("rank").to_string();
    assert!(error.contains("no matrices of rank 3"), "{error}");
}

#[test]
fn what_contradicts_itself_is_not_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.gguf");
    let tensor = NewTensor { name: "w", kind: BlockType::Q4_0, shape: &[2, 32] };
    let attempt = |metadata: &[(&str, Value)], tensors: &[NewTensor<'_>], length: usize| {
        write(&path, metadata, tensors, |_| Ok(Cow::Owned(vec![0; length]))).expect_err("refused").to_string()
    };
    assert!(attempt(&[], &[tensor], 35).contains("35 bytes were given for Q4_0 of shape [2, 32]"));
    assert!(attempt(&[], &[tensor, tensor], 36).contains("tensor w was given twice"));
    assert!(attempt(&[], &[NewTensor { shape: &[2, 31], ..tensor }], 36).contains("whole Q4_0 blocks"));
    assert!(
        attempt(&[], &[NewTensor { shape: &[usize::MAX, 32], ..tensor }], 36).contains("whole Q4_0 blocks")
    );
    assert!(attempt(&[], &[NewTensor { shape: &[1, 1, 1, 1, 32], ..tensor }], 36).contains("at most 4"));
    assert!(attempt(&[], &[NewTensor { name: &"n".repeat(64), ..tensor }], 36).contains("fewer than 64"));
    assert!(attempt(&[("a", true.into()), ("a", true.into())], &[], 0).contains("given twice"));
    assert!(attempt(&[("general.alignment", Value::U32(24))], &[], 0).contains("general.alignment"));
    let refused = write(&path, &[], &[tensor], |_| {
        Err(Error::MissingTensor { path: path.clone(), tensor: "w".to_owned(), count: 0 })
    });
    assert!(matches!(refused, Err(Error::MissingTensor { .. })), "the reason is passed on");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
}

#[test]
fn every_truncation_is_an_error_that_names_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.gguf");
    let bytes = sample(&path);
    let end = GgufFile::open(&path).expect("it opens").info("half").expect("there").offset as usize + 8;
    for length in 0..end {
        fs::write(&path, &bytes[..length]).expect("it is written");
        let error = GgufFile::open(&path).expect_err("truncated").to_string();
        assert!(error.contains("a.gguf") && error.contains(&length.to_string()), "{length}: {error}");
    }
    fs::write(&path, &bytes[..end - 1]).expect("it is written");
    let error = GgufFile::open(&path).expect_err("one byte is missing");
    assert!(matches!(&error, Error::Length { part, .. } if part == "tensor half"), "{error}");
}

#[test]
fn every_flipped_bit_of_the_header_is_survived() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.gguf");
    let bytes = sample(&path);
    let header = GgufFile::open(&path).expect("it opens").info("norm").expect("there").offset as usize;
    for at in 0..header {
        for bit in 0..8 {
            let mut broken = bytes.clone();
            broken[at] ^= 1 << bit;
            fs::write(&path, &broken).expect("it is written");
            if let Ok(file) = GgufFile::open(&path) {
                assert_sound(&file, broken.len());
            }
        }
    }
}

/// What holds for every file that is accepted: tensors lie inside it, side by side, and can be decoded.
fn assert_sound(file: &GgufFile, length: usize) {
    let mut total = 0;
    for name in file.names() {
        let info = file.info(name).expect("there");
        assert!(info.offset as usize + info.bytes <= length);
        total += info.bytes;
        let values = file.f32(name).expect("it is in the file");
        assert_eq!(values.len(), info.shape.iter().product::<usize>());
        if info.bytes > 0 {
            assert_eq!(file.matrix(name).expect("whole blocks").data().len(), info.bytes);
        }
    }
    assert!(total <= length, "tensors of {total} bytes in {length}");
}

#[test]
fn lies_are_refused_by_name() {
    let data = [0; 256];
    let with_tensors = |tensors: &[Vec<u8>]| {
        let mut bytes = file_of(3, tensors.len() as u64, 0, &tensors.concat());
        bytes.resize(bytes.len().next_multiple_of(32), 0);
        bytes.extend(data);
        bytes
    };
    let entry = |key: &str, kind: u32, value: &[u8]| [&string(key)[..], &kind.to_le_bytes(), value].concat();
    let alignment = |kind: u32, value: &[u8]| {
        let mut bytes =
            file_of(3, 1, 1, &[entry("general.alignment", kind, value), tensor("w", &[8], 0, 0)].concat());
        bytes.extend(data);
        bytes
    };
    let array = |kind: u32, count: u64| [&kind.to_le_bytes()[..], &count.to_le_bytes(), &[0; 64]].concat();
    let f32 = 0;
    let q4_0 = 2;
    for (case, bytes, reason) in [
        ("another magic", b"GGML\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec(), "expected `GGUF`"),
        ("version 1", file_of(1, 0, 0, &[]), "GGUF version 1"),
        ("version 4", file_of(4, 0, 0, &[]), "GGUF version 4"),
        ("big-endian", file_of(3u32.swap_bytes(), 0, 0, &[]), "big-endian"),
        ("tensors without end", file_of(3, u64::MAX, 0, &[0; 64]), "the number of tensors"),
        ("entries without end", file_of(3, 0, u64::MAX / 13, &[0; 64]), "the number of metadata entries"),
        ("an endless key", file_of(3, 0, 1, &[0xff; 64]), "a metadata key"),
        ("an empty key", file_of(3, 0, 1, &entry("", 4, &[0; 4])), "key is empty"),
        (
            "a key that is not text",
            file_of(3, 0, 1, &[&1u64.to_le_bytes()[..], &[0xff; 16]].concat()),
            "not UTF-8",
        ),
        ("a key twice", file_of(3, 0, 2, &entry("k", 4, &[0; 4]).repeat(2)), "k comes twice"),
        ("a value of no type", file_of(3, 0, 1, &entry("k", 13, &[0; 8])), "k is of type 13"),
        ("a bool of 2", file_of(3, 0, 1, &entry("k", 7, &[2])), "bool of 2"),
        (
            "an endless string",
            file_of(3, 0, 1, &entry("k", 8, &u64::MAX.to_le_bytes())),
            "k (18446744073709551615)",
        ),
        (
            "an endless array",
            file_of(3, 0, 1, &entry("k", 9, &array(0, u64::MAX))),
            "k (18446744073709551615)",
        ),
        (
            "an array that wraps",
            file_of(3, 0, 1, &entry("k", 9, &array(10, 1 << 61))),
            "k (2305843009213693952)",
        ),
        ("an array of arrays", file_of(3, 0, 1, &entry("k", 9, &array(9, 1))), "array of arrays"),
        ("an array of no type", file_of(3, 0, 1, &entry("k", 9, &array(99, 1))), "array of type 99"),
        ("alignment 0", alignment(4, &0u32.to_le_bytes()), "expected a power of two"),
        ("alignment 24", alignment(4, &24u32.to_le_bytes()), "expected a power of two"),
        ("alignment as text", alignment(8, &string("32")), "expected a power of two"),
        ("alignment beyond the file", alignment(4, &(1u32 << 31).to_le_bytes()), "tensor w"),
        ("five dimensions", with_tensors(&[tensor("w", &[1; 5], f32, 0)]), "5 dimensions"),
        (
            "4 Gi dimensions",
            file_of(3, 1, 0, &[&string("w")[..], &[0xff; 32]].concat()),
            "4294967295 dimensions",
        ),
        ("a type that nobody knows", with_tensors(&[tensor("w", &[1], 99, 0)]), "ggml's number 99"),
        ("a type that is not decoded", with_tensors(&[tensor("w", &[256], 16, 0)]), "ggml's number 16"),
        ("part of a block", with_tensors(&[tensor("w", &[33], q4_0, 0)]), "multiple of 32 for Q4_0"),
        (
            "elements that wrap to 0",
            with_tensors(&[tensor("w", &[1 << 32, 1 << 32], f32, 0)]),
            "more than memory",
        ),
        (
            "elements hidden by a 0",
            with_tensors(&[tensor("w", &[1 << 32, 1 << 32, 0], f32, 0)]),
            "more than memory",
        ),
        ("bytes that wrap", with_tensors(&[tensor("w", &[1 << 62], f32, 0)]), "more than memory"),
        ("an offset between the steps", with_tensors(&[tensor("w", &[1], f32, 31)]), "multiple of 32"),
        ("an offset that wraps", with_tensors(&[tensor("w", &[1], f32, u64::MAX - 31)]), "tensor w"),
        ("an end beyond the file", with_tensors(&[tensor("w", &[65], f32, 0)]), "tensor w"),
        (
            "a tensor twice",
            with_tensors(&[tensor("w", &[1], f32, 0), tensor("w", &[1], f32, 32)]),
            "w comes twice",
        ),
        (
            "overlapping",
            with_tensors(&[tensor("v", &[9], f32, 0), tensor("w", &[1], f32, 32)]),
            "v and w overlap",
        ),
        (
            "the same place",
            with_tensors(&[tensor("v", &[1], f32, 32), tensor("w", &[1], f32, 32)]),
            "v and w overlap",
        ),
    ] {
        let error = open_bytes(&bytes).expect_err(case).to_string();
        assert!(error.contains(reason), "{case}: {error}");
    }
    assert!(open_bytes(&with_tensors(&[tensor("v", &[8], f32, 0), tensor("w", &[56], f32, 32)])).is_ok());
    assert!(open_bytes(&with_tensors(&[tensor("v", &[0, 7], f32, 0), tensor("w", &[64], f32, 0)])).is_ok());
    assert!(open_bytes(&file_of(2, 0, 0, &[])).is_ok());
    assert!(open_bytes(&alignment(4, &64u32.to_le_bytes())).is_ok());
}

#[test]
fn long_texts_are_refused_before_they_are_read() {
    let long = "x".repeat((1 << 20) + 1);
    let entry = [&string("k")[..], &8u32.to_le_bytes(), &string(&long)].concat();
    let error = open_bytes(&file_of(3, 0, 1, &entry)).expect_err("too long").to_string();
    assert!(error.contains("1048577 bytes, expected at most 1048576"), "{error}");
    let array = [&string("k")[..], &9u32.to_le_bytes(), &0u32.to_le_bytes(), &(4u64 << 20 | 1).to_le_bytes()]
        .concat();
    let mut bytes = file_of(3, 0, 1, &array);
    bytes.resize(bytes.len() + (5 << 20), 0);
    let error = open_bytes(&bytes).expect_err("too long").to_string();
    assert!(error.contains("4194305 elements, expected at most 4194304"), "{error}");
}

#[test]
fn a_file_that_shrinks_while_open_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.gguf");
    sample(&path);
    let file = GgufFile::open(&path).expect("it opens");
    fs::OpenOptions::new().write(true).open(&path).and_then(|file| file.set_len(20)).expect("it shrinks");
    assert!(matches!(file.f32("matrix"), Err(Error::Io { .. })));
    assert!(GgufFile::open(folder.path()).expect_err("a folder").to_string().contains("folder"));
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<u8>().prop_map(Value::U8),
        any::<i16>().prop_map(Value::I16),
        any::<u32>().prop_map(Value::U32),
        any::<i64>().prop_map(Value::I64),
        (-1e30f32..1e30).prop_map(Value::F32),
        any::<bool>().prop_map(Value::Bool),
        ".{0,20}".prop_map(Value::String),
        proptest::collection::vec(".{0,8}", 0..10).prop_map(|values| Value::Array(Array::String(values))),
        proptest::collection::vec(any::<u16>(), 0..10).prop_map(|values| Value::Array(Array::U16(values))),
        proptest::collection::vec(any::<bool>(), 0..10).prop_map(|values| Value::Array(Array::Bool(values))),
    ]
}

proptest! {
    #[test]
    fn reading_undoes_writing(
        metadata in proptest::collection::btree_map("[a-z.]{1,20}", any_value(), 0..8),
        tensors in proptest::collection::btree_map("[a-z_.]{1,20}", (0usize..15, 0usize..3, 0usize..3), 0..6),
    ) {
        prop_assume!(!metadata.contains_key("general.alignment"));
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.gguf");
        let entries: Vec<(&str, Value)> = metadata.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
        let shapes: Vec<_> = tensors
            .values()
            .map(|(kind, rows, blocks)| (BlockType::ALL[*kind], [*rows, blocks * BlockType::ALL[*kind].elements()]))
            .collect();
        let new: Vec<NewTensor<'_>> =
            tensors.keys().zip(&shapes).map(|(name, (kind, shape))| NewTensor { name, kind: *kind, shape }).collect();
        let bytes = |number: usize| {
            let (kind, [rows, cols]) = shapes[number];
            vec![number as u8; rows * cols / kind.elements() * kind.bytes()]
        };
        write(&path, &entries, &new, |number| Ok(Cow::Owned(bytes(number)))).expect("it is written");
        let file = GgufFile::open(&path).expect("it opens");
        prop_assert_eq!(file.metadata(), &metadata);
        prop_assert_eq!(file.names().count(), new.len());
        for (number, tensor) in new.iter().enumerate() {
            let info = file.info(tensor.name).expect("there");
            prop_assert_eq!((info.kind, &info.shape[..]), (tensor.kind, tensor.shape));
            prop_assert_eq!(file.bytes(tensor.name).expect("there"), bytes(number));
        }
    }

    #[test]
    fn whatever_is_accepted_lies_inside_the_file(
        at in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.gguf");
        let mut bytes = sample(&path);
        for (index, byte) in &at {
            *index.get_mut(&mut bytes) = *byte;
        }
        fs::write(&path, &bytes).expect("it is written");
        if let Ok(file) = GgufFile::open(&path) {
            assert_sound(&file, bytes.len());
        }
    }
}
