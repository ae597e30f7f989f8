//! The scale, and where there is one the minimum, with which rounded codes come nearest to their values: the searches
//! of llama.cpp's `ggml-quants.c`. Sums run in its order, so that the codes are its codes.
//!
//! Each tries a few scales around the one that fits the extremes, rounds with each, and solves for the scale (and the
//! minimum) of least weighted squared error given the codes.

/// Below this magnitude a group counts as zeros (`GROUP_MAX_EPS`).
pub(super) const NEGLIGIBLE: f32 = 1e-15;

/// Rounds half to even, as `nearest_int`.
pub(super) fn nearest(value: f32) -> i32 {
    value.round_ties_even() as i32
}

/// `value ≈ scale * code` with codes from `-most` to `most - 1`, written as `code + most` (`make_qx_quants` with
/// squared values as weights where none are given). Returns the scale.
pub(super) fn symmetric(values: &[f32], weights: Option<&[f32]>, most: i32, codes: &mut [u8]) -> f32 {
    let larger = |extreme: f32, value: &f32| if value.abs() > extreme.abs() { *value } else { extreme };
    let extreme = values.iter().fold(0.0, larger);
    if extreme.abs() < NEGLIGIBLE {
        codes.fill(0);
        return 0.0;
    }
    let code = |value: f32, inverse: f32| nearest(inverse * value).clamp(-most, most - 1);
    let sums = |inverse: f32| {
        let mut sums = (0.0f32, 0.0f32);
        for (i, &value) in values.iter().enumerate() {
            let code = code(value, inverse) as f32;
            let weight = weights.map_or(value * value, |weights| weights[i]);
            sums.0 += weight * value * code;
            sums.1 += weight * code * code;
        }
        sums
    };
    let mut chosen = -(most as f32) / extreme;
    let (sum_value, sum_square) = sums(chosen);
    let mut scale = if sum_square != 0.0 { sum_value / sum_square } else { 0.0 };
    let mut best = scale * sum_value;
    for step in (-9..=9).filter(|step| *step != 0) {
        let inverse = -(most as f32 + 0.1 * step as f32) / extreme;
        let (sum_value, sum_square) = sums(inverse);
        if sum_square > 0.0 && sum_value * sum_value > best * sum_square {
            chosen = inverse;
            scale = sum_value / sum_square;
            best = scale * sum_value;
        }
    }
    for (to, &value) in codes.iter_mut().zip(values) {
        *to = (code(value, chosen) + most) as u8;
    }
    scale
}

/// The scales that [`affine`] tries: codes up to `most`, the inverse scale from `most + first` in steps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trials {
    pub(super) most: i32,
    pub(super) first: f32,
    pub(super) step: f32,
    pub(super) steps: i32,
}

