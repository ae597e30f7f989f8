//! Quantized matrices decode and encode exactly as the reference implementations do, in any range of columns.

mod reference;

use std::ops::Range;

use formats::quant::bnb::dynamic_map;
use formats::quant::{
    Absmax, BlockMatrix, BlockType, Blockwise8, Bnb4Matrix, Bnb4Options, Bnb4Type, Columns, GptqMatrix,
    GptqParts, Int8Matrix,
};
use formats::{QuantizedMatrix, SafetensorsFile};
use proptest::prelude::*;
use reference::oracle;

const BNB: &str = "numerics/bnb_quant_vectors.safetensors";
const GGML: &str = "numerics/gguf_quant_vectors.safetensors";
/// The mean of the scales that torch found; it stands beside the vectors, in their JSON file.
const BNB_OFFSET: f32 = 2.601_688_9;

fn open(name: &str) -> Option<SafetensorsFile> {
    oracle(name).map(|path| SafetensorsFile::open(path).expect("reference vectors"))
}

fn assert_same_bits(got: &[f32], expected: &[f32], what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        // A NaN scale gives NaNs, whose payload nobody promises.
        let same = got.to_bits() == expected.to_bits() || got.is_nan() && expected.is_nan();
        assert!(same, "{what}: element {i} is {got}, expected {expected}");
    }
}

#[test]
fn ggml_blocks_decode_to_the_bits_of_gguf_py() {
    let Some(vectors) = open(GGML) else { return };
    let mut compared = 0;
    for kind in BlockType::ALL.into_iter().filter(|kind| *kind != BlockType::F32) {
        let name = kind.name();
        let source = [format!("{name}.q"), format!("{name}.random_blocks")];
        let source = source.iter().find(|source| vectors.contains(source)).expect("bytes to decode");
        let expected = vectors.f32(&format!("{name}.dequant")).expect("decoded values");
        let (rows, cols) = (vectors.info(source).expect("there").1[0], 256);
        let matrix =
            BlockMatrix::new(kind, rows, cols, vectors.bytes(source).expect("there")).expect("whole blocks");
        assert_same_bits(&QuantizedMatrix::from(matrix).to_f32(), &expected, name);
        compared += 1;
    }
    assert_eq!(compared, 14);
}

#[test]
fn ggml_blocks_encode_to_the_bytes_of_gguf_py() {
    let Some(vectors) = open(GGML) else { return };
    let values = vectors.f32("W").expect("values");
    let encoders = ["F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"];
    for kind in BlockType::ALL.into_iter().filter(|kind| encoders.contains(&kind.name())) {
        let encoded = kind.encode(&values).expect("an encoder");
        assert_eq!(encoded, vectors.bytes(&format!("{}.q", kind.name())).expect("bytes"), "{}", kind.name());
    }
}

#[test]
fn nf4_and_fp4_are_those_of_bitsandbytes() {
    let Some(vectors) = open(BNB) else { return };
    let values = vectors.f32("A").expect("values");
    for kind in [Bnb4Type::Nf4, Bnb4Type::Fp4] {
        let name = format!("{}_b64", kind.name());
        let tensor = |part: &str| vectors.f32(&format!("{name}.{part}")).expect("there");
        let bytes = |part: &str| vectors.bytes(&format!("{name}.{part}")).expect("there");
        let options = Bnb4Options { kind, block: 64, double: false };
        let matrix = Bnb4Matrix::quantize([64, 128], &values, options).expect("quantized");
        assert_eq!(matrix.packed(), bytes("packed"));
        assert_eq!(matrix.absmax(), &Absmax::Plain(tensor("absmax")));
        assert_same_bits(&QuantizedMatrix::from(matrix).to_f32(), &tensor("dequant"), &name);
    }
}

#[test]
fn double_quantization_is_that_of_bitsandbytes() {
    let Some(vectors) = open(BNB) else { return };
    let values = vectors.f32("A").expect("values");
    for kind in [Bnb4Type::Nf4, Bnb4Type::Fp4] {
        let name = format!("{}_b64_dq", kind.name());
        let tensor = |part: &str| vectors.f32(&format!("{name}.{part}")).expect("there");
        let bytes = |part: &str| vectors.bytes(&format!("{name}.{part}")).expect("there");

        let nested = Blockwise8::new(
            bytes("absmax"),
            tensor("nested_absmax"),
            tensor("nested_code").try_into().expect("256 levels"),
            256,
        )
        .expect("it fits");
        let absmax = Absmax::Nested { values: nested.clone(), offset: BNB_OFFSET };
        let stored = Bnb4Matrix::new([64, 128], 64, bytes("packed"), absmax, kind.levels()).expect("it fits");
        assert_same_bits(&QuantizedMatrix::from(stored.clone()).to_f32(), &tensor("dequant"), &name);

        // With torch's mean the second quantization is torch's, byte for byte.
        let scales = vectors.f32(&format!("{}_b64.absmax", kind.name())).expect("there");
        let centred: Vec<f32> = scales.iter().map(|scale| scale - BNB_OFFSET).collect();
        assert_eq!(Blockwise8::quantize(&centred, Box::new(dynamic_map(true)), 256), nested);

        // With the exact mean it differs from that by rounding only.
        let options = Bnb4Options { kind, block: 64, double: true };
        let ours = Bnb4Matrix::quantize([64, 128], &values, options).expect("quantized");
        assert_eq!(ours.packed(), stored.packed());
        let Absmax::Nested { values: ours, offset } = ours.absmax() else { panic!("nested") };
        assert_eq!(ours.codes(), nested.codes());
        assert!((offset - BNB_OFFSET).abs() <= BNB_OFFSET * f32::EPSILON, "{offset}");
    }
}

