//! What the tests share: reproducible values, buffers, devices and comparisons.

// Each test binary uses its own part of this.
#![allow(dead_code)]

use compute::cpu::{CpuBuffer, Isa};
use compute::{Backend, Cpu};

/// Reproducible values in -1..1 (a linear congruential generator).
pub(crate) fn random(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    // The first values of neighbouring seeds are alike.
    (0..len + 8).map(|_| next()).skip(8).collect()
}

pub(crate) fn buffer(cpu: &Cpu, values: &[f32]) -> CpuBuffer {
    let mut buffer = cpu.zeros("test", values.len()).expect("memory");
    cpu.write(&mut buffer, 0, values);
    buffer
}

pub(crate) fn zeros(cpu: &Cpu, len: usize) -> CpuBuffer {
    cpu.zeros("test", len).expect("memory")
}

pub(crate) fn values(buffer: &CpuBuffer) -> Vec<f32> {
    buffer.to_vec()
}

pub(crate) fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// Every instruction set of this machine, plain first.
pub(crate) fn instruction_sets() -> Vec<Isa> {
    [Isa::Plain, Isa::Avx2, Isa::Avx512].into_iter().filter(|&isa| isa <= Isa::available()).collect()
}

/// A device of every instruction set.
pub(crate) fn devices() -> Vec<Cpu> {
    instruction_sets().into_iter().map(|isa| Cpu::with_isa(2, isa)).collect()
}

/// `got` is `expected` up to `tolerance` of the largest expected value.
pub(crate) fn assert_close(got: &[f32], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}: length");
    let scale = expected.iter().fold(1e-3f64, |m, e| m.max(e.abs()));
    for (i, (&g, &e)) in got.iter().zip(expected).enumerate() {
        let error = (f64::from(g) - e).abs() / scale;
        assert!(error <= tolerance, "{what}[{i}]: {g}, expected {e} (off by {error:.2e} of {scale})");
    }
}

/// Runs `work`, which gives all that an operation writes, with one thread and with two in every instruction set:
/// threads must not change a bit. Then AVX2 and AVX-512 must agree bit for bit if `same_bits`, and plain code with
/// them up to `tolerance`.
pub(crate) fn assert_devices_agree(tolerance: f64, same_bits: bool, work: impl Fn(&Cpu) -> Vec<Vec<f32>>) {
    let results: Vec<Vec<Vec<f32>>> = instruction_sets()
        .into_iter()
        .map(|isa| {
            let (one, two) = (work(&Cpu::with_isa(1, isa)), work(&Cpu::with_isa(2, isa)));
            for (one, two) in one.iter().zip(&two) {
                assert_eq!(bits(one), bits(two), "{isa:?}: one thread and two");
            }
            one
        })
        .collect();
    for other in &results[1..] {
        for (output, (plain, other)) in results[0].iter().zip(other).enumerate() {
            let plain: Vec<f64> = plain.iter().map(|&v| f64::from(v)).collect();
            assert_close(other, &plain, tolerance, &format!("output {output}"));
        }
    }
    if let (true, [_, avx2, avx512]) = (same_bits, &results[..]) {
        for (output, (avx2, avx512)) in avx2.iter().zip(avx512).enumerate() {
            assert_eq!(bits(avx2), bits(avx512), "output {output}: AVX2 and AVX-512");
        }
    }
}

/// Gradient of `loss` at `x` by central differences.
pub(crate) fn finite_differences(x: &[f64], loss: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let mut x = x.to_vec();
    (0..x.len())
        .map(|i| {
            let at = x[i];
            x[i] = at + STEP;
            let above = loss(&x);
            x[i] = at - STEP;
            let below = loss(&x);
            x[i] = at;
            (above - below) / (2.0 * STEP)
        })
        .collect()
}

pub(crate) fn to_f64(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

/// `Σ a b`.
pub(crate) fn inner(a: &[f64], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, &b)| a * f64::from(b)).sum()
}
