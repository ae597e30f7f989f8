//! Shapes that every backend shares.

/// Storage type of a frozen weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DType {
    /// 32-bit float.
    F32,
    /// IEEE half.
    F16,
    /// bfloat16.
    Bf16,
}

impl DType {
    /// Bytes of `n` elements.
    pub fn bytes(self, n: usize) -> usize {
        match self {
            DType::F32 => n * 4,
            DType::F16 | DType::Bf16 => n * 2,
        }
    }
}

/// Positions of a block of cached keys and values.
pub const KV_BLOCK: usize = 16;

/// A run of consecutive tokens of the flat batch that attends causally to itself and, where it names one, to all of
/// an earlier segment, its prefix. So the answers of one prompt share the prompt's computation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// First token in the flat batch.
    pub start: usize,
    /// Number of tokens.
    pub len: usize,
    /// Index of the segment that comes before this one in its text. It has no prefix of its own.
    pub prefix: Option<usize>,
}

impl Segment {
    /// A segment without a prefix.
    pub fn whole(start: usize, len: usize) -> Self {
        Segment { start, len, prefix: None }
    }
}

/// Heads of an attention layer. The fused projection holds `q | k | v` in one row of
/// `(heads + 2 * kv_heads) * head_dim` values; query head `h` reads key head `h / (heads / kv_heads)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionShape {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of a head, even.
    pub head_dim: usize,
    /// Factor on the scores, usually `1 / sqrt(head_dim)`.
    pub scale: f32,
    /// Scaled scores become `cap · tanh(score / cap)` (Gemma 2).
    pub softcap: Option<f32>,
    /// Keys that a query sees, itself included (Beltagy et al. 2020; Mistral, Gemma 2). `None`: all before it.
    pub window: Option<usize>,
}

impl AttentionShape {
    /// Full attention with the usual scale, `1 / sqrt(head_dim)`.
    pub fn new(heads: usize, kv_heads: usize, head_dim: usize) -> Self {
        let scale = 1.0 / (head_dim as f32).sqrt();
        AttentionShape { heads, kv_heads, head_dim, scale, softcap: None, window: None }
    }

    /// Width of the queries, `heads * head_dim`.
    pub fn q_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Width of the keys (and of the values), `kv_heads * head_dim`.
    pub fn kv_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// Elements of a block of cached keys, and of one of values: [`KV_BLOCK`] positions in all key heads, each head
    /// rounded up to whole vectors.
    pub fn kv_block_len(&self) -> usize {
        self.kv_heads * self.head_dim.next_multiple_of(16) * KV_BLOCK
    }

    /// Width of queries and keys.
    pub fn qk_width(&self) -> usize {
        self.q_width() + self.kv_width()
    }

    /// Width of a row of the fused projection.
    pub fn qkv_width(&self) -> usize {
        self.q_width() + 2 * self.kv_width()
    }
}

/// What the gate of a gated layer goes through (Shazeer 2020).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x · sigmoid(x)`: SwiGLU.
    Silu,
    /// `x · sigmoid(2 sqrt(2 / π) (x + 0.044715 x³))`, the tanh form of GELU (Hendrycks & Gimpel 2016): GeGLU.
    GeluTanh,
}
