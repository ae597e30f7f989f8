//! Memory for packed panels that outlives a call, so that no product allocates once the largest has run.

use std::cell::Cell;
use std::thread::LocalKey;

/// Floats before the first cache line boundary of a buffer, at most.
const LINE: usize = 16;

thread_local! {
    static LEFT: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
    static TASK: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
    static DECODED: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Hands `f` at least `len` floats for the left panels that all tasks of a product read. Their values are stale.
pub(super) fn with_left<R>(len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    with(&LEFT, len, f)
}

/// Hands `f` at least `len` floats for the panels of one task. Their values are stale.
pub(super) fn with_task<R>(len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    with(&TASK, len, f)
}

/// Hands `f` at least `len` floats for a decoded strip of a quantized matrix. Their values are stale.
pub(super) fn with_decoded<R>(len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    with(&DECODED, len, f)
}

fn with<R>(slot: &'static LocalKey<Cell<Vec<f32>>>, len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    // Taken, not borrowed: a product that starts inside another one on this thread gets its own.
    let mut buffer = slot.take();
    if buffer.len() < len + LINE {
        buffer = vec![0.0; len + LINE];
    }
    let skip = buffer.as_ptr().align_offset(64).min(LINE);
    let result = f(&mut buffer[skip..]);
    slot.set(buffer);
    result
}
