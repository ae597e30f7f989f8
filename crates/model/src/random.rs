//! Seeded random numbers, the same on every machine. A stream is named by a seed and a text, so that adding a tensor
//! leaves the others as they were.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// The generator of the stream `name` under `seed`.
pub fn stream(seed: u64, name: &str) -> StdRng {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.update(name.as_bytes());
    StdRng::from_seed(*hasher.finalize().as_bytes())
}

/// `n` values of the standard normal distribution (Box and Muller 1958).
pub fn normal(seed: u64, name: &str, n: usize) -> impl Iterator<Item = f32> {
    let mut rng = stream(seed, name);
    let mut spare = None;
    (0..n).map(move |_| {
        if let Some(z) = spare.take() {
            return z;
        }
        let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
        let angle = std::f64::consts::TAU * rng.random::<f64>();
        spare = Some((radius * angle.sin()) as f32);
        (radius * angle.cos()) as f32
    })
}

/// `n` values spread evenly over `-bound..bound`.
pub fn uniform(seed: u64, name: &str, bound: f32, n: usize) -> impl Iterator<Item = f32> {
    let mut rng = stream(seed, name);
    (0..n).map(move |_| (rng.random::<f32>() * 2.0 - 1.0) * bound)
}
