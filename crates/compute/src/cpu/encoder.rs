//! The operations of an encoder on the CPU.

use super::buffer::{CpuBuffer, Rows, RowsMut, by_rows, task_rows};
use super::math::{Arithmetic, Kernel, LANES, dispatch, dot, exp, sum_lanes};
use super::{Cpu, attention};
use crate::{BidirectionalAttention, EncoderBackend, LayerNorm, ViewMut};

impl EncoderBackend for Cpu {
    fn layer_norm(&self, n: LayerNorm<'_, CpuBuffer>) {
        let (y, x, residual) = (RowsMut::from(n.y), Rows::from(n.x), n.residual.map(Rows::from));
        let (gain, bias, eps) = (Rows::from(n.gain), Rows::from(n.bias), n.eps);
        assert_eq!((y.rows, y.cols), (x.rows, x.cols), "output [T, H]");
        assert!(residual.is_none_or(|r| (r.rows, r.cols) == (x.rows, x.cols)), "residual [T, H]");
        assert_eq!(
            [(gain.rows, gain.cols), (bias.rows, bias.cols)],
            [(1, x.cols); 2],
            "gain and bias [1, H]"
        );
        by_rows(&self.threads, task_rows(x.cols), [y], |first, [y]| {
            let rows = NormRows { first, y, x, residual, gain: gain.row(0), bias: bias.row(0), eps };
            dispatch(self.isa, rows);
        });
    }

    fn gelu(&self, x: ViewMut<'_, CpuBuffer>) {
        let x = RowsMut::from(x);
        by_rows(&self.threads, task_rows(x.cols), [x], |_, [x]| dispatch(self.isa, GeluRows(x)));
    }

    fn attention_bidirectional(&self, a: BidirectionalAttention<'_, CpuBuffer>) {
        let BidirectionalAttention { shape, segments, qkv, out, wanted } = a;
        let (qkv, out) = (Rows::from(qkv), RowsMut::from(out));
        assert_eq!(qkv.cols, shape.qkv_width(), "q | k | v");
        assert_eq!((out.rows, out.cols), (qkv.rows, shape.q_width()), "output [T, q_width]");
        assert!(segments.iter().all(|s| s.prefix.is_none()), "an encoder's sequences have no prefix");
        assert!(shape.window.is_none(), "an encoder's tokens see their whole sequence");
        assert_eq!((qkv.stride, out.stride), (qkv.cols, out.cols), "rows without gaps");
        let (qkv, out) = (qkv.data, out.data);
        let forward = attention::Forward {
            shape,
            causal: false,
            half: false,
            segments,
            qkv,
            out,
            log_sum_exp: None,
            wanted,
        };
        attention::forward(&self.threads, self.isa, forward);
    }
}

struct NormRows<'a> {
    first: usize,
    y: RowsMut<'a>,
    x: Rows<'a>,
    residual: Option<Rows<'a>>,
    gain: &'a [f32],
    bias: &'a [f32],
    eps: f32,
}

impl Kernel for NormRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arithmetic>(mut self) {
        for i in 0..self.y.rows {
            let y = self.y.row(i);
            y.copy_from_slice(self.x.row(self.first + i));
            if let Some(residual) = self.residual {
                for (y, &residual) in y.iter_mut().zip(residual.row(self.first + i)) {
                    *y += residual;
                }
            }
            let mean = sum(y) / y.len() as f32;
            for y in y.iter_mut() {
                *y -= mean;
            }
            let rstd = 1.0 / (dot::<A>(y, y) / y.len() as f32 + self.eps).sqrt();
            for ((y, &gain), &bias) in y.iter_mut().zip(self.gain).zip(self.bias) {
                *y = A::mul_add(*y * rstd, gain, bias);
            }
        }
    }
}

struct GeluRows<'a>(RowsMut<'a>);

impl Kernel for GeluRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arithmetic>(mut self) {
        for i in 0..self.0.rows {
            for x in self.0.row(i) {
                *x = *x * normal_cdf::<A>(*x);
            }
        }
    }
}

/// `Φ(x)` to 8e-8: `erfc` by formula 7.1.26 of Abramowitz & Stegun 1964.
#[inline(always)]
fn normal_cdf<A: Arithmetic>(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / A::mul_add(0.327_591_1, z, 1.0);
    let p = A::mul_add(t, 1.061_405_4, -1.453_152);
    let p = A::mul_add(p, t, 1.421_413_7);
    let p = A::mul_add(p, t, -0.284_496_74);
    let p = A::mul_add(p, t, 0.254_829_6);
    let upper = 0.5 * p * t * exp::<A>(-z * z);
    if x < 0.0 { upper } else { 1.0 - upper }
}

