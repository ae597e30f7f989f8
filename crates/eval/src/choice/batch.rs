//! Many questions in one pass of the decoder. What several texts begin with is computed once: the question for all its
//! answers, and the description and the examples for all questions that begin with them.
//!
//! A segment has at most one prefix. So a question whose answers have one token each, which is read where the question
//! ends, is one segment behind what it shares with its neighbours; a question with longer answers is a prefix itself.

use compute::Segment;

use super::pair::Pairs;

/// Fewer tokens in common are not worth a segment.
const SHARED: usize = 32;

/// A question in tokens: what its answers have in common, and how each goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    head: Vec<u32>,
    /// Of each answer what stands behind the head. Nothing where the answer's last token is the first after the head.
    tails: Vec<Vec<u32>>,
    labels: Vec<ItemLabel>,
}

/// A token whose probability is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ItemLabel {
    /// The answer that it belongs to.
    answer: usize,
    /// The place in the answer's text of the token before it.
    place: usize,
    id: u32,
}

/// A batch for the decoder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) ids: Vec<u32>,
    pub(super) positions: Vec<u32>,
    pub(super) segments: Vec<Segment>,
    pub(super) rows: Vec<u32>,
    pub(super) labels: Vec<u32>,
    /// For each label its item in the batch, and the answer.
    pub(super) owners: Vec<(usize, usize)>,
}

impl Item {
    /// The question of `pairs`. The last token of an answer is only ever predicted, so it is no part of any text.
    pub(super) fn new(pairs: &Pairs) -> Self {
        Self::without(pairs, &vec![0; pairs.continuations.len()])
    }

    /// The question with as much of its beginning cut off as makes each of its texts one of `limit` tokens, as
    /// lm-evaluation-harness cuts (`HFLM._loglikelihood_tokens`: the last `max_length + 1` tokens of context and
    /// continuation), and the most tokens that one of them lost. `None` where nothing of the question would be left.
    pub(super) fn cut(pairs: &Pairs, limit: usize) -> Option<(Self, usize)> {
        let lost =
            |continuation: &Vec<u32>| (pairs.context.len() + continuation.len()).saturating_sub(limit + 1);
        let lost: Vec<usize> = pairs.continuations.iter().map(lost).collect();
        let most = lost.iter().copied().max().unwrap_or(0);
        (most < pairs.context.len()).then(|| (Self::without(pairs, &lost), most))
    }

    /// The question; before answer `i` its first `lost[i]` tokens are missing.
    fn without(pairs: &Pairs, lost: &[usize]) -> Self {
        let answers = || pairs.continuations.iter().zip(lost);
        let text = |(continuation, lost): (&Vec<u32>, &usize)| -> Vec<u32> {
            let read = &continuation[..continuation.len().saturating_sub(1)];
            pairs.context[*lost..].iter().chain(read).copied().collect()
        };
        let texts: Vec<Vec<u32>> = answers().map(text).collect();
        let common = texts.iter().map(|text| common_prefix(text, &texts[0])).min().unwrap_or(0);
        let mut labels = Vec::new();
        for (answer, (continuation, lost)) in answers().enumerate() {
            for (at, &id) in continuation.iter().enumerate() {
                // Nothing stands before the first token of a text.
                if let Some(place) = (pairs.context.len() - lost + at).checked_sub(1) {
                    labels.push(ItemLabel { answer, place, id });
                }
            }
        }
        let head = texts.first().map_or(Vec::new(), |text| text[..common].to_vec());
        let tails = texts.iter().map(|text| text[common..].to_vec()).collect();
        Item { head, tails, labels }
    }

    /// Tokens that are computed for it, alone.
    pub(super) fn tokens(&self) -> usize {
        self.head.len() + self.tails.iter().map(Vec::len).sum::<usize>()
    }

