//! The contract between the model and a device.
//!
//! Buffers belong to the backend; no host pointer leaves it. An operation is *enqueued*; only [`Backend::read`] and
//! the results of [`Backend::token_loss`] and [`Backend::grad_norm`] bring values to the host. Operations are coarse
//! enough to be one kernel each on a GPU.
//! Wrong shapes are bugs of the caller and panic in every operation.

use formats::quant::QuantizedMatrix;

use crate::adapters::{Dropout, Magnitude, MagnitudeBackward};
use crate::operands::{HeadNorm, HeadNormBackward, RmsNorm, RmsNormBackward};
use crate::{Activation, AdamW, AttentionShape, Codes, DType, EightBitMoments, Result, Segment, Waiting};

/// Working memory of a backend. It can move to another thread, but two threads never share one.
pub trait DeviceBuffer: Send {
    /// Number of elements.
    fn len(&self) -> usize;

    /// True for a buffer without elements.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rows of `cols` values that lie one after another from element `offset` on.
    fn view(&self, offset: usize, rows: usize, cols: usize) -> View<'_, Self>
    where
        Self: Sized,
    {
        View { buffer: self, offset, rows, cols, stride: cols }
    }

    /// As [`DeviceBuffer::view`], to write.
    fn view_mut(&mut self, offset: usize, rows: usize, cols: usize) -> ViewMut<'_, Self>
    where
        Self: Sized,
    {
        ViewMut { buffer: self, offset, rows, cols, stride: cols }
    }
}

/// A matrix inside a buffer: `rows` rows of `cols` values, `stride` apart, the first at `offset`.
#[derive(Debug)]
pub struct View<'a, Buf> {
    /// Where the values are.
    pub buffer: &'a Buf,
    /// Element of the first value.
    pub offset: usize,
    /// Number of rows.
    pub rows: usize,
    /// Values in a row.
    pub cols: usize,
    /// Distance of two rows in elements.
    pub stride: usize,
}

impl<Buf> Clone for View<'_, Buf> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Buf> Copy for View<'_, Buf> {}

impl<Buf> View<'_, Buf> {
    /// Columns `from..from + cols` of every row.
    pub fn columns(self, from: usize, cols: usize) -> Self {
        assert!(from + cols <= self.cols, "columns {from}+{cols} of {}", self.cols);
        View { offset: self.offset + from, cols, ..self }
    }

    /// A single row, `rows` times.
    pub fn repeated(self, rows: usize) -> Self {
        assert_eq!(self.rows, 1, "one row is repeated");
        View { rows, stride: 0, ..self }
    }

    /// Rows `from..from + rows`.
    pub fn rows_from(self, from: usize, rows: usize) -> Self {
        assert!(from + rows <= self.rows, "rows {from}+{rows} of {}", self.rows);
        View { offset: self.offset + from * self.stride, rows, ..self }
    }
}

/// A matrix inside a buffer, to write. See [`View`].
#[derive(Debug)]
pub struct ViewMut<'a, Buf> {
    /// Where the values go.
    pub buffer: &'a mut Buf,
    /// Element of the first value.
    pub offset: usize,
    /// Number of rows.
    pub rows: usize,
    /// Values in a row.
    pub cols: usize,
    /// Distance of two rows in elements.
    pub stride: usize,
}

impl<Buf> ViewMut<'_, Buf> {
    /// Columns `from..from + cols` of every row.
    pub fn columns(self, from: usize, cols: usize) -> Self {
        assert!(from + cols <= self.cols, "columns {from}+{cols} of {}", self.cols);
        ViewMut { offset: self.offset + from, cols, ..self }
    }

    /// Rows `from..from + rows`.
    pub fn rows_from(self, from: usize, rows: usize) -> Self {
        assert!(from + rows <= self.rows, "rows {from}+{rows} of {}", self.rows);
        ViewMut { offset: self.offset + from * self.stride, rows, ..self }
    }
}

