//! The lanes of AVX-512 with VNNI, and of AVX2.

// SAFETY of every block here: `run` chooses these types in functions that enable their instructions, and the
// references are to as many bytes as are read.
#![allow(unsafe_code)]

use core::arch::x86_64::*;

use formats::quant::ggml::SUB_BLOCK;

use super::super::super::math::x86::{Avx2, Avx512};
use super::super::super::transpose::{Unsigned, largest_of_each};
use super::{INFINITE, Lanes, Narrow, OFFSET, QUAD, ROUNDED, RoundedBlocks, VECTOR, round_each};

impl Lanes for Avx512 {
    type Bytes = __m512i;
    type Ints = __m512i;

    #[inline(always)]
    fn bytes(from: &[u8; QUAD]) -> __m512i {
        unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
    }

    #[inline(always)]
    fn low_nibbles(bytes: __m512i) -> __m512i {
        unsafe { _mm512_and_si512(bytes, _mm512_set1_epi8(15)) }
    }

    #[inline(always)]
    fn high_nibbles(bytes: __m512i) -> __m512i {
        unsafe { _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), _mm512_set1_epi8(15)) }
    }

    #[inline(always)]
    fn with_fifth_bits(bytes: __m512i, bits: &[u8; QUAD / 8]) -> __m512i {
        let bits = u64::from_le_bytes(*bits);
        unsafe { _mm512_mask_add_epi8(bytes, bits, bytes, _mm512_set1_epi8(16)) }
    }

    #[inline(always)]
    fn with_two_bits(bytes: __m512i, pairs: __m512i, place: usize) -> __m512i {
        unsafe {
            let at = match place {
                0 => _mm512_slli_epi16::<4>(pairs),
                1 => _mm512_slli_epi16::<2>(pairs),
                2 => pairs,
                _ => _mm512_srli_epi16::<2>(pairs),
            };
            // bytes | (at & 0x30)
            _mm512_ternarylogic_epi32::<0xf8>(bytes, at, _mm512_set1_epi8(0x30))
        }
    }

    #[inline(always)]
    fn ints(x: i32) -> __m512i {
        unsafe { _mm512_set1_epi32(x) }
    }

    #[inline(always)]
    fn dot(sum: __m512i, bytes: __m512i, codes: i32) -> __m512i {
        unsafe { _mm512_dpbusd_epi32(sum, bytes, _mm512_set1_epi32(codes)) }
    }

    #[inline(always)]
    fn to_floats(x: __m512i) -> __m512 {
        unsafe { _mm512_cvtepi32_ps(x) }
    }

    #[inline(always)]
    fn halves(from: &[u8; 2 * VECTOR]) -> __m512 {
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.as_ptr().cast())) }
    }

    #[inline(always)]
    fn unsigned(from: &[u8; VECTOR]) -> __m512 {
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(from.as_ptr().cast()))) }
    }

    #[inline(always)]
    fn signed(from: &[u8; VECTOR]) -> __m512 {
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from.as_ptr().cast()))) }
    }

    #[inline(always)]
    fn measure(
        blocks: [&[f32; SUB_BLOCK]; ROUNDED],
        scales: &mut [f32; ROUNDED],
        factors: &mut [f32; ROUNDED],
    ) {
        unsafe {
            // Bits of numbers without a sign are in the order of the numbers.
            let sign = _mm512_set1_epi32(i32::MAX);
            let mut bits = [_mm512_setzero_si512(); ROUNDED];
            for (block, bits) in blocks.iter().zip(&mut bits) {
                let first = _mm512_and_si512(_mm512_loadu_si512(block.as_ptr().cast()), sign);
                let second = _mm512_and_si512(_mm512_loadu_si512(block.as_ptr().add(16).cast()), sign);
                *bits = _mm512_max_epu32(first, second);
            }
            let largest = largest_of_each::<Unsigned>(bits);
            let finite = _mm256_cmplt_epu32_mask(largest, _mm256_set1_epi32(INFINITE as i32));
            let some = finite & _mm256_test_epi32_mask(largest, largest);
            let (largest, whole) = (_mm256_castsi256_ps(largest), _mm256_set1_ps(127.0));
            _mm256_storeu_ps(factors.as_mut_ptr(), _mm256_maskz_div_ps(some, whole, largest));
            let nan = _mm256_set1_ps(f32::NAN);
            _mm256_storeu_ps(scales.as_mut_ptr(), _mm256_mask_div_ps(nan, finite, largest, whole));
        }
    }

    #[inline(always)]
    fn round(blocks: [&[f32; SUB_BLOCK]; ROUNDED], scales: &[f32; ROUNDED], to: RoundedBlocks<'_>) {
        unsafe {
            // Sums of four codes, of two blocks each.
            let mut fours = [_mm512_setzero_si512(); ROUNDED / 2];
            for (two, fours) in fours.iter_mut().enumerate() {
                let mut words = [_mm512_setzero_si512(); 2];
                for (words, b) in words.iter_mut().zip(2 * two..) {
                    let (x, factor) = (blocks[b].as_ptr(), _mm512_set1_ps(to.totals[b]));
                    let first = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x), factor));
                    let second = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x.add(16)), factor));
                    *words = _mm512_packs_epi32(first, second);
                }
                // Packing goes by 128 bits: four codes of each of the four vectors, then the next four.
                let places = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
                let codes = _mm512_permutexvar_epi32(places, _mm512_packs_epi16(words[0], words[1]));
                _mm512_storeu_si512(to.words.as_mut_ptr().add(2 * two).cast(), codes);
                *fours = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8(1), codes);
            }
            let halves = sums_of_lanes(fours);
            let neighbours = _mm512_shuffle_epi32::<0b10_11_00_01>(halves);
            let sums = _mm512_mask_add_epi32(halves, 0x5555, halves, neighbours);
            let offsets = _mm512_mullo_epi32(sums, _mm512_set1_epi32(-OFFSET));
            _mm512_storeu_si512(to.offsets.as_mut_ptr().cast(), offsets);
            let totals = _mm256_cvtepi32_ps(_mm512_cvtepi64_epi32(sums));
            _mm256_storeu_ps(to.totals.as_mut_ptr(), _mm256_mul_ps(totals, _mm256_loadu_ps(scales.as_ptr())));
        }
    }
}

