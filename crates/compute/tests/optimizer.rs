//! AdamW and the norm of the gradients.

mod support;

use compute::{AdamW, Backend, Cpu, EightBitMoments};
use support::*;

fn step_of(range: std::ops::Range<usize>, step: u64) -> AdamW {
    AdamW { range, lr: 0.01, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.1, grad_scale: 0.5, step }
}

#[test]
fn two_steps_of_adamw_give_the_numbers_of_torch() {
    // torch.optim.AdamW(lr=0.01, weight_decay=0.1) on p = 1 with gradients 0.5 and -0.25, by hand:
    // p = 1 * (1 - 0.001) = 0.999; m = 0.05, v = 0.00025; m/(1-0.9) = 0.5, sqrt(v/(1-0.999)) = 0.5;
    //   p = 0.999 - 0.01 * 0.5 / (0.5 + 1e-8) = 0.9890000002
    // p = 0.988011; m = 0.02, v = 0.00031225; m/0.19 = 0.1052631579, sqrt(v/0.001999) = 0.3952241
    //   p = 0.988011 - 0.01 * 0.1052631579 / 0.3952241 = 0.9853476195
    for cpu in devices() {
        let (mut p, mut m, mut v) = (buffer(&cpu, &[1.0]), zeros(&cpu, 1), zeros(&cpu, 1));
        cpu.adamw(&mut p, &buffer(&cpu, &[1.0]), &mut m, &mut v, &step_of(0..1, 1));
        assert_close(&p, &[0.989_000_000_2], 1e-7, "first");
        cpu.adamw(&mut p, &buffer(&cpu, &[-0.5]), &mut m, &mut v, &step_of(0..1, 2));
        assert_close(&p, &[0.985_347_6], 1e-7, "second");
        assert_close(&m, &[0.02], 1e-6, "first moment");
        assert_close(&v, &[0.000_312_25], 1e-6, "second moment");
    }
}

#[test]
fn adamw_stays_in_its_range_and_agrees_with_f64_for_many_steps() {
    const LEN: usize = 40_000;
    let start = random(1, LEN);
    let grads: Vec<Vec<f32>> = (0..5).map(|s| random(2 + s, LEN)).collect();
    let (mut p64, mut m64, mut v64) = (to_f64(&start), vec![0.0; LEN], vec![0.0; LEN]);
    for (s, grads) in grads.iter().enumerate() {
        let t = s as i32 + 1;
        for i in 1..LEN - 1 {
            let g = f64::from(grads[i]) * 0.5;
            p64[i] *= 1.0 - 0.01 * 0.1;
            m64[i] = 0.9 * m64[i] + 0.1 * g;
            v64[i] = 0.999 * v64[i] + 0.001 * g * g;
            let denominator = (v64[i] / (1.0 - 0.999f64.powi(t))).sqrt() + 1e-8;
            p64[i] -= 0.01 * (m64[i] / (1.0 - 0.9f64.powi(t))) / denominator;
        }
    }
    let run = |cpu: &Cpu| {
        let (mut p, mut m, mut v) = (buffer(cpu, &start), zeros(cpu, LEN), zeros(cpu, LEN));
        for (s, grads) in grads.iter().enumerate() {
            cpu.adamw(&mut p, &buffer(cpu, grads), &mut m, &mut v, &step_of(1..LEN - 1, s as u64 + 1));
        }
        vec![values(&p), values(&m), values(&v)]
    };
    let plain = run(&devices()[0]);
    assert_eq!((plain[0][0], plain[0][LEN - 1]), (start[0], start[LEN - 1]));
    assert_close(&plain[0], &p64, 2e-6, "params");
    for cpu in devices() {
        for (a, b) in run(&cpu).iter().zip(&plain) {
            assert_eq!(bits(a), bits(b), "{:?} and plain", cpu.isa());
        }
    }
    assert_devices_agree(0.0, true, run);
}

