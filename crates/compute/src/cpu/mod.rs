//! The CPU backend.
//!
//! Kernels are written once and compiled for each instruction set (`math`); products are in `gemm`.

mod activation;
mod attention;
mod attention_backward;
mod attention_cached;
mod attention_source;
mod bias;
mod buffer;
mod codes;
mod dropout;
mod embed;
mod encoder;
mod gemm;
mod head_norm;
mod integer;
mod isa;
mod linear;
mod loss;
mod magnitude;
mod math;
mod narrow;
mod norm;
mod optimizer;
mod pages;
mod rope;
mod slabs;
mod softcap;
mod softmax;
mod threads;
mod tile;
#[cfg(target_arch = "x86_64")]
mod transpose;

use std::sync::{Mutex, PoisonError};

use formats::quant::QuantizedMatrix;
use half::f16;

pub use buffer::{CpuBuffer, CpuWeight};
#[doc(hidden)]
pub use gemm::measure;
pub use isa::{Isa, Precision};
pub use threads::Threads;

use self::attention_cached::Cached;
use self::buffer::{Rows, RowsMut, Weights};
use self::gemm::{Gemm, Init, Method, Part, gemm};
use crate::{
    Activation, AdamW, Adapter, AttentionBackward, AttentionForward, AttentionShape, Backend,
    CachedAttention, Codes, DType, DeviceBuffer, Dropout, EightBitMoments, HeadNorm, HeadNormBackward,
    LinearGroup, Magnitude, MagnitudeBackward, Matrix, NormGain, NormInput, Result, RmsNorm, RmsNormBackward,
    Start, TokenLoss, TokenLossOutput, View, ViewMut, Waiting,
};

/// Panels that all threads read (`gemm`), and those of each thread with the tiles of its attention.
const WORK: usize = 10 << 20;
const WORK_OF_THREAD: usize = 3 << 20;

/// The processor as a device.
#[derive(Debug)]
pub struct Cpu {
    threads: Threads,
    isa: Isa,
    precision: Precision,
    /// Whether values wait for the backward as codes, where products are of bf16.
    codes: bool,
    slabs: slabs::Slabs,
    loss: Mutex<loss::Scratch>,
    /// What products of integers round their left sides into; none: there are no such products.
    activations: Option<Mutex<integer::Activations>>,
}

impl Cpu {
    /// `threads` threads and the best instruction set (see [`Isa::detect`]).
    pub fn new(threads: usize) -> Self {
        Self::with_isa(threads, Isa::detect())
    }

    /// `threads` threads and `isa`, or the best that the machine has if that is less.
    pub fn with_isa(threads: usize, isa: Isa) -> Self {
        Cpu {
            threads: Threads::new(threads),
            isa: isa.min(Isa::available()),
            precision: Precision::F32,
            codes: false,
            slabs: slabs::Slabs::default(),
            loss: Mutex::default(),
            activations: None,
        }
    }

    /// The same, with matrix products in `precision` if the machine has instructions for it; all else stays f32.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Self {
        Cpu { precision: if precision.available() { precision } else { Precision::F32 }, ..self }
    }

    /// The same, where what waits for the backward does so in 8 bits (q, k and v in 16) as long as products are of bf16:
    /// less memory, and gradients that are a little further from those of f32.
    #[must_use]
    pub fn with_8bit_activations(self) -> Self {
        Cpu { codes: true, ..self }
    }

    /// The same, which repacks the ggml blocks that it is given as weights from now on and multiplies them with
    /// activations in 8 bits: faster, repeatable, and not quite the numbers that training sees.
    #[must_use]
    pub fn with_integer_products(self) -> Self {
        Cpu { activations: Some(Mutex::default()), ..self }
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.threads.count()
    }

    /// What the factors of matrix products are rounded to.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    fn method(&self) -> Method {
        Method { isa: self.isa, precision: self.precision }
    }

    /// Whether a cache has keys and values as halves: beside products of integers.
    fn caches_half(&self) -> bool {
        self.activations.is_some()
    }

    /// Instruction set in use.
    pub fn isa(&self) -> Isa {
        self.isa
    }
}

impl Backend for Cpu {
    type Buffer = CpuBuffer;
    type Weight = CpuWeight;

    fn work_bytes(&self) -> usize {
        WORK + self.threads.count() * WORK_OF_THREAD
    }

