//! Large pages for large memory. A page of 4 KiB that is touched for the first time costs the system a microsecond or
//! more, longer than filling it: so weights load several times faster in pages of 2 MiB.

/// Below this a buffer has few large pages, and many small buffers would waste parts of theirs.
#[cfg(target_os = "linux")]
const LARGE: usize = 4 << 20;
/// The smallest page of any Linux is this long, or longer by a power of two.
#[cfg(target_os = "linux")]
const PAGE: usize = 1 << 16;

/// Asks the system to back `memory` with large pages. It may refuse; nothing depends on it.
#[cfg(target_os = "linux")]
pub(super) fn prefer_large(memory: &mut [f32]) {
    use rustix::mm::{Advice, madvise};

    let bytes = size_of_val(memory);
    if bytes < LARGE {
        return;
    }
    let start = memory.as_mut_ptr().cast::<u8>();
    // Whole pages only: what else lies on the first and the last is not ours.
    let skip = start.align_offset(PAGE);
    let Some(length) = bytes.checked_sub(skip).map(|length| length / PAGE * PAGE) else { return };
    // SAFETY: the range lies inside `memory`, and the advice changes no value in it.
    #[allow(unsafe_code)]
    let _refused = unsafe { madvise(start.add(skip).cast(), length, Advice::LinuxHugepage) };
}

/// Other systems choose for themselves.
#[cfg(not(target_os = "linux"))]
pub(super) fn prefer_large(_memory: &mut [f32]) {}
