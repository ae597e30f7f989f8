//! Norm, rotation, activation and embedding: values and gradients against plain f64.

mod support;

use compute::{
    Activation, AttentionShape, Backend, Cpu, DType, DeviceBuffer, Matrix, NormGain, NormInput, RmsNorm,
    RmsNormBackward,
};
use support::*;

const EPS: f32 = 1e-5;

fn naive_rms_norm(x: &[f64], w: &[f64]) -> Vec<f64> {
    let width = w.len();
    x.chunks(width)
        .flat_map(|x| {
            let mean = x.iter().map(|x| x * x).sum::<f64>() / width as f64;
            let rstd = 1.0 / (mean + f64::from(EPS)).sqrt();
            x.iter().zip(w).map(move |(x, w)| x * rstd * w).collect::<Vec<_>>()
        })
        .collect()
}

/// Output and `rstd`, with the gain `w + offset`.
fn rms_norm(cpu: &Cpu, x: &[f32], w: &[f32], offset: f32) -> (Vec<f32>, Vec<f32>) {
    let (rows, width) = (x.len() / w.len(), w.len());
    let (mut y, mut rstd) = (zeros(cpu, x.len()), zeros(cpu, rows));
    let (x, w) = (buffer(cpu, x), buffer(cpu, w));
    cpu.rms_norm(RmsNorm {
        y: y.view_mut(0, rows, width),
        rstd: &mut rstd,
        x: x.view(0, rows, width),
        gain: NormGain { values: w.view(0, 1, width), offset },
        eps: EPS,
        residual: None,
        input: NormInput::AsIs,
    });
    (values(&y), values(&rstd))
}

/// `dx` and `dw`, added to `before`.
fn rms_norm_backward(
    cpu: &Cpu,
    x: &[f32],
    (w, offset): (&[f32], f32),
    dy: &[f32],
    before: f32,
) -> (Vec<f32>, Vec<f32>) {
    let (rows, width) = (x.len() / w.len(), w.len());
    let rstd = buffer(cpu, &rms_norm(cpu, x, w, offset).1);
    let (mut dx, mut dw) = (buffer(cpu, &vec![before; x.len()]), buffer(cpu, &vec![before; width]));
    let (x, w, dy) = (buffer(cpu, x), buffer(cpu, w), buffer(cpu, dy));
    cpu.rms_norm_backward(RmsNormBackward {
        dx: dx.view_mut(0, rows, width),
        d_gain: Some(dw.view_mut(0, 1, width)),
        dy: dy.view(0, rows, width),
        x: x.view(0, rows, width),
        gain: NormGain { values: w.view(0, 1, width), offset },
        rstd: &rstd,
    });
    (values(&dx), values(&dw))
}

#[test]
fn rms_norm_and_its_gradient_agree_with_f64() {
    for (rows, width, offset) in [(5, 7, 0.0), (3, 32, 0.0), (4, 45, 0.0), (5, 7, 1.0), (3, 34, 1.0)] {
        let (x, w) = (random(1, rows * width), random(2, width));
        let dy = random(3, rows * width);
        let (x64, w64) = (to_f64(&x), to_f64(&w).iter().map(|w| w + f64::from(offset)).collect::<Vec<_>>());
        let dx_expected = finite_differences(&x64, |x| inner(&naive_rms_norm(x, &w64), &dy));
        let dw_expected = finite_differences(&w64, |w| inner(&naive_rms_norm(&x64, w), &dy));
        let plus_one = |g: &[f64]| g.iter().map(|g| g + 1.0).collect::<Vec<_>>();
        for cpu in devices() {
            assert_close(&rms_norm(&cpu, &x, &w, offset).0, &naive_rms_norm(&x64, &w64), 1e-6, "y");
            let (dx, dw) = rms_norm_backward(&cpu, &x, (&w, offset), &dy, 1.0);
            assert_close(&dx, &plus_one(&dx_expected), 2e-6, "dx");
            assert_close(&dw, &plus_one(&dw_expected), 2e-6, "dw");
        }
    }
}

#[test]
fn rms_norm_is_the_same_on_every_device() {
    let (rows, width) = (301, 576);
    let (x, w, dy) = (random(4, rows * width), random(5, width), random(6, rows * width));
    assert_devices_agree(1e-5, true, |cpu| {
        let (y, rstd) = rms_norm(cpu, &x, &w, 1.0);
        let (dx, dw) = rms_norm_backward(cpu, &x, (&w, 1.0), &dy, 0.5);
        vec![y, rstd, dx, dw]
    });
}

