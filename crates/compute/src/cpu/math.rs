//! Arithmetic that the compiler vectorises, from one source for every instruction set.
//!
//! A [`Kernel`] is generic over the way of multiplying and adding; [`dispatch`] compiles a copy of it for each
//! instruction set. Sums run in [`LANES`] accumulators and one fixed tree whatever the width of the registers, so
//! AVX2 and AVX-512 agree bit for bit.

use half::f16;

use super::Isa;

/// Accumulators of a sum: enough to hide the latency of an addition in registers of any width.
pub(super) const LANES: usize = 32;

/// Values of a [`Arithmetic::Vector`].
pub(super) const VECTOR: usize = 16;

/// The largest half.
pub(super) const LARGEST_HALF: f32 = 65_504.0;

/// How an instruction set multiplies and adds.
///
/// The methods of the x86 sets hold intrinsics: only [`dispatch`] may choose the type.
pub(super) trait Arithmetic {
    /// Rows of a register tile of one vector's width: what fits in the registers.
    const TILE_ROWS: usize;

    /// [`VECTOR`] values in as many registers as they take. Loops over slices need no such thing to be vectorised;
    /// a tile of accumulators does, to stay in registers.
    type Vector: Copy;

    /// `a * b + c`.
    fn mul_add(a: f32, b: f32, c: f32) -> f32;

    /// The values of an array.
    fn load(from: &[f32; VECTOR]) -> Self::Vector;

    /// The other way.
    fn store(to: &mut [f32; VECTOR], from: Self::Vector);

    /// As [`Arithmetic::load`], of values in 16 bits.
    fn load_half(from: &[f16; VECTOR]) -> Self::Vector;

    /// The other way, rounded to the nearest, of two the even one.
    fn store_half(to: &mut [f16; VECTOR], from: Self::Vector);

    /// `x` in every lane.
    fn splat(x: f32) -> Self::Vector;

