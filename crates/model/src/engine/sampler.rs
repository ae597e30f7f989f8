//! From logits to the next token.

use rand::RngExt;
use rand::rngs::StdRng;

use crate::Sampling;

/// Chooses the tokens of one text. What it chooses depends on the text, the settings and the number of the choice, and
/// on nothing beside it.
#[derive(Debug)]
pub(super) struct Sampler {
    settings: Sampling,
    rng: StdRng,
    /// Tokens of prompt and text, each once, ascending, with how often it was written. Only where a penalty wants it.
    seen: Vec<(u32, u32)>,
}

/// A token that may be chosen: its logit over the temperature, and its id.
pub(super) type Candidate = (f32, u32);

impl Sampler {
    pub(super) fn new(settings: &Sampling, choice: usize, prompt: &[u32]) -> Self {
        let rng = crate::random::stream(settings.seed, &format!("sample {choice}"));
        let mut sampler = Sampler { settings: settings.clone(), rng, seen: Vec::new() };
        if sampler.penalises() {
            let mut ids = prompt.to_vec();
            ids.sort_unstable();
            ids.dedup();
            sampler.seen = ids.into_iter().map(|id| (id, 0)).collect();
        }
        sampler
    }

    fn penalises(&self) -> bool {
        let s = &self.settings;
        s.repetition_penalty != 1.0 || s.presence_penalty != 0.0 || s.frequency_penalty != 0.0
    }

    /// A token was written.
    pub(super) fn wrote(&mut self, token: u32) {
        if self.penalises() {
            match self.seen.binary_search_by_key(&token, |seen| seen.0) {
                Ok(place) => self.seen[place].1 += 1,
                Err(place) => self.seen.insert(place, (token, 1)),
            }
        }
    }

    /// The next token after `text` (prompt and what was written), from the tokens that `forbid` leaves; none if it
    /// leaves none. Changes `logits`; `candidates` is scratch.
    pub(super) fn choose(
        &mut self,
        logits: &mut [f32],
        text: &[u32],
        forbid: impl FnOnce(&mut [f32]),
        candidates: &mut Vec<Candidate>,
    ) -> Option<u32> {
        self.penalise(logits);
        forbid_repeats(logits, text, self.settings.no_repeat_ngram);
        forbid(logits);
        let likeliest = argmax(logits);
        if logits.get(likeliest as usize).is_none_or(|&l| l == f32::NEG_INFINITY) {
            return None;
        }
        if self.settings.temperature <= 0.0 {
            return Some(likeliest);
        }
        let highest = logits[likeliest as usize] / self.settings.temperature;
        keep(&self.settings, logits, highest, candidates);
        let mass = |candidate: &Candidate| f64::from((candidate.0 - highest).exp());
        let mut point = self.rng.random::<f64>() * candidates.iter().map(mass).sum::<f64>();
        for candidate in candidates.iter() {
            point -= mass(candidate);
            if point <= 0.0 {
                return Some(candidate.1);
            }
        }
        candidates.last().map(|candidate| candidate.1)
    }

    fn penalise(&self, logits: &mut [f32]) {
        let Sampling { repetition_penalty, presence_penalty, frequency_penalty, .. } = self.settings;
        for &(id, written) in &self.seen {
            let Some(logit) = logits.get_mut(id as usize) else { continue };
            *logit = if *logit > 0.0 { *logit / repetition_penalty } else { *logit * repetition_penalty };
            if written > 0 {
                *logit -= presence_penalty + written as f32 * frequency_penalty;
            }
        }
    }
}

/// Tokens that would complete a run of `n` tokens that stands in the text already.
fn forbid_repeats(logits: &mut [f32], text: &[u32], n: usize) {
    if n == 0 || text.len() < n {
        return;
    }
    let begun = &text[text.len() + 1 - n..];
    for run in text.windows(n).filter(|run| run[..n - 1] == *begun) {
        if let Some(logit) = logits.get_mut(run[n - 1] as usize) {
            *logit = f32::NEG_INFINITY;
        }
    }
}

/// Fills `candidates` with the tokens that temperature, `top_k`, `top_p` and `min_p` leave. `highest` is the largest
/// logit over the temperature. No more of the vocabulary is sorted than the nucleus takes.
fn keep(settings: &Sampling, logits: &[f32], highest: f32, candidates: &mut Vec<Candidate>) {
    candidates.clear();
    let possible = logits.iter().zip(0u32..).filter(|(l, _)| **l != f32::NEG_INFINITY);
    candidates.extend(possible.map(|(&l, id)| (l / settings.temperature, id)));
    if settings.top_k > 0 && settings.top_k < candidates.len() {
        candidates.select_nth_unstable_by(settings.top_k - 1, likelier);
        let least = candidates[settings.top_k - 1].0;
        candidates.retain(|candidate| candidate.0 >= least);
    }
    if settings.top_p < 1.0 {
        nucleus(candidates, settings.top_p, highest);
    }
    if settings.min_p > 0.0 {
        let least = highest + settings.min_p.ln();
        candidates.retain(|candidate| candidate.0 >= least);
    }
}

