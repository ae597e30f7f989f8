//! Keys and values of sequences that are being written, in blocks.

use compute::{Backend, BlockTables, KV_BLOCK};

use crate::{Decoder, Result};

/// Keys and values in blocks of [`KV_BLOCK`] positions, and which blocks each sequence has.
#[derive(Debug)]
pub struct Cache<B: Backend> {
    keys: Vec<B::Buffer>,
    values: Vec<B::Buffer>,
    tables: Vec<u32>,
    width: usize,
}

impl<B: Backend> Cache<B> {
    /// Room for `sequences` sequences of `capacity` positions each, every one in blocks of its own.
    ///
    /// # Errors
    /// When the device has no room.
    pub fn new(decoder: &Decoder<B>, sequences: usize, capacity: usize) -> Result<Self> {
        let blocks = sequences * capacity.div_ceil(KV_BLOCK);
        let mut cache = Cache::paged(decoder, (sequences, capacity), blocks)?;
        cache.tables.iter_mut().zip(0..).for_each(|(place, block)| *place = block);
        Ok(cache)
    }

    /// Room for `blocks` blocks, which up to `sequences` sequences of up to `capacity` positions share. All have block
    /// 0 until [`Cache::assign`] says otherwise.
    ///
    /// # Errors
    /// When the device has no room.
    pub fn paged(decoder: &Decoder<B>, (sequences, capacity): (usize, usize), blocks: usize) -> Result<Self> {
        let block_len = decoder.backend.kv_block_len(decoder.config.attention());
        let layer = || decoder.backend.zeros("key and value cache", blocks.saturating_mul(block_len));
        let all = || (0..decoder.config.layers).map(|_| layer()).collect::<compute::Result<Vec<_>>>();
        let width = capacity.div_ceil(KV_BLOCK);
        Ok(Cache { keys: all()?, values: all()?, tables: vec![0; sequences * width], width })
    }

    /// Positions `index * KV_BLOCK..` of `sequence` are in `block` from now on.
    ///
    /// # Panics
    /// When there is no such sequence or position.
    pub fn assign(&mut self, sequence: u32, index: usize, block: u32) {
        assert!(index < self.width, "block {index} of {}", self.width);
        self.tables[sequence as usize * self.width + index] = block;
    }

    pub(crate) fn layer(&mut self, l: usize) -> (&mut B::Buffer, &mut B::Buffer, BlockTables<'_>) {
        let tables = BlockTables { blocks: &self.tables, width: self.width };
        (&mut self.keys[l], &mut self.values[l], tables)
    }
}
