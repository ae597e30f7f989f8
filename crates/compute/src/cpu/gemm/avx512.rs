//! AVX-512: 16 lanes, 32 registers.

use core::arch::x86_64::*;

use half::{bf16, f16};

use super::super::transpose::transpose_16;
use super::kernels::{Kernels, kernels};
use super::simd::Simd;

pub(super) struct Avx512;

// 14 x 2 accumulators, two vectors of the right side and one of the left fill 31 of the 32 registers.
kernels! {
    isa: Avx512,
    lanes: 16,
    features: "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma",
    rows: [1 2 3 4 5 6 7 8 9 10 11 12 13 14],
    rows_wide: [1 2 3 4 5 6],
}

// SAFETY of every block here: the trait's callers run on a CPU with AVX-512 and hand in pointers to 16 elements.
impl Simd<16> for Avx512 {
    type Vector = __m512;
    type Levels = __m512;
    const STEPS: usize = 1;

    #[inline(always)]
    unsafe fn join(_first: __m512, _second: __m512) -> __m512 {
        unreachable!("one step of depth a lane")
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> __m512 {
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m512 {
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const f16) -> __m512 {
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const bf16) -> __m512 {
        unsafe {
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
        }
    }

    #[inline(always)]
    unsafe fn first_bf16(pairs: __m512) -> __m512 {
        unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_castps_si512(pairs))) }
    }

    #[inline(always)]
    unsafe fn second_bf16(pairs: __m512) -> __m512 {
        unsafe {
            let mask = _mm512_set1_epi32(0xffff_0000_u32 as i32);
            _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(pairs), mask))
        }
    }

    #[inline(always)]
    unsafe fn load_codes(from: *const u8) -> __m512 {
        unsafe {
            let bytes = _mm_loadl_epi64(from.cast());
            let codes = _mm_unpacklo_epi8(_mm_srli_epi16::<4>(bytes), bytes);
            _mm512_castsi512_ps(_mm512_cvtepu8_epi32(codes))
        }
    }

    #[inline(always)]
    unsafe fn levels(values: &[f32; 16]) -> __m512 {
        unsafe { _mm512_loadu_ps(values.as_ptr()) }
    }

    #[inline(always)]
    unsafe fn choose(levels: __m512, lanes: __m512, shift: u32) -> __m512 {
        unsafe {
            // The permutation looks at the lowest four bits alone.
            let codes = _mm512_srl_epi32(_mm512_castps_si512(lanes), _mm_cvtsi32_si128(shift as i32));
            _mm512_permutexvar_ps(codes, levels)
        }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, x: __m512) {
        unsafe { _mm512_storeu_ps(to, x) }
    }

    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn mul(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(a, b, c) }
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
    unsafe fn transpose(rows: [__m512; 16]) -> [__m512; 16] {
        unsafe { transpose_16(rows) }
    }
}
