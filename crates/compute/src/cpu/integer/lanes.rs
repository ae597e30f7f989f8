//! Sixteen columns at a time: what an instruction set has to offer to products of integers.

use super::super::math::{Arithmetic, VECTOR};

/// Bytes of [`VECTOR`] columns by four steps of depth.
pub(super) const QUAD: usize = 4 * VECTOR;

/// Operations on a lane for every column. The methods of the x86 sets hold intrinsics: only [`run`] may choose the type.
pub(super) trait Lanes: Arithmetic {
    /// Four unsigned bytes a column.
    type Bytes: Copy;
    /// A signed integer of 32 bits a column.
    type Ints: Copy;

    fn bytes(from: &[u8; QUAD]) -> Self::Bytes;
    /// The lower four bits of every byte.
    fn low_nibbles(bytes: Self::Bytes) -> Self::Bytes;
    /// The upper four bits of every byte.
    fn high_nibbles(bytes: Self::Bytes) -> Self::Bytes;
    /// Sixteen more where the bit is set that stands for the byte.
    fn with_fifth_bits(bytes: Self::Bytes, bits: &[u8; QUAD / 8]) -> Self::Bytes;
    /// Two bits of `pairs`, from bit `2 · place` on, on top of four.
    fn with_two_bits(bytes: Self::Bytes, pairs: Self::Bytes, place: usize) -> Self::Bytes;

    fn ints(x: i32) -> Self::Ints;
    /// `sum + Σ bytes · codes`, over the four of every column.
    fn dot(sum: Self::Ints, bytes: Self::Bytes, codes: i32) -> Self::Ints;
    fn to_floats(x: Self::Ints) -> Self::Vector;

    fn halves(from: &[u8; 2 * VECTOR]) -> Self::Vector;
    fn unsigned(from: &[u8; VECTOR]) -> Self::Vector;
    fn signed(from: &[u8; VECTOR]) -> Self::Vector;

    /// Stores the integers nearest to `x`, ties to even, which must fit in a byte, and returns their sum. What is no
    /// number becomes any code.
    fn codes(x: Self::Vector, to: &mut [i8; VECTOR]) -> i32;
}

/// Work that is compiled for every instruction set. `run` and all it calls must be `#[inline(always)]`.
pub(super) trait Work {
    fn run<L: Lanes>(self);
}

/// Runs the copy of `work` for `isa`, which this machine must have.
pub(super) fn run<W: Work>(isa: super::super::Isa, work: W) {
    #[cfg(target_arch = "x86_64")]
    {
        use super::super::Isa;
        use super::super::math::x86::{Avx2, Avx512};

        #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx512vnni,avx2,fma,f16c")]
        fn avx512<W: Work>(work: W) {
            work.run::<Avx512>();
        }

        #[target_feature(enable = "avx2,fma,f16c")]
        fn avx2<W: Work>(work: W) {
            work.run::<Avx2>();
        }

        match isa {
            // SAFETY: `Cpu::with_isa` admits AVX-512 only where it is, and the rest was asked.
            #[allow(unsafe_code)]
            Isa::Avx512 if is_x86_feature_detected!("avx512vnni") => return unsafe { avx512(work) },
            // SAFETY: as above; AVX-512 comes with AVX2.
            #[allow(unsafe_code)]
            Isa::Avx512 | Isa::Avx2 => return unsafe { avx2(work) },
            Isa::Plain => {}
        }
    }
    work.run::<super::super::math::Portable>();
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    // SAFETY of every block here: `run` chooses these types in functions that enable their instructions, and the
    // references are to as many bytes as are read.
    #![allow(unsafe_code)]

    use core::arch::x86_64::*;

    use super::super::super::math::x86::{Avx2, Avx512};
    use super::{Lanes, QUAD, VECTOR};

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
        fn codes(x: __m512, to: &mut [i8; VECTOR]) -> i32 {
            unsafe {
                let nearest = _mm512_cvtps_epi32(x);
                _mm_storeu_si128(to.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(nearest));
                _mm512_reduce_add_epi32(nearest)
            }
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
                let places = _mm256_setr_epi64x(
                    0,
                    0x0101_0101_0101_0101,
                    0x0202_0202_0202_0202,
                    0x0303_0303_0303_0303,
                );
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
        fn codes([low, high]: [__m256; 2], to: &mut [i8; VECTOR]) -> i32 {
            unsafe {
                let (low, high) = (_mm256_cvtps_epi32(low), _mm256_cvtps_epi32(high));
                // Packing goes by 128 bits: 0-3, 8-11 | 4-7, 12-15.
                let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(low, high));
                let bytes =
                    _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
                _mm_storeu_si128(to.as_mut_ptr().cast(), bytes);
                let eight = _mm256_add_epi32(low, high);
                let four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256::<1>(eight));
                let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b01_00_11_10>(four));
                _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<0b10_11_00_01>(two)))
            }
        }
    }
}