/// The likeliest first; the lower id first in a tie.
fn likelier(a: &Candidate, b: &Candidate) -> std::cmp::Ordering {
    b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
}

/// The smallest set of likeliest tokens with `top_p` of the probability (Holtzman et al. 2020), the likeliest first.
fn nucleus(candidates: &mut Vec<Candidate>, top_p: f32, highest: f32) {
    let mass = |candidate: &Candidate| f64::from((candidate.0 - highest).exp());
    let wanted = f64::from(top_p) * candidates.iter().map(mass).sum::<f64>();
    let (mut sorted, mut before) = (0, 0.0);
    while sorted < candidates.len() {
        // The likeliest that are not sorted yet, more of them each time.
        let rest = &mut candidates[sorted..];
        let next = (2 * sorted).clamp(FIRST_SORTED, rest.len().max(FIRST_SORTED)).min(rest.len());
        if next < rest.len() {
            rest.select_nth_unstable_by(next, likelier);
        }
        rest[..next].sort_unstable_by(likelier);
        for _ in 0..next {
            before += mass(&candidates[sorted]);
            sorted += 1;
            if before >= wanted {
                return candidates.truncate(sorted);
            }
        }
    }
}

/// So many candidates are sorted first in search of the nucleus.
const FIRST_SORTED: usize = 64;