#[test]
fn a_row_of_rms_norm_alone_has_the_bits_that_it_has_in_a_batch() {
    let (rows, width) = (70, 45);
    let (x, w, dy) = (random(7, rows * width), random(8, width), random(9, rows * width));
    for cpu in devices() {
        let y = rms_norm(&cpu, &x, &w, 1.0).0;
        let dx = rms_norm_backward(&cpu, &x, (&w, 1.0), &dy, 0.0).0;
        for row in [0, 33, 69] {
            let row = row * width..(row + 1) * width;
            assert_eq!(bits(&rms_norm(&cpu, &x[row.clone()], &w, 1.0).0), bits(&y[row.clone()]));
            let alone = rms_norm_backward(&cpu, &x[row.clone()], (&w, 1.0), &dy[row.clone()], 0.0).0;
            assert_eq!(bits(&alone), bits(&dx[row]));
        }
    }
}

#[test]
fn views_with_a_stride_touch_only_their_columns() {
    let cpu = Cpu::new(2);
    let (rows, width) = (40, 12);
    let (x, w) = (random(10, rows * width), random(11, 5));
    let mut y = buffer(&cpu, &vec![9.0; rows * width]);
    let mut rstd = zeros(&cpu, rows);
    let (x_buffer, w_buffer) = (buffer(&cpu, &x), buffer(&cpu, &w));
    cpu.rms_norm(RmsNorm {
        y: y.view_mut(0, rows, width).columns(2, 5),
        rstd: &mut rstd,
        x: x_buffer.view(0, rows, width).columns(6, 5),
        gain: NormGain { values: w_buffer.view(0, 1, 5), offset: 0.0 },
        eps: EPS,
        residual: None,
        input: NormInput::AsIs,
    });
    let dense: Vec<f32> = x.chunks(width).flat_map(|row| row[6..11].to_vec()).collect();
    let (expected, _) = rms_norm(&cpu, &dense, &w, 0.0);
    for (y, expected) in y.chunks(width).zip(expected.chunks(5)) {
        assert_eq!(&y[2..7], expected);
        assert!(y[..2].iter().chain(&y[7..]).all(|&v| v == 9.0));
    }
}

#[test]
fn a_rounded_input_is_normed_as_its_nearest_bf16_and_kept_as_that() {
    let cpu = Cpu::new(2);
    let (rows, width) = (30, 24);
    let (x, w) = (random(31, rows * width), random(32, width));
    let nearest: Vec<f32> = x.iter().map(|&x| half::bf16::from_f32(x).to_f32()).collect();
    let expected = rms_norm(&cpu, &nearest, &w, 1.0);
    let (x_buffer, w) = (buffer(&cpu, &x), buffer(&cpu, &w));
    let mut kept = zeros(&cpu, rows * width / 2);
    for keep in [false, true] {
        let (mut y, mut rstd) = (zeros(&cpu, rows * width), zeros(&cpu, rows));
        cpu.rms_norm(RmsNorm {
            y: y.view_mut(0, rows, width),
            rstd: &mut rstd,
            x: x_buffer.view(0, rows, width),
            gain: NormGain { values: w.view(0, 1, width), offset: 1.0 },
            eps: EPS,
            residual: None,
            input: match keep {
                true => NormInput::Kept(kept.view_mut(0, rows, width / 2)),
                false => NormInput::Rounded,
            },
        });
        assert_eq!((values(&y), values(&rstd)), expected);
    }
    assert_eq!(values(&x_buffer), x, "the input stays as it is");
    let mut back = zeros(&cpu, rows * width);
    cpu.restore_bf16(back.view_mut(0, rows, width), kept.view(0, rows, width / 2));
    assert_eq!(values(&back), nearest);
}

#[test]
fn a_normed_branch_is_added_to_the_residual_stream() {
    let cpu = Cpu::new(2);
    let (rows, width) = (30, 11);
    let (x, w, stream) = (random(21, rows * width), random(22, width), random(23, rows * width));
    let expected: Vec<f32> =
        rms_norm(&cpu, &x, &w, 1.0).0.iter().zip(&stream).map(|(branch, stream)| branch + stream).collect();
    let (mut y, mut rstd) = (zeros(&cpu, rows * width), zeros(&cpu, rows));
    let (x, w, stream) = (buffer(&cpu, &x), buffer(&cpu, &w), buffer(&cpu, &stream));
    cpu.rms_norm(RmsNorm {
        y: y.view_mut(0, rows, width),
        rstd: &mut rstd,
        x: x.view(0, rows, width),
        gain: NormGain { values: w.view(0, 1, width), offset: 1.0 },
        eps: EPS,
        residual: Some(stream.view(0, rows, width)),
        input: NormInput::AsIs,
    });
    assert_eq!(values(&y), expected);
}

