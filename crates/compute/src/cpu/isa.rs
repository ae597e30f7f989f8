//! Instruction sets, chosen at run time.

/// The instruction set that the kernels use. `Plain` is the readable reference: no intrinsics, written so that the
/// compiler vectorises it; it is what ARM runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// Portable code.
    Plain,
    /// AVX2 with FMA and F16C (which decodes `f16` weights).
    Avx2,
    /// AVX-512 F, VL, DQ and BW.
    Avx512,
}

impl Isa {
    /// The best of this machine; `MEDTUNE_ISA=plain|avx2|avx512` lowers it.
    pub fn detect() -> Self {
        let best = Self::available();
        let wanted = match std::env::var("MEDTUNE_ISA").as_deref() {
            Ok("plain") => Isa::Plain,
            Ok("avx2") => Isa::Avx2,
            _ => best,
        };
        wanted.min(best)
    }

    /// The best of this machine.
    pub fn available() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c");
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512bw");
            if avx2 && avx512 {
                return Isa::Avx512;
            }
            if avx2 {
                return Isa::Avx2;
            }
        }
        Isa::Plain
    }
}

/// What the factors of a product are rounded to before they are multiplied. Sums are always f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// Not rounded.
    F32,
    /// bfloat16, eight bits of mantissa, as in PyTorch's autocast: about twice as fast where the processor multiplies
    /// pairs of them.
    Bf16,
}

impl Precision {
    /// Whether this processor has instructions for it. `MEDTUNE_ISA`, where it lowers the instruction set, takes them
    /// away.
    pub fn available(self) -> bool {
        match self {
            Precision::F32 => true,
            #[cfg(target_arch = "x86_64")]
            Precision::Bf16 => Isa::detect() == Isa::Avx512 && is_x86_feature_detected!("avx512bf16"),
            #[cfg(not(target_arch = "x86_64"))]
            Precision::Bf16 => false,
        }
    }
}
