//! Buffers side by side in large pages. Most matrices of a small model, and what its layers keep, are shorter than a
//! large page or a few of them long, so that alone they would lie in small pages, which a processor reads at half the
//! speed: its prefetcher stops at the end of each, and finding the next one takes a walk through tables.

// Parts of a slab are borrowed mutably by one buffer each, which no safe type lets them be beside each other.
#![allow(unsafe_code)]

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use super::buffer::CpuBuffer;
use super::pages;
use crate::{Error, Result};

/// Elements of a slab: 32 MiB, of which only pages that are written take memory.
const SLAB: usize = (32 << 20) / size_of::<f32>();
/// Elements of the shortest and of the longest buffer that lies in a slab. A slab lives as long as any of its parts, so
/// what is small must not keep it; what is long fills large pages of its own.
const SHARED: std::ops::RangeInclusive<usize> = (64 << 10) / size_of::<f32>()..=SLAB / 4;
/// Elements of a large page.
const PAGE: usize = (2 << 20) / size_of::<f32>();
/// Elements of a cache line.
const LINE: usize = 64 / size_of::<f32>();

/// Where buffers get their memory.
#[derive(Debug, Default)]
pub(super) struct Slabs {
    current: Mutex<Option<Rest>>,
}

/// What is left of a slab.
#[derive(Debug)]
struct Rest {
    slab: Arc<Slab>,
    from: usize,
}

impl Slabs {
    /// `len` zeros that start on a cache line.
    ///
    /// # Errors
    /// When there is no memory.
    pub(super) fn zeros(&self, what: &'static str, len: usize) -> Result<CpuBuffer> {
        if !SHARED.contains(&len) {
            return CpuBuffer::zeros(what, len);
        }
        let taken = len.next_multiple_of(LINE);
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = match current.take() {
            Some(rest) if rest.from + taken <= SLAB => rest,
            _ => Rest { slab: Arc::new(Slab::new(what)?), from: 0 },
        };
        let rest = current.insert(rest);
        let part = Part::new(Arc::clone(&rest.slab), rest.from, len);
        rest.from += taken;
        Ok(CpuBuffer::from(part))
    }
}

/// Zeros that parts are taken of.
struct Slab {
    memory: NonNull<[f32]>,
    /// The first large page in it.
    start: usize,
}

// SAFETY: a slab only keeps the memory; its parts, no two of which overlap, are what reads and writes it.
unsafe impl Send for Slab {}
// SAFETY: as above.
unsafe impl Sync for Slab {}

impl Slab {
    fn new(what: &'static str) -> Result<Self> {
        let len = SLAB + PAGE;
        let out_of_memory = |()| Error::OutOfMemory { what, bytes: len * size_of::<f32>() };
        let mut memory: Box<[f32]> = bytemuck::try_zeroed_slice_box(len).map_err(out_of_memory)?;
        pages::prefer_large(&mut memory);
        let start = memory.as_ptr().align_offset(PAGE * size_of::<f32>()).min(PAGE);
        let memory = NonNull::new(Box::into_raw(memory)).expect("a box is somewhere");
        Ok(Slab { memory, start })
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        // SAFETY: it came from a box, and no part is left to use it.
        drop(unsafe { Box::from_raw(self.memory.as_ptr()) });
    }
}

impl fmt::Debug for Slab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slab({})", self.memory.len())
    }
}

/// A range of a slab that is this value's alone.
pub(super) struct Part {
    values: NonNull<f32>,
    len: usize,
    _slab: Arc<Slab>,
}

// SAFETY: it is to its range what a box is to its memory.
unsafe impl Send for Part {}
// SAFETY: as above.
unsafe impl Sync for Part {}

impl Part {
    /// Elements `from..from + len` of `slab`, which no other part may have.
    fn new(slab: Arc<Slab>, from: usize, len: usize) -> Self {
        assert!(from + len <= SLAB);
        // SAFETY: the slab has a page more than `SLAB` elements, and `start` is within that page.
        let values = unsafe { slab.memory.cast::<f32>().add(slab.start + from) };
        Part { values, len, _slab: slab }
    }
}

impl Deref for Part {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: the range is inside the slab, which this value keeps, holds `f32`s from the start, and is written
        // through this value alone.
        unsafe { std::slice::from_raw_parts(self.values.as_ptr(), self.len) }
    }
}

impl DerefMut for Part {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.values.as_ptr(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_of_a_slab_are_zeros_on_cache_lines_that_do_not_overlap() {
        let slabs = Slabs::default();
        let (few, many) = SHARED.into_inner();
        let lengths = [few, 1, few + 15, few + 16, few - 1, many, many, many, many, many + 1, 0, few + 1];
        let mut buffers: Vec<_> = lengths.iter().map(|&len| slabs.zeros("a weight", len).unwrap()).collect();
        for (index, buffer) in buffers.iter_mut().enumerate() {
            assert_eq!(buffer.as_ptr().align_offset(64), 0);
            assert!(buffer.iter().all(|&value| value == 0.0));
            buffer.fill(index as f32);
        }
        drop(slabs);
        for (index, (buffer, len)) in buffers.iter().zip(lengths).enumerate() {
            assert_eq!(buffer.len(), len);
            assert!(buffer.iter().all(|&value| value == index as f32));
        }
    }
}
