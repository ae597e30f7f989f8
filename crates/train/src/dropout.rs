//! Keys of dropout masks. A token's key follows from seed, step, sample and position, so that a mask is the same in
//! whatever batch its sample is, and in a run that was resumed.

use dataset::Sample;

/// The keys of the tokens of a batch of `samples`, one after another.
pub fn keys(keys: &mut Vec<u64>, (seed, step): (u64, u64), samples: &[Sample], batch: &[usize]) {
    keys.clear();
    for &index in batch {
        let sample = &samples[index];
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"dropout").update(&seed.to_le_bytes()).update(&step.to_le_bytes());
        let hash = hasher.update(sample.id.as_bytes()).finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&hash.as_bytes()[..8]);
        let first = u64::from_le_bytes(first);
        // The device mixes what it gets; here it only has to differ.
        let key = |position: usize| first.wrapping_add((position as u64).wrapping_mul(0xD6E8_FEB8_6659_FD93));
        keys.extend((0..sample.ids.len()).map(key));
    }
}
