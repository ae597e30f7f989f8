//! Encoded blocks decode to values near those that went in, importance moves the error to where it matters least, and
//! what has no place in a format is refused.

use formats::quant::{BlockType, Unencodable};
use proptest::prelude::*;

const KINDS: [BlockType; 8] = [
    BlockType::Q4_0,
    BlockType::Q4_1,
    BlockType::Q5_0,
    BlockType::Q5_1,
    BlockType::Q8_0,
    BlockType::Q4_K,
    BlockType::Q5_K,
    BlockType::Q6_K,
];

/// Normal values: sums of uniform ones, the same for the same seed.
fn normal(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    (0..count).map(|_| (0..12).map(|_| uniform()).sum::<f32>() - 6.0).collect()
}

fn encode(kind: BlockType, values: &[f32], importance: Option<&[f32]>) -> Vec<f32> {
    let mut bytes = vec![0; values.len() / kind.elements() * kind.bytes()];
    kind.encode_rows(values, importance, &mut bytes).expect("encoded");
    let mut decoded = vec![0.0; values.len()];
    kind.decode(&bytes, &mut decoded);
    decoded
}

/// The squared error of each row of `importance.len()` values, weighted.
fn error(values: &[f32], decoded: &[f32], importance: &[f32]) -> f64 {
    let pairs = values.iter().zip(decoded).zip(importance.iter().cycle());
    pairs.map(|((a, b), weight)| f64::from(*weight) * f64::from(a - b).powi(2)).sum()
}

#[test]
fn normal_values_lose_no_more_than_their_bits_imply() {
    let values = normal(1, 256 * 64);
    let ones = vec![1.0; 256];
    let power = error(&values, &vec![0.0; values.len()], &ones);
    // Relative squared errors of llama.cpp's formats on normal values; each bit more is a factor of about four.
    let bounds = [1.1e-2, 7.0e-3, 2.6e-3, 1.7e-3, 3.4e-5, 5.5e-3, 1.5e-3, 3.8e-4];
    for (kind, bound) in KINDS.into_iter().zip(bounds) {
        let relative = error(&values, &encode(kind, &values, None), &ones) / power;
        assert!(relative < bound, "{}: {relative:e}", kind.name());
        assert!(relative > bound / 3.0, "{}: {relative:e} is too good to be true", kind.name());
    }
}

#[test]
fn importance_lowers_the_weighted_error_of_every_format_that_has_a_choice() {
    let cols = 512;
    let values = normal(2, cols * 32);
    // A few columns matter a hundred times as much as the others, as in real activations.
    let importance: Vec<f32> = normal(3, cols).iter().map(|z| (2.0 * z).exp()).collect();
    for kind in KINDS.into_iter().filter(|kind| *kind != BlockType::Q8_0) {
        let plain = error(&values, &encode(kind, &values, None), &importance);
        let weighted = error(&values, &encode(kind, &values, Some(&importance)), &importance);
        assert!(weighted < 0.9 * plain, "{}: {weighted} with importance, {plain} without", kind.name());
    }
    let plain = encode(BlockType::Q8_0, &values, None);
    assert_eq!(plain, encode(BlockType::Q8_0, &values, Some(&importance)));
}

#[test]
fn rows_encode_alone_as_they_do_in_their_matrix() {
    let (rows, cols) = (6, 512);
    let values = normal(4, rows * cols);
    let importance: Vec<f32> = normal(5, cols).iter().map(|z| z.abs() + 0.1).collect();
    for kind in KINDS {
        let row_bytes = kind.row_bytes(cols).expect("whole blocks");
        for importance in [None, Some(&importance[..])] {
            let mut whole = vec![0; rows * row_bytes];
            kind.encode_rows(&values, importance, &mut whole).expect("encoded");
            let mut parts = vec![0; rows * row_bytes];
            for (values, out) in values.chunks(2 * cols).zip(parts.chunks_mut(2 * row_bytes)) {
                kind.encode_rows(values, importance, out).expect("encoded");
            }
            assert_eq!(whole, parts, "{}", kind.name());
        }
    }
}

#[test]
fn a_decoded_block_of_a_single_value_is_that_value() {
    for kind in KINDS {
        for value in [0.0f32, 1.0, -1.0, 0.125, -64.0] {
            let decoded = encode(kind, &[value; 256], None);
            let near = |got: &f32| (got - value).abs() <= 0.02 * value.abs();
            assert!(decoded.iter().all(near), "{}: {value} became {}", kind.name(), decoded[0]);
        }
    }
}

