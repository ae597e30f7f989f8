//! Keys and values of sequences that are being written.

use compute::Backend;

use crate::{Decoder, Result};

/// Keys and values of up to `slots` sequences of up to `capacity` positions.
#[derive(Debug)]
pub struct Cache<B: Backend> {
    keys: Vec<B::Buffer>,
    values: Vec<B::Buffer>,
    pub(crate) capacity: usize,
    slots: usize,
}

impl<B: Backend> Cache<B> {
    /// Room for `slots` sequences of `capacity` positions each.
    ///
    /// # Errors
    /// When the device has no room.
    pub fn new(decoder: &Decoder<B>, slots: usize, capacity: usize) -> Result<Self> {
        let width = decoder.config.attention().kv_width();
        let layer = || decoder.backend.zeros("key and value cache", slots * capacity * width);
        let all = || (0..decoder.config.layers).map(|_| layer()).collect::<compute::Result<Vec<_>>>();
        Ok(Cache { keys: all()?, values: all()?, capacity, slots })
    }

    /// Number of sequences.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Positions that a sequence has room for.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    pub(crate) fn layer(&mut self, l: usize) -> (&mut B::Buffer, &mut B::Buffer) {
        (&mut self.keys[l], &mut self.values[l])
    }
}