    /// `a * b + c` in every lane.
    fn mul_add_lanes(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;

    /// `a * b` in every lane.
    fn mul_lanes(a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// The rows of a square become its columns.
    fn transpose(rows: [Self::Vector; VECTOR]) -> [Self::Vector; VECTOR];

    /// The [`larger`] of all lanes, of each of eight.
    #[inline(always)]
    fn largest_lanes(x: [Self::Vector; 8]) -> [f32; 8] {
        let mut largest = [0.0; 8];
        for (largest, x) in largest.iter_mut().zip(x) {
            let mut lanes = [0.0; VECTOR];
            Self::store(&mut lanes, x);
            *largest = largest_of(lanes);
        }
        largest
    }

    /// [`sum_lanes`], of each of eight.
    #[inline(always)]
    fn sums_of_lanes(x: [Self::Vector; 8]) -> [f32; 8] {
        let mut sums = [0.0; 8];
        for (sum, x) in sums.iter_mut().zip(x) {
            let mut lanes = [0.0; VECTOR];
            Self::store(&mut lanes, x);
            *sum = sum_lanes(lanes);
        }
        sums
    }

    /// The values as halves give them back; those too large for a half become the largest of its sign. A NaN stays one.
    #[inline(always)]
    fn round_half(x: Self::Vector) -> Self::Vector {
        let (mut values, mut halves) = ([0.0; VECTOR], [f16::ZERO; VECTOR]);
        Self::store(&mut values, x);
        for value in &mut values {
            *value = value.clamp(-LARGEST_HALF, LARGEST_HALF);
        }
        Self::store_half(&mut halves, Self::load(&values));
        Self::load_half(&halves)
    }

    /// Asks the second level of the cache for a line that will be read later; any address will do.
    fn prefetch_far<T>(_line: *const T) {}
}

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    // SAFETY of every block here: `dispatch` chooses these types in functions that enable their instructions, and
    // the references are to as many values as are read or written.
    #![allow(unsafe_code)]

    use core::arch::x86_64::*;

    use half::f16;

    use super::super::transpose::{Floats, largest_of_each, sum_of_each, transpose_8, transpose_16};
    use super::{Arithmetic, LARGEST_HALF, VECTOR};

    const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT;

    /// 32 registers of 16 values.
    pub(in crate::cpu) struct Avx512;

    impl Arithmetic for Avx512 {
        const TILE_ROWS: usize = 8;

        type Vector = __m512;

        #[inline(always)]
        fn mul_add(a: f32, b: f32, c: f32) -> f32 {
            a.mul_add(b, c)
        }

        #[inline(always)]
        fn load(from: &[f32; VECTOR]) -> __m512 {
            // SAFETY: see above.
            unsafe { _mm512_loadu_ps(from.as_ptr()) }
        }

        #[inline(always)]
        fn store(to: &mut [f32; VECTOR], from: __m512) {
            // SAFETY: see above.
            unsafe { _mm512_storeu_ps(to.as_mut_ptr(), from) }
        }

        #[inline(always)]
        fn load_half(from: &[f16; VECTOR]) -> __m512 {
            // SAFETY: see above.
            unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.as_ptr().cast())) }
        }

        #[inline(always)]
        fn store_half(to: &mut [f16; VECTOR], from: __m512) {
            // SAFETY: see above.
            unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), _mm512_cvtps_ph::<NEAREST>(from)) }
        }

        #[inline(always)]
        fn splat(x: f32) -> __m512 {
            // SAFETY: see above.
            unsafe { _mm512_set1_ps(x) }
        }

        #[inline(always)]
        fn mul_add_lanes(a: __m512, b: __m512, c: __m512) -> __m512 {
            // SAFETY: see above.
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }

        #[inline(always)]
        fn mul_lanes(a: __m512, b: __m512) -> __m512 {
            // SAFETY: see above.
            unsafe { _mm512_mul_ps(a, b) }
        }

        #[inline(always)]
        fn transpose(rows: [__m512; VECTOR]) -> [__m512; VECTOR] {
            // SAFETY: see above.
            unsafe { transpose_16(rows) }
        }

        #[inline(always)]
        fn largest_lanes(x: [__m512; 8]) -> [f32; 8] {
            // SAFETY: see above.
            unsafe {
                let mut bits = [_mm512_setzero_si512(); 8];
                for (bits, x) in bits.iter_mut().zip(x) {
                    *bits = _mm512_castps_si512(x);
                }
                let mut largest = [0.0; 8];
                let each = _mm256_castsi256_ps(largest_of_each::<Floats>(bits));
                _mm256_storeu_ps(largest.as_mut_ptr(), each);
                largest
            }
        }

        #[inline(always)]
        fn sums_of_lanes(x: [__m512; 8]) -> [f32; 8] {
            let mut sums = [0.0; 8];
            // SAFETY: see above.
            unsafe { _mm256_storeu_ps(sums.as_mut_ptr(), sum_of_each(x)) };
            sums
        }

        #[inline(always)]
        fn round_half(x: __m512) -> __m512 {
            // SAFETY: see above.
            unsafe {
                // The second one is taken where either is NaN.
                let x = _mm512_max_ps(_mm512_set1_ps(-LARGEST_HALF), x);
                let x = _mm512_min_ps(_mm512_set1_ps(LARGEST_HALF), x);
                _mm512_cvtph_ps(_mm512_cvtps_ph::<NEAREST>(x))
            }
        }

        #[inline(always)]
        fn prefetch_far<T>(line: *const T) {
            unsafe { _mm_prefetch::<_MM_HINT_T1>(line.cast()) }
        }
    }

    /// 16 registers of 8 values.
    pub(in crate::cpu) struct Avx2;

    impl Arithmetic for Avx2 {
        const TILE_ROWS: usize = 4;

        type Vector = [__m256; 2];

        #[inline(always)]
        fn mul_add(a: f32, b: f32, c: f32) -> f32 {
            a.mul_add(b, c)
        }

        #[inline(always)]
        fn load(from: &[f32; VECTOR]) -> [__m256; 2] {
            // SAFETY: see above.
            unsafe { [_mm256_loadu_ps(from.as_ptr()), _mm256_loadu_ps(from.as_ptr().add(8))] }
        }

        #[inline(always)]
        fn store(to: &mut [f32; VECTOR], [low, high]: [__m256; 2]) {
            // SAFETY: see above.
            unsafe {
                _mm256_storeu_ps(to.as_mut_ptr(), low);
                _mm256_storeu_ps(to.as_mut_ptr().add(8), high);
            }
        }

        #[inline(always)]
        fn load_half(from: &[f16; VECTOR]) -> [__m256; 2] {
            let from: *const __m128i = from.as_ptr().cast();
            // SAFETY: see above.
            unsafe { [_mm256_cvtph_ps(_mm_loadu_si128(from)), _mm256_cvtph_ps(_mm_loadu_si128(from.add(1)))] }
        }

        #[inline(always)]
        fn store_half(to: &mut [f16; VECTOR], [low, high]: [__m256; 2]) {
            let to: *mut __m128i = to.as_mut_ptr().cast();
            // SAFETY: see above.
            unsafe {
                _mm_storeu_si128(to, _mm256_cvtps_ph::<NEAREST>(low));
                _mm_storeu_si128(to.add(1), _mm256_cvtps_ph::<NEAREST>(high));
            }
        }

        #[inline(always)]
        fn splat(x: f32) -> [__m256; 2] {
            // SAFETY: see above.
            [unsafe { _mm256_set1_ps(x) }; 2]
        }

        #[inline(always)]
        fn mul_add_lanes(a: [__m256; 2], b: [__m256; 2], c: [__m256; 2]) -> [__m256; 2] {
            // SAFETY: see above.
            unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
        }

        #[inline(always)]
        fn mul_lanes(a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
            // SAFETY: see above.
            unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
        }

        #[inline(always)]
        fn transpose(rows: [[__m256; 2]; VECTOR]) -> [[__m256; 2]; VECTOR] {
            let mut columns = rows;
            for (i, j) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let mut square = [rows[0][0]; 8];
                for (r, to) in square.iter_mut().enumerate() {
                    *to = rows[8 * i + r][j];
                }
                // SAFETY: see above.
                let square = unsafe { transpose_8(square) };
                for (c, from) in square.into_iter().enumerate() {
                    columns[8 * j + c][i] = from;
                }
            }
            columns
        }

        #[inline(always)]
        fn prefetch_far<T>(line: *const T) {
            unsafe { _mm_prefetch::<_MM_HINT_T1>(line.cast()) }
        }
    }
}

