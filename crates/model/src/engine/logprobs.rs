//! How likely the model held a token, and which others.

/// Log-probability of a chosen token, of the model's own distribution: before penalties, temperature and constraint,
/// as OpenAI reports it.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenLogprob {
    /// Natural log of the probability.
    pub logprob: f32,
    /// The likeliest tokens with theirs, the likeliest first; the lower id goes first in a tie.
    pub top: Vec<(u32, f32)>,
}

/// What is known of a distribution before a token is chosen from it.
#[derive(Debug)]
pub(super) struct Distribution {
    /// Log of the sum of the exponentials.
    log_total: f64,
    /// The likeliest tokens with their logits.
    top: Vec<(u32, f32)>,
}

impl Distribution {
    /// Of `logits` `[V]`, with the `top` likeliest tokens.
    pub(super) fn of(logits: &[f32], top: usize) -> Self {
        let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let total: f64 = logits.iter().map(|&l| f64::from((l - highest).exp())).sum();
        let mut likeliest: Vec<(u32, f32)> = Vec::with_capacity((top + 1).min(logits.len()));
        for (&logit, id) in logits.iter().zip(0..) {
            if likeliest.len() < top || likeliest.last().is_some_and(|last| logit > last.1) {
                let place = likeliest.partition_point(|other| other.1 >= logit);
                likeliest.insert(place, (id, logit));
                likeliest.truncate(top);
            }
        }
        Distribution { log_total: f64::from(highest) + total.ln(), top: likeliest }
    }

    /// The chosen token had this logit.
    pub(super) fn logprob(mut self, logit: f32) -> TokenLogprob {
        let logprob = |logit: f32| (f64::from(logit) - self.log_total) as f32;
        self.top.iter_mut().for_each(|(_, logit)| *logit = logprob(*logit));
        TokenLogprob { logprob: logprob(logit), top: self.top }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_come_first_and_the_lower_id_wins_a_tie() {
        let logits = [0.5f32.ln(), 0.125f32.ln(), 0.25f32.ln(), 0.125f32.ln()];
        let found = Distribution::of(&logits, 3).logprob(logits[1]);
        assert!((found.logprob - 0.125f32.ln()).abs() < 1e-6);
        assert_eq!(found.top.iter().map(|t| t.0).collect::<Vec<_>>(), [0, 2, 1]);
        assert!((found.top[0].1 - 0.5f32.ln()).abs() < 1e-6);
    }

    #[test]
    fn a_whole_vocabulary_adds_up_to_one() {
        let logits: Vec<f32> = (0..50).map(|i| ((i * 37) % 11) as f32 - 4.0).collect();
        let found = Distribution::of(&logits, 50).logprob(logits[0]);
        let total: f64 = found.top.iter().map(|t| f64::from(t.1).exp()).sum();
        assert!((total - 1.0).abs() < 1e-6, "{total}");
        assert!(found.top.windows(2).all(|w| w[0].1 >= w[1].1));
    }
}
