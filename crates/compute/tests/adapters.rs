//! Dropout and DoRA's magnitudes.

mod support;

use compute::{Adapter, Backend, Cpu, DeviceBuffer, Dropout, Magnitude, MagnitudeBackward, Matrix};
use support::*;

const ROWS: usize = 50;
const COLS: usize = 403;

fn drop(cpu: &Cpu, x: &[f32], keys: &[u64], stream: u64, add: bool) -> Vec<f32> {
    let mut y = buffer(cpu, &vec![if add { 1.0 } else { f32::NAN }; x.len()]);
    let x = buffer(cpu, x);
    let mask = Dropout { keys, stream, probability: 0.3, scale: 2.0 };
    cpu.dropout(y.view_mut(0, keys.len(), COLS), x.view(0, keys.len(), COLS), add, &mask);
    values(&y)
}

#[test]
fn dropout_takes_its_share_and_scales_the_rest() {
    let x = random(1, ROWS * COLS);
    let keys: Vec<u64> = (0..ROWS as u64).collect();
    for cpu in devices() {
        let y = drop(&cpu, &x, &keys, 0, false);
        assert!(x.iter().zip(&y).all(|(x, y)| *y == 0.0 || *y == 2.0 * x));
        let deviation = (0.3f64 * 0.7 / y.len() as f64).sqrt();
        let share = |dropped: usize, of: usize| dropped as f64 / of as f64;
        let dropped = |values: &mut dyn Iterator<Item = &f32>| values.filter(|v| **v == 0.0).count();
        assert!((share(dropped(&mut y.iter()), y.len()) - 0.3).abs() < 4.0 * deviation);
        // No row and no column is spared or hit more than chance would have it.
        for row in y.chunks(COLS) {
            assert!((share(dropped(&mut row.iter()), COLS) - 0.3).abs() < 0.1);
        }
        for column in 0..COLS {
            let share = share(dropped(&mut y[column..].iter().step_by(COLS)), ROWS);
            assert!((share - 0.3).abs() < 0.3, "column {column}: {share}");
        }
        // Neighbouring keys and streams have nothing to do with each other: both drop 0.09.
        let other = drop(&cpu, &x, &keys, 1, false);
        let both = y.iter().zip(&other).filter(|(a, b)| **a == 0.0 && **b == 0.0).count();
        assert!((share(both, y.len()) - 0.09).abs() < 0.01, "{}", share(both, y.len()));
        let pairs = y.chunks(COLS).zip(y.chunks(COLS).skip(1)).flat_map(|(a, b)| a.iter().zip(b));
        let both = pairs.filter(|(a, b)| **a == 0.0 && **b == 0.0).count();
        assert!((share(both, y.len()) - 0.09).abs() < 0.01, "{}", share(both, y.len()));
        let added = drop(&cpu, &x, &keys, 0, true);
        assert!(added.iter().zip(&y).all(|(added, y)| *added == 1.0 + y));
    }
    assert_devices_agree(0.0, true, |cpu| vec![drop(cpu, &x, &keys, 0, false)]);
}

#[test]
fn a_mask_follows_from_the_rows_key_alone() {
    let x = vec![1.0; 3 * COLS];
    for cpu in devices() {
        let y = drop(&cpu, &x, &[7, 8, 7], 5, false);
        assert_eq!(y[..COLS], y[2 * COLS..]);
        assert_ne!(y[..COLS], y[COLS..2 * COLS]);
        assert_eq!(y[COLS..2 * COLS], drop(&cpu, &x[..COLS], &[8], 5, false));
    }
}