#[test]
fn what_is_not_finite_is_refused_by_its_place() {
    for kind in KINDS.into_iter().chain([BlockType::F32, BlockType::F16, BlockType::Bf16]) {
        for hostile in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = vec![0.5; 512];
            values[300] = hostile;
            let refused = kind.encode(&values);
            assert!(matches!(refused, Err(Unencodable::NotFinite { at: 300, .. })), "{}", kind.name());
        }
    }
}

#[test]
fn what_half_precision_cannot_scale_is_refused_by_its_block() {
    for kind in KINDS.into_iter().chain([BlockType::F16]) {
        let mut values = vec![0.5; 512];
        (values[256], values[257]) = (3e38, -3e38);
        let refused = kind.encode(&values);
        assert_eq!(refused, Err(Unencodable::TooLarge { at: 256, kind }), "{}", kind.name());
    }
    assert_eq!(
        BlockType::Bf16.encode(&[f32::MAX]),
        Err(Unencodable::TooLarge { at: 0, kind: BlockType::Bf16 })
    );
    assert!(BlockType::F32.encode(&[f32::MAX]).is_ok());
}

#[test]
fn formats_that_are_only_read_say_so() {
    for kind in BlockType::ALL {
        let encoded = kind.encode(&[0.0; 256]);
        assert_eq!(encoded.is_ok(), kind.is_writable(), "{}", kind.name());
    }
    assert_eq!(BlockType::Q2_K.encode(&[0.0; 256]), Err(Unencodable::NoEncoder(BlockType::Q2_K)));
}

/// Values that blocks of real models do not have.
fn hostile() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => -1.0f32..1.0,
        1 => Just(0.0),
        1 => Just(-0.0),
        1 => Just(f32::from_bits(1)),
        1 => Just(f32::MIN_POSITIVE),
        1 => Just(1e-20),
        1 => Just(-1e4),
        1 => proptest::num::f32::NORMAL.prop_map(|value| value % 1e4),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_finite_block_decodes_to_something_else(
        values in prop::collection::vec(hostile(), 256),
        importance in prop::collection::vec(prop_oneof![Just(0.0f32), 0.0f32..1e6, Just(1e-30)], 256),
    ) {
        let largest = values.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        for kind in KINDS {
            for importance in [None, Some(&importance[..])] {
                for got in encode(kind, &values, importance) {
                    prop_assert!(got.is_finite() && got.abs() <= 8.0 * largest + 1e-6, "{}: {got}", kind.name());
                }
            }
        }
    }
}

/// FNV-1a.
fn digest(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn blocks_are_byte_for_byte_those_of_llama_cpp() {
    // `ggml_quantize_chunk` of llama.cpp's libggml-base 0.25.3, without and with importance (tools/check_llama_cpp.py).
    let expected = [
        (BlockType::Q4_0, 0x7ea0_1a22_faaa_a888, 0x98da_942b_cf0a_1bfb),
        (BlockType::Q4_1, 0x1177_7aa7_741c_7b10, 0xd17e_4d6f_838e_973b),
        (BlockType::Q5_0, 0x3ada_9f42_b573_4462, 0xe26b_410e_df43_172a),
        (BlockType::Q5_1, 0xde11_533a_02b1_9745, 0x75b6_e7b2_9122_9230),
        (BlockType::Q8_0, 0x6296_e491_2d54_8f49, 0x6296_e491_2d54_8f49),
        (BlockType::Q4_K, 0xc634_a840_49fe_1caa, 0x2fbc_b816_fa19_97ee),
        (BlockType::Q5_K, 0x931c_f91a_4fda_0a15, 0xd0d1_2e4f_4ce3_afdc),
        (BlockType::Q6_K, 0x6569_9b43_ab2d_1f7f, 0xa50a_70bc_0942_f5f3),
    ];
    let (rows, cols) = (16, 512);
    let values = normal(11, rows * cols);
    let importance: Vec<f32> = normal(12, cols).iter().map(|z| z.abs() + 0.125).collect();
    for (kind, plain, weighted) in expected {
        let mut bytes = vec![0; rows * kind.row_bytes(cols).expect("whole blocks")];
        for (importance, expected) in [(None, plain), (Some(&importance[..]), weighted)] {
            kind.encode_rows(&values, importance, &mut bytes).expect("encoded");
            let with = if importance.is_some() { "with" } else { "without" };
            assert_eq!(digest(&bytes), expected, "{} {with} importance", kind.name());
        }
    }
}
