//! Which blocks of the cache are in use, and which hold what a later prompt may begin with (Kwon et al. 2023; the
//! prefix cache of vLLM).

use std::collections::HashMap;

use compute::KV_BLOCK;

use super::AdapterId;

/// Says all that the keys and values of a block depend on: the adapter, the block's tokens and those before them. It is
/// a cryptographic hash, so nobody can make up a prompt that finds the blocks of another.
pub(super) type BlockHash = blake3::Hash;

/// The hash of the block of `ids` that follows the block `before`.
pub(super) fn hash_block(before: Option<&BlockHash>, adapter: AdapterId, ids: &[u32]) -> BlockHash {
    debug_assert_eq!(ids.len(), KV_BLOCK);
    let mut hasher = blake3::Hasher::new();
    match before {
        Some(before) => hasher.update(before.as_bytes()),
        None => hasher.update(&adapter.0.to_le_bytes()),
    };
    ids.iter().for_each(|id| {
        hasher.update(&id.to_le_bytes());
    });
    hasher.finalize()
}

/// No neighbour in the list.
const NONE: u32 = u32::MAX;

#[derive(Debug, Clone)]
struct Block {
    /// Sequences that have it.
    holders: u32,
    /// What it holds, if others may find it.
    hash: Option<BlockHash>,
    /// Neighbours in the list of kept blocks.
    older: u32,
    newer: u32,
}

/// The blocks of a cache. A block is held by sequences, or kept (nobody holds it, and it can be found), or free.
#[derive(Debug)]
pub(super) struct BlockPool {
    blocks: Vec<Block>,
    free: Vec<u32>,
    by_hash: HashMap<BlockHash, u32>,
    /// Ends of the list of kept blocks.
    oldest: u32,
    newest: u32,
    kept: usize,
}

impl BlockPool {
    pub(super) fn new(count: usize) -> Self {
        let block = Block { holders: 0, hash: None, older: NONE, newer: NONE };
        BlockPool {
            blocks: vec![block; count],
            free: (0..count as u32).rev().collect(),
            by_hash: HashMap::with_capacity(count),
            oldest: NONE,
            newest: NONE,
            kept: 0,
        }
    }

    /// Blocks that [`BlockPool::take`] can give.
    pub(super) fn available(&self) -> usize {
        self.free.len() + self.kept
    }

    /// Blocks that are kept for later prompts.
    pub(super) fn kept(&self) -> usize {
        self.kept
    }

    /// Blocks that sequences hold.
    pub(super) fn held(&self) -> usize {
        self.blocks.len() - self.available()
    }

    /// A block for one sequence: a free one, else the one that nobody wanted for longest.
    pub(super) fn take(&mut self) -> Option<u32> {
        let block = self.free.pop().or_else(|| {
            let block = (self.oldest != NONE).then_some(self.oldest)?;
            self.unlink(block);
            if let Some(hash) = self.blocks[block as usize].hash.take() {
                self.by_hash.remove(&hash);
            }
            Some(block)
        })?;
        self.blocks[block as usize].holders = 1;
        Some(block)
    }

    /// How many of `hashes`, from the first on, can be found, and how many of these nobody holds.
    pub(super) fn find(&self, hashes: &[BlockHash]) -> (usize, usize) {
        let found = hashes.iter().map_while(|hash| self.by_hash.get(hash));
        found.fold((0, 0), |(count, kept), &block| {
            (count + 1, kept + usize::from(self.blocks[block as usize].holders == 0))
        })
    }

    /// The block with this content, for one more sequence.
    pub(super) fn share(&mut self, hash: &BlockHash) -> Option<u32> {
        let block = *self.by_hash.get(hash)?;
        if self.blocks[block as usize].holders == 0 {
            self.unlink(block);
        }
        self.blocks[block as usize].holders += 1;
        Some(block)
    }

    /// Lets others find a block whose keys and values are complete. Where another block holds the same, that one is
    /// found.
    pub(super) fn publish(&mut self, block: u32, hash: BlockHash) {
        if let std::collections::hash_map::Entry::Vacant(place) = self.by_hash.entry(hash) {
            place.insert(block);
            self.blocks[block as usize].hash = Some(hash);
        }
    }

    /// One sequence less has this block.
    pub(super) fn release(&mut self, block: u32) {
        let own = &mut self.blocks[block as usize];
        own.holders = own.holders.checked_sub(1).expect("a block is released by who holds it");
        if own.holders > 0 {
            return;
        }
        match own.hash {
            None => self.free.push(block),
            Some(_) => self.append(block),
        }
    }

    fn append(&mut self, block: u32) {
        let own = &mut self.blocks[block as usize];
        (own.older, own.newer) = (self.newest, NONE);
        match self.newest {
            NONE => self.oldest = block,
            newest => self.blocks[newest as usize].newer = block,
        }
        self.newest = block;
        self.kept += 1;
    }

    fn unlink(&mut self, block: u32) {
        let Block { older, newer, .. } = self.blocks[block as usize];
        match older {
            NONE => self.oldest = newer,
            older => self.blocks[older as usize].newer = newer,
        }
        match newer {
            NONE => self.newest = older,
            newer => self.blocks[newer as usize].older = older,
        }
        self.kept -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u32) -> BlockHash {
        hash_block(None, AdapterId::BASE, &[n; KV_BLOCK])
    }

    #[test]
    fn a_block_is_found_until_its_room_is_wanted() {
        let mut pool = BlockPool::new(2);
        let (a, b) = (pool.take().unwrap(), pool.take().unwrap());
        assert_eq!(pool.take(), None);
        pool.publish(a, hash(1));
        pool.publish(b, hash(2));
        pool.release(a);
        pool.release(b);
        assert_eq!((pool.available(), pool.kept(), pool.held()), (2, 2, 0));
        assert_eq!(pool.find(&[hash(1), hash(2), hash(3)]), (2, 2));
        assert_eq!(pool.share(&hash(1)), Some(a));
        assert_eq!(pool.take(), Some(b), "the only one that nobody holds");
        assert_eq!(pool.find(&[hash(2)]), (0, 0));
        assert_eq!(pool.find(&[hash(1)]), (1, 0));
    }

    #[test]
    fn the_block_that_was_released_first_goes_first() {
        let mut pool = BlockPool::new(3);
        let blocks: Vec<u32> = (0..3).map(|_| pool.take().unwrap()).collect();
        for (i, &block) in blocks.iter().enumerate() {
            pool.publish(block, hash(i as u32));
        }
        for i in [1, 0, 2] {
            pool.release(blocks[i]);
        }
        // Wanted in between, block 1 is the newest now.
        pool.share(&hash(1));
        pool.release(blocks[1]);
        let order: Vec<u32> = (0..3).map(|_| pool.take().unwrap()).collect();
        assert_eq!(order, [blocks[0], blocks[2], blocks[1]]);
    }

    #[test]
    fn a_block_that_was_not_published_is_free_at_once() {
        let mut pool = BlockPool::new(1);
        let block = pool.take().unwrap();
        pool.release(block);
        assert_eq!((pool.available(), pool.kept()), (1, 0));
    }

    #[test]
    fn a_hash_tells_adapters_and_what_came_before_apart() {
        let ids = [7; KV_BLOCK];
        let first = hash_block(None, AdapterId::BASE, &ids);
        assert_ne!(first, hash_block(None, AdapterId::OWN, &ids));
        assert_ne!(first, hash_block(Some(&first), AdapterId::BASE, &ids));
    }
}
