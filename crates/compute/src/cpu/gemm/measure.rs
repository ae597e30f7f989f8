//! What `examples/gemm_peak.rs` measures: products as the layers call them, and the ceiling they run under.

use half::bf16;

use super::simd::Simd;
use super::{Elements, Gemm, Init, Isa, Method, Operand, Part, Precision, Threads, gemm};

/// One factor: its values, and whether its depth axis is the contiguous one.
#[derive(Debug, Clone, Copy)]
pub struct Factor<'a> {
    /// The values, as f32.
    pub f32: &'a [f32],
    /// Used instead where it is not empty.
    pub bf16: &'a [bf16],
    /// `[rows, depth]` in memory, and not `[depth, rows]`.
    pub depth_contiguous: bool,
}

/// `c = left rightᵀ` over `[rows, cols, depth]`.
pub fn product(
    threads: &Threads,
    (isa, precision): (Isa, Precision),
    [rows, cols, depth]: [usize; 3],
    left: Factor<'_>,
    right: Factor<'_>,
    c: &mut [f32],
) {
    let g = Gemm {
        rows,
        depth,
        left: operand(left, rows, depth),
        low: None,
        parts: &[Part::whole(cols, operand(right, cols, depth), Init::Zero)],
        c,
        stride: cols,
    };
    gemm(threads, Method { isa, precision }, g);
}

fn operand(factor: Factor<'_>, rows: usize, depth: usize) -> Operand<'_> {
    let elements =
        if factor.bf16.is_empty() { Elements::F32(factor.f32) } else { Elements::Bf16(factor.bf16) };
    let (row_stride, depth_stride) = if factor.depth_contiguous { (depth, 1) } else { (1, rows) };
    Operand { elements, row_stride, depth_stride }
}

/// Fused multiply-adds on registers alone, `rounds` times [`fmas_per_round`]; the sum keeps them alive.
pub fn fma_rounds(isa: Isa, rounds: usize) -> f32 {
    match isa {
        // SAFETY: an `Isa` above plain was found on this CPU.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { fma_rounds_avx512(rounds) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { fma_rounds_avx2(rounds) },
        // SAFETY: needs nothing.
        _ => unsafe { chains::<super::plain::Plain, 8, 4>(rounds) },
    }
}

/// Multiply-adds of one round of [`fma_rounds`].
pub fn fmas_per_round(isa: Isa) -> usize {
    match isa {
        Isa::Avx512 => 16 * 12,
        Isa::Avx2 => 8 * 12,
        Isa::Plain => 8 * 4,
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
unsafe fn fma_rounds_avx512(rounds: usize) -> f32 {
    // SAFETY: the caller's promise is the same.
    unsafe { chains::<super::avx512::Avx512, 16, 12>(rounds) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn fma_rounds_avx2(rounds: usize) -> f32 {
    // SAFETY: the caller's promise is the same.
    unsafe { chains::<super::avx2::Avx2, 8, 12>(rounds) }
}

#[inline(always)]
unsafe fn chains<S: Simd<L>, const L: usize, const CHAINS: usize>(rounds: usize) -> f32 {
    let mut total = [0.0; L];
    // SAFETY: `total` has room for a vector; the instruction set is the caller's promise.
    unsafe {
        let (a, b) = (S::splat(std::hint::black_box(0.999)), S::splat(std::hint::black_box(0.001)));
        let mut sums = [S::splat(0.0); CHAINS];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = S::fma(*sum, a, b);
            }
        }
        let mut all = sums[0];
        for sum in &sums[1..] {
            all = S::add(all, *sum);
        }
        S::store(total.as_mut_ptr(), all);
    }
    total.iter().sum()
}
