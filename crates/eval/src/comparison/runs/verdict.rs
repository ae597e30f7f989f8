//! What a comparison of runs says in sentences.

use super::{Difference, RunsComparison};
use crate::comparison::{Direction, Verdict, and};
use crate::wording::counted;

impl RunsComparison {
    /// The result in a sentence for each pair of runs.
    pub fn verdict_sentences(&self) -> Vec<String> {
        self.changes.iter().map(|pair| self.verdict_sentence(&pair.base, &pair.run)).collect()
    }

    fn verdict_sentence(&self, base: &str, run: &str) -> String {
        let of_pair: Vec<&Difference> = self
            .differences
            .iter()
            .filter(|difference| difference.base == base && difference.run == run)
            .filter(|difference| difference.paired.metric.direction() != Direction::Neither)
            .collect();
        let several = self.tasks().len() > 1;
        let named = |verdict: Verdict| -> Vec<String> {
            let of_verdict = of_pair.iter().filter(|difference| difference.paired.verdict == verdict);
            let name = |difference: &&&Difference| {
                let task = if several { format!(" of {}", difference.task) } else { String::new() };
                format!("{}{task} ({})", difference.paired.metric.name(), difference.paired.change())
            };
            of_verdict.map(|difference| name(&difference)).collect()
        };
        let (better, worse) = (named(Verdict::Better), named(Verdict::Worse));
        let open = of_pair.len() - better.len() - worse.len();
        let open = match (open, of_pair.len()) {
            (0, _) => String::new(),
            (1, _) => "; not distinguishable in one other number".to_string(),
            (open, _) => format!("; not distinguishable in {open} other numbers"),
        };
        match (better.is_empty(), worse.is_empty()) {
            _ if of_pair.is_empty() => format!("Nothing was measured for both {base} and {run}."),
            (true, true) => format!(
                "On {} {run} is not distinguishable from {base} in any of {} numbers.",
                counted(self.items, "item"),
                of_pair.len()
            ),
            (false, true) => format!("{run} is better than {base} in {}{open}.", and(&better)),
            (true, false) => format!("{run} is worse than {base} in {}{open}.", and(&worse)),
            (false, false) => {
                format!("{run} is better than {base} in {} but worse in {}{open}.", and(&better), and(&worse))
            }
        }
    }
}
