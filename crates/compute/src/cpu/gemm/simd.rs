//! The vector operations that packing and the micro-kernel are written in, once for every instruction set.

use half::{bf16, f16};

/// `L` floats in a register (or in what the compiler makes of an array).
///
/// The methods are inlined into functions that enable the instruction set, so the intrinsics become single
/// instructions.
///
/// # Safety
/// Every method needs the instruction set on the CPU that runs it; those with a pointer need `L` readable (or
/// writable) elements there. No alignment is required.
pub(super) trait Simd<const L: usize> {
    type Vector: Copy;
    /// Sixteen values to choose from, in registers.
    type Levels: Copy;
    /// Steps of depth in a packed lane, 1 or 2, which are multiplied and added at once.
    const STEPS: usize;

    /// Packed lanes of two steps; never called where `STEPS` is 1.
    unsafe fn join(first: Self::Vector, second: Self::Vector) -> Self::Vector;
    unsafe fn splat(x: f32) -> Self::Vector;
    unsafe fn load(from: *const f32) -> Self::Vector;
    unsafe fn load_f16(from: *const f16) -> Self::Vector;
    unsafe fn load_bf16(from: *const bf16) -> Self::Vector;
    /// Decodes the first of the two bf16 values in each lane.
    unsafe fn first_bf16(pairs: Self::Vector) -> Self::Vector;
    /// Decodes the second of the two bf16 values in each lane.
    unsafe fn second_bf16(pairs: Self::Vector) -> Self::Vector;
    /// Lanes whose lowest four bits are `L` codes, of which the first is the high half of the first of `L / 2` bytes.
    unsafe fn load_codes(from: *const u8) -> Self::Vector;
    unsafe fn levels(values: &[f32; 16]) -> Self::Levels;
    /// In each lane the level that its four bits from `shift` on choose.
    unsafe fn choose(levels: Self::Levels, lanes: Self::Vector, shift: u32) -> Self::Vector;
    unsafe fn store(to: *mut f32, x: Self::Vector);
    unsafe fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    unsafe fn mul(a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a * b + c` for packed lanes `a` and `b`, rounded once where the instruction set can.
    unsafe fn fma(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// Asks for the cache line of an address, which need not be valid.
    fn prefetch<T>(line: *const T);
    /// The same into the second level only, for what is needed later: of those a core can await more.
    fn prefetch_far<T>(line: *const T);
    /// Lane `j` of vector `i` becomes lane `i` of vector `j`.
    unsafe fn transpose(rows: [Self::Vector; L]) -> [Self::Vector; L];
}

/// An element as it is stored.
pub(super) trait Stored: Copy {
    const ZERO: Self;
    /// Elements that are moved about as one lane, and decoded afterwards.
    const PER_LANE: usize;

    /// Decodes `L` elements.
    ///
    /// # Safety
    /// As [`Simd::load`].
    unsafe fn load<S: Simd<L>, const L: usize>(from: *const Self) -> S::Vector;

    /// `L` lanes for [`Stored::decode`].
    ///
    /// # Safety
    /// As [`Simd::load`], for `L * PER_LANE` elements.
    #[inline(always)]
    unsafe fn load_lanes<S: Simd<L>, const L: usize>(from: *const Self) -> S::Vector {
        // SAFETY: the caller's promise is the same.
        unsafe { Self::load::<S, L>(from) }
    }

    /// The `index`-th element of every lane.
    ///
    /// # Safety
    /// The instruction set must be there.
    #[inline(always)]
    unsafe fn decode<S: Simd<L>, const L: usize>(lanes: S::Vector, _index: usize) -> S::Vector {
        lanes
    }

    /// The `index`-th packed lanes out of `L` vectors of [`Stored::load_lanes`].
    ///
    /// # Safety
    /// The instruction set must be there.
    #[inline(always)]
    unsafe fn packed<S: Simd<L>, const L: usize>(lanes: &[S::Vector; L], index: usize) -> S::Vector {
        // SAFETY: the caller's promise is the same.
        unsafe {
            let step =
                |step: usize| Self::decode::<S, L>(lanes[step / Self::PER_LANE], step % Self::PER_LANE);
            if S::STEPS == 1 { step(index) } else { S::join(step(2 * index), step(2 * index + 1)) }
        }
    }
}

impl Stored for f32 {
    const ZERO: Self = 0.0;
    const PER_LANE: usize = 1;

    #[inline(always)]
    unsafe fn load<S: Simd<L>, const L: usize>(from: *const Self) -> S::Vector {
        // SAFETY: the caller's promise is the same.
        unsafe { S::load(from) }
    }
}

impl Stored for f16 {
    const ZERO: Self = f16::ZERO;
    const PER_LANE: usize = 1;

    #[inline(always)]
    unsafe fn load<S: Simd<L>, const L: usize>(from: *const Self) -> S::Vector {
        // SAFETY: the caller's promise is the same.
        unsafe { S::load_f16(from) }
    }
}

impl Stored for bf16 {
    const ZERO: Self = bf16::ZERO;
    // Transposing pairs takes half the shuffles.
    const PER_LANE: usize = 2;

    #[inline(always)]
    unsafe fn load<S: Simd<L>, const L: usize>(from: *const Self) -> S::Vector {
        // SAFETY: the caller's promise is the same.
        unsafe { S::load_bf16(from) }
    }

    #[inline(always)]
    unsafe fn load_lanes<S: Simd<L>, const L: usize>(from: *const Self) -> S::Vector {
        // SAFETY: twice as many elements of half the size, promises the caller.
        unsafe { S::load(from.cast()) }
    }

    #[inline(always)]
    unsafe fn decode<S: Simd<L>, const L: usize>(lanes: S::Vector, index: usize) -> S::Vector {
        // SAFETY: the caller's promise is the same.
        unsafe { if index == 0 { S::first_bf16(lanes) } else { S::second_bf16(lanes) } }
    }

    #[inline(always)]
    unsafe fn packed<S: Simd<L>, const L: usize>(lanes: &[S::Vector; L], index: usize) -> S::Vector {
        if S::STEPS == 2 {
            // Two steps in a lane is how they are stored.
            return lanes[index];
        }
        // SAFETY: the caller's promise is the same.
        unsafe { Self::decode::<S, L>(lanes[index / 2], index % 2) }
    }
}