    fn zeros(&self, what: &'static str, len: usize) -> Result<CpuBuffer> {
        self.slabs.zeros(what, len)
    }

    fn write(&self, buffer: &mut CpuBuffer, offset: usize, values: &[f32]) {
        buffer[offset..offset + values.len()].copy_from_slice(values);
    }

    fn read(&self, buffer: &CpuBuffer, offset: usize, out: &mut [f32]) {
        out.copy_from_slice(&buffer[offset..offset + out.len()]);
    }

    fn weight(&self, dtype: DType, rows: usize, cols: usize, bytes: &[u8]) -> Result<CpuWeight> {
        CpuWeight::new(&self.slabs, dtype, [rows, cols], bytes)
    }

    fn weight_from<E: From<crate::Error>>(
        &self,
        dtype: DType,
        rows: usize,
        cols: usize,
        read: impl FnOnce(&mut [u8]) -> std::result::Result<(), E>,
    ) -> std::result::Result<CpuWeight, E> {
        CpuWeight::read(&self.slabs, dtype, [rows, cols], read)
    }

    fn quantized_weight(&self, matrix: QuantizedMatrix) -> Result<CpuWeight> {
        match &matrix {
            QuantizedMatrix::Blocks(blocks)
                if self.activations.is_some() && integer::Panels::takes(blocks.kind()) =>
            {
                Ok(CpuWeight::in_panels(integer::Panels::new(&self.threads, &self.slabs, blocks)?))
            }
            _ => Ok(CpuWeight::quantized(matrix)),
        }
    }

    fn weight_shape(&self, weight: &CpuWeight) -> (usize, usize) {
        weight.shape()
    }

    fn weight_bytes(&self, weight: &CpuWeight) -> usize {
        weight.bytes()
    }

    fn multiplies_integers(&self, weight: &CpuWeight) -> bool {
        weight.panels().is_some()
    }

    fn read_weight(&self, weight: &CpuWeight) -> Vec<f32> {
        weight.to_f32()
    }

    fn fill(&self, buffer: &mut CpuBuffer, offset: usize, len: usize, value: f32) {
        buffer[offset..offset + len].fill(value);
    }

    fn matmul(&self, y: ViewMut<'_, CpuBuffer>, x: View<'_, CpuBuffer>, weight: Matrix<'_, Self>) {
        if let (Some(activations), Matrix::Weight(w)) = (&self.activations, weight)
            && let Some(panels) = w.panels()
        {
            let mut activations = activations.lock().unwrap_or_else(PoisonError::into_inner);
            activations.quantize(&self.threads, self.isa, x.into());
            let factor = integer::Factor { weight: panels, column: 0 };
            let output = integer::Output { y: y.into(), addend: integer::Addend::Nothing };
            return integer::product(&self.threads, self.isa, &activations, [factor].into_iter(), output);
        }
        let (y, x, weight) = (RowsMut::from(y), Rows::from(x), Weights::from(weight));
        assert_eq!((y.rows, y.cols), (x.rows, weight.rows), "output [T, N]");
        assert_eq!(x.cols, weight.cols, "input [T, K]");
        let g = Gemm {
            rows: y.rows,
            depth: x.cols,
            left: x.operand(),
            low: None,
            parts: &[Part::whole(y.cols, weight.along_cols(), Init::Zero)],
            c: y.data,
            stride: y.stride,
        };
        gemm(&self.threads, self.method(), g);
    }

    fn linear(
        &self,
        y: ViewMut<'_, CpuBuffer>,
        t: Option<ViewMut<'_, CpuBuffer>>,
        x: View<'_, CpuBuffer>,
        group: &LinearGroup<'_, Self>,
        start: Start<'_, CpuBuffer>,
    ) {
        let forward = linear::Forward { y: y.into(), t: t.map(RowsMut::from), x: x.into(), start };
        if let Some(activations) = &self.activations
            && group.layers.iter().any(|layer| layer.panels().is_some())
        {
            let mut activations = activations.lock().unwrap_or_else(PoisonError::into_inner);
            return linear::forward_of_integers(self, &mut activations, group, forward);
        }
        linear::forward(&self.threads, self.method(), group, forward);
    }

