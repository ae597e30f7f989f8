//! Dropout (Srivastava et al. 2014) with masks that are computed where they are needed, twice, and never stored.

use super::buffer::{Rows, RowsMut, by_rows, task_rows};
use super::math::{Arithmetic, Kernel, dispatch};
use super::{Isa, Threads};
use crate::Dropout;

/// `y = scale · mask ∘ x`, added to `y` if `add`.
pub(super) fn dropout(
    threads: &Threads,
    isa: Isa,
    y: RowsMut<'_>,
    x: Rows<'_>,
    (add, mask): (bool, &Dropout<'_>),
) {
    assert!((0.0..1.0).contains(&mask.probability), "a dropout of {}", mask.probability);
    let threshold = (f64::from(mask.probability) * 2f64.powi(32)).round() as u32;
    by_rows(threads, task_rows(y.cols), [y], |first, [mut y]| {
        for i in 0..y.rows {
            let words = words(mask.keys[first + i], mask.stream);
            let (y, x, scale) = (y.row(i), x.row(first + i), mask.scale);
            dispatch(isa, Row { y, x, words, threshold, scale, add });
        }
    });
}

/// Two words that stand for a row in a stream (the finisher of SplitMix64; Steele, Lea & Flood 2014).
fn words(key: u64, stream: u64) -> [u32; 2] {
    let mut z = key ^ stream.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    [z as u32, (z >> 32) as u32]
}

/// The finisher of MurmurHash3 (Appleby 2011), which changes half of its bits with every bit of its input.
#[inline(always)]
fn mix(mut h: u32) -> u32 {
    h = (h ^ (h >> 16)).wrapping_mul(0x85EB_CA6B);
    h = (h ^ (h >> 13)).wrapping_mul(0xC2B2_AE35);
    h ^ (h >> 16)
}

struct Row<'a> {
    y: &'a mut [f32],
    x: &'a [f32],
    words: [u32; 2],
    threshold: u32,
    scale: f32,
    add: bool,
}

impl Kernel for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arithmetic>(self) {
        let Row { y, x, words: [low, high], threshold, scale, add } = self;
        let kept = |column: usize, x: f32| {
            let bits = mix(mix((column as u32).wrapping_mul(0x9E37_79B9) ^ low) ^ high);
            if bits >= threshold { x * scale } else { 0.0 }
        };
        match add {
            true => y.iter_mut().zip(x).enumerate().for_each(|(j, (y, &x))| *y += kept(j, x)),
            false => y.iter_mut().zip(x).enumerate().for_each(|(j, (y, &x))| *y = kept(j, x)),
        }
    }
}