/// The weight side of a product: trainable values in working memory, or a frozen weight in its storage type, which
/// is decoded inside the product's packing step and never expanded in memory.
#[derive(Debug)]
pub enum Matrix<'a, B: Backend> {
    /// Values in a buffer.
    View(View<'a, B::Buffer>),
    /// A frozen weight, `[rows, cols]` as it was loaded.
    Weight(&'a B::Weight),
}

impl<B: Backend> Clone for Matrix<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: Backend> Copy for Matrix<'_, B> {}

/// What the output of a linear group holds before its products are added.
#[derive(Debug)]
pub enum Start<'a, Buf> {
    /// Nothing: the output is overwritten.
    Zero,
    /// Its own values.
    Output,
    /// These values, `[T, Σ N]`: a residual connection, or a bias in rows that are 0 apart.
    From(View<'a, Buf>),
}

/// Linear layers that read the same input, such as q, k and v, with their outputs side by side: at most three.
#[derive(Debug)]
pub struct LinearGroup<'a, B: Backend> {
    /// The layers in the order of their outputs' columns.
    pub layers: &'a [Linear<'a, B>],
    /// Sum of the adapters' ranks.
    pub rank: usize,
}

/// One linear layer, `[N, K]`.
#[derive(Debug)]
pub struct Linear<'a, B: Backend> {
    /// The weight.
    pub weight: Matrix<'a, B>,
    /// Its adapter.
    pub adapter: Option<Adapter<'a, B>>,
}

/// A low-rank adapter, `W + scale · B A` (Hu et al. 2021).
#[derive(Debug)]
pub struct Adapter<'a, B: Backend> {
    /// `A`, `[R, K]`. Without it the low-rank side is the caller's: the forward finds `t` made, and the backward leaves
    /// `dt A` out of `dx`.
    pub down: Option<Matrix<'a, B>>,
    /// `B`, `[N, R]`.
    pub up: Matrix<'a, B>,
    /// First of its columns among the group's ranks.
    pub column: usize,
    /// `alpha / r`, or `alpha / sqrt(r)` (Kalajdzievski 2023).
    pub scale: f32,
}

/// Arguments of [`Backend::attention`]. Rows of the batch that no segment covers are left as they are.
#[derive(Debug)]
pub struct AttentionForward<'a, Buf> {
    /// Heads.
    pub shape: AttentionShape,
    /// Segments of the batch; a prefix stands before those that name it.
    pub segments: &'a [Segment],
    /// `q | k | v` after RoPE, `[T, qkv_width]`.
    pub qkv: &'a Buf,
    /// Output, `[T, q_width]`.
    pub out: &'a mut Buf,
    /// Log of the sum of the exponentials of every query's scaled scores, `[T, heads]`, for the backward.
    pub log_sum_exp: &'a mut Buf,
    /// Rows whose output is wanted, ascending; of the others it may be anything. `None`: all.
    pub wanted: Option<&'a [u32]>,
}

/// Arguments of [`Backend::attention_backward`].
#[derive(Debug)]
pub struct AttentionBackward<'a, Buf> {
    /// Heads.
    pub shape: AttentionShape,
    /// Segments of the batch.
    pub segments: &'a [Segment],
    /// `q | k | v` after RoPE, `[T, qkv_width]`.
    pub qkv: &'a Buf,
    /// Output of the forward, `[T, q_width]`.
    pub out: &'a Buf,
    /// From the forward, `[T, heads]`.
    pub log_sum_exp: &'a Buf,
    /// Gradient of the output, `[T, q_width]`.
    pub d_out: &'a Buf,
    /// Gradient of `q | k | v`, `[T, qkv_width]`, overwritten.
    pub d_qkv: &'a mut Buf,
}

/// Where the keys and values of sequences lie: those of position `p` of sequence `s` in block
/// `blocks[s * width + p / KV_BLOCK]`. Sequences may share blocks of what they have in common.
#[derive(Debug, Clone, Copy)]
pub struct BlockTables<'a> {
    /// A row of `width` blocks for every sequence.
    pub blocks: &'a [u32],
    /// Blocks of a sequence.
    pub width: usize,
}

impl<'a> BlockTables<'a> {
    /// The blocks of a sequence.
    pub fn of(&self, sequence: u32) -> &'a [u32] {
        &self.blocks[sequence as usize * self.width..][..self.width]
    }
}

