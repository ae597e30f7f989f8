//! Which rank computes what of a step. It follows from the plan and the number of ranks, so nobody has to be asked.

use std::borrow::Cow;

use crate::plan::Plan;

/// The part of a step's `batches` that `rank` of `size` computes; `lengths` are the tokens of every example.
///
/// Batches are dealt out in turn as long as there is one for every rank. What is left, fewer batches than ranks, is cut
/// between examples into parts of about as many tokens. A piece never holds more than one batch of the plan, so the
/// memory that the plan asks for is enough.
pub(crate) fn part<'a>(
    batches: &'a [Vec<usize>],
    lengths: &[usize],
    (rank, size): (usize, usize),
) -> Vec<Cow<'a, [usize]>> {
    let (whole, rest) = batches.split_at(batches.len() / size * size);
    let mut own: Vec<Cow<'a, [usize]>> =
        whole.iter().skip(rank).step_by(size).map(|batch| Cow::Borrowed(&batch[..])).collect();
    let total: usize = rest.iter().flatten().map(|&example| lengths[example]).sum();
    let mut before = 0;
    for batch in rest {
        let mut piece = Vec::new();
        for &example in batch {
            // An example belongs to the rank in whose share of the tokens its middle lies.
            let middle = 2 * before + lengths[example];
            if middle * size / (2 * total).max(1) == rank {
                piece.push(example);
            }
            before += lengths[example];
        }
        if !piece.is_empty() {
            own.push(Cow::Owned(piece));
        }
    }
    own
}

/// What a person should know of a plan that `size` ranks carry out: how often batches are cut, and how often a rank has
/// nothing to do. `None` when every rank always has whole batches.
pub(crate) fn describe(plan: &Plan, lengths: &[usize], size: usize) -> Option<String> {
    let cut = plan.steps.iter().filter(|step| step.batches.len() % size > 0).count();
    if cut == 0 {
        return None;
    }
    let idle = |rank: usize, batches: &[Vec<usize>]| part(batches, lengths, (rank, size)).is_empty();
    let short = plan.steps.iter().filter(|step| step.batches.len() < size);
    let idle = short.filter(|step| (0..size).any(|rank| idle(rank, &step.batches))).count();
    let mut text = format!("in {cut} of {} steps batches are cut for the {size} ranks", plan.steps.len());
    if idle > 0 {
        text.push_str(&format!(", in {idle} some rank has nothing to do"));
    }
    text.push_str("; gradient_accumulation_steps in multiples of the ranks keeps them whole");
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lengths from 1 to 40 and batches of 0 to 7 examples, different for every seed.
    fn step(seed: usize, batches: usize) -> (Vec<usize>, Vec<Vec<usize>>) {
        let mut next = 0;
        let batches: Vec<Vec<usize>> = (0..batches)
            .map(|i| {
                let examples = (seed * 5 + i * 3) % 8;
                next += examples;
                (next - examples..next).collect()
            })
            .collect();
        ((0..next).map(|i| 1 + (i * 17 + seed * 11) % 40).collect(), batches)
    }

    #[test]
    fn every_example_is_computed_by_exactly_one_rank() {
        for (seed, count, size) in
            (0..20).flat_map(|s| (0..9).flat_map(move |c| (1..6).map(move |n| (s, c, n))))
        {
            let (lengths, batches) = step(seed, count);
            let mut seen = Vec::new();
            for rank in 0..size {
                for piece in part(&batches, &lengths, (rank, size)) {
                    assert!(batches.iter().any(|batch| piece.iter().all(|example| batch.contains(example))));
                    seen.extend(piece.iter().copied());
                }
            }
            seen.sort_unstable();
            assert_eq!(
                seen,
                (0..lengths.len()).collect::<Vec<_>>(),
                "seed {seed}, {count} batches, {size} ranks"
            );
        }
    }

    #[test]
    fn one_rank_has_the_batches_as_they_are_and_two_have_every_other_one() {
        let batches = vec![vec![0, 1], vec![2], vec![3, 4], vec![5]];
        let lengths = [9; 6];
        assert_eq!(part(&batches, &lengths, (0, 1)), batches);
        assert_eq!(part(&batches, &lengths, (1, 2)), [vec![2], vec![5]]);
    }

    #[test]
    fn a_single_batch_is_cut_into_parts_that_differ_by_an_example_at_most() {
        let (lengths, _) = step(3, 40);
        let batch = vec![(0..lengths.len()).collect::<Vec<_>>()];
        let total: usize = lengths.iter().sum();
        for size in 2..6 {
            for rank in 0..size {
                let own = part(&batch, &lengths, (rank, size));
                let tokens: usize = own.iter().flat_map(|p| p.iter()).map(|&i| lengths[i]).sum();
                assert!(tokens.abs_diff(total / size) <= 41, "rank {rank} of {size}: {tokens} of {total}");
            }
        }
    }

    #[test]
    fn cut_batches_and_idle_ranks_are_told() {
        let step = |batches: Vec<Vec<usize>>| crate::PlannedStep {
            epoch: 0,
            epoch_done: crate::plan::EpochShare { done: 1, of: 1 },
            batches,
        };
        let plan = |steps| Plan { steps, largest_batch: 20 };
        let lengths = [10, 10];
        assert_eq!(describe(&plan(vec![step(vec![vec![0], vec![1]])]), &lengths, 2), None);
        let text = describe(&plan(vec![step(vec![vec![0, 1]]), step(vec![vec![0]])]), &lengths, 2).unwrap();
        assert!(
            text.starts_with("in 2 of 2 steps batches are cut for the 2 ranks, in 1 some rank has nothing")
        );
    }
}
