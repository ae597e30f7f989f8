//! Times 10,000 resamples of 5,000 items, each a group of its own, on all threads: the interval of a share, and of a
//! difference of two shares in pairs.
//!
//! `cargo run --release -p eval --example bootstrap_speed`

use eval::statistics::{Resampling, bca_interval, ratio_difference};
use std::hint::black_box;
use std::time::Instant;

const ITEMS: u32 = 5_000;
const ROUNDS: usize = 11;

fn timed<const N: usize>(what: &str, items: &[[f64; N]], statistic: fn(&[f64; N]) -> f64) {
    let resampling = Resampling { seed: 1, resamples: 10_000 };
    let mut seconds = Vec::with_capacity(ROUNDS);
    let mut interval = None;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        interval = black_box(bca_interval(black_box(items), statistic, &resampling));
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    let interval = interval.expect("an interval");
    println!(
        "{what:<28} best {:.3} s, median {:.3} s   [{:.4}, {:.4}]",
        seconds[0],
        seconds[ROUNDS / 2],
        interval.low,
        interval.high
    );
}

fn main() {
    let (base, tuned) =
        (|i: u32| f64::from(u8::from(i.is_multiple_of(3))), |i: u32| f64::from(u8::from(i % 5 < 2)));
    let shares: Vec<[f64; 2]> = (0..ITEMS).map(|i| [base(i), 1.0]).collect();
    let pairs: Vec<[f64; 4]> = (0..ITEMS).map(|i| [base(i), 1.0, tuned(i), 1.0]).collect();
    println!("10,000 resamples of {ITEMS} items, {ROUNDS} rounds");
    timed("a share", &shares, |sums| sums[0] / sums[1]);
    timed("a difference in pairs", &pairs, ratio_difference);
}
