//! Linear layers that read the same input: q, k and v; gate and up; or one alone. Each carries its adapter.

use compute::{Adapter, Backend, DeviceBuffer, Linear, LinearGroup, Matrix, Start, View, ViewMut};

use crate::vector::Vector;

/// A matrix of the model: frozen in its storage type, or trained.
#[derive(Debug)]
pub(crate) enum Stored<B: Backend> {
    Frozen(B::Weight),
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
            Stored::Frozen(weight) => Matrix::Weight(weight),
            Stored::Trained(offset) => Matrix::View(values.view(*offset, self.rows, self.cols)),
        }
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
}

/// The `A` sides of a group's adapters, `[Σ R, K]`, one after another among the trainable values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GroupAdapter {
    pub(crate) a: usize,
    pub(crate) rank: usize,
    pub(crate) scale: f32,
    /// Ranks of the groups before this one: the group's `t` `[T, Σ R]` begins `column * T` into the layer's.
    pub(crate) column: usize,
}

/// Linear layers with one input `x` `[T, K]` and their outputs side by side in one row `y` `[T, Σ N]`.
#[derive(Debug)]
pub(crate) struct Projection<B: Backend> {
    pub(crate) modules: Vec<Module<B>>,
    pub(crate) adapter: Option<GroupAdapter>,
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
    /// Calls `run` with the layers as the backend wants them.
    fn with_group<R>(&self, values: &B::Buffer, run: impl FnOnce(&LinearGroup<'_, B>) -> R) -> R {
        let rank = self.adapter.map_or(0, |group| group.rank);
        match &self.modules[..] {
            [q] => run(&LinearGroup { layers: &[self.linear(q, values)], rank }),
            [q, k] => run(&LinearGroup { layers: &[self.linear(q, values), self.linear(k, values)], rank }),
            [q, k, v] => {
                let layers = &[self.linear(q, values), self.linear(k, values), self.linear(v, values)];
                run(&LinearGroup { layers, rank })
            }
            modules => unreachable!("a group of {} modules", modules.len()),
        }
    }

    fn linear<'a>(&self, module: &'a Module<B>, values: &'a B::Buffer) -> Linear<'a, B> {
        let adapter = self.adapter.zip(module.adapter).map(|(group, own)| Adapter {
            down: Matrix::View(values.view(group.a + own.column * self.input, own.rank, self.input)),
            up: Matrix::View(values.view(own.b, module.weight.rows, own.rank)),
            column: own.column,
            scale: group.scale,
        });
        Linear { weight: module.weight.matrix(values), adapter }
    }

    /// `y = start + x Wᵀ + t Bᵀ`, writing `t = s x Aᵀ` into the group's columns of `t`.
    pub(crate) fn forward(
        &self,
        backend: &B,
        values: &B::Buffer,
        x: View<'_, B::Buffer>,
        (y, residual): (&mut B::Buffer, Option<&B::Buffer>),
        t: Option<&mut B::Buffer>,
    ) {
        let tokens = x.rows;
        let t = self.adapter.zip(t).map(|(group, t)| t.view_mut(group.column * tokens, tokens, group.rank));
        let start = match residual {
            Some(residual) => Start::From(residual.view(0, tokens, self.output)),
            None => Start::Zero,
        };
        let y = y.view_mut(0, tokens, self.output);
        self.with_group(values, |group| backend.linear(y, t, x, group, start));
    }

    /// `dt = s dy B` into the scratch `dt` `[T, Σ R]`, the gradients of the `B` sides from the `t` of the forward,
    /// and, where `dx` is given, `dx = dy W + dt A`.
    pub(crate) fn backward_input(
        &self,
        backend: &B,
        run: &mut Backward<'_, B>,
        t: &B::Buffer,
        dt: &mut B::Buffer,
        dx: Option<&mut B::Buffer>,
    ) {
        let tokens = run.dy.rows;
        if let Some(group) = self.adapter {
            let t = t.view(group.column * tokens, tokens, group.rank);
            for module in &self.modules {
                let Some(own) = module.adapter else { continue };
                let db = run.gradients.view_mut(own.b, module.weight.rows, own.rank);
                let dy = run.dy.columns(module.column, module.weight.rows);
                backend.matmul_backward_weight(db, dy, t.columns(own.column, own.rank));
            }
        }
        let dt = self.adapter.map(|group| dt.view_mut(0, tokens, group.rank));
        let dx = dx.map(|dx| dx.view_mut(0, tokens, self.input));
        self.with_group(run.values, |group| backend.linear_backward_input(dx, dt, run.dy, group));
    }

    /// The gradients that need the input: `dA += dtᵀ x`, and `dW += dyᵀ x` of trained weights.
    pub(crate) fn backward_weight(
        &self,
        backend: &B,
        run: &mut Backward<'_, B>,
        dt: &B::Buffer,
        x: View<'_, B::Buffer>,
    ) {
        if let Some(group) = self.adapter {
            let da = run.gradients.view_mut(group.a, group.rank, self.input);
            backend.matmul_backward_weight(da, dt.view(0, x.rows, group.rank), x);
        }
        for module in &self.modules {
            let dy = run.dy.columns(module.column, module.weight.rows);
            if let Some(dw) = module.weight.gradient(run.gradients) {
                backend.matmul_backward_weight(dw, dy, x);
            }
        }
    }
}