#[test]
fn weight_norms_are_the_lengths_of_the_rows_with_the_adapter() {
    let (n, k, rank, scale) = (37, 53, 5, 0.7);
    let (w, a, b) = (random(1, n * k), random(2, rank * k), random(3, n * rank));
    let row = |i: usize| w[i * k..(i + 1) * k].iter().map(|w| f64::from(*w));
    let squares: Vec<f32> = (0..n).map(|i| row(i).map(|w| w * w).sum::<f64>() as f32).collect();
    let expected: Vec<f64> = (0..n)
        .map(|i| {
            let low = |j: usize| -> f64 {
                (0..rank).map(|q| f64::from(b[i * rank + q]) * f64::from(a[q * k + j])).sum()
            };
            row(i).enumerate().map(|(j, w)| (w + f64::from(scale) * low(j)).powi(2)).sum::<f64>().sqrt()
        })
        .collect();
    let norms = |cpu: &Cpu, b: &[f32]| {
        let (weight, squares) = (buffer(cpu, &w), buffer(cpu, &squares));
        let (a, b) = (buffer(cpu, &a), buffer(cpu, b));
        let mut norms = zeros(cpu, n);
        let adapter = Adapter {
            down: Some(Matrix::View(a.view(0, rank, k))),
            up: Matrix::View(b.view(0, n, rank)),
            column: 0,
            scale,
        };
        let weight = Matrix::View(weight.view(0, n, k));
        cpu.weight_norms(norms.view_mut(0, 1, n), squares.view(0, 1, n), weight, &adapter);
        values(&norms)
    };
    for cpu in devices() {
        assert_close(&norms(&cpu, &b), &expected, 1e-6, "norms");
        let fresh: Vec<f32> = squares.iter().map(|s| f64::from(*s).sqrt() as f32).collect();
        assert_eq!(
            bits(&norms(&cpu, &vec![0.0; n * rank])),
            bits(&fresh),
            "an adapter that has learned nothing"
        );
    }
}

#[test]
fn magnitudes_scale_columns_and_get_their_gradient() {
    let (t, n) = (70, 45);
    let (u, start, dy) = (random(1, t * n), random(2, t * n), random(3, t * n));
    let (m, norm): (Vec<f32>, Vec<f32>) =
        (random(4, n), random(5, n).iter().map(|v| v.abs() + 0.5).collect());
    let value = |i: usize, m: f64, u: f64| f64::from(start[i]) + m / f64::from(norm[i % n]) * u;
    let expected: Vec<f64> = (0..t * n).map(|i| value(i, f64::from(m[i % n]), f64::from(u[i]))).collect();
    let du: Vec<f64> =
        (0..t * n).map(|i| f64::from(m[i % n]) / f64::from(norm[i % n]) * f64::from(dy[i])).collect();
    let mut dm = vec![1.0; n];
    for i in 0..t * n {
        dm[i % n] += f64::from(dy[i]) * f64::from(u[i]) / f64::from(norm[i % n]);
    }
    for cpu in devices() {
        let (bu, bstart, bdy) = (buffer(&cpu, &u), buffer(&cpu, &start), buffer(&cpu, &dy));
        let (bm, bnorm) = (buffer(&cpu, &m), buffer(&cpu, &norm));
        let magnitude = Magnitude { magnitude: bm.view(0, 1, n), norm: bnorm.view(0, 1, n) };
        let (mut y, mut d_u, mut d_m) = (zeros(&cpu, t * n), zeros(&cpu, t * n), buffer(&cpu, &vec![1.0; n]));
        cpu.magnitude(y.view_mut(0, t, n), bu.view(0, t, n), Some(bstart.view(0, t, n)), Some(magnitude));
        assert_close(&values(&y), &expected, 1e-6, "y");
        cpu.magnitude(y.view_mut(0, t, n), bu.view(0, t, n), None, None);
        assert_eq!(values(&y), u);
        cpu.magnitude_backward(MagnitudeBackward {
            du: d_u.view_mut(0, t, n),
            d_magnitude: d_m.view_mut(0, 1, n),
            dy: bdy.view(0, t, n),
            u: bu.view(0, t, n),
            magnitude,
        });
        assert_close(&values(&d_u), &du, 1e-6, "du");
        assert_close(&values(&d_m), &dm, 2e-6, "magnitudes");
    }
}
