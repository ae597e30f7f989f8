//! The norm of every query and key head on its own.

mod support;

use compute::{AttentionShape, Backend, Cpu, DeviceBuffer, HeadNorm, HeadNormBackward, NormGain};
use support::*;

const EPS: f32 = 1e-6;

/// Normed rows; what the backward needs is kept in `kept` and `rstd`.
struct Normed {
    heads: Vec<f32>,
    kept: Vec<f32>,
    rstd: Vec<f32>,
}

fn head_norm(cpu: &Cpu, shape: AttentionShape, qkv: &[f32], gain: (&[f32], f32)) -> Normed {
    let rows = qkv.len() / shape.qkv_width();
    let mut heads = buffer(cpu, qkv);
    let mut kept = zeros(cpu, rows * shape.qk_width());
    let mut rstd = zeros(cpu, rows * (shape.heads + shape.kv_heads));
    let values_of_gain = buffer(cpu, gain.0);
    let norm = HeadNorm {
        heads: heads.view_mut(0, rows, shape.qkv_width()),
        kept: &mut kept,
        rstd: &mut rstd,
        gain: NormGain { values: values_of_gain.view(0, 2, shape.head_dim), offset: gain.1 },
        eps: EPS,
    };
    cpu.head_norm(shape, norm);
    Normed { heads: values(&heads), kept: values(&kept), rstd: values(&rstd) }
}

/// Gradient of the rows, and of the gains (added to ones).
fn head_norm_backward(
    cpu: &Cpu,
    shape: AttentionShape,
    qkv: &[f32],
    gain: (&[f32], f32),
    dy: &[f32],
) -> (Vec<f32>, Vec<f32>) {
    let rows = qkv.len() / shape.qkv_width();
    let normed = head_norm(cpu, shape, qkv, gain);
    let (kept, rstd) = (buffer(cpu, &normed.kept), buffer(cpu, &normed.rstd));
    let (mut d_heads, mut d_gain) = (buffer(cpu, dy), buffer(cpu, &vec![1.0; gain.0.len()]));
    let values_of_gain = buffer(cpu, gain.0);
    let norm = HeadNormBackward {
        d_heads: d_heads.view_mut(0, rows, shape.qkv_width()),
        d_gain: Some(d_gain.view_mut(0, 2, shape.head_dim)),
        kept: &kept,
        rstd: &rstd,
        gain: NormGain { values: values_of_gain.view(0, 2, shape.head_dim), offset: gain.1 },
    };
    cpu.head_norm_backward(shape, norm);
    (values(&d_heads), values(&d_gain))
}

fn naive(shape: AttentionShape, qkv: &[f64], gain: &[f64], offset: f32) -> Vec<f64> {
    let d = shape.head_dim;
    let mut out = qkv.to_vec();
    for row in out.chunks_mut(shape.qkv_width()) {
        for (head, x) in row.chunks_mut(d).take(shape.heads + shape.kv_heads).enumerate() {
            let gain = &gain[if head < shape.heads { 0 } else { d }..];
            let mean = x.iter().map(|x| x * x).sum::<f64>() / d as f64;
            for (x, w) in x.iter_mut().zip(gain) {
                *x *= (w + f64::from(offset)) / (mean + f64::from(EPS)).sqrt();
            }
        }
    }
    out
}

#[test]
fn heads_are_normed_alone_and_their_gradient_agrees_with_finite_differences() {
    for (shape, offset) in [(AttentionShape::new(4, 2, 6), 0.0), (AttentionShape::new(3, 1, 34), 1.0)] {
        let rows = 5;
        let (qkv, gain) = (random(1, rows * shape.qkv_width()), random(2, 2 * shape.head_dim));
        let dy = random(3, qkv.len());
        let (qkv64, gain64) = (to_f64(&qkv), to_f64(&gain));
        let dx = finite_differences(&qkv64, |qkv| inner(&naive(shape, qkv, &gain64, offset), &dy));
        let dw = finite_differences(&gain64, |gain| inner(&naive(shape, &qkv64, gain, offset), &dy));
        let dw: Vec<f64> = dw.iter().map(|d| d + 1.0).collect();
        for cpu in devices() {
            let normed = head_norm(&cpu, shape, &qkv, (&gain, offset)).heads;
            assert_close(&normed, &naive(shape, &qkv64, &gain64, offset), 1e-6, "heads");
            let (d_heads, d_gain) = head_norm_backward(&cpu, shape, &qkv, (&gain, offset), &dy);
            assert_close(&d_heads, &dx, 2e-6, "d_heads");
            assert_close(&d_gain, &dw, 2e-6, "d_gain");
        }
    }
}

#[test]
fn devices_agree_and_a_row_alone_has_the_bits_that_it_has_in_a_batch() {
    let shape = AttentionShape::new(6, 2, 40);
    let rows = 70;
    let (qkv, gain) = (random(4, rows * shape.qkv_width()), random(5, 2 * shape.head_dim));
    let dy = random(6, qkv.len());
    assert_devices_agree(1e-5, true, |cpu| {
        let (d_heads, d_gain) = head_norm_backward(cpu, shape, &qkv, (&gain, 0.0), &dy);
        let all = head_norm(cpu, shape, &qkv, (&gain, 0.0)).heads;
        let row = 33 * shape.qkv_width()..34 * shape.qkv_width();
        let alone = head_norm(cpu, shape, &qkv[row.clone()], (&gain, 0.0)).heads;
        assert_eq!(bits(&alone), bits(&all[row.clone()]));
        let d_alone = head_norm_backward(cpu, shape, &qkv[row.clone()], (&gain, 0.0), &dy[row.clone()]).0;
        assert_eq!(bits(&d_alone), bits(&d_heads[row]));
        vec![all, d_heads, d_gain]
    });
}