/// The sums of the lanes of every 128 bits: of the first vector all four, then of the second.
#[inline(always)]
fn sums_of_lanes([a, b, c, d]: [__m512i; 4]) -> __m512i {
    unsafe {
        let ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
        let cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
        let sums = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
        let places = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        _mm512_permutexvar_epi32(places, sums)
    }
}

impl Lanes for Avx2 {
    type Bytes = [__m256i; 2];
    type Ints = [__m256i; 2];

    #[inline(always)]
    fn bytes(from: &[u8; QUAD]) -> [__m256i; 2] {
        let at = from.as_ptr();
        unsafe { [_mm256_loadu_si256(at.cast()), _mm256_loadu_si256(at.add(32).cast())] }
    }

    #[inline(always)]
    fn low_nibbles(bytes: [__m256i; 2]) -> [__m256i; 2] {
        bytes.map(|b| unsafe { _mm256_and_si256(b, _mm256_set1_epi8(15)) })
    }

    #[inline(always)]
    fn high_nibbles(bytes: [__m256i; 2]) -> [__m256i; 2] {
        bytes.map(|b| unsafe { _mm256_and_si256(_mm256_srli_epi16::<4>(b), _mm256_set1_epi8(15)) })
    }

    #[inline(always)]
    fn with_fifth_bits(bytes: [__m256i; 2], bits: &[u8; QUAD / 8]) -> [__m256i; 2] {
        let bits = u64::from_le_bytes(*bits);
        std::array::from_fn(|half| unsafe {
            // Byte `i` gets the byte of `bits` that its bit is in, then its bit alone.
            let word = _mm256_set1_epi32((bits >> (32 * half)) as i32);
            let places =
                _mm256_setr_epi64x(0, 0x0101_0101_0101_0101, 0x0202_0202_0202_0202, 0x0303_0303_0303_0303);
            let bit = _mm256_set1_epi64x(0x8040_2010_0804_0201u64 as i64);
            let spread = _mm256_and_si256(_mm256_shuffle_epi8(word, places), bit);
            let set = _mm256_and_si256(_mm256_cmpeq_epi8(spread, bit), _mm256_set1_epi8(16));
            _mm256_or_si256(bytes[half], set)
        })
    }