/// The lowest id of the largest logit. What is not a number is not chosen.
fn argmax(logits: &[f32]) -> u32 {
    // Lane by lane, which the compiler turns into vectors.
    let mut lanes = [f32::NEG_INFINITY; 32];
    let (whole, rest) = logits.as_chunks::<32>();
    for chunk in whole {
        for (lane, &logit) in lanes.iter_mut().zip(chunk) {
            *lane = if logit > *lane { logit } else { *lane };
        }
    }
    let highest = lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a });
    let has = |chunk: &[f32; 32]| chunk.iter().fold(false, |found, &logit| found | (logit == highest));
    let first = whole.iter().position(has).unwrap_or(whole.len()) * 32;
    let within = logits[first..].iter().position(|&logit| logit == highest);
    within.map_or(0, |within| (first + within) as u32)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn choose(sampler: &mut Sampler, logits: &[f32]) -> u32 {
        sampler.choose(&mut logits.to_vec(), &[], |_| {}, &mut Vec::new()).unwrap()
    }

    fn sampling(temperature: f32) -> Sampling {
        Sampling { temperature, ..Sampling::default() }
    }

    #[test]
    fn greedy_takes_the_lowest_id_of_a_tie() {
        let mut sampler = Sampler::new(&Sampling::default(), 0, &[]);
        assert_eq!(choose(&mut sampler, &[0.5, 2.0, 2.0, -1.0]), 1);
    }

    #[test]
    fn the_largest_logit_is_found_wherever_it_is() {
        for length in [1, 31, 32, 33, 200] {
            for place in 0..length {
                let mut logits: Vec<f32> = (0..length).map(|i| -((i % 7) as f32) - 1.0).collect();
                logits[place] = -0.5;
                logits[length - 1] = -0.5;
                assert_eq!(argmax(&logits), place as u32);
            }
        }
        assert_eq!(argmax(&[f32::NAN, 1.0, f32::NAN]), 1);
        assert_eq!(argmax(&[f32::NEG_INFINITY; 40]), 0);
    }

    #[test]
    fn a_nucleus_keeps_only_the_likeliest() {
        let mut sampler = Sampler::new(&Sampling { top_p: 0.5, ..sampling(1.0) }, 0, &[]);
        for _ in 0..50 {
            assert_eq!(choose(&mut sampler, &[0.0, 3.0, 0.0]), 1);
        }
    }

    #[test]
    fn sampled_frequencies_follow_the_probabilities() {
        let mut sampler = Sampler::new(&sampling(1.0), 0, &[]);
        let ones = (0..20_000).filter(|_| choose(&mut sampler, &[0.0, (3.0f32).ln()]) == 1).count();
        assert!((ones as f64 / 20_000.0 - 0.75).abs() < 0.01, "{ones}");
    }

    #[test]
    fn repetition_is_penalised_on_both_sides_of_zero() {
        let settings = Sampling { repetition_penalty: 2.0, ..Sampling::default() };
        let mut logits = [2.0, -2.0, 1.5];
        Sampler::new(&settings, 0, &[0, 1, 1]).penalise(&mut logits);
        assert_eq!(logits, [1.0, -4.0, 1.5]);
    }

    #[test]
    fn presence_counts_once_and_frequency_every_time_and_neither_the_prompt() {
        let settings = Sampling { presence_penalty: 0.5, frequency_penalty: 0.25, ..Sampling::default() };
        let mut sampler = Sampler::new(&settings, 0, &[0]);
        [2, 2, 2, 1].into_iter().for_each(|token| sampler.wrote(token));
        let mut logits = [1.0; 4];
        sampler.penalise(&mut logits);
        assert_eq!(logits, [1.0, 0.25, -0.25, 1.0]);
    }

    #[test]
    fn where_nothing_is_allowed_nothing_is_chosen() {
        for temperature in [0.0, 1.0] {
            let mut sampler = Sampler::new(&sampling(temperature), 0, &[]);
            let chosen = sampler.choose(&mut [1.0, 2.0], &[], |l| l.fill(f32::NEG_INFINITY), &mut Vec::new());
            assert_eq!(chosen, None);
        }
    }

    #[test]
    fn a_nucleus_of_a_wide_distribution_is_the_one_that_sorting_finds() {
        for (count, top_p) in [(1, 0.5), (63, 0.9), (500, 0.3), (5000, 0.97), (5000, 1e-6), (300, 0.999_999)]
        {
            let logits: Vec<f32> = (0..count).map(|i| ((i * 7919) % 1000) as f32 / 250.0).collect();
            let mut found: Vec<Candidate> = logits.iter().copied().zip(0..).collect();
            let mut sorted = found.clone();
            sorted.sort_by(likelier);
            nucleus(&mut found, top_p, 4.0);
            let mass = |c: &Candidate| f64::from((c.0 - 4.0).exp());
            let wanted = f64::from(top_p) * sorted.iter().map(mass).sum::<f64>();
            assert_eq!(found, sorted[..found.len()]);
            let without_last: f64 = found[..found.len() - 1].iter().map(mass).sum();
            assert!(without_last < wanted * (1.0 + 1e-9), "{count} {top_p}");
            assert!(without_last + mass(&found[found.len() - 1]) > wanted * (1.0 - 1e-9), "{count} {top_p}");
        }
    }

    /// What each processor of transformers makes of one distribution.
    #[test]
    fn processors_agree_with_transformers() {
        let root = std::env::var("MEDTUNE_ORACLES").map_or_else(
            |_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data").into(),
            std::path::PathBuf::from,
        );
        let path = root.join("numerics/logits_processors.json");
        let Ok(text) = std::fs::read_to_string(&path) else {
            eprintln!("skipped: no {}", path.display());
            return;
        };
        let oracle: Value = serde_json::from_str(&text).unwrap();
        let numbers = |value: &Value| -> Vec<f32> {
            let number = |v: &Value| v.as_f64().map_or(f32::NEG_INFINITY, |v| v as f32);
            value.as_array().unwrap().iter().map(number).collect()
        };
        let logits = numbers(&oracle["logits"]);
        let previous: Vec<u32> = numbers(&oracle["previous_ids"]).iter().map(|&id| id as u32).collect();
        let mut checked = 0;
        for (name, expected) in oracle["results"].as_object().unwrap() {
            let (processor, value) = name.rsplit_once('_').unwrap();
            let number: f32 = value.parse().unwrap();
            let mut settings = sampling(1.0);
            match processor {
                "temperature" => settings.temperature = number,
                "top_k" => settings.top_k = number as usize,
                "top_p" => settings.top_p = number,
                "min_p" => settings.min_p = number,
                "repetition_penalty" => settings.repetition_penalty = number,
                "no_repeat_ngram" => settings.no_repeat_ngram = number as usize,
                other => panic!("no processor {other}"),
            }
            let mut processed = logits.clone();
            Sampler::new(&settings, 0, &previous).penalise(&mut processed);
            forbid_repeats(&mut processed, &previous, settings.no_repeat_ngram);
            let highest = processed[argmax(&processed) as usize] / settings.temperature;
            let mut candidates = Vec::new();
            keep(&settings, &processed, highest, &mut candidates);
            let mut got = vec![f32::NEG_INFINITY; logits.len()];
            candidates.iter().for_each(|&(logit, id)| got[id as usize] = logit);
            for (id, (got, expected)) in got.iter().zip(numbers(expected)).enumerate() {
                let near = (got - expected).abs() <= 1e-5 * expected.abs() || *got == expected;
                assert!(near, "{name}: token {id} has {got}, expected {expected}");
            }
            checked += 1;
        }
        assert_eq!(checked, 7, "processors");
    }
}
