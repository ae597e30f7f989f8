//! Linear layers that read the same input: q, k and v; gate and up; or one alone. Each carries its adapter.

use std::sync::Arc;

use compute::{Adapter, Backend, DeviceBuffer, Linear, LinearGroup, Matrix, Start, View, ViewMut};

use crate::adapters::{AdapterBackward, AdapterForward, AdapterScratch, Anchor};
use crate::stack::Member;
use crate::vector::Vector;

/// A matrix of the model: frozen in its storage type, or trained.
#[derive(Debug)]
pub(crate) enum Stored<B: Backend> {
    /// Decoders with other adapters on the same base share it.
    Frozen(Arc<B::Weight>),
    /// First element among the trainable values.
    Trained(usize),
}

/// A matrix `[rows, cols]`.
#[derive(Debug)]
pub(crate) struct Table<B: Backend> {
    pub(crate) stored: Stored<B>,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
}

impl<B: Backend> Table<B> {
    pub(crate) fn matrix<'a>(&'a self, values: &'a B::Buffer) -> Matrix<'a, B> {
        match &self.stored {
            Stored::Frozen(weight) => Matrix::Weight(weight.as_ref()),
            Stored::Trained(offset) => Matrix::View(values.view(*offset, self.rows, self.cols)),
        }
    }

    pub(crate) fn is_trained(&self) -> bool {
        matches!(self.stored, Stored::Trained(_))
    }

    /// The place of this matrix in the gradients, if it is trained.
    pub(crate) fn gradient<'a>(&self, gradients: &'a mut B::Buffer) -> Option<ViewMut<'a, B::Buffer>> {
        match self.stored {
            Stored::Frozen(_) => None,
            Stored::Trained(offset) => Some(gradients.view_mut(offset, self.rows, self.cols)),
        }
    }
}

/// The `B` side of one module's adapter; the `A` sides of a group lie together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ModuleAdapter {
    /// First element of `B` among the trainable values.
    pub(crate) b: usize,
    /// First column of this module in the group's `t = s x Aᵀ`.
    pub(crate) column: usize,
    pub(crate) rank: usize,
    pub(crate) scale: f32,
    /// Number of the module in its model, by which its dropout differs from others.
    pub(crate) number: u64,
    pub(crate) dora: Option<ModuleDora>,
}

/// The lengths of the rows of one module's weight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ModuleDora {
    /// First element of the lengths among the trainable values.
    pub(crate) magnitude: usize,
    /// First element of the base's squared lengths in [`crate::Decoder::squares`], and of the lengths with the adapter
    /// in [`AdapterScratch::norms`](crate::adapters::AdapterScratch::norms).
    pub(crate) norm: usize,
}

/// One named linear layer `[N, K]` of a group.
#[derive(Debug)]
pub(crate) struct Module<B: Backend> {
    /// Path below the layer, such as `self_attn.q_proj`.
    pub(crate) name: &'static str,
    pub(crate) weight: Table<B>,
    /// First column in the group's output.
    pub(crate) column: usize,
    pub(crate) adapter: Option<ModuleAdapter>,
    /// What `adapter` is made of, where several lie side by side in it.
    pub(crate) members: Vec<Member>,
}

impl<B: Backend> Module<B> {
    /// The adapter with this number of those that lie side by side; the only one, where it is alone.
    pub(crate) fn member(&self, number: usize) -> Option<(ModuleAdapter, Member)> {
        let own = self.adapter?;
        let alone = Member { column: 0, rank: own.rank, scale: own.scale };
        let member = self.members.get(number).copied().unwrap_or(alone);
        (member.rank > 0).then_some((own, member))
    }
}

/// The `A` sides of a group's adapters, `[Σ R, K]`, one after another among the trainable values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GroupAdapter {
    pub(crate) a: usize,
    /// `Σ R`.
    pub(crate) rank: usize,
    /// Ranks of the groups before this one: the group's `t` `[T, Σ R]` begins `column * T` into the layer's.
    pub(crate) column: usize,
    /// Share of the inputs of `A` that are dropped in training.
    pub(crate) dropout: f32,
    /// With DoRA, outputs of the groups before this one: the group's product `[T, Σ N]` begins so many times `T` into
    /// the layer's.
    pub(crate) dora: Option<usize>,
}

