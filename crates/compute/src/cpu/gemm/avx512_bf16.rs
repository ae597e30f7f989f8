//! AVX-512 with products of bf16 pairs: a lane holds two steps of depth, both of which one instruction multiplies and
//! adds to a sum in f32. Denormal numbers count as zero.

use core::arch::x86_64::*;
use core::mem::transmute;

use half::{bf16, f16};

use super::avx512::Avx512;
use super::kernels::{Kernels, kernels};
use super::simd::Simd;

struct Avx512Bf16;

kernels! {
    isa: Avx512Bf16,
    lanes: 16,
    features: "avx512f,avx512vl,avx512dq,avx512bw,avx512bf16,avx2,fma",
    rows: [1 2 3 4 5 6 7 8 9 10 11 12 13 14],
    rows_wide: [1 2 3 4 5 6],
}

/// Places of the words of `[a, b]` in `[a0 b0 a1 b1 …]`.
const INTERLEAVED: [u16; 32] = {
    let mut places = [0; 32];
    let mut i = 0;
    while i < 16 {
        (places[2 * i], places[2 * i + 1]) = (i as u16, 16 + i as u16);
        i += 1;
    }
    places
};

// SAFETY of every block here: the trait's callers run on a CPU with AVX-512 and its bf16 products, and hand in pointers
// to 16 elements. The vectors that are transmuted have 512 bits and no invalid values.
impl Simd<16> for Avx512Bf16 {
    type Vector = __m512;
    type Levels = __m512;
    const STEPS: usize = 2;

    #[inline(always)]
    unsafe fn join(first: __m512, second: __m512) -> __m512 {
        unsafe {
            let places = _mm512_loadu_si512(INTERLEAVED.as_ptr().cast());
            let rounded: __m512i = transmute(_mm512_cvtne2ps_pbh(second, first));
            _mm512_castsi512_ps(_mm512_permutexvar_epi16(places, rounded))
        }
    }

    #[inline(always)]
    unsafe fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_dpbf16_ps(c, transmute::<__m512, __m512bh>(a), transmute::<__m512, __m512bh>(b)) }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> __m512 {
        unsafe { Avx512::splat(x) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m512 {
        unsafe { Avx512::load(from) }
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const f16) -> __m512 {
        unsafe { Avx512::load_f16(from) }
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const bf16) -> __m512 {
        unsafe { Avx512::load_bf16(from) }
    }

    #[inline(always)]
    unsafe fn first_bf16(pairs: __m512) -> __m512 {
        unsafe { Avx512::first_bf16(pairs) }
    }

    #[inline(always)]
    unsafe fn second_bf16(pairs: __m512) -> __m512 {
        unsafe { Avx512::second_bf16(pairs) }
    }

    #[inline(always)]
    unsafe fn load_codes(from: *const u8) -> __m512 {
        unsafe { Avx512::load_codes(from) }
    }

    #[inline(always)]
    unsafe fn levels(values: &[f32; 16]) -> __m512 {
        unsafe { Avx512::levels(values) }
    }

    #[inline(always)]
    unsafe fn choose(levels: __m512, lanes: __m512, shift: u32) -> __m512 {
        unsafe { Avx512::choose(levels, lanes, shift) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, x: __m512) {
        unsafe { Avx512::store(to, x) }
    }

    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        unsafe { Avx512::add(a, b) }
    }

    #[inline(always)]
    unsafe fn mul(a: __m512, b: __m512) -> __m512 {
        unsafe { Avx512::mul(a, b) }
    }

    #[inline(always)]
    unsafe fn transpose(rows: [__m512; 16]) -> [__m512; 16] {
        unsafe { Avx512::transpose(rows) }
    }

    #[inline(always)]
    fn prefetch<T>(line: *const T) {
        Avx512::prefetch(line);
    }

    #[inline(always)]
    fn prefetch_far<T>(line: *const T) {
        Avx512::prefetch_far(line);
    }
}