/// Fused only where every processor can: without the instruction, `f32::mul_add` is a call.
pub(super) struct Portable;

impl Arithmetic for Portable {
    const TILE_ROWS: usize = if cfg!(target_arch = "aarch64") { 4 } else { 2 };

    type Vector = [f32; VECTOR];

    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        if cfg!(target_arch = "aarch64") { a.mul_add(b, c) } else { a * b + c }
    }

    #[inline(always)]
    fn load(from: &[f32; VECTOR]) -> [f32; VECTOR] {
        *from
    }

    #[inline(always)]
    fn store(to: &mut [f32; VECTOR], from: [f32; VECTOR]) {
        *to = from;
    }

    #[inline(always)]
    fn load_half(from: &[f16; VECTOR]) -> [f32; VECTOR] {
        from.map(f16::to_f32)
    }

    #[inline(always)]
    fn store_half(to: &mut [f16; VECTOR], from: [f32; VECTOR]) {
        *to = from.map(f16::from_f32);
    }

    #[inline(always)]
    fn splat(x: f32) -> [f32; VECTOR] {
        [x; VECTOR]
    }

    #[inline(always)]
    fn mul_add_lanes(a: [f32; VECTOR], b: [f32; VECTOR], mut c: [f32; VECTOR]) -> [f32; VECTOR] {
        for l in 0..VECTOR {
            c[l] = Self::mul_add(a[l], b[l], c[l]);
        }
        c
    }

    #[inline(always)]
    fn mul_lanes(mut a: [f32; VECTOR], b: [f32; VECTOR]) -> [f32; VECTOR] {
        for l in 0..VECTOR {
            a[l] *= b[l];
        }
        a
    }

    #[inline(always)]
    fn transpose(rows: [[f32; VECTOR]; VECTOR]) -> [[f32; VECTOR]; VECTOR] {
        let mut columns = rows;
        for (r, row) in rows.iter().enumerate() {
            for (c, value) in row.iter().enumerate() {
                columns[c][r] = *value;
            }
        }
        columns
    }
}