    /// Tokens of its longest text, which the decoder must have positions for.
    pub(super) fn longest(&self) -> usize {
        self.head.len() + self.tails.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// How many of its first tokens may be a prefix: none where it is a prefix itself, and not what is read from.
    fn shareable(&self) -> &[u32] {
        let first = self.labels.iter().map(|label| label.place).min().unwrap_or(0);
        match self.tails.iter().all(Vec::is_empty) {
            true => &self.head[..first.min(self.head.len())],
            false => &[],
        }
    }
}

fn common_prefix(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Ranges of consecutive items that go into one batch: as many as `budget` tokens hold; a larger item stands alone.
/// With each the number of tokens that all its items begin with.
pub(super) fn ranges(items: &[Item], budget: usize) -> Vec<(std::ops::Range<usize>, usize)> {
    let mut ranges = Vec::new();
    let (mut from, mut own, mut shared) = (0, 0, 0);
    for (at, item) in items.iter().enumerate() {
        let common = match at > from {
            true => common_prefix(item.shareable(), &items[from].shareable()[..shared]),
            false => item.shareable().len(),
        };
        // What is shared is computed once; `own` counts every item whole.
        let saved = if common >= SHARED { (at - from) * common } else { 0 };
        if at > from && own + item.tokens() - saved > budget {
            ranges.push((from..at, shared));
            (from, own, shared) = (at, 0, item.shareable().len());
        } else {
            shared = common;
        }
        own += item.tokens();
    }
    if from < items.len() {
        ranges.push((from..items.len(), shared));
    }
    ranges
}

impl Batch {
    /// The batch of `items`, which begin with the same `shared` tokens.
    pub(super) fn new(items: &[Item], shared: usize) -> Self {
        let shared = if items.len() > 1 && shared >= SHARED { shared } else { 0 };
        let mut batch = Batch::default();
        let common = (shared > 0).then(|| batch.push(&items[0].head[..shared], 0, None));
        let mut labels = Vec::new();
        for (owner, item) in items.iter().enumerate() {
            // Texts that were cut in different places have nothing in common.
            let head = (!item.head.is_empty()).then(|| batch.push(&item.head[shared..], shared, common));
            let mut starts = Vec::new();
            for tail in &item.tails {
                starts.push(batch.ids.len());
                if !tail.is_empty() {
                    batch.push(tail, item.head.len(), head);
                }
            }
            let start = head.map_or(0, |head| batch.segments[head].start);
            for label in &item.labels {
                let row = match label.place.checked_sub(item.head.len()) {
                    None => start + label.place - shared,
                    Some(behind) => starts[label.answer] + behind,
                };
                labels.push((row as u32, label.id, (owner, label.answer)));
            }
        }
        // The decoder judges rows in their order; each keeps its owner.
        labels.sort_by_key(|label| label.0);
        for (row, id, owner) in labels {
            batch.rows.push(row);
            batch.labels.push(id);
            batch.owners.push(owner);
        }
        batch
    }

    /// Adds a segment whose first token has the position `first`; its index.
    fn push(&mut self, ids: &[u32], first: usize, prefix: Option<usize>) -> usize {
        let start = self.ids.len();
        self.segments.push(Segment { start, len: ids.len(), prefix });
        self.ids.extend(ids);
        self.positions.extend(first as u32..(first + ids.len()) as u32);
        self.segments.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(context: &[u32], continuations: &[&[u32]]) -> Item {
        let continuations = continuations.iter().map(|ids| ids.to_vec()).collect();
        Item::new(&Pairs { context: context.to_vec(), continuations })
    }

    #[test]
    fn letters_are_read_where_the_question_ends() {
        let batch = Batch::new(&[item(&[1, 2, 3], &[&[7], &[8], &[9]])], 2);
        assert_eq!((batch.ids, batch.segments), (vec![1, 2, 3], vec![Segment::whole(0, 3)]));
        assert_eq!((batch.rows, batch.labels), (vec![2, 2, 2], vec![7, 8, 9]));
        assert_eq!(batch.owners, [(0, 0), (0, 1), (0, 2)]);
    }

    #[test]
    fn longer_answers_go_on_from_their_question() {
        let batch = Batch::new(&[item(&[1, 2], &[&[7, 8, 9], &[7, 5], &[4]])], 0);
        assert_eq!(batch.ids, [1, 2, 7, 8, 7]);
        assert_eq!(batch.positions, [0, 1, 2, 3, 2]);
        assert_eq!(batch.segments[1], Segment { start: 2, len: 2, prefix: Some(0) });
        // 7 and 7 and 4 after the question, 8 and 9 in the first answer, 5 in the second.
        assert_eq!((batch.rows, batch.labels), (vec![1, 1, 1, 2, 3, 4], vec![7, 7, 4, 8, 9, 5]));
        assert_eq!(batch.owners, [(0, 0), (0, 1), (0, 2), (0, 0), (0, 0), (0, 1)]);
    }

    #[test]
    fn what_all_questions_begin_with_is_computed_once() {
        let shots: Vec<u32> = (100..140).collect();
        let with = |ids: &[u32]| item(&[&shots, ids].concat(), &[&[7], &[8]]);
        let items = [with(&[1, 2]), with(&[3]), with(&[4, 5])];
        let ranges = ranges(&items, 45);
        assert_eq!(ranges, [(0..3, 40)]);
        let batch = Batch::new(&items, 40);
        assert_eq!(batch.ids.len(), 45);
        assert_eq!(batch.segments[2], Segment { start: 42, len: 1, prefix: Some(0) });
        assert_eq!(batch.positions[40..], [40, 41, 40, 40, 41]);
        assert_eq!(batch.rows, [41, 41, 42, 42, 44, 44]);
    }

    #[test]
    fn a_question_that_is_too_long_loses_its_beginning() {
        let pairs = Pairs { context: vec![1, 2, 3, 4], continuations: vec![vec![7], vec![8, 9]] };
        // lm-eval reads (context + continuation)[-(max_length + 1):][:-1].
        let (item, lost) = Item::cut(&pairs, 3).unwrap();
        assert_eq!((lost, item.longest()), (2, 3));
        let batch = Batch::new(&[item], 0);
        assert_eq!(batch.ids, [2, 3, 4, 3, 4, 8]);
        assert_eq!(batch.positions, [0, 1, 2, 0, 1, 2]);
        assert_eq!(batch.segments, [Segment::whole(0, 3), Segment::whole(3, 3)]);
        assert_eq!((batch.rows, batch.labels), (vec![2, 4, 5], vec![7, 8, 9]));
        assert_eq!(Item::cut(&pairs, 4).unwrap().1, 1);
        assert_eq!(Item::cut(&pairs, 9).unwrap(), (Item::new(&pairs), 0));
        assert_eq!(Item::cut(&pairs, 1), None);
    }

    #[test]
    fn batches_keep_to_the_budget_and_a_long_question_stands_alone() {
        let items = [item(&[1; 10], &[&[7]]), item(&[2; 10], &[&[7]]), item(&[3; 30], &[&[7]])];
        let ranges: Vec<_> = ranges(&items, 20).into_iter().map(|(range, _)| range).collect();
        assert_eq!(ranges, [0..2, 2..3]);
    }
}