    fn low_rank(&self, t: ViewMut<'_, CpuBuffer>, x: View<'_, CpuBuffer>, group: &LinearGroup<'_, Self>) {
        linear::low_rank(&self.threads, self.method(), group, (t.into(), x.into()));
    }

    fn linear_backward_input(
        &self,
        dx: Option<ViewMut<'_, CpuBuffer>>,
        dt: Option<ViewMut<'_, CpuBuffer>>,
        dy: View<'_, CpuBuffer>,
        group: &LinearGroup<'_, Self>,
    ) {
        let backward =
            linear::Backward { dx: dx.map(RowsMut::from), dt: dt.map(RowsMut::from), dy: dy.into() };
        linear::backward_input(&self.threads, self.method(), group, backward);
    }

    fn dropout(&self, y: ViewMut<'_, CpuBuffer>, x: View<'_, CpuBuffer>, add: bool, mask: &Dropout<'_>) {
        let (y, x) = (RowsMut::from(y), Rows::from(x));
        assert_eq!((y.rows, y.cols), (x.rows, x.cols), "output as the input");
        assert_eq!(mask.keys.len(), x.rows, "a key for every row");
        dropout::dropout(&self.threads, self.isa, y, x, (add, mask));
    }

    fn weight_norms(
        &self,
        norms: ViewMut<'_, CpuBuffer>,
        squares: View<'_, CpuBuffer>,
        weight: Matrix<'_, Self>,
        adapter: &Adapter<'_, Self>,
    ) {
        let lengths = (RowsMut::from(norms), Rows::from(squares));
        magnitude::norms(&self.threads, self.isa, lengths, weight.into(), adapter);
    }

    fn magnitude(
        &self,
        y: ViewMut<'_, CpuBuffer>,
        u: View<'_, CpuBuffer>,
        start: Option<View<'_, CpuBuffer>>,
        magnitude: Option<Magnitude<'_, CpuBuffer>>,
    ) {
        let (y, u, start) = (RowsMut::from(y), Rows::from(u), start.map(Rows::from));
        assert_eq!((y.rows, y.cols), (u.rows, u.cols), "output as the product");
        let factors = magnitude.map(|m| magnitude::factors(m.magnitude, m.norm));
        magnitude::forward(&self.threads, y, u, start, factors.as_deref());
    }

    fn magnitude_backward(&self, m: MagnitudeBackward<'_, CpuBuffer>) {
        let (du, dy, u) = (RowsMut::from(m.du), Rows::from(m.dy), Rows::from(m.u));
        assert_eq!((du.rows, du.cols), (dy.rows, dy.cols), "gradient as the output");
        assert_eq!((u.rows, u.cols), (dy.rows, dy.cols), "product as the output");
        let factors = magnitude::factors(m.magnitude.magnitude, m.magnitude.norm);
        magnitude::backward_input(&self.threads, du, dy, Some(&factors));
        let (d_magnitude, norms) = (buffer::one_row(m.d_magnitude), Rows::from(m.magnitude.norm));
        magnitude::backward_magnitude(&self.threads, d_magnitude, (dy, u), norms.row(0));
    }

    fn matmul_backward_weight(
        &self,
        dw: ViewMut<'_, CpuBuffer>,
        dy: View<'_, CpuBuffer>,
        x: View<'_, CpuBuffer>,
    ) {
        let (dw, dy, x) = (RowsMut::from(dw), Rows::from(dy), Rows::from(x));
        assert_eq!((dw.rows, dw.cols), (dy.cols, x.cols), "gradient [N, K]");
        assert_eq!(dy.rows, x.rows, "tokens");
        let g = Gemm {
            rows: dw.rows,
            depth: dy.rows,
            left: dy.transposed(),
            low: None,
            parts: &[Part::whole(dw.cols, x.transposed(), Init::Output)],
            c: dw.data,
            stride: dw.stride,
        };
        gemm(&self.threads, self.method(), g);
    }

    fn add_bias(&self, y: ViewMut<'_, CpuBuffer>, bias: View<'_, CpuBuffer>) {
        let (y, bias) = (RowsMut::from(y), Rows::from(bias));
        assert_eq!((bias.rows, bias.cols), (1, y.cols), "bias [1, N]");
        bias::forward(&self.threads, y, bias.row(0));
    }