/// The textbook's gated layer.
fn naive_gated(gate_up: &[f64], width: usize, activation: Activation) -> Vec<f64> {
    let activate = |x: f64| match activation {
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::GeluTanh => {
            let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
            0.5 * x * (1.0 + u.tanh())
        }
    };
    gate_up
        .chunks(2 * width)
        .flat_map(|row| (0..width).map(|i| activate(row[i]) * row[width + i]).collect::<Vec<_>>())
        .collect()
}

const ACTIVATIONS: [Activation; 2] = [Activation::Silu, Activation::GeluTanh];

fn gated(cpu: &Cpu, gate_up: &[f32], width: usize, activation: Activation) -> Vec<f32> {
    let rows = gate_up.len() / (2 * width);
    let mut y = zeros(cpu, rows * width);
    let gate_up = buffer(cpu, gate_up);
    cpu.gated_activation(y.view_mut(0, rows, width), gate_up.view(0, rows, 2 * width), activation);
    values(&y)
}

/// Gradient and the activation again.
fn gated_backward(cpu: &Cpu, gate_up: &[f32], dy: &[f32], activation: Activation) -> (Vec<f32>, Vec<f32>) {
    let rows = 1 + (dy.len() - 1) / 150;
    let width = dy.len() / rows;
    let (mut gate_up, mut dy) = (buffer(cpu, gate_up), buffer(cpu, dy));
    let (gates, gradient) = (gate_up.view_mut(0, rows, 2 * width), dy.view_mut(0, rows, width));
    cpu.gated_activation_backward(gates, gradient, activation);
    (values(&gate_up), values(&dy))
}

#[test]
fn the_gated_activations_and_their_gradients_agree_with_f64() {
    let width = 126;
    let gate_up: Vec<f32> = random(12, 2 * width).iter().map(|v| v * 6.0).collect();
    let dy = random(13, width);
    for activation in ACTIVATIONS {
        let expected =
            finite_differences(&to_f64(&gate_up), |x| inner(&naive_gated(x, width, activation), &dy));
        for cpu in devices() {
            let y = gated(&cpu, &gate_up, width, activation);
            assert_close(&y, &naive_gated(&to_f64(&gate_up), width, activation), 1e-6, "y");
            let (d_gate_up, again) = gated_backward(&cpu, &gate_up, &dy, activation);
            assert_close(&d_gate_up, &expected, 1e-6, "d_gate_up");
            assert_eq!(bits(&again), bits(&y), "the activation written again");
        }
    }
}

#[test]
fn the_gated_activations_hold_at_large_values() {
    for (cpu, activation) in devices().into_iter().flat_map(|cpu| ACTIVATIONS.map(|a| (cpu.isa(), a))) {
        let cpu = Cpu::with_isa(2, cpu);
        let y = gated(&cpu, &[200.0, -200.0, 0.0, f32::NAN, 2.0, 2.0, 2.0, 2.0], 4, activation);
        assert_eq!(y[0], 400.0);
        assert!(y[1].abs() < 1e-30 && y[2] == 0.0 && y[3].is_nan());
    }
}

#[test]
fn the_gated_activations_are_the_same_on_every_device() {
    let (rows, width) = (77, 150);
    let (gate_up, dy) = (random(14, rows * 2 * width), random(15, rows * width));
    for activation in ACTIVATIONS {
        assert_devices_agree(1e-6, true, |cpu| {
            let (d_gate_up, again) = gated_backward(cpu, &gate_up, &dy, activation);
            vec![gated(cpu, &gate_up, width, activation), d_gate_up, again]
        });
    }
}

/// Cosines, then sines, of each position.
fn rope_table(positions: usize, head_dim: usize) -> Vec<f32> {
    (0..positions)
        .flat_map(|position| {
            let angle = move |i: usize| position as f64 / 10_000f64.powf(2.0 * i as f64 / head_dim as f64);
            let cos = (0..head_dim / 2).map(move |i| angle(i).cos() as f32);
            cos.chain((0..head_dim / 2).map(move |i| angle(i).sin() as f32))
        })
        .collect()
}