/// Linear layers with one input `x` `[T, K]` and their outputs side by side in one row `y` `[T, Σ N]`.
#[derive(Debug)]
pub(crate) struct Projection<B: Backend> {
    pub(crate) modules: Vec<Module<B>>,
    pub(crate) adapter: Option<GroupAdapter>,
    /// What PiSSA takes off the output.
    pub(crate) anchor: Option<Anchor<B>>,
    /// The biases of all modules, side by side, `[1, Σ N]`.
    pub(crate) bias: Option<Vector>,
    pub(crate) input: usize,
    pub(crate) output: usize,
}

/// Operands of a projection's backward.
pub(crate) struct Backward<'a, B: Backend> {
    pub(crate) values: &'a B::Buffer,
    pub(crate) gradients: &'a mut B::Buffer,
    /// Gradient of the output, `[T, Σ N]`.
    pub(crate) dy: View<'a, B::Buffer>,
}

impl<B: Backend> Projection<B> {
    /// Calls `run` with the layers as the backend wants them. With `made` the low-rank side is already there.
    fn with_group<R>(&self, values: &B::Buffer, made: bool, run: impl FnOnce(&LinearGroup<'_, B>) -> R) -> R {
        self.with_layers(|module| self.linear(module, values, made), run)
    }

    /// Calls `run` with what `linear` makes of the modules.
    pub(crate) fn with_layers<'a, R>(
        &'a self,
        linear: impl Fn(&'a Module<B>) -> Linear<'a, B>,
        run: impl FnOnce(&LinearGroup<'_, B>) -> R,
    ) -> R {
        let rank = self.adapter.map_or(0, |group| group.rank);
        match &self.modules[..] {
            [q] => run(&LinearGroup { layers: &[linear(q)], rank }),
            [q, k] => run(&LinearGroup { layers: &[linear(q), linear(k)], rank }),
            [q, k, v] => run(&LinearGroup { layers: &[linear(q), linear(k), linear(v)], rank }),
            modules => unreachable!("a group of {} modules", modules.len()),
        }
    }

    pub(crate) fn linear<'a>(
        &self,
        module: &'a Module<B>,
        values: &'a B::Buffer,
        made: bool,
    ) -> Linear<'a, B> {
        let adapter = self.adapter.zip(module.adapter).map(|(group, own)| {
            let down = values.view(group.a + own.column * self.input, own.rank, self.input);
            Adapter {
                down: (!made).then_some(Matrix::View(down)),
                up: Matrix::View(values.view(own.b, module.weight.rows, own.rank)),
                column: own.column,
                scale: own.scale,
            }
        });
        Linear { weight: module.weight.matrix(values), adapter }
    }

    /// `y = start + x Wᵀ + t Bᵀ`, writing `t = s x Aᵀ` into the group's columns of `t`; without `adapters` the base
    /// alone.
    pub(crate) fn forward(
        &self,
        backend: &B,
        values: &B::Buffer,
        x: View<'_, B::Buffer>,
        (y, residual): (&mut B::Buffer, Option<&B::Buffer>),
        adapters: Option<&mut AdapterForward<'_, B::Buffer>>,
    ) {
        let tokens = x.rows;
        let residual = residual.map(|residual| residual.view(0, tokens, self.output));
        let start = residual.map_or(Start::Zero, Start::From);
        let Some((group, adapters)) = self.adapter.zip(adapters) else {
            let y = y.view_mut(0, tokens, self.output);
            return self.with_group(values, false, |group| backend.linear(y, None, x, group, start));
        };
        let AdapterForward { t, outputs, scratch } = adapters;
        let dropout = AdapterScratch::<B::Buffer>::dropout(&scratch.keys, group);
        if let Some(dropout) = dropout {
            self.masked_forward(backend, (values, x), (group, dropout), (&mut scratch.masked, t));
        }
        if !scratch.rows.is_empty() {
            let rows = &scratch.rows[..];
            self.stacked_low(backend, (values, x), (group, rows), t);
            let low = Some(t.view_mut(group.column * tokens, tokens, group.rank));
            let linear = |module| self.stacked_linear(module, values, rows);
            let y = y.view_mut(0, tokens, self.output);
            return self.with_layers(linear, |group| backend.linear(y, low, x, group, start));
        }
        let low = Some(t.view_mut(group.column * tokens, tokens, group.rank));
        let product = |y, start| {
            self.with_group(values, dropout.is_some(), |group| backend.linear(y, low, x, group, start));
        };
        match group.dora {
            None => product(y.view_mut(0, tokens, self.output), start),
            Some(column) => {
                product(outputs.view_mut(column * tokens, tokens, self.output), Start::Zero);
                let u = outputs.view(column * tokens, tokens, self.output);
                self.magnitudes(backend, (values, &scratch.norms), (&mut *y, u), residual);
            }
        }
        if let Some(anchor) = &self.anchor {
            anchor.forward(backend, self, (y, x), &mut scratch.anchored);
        }
    }

