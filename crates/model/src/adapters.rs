//! What adapters do in a pass beyond the low-rank product: dropout on their inputs, DoRA's lengths, PiSSA's anchors.

use compute::{
    Adapter, Backend, DeviceBuffer, Dropout, Linear, LinearGroup, Magnitude, MagnitudeBackward, Matrix,
    Start, View, ViewMut,
};

use crate::projection::{GroupAdapter, Module, Projection};
use crate::stack::AdapterRows;
use crate::{Decoder, Result};

/// Memory of a pass; each buffer is empty where no adapter needs it.
#[derive(Debug)]
pub(crate) struct AdapterScratch<Buf> {
    /// Keys of the rows' dropout masks, `[T]`; empty: nothing is dropped.
    pub(crate) keys: Vec<u64>,
    /// Which rows have which of the adapters that lie side by side; empty: all have all of them.
    pub(crate) rows: Vec<AdapterRows>,
    /// The input of one module under its mask, `[T, K]`.
    pub(crate) masked: Buf,
    /// Lengths of the rows of all DoRA weights with their adapters.
    pub(crate) norms: Buf,
    /// Gradient of a group's product before DoRA's factor, `[T, Σ N]`.
    pub(crate) d_outputs: Buf,
    /// The low-rank side of a group's anchors, `[T, Σ R]`.
    pub(crate) anchored: Buf,
    /// The low-rank side of the embedding's adapter, `[T, R]`.
    pub(crate) embedded: Buf,
    /// Its gradient.
    pub(crate) d_embedded: Buf,
    /// Whether the adapter answered in the last forward.
    pub(crate) on: bool,
}

/// What the adapters of a layer write in the forward.
pub(crate) struct AdapterForward<'a, Buf> {
    /// `s x Aᵀ`, group after group `[T, Σ R]`.
    pub(crate) t: &'a mut Buf,
    /// With DoRA the products before their factor, group after group `[T, Σ N]`.
    pub(crate) outputs: &'a mut Buf,
    pub(crate) scratch: &'a mut AdapterScratch<Buf>,
}

/// What they read of it in the backward.
pub(crate) struct AdapterBackward<'a, Buf> {
    pub(crate) t: &'a Buf,
    pub(crate) dt: &'a mut Buf,
    pub(crate) outputs: &'a Buf,
    pub(crate) scratch: &'a mut AdapterScratch<Buf>,
}

impl<Buf> AdapterScratch<Buf> {
    /// The dropout of `group` in this pass, if there is any, with 1 as its scale.
    pub(crate) fn dropout(keys: &[u64], group: GroupAdapter) -> Option<Dropout<'_>> {
        let probability = group.dropout;
        let on = probability > 0.0 && !keys.is_empty();
        on.then_some(Dropout { keys, stream: 0, probability, scale: 1.0 / (1.0 - probability) })
    }
}

/// Widths of [`AdapterScratch`] and of a layer's products.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AdapterWidths {
    pub(crate) masked: usize,
    pub(crate) d_outputs: usize,
    pub(crate) anchored: usize,
    pub(crate) embedded: usize,
    /// Kept in each layer.
    pub(crate) outputs: usize,
}

impl AdapterWidths {
    /// Of [`AdapterScratch`] in training.
    pub(crate) fn scratch(&self) -> usize {
        self.masked + self.d_outputs + self.anchored + 2 * self.embedded
    }
}

impl<B: Backend> Decoder<B> {
    /// What a token takes.
    pub(crate) fn adapter_widths(&self) -> AdapterWidths {
        let (_, embedded) = self.end_ranks();
        let mut widths = AdapterWidths { embedded, ..AdapterWidths::default() };
        for layer in &self.layers {
            let mut outputs = 0;
            for (projection, group) in layer.projections().into_iter().filter_map(|p| Some((p, p.adapter?))) {
                if group.dropout > 0.0 {
                    widths.masked = widths.masked.max(projection.input);
                }
                if group.dora.is_some() {
                    widths.d_outputs = widths.d_outputs.max(projection.output);
                    outputs += projection.output;
                }
                if projection.anchor.is_some() {
                    widths.anchored = widths.anchored.max(group.rank);
                }
            }
            widths.outputs = widths.outputs.max(outputs);
        }
        widths
    }

