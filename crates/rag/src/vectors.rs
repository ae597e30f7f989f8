//! Vectors for the passages of an index that have none.

use serde::Serialize;

use crate::Result;
use crate::encoders::Embedder;
use crate::index::Index;

/// Passages that are computed together and kept together: what a kill can cost.
const BATCH: usize = 32;

/// What became of vectors that were missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct VectorsMade {
    /// Passages that have got one.
    pub made: usize,
    /// Of these, passages that the encoder has not read to their end.
    pub cut: usize,
    /// Tokens that it has not read.
    pub tokens_cut: usize,
    /// Passages that have none, as the work was ended.
    pub left: usize,
}

/// Makes the vectors that are missing; `go_on` hears how many passages have one and are to have one, and says whether to
/// go on.
///
/// # Errors
/// When the index cannot be read or written, or the encoder has no tokens for a text. What was made before is kept.
pub fn add_vectors(
    index: &mut Index,
    embedder: &dyn Embedder,
    go_on: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<VectorsMade> {
    index.set_encoder(Some(embedder.identity()))?;
    let all = index.contents()?.passages;
    let missing = index.ids_without_vector()?;
    let (mut done, mut made) = (all - missing.len(), VectorsMade::default());
    for batch in missing.chunks(BATCH) {
        if !go_on(done, all) {
            return Ok(VectorsMade { left: all - done, ..made });
        }
        let texts = batch.iter().map(|id| Ok(index.passage(*id)?.whole())).collect::<Result<Vec<_>>>()?;
        let vectors = embedder.passages(&texts.iter().map(String::as_str).collect::<Vec<_>>())?;
        index.put_vectors(&batch.iter().copied().zip(&vectors).collect::<Vec<_>>())?;
        made.made += batch.len();
        made.cut += vectors.iter().filter(|vector| vector.cut > 0).count();
        made.tokens_cut += vectors.iter().map(|vector| vector.cut).sum::<usize>();
        done += batch.len();
    }
    go_on(done, all);
    Ok(made)
}