impl Lanes for super::super::math::Portable {
    type Bytes = [u8; QUAD];
    type Ints = [i32; VECTOR];

    #[inline(always)]
    fn bytes(from: &[u8; QUAD]) -> [u8; QUAD] {
        *from
    }

    #[inline(always)]
    fn low_nibbles(bytes: [u8; QUAD]) -> [u8; QUAD] {
        bytes.map(|b| b & 15)
    }

    #[inline(always)]
    fn high_nibbles(bytes: [u8; QUAD]) -> [u8; QUAD] {
        bytes.map(|b| b >> 4)
    }

    #[inline(always)]
    fn with_fifth_bits(mut bytes: [u8; QUAD], bits: &[u8; QUAD / 8]) -> [u8; QUAD] {
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte |= ((bits[i / 8] >> (i % 8)) & 1) << 4;
        }
        bytes
    }

    #[inline(always)]
    fn with_two_bits(mut bytes: [u8; QUAD], pairs: [u8; QUAD], place: usize) -> [u8; QUAD] {
        for (byte, pair) in bytes.iter_mut().zip(pairs) {
            *byte |= ((pair >> (2 * place)) & 3) << 4;
        }
        bytes
    }

    #[inline(always)]
    fn ints(x: i32) -> [i32; VECTOR] {
        [x; VECTOR]
    }

    #[inline(always)]
    fn dot(mut sum: [i32; VECTOR], bytes: [u8; QUAD], codes: i32) -> [i32; VECTOR] {
        let codes = codes.to_le_bytes().map(|code| i32::from(code as i8));
        for (sum, bytes) in sum.iter_mut().zip(bytes.as_chunks::<4>().0) {
            for (byte, code) in bytes.iter().zip(codes) {
                *sum += i32::from(*byte) * code;
            }
        }
        sum
    }

    #[inline(always)]
    fn to_floats(x: [i32; VECTOR]) -> [f32; VECTOR] {
        x.map(|x| x as f32)
    }

    #[inline(always)]
    fn halves(from: &[u8; 2 * VECTOR]) -> [f32; VECTOR] {
        std::array::from_fn(|i| half::f16::from_le_bytes([from[2 * i], from[2 * i + 1]]).to_f32())
    }

    #[inline(always)]
    fn unsigned(from: &[u8; VECTOR]) -> [f32; VECTOR] {
        from.map(f32::from)
    }

    #[inline(always)]
    fn signed(from: &[u8; VECTOR]) -> [f32; VECTOR] {
        from.map(|x| f32::from(x as i8))
    }

    #[inline(always)]
    fn codes(x: [f32; VECTOR], to: &mut [i8; VECTOR]) -> i32 {
        /// Adding it leaves the rounded integer in the lowest bits of the mantissa.
        const ROUND: f32 = 12_582_912.0;
        *to = x.map(|x| (x + ROUND).to_bits() as i8);
        to.iter().map(|&code| i32::from(code)).sum()
    }
}