/// Arguments of [`Backend::attention_cached`]: row `i` of the batch is the query of sequence `sequences[i]` at position
/// `positions[i]` and sees that sequence's keys `0..=positions[i]`.
#[derive(Debug)]
pub struct CachedAttention<'a, Buf> {
    /// Heads.
    pub shape: AttentionShape,
    /// Sequence of each row, `[T]`.
    pub sequences: &'a [u32],
    /// Position of each row in its sequence, `[T]`.
    pub positions: &'a [u32],
    /// Blocks of each sequence.
    pub tables: BlockTables<'a>,
    /// `q | k | v` after RoPE, `[T, qkv_width]`. Keys and values of all rows enter the cache before any is read.
    pub qkv: &'a Buf,
    /// Keys, `[blocks, Backend::kv_block_len]`, within a block in an order of the backend's own.
    pub keys: &'a mut Buf,
    /// Values, as `keys`.
    pub values: &'a mut Buf,
    /// Output, `[T, q_width]`.
    pub out: &'a mut Buf,
}

/// Arguments of [`Backend::token_loss`]. Only positions that carry a label are projected to the vocabulary, a chunk
/// at a time, so the full logits `[T, V]` never exist.
#[derive(Debug)]
pub struct TokenLoss<'a, B: Backend> {
    /// Output of the final norm, `[T, H]`.
    pub hidden: View<'a, B::Buffer>,
    /// The head, `[V, H]`, and its adapter.
    pub head: Linear<'a, B>,
    /// Rows of `hidden` that carry a label, ascending.
    pub rows: &'a [u32],
    /// Label of each of these rows, below `V`.
    pub labels: &'a [u32],
    /// d(loss)/d(−log p) of each of these rows: what tells SFT, DPO and GRPO apart. Unused without a gradient.
    pub weights: &'a [f32],
    /// Rows projected at once.
    pub chunk: usize,
    /// Logits become `cap · tanh(logit / cap)` (Gemma 2).
    pub softcap: Option<f32>,
    /// Gradient of `hidden`, `[T, H]`, overwritten (rows without a label become zero). `None`: loss only.
    pub d_hidden: Option<ViewMut<'a, B::Buffer>>,
    /// Gradient of the head, `[V, H]`, added to. `None`: the head is frozen.
    pub d_head: Option<ViewMut<'a, B::Buffer>>,
    /// Gradients of the adapter's `A` `[R, H]` and, behind it, `B` `[V, R]`, in one row, added to; needs `d_hidden`.
    /// `None`: it is frozen.
    pub d_adapter: Option<ViewMut<'a, B::Buffer>>,
}

/// What [`Backend::token_loss`] says of each labelled row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TokenLossOutput {
    /// log p(label), natural.
    pub log_probs: Vec<f32>,
    /// Entropy of the distribution in nats.
    pub entropies: Vec<f32>,
    /// The label has the largest logit (the lowest id wins a tie).
    pub correct: Vec<bool>,
}