    fn add_bias_backward(&self, d_bias: ViewMut<'_, CpuBuffer>, dy: View<'_, CpuBuffer>) {
        let (d_bias, dy) = (RowsMut::from(d_bias), Rows::from(dy));
        assert_eq!((d_bias.rows, d_bias.cols), (1, dy.cols), "bias [1, N]");
        bias::backward(&self.threads, d_bias.data, dy);
    }

    fn embed(&self, x: ViewMut<'_, CpuBuffer>, ids: &[u32], table: Matrix<'_, Self>, scale: f32) {
        let (x, table) = (RowsMut::from(x), Weights::from(table));
        assert_eq!((x.rows, x.cols), (ids.len(), table.cols), "output [T, H]");
        embed::forward(&self.threads, x, ids, table, scale);
    }

    fn keep_rows(&self, x: ViewMut<'_, CpuBuffer>, rows: &[u32]) {
        RowsMut::from(x).keep(rows);
    }

    fn embed_backward(
        &self,
        d_table: ViewMut<'_, CpuBuffer>,
        ids: &[u32],
        dx: View<'_, CpuBuffer>,
        scale: f32,
    ) {
        let (d_table, dx) = (RowsMut::from(d_table), Rows::from(dx));
        assert_eq!((dx.rows, dx.cols), (ids.len(), d_table.cols), "gradient [T, H]");
        embed::backward(&self.threads, d_table, ids, dx, scale);
    }

    fn rms_norm(&self, n: RmsNorm<'_, CpuBuffer>) {
        let (y, x, eps) = (RowsMut::from(n.y), Rows::from(n.x), n.eps);
        assert_eq!((y.rows, y.cols), (x.rows, x.cols), "output [T, H]");
        let residual = n.residual.map(Rows::from);
        if let Some(residual) = residual {
            assert_eq!((residual.rows, residual.cols), (x.rows, x.cols), "residual [T, H]");
        }
        let (rstd, gain) = (&mut n.rstd[..x.rows], gain(n.gain, 1, x.cols));
        let nothing = RowsMut::nothing(x.rows);
        let (rounded, kept) = match n.input {
            NormInput::AsIs => (false, nothing),
            NormInput::Rounded => (true, nothing),
            NormInput::Kept(kept) => {
                assert_eq!((x.rows, x.cols), (kept.rows, 2 * kept.cols), "kept [T, H / 2]");
                (true, kept.into())
            }
        };
        let forward = norm::Forward { y, rstd, x, gain, eps, residual, rounded, kept };
        norm::forward(&self.threads, self.isa, forward);
    }

    fn rms_norm_backward(&self, n: RmsNormBackward<'_, CpuBuffer>) {
        let (dx, dy, x) = (RowsMut::from(n.dx), Rows::from(n.dy), Rows::from(n.x));
        assert_eq!((dx.rows, dx.cols), (x.rows, x.cols), "gradient [T, H]");
        assert_eq!((dy.rows, dy.cols), (x.rows, x.cols), "gradient [T, H]");
        let d_gain = n.d_gain.map(|d_gain| gain_mut(d_gain, 1, x.cols));
        let (gain, rstd) = (gain(n.gain, 1, x.cols), &n.rstd[..x.rows]);
        norm::backward(&self.threads, self.isa, norm::Backward { dx, d_gain, dy, x, gain, rstd });
    }

    fn head_norm(&self, shape: AttentionShape, n: HeadNorm<'_, CpuBuffer>) {
        let heads = RowsMut::from(n.heads);
        let (rows, width, count) = (heads.rows, shape.qk_width(), shape.heads + shape.kv_heads);
        assert!(heads.cols >= width, "heads [T, {width}]");
        let (kept, rstd) = (n.kept.view_mut(0, rows, width).into(), n.rstd.view_mut(0, rows, count).into());
        let (gain, eps) = (gain(n.gain, 2, shape.head_dim), n.eps);
        let forward = head_norm::Forward { shape, heads, kept, rstd, gain, eps };
        head_norm::forward(&self.threads, self.isa, forward);
    }

