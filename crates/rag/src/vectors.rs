//! Vectors for the passages of an index that have none.

use crate::Result;
use crate::encoders::Embedder;
use crate::index::Index;

/// Passages that are computed together and kept together: what a kill can cost.
const BATCH: usize = 32;

/// Makes the vectors that are missing; `go_on` hears how many passages have one and are to have one, and says whether to
/// go on. Whether all are there.
///
/// # Errors
/// When the index cannot be read or written, or the encoder has no tokens for a text. What was made before is kept.
pub fn add_vectors(
    index: &mut Index,
    embedder: &dyn Embedder,
    go_on: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<bool> {
    index.set_encoder(Some(embedder.identity()))?;
    let all = index.contents()?.passages;
    let missing = index.ids_without_vector()?;
    let mut done = all - missing.len();
    for batch in missing.chunks(BATCH) {
        if !go_on(done, all) {
            return Ok(false);
        }
        let texts = batch.iter().map(|id| Ok(index.passage(*id)?.whole())).collect::<Result<Vec<_>>>()?;
        let vectors = embedder.passages(&texts.iter().map(String::as_str).collect::<Vec<_>>())?;
        let vectors: Vec<_> = batch.iter().copied().zip(vectors).collect();
        index.put_vectors(&vectors)?;
        done += batch.len();
    }
    go_on(done, all);
    Ok(true)
}
