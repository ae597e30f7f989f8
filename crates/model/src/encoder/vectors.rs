//! Vectors of texts, as sentence-transformers makes them.

use compute::EncoderBackend;

use super::forward::{Sequence, Wanted, batches};
use super::{Encoder, EncoderText, Pooling};
use crate::Result;

/// The vector of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct TextVector {
    /// `[H]`, of length 1, unless all of it is 0.
    pub values: Vec<f32>,
    /// Tokens that were read, with those that begin and end the text.
    pub tokens: usize,
    /// Tokens that were not, because the encoder reads no more.
    pub cut: usize,
}

impl<B: EncoderBackend> Encoder<B> {
    /// A vector `[H]` for each text, in their order: its last hidden states pooled as the encoder's folder says
    /// ([`Encoder::pooling`]), then made of length 1, whether or not the folder lists a module `Normalize`: the product
    /// of two vectors is the cosine of their angle. A text is read as it is, without a prompt ([`Encoder::prompts`]),
    /// and cut to `max_seq_length`, or to what the encoder reads if that is less. The bits of a vector do not depend on
    /// the other texts. (sentence-transformers 6.2, `SentenceTransformer.encode` with `normalize_embeddings`.)
    ///
    /// # Errors
    ///
    /// [`crate::Error::Tokenizer`] when the vocabulary has no tokens for a text; when memory runs out.
    pub fn embed(&self, texts: &[&str]) -> Result<Vec<TextVector>> {
        let texts = texts.iter().map(|text| self.read(text)).collect::<Result<Vec<_>>>()?;
        let sequences: Vec<Sequence<'_>> = texts.iter().map(|text| Sequence::text(&text.ids)).collect();
        let mut vectors = Vec::with_capacity(texts.len());
        let wanted = if self.sentence.pooling == Pooling::Cls { Wanted::First } else { Wanted::All };
        for batch in batches(&sequences) {
            let batch = self.forward(batch, self.layers.len(), wanted)?;
            for segment in &batch.segments {
                vectors.push(unit(self.sentence.pooling.pool(&self.states_of(&batch.x, segment))));
            }
        }
        let vector = |(text, values): (&EncoderText, Vec<f32>)| TextVector {
            values,
            tokens: text.ids.len(),
            cut: text.cut,
        };
        Ok(texts.iter().zip(vectors).map(vector).collect())
    }

    /// The ids of a text as it is.
    fn read(&self, text: &str) -> Result<EncoderText> {
        let inner = self.tokenizer.encode_ordinary(text)?;
        let kept = inner.len().min(self.sentence.longest - self.ends.len());
        let ids = [&self.ends[..1], &inner[..kept], &self.ends[1..]].concat();
        Ok(EncoderText { ids, cut: inner.len() - kept })
    }
}

/// The vector at length 1.
fn unit(mut values: Vec<f32>) -> Vec<f32> {
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    if length > 0.0 {
        values.iter_mut().for_each(|value| *value /= length);
    }
    values
}