#[test]
fn eight_bit_blocks_are_those_of_bitsandbytes() {
    let Some(vectors) = open(BNB) else { return };
    let tensor = |part: &str| vectors.f32(&format!("int8_dynamic_b256.{part}")).expect("there");
    let code = Box::new(dynamic_map(true));
    assert_same_bits(code.as_slice(), &tensor("code"), "code book");
    let quantized = Blockwise8::quantize(&vectors.f32("A").expect("values"), code, 256);
    assert_eq!(quantized.codes(), vectors.bytes("int8_dynamic_b256.q").expect("there"));
    assert_eq!(quantized.absmax(), tensor("absmax"));
    let decoded: Vec<f32> = (0..quantized.len()).map(|i| quantized.value(i)).collect();
    assert_same_bits(&decoded, &tensor("dequant"), "values");
}

/// One matrix `[rows, cols]` of every kind, where `cols` allows it.
fn one_of_each(rows: usize, cols: usize, values: &[f32]) -> Vec<QuantizedMatrix> {
    let mut matrices: Vec<QuantizedMatrix> = Vec::new();
    for kind in BlockType::ALL {
        if let Some(row_bytes) = kind.row_bytes(cols) {
            let data = (0..rows * row_bytes).map(|i| (i * 37 % 251) as u8).collect();
            matrices.push(BlockMatrix::new(kind, rows, cols, data).expect("whole blocks").into());
        }
    }
    for (kind, block, double) in
        [(Bnb4Type::Nf4, 64, false), (Bnb4Type::Fp4, 32, true), (Bnb4Type::Nf4, 7, true)]
    {
        let options = Bnb4Options { kind, block, double };
        matrices.push(Bnb4Matrix::quantize([rows, cols], values, options).expect("quantized").into());
    }
    matrices.push(Int8Matrix::quantize([rows, cols], values).expect("quantized").into());
    for (bits, size) in [(4, 32), (8, 5), (2, cols.max(1))] {
        let groups = cols.div_ceil(size);
        let codes = (0..rows * (cols * bits).div_ceil(8)).map(|i| (i * 41 % 256) as u8).collect();
        let scales = values.iter().cycle().take(rows * groups).copied().collect();
        let zeros = (0..rows * groups).map(|i| (i % 16) as u8).collect();
        let columns = if bits == 8 {
            Columns::Each((0..cols).map(|col| (col * 3 % groups) as u32).collect())
        } else {
            Columns::Consecutive { size }
        };
        let parts = GptqParts { shape: [rows, cols], bits, codes, scales, zeros, columns };
        matrices.push(GptqMatrix::new(parts).expect("it fits").into());
    }
    matrices
}

