//! AdamW and the norm of the gradients.

mod support;

use compute::{AdamW, Backend, Cpu};
use support::*;

fn step(range: std::ops::Range<usize>, step: u64) -> AdamW {
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
        cpu.adamw(&mut p, &buffer(&cpu, &[1.0]), &mut m, &mut v, &step(0..1, 1));
        assert_close(&p, &[0.989_000_000_2], 1e-7, "first");
        cpu.adamw(&mut p, &buffer(&cpu, &[-0.5]), &mut m, &mut v, &step(0..1, 2));
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
            cpu.adamw(&mut p, &buffer(cpu, grads), &mut m, &mut v, &step(1..LEN - 1, s as u64 + 1));
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