    fn head_norm_backward(&self, shape: AttentionShape, n: HeadNormBackward<'_, CpuBuffer>) {
        let d_heads = RowsMut::from(n.d_heads);
        let (rows, width, count) = (d_heads.rows, shape.qk_width(), shape.heads + shape.kv_heads);
        assert!(d_heads.cols >= width, "heads [T, {width}]");
        let (kept, rstd) = (n.kept.view(0, rows, width).into(), n.rstd.view(0, rows, count).into());
        let d_gain = n.d_gain.map(|d_gain| gain_mut(d_gain, 2, shape.head_dim));
        let gain = gain(n.gain, 2, shape.head_dim);
        let backward = head_norm::Backward { shape, d_heads, d_gain, kept, rstd, gain };
        head_norm::backward(&self.threads, self.isa, backward);
    }

    fn rope(
        &self,
        qkv: ViewMut<'_, CpuBuffer>,
        positions: &[u32],
        table: &CpuBuffer,
        shape: AttentionShape,
        inverse: bool,
    ) {
        let qkv = RowsMut::from(qkv);
        assert_eq!((qkv.rows, qkv.cols), (positions.len(), shape.qkv_width()), "q | k | v");
        let rotation = rope::Rotation { positions, table, shape, inverse };
        rope::rotate(&self.threads, self.isa, qkv, rotation);
    }

    fn kv_block_len(&self, shape: AttentionShape) -> usize {
        shape.kv_block_len() / if self.caches_half() { 2 } else { 1 }
    }

    fn attention(&self, a: AttentionForward<'_, CpuBuffer>) {
        let AttentionForward { shape, segments, qkv, out, log_sum_exp, wanted } = a;
        let half = self.caches_half();
        let forward = attention::Forward {
            shape,
            causal: true,
            half,
            segments,
            qkv,
            out,
            log_sum_exp: Some(log_sum_exp),
            wanted,
        };
        attention::forward(&self.threads, self.isa, forward);
    }

    fn attention_backward(&self, a: AttentionBackward<'_, CpuBuffer>) {
        let AttentionBackward { shape, segments, qkv, out, log_sum_exp, d_out, d_qkv } = a;
        let backward = attention_backward::Backward { shape, segments, qkv, out, log_sum_exp, d_out, d_qkv };
        attention_backward::backward(&self.threads, self.isa, backward);
    }

    fn attention_cached(&self, a: CachedAttention<'_, CpuBuffer>) {
        let CachedAttention { shape, sequences, positions, tables, qkv, keys, values, out } = a;
        if self.caches_half() {
            let (keys, values): (&mut [f16], &mut [f16]) =
                (bytemuck::cast_slice_mut(keys), bytemuck::cast_slice_mut(values));
            let cached = Cached { shape, sequences, positions, tables, qkv, keys, values, out };
            return attention_cached::cached(&self.threads, self.isa, cached);
        }
        let cached = Cached { shape, sequences, positions, tables, qkv, keys, values, out };
        attention_cached::cached(&self.threads, self.isa, cached);
    }

    fn gated_activation(
        &self,
        y: ViewMut<'_, CpuBuffer>,
        gate_up: View<'_, CpuBuffer>,
        activation: Activation,
    ) {
        let (y, gate_up) = (RowsMut::from(y), Rows::from(gate_up));
        assert_eq!((gate_up.rows, gate_up.cols), (y.rows, 2 * y.cols), "gate | up");
        activation::forward(&self.threads, self.isa, y, gate_up, activation);
    }

    fn gated_activation_backward(
        &self,
        gate_up: ViewMut<'_, CpuBuffer>,
        dy: ViewMut<'_, CpuBuffer>,
        activation: Activation,
    ) {
        let (gate_up, dy) = (RowsMut::from(gate_up), RowsMut::from(dy));
        assert_eq!((gate_up.rows, gate_up.cols), (dy.rows, 2 * dy.cols), "gate | up");
        activation::backward(&self.threads, self.isa, gate_up, dy, activation);
    }

    fn waiting(&self) -> Waiting {
        match (self.precision, self.codes) {
            (Precision::F32, _) => Waiting::Exact,
            (Precision::Bf16, false) => Waiting::Bf16,
            (Precision::Bf16, true) => Waiting::Codes,
        }
    }

    fn round_bf16(&self, x: ViewMut<'_, CpuBuffer>, kept: Option<ViewMut<'_, CpuBuffer>>) {
        let x = RowsMut::from(x);
        let kept = kept.map_or(RowsMut::nothing(x.rows), |kept| {
            assert_eq!((x.rows, x.cols), (kept.rows, 2 * kept.cols), "kept [T, N / 2]");
            kept.into()
        });
        narrow::round(&self.threads, self.isa, x, kept);
    }

