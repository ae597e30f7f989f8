//! Samples on their way to the other ranks, so that these need no data of their own.

use dataset::Sample;

use super::Communicator;
use super::share::share_bytes;
use crate::{Error, Result};

/// Gives every rank the samples of rank 0; what the others bring is not looked at.
///
/// # Errors
/// [`Error::Ranks`] when what arrives is not what a rank of this build sends.
pub fn share_samples(ranks: &dyn Communicator, samples: Vec<Sample>) -> Result<Vec<Sample>> {
    if ranks.alone() {
        return Ok(samples);
    }
    if ranks.rank() == 0 {
        share_bytes(ranks, pack(&samples));
        return Ok(samples);
    }
    let bytes = share_bytes(ranks, Vec::new());
    unpack(&bytes).ok_or_else(|| Error::Ranks { reason: "the samples of rank 0 cannot be read".into() })
}

/// For every sample: length and bytes of its id, number of tokens, tokens, and for each whether it is learned.
fn pack(samples: &[Sample]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for sample in samples {
        bytes.extend((sample.id.len() as u64).to_le_bytes());
        bytes.extend(sample.id.as_bytes());
        bytes.extend((sample.ids.len() as u64).to_le_bytes());
        bytes.extend(sample.ids.iter().flat_map(|id| id.to_le_bytes()));
        bytes.extend(sample.learned.iter().map(|&learned| u8::from(learned)));
    }
    bytes
}

fn unpack(mut bytes: &[u8]) -> Option<Vec<Sample>> {
    let mut samples = Vec::new();
    while !bytes.is_empty() {
        let length = take_length(&mut bytes)?;
        let id = String::from_utf8(bytes.split_off(..length)?.to_vec()).ok()?;
        let count = take_length(&mut bytes)?;
        let (ids, _) = bytes.split_off(..count.checked_mul(4)?)?.as_chunks();
        let ids = ids.iter().map(|id| u32::from_le_bytes(*id)).collect();
        let learned = bytes.split_off(..count)?.iter().map(|&flag| flag != 0).collect();
        samples.push(Sample { id, ids, learned });
    }
    Some(samples)
}

fn take_length(bytes: &mut &[u8]) -> Option<usize> {
    let number = bytes.split_off(..8)?.first_chunk()?;
    usize::try_from(u64::from_le_bytes(*number)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Sample> {
        let sample = |id: &str, ids: &[u32]| Sample {
            id: id.into(),
            ids: ids.to_vec(),
            learned: ids.iter().map(|id| id % 2 == 0).collect(),
        };
        vec![sample("rows.csv:1", &[1, 2, 70_000]), sample("", &[]), sample("größe", &[u32::MAX])]
    }

    #[test]
    fn samples_arrive_as_they_were() {
        assert_eq!(unpack(&pack(&samples())), Some(samples()));
        assert_eq!(unpack(&[]), Some(vec![]));
    }

    #[test]
    fn bytes_that_are_cut_or_longer_than_they_can_be_are_refused() {
        let bytes = pack(&samples());
        let ends: Vec<usize> = (1..=3).map(|n| pack(&samples()[..n]).len()).collect();
        for length in (1..bytes.len()).filter(|length| !ends.contains(length)) {
            assert_eq!(unpack(&bytes[..length]), None, "{length}");
        }
        assert_eq!(unpack(&u64::MAX.to_le_bytes()), None);
    }
}
