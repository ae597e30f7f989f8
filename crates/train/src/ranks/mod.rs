//! Training by several processes, on one machine or many: each computes a part of every step, and all hold the same
//! weights.
//!
//! ```text
//! rank 0:  run folder · data · examinations        others: nothing but the base model
//! begin    recipe, samples, values and moments ──▶ everyone
//! step     own part ▸ gather sums and wishes to stop ▸ one sum of the gradients ▸ the same AdamW everywhere
//! save     all compare a hash of their weights, rank 0 writes
//! ```

mod part;
mod samples;
mod share;

#[cfg(feature = "mpi")]
mod mpi;

use std::fmt::Debug;

use compute::{Backend, DeviceBuffer};
use model::Decoder;

use crate::{Error, Result};

#[cfg(feature = "mpi")]
pub use self::mpi::Mpi;
pub(crate) use part::{describe, part};
pub use samples::share_samples;
pub use share::share;

/// The processes that train one model together, and this one among them.
///
/// Every method but the first three is a collective: all ranks call it, in the same order, and it returns when it has
/// all that it needs from the others. A rank that cannot go on must end the whole job, or the others wait for ever.
pub trait Communicator: Debug {
    /// Number of this process, from 0. Rank 0 has the run folder.
    fn rank(&self) -> usize;

    /// Number of processes.
    fn size(&self) -> usize;

    /// How many of them are on this machine.
    fn local_size(&self) -> usize;

    /// Everyone's values in the order of the ranks, `[size, own.len()]`. All give equally many. This is where ranks
    /// wait for a slower one, so an implementation waits without keeping a processor busy.
    fn gather(&self, own: &[f64]) -> Vec<f64>;

    /// Adds up everyone's `values`, element by element. All get the same bits, and the same bits again for the same
    /// values from as many ranks.
    fn sum(&self, values: &mut [f32]);

    /// Gives everyone the bytes of rank 0. All bring a slice of the same length.
    fn broadcast(&self, bytes: &mut [u8]);

    /// True for the only process.
    fn alone(&self) -> bool {
        self.size() == 1
    }

    /// True on every rank when it is on any.
    fn any(&self, own: bool) -> bool {
        self.gather(&[f64::from(u8::from(own))]).iter().any(|&flag| flag != 0.0)
    }
}

/// The only process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Alone;

impl Communicator for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn local_size(&self) -> usize {
        1
    }

    fn gather(&self, own: &[f64]) -> Vec<f64> {
        own.to_vec()
    }

    fn sum(&self, _: &mut [f32]) {}

    fn broadcast(&self, _: &mut [u8]) {}
}

/// Values that go through the host's memory at once: 256 MiB. An adapter is smaller, so that its gradients are one
/// exchange, and what an exchange needs on the host stays small.
const AT_ONCE: usize = 1 << 26;

/// Adds up a buffer of the device over all ranks.
pub(crate) fn sum_buffer<B: Backend>(ranks: &dyn Communicator, backend: &B, buffer: &mut B::Buffer) {
    exchange(ranks, backend, buffer, |values| ranks.sum(values));
}

/// Gives all ranks the buffer of rank 0.
pub(crate) fn broadcast_buffer<B: Backend>(ranks: &dyn Communicator, backend: &B, buffer: &mut B::Buffer) {
    exchange(ranks, backend, buffer, |values| ranks.broadcast(bytemuck::cast_slice_mut(values)));
}

fn exchange<B: Backend>(
    ranks: &dyn Communicator,
    backend: &B,
    buffer: &mut B::Buffer,
    mut exchange: impl FnMut(&mut [f32]),
) {
    if ranks.alone() {
        return;
    }
    let mut host = vec![0.0; buffer.len().min(AT_ONCE)];
    for from in (0..buffer.len()).step_by(AT_ONCE) {
        let values = &mut host[..AT_ONCE.min(buffer.len() - from)];
        backend.read(buffer, from, values);
        exchange(values);
        backend.write(buffer, from, values);
    }
}

/// Refuses to go on after `step` where a rank's weights have other bits than those of rank 0, as a machine that computes
/// differently would bring about.
pub(crate) fn compare<B: Backend>(ranks: &dyn Communicator, step: u64, decoder: &Decoder<B>) -> Result<()> {
    if ranks.alone() {
        return Ok(());
    }
    let mut hasher = blake3::Hasher::new();
    for parameter in &decoder.parameters.list {
        hasher.update(bytemuck::cast_slice(&decoder.parameters.read(&**decoder.backend(), parameter)));
    }
    let hash = hasher.finalize();
    let (words, _) = hash.as_bytes().as_chunks::<4>();
    let all = ranks.gather(&[words[0], words[1]].map(|word| f64::from(u32::from_le_bytes(word))));
    let (hashes, _) = all.as_chunks::<2>();
    match hashes.iter().position(|hash| *hash != hashes[0]) {
        None => Ok(()),
        Some(rank) => {
            let reason = format!("after step {step} rank {rank} has other weights than rank 0");
            Err(Error::Ranks { reason })
        }
    }
}
