//! Packing and micro-kernels of one instruction set, chosen at run time.

use super::pack::Pack;
use super::thin::Thin;
use super::tile::Tile;

/// The functions of one instruction set.
///
/// A tile is `rows` (1 to `max_rows`) by 1, 2 or 4 vectors; 4 only up to `max_rows_wide` rows, where two vectors
/// would leave the multipliers waiting for each other's results.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kernels {
    pub(super) lanes: usize,
    /// Steps of depth in a packed lane.
    pub(super) steps: usize,
    pub(super) max_rows: usize,
    pub(super) max_rows_wide: usize,
    /// Needs the instruction set on this CPU and what [`Pack::run`] asks for.
    pub(super) pack: unsafe fn(&Pack<'_>),
    /// The micro-kernel of so many rows and vectors. It needs the instruction set and what [`Tile::run`] asks for.
    pub(super) tile: fn(usize, usize) -> unsafe fn(&Tile),
    /// The kernel of so many rows for a right side that is not packed. It needs the instruction set and what [`Thin::run`] asks for.
    pub(super) thin: fn(usize) -> unsafe fn(&Thin<'_>),
}

impl Kernels {
    /// Lanes that hold `depth` steps.
    pub(super) fn packed(&self, depth: usize) -> usize {
        depth.div_ceil(self.steps)
    }
}

/// Instantiates packing and micro-kernels for an instruction set, in functions that enable it.
macro_rules! kernels {
    (
        isa: $isa:ty,
        lanes: $lanes:literal,
        $(features: $features:literal,)?
        rows: [$($rows:literal)*],
        rows_wide: [$($wide:literal)*],
    ) => {
        pub(super) const KERNELS: Kernels = Kernels {
            lanes: $lanes,
            steps: <$isa as super::simd::Simd<$lanes>>::STEPS,
            max_rows: [$($rows),*].len(),
            max_rows_wide: [$($wide),*].len(),
            pack,
            tile: choose_tile,
            thin: choose_thin,
        };

        $(#[target_feature(enable = $features)])?
        unsafe fn pack(job: &super::pack::Pack<'_>) {
            // SAFETY: the caller's promise is the same.
            unsafe { job.run::<$isa, $lanes>() }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn tile<const ROWS: usize, const VECTORS: usize>(job: &super::tile::Tile) {
            // SAFETY: the caller's promise is the same.
            unsafe { job.run::<$isa, $lanes, ROWS, VECTORS>() }
        }

        $(#[target_feature(enable = $features)])?
        unsafe fn thin<const ROWS: usize>(job: &super::thin::Thin<'_>) {
            // SAFETY: the caller's promise is the same.
            unsafe { job.run::<$isa, $lanes, ROWS>() }
        }

        fn choose_tile(rows: usize, vectors: usize) -> unsafe fn(&super::tile::Tile) {
            match (rows, vectors) {
                $(($rows, 1) => tile::<$rows, 1>,)*
                $(($rows, 2) => tile::<$rows, 2>,)*
                $(($wide, 4) => tile::<$wide, 4>,)*
                _ => unreachable!("no micro-kernel of {rows} rows and {vectors} vectors"),
            }
        }

        fn choose_thin(rows: usize) -> unsafe fn(&super::thin::Thin<'_>) {
            match rows {
                $($rows => thin::<$rows>,)*
                _ => unreachable!("no thin kernel of {rows} rows"),
            }
        }
    };
}

pub(super) use kernels;
