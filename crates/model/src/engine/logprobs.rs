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

/// Log-probability of `token` under `logits` `[V]`, with the `top` likeliest.
pub(super) fn of(logits: &[f32], token: u32, top: usize) -> TokenLogprob {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f64 = logits.iter().map(|&l| f64::from((l - highest).exp())).sum();
    let log_total = f64::from(highest) + total.ln();
    let logprob = |id: u32| (f64::from(logits[id as usize]) - log_total) as f32;
    let mut likeliest: Vec<u32> = Vec::with_capacity(top + 1);
    if top > 0 {
        for id in 0..logits.len() as u32 {
            let below = |&other: &u32| logits[other as usize] >= logits[id as usize];
            if likeliest.len() < top || likeliest.last().is_some_and(|last| !below(last)) {
                let place = likeliest.partition_point(below);
                likeliest.insert(place, id);
                likeliest.truncate(top);
            }
        }
    }
    TokenLogprob { logprob: logprob(token), top: likeliest.into_iter().map(|id| (id, logprob(id))).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_come_first_and_the_lower_id_wins_a_tie() {
        let logits = [0.5f32.ln(), 0.125f32.ln(), 0.25f32.ln(), 0.125f32.ln()];
        let found = of(&logits, 1, 3);
        assert!((found.logprob - 0.125f32.ln()).abs() < 1e-6);
        assert_eq!(found.top.iter().map(|t| t.0).collect::<Vec<_>>(), [0, 2, 1]);
        assert!((found.top[0].1 - 0.5f32.ln()).abs() < 1e-6);
    }

    #[test]
    fn a_whole_vocabulary_adds_up_to_one() {
        let logits: Vec<f32> = (0..50).map(|i| ((i * 37) % 11) as f32 - 4.0).collect();
        let found = of(&logits, 0, 50);
        let total: f64 = found.top.iter().map(|t| f64::from(t.1).exp()).sum();
        assert!((total - 1.0).abs() < 1e-6, "{total}");
        assert!(found.top.windows(2).all(|w| w[0].1 >= w[1].1));
    }
}