    /// Memory for passes of up to `capacity` tokens.
    pub(crate) fn adapter_scratch(
        &self,
        capacity: usize,
        training: bool,
    ) -> Result<AdapterScratch<B::Buffer>> {
        let widths = self.adapter_widths();
        let zeros = |wanted, width: usize| {
            self.backend.zeros("adapter activations", if wanted { capacity * width } else { 0 })
        };
        let mut scratch = AdapterScratch {
            keys: Vec::new(),
            rows: Vec::new(),
            masked: zeros(training, widths.masked)?,
            norms: self.backend.zeros("weight norms", self.squares.len())?,
            d_outputs: zeros(training, widths.d_outputs)?,
            anchored: zeros(true, widths.anchored)?,
            embedded: zeros(true, widths.embedded)?,
            d_embedded: zeros(training, widths.embedded)?,
            on: true,
        };
        self.weight_norms(&mut scratch.norms);
        Ok(scratch)
    }

    /// The lengths of DoRA's weights as the adapters are now.
    pub(crate) fn weight_norms(&self, norms: &mut B::Buffer) {
        let values = &self.parameters.values;
        for (_, projection, module) in self.modules() {
            let Some((own, dora)) = module.adapter.and_then(|own| Some((own, own.dora?))) else { continue };
            let rows = module.weight.rows;
            let Linear { weight, adapter: Some(adapter) } = projection.linear(module, values, false) else {
                unreachable!("a module of rank {} without an adapter", own.rank)
            };
            let squares = self.squares.view(dora.norm, 1, rows);
            self.backend.weight_norms(norms.view_mut(dora.norm, 1, rows), squares, weight, &adapter);
        }
    }
}

/// What a projection's base holds twice: PiSSA (Meng et al. 2024) starts an adapter at the principal part of the weight
/// and takes that part, `s B₀ A₀`, off the base. Here the weight stays as it is, and the part is taken off its output.
#[derive(Debug)]
pub(crate) struct Anchor<B: Backend> {
    /// The `A₀` of the group side by side, transposed: `[K, Σ R]`.
    pub(crate) down: B::Weight,
    /// `-s B₀` of each module that carries an adapter, `[N, R]`.
    pub(crate) ups: Vec<B::Weight>,
}

impl<B: Backend> Projection<B> {
    /// The modules that carry an adapter.
    pub(crate) fn adapted(&self) -> impl Iterator<Item = (&Module<B>, crate::projection::ModuleAdapter)> {
        self.modules.iter().filter_map(|module| Some((module, module.adapter?)))
    }