#[test]
fn the_gradient_norm_is_summed_in_f64_and_keeps_what_is_not_finite() {
    let grads = random(7, 100_003);
    let expected = grads.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>().sqrt();
    let mut seen = Vec::new();
    for cpu in devices() {
        let norm = cpu.grad_norm(&buffer(&cpu, &grads));
        assert!((norm - expected).abs() < 1e-10 * expected, "{norm}, expected {expected}");
        seen.push(norm.to_bits());
        seen.push(Cpu::with_isa(1, cpu.isa()).grad_norm(&buffer(&cpu, &grads)).to_bits());
        assert!(cpu.grad_norm(&buffer(&cpu, &[1.0, f32::NAN])).is_nan());
        assert_eq!(cpu.grad_norm(&buffer(&cpu, &[1.0, f32::NEG_INFINITY])), f64::INFINITY);
        assert_eq!(cpu.grad_norm(&zeros(&cpu, 0)), 0.0);
        assert!((cpu.grad_norm(&buffer(&cpu, &[3e38, 2e38])) / 3.605_551e38 - 1.0).abs() < 1e-6);
    }
    seen.dedup();
    assert_eq!(seen.len(), 1, "every device gives the same bits");
}

/// A line of `data/adamw_8bit.txt`, which `tools/adamw_8bit_vector.py` wrote with bitsandbytes 0.50.2.
fn reference(name: &str) -> Vec<u8> {
    let text = include_str!("data/adamw_8bit.txt");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap();
    (0..line.len()).step_by(2).map(|i| u8::from_str_radix(&line[i..i + 2], 16).unwrap()).collect()
}

fn reference_f32(name: &str) -> Vec<f32> {
    reference(name).as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

#[test]
fn eight_bit_steps_follow_bitsandbytes() {
    const LEN: usize = 600;
    let start: Vec<f32> = (0..LEN).map(|i| ((i * 13 % 101) as f32 - 50.0) / 64.0).collect();
    let gradient = |step: usize| -> Vec<f32> {
        let value = |i: usize| ((i * 37 + step * 101) % 257) as f32 - 128.0;
        (0..LEN).map(|i| value(i) * 2f32.powi(-(8 + 3 * (i as i32 % 7)))).collect()
    };
    for cpu in devices() {
        let (mut params, mut moments) = (buffer(&cpu, &start), EightBitMoments::new([LEN]));
        for step in 0..3 {
            let adamw = AdamW { grad_scale: 1.0, ..step_of(0..LEN, step as u64 + 1) };
            cpu.adamw_8bit(&mut params, &buffer(&cpu, &gradient(step)), &mut moments, &adamw);
            let expected: Vec<f64> = to_f64(&reference_f32(&format!("params.{step}")));
            assert_close(&params, &expected, 2e-6, &format!("parameters after step {step}"));
            for (name, scales) in [("m_scale", &mut moments.m_scale), ("v_scale", &mut moments.v_scale)] {
                let expected = reference_f32(&format!("{name}.{step}"));
                assert_close(scales, &to_f64(&expected), 1e-6, &format!("{name} after step {step}"));
                scales.copy_from_slice(&expected);
            }
            for (name, codes) in [("m", &mut moments.m), ("v", &mut moments.v)] {
                let expected = reference(&format!("{name}.{step}"));
                // A value in the middle between two codes may fall to either side by rounding.
                assert!(
                    codes.iter().zip(&expected).all(|(a, b)| a.abs_diff(*b) <= 1),
                    "{name} after step {step}"
                );
                let other = codes.iter().zip(&expected).filter(|(a, b)| a != b).count();
                assert!(other <= LEN / 100, "{other} of {LEN} codes of {name} after step {step}");
                codes.copy_from_slice(&expected);
            }
            // The next step starts from the reference, so that such a value is no error twice.
            params = buffer(&cpu, &reference_f32(&format!("params.{step}")));
        }
    }
}

#[test]
fn eight_bit_steps_stay_in_their_range_and_agree_on_every_device() {
    // The part that a range leaves out is another parameter.
    let lengths = [300, 1000, 17];
    let (start, grads) = (random(1, 1317), random(2, 1317));
    let run = |cpu: &Cpu| {
        let (mut params, mut moments) = (buffer(cpu, &start), EightBitMoments::new(lengths));
        for t in 1..4 {
            cpu.adamw_8bit(&mut params, &buffer(cpu, &grads), &mut moments, &step_of(300..1317, t));
        }
        assert_eq!(values(&params)[..300], start[..300]);
        assert!(moments.m_scale[..2].iter().all(|s| *s == 0.0));
        bits(&values(&params))
    };
    let all: Vec<_> = devices().iter().map(run).collect();
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]));
}
