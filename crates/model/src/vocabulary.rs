//! Embedding and head beside an adapter: copies that are trained in full (PEFT's `modules_to_save`), and adapters of
//! their own. The base's tables stay, so that the base still answers when the adapter is off; a head that is tied to the
//! embedding stays tied to the base's, as in PEFT.

use compute::{Adapter, Backend, DeviceBuffer, Linear, LinearGroup, Matrix, Start};

use crate::lora::{EMBEDDING, HEAD, LoraConfig};
use crate::parameters::Layout;
use crate::{Decoder, Error, Result, Tokens};

/// What is trained of an embedding or a head.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct End {
    /// First element of the copy `[V, H]` among the trainable values.
    pub(crate) copy: Option<usize>,
    pub(crate) adapter: Option<EndAdapter>,
}

/// An adapter of a table over the vocabulary.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EndAdapter {
    /// First element of `A`: of a head `[R, H]`, of an embedding `[V, R]`, whose rows are looked up.
    pub(crate) a: usize,
    /// First element of `B`, which lies behind `A`: of a head `[V, R]`, of an embedding `[H, R]`.
    pub(crate) b: usize,
    pub(crate) rank: usize,
    pub(crate) scale: f32,
}

/// What is trained of both.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ends {
    pub(crate) embedding: End,
    pub(crate) head: End,
}

impl Ends {
    /// True if embedding and head differ though the base ties them.
    pub(crate) fn untie(&self) -> bool {
        [self.embedding, self.head].iter().any(|end| end.copy.is_some() || end.adapter.is_some())
    }
}

/// Appends what is trained of the embedding `[V, H]` to the layout.
pub(crate) fn embedding_end(
    layout: &mut Layout,
    (config, seed, shape): (&LoraConfig, u64, Option<crate::lora::AdapterShape>),
    (rows, cols): (usize, usize),
    values: impl FnOnce() -> Vec<f32>,
) -> End {
    let copy =
        config.saves(EMBEDDING).then(|| layout.push(format!("{EMBEDDING}.weight"), rows, cols, values()));
    let adapter = shape.map(|shape| {
        // As PEFT starts it: the side that is looked up at zero, the other normal.
        let (a, b) = (format!("{EMBEDDING}.lora_embedding_A"), format!("{EMBEDDING}.lora_embedding_B"));
        let start = crate::random::normal(seed, &b, cols * shape.rank).collect();
        let a = layout.push_transposed(a, rows, shape.rank, vec![0.0; rows * shape.rank]);
        let b = layout.push(b, cols, shape.rank, start);
        EndAdapter { a, b, rank: shape.rank, scale: shape.scale }
    });
    End { copy, adapter }
}

/// Appends what is trained of the head `[V, H]` to the layout.
pub(crate) fn head_end(
    layout: &mut Layout,
    (config, seed, shape): (&LoraConfig, u64, Option<crate::lora::AdapterShape>),
    (rows, cols): (usize, usize),
    values: impl FnOnce() -> Vec<f32>,
) -> End {
    let copy = config.saves(HEAD).then(|| layout.push(format!("{HEAD}.weight"), rows, cols, values()));
    let adapter = shape.map(|shape| {
        let name = format!("{HEAD}.lora_A.weight");
        let bound = 1.0 / (cols as f32).sqrt();
        let start = crate::random::uniform(seed, &name, bound, shape.rank * cols).collect();
        let a = layout.push(name, shape.rank, cols, start);
        let zeros = vec![0.0; rows * shape.rank];
        let b = layout.push(format!("{HEAD}.lora_B.weight"), rows, shape.rank, zeros);
        EndAdapter { a, b, rank: shape.rank, scale: shape.scale }
    });
    End { copy, adapter }
}