/// A device that can run a transformer, forward and backward.
pub trait Backend: Sized + Send + Sync + std::fmt::Debug + 'static {
    /// f32 working memory.
    type Buffer: DeviceBuffer + std::fmt::Debug;
    /// A frozen matrix in its storage type; shared by readers.
    type Weight: Send + Sync + std::fmt::Debug;

    /// About how many bytes operations work in besides their operands and the logits.
    fn work_bytes(&self) -> usize;

    /// A buffer of `len` zeros.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`] when the device has no room for it.
    fn zeros(&self, what: &'static str, len: usize) -> Result<Self::Buffer>;

    /// Copies `values` to the device, over the elements from `offset` on.
    fn write(&self, buffer: &mut Self::Buffer, offset: usize, values: &[f32]);

    /// Brings elements `offset..offset + out.len()` to the host: the only point that waits for the device.
    fn read(&self, buffer: &Self::Buffer, offset: usize, out: &mut [f32]);

    /// A frozen matrix `[rows, cols]` from little-endian bytes in `dtype`.
    ///
    /// # Errors
    /// When the number of bytes does not fit the shape, or there is no room.
    fn weight(&self, dtype: DType, rows: usize, cols: usize, bytes: &[u8]) -> Result<Self::Weight>;

    /// As [`Backend::weight`], with the bytes that `read` puts into memory that the weight keeps, where a backend can
    /// arrange that.
    ///
    /// # Errors
    /// Those of `read`; also when there is no room.
    fn weight_from<E: From<crate::Error>>(
        &self,
        dtype: DType,
        rows: usize,
        cols: usize,
        read: impl FnOnce(&mut [u8]) -> std::result::Result<(), E>,
    ) -> std::result::Result<Self::Weight, E> {
        let mut bytes = vec![0; dtype.bytes(rows * cols)];
        read(&mut bytes)?;
        Ok(self.weight(dtype, rows, cols, &bytes)?)
    }

    /// A frozen matrix in the bits of its quantization: products decode it while they pack it.
    ///
    /// # Errors
    /// When there is no room.
    fn quantized_weight(&self, matrix: QuantizedMatrix) -> Result<Self::Weight>;

    /// Shape of a frozen matrix.
    fn weight_shape(&self, weight: &Self::Weight) -> (usize, usize);

    /// Bytes of memory that a frozen matrix takes.
    fn weight_bytes(&self, weight: &Self::Weight) -> usize;

    /// Whether products with a frozen matrix are products of integers, on a device that has such.
    fn multiplies_integers(&self, _weight: &Self::Weight) -> bool {
        false
    }

    /// The values of a frozen matrix, decoded, row after row.
    fn read_weight(&self, weight: &Self::Weight) -> Vec<f32>;

    /// Fills `len` elements from `offset` on with `value`.
    fn fill(&self, buffer: &mut Self::Buffer, offset: usize, len: usize, value: f32);

    /// `y = x weightᵀ`: `y` `[T, N]`, `x` `[T, K]`.
    fn matmul(&self, y: ViewMut<'_, Self::Buffer>, x: View<'_, Self::Buffer>, weight: Matrix<'_, Self>);

    /// `y = start + x Wᵀ + t Bᵀ` for every layer of a group, where `t = scale · x Aᵀ` is kept for the backward: `y`
    /// `[T, Σ N]`, `t` `[T, Σ R]`, `x` `[T, K]`. Base and adapter are one product, `[x | t] [W | B]ᵀ`. Without `t`
    /// the adapters are left out.
    fn linear(
        &self,
        y: ViewMut<'_, Self::Buffer>,
        t: Option<ViewMut<'_, Self::Buffer>>,
        x: View<'_, Self::Buffer>,
        group: &LinearGroup<'_, Self>,
        start: Start<'_, Self::Buffer>,
    );

    /// `t = scale · x Aᵀ` for every adapter of a group, with the bits of [`Backend::linear`]: `t` `[T, Σ R]`, whose other
    /// columns are left as they are, `x` `[T, K]`.
    fn low_rank(
        &self,
        t: ViewMut<'_, Self::Buffer>,
        x: View<'_, Self::Buffer>,
        group: &LinearGroup<'_, Self>,
    );

    /// `dt = scale · dy B` for every adapter of a group and, where `dx` is given, `dx = Σ dy W + dt A`: `dx`
    /// `[T, K]`, `dt` `[T, Σ R]`, `dy` `[T, Σ N]`.
    fn linear_backward_input(
        &self,
        dx: Option<ViewMut<'_, Self::Buffer>>,
        dt: Option<ViewMut<'_, Self::Buffer>>,
        dy: View<'_, Self::Buffer>,
        group: &LinearGroup<'_, Self>,
    );

    /// `y = scale · mask ∘ x`, or `y += …` if `add`: `y` and `x` `[T, K]`.
    fn dropout(&self, y: ViewMut<'_, Self::Buffer>, x: View<'_, Self::Buffer>, add: bool, mask: &Dropout<'_>);

    /// Lengths `[1, N]` of the rows of `W + scale · B A`, from the `squares` `[1, N]` of those of `W`.
    fn weight_norms(
        &self,
        norms: ViewMut<'_, Self::Buffer>,
        squares: View<'_, Self::Buffer>,
        weight: Matrix<'_, Self>,
        adapter: &Adapter<'_, Self>,
    );

    /// `y = start + magnitude / norm ∘ u`, without the factor where there is no magnitude: all `[T, N]`.
    fn magnitude(
        &self,
        y: ViewMut<'_, Self::Buffer>,
        u: View<'_, Self::Buffer>,
        start: Option<View<'_, Self::Buffer>>,
        magnitude: Option<Magnitude<'_, Self::Buffer>>,
    );

    /// Backward of [`Backend::magnitude`], the norm held constant (section 4.3 of the paper). Reduced over tokens in
    /// their order.
    fn magnitude_backward(&self, m: MagnitudeBackward<'_, Self::Buffer>);

    /// `dw += dyᵀ x`: `dw` `[N, K]`, `dy` `[T, N]`, `x` `[T, K]`. Reduced over tokens in their order.
    fn matmul_backward_weight(
        &self,
        dw: ViewMut<'_, Self::Buffer>,
        dy: View<'_, Self::Buffer>,
        x: View<'_, Self::Buffer>,
    );

    /// `y[t] += bias`: `y` `[T, N]`, `bias` `[1, N]`.
    fn add_bias(&self, y: ViewMut<'_, Self::Buffer>, bias: View<'_, Self::Buffer>);

    /// `d_bias += Σ_t dy[t]`: `d_bias` `[1, N]`, `dy` `[T, N]`. Reduced over tokens in their order.
    fn add_bias_backward(&self, d_bias: ViewMut<'_, Self::Buffer>, dy: View<'_, Self::Buffer>);

    /// Rows of the embedding table: `x[i] = scale · table[ids[i]]`, `x` `[ids.len(), H]`.
    fn embed(&self, x: ViewMut<'_, Self::Buffer>, ids: &[u32], table: Matrix<'_, Self>, scale: f32);

    /// Moves the named rows to the beginning, in place: `x[i] = x[rows[i]]`, with `rows` ascending; what stood behind
    /// them is left over.
    ///
    /// # Panics
    /// When a row is beyond `x`, or not behind the one before it.
    fn keep_rows(&self, x: ViewMut<'_, Self::Buffer>, rows: &[u32]);

    /// `d_table[ids[i]] += scale · dx[i]`, in the order of `i` for each row.
    fn embed_backward(
        &self,
        d_table: ViewMut<'_, Self::Buffer>,
        ids: &[u32],
        dx: View<'_, Self::Buffer>,
        scale: f32,
    );

    /// RMSNorm (Zhang & Sennrich 2019): `y = residual + x · rstd · gain` with `rstd = 1 / sqrt(mean(x²) + eps)`.
    fn rms_norm(&self, n: RmsNorm<'_, Self::Buffer>);

    /// Backward of [`Backend::rms_norm`]: `dx += …` (the residual's gradient is already there), `d_gain += Σ_t …`
    /// when the gain is trained.
    fn rms_norm_backward(&self, n: RmsNormBackward<'_, Self::Buffer>);

    /// RMSNorm of every query and key head on its own (Henry et al. 2020; as Qwen3), in place, before RoPE.
    fn head_norm(&self, shape: AttentionShape, n: HeadNorm<'_, Self::Buffer>);

    /// Backward of [`Backend::head_norm`], in place, after RoPE's. Reduced over tokens in their order.
    fn head_norm_backward(&self, shape: AttentionShape, n: HeadNormBackward<'_, Self::Buffer>);

    /// Rotary embedding (Su et al. 2021; half-split order as Hugging Face) on the q and k columns of `qkv`
    /// `[T, qkv_width]`, in place. `table` is `[positions, head_dim]`: cosines of the `head_dim / 2` angles, then
    /// their sines. `inverse` turns back: the backward.
    fn rope(
        &self,
        qkv: ViewMut<'_, Self::Buffer>,
        positions: &[u32],
        table: &Self::Buffer,
        shape: AttentionShape,
        inverse: bool,
    );

    /// Elements of a buffer that a block of cached keys takes, and one of values: as many as it has, or fewer where a
    /// device keeps them in less than 32 bits.
    fn kv_block_len(&self, shape: AttentionShape) -> usize {
        shape.kv_block_len()
    }

    /// Causal grouped-query attention over segments.
    fn attention(&self, a: AttentionForward<'_, Self::Buffer>);

    /// Backward of [`Backend::attention`], recomputing the scores from `log_sum_exp` (Dao et al. 2022).
    fn attention_backward(&self, a: AttentionBackward<'_, Self::Buffer>);

    /// Attention of generation: appends keys and values, then attends. The same bits as [`Backend::attention`].
    fn attention_cached(&self, a: CachedAttention<'_, Self::Buffer>);

    /// Gated layer: `y = activation(gate) · up`, `gate_up` is `[T, 2I]` with the gate first, `y` `[T, I]`.
    fn gated_activation(
        &self,
        y: ViewMut<'_, Self::Buffer>,
        gate_up: View<'_, Self::Buffer>,
        activation: Activation,
    );

    /// Backward of [`Backend::gated_activation`]: overwrites `gate_up` `[T, 2I]` with its gradient, and the gradient `dy`
    /// `[T, I]` with the activation, which the caller need not have kept.
    fn gated_activation_backward(
        &self,
        gate_up: ViewMut<'_, Self::Buffer>,
        dy: ViewMut<'_, Self::Buffer>,
        activation: Activation,
    );

    /// How values wait for the backward: what goes into products of bf16 is rounded to it anyway.
    fn waiting(&self) -> Waiting;

    /// Rounds `x` `[T, N]`, N even, to bf16 in place and keeps it in `kept` `[T, N / 2]`, two values in the room of
    /// one, where there is such a place.
    fn round_bf16(&self, x: ViewMut<'_, Self::Buffer>, kept: Option<ViewMut<'_, Self::Buffer>>);

    /// Writes to `x` `[T, N]` what [`Backend::round_bf16`] or a norm has kept.
    fn restore_bf16(&self, x: ViewMut<'_, Self::Buffer>, kept: View<'_, Self::Buffer>);

    /// Keeps codes of `x` `[T, N]` in `kept`, `[T, codes.room(N)]`.
    fn keep_codes(&self, codes: Codes, x: View<'_, Self::Buffer>, kept: ViewMut<'_, Self::Buffer>);

    /// Writes to `x` `[T, N]` what the codes in `kept` stand for.
    fn restore_codes(&self, codes: Codes, x: ViewMut<'_, Self::Buffer>, kept: View<'_, Self::Buffer>);

    /// Makes of `x` `[T, N]` what keeping and restoring would.
    fn through_codes(&self, codes: Codes, x: ViewMut<'_, Self::Buffer>);

    /// `x = cap · tanh(x / cap)`, in place: what [`TokenLoss::softcap`] does to logits that are not judged but drawn
    /// from.
    fn softcap(&self, x: ViewMut<'_, Self::Buffer>, cap: f32);

    /// Cross-entropy of labelled tokens with its gradient in one pass.
    fn token_loss(&self, a: TokenLoss<'_, Self>) -> TokenLossOutput;

    /// One AdamW step on `params`, with moments `m` and `v` of the same length.
    fn adamw(
        &self,
        params: &mut Self::Buffer,
        grads: &Self::Buffer,
        m: &mut Self::Buffer,
        v: &mut Self::Buffer,
        step: &AdamW,
    );

    /// One AdamW step on `params` with moments in 8 bits. A device without a kernel of its own brings the values to
    /// the host and back.
    fn adamw_8bit(
        &self,
        params: &mut Self::Buffer,
        grads: &Self::Buffer,
        moments: &mut EightBitMoments,
        step: &AdamW,
    ) {
        let range = step.range.clone();
        let (mut values, mut gradients) = (vec![0.0; range.len()], vec![0.0; range.len()]);
        self.read(params, range.start, &mut values);
        self.read(grads, range.start, &mut gradients);
        moments.blocks(range.clone(), &mut values, &gradients).iter_mut().for_each(|block| block.step(step));
        self.write(params, range.start, &values);
    }

    /// Square root of the sum of squares of a buffer, summed in f64 in a fixed order. NaN and infinities pass through.
    fn grad_norm(&self, grads: &Self::Buffer) -> f64;
}
