//! `Q4_K`, `Q5_K` and `Q6_K`: first each sub-block finds its own scale, then the scales are rounded, then the codes are
//! rounded with the scales that the block will really have.

use super::super::MAX_ELEMENTS;
use super::super::simple::half;
use super::search::{NEGLIGIBLE, Trials, affine, nearest, positive, symmetric};
use super::simple::put_half;

/// Sub-blocks of 32 elements in a block of `Q4_K` or `Q5_K`.
const AFFINE_SUBS: usize = 8;
/// Sub-blocks of 16 elements in a block of `Q6_K`.
const SIGNED_SUBS: usize = 16;
/// The largest scale or minimum of a sub-block in `Q4_K` and `Q5_K`.
const MOST_SCALE: i32 = 63;

pub(super) fn q4_k(values: &[f32], out: &mut [u8]) {
    let trials = Trials { most: 15, first: -1.0, step: 0.1, steps: 20 };
    put_q4_k(values, &SubScales::plain(values, trials), out);
}

pub(super) fn q5_k(values: &[f32], out: &mut [u8]) {
    let trials = Trials { most: 31, first: -0.5, step: 0.1, steps: 15 };
    put_q5_k(values, &SubScales::plain(values, trials), out);
}

pub(super) fn q6_k(values: &[f32], out: &mut [u8]) {
    put_q6_k(values, None, out);
}

pub(super) fn weighted_q4_k(values: &[f32], importance: &[f32], out: &mut [u8]) {
    put_q4_k(values, &SubScales::weighted(values, importance, 15), out);
}

pub(super) fn weighted_q5_k(values: &[f32], importance: &[f32], out: &mut [u8]) {
    put_q5_k(values, &SubScales::weighted(values, importance, 31), out);
}

pub(super) fn weighted_q6_k(values: &[f32], importance: &[f32], out: &mut [u8]) {
    put_q6_k(values, Some(importance), out);
}

/// The rounded scales and minima of a block's sub-blocks, and what they are multiplied with.
struct SubScales {
    scales: [u8; AFFINE_SUBS],
    minima: [u8; AFFINE_SUBS],
    scale: f32,
    minimum: f32,
    /// Codes found along with the scales, for sub-blocks whose rounded scale is zero.
    codes: [u8; MAX_ELEMENTS],
}

impl SubScales {
    /// Weighted by magnitude; the largest scale and the largest minimum are exact.
    fn plain(values: &[f32], trials: Trials) -> Self {
        let mut found = Found::default();
        for (sub, values) in values.as_chunks::<32>().0.iter().enumerate() {
            let mean_square = values.iter().fold(0.0, |sum, value| sum + value * value) / 32.0;
            let typical = mean_square.sqrt();
            found.search(sub, values, &values.map(|value| typical + value.abs()), trials);
        }
        let rounded = |values: &[f32; AFFINE_SUBS]| {
            let highest = values.iter().fold(0.0, |highest: f32, value| highest.max(*value));
            let inverse = if highest > 0.0 { MOST_SCALE as f32 / highest } else { 0.0 };
            (
                values.map(|value| nearest(inverse * value).clamp(0, MOST_SCALE) as u8),
                highest / MOST_SCALE as f32,
            )
        };
        let ((scales, scale), (minima, minimum)) = (rounded(&found.scales), rounded(&found.minima));
        SubScales { scales, minima, scale, minimum, codes: found.codes }
    }

    /// Weighted by the importance of the columns and by magnitude.
    fn weighted(values: &[f32], importance: &[f32], most: i32) -> Self {
        let trials = Trials { most, first: -0.9, step: 0.05, steps: 36 };
        let sum = values.iter().fold(0.0f32, |sum, value| sum + value * value);
        let variance = 2.0 * sum / MAX_ELEMENTS as f32;
        let mut found = Found::default();
        let mut sums = [0.0; AFFINE_SUBS];
        let parts = values.as_chunks::<32>().0.iter().zip(importance.as_chunks::<32>().0);
        for (sub, (values, importance)) in parts.enumerate() {
            let weights = std::array::from_fn(|i| importance[i] * (variance + values[i] * values[i]).sqrt());
            sums[sub] = weights.iter().fold(0.0, |sum, weight| sum + weight);
            found.search(sub, values, &weights, trials);
        }
        let (mut scales, mut minima) = ([0; AFFINE_SUBS], [0; AFFINE_SUBS]);
        let scale = positive(&found.scales, &sums, MOST_SCALE, &mut scales);
        let minimum = positive(&found.minima, &sums, MOST_SCALE, &mut minima);
        SubScales { scales, minima, scale, minimum, codes: found.codes }
    }

