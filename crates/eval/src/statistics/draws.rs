//! Random draws with replacement, on all processors, the same whatever their number.

use super::Resampling;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Resamples of one stream of random numbers. A stream belongs to a block of resamples, never to a thread.
const BLOCK: usize = 128;

/// An odd number that sets the streams of neighbouring blocks apart.
const STREAMS: u64 = 0xd134_2543_de82_ef95;

/// Draws that are worth a thread.
const THREAD_DRAWS: usize = 1 << 20;

/// Indices below a number, drawn with replacement.
pub(super) struct Draw {
    random: Xoshiro256PlusPlus,
    below: u64,
}

impl Draw {
    /// The next two. Each comes from 32 random bits by a product, so that no index is more likely than another by
    /// more than `below / 2^32`.
    fn pair(&mut self) -> [usize; 2] {
        let bits = self.random.next_u64();
        [bits >> 32, bits & 0xffff_ffff].map(|half| ((half * self.below) >> 32) as usize)
    }

    /// As many as there are to draw from.
    pub(super) fn each(&mut self, mut take: impl FnMut(usize)) {
        for _ in 0..self.below / 2 {
            let [first, second] = self.pair();
            take(first);
            take(second);
        }
        if self.below % 2 == 1 {
            take(self.pair()[0]);
        }
    }
}

/// One value of every resample of `count` things, in the order of the resamples. At most `2^32 - 1` things.
pub(super) fn resample(
    count: usize,
    resampling: &Resampling,
    value: impl Fn(&mut Draw) -> f64 + Sync,
) -> Vec<f64> {
    let mut values = vec![0.0; resampling.resamples];
    let blocks: Vec<Mutex<&mut [f64]>> = values.chunks_mut(BLOCK).map(Mutex::new).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(block) = blocks.get(index) else { return };
            let seed = resampling.seed ^ (index as u64).wrapping_mul(STREAMS);
            let mut draw = Draw { random: Xoshiro256PlusPlus::seed_from_u64(seed), below: count as u64 };
            // Nobody else takes this index: the lock only says so to the compiler.
            let mut block = block.lock().unwrap_or_else(PoisonError::into_inner);
            block.iter_mut().for_each(|slot| *slot = value(&mut draw));
        }
    };
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = processors.min(count.saturating_mul(resampling.resamples) / THREAD_DRAWS + 1);
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    drop(blocks);
    values
}
