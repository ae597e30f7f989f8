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
    let mut done = all - index.without_vector()?;
    while done < all {
        if !go_on(done, all) {
            return Ok(false);
        }
        let batch = index.next_without_vector(BATCH)?;
        let texts: Vec<&str> = batch.iter().map(|(_, text)| text.as_str()).collect();
        let vectors = embedder.passages(&texts)?;
        let vectors: Vec<_> = batch.iter().map(|(id, _)| *id).zip(vectors).collect();
        done += vectors.len();
        index.put_vectors(&vectors)?;
    }
    go_on(done, all);
    Ok(true)
}
