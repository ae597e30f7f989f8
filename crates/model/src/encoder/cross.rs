//! Cross-encoders: how well a passage answers a query, both read together.
//!
//! Nogueira & Cho 2019, "Passage Re-ranking with BERT"; transformers 5.23, `BertForSequenceClassification`,
//! `RobertaForSequenceClassification` and `XLMRobertaForSequenceClassification`.

use std::path::Path;
use std::sync::Arc;

use compute::EncoderBackend;

use super::forward::{Sequence, Wanted, batches};
use super::head::Head;
use super::{Encoder, load};
use crate::{Error, Result};

/// The most tokens that stand around the texts of a pair.
const SPECIALS: usize = 4;

/// An encoder with a head that reads a query and a passage together and gives one score.
#[derive(Debug)]
pub struct CrossEncoder<B: EncoderBackend> {
    encoder: Encoder<B>,
    head: Head<B>,
    /// Whether the second text is of the second token type, as BERT's is.
    typed: bool,
}

/// How well a passage answers a query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairScore {
    /// The logit: any number, more being better. Its logistic function is what models that were trained with the
    /// binary cross-entropy call a probability.
    pub score: f32,
    /// Tokens of both texts that were not read, because the encoder reads no more.
    pub cut: usize,
}

/// A pair in an encoder's tokens.
struct Pair {
    ids: Vec<u32>,
    /// Tokens of the first type.
    first: usize,
    cut: usize,
}

impl<B: EncoderBackend> CrossEncoder<B> {
    /// Reads the folder of a sequence classifier: what [`Encoder::from_dir`] reads, with the head: `pooler.dense` and
    /// `classifier` (BERT), or `classifier.dense` and `classifier.out_proj` (RoBERTa, XLM-RoBERTa). The shape of the
    /// last says how many labels there are: one, whose logit is the score, or two, no and yes.
    ///
    /// # Errors
    ///
    /// Those of [`Encoder::from_dir`]; [`Error::Unsupported`] when there is no head, when it has three labels or more,
    /// or when the encoder has no room for a pair; [`Error::MissingTensor`] and [`Error::TensorShape`] when a tensor of
    /// the head is not as it should be.
    pub fn from_dir(backend: Arc<B>, folder: &Path) -> Result<Self> {
        let (encoder, head) = load::with_head(backend, folder, Head::read)?;
        let unsupported = |reason| Error::Unsupported { path: folder.join("config.json"), reason };
        let typed = encoder.tokenizer.id_to_token(encoder.ends[0]).is_some_and(|first| first == "[CLS]");
        if typed && encoder.config.token_types < 2 {
            return Err(unsupported("type_vocab_size is 1, expected one for each text of a pair".to_owned()));
        }
        let longest = encoder.sentence.longest;
        if longest < SPECIALS + 2 {
            return Err(unsupported(format!("it reads {longest} tokens, which leaves no room for a pair")));
        }
        Ok(CrossEncoder { encoder, head, typed })
    }

    /// The encoder without its head.
    pub fn encoder(&self) -> &Encoder<B> {
        &self.encoder
    }

    /// A score for each passage, in their order: the logit of the only label, or the logit of yes less that of no,
    /// whose logistic function is the softmax's share of yes.
    ///
    /// A pair is `[CLS] query [SEP] passage [SEP]`, the second part of the second token type, or
    /// `<s> query </s></s> passage </s>`. Of a pair that is longer than the encoder reads, the end of the passage is
    /// cut (`truncation="only_second"` of transformers); the end of the query too, where that would leave the passage
    /// less than half of the room. The bits of a score do not depend on the other passages.
    ///
    /// # Errors
    ///
    /// [`Error::Tokenizer`] when the vocabulary has no tokens for a text; when memory runs out.
    pub fn score(&self, query: &str, passages: &[&str]) -> Result<Vec<PairScore>> {
        let query = self.encoder.tokenizer.encode_ordinary(query)?;
        let pairs = passages.iter().map(|passage| self.pair(&query, passage)).collect::<Result<Vec<_>>>()?;
        let sequences: Vec<Sequence<'_>> =
            pairs.iter().map(|pair| Sequence { ids: &pair.ids, first: pair.first }).collect();
        let mut scores = Vec::with_capacity(pairs.len());
        for batch in batches(&sequences) {
            let states = self.encoder.forward(batch, self.encoder.layers.len(), Wanted::First)?;
            scores.extend(self.head.scores(&self.encoder, states)?);
        }
        Ok(pairs.iter().zip(scores).map(|(pair, score)| PairScore { score, cut: pair.cut }).collect())
    }

    fn pair(&self, query: &[u32], passage: &str) -> Result<Pair> {
        let passage = self.encoder.tokenizer.encode_ordinary(passage)?;
        let [begin, end] = self.encoder.ends;
        let separator: &[u32] = if self.typed { &[end] } else { &[end, end] };
        let room = self.encoder.sentence.longest - separator.len() - 2;
        let (first, second) = kept(room, query.len(), passage.len());
        let ids = [&[begin], &query[..first], separator, &passage[..second], &[end]].concat();
        let cut = query.len() - first + passage.len() - second;
        let first = if self.typed { 1 + first + separator.len() } else { ids.len() };
        Ok(Pair { ids, first, cut })
    }
}

/// How many tokens of a query and of a passage are read where there is room for so many.
fn kept(room: usize, query: usize, passage: usize) -> (usize, usize) {
    let query = query.min(room.saturating_sub(passage).max(room / 2));
    (query, passage.min(room - query))
}

#[cfg(test)]
mod tests {
    use super::kept;

    #[test]
    fn the_passage_is_cut_first_and_the_query_only_behind_the_half() {
        assert_eq!(kept(100, 40, 60), (40, 60), "both fit");
        assert_eq!(kept(100, 90, 10), (90, 10), "both fit, though the query is long");
        assert_eq!(kept(100, 40, 90), (40, 60));
        assert_eq!(kept(100, 60, 60), (50, 50));
        assert_eq!(kept(100, 300, 300), (50, 50));
        assert_eq!(kept(100, 300, 20), (80, 20));
        assert_eq!(kept(3, 9, 9), (1, 2));
        assert_eq!((kept(5, 0, 9), kept(5, 9, 0)), ((0, 5), (5, 0)));
    }
}
