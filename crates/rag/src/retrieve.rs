//! From a question to passages.
//!
//! ```text
//! question ─┬─▶ words (BM25) ────┐
//!           └─▶ vector (cosine) ─┴▶ fused by ranks ▸ candidates ▸ reranker ▸ passages
//! ```

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::encoders::{Embedder, Reranker};
use crate::index::{Id, Index};
use crate::{Error, Passage, Result};

/// What ranks count less the further down they are (Cormack, Clarke and Büttcher 2009, "Reciprocal Rank Fusion", where
/// it is 60).
const RANK_CONSTANT: f64 = 60.0;

/// How passages are found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// By words where the index has no vectors, else by both.
    #[default]
    Auto,
    /// Words in common (BM25).
    Words,
    /// Similar vectors.
    Vectors,
    /// Both, fused by ranks.
    Hybrid,
}

/// How many passages are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// How they are found.
    pub method: Method,
    /// Passages that each way of finding brings, and the reranker reads.
    pub candidates: usize,
    /// Passages that are given back.
    pub passages: usize,
}

impl Default for Settings {
    /// 20 candidates and 5 passages, as the project for ECG guidelines meant to have them.
    fn default() -> Self {
        Settings { method: Method::Auto, candidates: 20, passages: 5 }
    }
}

/// What found passages, as it stands beside what came of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retrieval {
    /// The file of the index.
    pub index: String,
    /// What was in it: [`crate::Contents::fingerprint`].
    pub fingerprint: String,
    /// How passages were found, and how many.
    pub settings: Settings,
    /// Who made the vectors, where they were used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<String>,
    /// Who ranked the candidates again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reranker: Option<String>,
}

impl fmt::Display for Retrieval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoder = self.encoder.as_deref().unwrap_or("an encoder");
        write!(f, "up to {} passages of {} (", self.settings.passages, self.index)?;
        match self.settings.method {
            Method::Auto | Method::Words => write!(f, "BM25")?,
            Method::Vectors => write!(f, "vectors of {encoder}")?,
            Method::Hybrid => write!(f, "BM25 and vectors of {encoder}, fused by reciprocal ranks")?,
        }
        match &self.reranker {
            None => write!(f, ")"),
            Some(reranker) => {
                write!(f, ", {} candidates ranked again by {reranker})", self.settings.candidates)
            }
        }
    }
}

/// Where a passage stood in one way of finding.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Place {
    /// From 1.
    pub rank: usize,
    /// BM25 or cosine.
    pub score: f64,
}

/// A passage that was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hit {
    /// The passage.
    #[serde(flatten)]
    pub passage: Passage,
    /// By its words, if it was among the candidates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub words: Option<Place>,
    /// By its vector, if it was among the candidates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vectors: Option<Place>,
    /// What the reranker gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reranked: Option<f32>,
    /// Tokens of question and passage that the reranker has not read, because it reads no more.
    #[serde(skip_serializing_if = "is_zero")]
    pub unread: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// An index with who makes vectors of questions and who ranks again.
pub struct Retriever<'a> {
    index: &'a Index,
    settings: Settings,
    dense: Option<Dense<'a>>,
    reranker: Option<&'a dyn Reranker>,
}

/// All vectors of an index in memory, `[N, W]`.
struct Dense<'a> {
    embedder: &'a dyn Embedder,
    ids: Vec<Id>,
    values: Vec<f32>,
}

impl<'a> Retriever<'a> {
    /// Reads the vectors of `index` where `settings` need them.
    ///
    /// # Errors
    /// [`Error::NoVectors`] where they are needed and the index or an embedder is missing, [`Error::OtherEncoder`] where
    /// the embedder is not who made them, and those of reading the index.
    pub fn new(
        index: &'a Index,
        settings: Settings,
        embedder: Option<&'a dyn Embedder>,
        reranker: Option<&'a dyn Reranker>,
    ) -> Result<Self> {
        let made_by = index.encoder()?;
        let wanted = match settings.method {
            Method::Words => false,
            Method::Auto => made_by.is_some() && embedder.is_some(),
            Method::Vectors | Method::Hybrid => true,
        };
        if !wanted {
            return Ok(Retriever { index, settings, dense: None, reranker });
        }
        let missing = || Error::NoVectors { path: index.path().to_owned() };
        let (made_by, embedder) = (made_by.ok_or_else(missing)?, embedder.ok_or_else(missing)?);
        if made_by.hash != embedder.identity().hash {
            let (expected, got) = (made_by.name, embedder.identity().name.clone());
            return Err(Error::OtherEncoder { path: index.path().to_owned(), expected, got });
        }
        let (ids, values) = index.vectors()?;
        Ok(Retriever { index, settings, dense: Some(Dense { embedder, ids, values }), reranker })
    }

