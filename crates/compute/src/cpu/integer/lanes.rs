//! Sixteen columns at a time: what an instruction set has to offer to products of integers.

use formats::quant::ggml::SUB_BLOCK;

use super::super::math::{Arithmetic, VECTOR};

#[cfg(target_arch = "x86_64")]
mod x86;

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

    /// Scales of blocks of activations, the largest value by 127, and their inverses; NaN and zero for a block with a value
    /// that is not finite.
    #[inline(always)]
    fn measure(
        blocks: [&[f32; SUB_BLOCK]; ROUNDED],
        scales: &mut [f32; ROUNDED],
        factors: &mut [f32; ROUNDED],
    ) {
        for (x, (scale, factor)) in blocks.iter().zip(scales.iter_mut().zip(factors)) {
            // Bits of numbers without a sign are in the order of the numbers.
            let largest = x.iter().fold(0, |largest, x| x.abs().to_bits().max(largest));
            let finite = largest < INFINITE;
            let largest = f32::from_bits(largest);
            *factor = if finite && largest > 0.0 { 127.0 / largest } else { 0.0 };
            *scale = if finite { largest / 127.0 } else { f32::NAN };
        }
    }

    /// Rounds blocks of activations by their scales.
    fn round(blocks: [&[f32; SUB_BLOCK]; ROUNDED], scales: &[f32; ROUNDED], to: RoundedBlocks<'_>);
}

/// Blocks that are rounded at once: whoever reduces one after the other waits for each.
pub(super) const ROUNDED: usize = 8;

/// What is taken from every code of eight bits, to be a signed one. Other types take a power of two less.
pub(super) const OFFSET: i32 = 128;

/// Blocks of activations in 8 bits.
pub(super) struct RoundedBlocks<'a> {
    /// The integers nearest to the values by their scale, ties to even; any where the scale is NaN.
    pub(super) words: &'a mut [[i8; SUB_BLOCK]; ROUNDED],
    /// The sums of all codes, and of the second half of them, times `-OFFSET`.
    pub(super) offsets: &'a mut [[i32; 2]; ROUNDED],
    /// The factors of the blocks, and then the sum of all codes, times the scale.
    pub(super) totals: &'a mut [f32; ROUNDED],
}

/// The bits of infinity; those of what is no number lie above.
const INFINITE: u32 = f32::INFINITY.to_bits();

/// What [`round_each`] needs.
trait Narrow {
    /// Stores the integers nearest to the values times the factor, ties to even.
    fn codes(x: &[f32; SUB_BLOCK], factor: f32, to: &mut [i8; SUB_BLOCK]);
}

/// [`Lanes::round`], block after block.
#[inline(always)]
fn round_each<N: Narrow>(
    blocks: [&[f32; SUB_BLOCK]; ROUNDED],
    scales: &[f32; ROUNDED],
    to: RoundedBlocks<'_>,
) {
    for (b, x) in blocks.iter().enumerate() {
        N::codes(x, to.totals[b], &mut to.words[b]);
        let (first, second) = to.words[b].split_at(SUB_BLOCK / 2);
        let sum = |codes: &[i8]| codes.iter().map(|&code| i32::from(code)).sum::<i32>();
        let second = sum(second);
        let all = sum(first) + second;
        to.offsets[b] = [-OFFSET * all, -OFFSET * second];
        to.totals[b] = scales[b] * all as f32;
    }
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
    fn round(blocks: [&[f32; SUB_BLOCK]; ROUNDED], scales: &[f32; ROUNDED], to: RoundedBlocks<'_>) {
        round_each::<Self>(blocks, scales, to);
    }
}

impl Narrow for super::super::math::Portable {
    #[inline(always)]
    fn codes(x: &[f32; SUB_BLOCK], factor: f32, to: &mut [i8; SUB_BLOCK]) {
        /// Adding it leaves the rounded integer in the lowest bits of the mantissa.
        const ROUND: f32 = 12_582_912.0;
        *to = x.map(|x| (x * factor + ROUND).to_bits() as i8);
    }
}