    fn down<'a>(&self, values: &'a B::Buffer, group: GroupAdapter, module: &Module<B>) -> Matrix<'a, B> {
        let own = module.adapter.expect("an adapted module");
        Matrix::View(values.view(group.a + own.column * self.input, own.rank, self.input))
    }

    /// `t = s dropout(x) Aᵀ`, module by module: each has a mask of its own, as in PEFT.
    pub(crate) fn masked_forward(
        &self,
        backend: &B,
        (values, x): (&B::Buffer, View<'_, B::Buffer>),
        (group, dropout): (GroupAdapter, Dropout<'_>),
        (masked, t): (&mut B::Buffer, &mut B::Buffer),
    ) {
        for (module, own) in self.adapted() {
            let mask = Dropout { stream: own.number, scale: dropout.scale * own.scale, ..dropout };
            backend.dropout(masked.view_mut(0, x.rows, self.input), x, false, &mask);
            let t = t.view_mut(group.column * x.rows, x.rows, group.rank).columns(own.column, own.rank);
            backend.matmul(t, masked.view(0, x.rows, self.input), self.down(values, group, module));
        }
    }

    /// `dx += mask ∘ (dt A) / (1 - p)`.
    pub(crate) fn masked_backward_input(
        &self,
        backend: &B,
        values: &B::Buffer,
        (group, dropout): (GroupAdapter, Dropout<'_>),
        (masked, dt, dx): (&mut B::Buffer, &B::Buffer, &mut B::Buffer),
    ) {
        let tokens = dropout.keys.len();
        for (module, own) in self.adapted() {
            let dt = dt.view(0, tokens, group.rank).columns(own.column, own.rank);
            let layers = &[Linear { weight: self.down(values, group, module), adapter: None }];
            let through = masked.view_mut(0, tokens, self.input);
            backend.linear_backward_input(Some(through), None, dt, &LinearGroup { layers, rank: 0 });
            let mask = Dropout { stream: own.number, ..dropout };
            let (dx, through) = (dx.view_mut(0, tokens, self.input), masked.view(0, tokens, self.input));
            backend.dropout(dx, through, true, &mask);
        }
    }

    /// `dA += dtᵀ dropout(x)`.
    pub(crate) fn masked_backward_weight(
        &self,
        backend: &B,
        (gradients, x): (&mut B::Buffer, View<'_, B::Buffer>),
        (group, dropout): (GroupAdapter, Dropout<'_>),
        (masked, dt): (&mut B::Buffer, &B::Buffer),
    ) {
        for (_, own) in self.adapted() {
            let mask = Dropout { stream: own.number, ..dropout };
            backend.dropout(masked.view_mut(0, x.rows, self.input), x, false, &mask);
            let da = gradients.view_mut(group.a + own.column * self.input, own.rank, self.input);
            let dt = dt.view(0, x.rows, group.rank).columns(own.column, own.rank);
            backend.matmul_backward_weight(da, dt, masked.view(0, x.rows, self.input));
        }
    }

    /// DoRA: `y = start + m / |W + s B A| ∘ u`.
    pub(crate) fn magnitudes(
        &self,
        backend: &B,
        (values, norms): (&B::Buffer, &B::Buffer),
        (y, u): (&mut B::Buffer, View<'_, B::Buffer>),
        start: Option<View<'_, B::Buffer>>,
    ) {
        for module in &self.modules {
            let (column, rows) = (module.column, module.weight.rows);
            let y = y.view_mut(0, u.rows, self.output).columns(column, rows);
            let start = start.map(|start| start.columns(column, rows));
            backend.magnitude(y, u.columns(column, rows), start, module.magnitude(values, norms));
        }
    }

    /// The gradients of the lengths and, into `du`, that of the product before them.
    pub(crate) fn magnitudes_backward(
        &self,
        backend: &B,
        (values, norms, gradients): (&B::Buffer, &B::Buffer, &mut B::Buffer),
        (dy, u): (View<'_, B::Buffer>, View<'_, B::Buffer>),
        du: &mut B::Buffer,
    ) {
        for module in &self.modules {
            let (column, rows) = (module.column, module.weight.rows);
            let du = du.view_mut(0, dy.rows, self.output).columns(column, rows);
            let dy = dy.columns(column, rows);
            match module.magnitude(values, norms).zip(module.adapter.and_then(|own| own.dora)) {
                Some((magnitude, dora)) => {
                    let d_magnitude = gradients.view_mut(dora.magnitude, 1, rows);
                    let u = u.columns(column, rows);
                    backend.magnitude_backward(MagnitudeBackward { du, d_magnitude, dy, u, magnitude });
                }
                None => backend.magnitude(du, dy, None, None),
            }
        }
    }
}

impl<B: Backend> Module<B> {
    fn magnitude<'a>(&self, values: &'a B::Buffer, norms: &'a B::Buffer) -> Option<Magnitude<'a, B::Buffer>> {
        let (dora, rows) = (self.adapter?.dora?, self.weight.rows);
        Some(Magnitude {
            magnitude: values.view(dora.magnitude, 1, rows),
            norm: norms.view(dora.norm, 1, rows),
        })
    }
}

impl<B: Backend> Anchor<B> {
    /// `y -= s (x A₀ᵀ) B₀ᵀ`.
    pub(crate) fn forward(
        &self,
        backend: &B,
        projection: &Projection<B>,
        (y, x): (&mut B::Buffer, View<'_, B::Buffer>),
        anchored: &mut B::Buffer,
    ) {
        let Some(group) = projection.adapter else { return };
        let low = anchored.view_mut(0, x.rows, group.rank);
        backend.linear_backward_input(Some(low), None, x, &alone(&[frozen(&self.down)]));
        for ((module, own), up) in projection.adapted().zip(&self.ups) {
            let y = y.view_mut(0, x.rows, projection.output).columns(module.column, module.weight.rows);
            let low = anchored.view(0, x.rows, group.rank).columns(own.column, own.rank);
            backend.linear(y, None, low, &alone(&[frozen(up)]), Start::Output);
        }
    }

    /// `dx -= s dy B₀ A₀`.
    pub(crate) fn backward(
        &self,
        backend: &B,
        projection: &Projection<B>,
        (dx, dy): (ViewMut<'_, B::Buffer>, View<'_, B::Buffer>),
        anchored: &mut B::Buffer,
    ) {
        let Some(group) = projection.adapter else { return };
        for ((module, own), up) in projection.adapted().zip(&self.ups) {
            let low = anchored.view_mut(0, dy.rows, group.rank).columns(own.column, own.rank);
            let dy = dy.columns(module.column, module.weight.rows);
            backend.linear_backward_input(Some(low), None, dy, &alone(&[frozen(up)]));
        }
        let low = anchored.view(0, dy.rows, group.rank);
        backend.linear(dx, None, low, &alone(&[frozen(&self.down)]), Start::Output);
    }
}

fn frozen<B: Backend>(weight: &B::Weight) -> Linear<'_, B> {
    Linear { weight: Matrix::Weight(weight), adapter: None::<Adapter<'_, B>> }
}

fn alone<'a, B: Backend>(layers: &'a [Linear<'a, B>; 1]) -> LinearGroup<'a, B> {
    LinearGroup { layers, rank: 0 }
}