    fn restore_bf16(&self, x: ViewMut<'_, CpuBuffer>, kept: View<'_, CpuBuffer>) {
        let (x, kept) = (RowsMut::from(x), Rows::from(kept));
        assert_eq!((x.rows, x.cols), (kept.rows, 2 * kept.cols), "kept [T, N / 2]");
        narrow::restore(&self.threads, self.isa, x, kept);
    }

    fn keep_codes(&self, codes: Codes, x: View<'_, CpuBuffer>, kept: ViewMut<'_, CpuBuffer>) {
        let (x, kept) = (Rows::from(x), RowsMut::from(kept));
        assert_eq!((x.rows, codes.room(x.cols)), (kept.rows, kept.cols), "room for codes [T, N]");
        codes::keep(&self.threads, self.isa, codes, x, kept);
    }

    fn restore_codes(&self, codes: Codes, x: ViewMut<'_, CpuBuffer>, kept: View<'_, CpuBuffer>) {
        let (x, kept) = (RowsMut::from(x), Rows::from(kept));
        assert_eq!((x.rows, codes.room(x.cols)), (kept.rows, kept.cols), "room for codes [T, N]");
        codes::restore(&self.threads, self.isa, codes, x, kept);
    }

    fn through_codes(&self, codes: Codes, x: ViewMut<'_, CpuBuffer>) {
        codes::through(&self.threads, self.isa, codes, x.into());
    }

    fn softcap(&self, x: ViewMut<'_, CpuBuffer>, cap: f32) {
        softcap::softcap(&self.threads, self.isa, x.into(), cap);
    }

    fn token_loss(&self, a: TokenLoss<'_, Self>) -> TokenLossOutput {
        let loss = loss::Loss {
            hidden: a.hidden.into(),
            head: a.head.weight.into(),
            adapter: a.head.adapter,
            rows: a.rows,
            labels: a.labels,
            weights: a.weights,
            chunk: a.chunk,
            softcap: a.softcap,
            d_hidden: a.d_hidden.map(RowsMut::from),
            d_head: a.d_head.map(RowsMut::from),
            d_adapter: a.d_adapter.map(buffer::one_row),
        };
        // A panic of an earlier call leaves nothing in the scratch that this one reads.
        let mut scratch = self.loss.lock().unwrap_or_else(PoisonError::into_inner);
        loss::token_loss(&self.threads, self.method(), &mut scratch, loss)
    }

    fn adamw(
        &self,
        params: &mut CpuBuffer,
        grads: &CpuBuffer,
        m: &mut CpuBuffer,
        v: &mut CpuBuffer,
        step: &AdamW,
    ) {
        let range = || step.range.clone();
        let state = optimizer::State {
            params: &mut params[range()],
            grads: &grads[range()],
            m: &mut m[range()],
            v: &mut v[range()],
        };
        optimizer::adamw(&self.threads, self.isa, state, step);
    }

    fn adamw_8bit(
        &self,
        params: &mut CpuBuffer,
        grads: &CpuBuffer,
        moments: &mut EightBitMoments,
        step: &AdamW,
    ) {
        let range = || step.range.clone();
        optimizer::adamw_8bit(&self.threads, &mut params[range()], &grads[range()], moments, step);
    }

    fn grad_norm(&self, grads: &CpuBuffer) -> f64 {
        optimizer::norm(&self.threads, self.isa, grads)
    }
}

/// A gain, `[rows, width]`, whose rows lie one after another.
fn gain(gain: NormGain<'_, CpuBuffer>, rows: usize, width: usize) -> norm::Gain<'_> {
    let values = Rows::from(gain.values);
    assert_eq!((values.rows, values.cols, values.stride), (rows, width, width), "gain [rows, width]");
    norm::Gain { values: values.data, offset: gain.offset }
}

/// The gradient of a gain.
fn gain_mut(gain: ViewMut<'_, CpuBuffer>, rows: usize, width: usize) -> &mut [f32] {
    let gain = RowsMut::from(gain);
    assert_eq!((gain.rows, gain.cols, gain.stride), (rows, width, width), "gain [rows, width]");
    gain.data
}