proptest! {
    #[test]
    fn a_range_of_columns_is_that_range_of_the_row(
        rows in 1usize..4,
        cols in prop_oneof![1usize..80, Just(256usize), Just(512)],
        seed in any::<u64>(),
    ) {
        let mut state = seed | 1;
        let mut next = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize
        };
        let values: Vec<f32> = (0..rows * cols).map(|_| next() as f32 / 1e9 - 1.0).collect();
        for matrix in one_of_each(rows, cols, &values) {
            let whole = matrix.to_f32();
            prop_assert_eq!((matrix.rows(), matrix.cols(), whole.len()), (rows, cols, rows * cols));
            for _ in 0..8 {
                let (row, start) = (next() % rows, next() % (cols + 1));
                let range: Range<usize> = start..start + next() % (cols - start + 1);
                let mut part = vec![f32::NAN; range.len()];
                matrix.decode(row, range.clone(), &mut part);
                assert_same_bits(&part, &whole[row * cols..][range], "a part of a row");
            }
        }
    }

    #[test]
    fn quantizing_what_was_quantized_changes_nothing(
        values in proptest::collection::vec(-1e3f32..1e3, 64),
    ) {
        for kind in [BlockType::Q4_0, BlockType::Q8_0] {
            let once = BlockMatrix::new(kind, 2, 32, kind.encode(&values).expect("an encoder")).expect("blocks");
            let decoded = QuantizedMatrix::from(once).to_f32();
            let mut again = vec![0.0; 64];
            kind.decode(&kind.encode(&decoded).expect("an encoder"), &mut again);
            let largest = values.iter().fold(0.0f32, |a, b| a.max(b.abs()));
            for (a, b) in decoded.iter().zip(&again) {
                prop_assert!((a - b).abs() <= largest * 1e-3, "{} {} {}", kind.name(), a, b);
            }
        }
        let options = Bnb4Options { kind: Bnb4Type::Nf4, block: 64, double: false };
        let once = QuantizedMatrix::from(Bnb4Matrix::quantize([4, 16], &values, options).expect("quantized"));
        let again = Bnb4Matrix::quantize([4, 16], &once.to_f32(), options).expect("quantized");
        prop_assert_eq!(QuantizedMatrix::from(again).to_f32(), once.to_f32());
    }

    #[test]
    fn four_bit_blocks_keep_values_to_half_the_widest_gap(
        values in proptest::collection::vec(-1e3f32..1e3, 1..200),
        block in 1usize..70,
    ) {
        for (kind, half_gap) in [(Bnb4Type::Nf4, 0.152), (Bnb4Type::Fp4, 0.167)] {
            let options = Bnb4Options { kind, block, double: false };
            let shape = [1, values.len()];
            let decoded =
                QuantizedMatrix::from(Bnb4Matrix::quantize(shape, &values, options).expect("quantized")).to_f32();
            for (values, decoded) in values.chunks(block).zip(decoded.chunks(block)) {
                let largest = values.iter().fold(0.0f32, |a, b| a.max(b.abs()));
                for (value, decoded) in values.iter().zip(decoded) {
                    prop_assert!((value - decoded).abs() <= half_gap * largest + 1e-30, "{} {}", value, decoded);
                }
            }
        }
    }
}

#[test]
fn parts_that_do_not_fit_are_refused_with_the_sizes() {
    let refusal =
        |matrix: Result<QuantizedMatrix, formats::quant::Mismatch>| matrix.expect_err("refused").to_string();
    let block = |cols, bytes| BlockMatrix::new(BlockType::Q4_K, 2, cols, vec![0; bytes]).map(Into::into);
    assert_eq!(refusal(block(100, 0)), "columns: expected a multiple of 256 (Q4_K), got 100");
    assert_eq!(refusal(block(256, 287)), "bytes of blocks: expected 288, got 287");

    let plain = |scales| Absmax::Plain(vec![1.0; scales]);
    let four = |block, bytes, scales| {
        Bnb4Matrix::new([3, 43], block, vec![0; bytes], plain(scales), Bnb4Type::Nf4.levels()).map(Into::into)
    };
    assert!(four(64, 65, 3).is_ok());
    assert_eq!(refusal(four(64, 64, 3)), "bytes of four-bit codes: expected 65, got 64");
    assert_eq!(refusal(four(64, 65, 2)), "scales of blocks: expected 3, got 2");
    assert_eq!(refusal(four(0, 65, 3)), "block size: expected at least 1, got 0");
    let endless = Bnb4Matrix::new([usize::MAX, 2], 64, vec![], plain(0), Bnb4Type::Nf4.levels());
    assert!(refusal(endless.map(Into::into)).contains("fits into memory"));

    let parts = GptqParts {
        shape: [2, 8],
        bits: 4,
        codes: vec![0; 8],
        scales: vec![1.0; 4],
        zeros: vec![8; 4],
        columns: Columns::Each(vec![0, 1, 0, 1, 0, 1, 0, 1]),
    };
    let gptq = |change: fn(&mut GptqParts)| {
        let mut parts = parts.clone();
        change(&mut parts);
        GptqMatrix::new(parts).map(Into::into)
    };
    assert!(gptq(|_| ()).is_ok());
    assert_eq!(refusal(gptq(|parts| parts.bits = 3)), "bits: expected 2, 4 or 8, got 3");
    assert_eq!(
        refusal(gptq(|parts| parts.columns = Columns::Each(vec![2; 8]))),
        "group of a column: expected below 2, got 2"
    );
    assert_eq!(
        refusal(gptq(|parts| parts.columns = Columns::Consecutive { size: 0 })),
        "group size: expected at least 1, got 0"
    );
    assert_eq!(refusal(gptq(|parts| parts.zeros.truncate(3))), "zeros: expected 4, got 3");
    assert_eq!(
        refusal(Int8Matrix::new([2, 3], vec![0; 6], vec![1.0]).map(Into::into)),
        "row scales: expected 2, got 1"
    );
}
