//! Portable code: arrays of 8 floats that the compiler vectorises. ARM runs this.

use half::{bf16, f16};

use super::kernels::{Kernels, kernels};
use super::simd::Simd;

pub(super) struct Plain;

kernels! {
    isa: Plain,
    lanes: 8,
    rows: [1 2 3 4],
    rows_wide: [1],
}

// SAFETY of every block here: the trait's callers hand in pointers to 8 elements.
impl Simd<8> for Plain {
    type Vector = [f32; 8];
    type Levels = [f32; 16];
    const STEPS: usize = 1;

    #[inline(always)]
    unsafe fn join(_first: [f32; 8], _second: [f32; 8]) -> [f32; 8] {
        unreachable!("one step of depth a lane")
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> [f32; 8] {
        [x; 8]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> [f32; 8] {
        unsafe { from.cast::<[f32; 8]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const f16) -> [f32; 8] {
        unsafe { from.cast::<[f16; 8]>().read_unaligned() }.map(f16::to_f32)
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const bf16) -> [f32; 8] {
        unsafe { from.cast::<[bf16; 8]>().read_unaligned() }.map(bf16::to_f32)
    }

    #[inline(always)]
    unsafe fn first_bf16(pairs: [f32; 8]) -> [f32; 8] {
        pairs.map(|pair| {
            f32::from_bits(if cfg!(target_endian = "little") {
                pair.to_bits() << 16
            } else {
                pair.to_bits() & 0xffff_0000
            })
        })
    }

    #[inline(always)]
    unsafe fn second_bf16(pairs: [f32; 8]) -> [f32; 8] {
        pairs.map(|pair| {
            f32::from_bits(if cfg!(target_endian = "little") {
                pair.to_bits() & 0xffff_0000
            } else {
                pair.to_bits() << 16
            })
        })
    }

    #[inline(always)]
    unsafe fn load_codes(from: *const u8) -> [f32; 8] {
        let bytes = unsafe { from.cast::<[u8; 4]>().read() };
        std::array::from_fn(|l| f32::from_bits(u32::from(bytes[l / 2] >> (4 * (1 - l % 2)))))
    }

    #[inline(always)]
    unsafe fn levels(values: &[f32; 16]) -> [f32; 16] {
        *values
    }

    #[inline(always)]
    unsafe fn choose(levels: [f32; 16], lanes: [f32; 8], shift: u32) -> [f32; 8] {
        lanes.map(|lane| levels[((lane.to_bits() >> shift) & 15) as usize])
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, x: [f32; 8]) {
        unsafe { to.cast::<[f32; 8]>().write_unaligned(x) }
    }

    #[inline(always)]
    unsafe fn add(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|l| a[l] + b[l])
    }

    #[inline(always)]
    unsafe fn mul(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|l| a[l] * b[l])
    }

    #[inline(always)]
    unsafe fn fma(a: [f32; 8], b: [f32; 8], c: [f32; 8]) -> [f32; 8] {
        // Without the instruction `mul_add` is a call into the C library, fifty times as slow.
        if cfg!(any(target_arch = "aarch64", target_feature = "fma")) {
            std::array::from_fn(|l| a[l].mul_add(b[l], c[l]))
        } else {
            std::array::from_fn(|l| a[l] * b[l] + c[l])
        }
    }

    #[inline(always)]
    fn prefetch<T>(_line: *const T) {}

    #[inline(always)]
    fn prefetch_far<T>(_line: *const T) {}

    #[inline(always)]
    unsafe fn transpose(rows: [[f32; 8]; 8]) -> [[f32; 8]; 8] {
        std::array::from_fn(|j| std::array::from_fn(|i| rows[i][j]))
    }
}
