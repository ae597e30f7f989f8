//! What a row and an item of a test have in common, weighed by how rare it is.
//!
//! A word weighs `ln(1 + n / d)` nats, where `d` of all `n` texts hold it (Spärck Jones 1972), and two texts are alike by the
//! Jaccard similarity of their content words with these weights. Order does not count, so that words may go, come and
//! change places. What two short texts share by chance is little in nats, so the less they share, the more alike they
//! have to be ([`ENOUGH`]).

use std::collections::HashMap;

/// Shared nats, and the similarity that is asked for from there on. One rare word has about 9 nats among 20,000 texts.
/// Measured: `tools/check_contamination.py`.
const ENOUGH: [(f64, f64); 4] = [(40.0, 0.5), (30.0, 0.6), (20.0, 0.7), (15.0, 0.8)];
/// A long text has many places, and a disease with four words in its name is in some of them: inside of a text, fewer
/// shared nats than these say nothing.
const INSIDE: f64 = 25.0;

/// A row that holds an item.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Held {
    /// Place of the item.
    pub item: usize,
    /// Weighted Jaccard similarity of the item and the place in the row.
    pub similarity: f64,
}

/// The content words of a row, in their order.
#[derive(Debug, Clone, Default)]
pub(crate) struct RowWords {
    /// Question and answer.
    pub text: Vec<u64>,
    /// How many of them are the question's.
    pub question: usize,
}

/// The items of a test by their words.
#[derive(Debug)]
pub(crate) struct RareWords {
    weights: HashMap<u64, f64>,
    items: Vec<ItemWords>,
    /// Items by the words of which every row that holds them has one.
    index: HashMap<u64, Vec<usize>>,
}

#[derive(Debug)]
struct ItemWords {
    /// Distinct words, sorted.
    words: Vec<u64>,
    /// Their weight.
    weight: f64,
    /// Number of words with repetitions: the length of the place where it is looked for.
    length: usize,
}

impl RareWords {
    /// The items, given by their content words, with weights of the words among `rows` and items.
    pub(crate) fn new(items: &[Vec<u64>], rows: &[RowWords]) -> Self {
        let mut holders: HashMap<u64, u32> = HashMap::new();
        for text in rows.iter().map(|row| &row.text).chain(items) {
            for word in distinct(text) {
                *holders.entry(word).or_default() += 1;
            }
        }
        let texts = (items.len() + rows.len()) as f64;
        let weights: HashMap<u64, f64> =
            holders.into_iter().map(|(word, count)| (word, (1.0 + texts / f64::from(count)).ln())).collect();
        let items: Vec<ItemWords> = items
            .iter()
            .map(|item| {
                let words = distinct(item);
                ItemWords { weight: words.iter().map(|word| weights[word]).sum(), words, length: item.len() }
            })
            .collect();
        let mut index: HashMap<u64, Vec<usize>> = HashMap::new();
        for (at, item) in items.iter().enumerate() {
            // Whoever shares half of the weight shares one of the heaviest words that have more than half of it.
            let mut heaviest = item.words.clone();
            heaviest.sort_by(|a, b| weights[b].total_cmp(&weights[a]).then(a.cmp(b)));
            let mut held = 0.0;
            for word in heaviest {
                index.entry(word).or_default().push(at);
                held += weights[&word];
                if 2.0 * held > item.weight {
                    break;
                }
            }
        }
        RareWords { weights, items, index }
    }

    /// The item that a row holds as its question or somewhere in its text: the most alike, the first of equals. `row` is
    /// one of those given to [`RareWords::new`].
    pub(crate) fn find(&self, row: &RowWords) -> Option<Held> {
        let text = Text::new(&row.text, &self.weights);
        let mut candidates: Vec<usize> =
            text.words.iter().filter_map(|word| self.index.get(word)).flatten().copied().collect();
        candidates.sort_unstable();
        candidates.dedup();
        let mut best: Option<Held> = None;
        for at in candidates {
            let item = &self.items[at];
            let is_shared: Vec<bool> =
                text.words.iter().map(|word| item.words.binary_search(word).is_ok()).collect();
            let shared: f64 =
                text.weights.iter().zip(&is_shared).filter(|(_, shared)| **shared).map(|(w, _)| w).sum();
            if shared < ENOUGH[3].0 || 2.0 * shared < item.weight {
                continue;
            }
            let whole = Place { words: row.question, length: row.question, least: ENOUGH[3].0 };
            let inside = Place { words: row.text.len(), length: item.length, least: INSIDE };
            let similarity =
                text.most_alike(item, &is_shared, whole).max(text.most_alike(item, &is_shared, inside));
            if similarity > best.map_or(0.0, |best| best.similarity) {
                best = Some(Held { item: at, similarity });
            }
        }
        best
    }
}

/// Where an item is looked for.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// In so many words from the beginning of the text on,
    words: usize,
    /// so many at a time,
    length: usize,
    /// of which so many nats have to be shared.
    least: f64,
}

/// The text of a row, its distinct words numbered.
struct Text {
    /// Distinct words, sorted.
    words: Vec<u64>,
    weights: Vec<f64>,
    /// The number of each word of the text.
    numbers: Vec<usize>,
}

impl Text {
    fn new(text: &[u64], weights: &HashMap<u64, f64>) -> Self {
        let words = distinct(text);
        let weights = words.iter().map(|word| weights[word]).collect();
        let numbers = text.iter().map(|word| words.partition_point(|other| other < word)).collect();
        Text { words, weights, numbers }
    }

    /// The similarity of an item and the part of a place that is most like it; 0 where no part shares enough.
    fn most_alike(&self, item: &ItemWords, is_shared: &[bool], place: Place) -> f64 {
        let mut counts = vec![0u32; self.words.len()];
        let (mut held, mut shared, mut best) = (0.0, 0.0, 0.0);
        for end in 0..place.words {
            let number = self.numbers[end];
            if counts[number] == 0 {
                held += self.weights[number];
                shared += if is_shared[number] { self.weights[number] } else { 0.0 };
            }
            counts[number] += 1;
            if end >= place.length {
                let number = self.numbers[end - place.length];
                counts[number] -= 1;
                if counts[number] == 0 {
                    held -= self.weights[number];
                    shared -= if is_shared[number] { self.weights[number] } else { 0.0 };
                }
            }
            if end + 1 < place.length.min(place.words) {
                continue;
            }
            let similarity = shared / (item.weight + held - shared);
            let enough = ENOUGH.iter().find(|(nats, _)| shared >= *nats).map(|(_, similarity)| *similarity);
            if shared >= place.least && enough.is_some_and(|enough| similarity >= enough) {
                best = f64::max(best, similarity);
            }
        }
        best
    }
}

fn distinct(words: &[u64]) -> Vec<u64> {
    let mut words = words.to_vec();
    words.sort_unstable();
    words.dedup();
    words
}