    /// Writes scale, minimum, and the 8 × (6-bit scale, 6-bit minimum) in 12 bytes: the reverse of
    /// `scale_and_minimum` in the decoder.
    fn put(&self, out: &mut [u8]) {
        put_half(self.scale, out);
        put_half(self.minimum, &mut out[2..]);
        let out = &mut out[4..];
        for sub in 0..4 {
            let (low, high) = (sub, sub + 4);
            out[sub] = self.scales[low] | ((self.scales[high] >> 4) << 6);
            out[4 + sub] = self.minima[low] | ((self.minima[high] >> 4) << 6);
            out[8 + sub] = (self.scales[high] & 15) | ((self.minima[high] & 15) << 4);
        }
    }

    /// The codes for the scales as they are written in `block`.
    fn codes(&self, values: &[f32], block: &[u8], most: i32) -> [u8; MAX_ELEMENTS] {
        let (scale, minimum) = (half(block), half(&block[2..]));
        let mut codes = self.codes;
        for (sub, codes) in codes.as_chunks_mut::<32>().0.iter_mut().enumerate() {
            let scale = scale * f32::from(self.scales[sub]);
            if scale == 0.0 {
                continue;
            }
            let minimum = minimum * f32::from(self.minima[sub]);
            for (code, value) in codes.iter_mut().zip(&values[32 * sub..]) {
                *code = nearest((value + minimum) / scale).clamp(0, most) as u8;
            }
        }
        codes
    }
}

/// What the sub-blocks find on their own.
struct Found {
    scales: [f32; AFFINE_SUBS],
    minima: [f32; AFFINE_SUBS],
    codes: [u8; MAX_ELEMENTS],
}

impl Default for Found {
    fn default() -> Self {
        Found { scales: [0.0; AFFINE_SUBS], minima: [0.0; AFFINE_SUBS], codes: [0; MAX_ELEMENTS] }
    }
}

impl Found {
    fn search(&mut self, sub: usize, values: &[f32; 32], weights: &[f32; 32], trials: Trials) {
        let codes = &mut self.codes.as_chunks_mut::<32>().0[sub];
        (self.scales[sub], self.minima[sub]) = affine(values, weights, trials, codes);
    }
}

fn put_q4_k(values: &[f32], scales: &SubScales, out: &mut [u8]) {
    scales.put(out);
    let codes = scales.codes(values, out, 15);
    for (pair, out) in out[16..].chunks_exact_mut(32).enumerate() {
        put_low_bits(&codes[64 * pair..], out);
    }
}

fn put_q5_k(values: &[f32], scales: &SubScales, out: &mut [u8]) {
    scales.put(out);
    let codes = scales.codes(values, out, 31);
    let (fifth, low) = out[16..].split_at_mut(32);
    for (i, fifth) in fifth.iter_mut().enumerate() {
        *fifth = (0..AFFINE_SUBS).fold(0, |bits, sub| bits | ((codes[32 * sub + i] >> 4) << sub));
    }
    for (pair, out) in low.chunks_exact_mut(32).enumerate() {
        put_low_bits(&codes[64 * pair..], out);
    }
}

/// The low four bits of 64 codes in 32 bytes.
fn put_low_bits(codes: &[u8], out: &mut [u8]) {
    for (i, out) in out.iter_mut().enumerate() {
        *out = (codes[i] & 15) | (codes[32 + i] << 4);
    }
}

fn put_q6_k(values: &[f32], importance: Option<&[f32]>, out: &mut [u8]) {
    let mut codes = [0; MAX_ELEMENTS];
    let mut scales = [0.0f32; SIGNED_SUBS];
    for (sub, scale) in scales.iter_mut().enumerate() {
        let at = 16 * sub..16 * (sub + 1);
        let importance = importance.map(|importance| &importance[at.clone()]);
        *scale = symmetric(&values[at.clone()], importance, 32, &mut codes[at]);
    }
    let larger = |extreme: f32, scale: &f32| if scale.abs() > extreme.abs() { *scale } else { extreme };
    let extreme = scales.iter().fold(0.0, larger);
    if extreme.abs() < NEGLIGIBLE {
        out.fill(0);
        return;
    }
    let inverse = -128.0 / extreme;
    put_half(1.0 / inverse, &mut out[208..]);
    let scale = half(&out[208..]);
    for (sub, own) in scales.iter().enumerate() {
        let rounded = nearest(inverse * own).clamp(-128, 127) as i8;
        out[192 + sub] = rounded as u8;
        let scale = scale * f32::from(rounded);
        if scale != 0.0 {
            for i in 16 * sub..16 * (sub + 1) {
                codes[i] = (nearest(values[i] / scale).clamp(-32, 31) + 32) as u8;
            }
        }
    }
    for (part, codes) in codes.as_chunks::<128>().0.iter().enumerate() {
        let (low, high) = (64 * part, 128 + 32 * part);
        for i in 0..32 {
            let [a, b, c, d] = [codes[i], codes[32 + i], codes[64 + i], codes[96 + i]];
            out[low + i] = (a & 15) | (c << 4);
            out[low + 32 + i] = (b & 15) | (d << 4);
            out[high + i] = (a >> 4) | ((b >> 4) << 2) | ((c >> 4) << 4) | ((d >> 4) << 6);
        }
    }
}
