//! NEFTune (Jain et al. 2023, "NEFTune: Noisy Embeddings Improve Instruction Finetuning", algorithm 1): uniform noise of
//! ±alpha/sqrt(L·H) on the embeddings of a training example of `L` tokens and width `H`.

use dataset::Sample;

/// The noise of one batch. It follows from seed, step and example, never from what was drawn before, so that a resumed
/// run meets the same.
#[derive(Debug, Clone, Copy)]
pub struct Noise<'a> {
    /// Strength, `alpha`.
    pub alpha: f64,
    /// Seed of the run.
    pub seed: u64,
    /// Number of the step.
    pub step: u64,
    /// All samples.
    pub samples: &'a [Sample],
    /// Those of the batch, by number and in its order.
    pub batch: &'a [usize],
}

impl Noise<'_> {
    /// Adds the noise to the embeddings of the batch, `[T, H]`.
    ///
    /// # Panics
    /// When there are not as many rows as the samples have tokens.
    pub fn add_to(&self, embeddings: &mut [f32], width: usize) {
        let mut rest = embeddings;
        for &index in self.batch {
            let sample = &self.samples[index];
            let (own, others) = rest.split_at_mut(sample.ids.len() * width);
            let bound = (self.alpha / ((sample.ids.len() * width) as f64).sqrt()) as f32;
            let mut stream = Stream::new(self.seed, self.step, &sample.id);
            for value in own {
                *value += bound * stream.next();
            }
            rest = others;
        }
        assert!(rest.is_empty(), "{} embeddings without a sample", rest.len());
    }
}

/// SplitMix64 (Steele, Lea & Flood 2014), started by a hash: millions of values a step must cost little.
struct Stream(u64);

impl Stream {
    fn new(seed: u64, step: u64, id: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"noise on embeddings").update(&seed.to_le_bytes()).update(&step.to_le_bytes());
        let hash = hasher.update(id.as_bytes()).finalize();
        let mut start = [0; 8];
        start.copy_from_slice(&hash.as_bytes()[..8]);
        Stream(u64::from_le_bytes(start))
    }

    /// Evenly spread over -1..1.
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let bits = ((z ^ (z >> 31)) >> 40) as f32;
        bits * (2.0 / (1 << 24) as f32) - 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: usize = 64;

    fn sample(id: &str, length: usize) -> Sample {
        Sample { id: id.into(), ids: vec![0; length], learned: vec![true; length] }
    }

    fn noise(samples: &[Sample], batch: &[usize], step: u64) -> Vec<f32> {
        let tokens: usize = batch.iter().map(|&i| samples[i].ids.len()).sum();
        let mut embeddings = vec![0.0; tokens * WIDTH];
        Noise { alpha: 5.0, seed: 42, step, samples, batch }.add_to(&mut embeddings, WIDTH);
        embeddings
    }

    #[test]
    fn noise_is_even_and_bounded_by_the_length_of_each_sample() {
        let samples = [sample("short", 4), sample("long", 100)];
        let both = noise(&samples, &[0, 1], 1);
        for (part, length) in [(&both[..4 * WIDTH], 4), (&both[4 * WIDTH..], 100)] {
            let bound = 5.0 / ((length * WIDTH) as f32).sqrt();
            let largest = part.iter().fold(0.0f32, |a, x| a.max(x.abs()));
            assert!(largest <= bound && largest > 0.95 * bound, "{largest} of {bound}");
            let n = part.len() as f32;
            let mean = part.iter().sum::<f32>() / n;
            let variance = part.iter().map(|x| x * x).sum::<f32>() / n;
            assert!(mean.abs() < 4.0 * bound / (3.0 * n).sqrt(), "{mean}");
            assert!((variance / (bound * bound / 3.0) - 1.0).abs() < 0.25, "{variance}");
        }
    }

    #[test]
    fn noise_follows_from_step_and_sample_not_from_the_company() {
        let samples = [sample("a", 3), sample("b", 5)];
        let (together, turned) = (noise(&samples, &[0, 1], 7), noise(&samples, &[1, 0], 7));
        assert_eq!(together[..3 * WIDTH], turned[5 * WIDTH..]);
        assert_eq!(together[3 * WIDTH..], noise(&samples, &[1], 7));
        assert_ne!(noise(&samples, &[0], 7), noise(&samples, &[0], 8));
        assert_ne!(together[..3 * WIDTH], together[3 * WIDTH..6 * WIDTH]);
    }
}
