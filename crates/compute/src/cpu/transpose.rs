//! Squares of values whose rows and columns change places, in registers, and what is found by turning them.

// SAFETY of every block here: the callers run where the instructions are.
#![allow(unsafe_code)]

use core::arch::x86_64::*;

/// # Safety
/// With AVX-512 F.
#[inline(always)]
pub(super) unsafe fn transpose_16(r: [__m512; 16]) -> [__m512; 16] {
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

/// # Safety
/// With AVX2.
#[inline(always)]
pub(super) unsafe fn transpose_8(r: [__m256; 8]) -> [__m256; 8] {
    unsafe {
        // 4 x 4 blocks inside their 128-bit lanes, then the lanes, as with sixteen.
        let mut u = r;
        let mut i = 0;
        while i < 8 {
            let (a, b) = (_mm256_unpacklo_ps(r[i], r[i + 1]), _mm256_unpackhi_ps(r[i], r[i + 1]));
            let (c, d) = (_mm256_unpacklo_ps(r[i + 2], r[i + 3]), _mm256_unpackhi_ps(r[i + 2], r[i + 3]));
            u[i] = _mm256_shuffle_ps::<0x44>(a, c);
            u[i + 1] = _mm256_shuffle_ps::<0xee>(a, c);
            u[i + 2] = _mm256_shuffle_ps::<0x44>(b, d);
            u[i + 3] = _mm256_shuffle_ps::<0xee>(b, d);
            i += 4;
        }
        let mut out = r;
        let mut c = 0;
        while c < 4 {
            out[c] = _mm256_permute2f128_ps::<0x20>(u[c], u[4 + c]);
            out[4 + c] = _mm256_permute2f128_ps::<0x31>(u[c], u[4 + c]);
            c += 1;
        }
        out
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

/// An order of the lanes of 32 bits.
pub(super) trait Order {
    /// # Safety
    /// With AVX-512 F.
    unsafe fn larger(a: __m512i, b: __m512i) -> __m512i;
}

/// Lanes are f32. The second is taken if either is NaN.
pub(super) struct Floats;

impl Order for Floats {
    #[inline(always)]
    unsafe fn larger(a: __m512i, b: __m512i) -> __m512i {
        unsafe { _mm512_castps_si512(_mm512_max_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b))) }
    }
}

/// Lanes are integers without a sign.
pub(super) struct Unsigned;

impl Order for Unsigned {
    #[inline(always)]
    unsafe fn larger(a: __m512i, b: __m512i) -> __m512i {
        unsafe { _mm512_max_epu32(a, b) }
    }
}

/// The largest of the 16 lanes, of each of eight vectors.
///
/// # Safety
/// With AVX-512 F.
#[inline(always)]
pub(super) unsafe fn largest_of_each<O: Order>(x: [__m512i; 8]) -> __m256i {
    unsafe {
        // Of each 128 bits the four lanes of four vectors become one lane of each.
        let mut fours = [_mm512_setzero_si512(); 2];
        for (four, to) in fours.iter_mut().enumerate() {
            let [a, b, c, d] = [x[4 * four], x[4 * four + 1], x[4 * four + 2], x[4 * four + 3]];
            let ab = O::larger(_mm512_unpackhi_epi32(a, b), _mm512_unpacklo_epi32(a, b));
            let cd = O::larger(_mm512_unpackhi_epi32(c, d), _mm512_unpacklo_epi32(c, d));
            *to = O::larger(_mm512_unpackhi_epi64(ab, cd), _mm512_unpacklo_epi64(ab, cd));
        }
        let low = _mm512_shuffle_i32x4::<0b01_00_01_00>(fours[0], fours[1]);
        let high = _mm512_shuffle_i32x4::<0b11_10_11_10>(fours[0], fours[1]);
        let two = O::larger(high, low);
        let one = O::larger(two, _mm512_shuffle_i32x4::<0b10_11_00_01>(two, two));
        _mm512_castsi512_si256(_mm512_shuffle_i32x4::<0b00_00_10_00>(one, one))
    }
}

/// The sum of the 16 lanes, of each of eight vectors, in the order of [`sum_lanes`](super::math::sum_lanes): halves are
/// added until one lane is left.
///
/// # Safety
/// With AVX-512 F.
#[inline(always)]
pub(super) unsafe fn sum_of_each(x: [__m512; 8]) -> __m256 {
    unsafe {
        // Lanes 0 to 7 of one vector, then of the next: eight lanes are left of each.
        let mut eights = [_mm512_setzero_ps(); 4];
        for (i, eight) in eights.iter_mut().enumerate() {
            let (a, b) = (x[2 * i], x[2 * i + 1]);
            let low = _mm512_shuffle_f32x4::<0b01_00_01_00>(a, b);
            *eight = _mm512_add_ps(low, _mm512_shuffle_f32x4::<0b11_10_11_10>(a, b));
        }
        let mut fours = [_mm512_setzero_ps(); 2];
        for (i, four) in fours.iter_mut().enumerate() {
            let (a, b) = (eights[2 * i], eights[2 * i + 1]);
            let low = _mm512_shuffle_f32x4::<0b10_00_10_00>(a, b);
            *four = _mm512_add_ps(low, _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b));
        }
        let twos = _mm512_add_ps(unpack_low(fours[0], fours[1]), unpack_high(fours[0], fours[1]));
        let ones = _mm512_add_ps(twos, _mm512_movehdup_ps(twos));
        // Every 128 bits hold one of the first four, and one of the last.
        let places = _mm512_setr_epi32(0, 4, 8, 12, 2, 6, 10, 14, 0, 0, 0, 0, 0, 0, 0, 0);
        _mm512_castps512_ps256(_mm512_permutexvar_ps(places, ones))
    }
}