impl<B: Backend> Decoder<B> {
    fn copy(&self, end: End, adapter: bool) -> Option<Matrix<'_, B>> {
        let (rows, cols) = (self.config.vocab_size, self.config.hidden_size);
        let offset = end.copy.filter(|_| adapter)?;
        Some(Matrix::View(self.parameters.values.view(offset, rows, cols)))
    }

    /// The embedding `[V, H]`, its adapter left out.
    pub(crate) fn embedding_matrix(&self, adapter: bool) -> Matrix<'_, B> {
        let base = || self.embedding.matrix(&self.parameters.values);
        self.copy(self.ends.embedding, adapter).unwrap_or_else(base)
    }

    /// The head `[V, H]` with its adapter.
    pub(crate) fn head_linear(&self, adapter: bool) -> Linear<'_, B> {
        let values = &self.parameters.values;
        let base = || self.head().matrix(values);
        let weight = self.copy(self.ends.head, adapter).unwrap_or_else(base);
        let (rows, cols) = (self.config.vocab_size, self.config.hidden_size);
        let adapter = self.ends.head.adapter.filter(|_| adapter).map(|own| Adapter {
            down: Some(Matrix::View(values.view(own.a, own.rank, cols))),
            up: Matrix::View(values.view(own.b, rows, own.rank)),
            column: 0,
            scale: own.scale,
        });
        Linear { weight, adapter }
    }

    /// Ranks of the head's and the embedding's adapters.
    pub(crate) fn end_ranks(&self) -> (usize, usize) {
        let rank = |end: End| end.adapter.map_or(0, |own| own.rank);
        (rank(self.ends.head), rank(self.ends.embedding))
    }

    /// True if the gradient must reach the embeddings.
    pub(crate) fn trains_embedding(&self) -> bool {
        let End { copy, adapter } = self.ends.embedding;
        copy.is_some() || adapter.is_some() || self.embedding.is_trained()
    }

    /// `x += s A[ids] Bᵀ`: `x` `[T, H]`; `t = s A[ids]` `[T, R]` is kept for the backward.
    pub(crate) fn embed_adapter(&self, x: &mut B::Buffer, ids: &[u32], t: &mut B::Buffer) {
        let Some(own) = self.ends.embedding.adapter else { return };
        let (count, h) = (ids.len(), self.config.hidden_size);
        let scale = own.scale * self.config.embedding_scale();
        let values = &self.parameters.values;
        let looked_up = Matrix::View(values.view(own.a, self.config.vocab_size, own.rank));
        self.backend.embed(t.view_mut(0, count, own.rank), ids, looked_up, scale);
        let layers = &[self.embedding_up(own)];
        let (x, t) = (x.view_mut(0, count, h), t.view(0, count, own.rank));
        self.backend.linear(x, None, t, &LinearGroup { layers, rank: 0 }, Start::Output);
    }

    fn embedding_up(&self, own: EndAdapter) -> Linear<'_, B> {
        let up = self.parameters.values.view(own.b, self.config.hidden_size, own.rank);
        Linear { weight: Matrix::View(up), adapter: None }
    }

    /// The gradients of embedding, copy and adapter from that of the embedded tokens, `dx` `[T, H]`.
    pub(crate) fn embed_backward(
        &self,
        tokens: Tokens<'_>,
        dx: &B::Buffer,
        (t, dt): (&B::Buffer, &mut B::Buffer),
        gradients: &mut B::Buffer,
    ) {
        let (count, h, v) = (tokens.ids.len(), self.config.hidden_size, self.config.vocab_size);
        let (dx, scale) = (dx.view(0, count, h), self.config.embedding_scale());
        if let Some(d_table) = self.embedding.gradient(gradients) {
            self.backend.embed_backward(d_table, tokens.ids, dx, scale);
        }
        if let Some(offset) = self.ends.embedding.copy {
            self.backend.embed_backward(gradients.view_mut(offset, v, h), tokens.ids, dx, scale);
        }
        let Some(own) = self.ends.embedding.adapter else { return };
        let t = t.view(0, count, own.rank);
        self.backend.matmul_backward_weight(gradients.view_mut(own.b, h, own.rank), dx, t);
        let layers = &[self.embedding_up(own)];
        let group = LinearGroup { layers, rank: 0 };
        self.backend.linear_backward_input(Some(dt.view_mut(0, count, own.rank)), None, dx, &group);
        let d_looked_up = gradients.view_mut(own.a, v, own.rank);
        let dt = dt.view(0, count, own.rank);
        self.backend.embed_backward(d_looked_up, tokens.ids, dt, own.scale * scale);
    }

    /// Values of the embedding, its copy and its adapter put in.
    pub(crate) fn merged_embedding(&self) -> Vec<f32> {
        let (v, h) = (self.config.vocab_size, self.config.hidden_size);
        let values = self.end_values(self.ends.embedding, &self.embedding);
        let Some(own) = self.ends.embedding.adapter else { return values };
        let (a, b) = (self.trained(own.a, v * own.rank), self.trained(own.b, h * own.rank));
        let terms = |i: usize, j: usize| -> f64 {
            let (a, b) = (&a[i * own.rank..][..own.rank], &b[j * own.rank..][..own.rank]);
            a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        let merged = |(k, w): (usize, f32)| f64::from(w) + f64::from(own.scale) * terms(k / h, k % h);
        values.into_iter().enumerate().map(|pair| merged(pair) as f32).collect()
    }

    /// Values of the head, its copy and its adapter put in.
    pub(crate) fn merged_head(&self) -> Vec<f32> {
        let (v, h) = (self.config.vocab_size, self.config.hidden_size);
        let values = self.end_values(self.ends.head, self.head());
        let Some(own) = self.ends.head.adapter else { return values };
        let (a, b) = (self.trained(own.a, own.rank * h), self.trained(own.b, v * own.rank));
        let terms = |i: usize, j: usize| -> f64 {
            (0..own.rank).map(|q| f64::from(b[i * own.rank + q]) * f64::from(a[q * h + j])).sum()
        };
        let merged = |(k, w): (usize, f32)| f64::from(w) + f64::from(own.scale) * terms(k / h, k % h);
        values.into_iter().enumerate().map(|pair| merged(pair) as f32).collect()
    }

    fn end_values(&self, end: End, table: &crate::projection::Table<B>) -> Vec<f32> {
        match end.copy {
            Some(offset) => self.trained(offset, table.rows * table.cols),
            None => self.table_values(table),
        }
    }

    fn trained(&self, offset: usize, len: usize) -> Vec<f32> {
        let mut values = vec![0.0; len];
        self.backend.read(&self.parameters.values, offset, &mut values);
        values
    }

    /// Refuses a base weight that came with an adapter and is not this base's.
    pub(crate) fn check_base(&self, module: &str, values: &[f32]) -> Result<()> {
        let own = match module {
            EMBEDDING => self.table_values(&self.embedding),
            HEAD => self.table_values(self.head()),
            _ => return Err(Error::Adapter(format!("{module} is neither {EMBEDDING} nor {HEAD}"))),
        };
        // Saved in another type than the base, it may be rounded.
        let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 0.01 * a.abs().max(b.abs());
        match own.len() == values.len() && own.iter().zip(values).all(near) {
            true => Ok(()),
            false => Err(Error::Adapter(format!(
                "it brings a base weight of {module} that is not this base's: was it trained on another model?"
            ))),
        }
    }
}