/// `value ≈ scale * code - minimum` with codes from 0 to `most` and a minimum of at least 0 (`make_qkx2_quants`,
/// `make_qkx3_quants`). Returns the scale and the minimum.
pub(super) fn affine(
    values: &[f32; 32],
    weights: &[f32; 32],
    trials: Trials,
    codes: &mut [u8; 32],
) -> (f32, f32) {
    let Trials { most, first, step, steps } = trials;
    let (mut lowest, mut highest) = (values[0], values[0]);
    let (mut sum_weight, mut sum_value) = (0.0f32, 0.0f32);
    for (&value, &weight) in values.iter().zip(weights) {
        (lowest, highest) = (lowest.min(value), highest.max(value));
        sum_weight += weight;
        sum_value += weight * value;
    }
    let lowest = lowest.min(0.0);
    codes.fill(0);
    if highest <= lowest {
        return (0.0, -lowest);
    }
    let rounded = |inverse: f32, minimum: f32| {
        values.map(|value| nearest(inverse * (value - minimum)).clamp(0, most) as f32)
    };
    let error = |codes: &[f32; 32], scale: f32, minimum: f32| {
        let mut error = 0.0f32;
        for i in 0..values.len() {
            let difference = scale * codes[i] + minimum - values[i];
            error += weights[i] * (difference * difference);
        }
        error
    };
    let span = highest - lowest;
    let inverse = most as f32 / span;
    let (mut scale, mut minimum) = (1.0 / inverse, lowest);
    // Two points a code apart are less than two steps apart. What lies beyond is rounding in the determinant, where one
    // weight is all that counts.
    let furthest = 2.5 * scale;
    let mut chosen = rounded(inverse, lowest);
    let mut best = error(&chosen, scale, minimum);
    for trial in 0..=steps {
        // Each starts from the best minimum so far.
        let inverse = (first + step * trial as f32 + most as f32) / (highest - minimum);
        let trial = rounded(inverse, minimum);
        let (mut sum_code, mut sum_square, mut sum_product) = (0.0f32, 0.0f32, 0.0f32);
        for i in 0..values.len() {
            let weighted = weights[i] * trial[i];
            sum_code += weighted;
            sum_square += weighted * trial[i];
            sum_product += weighted * values[i];
        }
        let determinant = sum_weight * sum_square - sum_code * sum_code;
        if determinant > 0.0 {
            let mut this_scale = (sum_weight * sum_product - sum_value * sum_code) / determinant;
            let mut this_minimum = (sum_square * sum_value - sum_code * sum_product) / determinant;
            if this_minimum > 0.0 {
                this_minimum = 0.0;
                this_scale = sum_product / sum_square;
            }
            let plausible = this_scale.abs() <= furthest && this_minimum >= -2.5 * span;
            let this_error = error(&trial, this_scale, this_minimum);
            if plausible && this_error < best {
                (chosen, best) = (trial, this_error);
                (scale, minimum) = (this_scale, this_minimum);
            }
        }
    }
    *codes = chosen.map(|code| code as u8);
    (scale, -minimum)
}

/// `value ≈ scale * code` for values and codes of at least 0 (`make_qp_quants`): scales of sub-blocks. Returns the
/// scale.
pub(super) fn positive(values: &[f32; 8], weights: &[f32; 8], most: i32, codes: &mut [u8; 8]) -> f32 {
    let highest = values.iter().fold(0.0, |highest: f32, value| highest.max(*value));
    codes.fill(0);
    if highest < NEGLIGIBLE {
        return 0.0;
    }
    let code = |value: f32, inverse: f32| nearest(inverse * value).clamp(0, most);
    let error = |inverse: f32| {
        let scale = 1.0 / inverse;
        let mut error = 0.0f32;
        for (&value, &weight) in values.iter().zip(weights) {
            let difference = value - scale * code(value, inverse) as f32;
            error += weight * difference * difference;
        }
        error
    };
    let mut inverse = most as f32 / highest;
    let mut best = error(inverse);
    for step in (-4..=4).filter(|step| *step != 0) {
        let trial = (0.1 * step as f32 + most as f32) / highest;
        let error = error(trial);
        if error < best {
            (best, inverse) = (error, trial);
        }
    }
    let mut chosen = values.map(|value| code(value, inverse));
    let (mut sum_value, mut sum_square) = (0.0f32, 0.0f32);
    for i in 0..values.len() {
        let code = chosen[i] as f32;
        sum_value += weights[i] * values[i] * code;
        sum_square += weights[i] * code * code;
    }
    for _ in 0..5 {
        let mut changed = false;
        for i in 0..values.len() {
            let (weight, value, code) = (weights[i], values[i], chosen[i] as f32);
            let mut other_value = sum_value - weight * value * code;
            let mut other_square = sum_square - weight * code * code;
            if other_value > 0.0 && other_square > 0.0 {
                let better = nearest(value * other_square / other_value).clamp(0, most);
                if better != chosen[i] {
                    let code = better as f32;
                    other_value += weight * value * code;
                    other_square += weight * code * code;
                    if other_value * other_value * sum_square > sum_value * sum_value * other_square {
                        chosen[i] = better;
                        (sum_value, sum_square) = (other_value, other_square);
                        changed = true;
                    }
                }
            }
        }
        if !changed {
            break;
        }
    }
    *codes = chosen.map(|code| code as u8);
    if sum_square > 0.0 { sum_value / sum_square } else { 0.0 }
}
