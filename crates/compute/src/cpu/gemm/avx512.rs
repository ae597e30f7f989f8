//! AVX-512: 16 lanes, 32 registers.

use core::arch::x86_64::*;

use half::{bf16, f16};

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
    unsafe fn transpose(r: [__m512; 16]) -> [__m512; 16] {
        unsafe {
            // 4 x 4 blocks are transposed inside their 128-bit lanes first: lane `l` of `u[4 i + c]` holds rows
            // 4 i .. 4 i + 4 of column 4 l + c. Then the lanes themselves are transposed.
            let mut u = r;
            let mut i = 0;
            while i < 16 {
                let (a, b) = (_mm512_unpacklo_ps(r[i], r[i + 1]), _mm512_unpackhi_ps(r[i], r[i + 1]));
                let (c, d) = (_mm512_unpacklo_ps(r[i + 2], r[i + 3]), _mm512_unpackhi_ps(r[i + 2], r[i + 3]));
                u[i] = unpack_low(a, c);
                u[i + 1] = unpack_high(a, c);
                u[i + 2] = unpack_low(b, d);
                u[i + 3] = unpack_high(b, d);
                i += 4;
            }
            let mut out = r;
            let mut c = 0;
            while c < 4 {
                let a = _mm512_shuffle_f32x4::<0x88>(u[c], u[4 + c]);
                let b = _mm512_shuffle_f32x4::<0xdd>(u[c], u[4 + c]);
                let d = _mm512_shuffle_f32x4::<0x88>(u[8 + c], u[12 + c]);
                let e = _mm512_shuffle_f32x4::<0xdd>(u[8 + c], u[12 + c]);
                out[c] = _mm512_shuffle_f32x4::<0x88>(a, d);
                out[4 + c] = _mm512_shuffle_f32x4::<0x88>(b, e);
                out[8 + c] = _mm512_shuffle_f32x4::<0xdd>(a, d);
                out[12 + c] = _mm512_shuffle_f32x4::<0xdd>(b, e);
                c += 1;
            }
            out
        }
    }
}

#[inline(always)]
unsafe fn unpack_low(a: __m512, b: __m512) -> __m512 {
    unsafe { _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b))) }
}

#[inline(always)]
unsafe fn unpack_high(a: __m512, b: __m512) -> __m512 {
    unsafe { _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b))) }
}