fn rope(cpu: &Cpu, shape: AttentionShape, positions: &[u32], qkv: &[f32], inverse: bool) -> Vec<f32> {
    let table = buffer(cpu, &rope_table(400, shape.head_dim));
    let mut qkv = buffer(cpu, qkv);
    let view = qkv.view_mut(0, positions.len(), shape.qkv_width());
    cpu.rope(view, positions, &table, shape, inverse);
    values(&qkv)
}

fn naive_rope(shape: AttentionShape, positions: &[u32], qkv: &[f64]) -> Vec<f64> {
    let half = shape.head_dim / 2;
    let mut out = qkv.to_vec();
    for (row, &position) in out.chunks_mut(shape.qkv_width()).zip(positions) {
        for head in row.chunks_mut(shape.head_dim).take(shape.heads + shape.kv_heads) {
            for i in 0..half {
                let angle = f64::from(position) / 10_000f64.powf(i as f64 / half as f64);
                let (low, high) = (head[i], head[half + i]);
                head[i] = low * angle.cos() - high * angle.sin();
                head[half + i] = high * angle.cos() + low * angle.sin();
            }
        }
    }
    out
}

#[test]
fn rope_turns_queries_and_keys_and_turns_them_back() {
    for head_dim in [2, 10, 64] {
        let shape = AttentionShape::new(3, 1, head_dim);
        let positions: Vec<u32> = (0..90).map(|i| (i * 7) % 400).collect();
        let qkv = random(16, positions.len() * shape.qkv_width());
        let d = random(17, qkv.len());
        let expected = naive_rope(shape, &positions, &to_f64(&qkv));
        for cpu in devices() {
            let turned = rope(&cpu, shape, &positions, &qkv, false);
            assert_close(&turned, &expected, 1e-6, "turned");
            assert_close(&rope(&cpu, shape, &positions, &turned, true), &to_f64(&qkv), 1e-6, "and back");
            // A rotation's gradient is the inverse: <d, R x> = <R⁻¹ d, x>.
            let back = rope(&cpu, shape, &positions, &d, true);
            let (left, right) = (inner(&expected, &d), inner(&to_f64(&back), &qkv));
            assert!((left - right).abs() < 1e-4, "{left} and {right}");
        }
        assert_devices_agree(1e-6, true, |cpu| vec![rope(cpu, shape, &positions, &qkv, false)]);
    }
}

#[test]
fn a_bias_is_on_every_row_and_its_gradient_is_their_sum() {
    let (rows, width) = (150, 70);
    let (y, bias, dy) = (random(24, rows * width), random(25, width), random(26, rows * width));
    let mut expected = vec![0.5f64; width];
    for row in dy.chunks(width) {
        for (sum, &dy) in expected.iter_mut().zip(row) {
            *sum += f64::from(dy);
        }
    }
    assert_devices_agree(1e-6, true, |cpu| {
        let (mut out, mut d_bias) = (buffer(cpu, &y), buffer(cpu, &vec![0.5; width]));
        let (bias, dy) = (buffer(cpu, &bias), buffer(cpu, &dy));
        cpu.add_bias(out.view_mut(0, rows, width), bias.view(0, 1, width));
        assert_eq!(out[width + 3], y[width + 3] + bias[3]);
        cpu.add_bias_backward(d_bias.view_mut(0, 1, width), dy.view(0, rows, width));
        assert_close(&d_bias, &expected, 1e-6, "d_bias");
        vec![values(&out), values(&d_bias)]
    });
}

