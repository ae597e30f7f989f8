//! Translation edit rate: edits and moves of words per word of the reference.
//!
//! Snover et al. 2006, "A Study of Translation Edit Rate with Targeted Human Annotation"; sacreBLEU 2.6.0,
//! `metrics/ter.py` and `lib_ter.py`, whose heuristics for choosing moves follow Tercom.

mod distance;
mod shift;

use super::{SACREBLEU_VERSION, python};
use distance::EditDistance;
use serde::{Deserialize, Serialize};
use shift::{MAX_CANDIDATES, best_shift};
use std::collections::HashMap;
use std::ops::AddAssign;

/// TER with sacreBLEU's defaults: lower case, split at white space, punctuation as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ter {
    /// Tell upper from lower case.
    pub case_sensitive: bool,
}

/// What a score is computed from: sums over the sentences of a corpus.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct TerStatistics {
    /// Edits to the nearest reference.
    pub edits: u64,
    /// Words of the references, on average over those of one sentence.
    pub reference_length: f64,
}

impl AddAssign for TerStatistics {
    fn add_assign(&mut self, other: Self) {
        self.edits += other.edits;
        self.reference_length += other.reference_length;
    }
}

impl Ter {
    /// Score of one hypothesis in percent; 0 is equality, and it may pass 100.
    pub fn sentence(&self, hypothesis: &str, references: &[&str]) -> f64 {
        self.score(&self.statistics(hypothesis, references))
    }

    /// Score of a corpus of hypotheses with one reference each.
    pub fn corpus<'a>(&self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> f64 {
        let mut sum = TerStatistics::default();
        pairs
            .into_iter()
            .for_each(|(hypothesis, reference)| sum += self.statistics(hypothesis, &[reference]));
        self.score(&sum)
    }

    /// What one sentence adds to the counts.
    pub fn statistics(&self, hypothesis: &str, references: &[&str]) -> TerStatistics {
        let prepared = |text: &str| if self.case_sensitive { text.to_string() } else { text.to_lowercase() };
        let (hypothesis, references) =
            (prepared(hypothesis), references.iter().map(|text| prepared(text)).collect::<Vec<_>>());
        let mut numbers: HashMap<&str, u32> = HashMap::new();
        let mut words = |text| {
            let number = |word| {
                let next = numbers.len() as u32;
                *numbers.entry(word).or_insert(next)
            };
            python::split(text).map(number).collect::<Vec<u32>>()
        };
        let hypothesis = words(&hypothesis);
        let references: Vec<Vec<u32>> = references.iter().map(|text| words(text)).collect();
        let edits = references.iter().map(|reference| edits(&hypothesis, reference)).min();
        let lengths: usize = references.iter().map(Vec::len).sum();
        TerStatistics {
            edits: edits.unwrap_or(hypothesis.len()) as u64,
            reference_length: lengths as f64 / references.len().max(1) as f64,
        }
    }

    /// Score of summed counts: `100 · edits / words`; 100 for words against empty references.
    pub fn score(&self, statistics: &TerStatistics) -> f64 {
        if statistics.reference_length > 0.0 {
            100.0 * (statistics.edits as f64 / statistics.reference_length)
        } else if statistics.edits > 0 {
            100.0
        } else {
            0.0
        }
    }

    /// sacreBLEU's signature: `nrefs:1|case:lc|tok:tercom|norm:no|punct:yes|asian:no|version:2.6.0`.
    pub fn signature(&self, references: usize) -> String {
        let case = if self.case_sensitive { "mixed" } else { "lc" };
        format!(
            "nrefs:{references}|case:{case}|tok:tercom|norm:no|punct:yes|asian:no|version:{SACREBLEU_VERSION}"
        )
    }
}

/// Moves, insertions, deletions and substitutions that turn the hypothesis into the reference.
fn edits(hypothesis: &[u32], reference: &[u32]) -> usize {
    if reference.is_empty() {
        return hypothesis.len();
    }
    let distance = EditDistance::new(reference, hypothesis.len());
    let mut words = hypothesis.to_vec();
    let (mut moves, mut candidates) = (0, 0);
    while let Some(shifted) = best_shift(&words, &distance, &mut candidates) {
        if candidates >= MAX_CANDIDATES {
            break;
        }
        moves += 1;
        words = shifted;
    }
    moves + distance.table(&words).distance()
}
