//! AVX2 with FMA and F16C: 8 lanes, 16 registers.

use core::arch::x86_64::*;

use half::{bf16, f16};

use super::super::transpose::transpose_8;
use super::kernels::{Kernels, kernels};
use super::simd::Simd;

pub(super) struct Avx2;

// 6 x 2 accumulators, two vectors of the right side and one of the left fill 15 of the 16 registers.
kernels! {
    isa: Avx2,
    lanes: 8,
    features: "avx2,fma,f16c",
    rows: [1 2 3 4 5 6],
    rows_wide: [1 2],
}

// SAFETY of every block here: the trait's callers run on a CPU with AVX2, FMA and F16C and hand in pointers to 8
// elements.
impl Simd<8> for Avx2 {
    type Vector = __m256;
    type Levels = [__m256; 2];
    const STEPS: usize = 1;

    #[inline(always)]
    unsafe fn join(_first: __m256, _second: __m256) -> __m256 {
        unreachable!("one step of depth a lane")
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> __m256 {
        unsafe { _mm256_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m256 {
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const f16) -> __m256 {
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) }
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const bf16) -> __m256 {
        unsafe {
            let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide))
        }
    }

    #[inline(always)]
    unsafe fn first_bf16(pairs: __m256) -> __m256 {
        unsafe { _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_castps_si256(pairs))) }
    }

    #[inline(always)]
    unsafe fn second_bf16(pairs: __m256) -> __m256 {
        unsafe {
            let mask = _mm256_set1_epi32(0xffff_0000_u32 as i32);
            _mm256_castsi256_ps(_mm256_and_si256(_mm256_castps_si256(pairs), mask))
        }
    }

    #[inline(always)]
    unsafe fn load_codes(from: *const u8) -> __m256 {
        unsafe {
            let bytes = _mm_cvtsi32_si128(from.cast::<i32>().read_unaligned());
            let codes = _mm_unpacklo_epi8(_mm_srli_epi16::<4>(bytes), bytes);
            _mm256_castsi256_ps(_mm256_cvtepu8_epi32(codes))
        }
    }

    #[inline(always)]
    unsafe fn levels(values: &[f32; 16]) -> [__m256; 2] {
        unsafe { [_mm256_loadu_ps(values.as_ptr()), _mm256_loadu_ps(values.as_ptr().add(8))] }
    }

    #[inline(always)]
    unsafe fn choose(levels: [__m256; 2], lanes: __m256, shift: u32) -> __m256 {
        unsafe {
            // A permutation looks at the lowest three bits; the fourth, as the sign, chooses between two of them.
            let codes = _mm256_srl_epi32(_mm256_castps_si256(lanes), _mm_cvtsi32_si128(shift as i32));
            let [low, high] = levels.map(|eight| _mm256_permutevar8x32_ps(eight, codes));
            _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32::<28>(codes)))
        }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, x: __m256) {
        unsafe { _mm256_storeu_ps(to, x) }
    }

    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn mul(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn fma(a: __m256, b: __m256, c: __m256) -> __m256 {
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn prefetch<T>(line: *const T) {
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) }
    }

    #[inline(always)]
    fn prefetch_far<T>(line: *const T) {
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.cast()) }
    }

    #[inline(always)]
    unsafe fn transpose(rows: [__m256; 8]) -> [__m256; 8] {
        unsafe { transpose_8(rows) }
    }
}