    /// `dt = s dy B`, the gradients of the `B` sides from the `t` of the forward, and, where `dx` is given,
    /// `dx = dy W + dt A`.
    pub(crate) fn backward_input(
        &self,
        backend: &B,
        run: &mut Backward<'_, B>,
        adapters: &mut AdapterBackward<'_, B::Buffer>,
        mut dx: Option<&mut B::Buffer>,
    ) {
        let (tokens, values) = (run.dy.rows, run.values);
        let AdapterBackward { t, dt, outputs, scratch } = adapters;
        let AdapterScratch { keys, masked, norms, d_outputs, anchored, .. } = &mut **scratch;
        let mut dy = run.dy;
        let mut dropout = None;
        if let Some(group) = self.adapter {
            dropout = AdapterScratch::<B::Buffer>::dropout(keys, group);
            if let Some(column) = group.dora {
                let u = outputs.view(column * tokens, tokens, self.output);
                self.magnitudes_backward(backend, (values, norms, run.gradients), (dy, u), d_outputs);
                dy = d_outputs.view(0, tokens, self.output);
            }
            let t = t.view(group.column * tokens, tokens, group.rank);
            for (module, own) in self.adapted() {
                let db = run.gradients.view_mut(own.b, module.weight.rows, own.rank);
                let dy = dy.columns(module.column, module.weight.rows);
                backend.matmul_backward_weight(db, dy, t.columns(own.column, own.rank));
            }
        }
        let low = self.adapter.map(|group| dt.view_mut(0, tokens, group.rank));
        let to = dx.as_deref_mut().map(|dx| dx.view_mut(0, tokens, self.input));
        self.with_group(values, dropout.is_some(), |group| {
            backend.linear_backward_input(to, low, dy, group);
        });
        let Some((group, dx)) = self.adapter.zip(dx) else { return };
        if let Some(dropout) = dropout {
            self.masked_backward_input(backend, values, (group, dropout), (masked, dt, &mut *dx));
        }
        if let Some(anchor) = &self.anchor {
            anchor.backward(backend, self, (dx.view_mut(0, tokens, self.input), dy), anchored);
        }
    }

    /// The gradients that need the input: `dA += dtᵀ x`, and `dW += dyᵀ x` of trained weights.
    pub(crate) fn backward_weight(
        &self,
        backend: &B,
        run: &mut Backward<'_, B>,
        adapters: &mut AdapterBackward<'_, B::Buffer>,
        x: View<'_, B::Buffer>,
    ) {
        if let Some(group) = self.adapter {
            let AdapterScratch { keys, masked, .. } = &mut *adapters.scratch;
            match AdapterScratch::<B::Buffer>::dropout(keys, group) {
                Some(dropout) => {
                    let own = (&mut *run.gradients, x);
                    self.masked_backward_weight(backend, own, (group, dropout), (masked, adapters.dt));
                }
                None => {
                    let da = run.gradients.view_mut(group.a, group.rank, self.input);
                    backend.matmul_backward_weight(da, adapters.dt.view(0, x.rows, group.rank), x);
                }
            }
        }
        for module in &self.modules {
            let dy = run.dy.columns(module.column, module.weight.rows);
            if let Some(dw) = module.weight.gradient(run.gradients) {
                backend.matmul_backward_weight(dw, dy, x);
            }
        }
    }
}