/// Sum in a fixed order.
#[inline(always)]
fn sum(values: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let (blocks, rest) = values.as_chunks::<LANES>();
    for block in blocks {
        for l in 0..LANES {
            lanes[l] += block[l];
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane += value;
    }
    sum_lanes(lanes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::Isa;
    use crate::{AttentionShape, Backend, DeviceBuffer, Segment};

    fn buffer(cpu: &Cpu, values: &[f32]) -> CpuBuffer {
        let mut buffer = cpu.zeros("test", values.len()).unwrap();
        cpu.write(&mut buffer, 0, values);
        buffer
    }

    /// Pseudo-random values in ±2.
    fn values(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 22) as f32 - 2.0
        };
        (0..count).map(next).collect()
    }

    #[test]
    fn gelu_is_x_times_the_normal_distribution() {
        // scipy: x * norm.cdf(x).
        let x = [-6.0, -3.0, -1.0, -0.1, 0.0, 0.1, 1.0, 3.0, 6.0f32];
        let expected = [
            -5.919_526e-9,
            -0.004_049_694,
            -0.158_655_25,
            -0.046_017_215,
            0.0,
            0.053_982_783,
            0.841_344_8,
            2.995_950_3,
            6.0,
        ];
        for isa in [Isa::Plain, Isa::available()] {
            let cpu = Cpu::with_isa(2, isa);
            let mut y = buffer(&cpu, &x);
            cpu.gelu(y.view_mut(0, 3, 3));
            for (y, expected) in y.iter().zip(expected) {
                assert!((y - expected).abs() < 1e-6, "{isa:?}: {y} {expected}");
            }
        }
    }

    #[test]
    fn a_layer_norm_has_mean_bias_and_deviation_gain() {
        let (rows, cols) = (5, 37);
        let (x, residual) = (values(rows * cols, 1), values(rows * cols, 2));
        let (gain, bias) = (values(cols, 3), values(cols, 4));
        for isa in [Isa::Plain, Isa::available()] {
            let cpu = Cpu::with_isa(2, isa);
            let [bx, br, bg, bb] = [&x, &residual, &gain, &bias].map(|values| buffer(&cpu, values));
            let mut y = buffer(&cpu, &vec![0.0; rows * cols]);
            cpu.layer_norm(LayerNorm {
                y: y.view_mut(0, rows, cols),
                x: bx.view(0, rows, cols),
                residual: Some(br.view(0, rows, cols)),
                gain: bg.view(0, 1, cols),
                bias: bb.view(0, 1, cols),
                eps: 1e-5,
            });
            for row in 0..rows {
                let sum: Vec<f64> = (0..cols)
                    .map(|c| f64::from(x[row * cols + c]) + f64::from(residual[row * cols + c]))
                    .collect();
                let mean = sum.iter().sum::<f64>() / cols as f64;
                let variance = sum.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / cols as f64;
                for c in 0..cols {
                    let expected =
                        (sum[c] - mean) / (variance + 1e-5).sqrt() * f64::from(gain[c]) + f64::from(bias[c]);
                    assert!((f64::from(y[row * cols + c]) - expected).abs() < 1e-5, "{isa:?} {row} {c}");
                }
            }
        }
    }

    #[test]
    fn every_token_of_a_segment_sees_all_of_it_and_nothing_else() {
        let shape = AttentionShape::new(4, 2, 6);
        let (tokens, width) = (90, shape.qkv_width());
        let qkv = values(tokens * width, 5);
        let segments = [Segment::whole(2, 70), Segment::whole(72, 18)];
        for isa in [Isa::Plain, Isa::available()] {
            let cpu = Cpu::with_isa(3, isa);
            let input = buffer(&cpu, &qkv);
            let mut out = buffer(&cpu, &vec![7.0; tokens * shape.q_width()]);
            let (qkv_view, out_view) =
                (input.view(0, tokens, width), out.view_mut(0, tokens, shape.q_width()));
            cpu.attention_bidirectional(BidirectionalAttention {
                shape,
                segments: &segments,
                qkv: qkv_view,
                out: out_view,
                wanted: None,
            });
            assert!(out[..2 * shape.q_width()].iter().all(|value| *value == 7.0), "rows of no segment");
            for segment in segments {
                for t in segment.start..segment.start + segment.len {
                    for head in 0..shape.heads {
                        let at = |t: usize, from: usize, d: usize| f64::from(qkv[t * width + from + d]);
                        let (key, d) = (shape.q_width() + head / 2 * 6, shape.head_dim);
                        let value = key + shape.kv_width();
                        let score = |other: usize| {
                            (0..d).map(|i| at(t, head * d, i) * at(other, key, i)).sum::<f64>()
                                * f64::from(shape.scale)
                        };
                        let weights: Vec<f64> = (segment.start..segment.start + segment.len)
                            .map(|other| score(other).exp())
                            .collect();
                        let sum: f64 = weights.iter().sum();
                        for i in 0..d {
                            let others = weights.iter().zip(segment.start..);
                            let expected =
                                others.map(|(w, other)| w * at(other, value, i)).sum::<f64>() / sum;
                            let got = f64::from(out[t * shape.q_width() + head * d + i]);
                            assert!(
                                (got - expected).abs() < 1e-5,
                                "{isa:?} {t} {head} {i}: {got} {expected}"
                            );
                        }
                    }
                }
            }
        }
    }
}