    #[inline(always)]
    fn with_two_bits(bytes: [__m256i; 2], pairs: [__m256i; 2], place: usize) -> [__m256i; 2] {
        std::array::from_fn(|half| unsafe {
            let at = match place {
                0 => _mm256_slli_epi16::<4>(pairs[half]),
                1 => _mm256_slli_epi16::<2>(pairs[half]),
                2 => pairs[half],
                _ => _mm256_srli_epi16::<2>(pairs[half]),
            };
            _mm256_or_si256(bytes[half], _mm256_and_si256(at, _mm256_set1_epi8(0x30)))
        })
    }

    #[inline(always)]
    fn ints(x: i32) -> [__m256i; 2] {
        [unsafe { _mm256_set1_epi32(x) }; 2]
    }

    /// Even and odd bytes apart in 16 bits, as pairs of products of bytes would not fit there.
    #[inline(always)]
    fn dot(mut sum: [__m256i; 2], bytes: [__m256i; 2], codes: i32) -> [__m256i; 2] {
        // A loop and no closure, which would be compiled without AVX2 where it is not inlined.
        for half in 0..2 {
            sum[half] = unsafe {
                let codes = _mm256_set1_epi32(codes);
                let even = _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(codes));
                let odd = _mm256_srai_epi16::<8>(codes);
                let low = _mm256_and_si256(bytes[half], _mm256_set1_epi16(255));
                let high = _mm256_srli_epi16::<8>(bytes[half]);
                let pairs = _mm256_add_epi32(_mm256_madd_epi16(low, even), _mm256_madd_epi16(high, odd));
                _mm256_add_epi32(sum[half], pairs)
            };
        }
        sum
    }

    #[inline(always)]
    fn to_floats(x: [__m256i; 2]) -> [__m256; 2] {
        x.map(|x| unsafe { _mm256_cvtepi32_ps(x) })
    }

    #[inline(always)]
    fn halves(from: &[u8; 2 * VECTOR]) -> [__m256; 2] {
        std::array::from_fn(|half| unsafe {
            _mm256_cvtph_ps(_mm_loadu_si128(from.as_ptr().add(16 * half).cast()))
        })
    }

    #[inline(always)]
    fn unsigned(from: &[u8; VECTOR]) -> [__m256; 2] {
        std::array::from_fn(|half| unsafe {
            _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(from.as_ptr().add(8 * half).cast())))
        })
    }

    #[inline(always)]
    fn signed(from: &[u8; VECTOR]) -> [__m256; 2] {
        std::array::from_fn(|half| unsafe {
            _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from.as_ptr().add(8 * half).cast())))
        })
    }

    #[inline(always)]
    fn round(blocks: [&[f32; SUB_BLOCK]; ROUNDED], scales: &[f32; ROUNDED], to: RoundedBlocks<'_>) {
        round_each::<Self>(blocks, scales, to);
    }
}

impl Narrow for Avx2 {
    #[inline(always)]
    fn codes(x: &[f32; SUB_BLOCK], factor: f32, to: &mut [i8; SUB_BLOCK]) {
        unsafe {
            let factor = _mm256_set1_ps(factor);
            for half in 0..2 {
                let from = x.as_ptr().add(16 * half);
                let low = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(from), factor));
                let high = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(from.add(8)), factor));
                // Packing goes by 128 bits: 0-3, 8-11 | 4-7, 12-15.
                let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(low, high));
                let bytes =
                    _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
                _mm_storeu_si128(to.as_mut_ptr().add(16 * half).cast(), bytes);
            }
        }
    }
}
