//! What rank 0 has and the others need, as bytes.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Communicator;
use crate::{Error, Result};

/// Gives every rank the value of rank 0, which alone brings one.
///
/// # Errors
/// [`Error::Ranks`] when the ranks are not of one mind: rank 0 brings none, or a build reads it differently.
pub fn share<T: Serialize + DeserializeOwned>(ranks: &dyn Communicator, value: Option<T>) -> Result<T> {
    let wrong = |reason: String| Error::Ranks { reason };
    if ranks.rank() == 0 {
        let value = value.ok_or_else(|| wrong("rank 0 has nothing to share".into()))?;
        if !ranks.alone() {
            let text = serde_json::to_vec(&value).map_err(|e| wrong(e.to_string()))?;
            share_bytes(ranks, text);
        }
        return Ok(value);
    }
    let text = share_bytes(ranks, Vec::new());
    serde_json::from_slice(&text).map_err(|e| wrong(format!("what rank 0 says cannot be read: {e}")))
}

/// Gives every rank the bytes of rank 0, however many they are.
pub(super) fn share_bytes(ranks: &dyn Communicator, mut bytes: Vec<u8>) -> Vec<u8> {
    let length = ranks.gather(&[bytes.len() as f64])[0];
    bytes.resize(length as usize, 0);
    ranks.broadcast(&mut bytes);
    bytes
}