    /// What it does, in full.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn retrieval(&self) -> Result<Retrieval> {
        let path = self.index.path();
        Ok(Retrieval {
            index: path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            fingerprint: self.index.contents()?.fingerprint,
            settings: self.settings(),
            encoder: self.dense.as_ref().map(|dense| dense.embedder.identity().name.clone()),
            reranker: self.reranker.map(|reranker| reranker.name().to_owned()),
        })
    }

    /// How it finds passages, with the method that [`Method::Auto`] comes to.
    pub fn settings(&self) -> Settings {
        let method = match (self.settings.method, &self.dense) {
            (Method::Auto, None) => Method::Words,
            (Method::Auto, Some(_)) => Method::Hybrid,
            (method, _) => method,
        };
        Settings { method, ..self.settings }
    }

    /// The passages for a question, best first, of several with the same text the first one. The same question has the
    /// same passages in the same order.
    ///
    /// # Errors
    /// When the index cannot be read, or encoder or reranker cannot read the question.
    pub fn search(&self, query: &str) -> Result<Vec<Hit>> {
        let Settings { method, candidates, passages } = self.settings();
        let candidates = candidates.max(passages);
        let words = match method {
            Method::Vectors => Vec::new(),
            _ => self.index.by_words(query, candidates)?,
        };
        let vectors = match &self.dense {
            Some(dense) if method != Method::Words => dense.nearest(query, candidates)?,
            _ => Vec::new(),
        };
        let mut found: Vec<Hit> = Vec::new();
        for (id, [words, vectors]) in fuse([&words, &vectors]).into_iter().take(candidates) {
            let passage = self.index.passage(id)?;
            // One text in two documents would take the place of another.
            if !found.iter().any(|hit| same_text(&hit.passage.text, &passage.text)) {
                found.push(Hit { passage, words, vectors, reranked: None, unread: 0 });
            }
        }
        if let Some(reranker) = self.reranker {
            rerank(reranker, query, &mut found)?;
        }
        found.truncate(passages);
        Ok(found)
    }
}

impl Dense<'_> {
    /// The passages whose vectors are most similar to that of `query`, with the cosine. Exact: all are looked at.
    fn nearest(&self, query: &str, count: usize) -> Result<Vec<(Id, f64)>> {
        let query = self.embedder.query(query)?;
        let scores = self.values.chunks_exact(query.len().max(1)).map(|vector| product(vector, &query));
        let mut scored: Vec<(Id, f64)> = self.ids.iter().copied().zip(scores).collect();
        let order = |a: &(Id, f64), b: &(Id, f64)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if count < scored.len() {
            scored.select_nth_unstable_by(count, order);
            scored.truncate(count);
        }
        scored.sort_unstable_by(order);
        Ok(scored)
    }
}

/// `Σ aᵢ bᵢ` in sixteen sums, so that the compiler can use whole vectors.
fn product(a: &[f32], b: &[f32]) -> f64 {
    let mut sums = [0.0f32; 16];
    let (a_blocks, a_rest) = a.as_chunks::<16>();
    let (b_blocks, b_rest) = b.as_chunks::<16>();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..16 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    f64::from(sums.iter().sum::<f32>() + rest)
}

/// Several rankings as one: each place gives 1 / (60 + rank) (Cormack et al. 2009, eq. 1). The earlier row first where
/// sums are equal.
fn fuse(rankings: [&[(Id, f64)]; 2]) -> Vec<(Id, [Option<Place>; 2])> {
    let mut places: HashMap<Id, [Option<Place>; 2]> = HashMap::new();
    for (which, ranking) in rankings.into_iter().enumerate() {
        for (at, &(id, score)) in ranking.iter().enumerate() {
            places.entry(id).or_default()[which] = Some(Place { rank: at + 1, score });
        }
    }
    let sum = |places: &[Option<Place>; 2]| -> f64 {
        places.iter().flatten().map(|place| 1.0 / (RANK_CONSTANT + place.rank as f64)).sum()
    };
    let mut fused: Vec<_> = places.into_iter().collect();
    fused.sort_unstable_by(|a, b| sum(&b.1).total_cmp(&sum(&a.1)).then(a.0.cmp(&b.0)));
    fused
}

fn same_text(a: &str, b: &str) -> bool {
    a.split_whitespace().eq(b.split_whitespace())
}

/// Puts `found` into the order of the reranker's scores; equals stay as they were.
fn rerank(reranker: &dyn Reranker, query: &str, found: &mut [Hit]) -> Result<()> {
    let texts: Vec<String> = found.iter().map(|hit| hit.passage.whole()).collect();
    let scores = reranker.score(query, &texts.iter().map(String::as_str).collect::<Vec<_>>())?;
    for (hit, pair) in found.iter_mut().zip(scores) {
        hit.reranked = Some(pair.score);
        hit.unread = pair.cut;
    }
    let key = |hit: &Hit| hit.reranked.unwrap_or(f32::NEG_INFINITY);
    found.sort_by(|a, b| key(b).total_cmp(&key(a)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passage_in_both_rankings_goes_before_the_first_of_one() {
        let (words, vectors) = ([(1, 9.0), (2, 8.0)], [(3, 0.9), (2, 0.8)]);
        let fused = fuse([&words, &vectors]);
        assert_eq!(fused.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [2, 1, 3]);
        assert_eq!(fused[0].1[1], Some(Place { rank: 2, score: 0.8 }));
    }

    #[test]
    fn a_product_counts_every_value() {
        let values: Vec<f32> = (0..37).map(|value| value as f32).collect();
        assert_eq!(product(&values, &values), (0..37).map(|v| f64::from(v * v)).sum::<f64>());
    }
}