/// A piece of work on slices. `run` and all it calls must be `#[inline(always)]`, or the copies share plain code.
pub(super) trait Kernel {
    /// What it gives back.
    type Output;

    /// Does the work.
    fn run<A: Arithmetic>(self) -> Self::Output;
}

/// Runs the copy of `kernel` for `isa`, which this machine must have (`Cpu` sees to that).
#[inline]
pub(super) fn dispatch<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,f16c")]
        fn avx512<K: Kernel>(kernel: K) -> K::Output {
            kernel.run::<x86::Avx512>()
        }

        #[target_feature(enable = "avx2,fma,f16c")]
        fn avx2<K: Kernel>(kernel: K) -> K::Output {
            kernel.run::<x86::Avx2>()
        }

        match isa {
            // SAFETY: `Cpu::with_isa` admits no instruction set that the machine lacks.
            #[allow(unsafe_code)]
            Isa::Avx512 => return unsafe { avx512(kernel) },
            // SAFETY: as above.
            #[allow(unsafe_code)]
            Isa::Avx2 => return unsafe { avx2(kernel) },
            Isa::Plain => {}
        }
    }
    kernel.run::<Portable>()
}

/// The natural exponential, within 2 units in the last place; 0 below the smallest normal number, at most
/// `exp(88)` (it never overflows), NaN for NaN.
///
/// `exp(x) = 2^n exp(r)` with `n = round(x / ln 2)`; `exp(r)` on ±ln 2 / 2 is a polynomial of degree 6 (the
/// coefficients of Cephes `expf`), and `2^n` is put together from its bits.
#[inline(always)]
pub(super) fn exp<A: Arithmetic>(x: f32) -> f32 {
    const LOW: f32 = -87.336_54;
    const HIGH: f32 = 88.0;
    /// Adding it leaves the rounded integer in the lowest bits of the mantissa.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;

    // Comparisons and not `min`/`max`, which would lose a NaN.
    let clamped = if x < LOW { LOW } else { x };
    let clamped = if clamped > HIGH { HIGH } else { clamped };
    let shifted = A::mul_add(clamped, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = A::mul_add(n, -LN_2_HIGH, clamped);
    let r = A::mul_add(n, -LN_2_LOW, r);
    let p = A::mul_add(r, 1.987_569_1e-4, 1.398_199_9e-3);
    let p = A::mul_add(p, r, 8.333_452e-3);
    let p = A::mul_add(p, r, 4.166_579_6e-2);
    let p = A::mul_add(p, r, 1.666_666_5e-1);
    let p = A::mul_add(p, r, 0.5);
    let p = A::mul_add(p, r * r, r) + 1.0;
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    if x < LOW { 0.0 } else { p * power }
}

/// The larger one, `b` if either is NaN: a single instruction, which `f32::max` is not.
#[inline(always)]
pub(super) fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// The [`larger`] of all lanes: halves are compared until one is left.
#[inline(always)]
pub(super) fn largest_of<const N: usize>(mut lanes: [f32; N]) -> f32 {
    let mut width = N / 2;
    while width > 0 {
        for l in 0..width {
            lanes[l] = larger(lanes[l + width], lanes[l]);
        }
        width /= 2;
    }
    lanes[0]
}

/// Sum of the lanes: halves are added until one is left.
#[inline(always)]
pub(super) fn sum_lanes<const N: usize>(mut lanes: [f32; N]) -> f32 {
    let mut width = N / 2;
    while width > 0 {
        for l in 0..width {
            lanes[l] += lanes[l + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// `Σ a[i] * b[i]`.
#[inline(always)]
pub(super) fn dot<A: Arithmetic>(a: &[f32], b: &[f32]) -> f32 {
    let mut vectors = [A::splat(0.0); LANES / VECTOR];
    let (a_blocks, a_rest) = a.as_chunks::<LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        let (a, b) = (a.as_chunks::<VECTOR>().0, b.as_chunks::<VECTOR>().0);
        for (v, sum) in vectors.iter_mut().enumerate() {
            *sum = A::mul_add_lanes(A::load(&a[v]), A::load(&b[v]), *sum);
        }
    }
    let mut lanes = to_lanes::<A>(vectors);
    for ((lane, &a), &b) in lanes.iter_mut().zip(a_rest).zip(b_rest) {
        *lane = A::mul_add(a, b, *lane);
    }
    sum_lanes(lanes)
}

/// `Σ a[i] * b[i] * c[i]`.
#[inline(always)]
pub(super) fn dot3<A: Arithmetic>(a: &[f32], b: &[f32], c: &[f32]) -> f32 {
    let mut vectors = [A::splat(0.0); LANES / VECTOR];
    let (a_blocks, a_rest) = a.as_chunks::<LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<LANES>();
    let (c_blocks, c_rest) = c.as_chunks::<LANES>();
    for ((a, b), c) in a_blocks.iter().zip(b_blocks).zip(c_blocks) {
        let (a, b) = (a.as_chunks::<VECTOR>().0, b.as_chunks::<VECTOR>().0);
        let c = c.as_chunks::<VECTOR>().0;
        for (v, sum) in vectors.iter_mut().enumerate() {
            let product = A::mul_lanes(A::load(&a[v]), A::load(&b[v]));
            *sum = A::mul_add_lanes(product, A::load(&c[v]), *sum);
        }
    }
    let mut lanes = to_lanes::<A>(vectors);
    for (((lane, &a), &b), &c) in lanes.iter_mut().zip(a_rest).zip(b_rest).zip(c_rest) {
        *lane = A::mul_add(a * b, c, *lane);
    }
    sum_lanes(lanes)
}

#[inline(always)]
fn to_lanes<A: Arithmetic>(vectors: [A::Vector; LANES / VECTOR]) -> [f32; LANES] {
    let mut lanes = [0.0; LANES];
    for (to, from) in lanes.as_chunks_mut::<VECTOR>().0.iter_mut().zip(vectors) {
        A::store(to, from);
    }
    lanes
}

/// The largest value, negative infinity of nothing. A NaN may be passed over.
#[inline(always)]
pub(super) fn largest(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (blocks, rest) = values.as_chunks::<LANES>();
    for block in blocks {
        for l in 0..LANES {
            lanes[l] = larger(block[l], lanes[l]);
        }
    }
    for (lane, &value) in lanes.iter_mut().zip(rest) {
        *lane = larger(value, *lane);
    }
    lanes.into_iter().fold(f32::NEG_INFINITY, |a, b| larger(b, a))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct ExpOf<'a>(&'a mut [f32]);

    impl Kernel for ExpOf<'_> {
        type Output = ();

        #[inline(always)]
        fn run<A: Arithmetic>(self) {
            for x in self.0 {
                *x = exp::<A>(*x);
            }
        }
    }

    fn exp_of(isa: Isa, mut values: Vec<f32>) -> Vec<f32> {
        dispatch(isa, ExpOf(&mut values));
        values
    }

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        let inputs: Vec<f32> = (0..400_000).map(|i| -87.3 + i as f32 * (175.2 / 400_000.0)).collect();
        for isa in [Isa::Plain, Isa::available()] {
            for (x, y) in inputs.iter().zip(exp_of(isa, inputs.clone())) {
                let exact = f64::from(*x).exp();
                let unit = f64::from(f32::from_bits((exact as f32).to_bits() + 1) - exact as f32);
                assert!((f64::from(y) - exact).abs() <= 2.0 * unit, "{isa:?}: exp({x}) = {y}, not {exact}");
            }
        }
    }

    #[test]
    fn exp_underflows_to_zero_stays_finite_and_keeps_nan() {
        for isa in [Isa::Plain, Isa::available()] {
            let y = exp_of(isa, vec![f32::NEG_INFINITY, -1e30, -100.0, 0.0, 100.0, f32::INFINITY, f32::NAN]);
            assert_eq!(y[..4], [0.0, 0.0, 0.0, 1.0]);
            assert!(y[4].is_finite() && y[5] == y[4] && y[6].is_nan());
        }
    }
}