#[test]
fn embedding_reads_every_storage_type() {
    let cpu = Cpu::new(2);
    let (vocabulary, width) = (11, 6);
    let table: Vec<f32> = random(18, vocabulary * width);
    let halves: Vec<half::f16> = table.iter().map(|&v| half::f16::from_f32(v)).collect();
    let brains: Vec<half::bf16> = table.iter().map(|&v| half::bf16::from_f32(v)).collect();
    let stored = [
        (DType::F32, bytemuck::cast_slice(&table).to_vec(), table.clone()),
        (DType::F16, bytemuck::cast_slice(&halves).to_vec(), halves.iter().map(|v| v.to_f32()).collect()),
        (DType::Bf16, bytemuck::cast_slice(&brains).to_vec(), brains.iter().map(|v| v.to_f32()).collect()),
    ];
    let ids = [3, 0, 10, 3];
    for (dtype, bytes, expected) in stored {
        let bytes: Vec<u8> = bytes;
        let weight = cpu.weight(dtype, vocabulary, width, &bytes).expect("a weight");
        assert_eq!(cpu.weight_shape(&weight), (vocabulary, width));
        assert_eq!(cpu.read_weight(&weight), expected);
        let mut x = zeros(&cpu, ids.len() * width);
        cpu.embed(x.view_mut(0, ids.len(), width), &ids, Matrix::Weight(&weight), 1.0);
        let rows: Vec<f32> =
            ids.iter().flat_map(|&id| expected[id as usize * width..][..width].to_vec()).collect();
        assert_eq!(values(&x), rows, "{dtype:?}");
    }
    let in_memory = buffer(&cpu, &table);
    let mut x = zeros(&cpu, ids.len() * width);
    let view = in_memory.view(0, vocabulary, width);
    cpu.embed(x.view_mut(0, ids.len(), width), &ids, Matrix::View(view), 1.0);
    assert_eq!(x[..width], table[3 * width..4 * width]);
    cpu.embed(x.view_mut(0, ids.len(), width), &ids, Matrix::View(view), 1.7);
    let scaled: Vec<f32> = table[3 * width..4 * width].iter().map(|v| v * 1.7).collect();
    assert_eq!(x[..width], scaled);
}

#[test]
fn a_weight_of_the_wrong_size_is_an_error() {
    let error = Cpu::new(1).weight(DType::F16, 3, 4, &[0; 23]).expect_err("23 bytes");
    assert_eq!(error.to_string(), "a weight of 3 x 4 in F16 needs 24 bytes, got 23");
}

#[test]
fn more_memory_than_there_is_is_an_error() {
    for len in [usize::MAX, usize::MAX / 8] {
        let error = Cpu::new(1).zeros("activations", len).expect_err("too much");
        assert!(error.to_string().starts_with("out of memory"), "{error}");
    }
}

#[test]
fn rows_that_are_kept_move_to_the_beginning() {
    let cpu = Cpu::new(2);
    let mut buffer = cpu.zeros("rows", 13).unwrap();
    let values: Vec<f32> = (0..13).map(|i| i as f32).collect();
    cpu.write(&mut buffer, 0, &values);
    cpu.keep_rows(buffer.view_mut(1, 4, 3), &[1, 3]);
    let mut kept = [0.0; 13];
    cpu.read(&buffer, 0, &mut kept);
    assert_eq!(kept[..7], [0.0, 4.0, 5.0, 6.0, 10.0, 11.0, 12.0]);
    assert_eq!(kept[7..], values[7..]);
}

#[test]
#[should_panic(expected = "row 4 of 4")]
fn a_row_that_is_not_there_cannot_be_kept() {
    let cpu = Cpu::new(1);
    let mut buffer = cpu.zeros("rows", 12).unwrap();
    cpu.keep_rows(buffer.view_mut(0, 4, 3), &[4]);
}

#[test]
fn the_gradient_of_the_embedding_adds_up_repeated_tokens() {
    let (vocabulary, width) = (9, 150);
    let ids: Vec<u32> = (0..200).map(|i| (i * i) % 9).collect();
    let dx = random(19, ids.len() * width);
    let before = random(20, vocabulary * width);
    let mut expected = to_f64(&before);
    for (id, dx) in ids.iter().zip(dx.chunks(width)) {
        for (sum, &d) in expected[*id as usize * width..].iter_mut().zip(dx) {
            *sum += 1.7 * f64::from(d);
        }
    }
    assert_devices_agree(1e-6, true, |cpu| {
        let mut d_table = buffer(cpu, &before);
        let dx = buffer(cpu, &dx);
        let view = d_table.view_mut(0, vocabulary, width);
        cpu.embed_backward(view, &ids, dx.view(0, ids.len(), width), 1.7);
        assert_close(&d_table, &expected, 1e-5, "d_table");
        vec![values(&d_table)]
    });
}

#[test]
fn fill_write_and_read_touch_their_range() {
    let cpu = Cpu::new(1);
    let mut buffer = zeros(&cpu, 6);
    cpu.fill(&mut buffer, 1, 2, 3.0);
    cpu.write(&mut buffer, 4, &[5.0, 6.0]);
    let mut out = [0.0; 5];
    cpu.read(&buffer, 1, &mut out);
    assert_eq!(out, [3.0, 3.0, 0.0, 5.0, 6.0]);
    assert_eq!(buffer.as_ptr().align_offset(64), 0);
}
