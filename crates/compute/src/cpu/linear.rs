//! Groups of linear layers with their adapters, as products that share their left side.

use super::buffer::{Rows, RowsMut, Weights, by_rows, task_rows};
use super::gemm::{Gemm, Init, Low, MAX_PARTS, Method, Operand, Part, Tail, gemm};
use super::integer::{Activations, Addend, Factor, Output, Panels, product};
use super::{Cpu, CpuBuffer, Threads};
use crate::{Adapter, Linear, LinearGroup, Matrix, Start};

/// Operands of [`forward`].
pub(super) struct Forward<'a> {
    pub(super) y: RowsMut<'a>,
    pub(super) t: Option<RowsMut<'a>>,
    pub(super) x: Rows<'a>,
    pub(super) start: Start<'a, CpuBuffer>,
}

/// `y = start + x Wᵀ + t Bᵀ` with `t = scale · x Aᵀ`; see [`crate::Backend::linear`].
pub(super) fn forward(threads: &Threads, method: Method, group: &LinearGroup<'_, Cpu>, f: Forward<'_>) {
    let Forward { y, t, x, start } = f;
    let (rows, depth) = (x.rows, x.cols);
    assert!(group.layers.len() <= MAX_PARTS, "a group of {} layers", group.layers.len());
    assert_eq!((y.rows, y.cols), (rows, group.column(group.layers.len())), "output [T, Σ N]");
    let start = Starts::new(start, &y);
    let adapters = group.layers.iter().map(|layer| layer.adapter.as_ref().filter(|_| t.is_some()));
    let downs = parts(adapters.clone().map(|adapter| adapter.and_then(|a| a.down_part(depth))));
    let parts = parts(group.layers.iter().zip(adapters).enumerate().map(|(i, (layer, adapter))| {
        let weight = Weights::from(layer.weight);
        assert_eq!(weight.cols, depth, "weight [N, K]");
        let tail = adapter.map(|adapter| {
            let up = Weights::from(adapter.up);
            assert_eq!(up.rows, weight.rows, "B [N, R]");
            Tail { column: adapter.column, depth: up.cols, right: up.along_cols() }
        });
        let column = group.column(i);
        let whole = Part::whole(weight.rows, weight.along_cols(), start.at(column));
        Some(Part { column, tail, ..whole })
    }));
    let low = t.map(|t| {
        assert_eq!((t.rows, t.cols), (rows, group.rank), "t [T, Σ R]");
        Low { parts: &downs, c: t.data, stride: t.stride }
    });
    let (left, parts) = (x.operand(), &parts[..]);
    gemm(threads, method, Gemm { rows, depth, left, low, parts, c: y.data, stride: y.stride });
}

/// `t = scale · x Aᵀ`; see [`crate::Backend::low_rank`].
pub(super) fn low_rank(
    threads: &Threads,
    method: Method,
    group: &LinearGroup<'_, Cpu>,
    (t, x): (RowsMut<'_>, Rows<'_>),
) {
    assert_eq!((t.rows, t.cols), (x.rows, group.rank), "t [T, Σ R]");
    let adapters = group.layers.iter().map(|layer| layer.adapter.as_ref());
    let downs = parts(adapters.map(|adapter| adapter.and_then(|a| a.down_part(x.cols))));
    let (rows, depth, left) = (x.rows, x.cols, x.operand());
    let low = Some(Low { parts: &downs, c: t.data, stride: t.stride });
    gemm(threads, method, Gemm { rows, depth, left, low, parts: &[], c: &mut [], stride: 0 });
}

/// As [`forward`], for a group with layers in panels: one product for these, and one for every other layer and adapter.
pub(super) fn forward_of_integers(
    cpu: &Cpu,
    activations: &mut Activations,
    group: &LinearGroup<'_, Cpu>,
    f: Forward<'_>,
) {
    let Forward { mut y, mut t, x, start } = f;
    let addend = match start {
        Start::Zero => Addend::Nothing,
        Start::Output => Addend::Output,
        Start::From(view) if group.layers.iter().all(|layer| layer.panels().is_some()) => {
            Addend::Rows(view.into())
        }
        Start::From(view) => {
            let start = Rows::from(view);
            assert_eq!((start.rows, start.cols), (y.rows, y.cols), "start as the output");
            by_rows(&cpu.threads, task_rows(y.cols), [y.reborrow()], |first, [mut y]| {
                (0..y.rows).for_each(|i| y.row(i).copy_from_slice(start.row(first + i)));
            });
            Addend::Output
        }
    };
    assert_eq!(y.cols, group.column(group.layers.len()), "output [T, Σ N]");
    activations.quantize(&cpu.threads, cpu.isa, Rows { ..x });
    let factors = group.layers.iter().enumerate().filter_map(|(i, layer)| {
        let weight = layer.panels()?;
        Some(Factor { weight, column: group.column(i) })
    });
    product(&cpu.threads, cpu.isa, activations, factors, Output { y: y.reborrow(), addend });
    for (i, layer) in group.layers.iter().enumerate() {
        let weight = Weights::from(layer.weight);
        assert_eq!(weight.cols, x.cols, "weight [N, K]");
        let from = group.column(i).min(y.data.len());
        let data = &mut y.data[from..];
        let mut own = RowsMut { data, rows: y.rows, cols: weight.rows, stride: y.stride };
        if layer.panels().is_none() {
            let init = if matches!(addend, Addend::Nothing) { Init::Zero } else { Init::Output };
            let part = Part::whole(weight.rows, weight.along_cols(), init);
            single(cpu, own.reborrow(), x.operand(), (x.rows, x.cols), part);
        }
        if let (Some(t), Some(adapter)) = (&mut t, &layer.adapter) {
            adapt(cpu, own, t, x, adapter);
        }
    }
}

impl LinearGroup<'_, Cpu> {
    /// Where the columns of a layer begin in the output.
    fn column(&self, layer: usize) -> usize {
        self.layers[..layer].iter().map(|layer| Weights::from(layer.weight).rows).sum()
    }
}

impl Linear<'_, Cpu> {
    /// The weight, where it lies in panels.
    pub(super) fn panels(&self) -> Option<&Panels> {
        match self.weight {
            Matrix::Weight(weight) => weight.panels(),
            Matrix::View(_) => None,
        }
    }
}

/// `t = scale · x Aᵀ` and `y += t Bᵀ`.
fn adapt(cpu: &Cpu, y: RowsMut<'_>, t: &mut RowsMut<'_>, x: Rows<'_>, adapter: &Adapter<'_, Cpu>) {
    let up = Weights::from(adapter.up);
    let (rank, stride) = (up.cols, t.stride);
    if let Some(part) = adapter.down_part(x.cols) {
        let own = RowsMut { data: &mut *t.data, rows: t.rows, cols: t.cols, stride };
        single(cpu, own, x.operand(), (x.rows, x.cols), part);
    }
    let low = Rows { data: &t.data[adapter.column..], rows: x.rows, cols: rank, stride };
    let part = Part::whole(up.rows, up.along_cols(), Init::Output);
    single(cpu, y, low.operand(), (x.rows, rank), part);
}

/// One product.
fn single(cpu: &Cpu, y: RowsMut<'_>, left: Operand<'_>, (rows, depth): (usize, usize), part: Part<'_>) {
    let parts = &[part];
    gemm(
        &cpu.threads,
        cpu.method(),
        Gemm { rows, depth, left, low: None, parts, c: y.data, stride: y.stride },
    );
}

impl Adapter<'_, Cpu> {
    /// `t = scale · x Aᵀ`.
    pub(super) fn down_part(&self, depth: usize) -> Option<Part<'_>> {
        let down = Weights::from(self.down?);
        assert_eq!(down.cols, depth, "A [R, K]");
        let whole = Part::whole(down.rows, down.along_cols(), Init::Zero);
        Some(Part { column: self.column, alpha: self.scale, ..whole })
    }

    /// `dt = scale · dy B`.
    pub(super) fn up_part(&self, depth: usize) -> Part<'_> {
        let up = Weights::from(self.up);
        assert_eq!(up.rows, depth, "B [N, R]");
        let whole = Part::whole(up.cols, up.along_rows(), Init::Zero);
        Part { column: self.column, alpha: self.scale, ..whole }
    }
}

/// As many parts as a product may have, the missing ones without columns.
fn parts<'a>(mut some: impl Iterator<Item = Option<Part<'a>>>) -> [Part<'a>; MAX_PARTS] {
    std::array::from_fn(|_| some.next().flatten().unwrap_or(Part::NONE))
}

/// What the columns of an output start from.
enum Starts<'a> {
    Zero,
    Output,
    From(Rows<'a>),
}

impl<'a> Starts<'a> {
    fn new(start: Start<'a, CpuBuffer>, y: &RowsMut<'_>) -> Self {
        match start {
            Start::Zero => Starts::Zero,
            Start::Output => Starts::Output,
            Start::From(view) => {
                let rows = Rows::from(view);
                assert_eq!((rows.rows, rows.cols), (y.rows, y.cols), "start as the output");
                Starts::From(rows)
            }
        }
    }

    fn at(&self, column: usize) -> Init<'a> {
        match self {
            Starts::Zero => Init::Zero,
            Starts::Output => Init::Output,
            Starts::From(rows) => Init::From(&rows.data[column.min(rows.data.len())..], rows.stride),
        }
    }
}

/// Operands of [`backward_input`].
pub(super) struct Backward<'a> {
    pub(super) dx: Option<RowsMut<'a>>,
    pub(super) dt: Option<RowsMut<'a>>,
    pub(super) dy: Rows<'a>,
}

/// `dt = scale · dy B`, `dx = Σ dy W + dt A`; see [`crate::Backend::linear_backward_input`].
pub(super) fn backward_input(
    threads: &Threads,
    method: Method,
    group: &LinearGroup<'_, Cpu>,
    b: Backward<'_>,
) {
    let Backward { mut dx, mut dt, dy } = b;
    if let Some(dt) = &dt {
        assert_eq!((dt.rows, dt.cols), (dy.rows, group.rank), "dt [T, Σ R]");
    }
    let mut column = 0;
    for (i, layer) in group.layers.iter().enumerate() {
        let weight = Weights::from(layer.weight);
        let (rows, depth) = (dy.rows, weight.rows);
        let left = columns(&dy, column, depth);
        column += depth;
        let adapter = layer.adapter.as_ref().filter(|_| dt.is_some());
        let up = adapter.map(|adapter| adapter.up_part(depth));
        let part = dx.as_ref().map(|dx| {
            assert_eq!((dx.rows, dx.cols), (rows, weight.cols), "dx [T, K]");
            let tail = adapter.and_then(|adapter| {
                let down = Weights::from(adapter.down?);
                assert_eq!(down.cols, weight.cols, "A [R, K]");
                Some(Tail { column: adapter.column, depth: down.rows, right: down.along_rows() })
            });
            let init = if i == 0 { Init::Zero } else { Init::Output };
            Part { tail, ..Part::whole(weight.cols, weight.along_rows(), init) }
        });
        let low = dt.as_mut().map(|dt| Low { parts: up.as_slice(), c: dt.data, stride: dt.stride });
        let (c, stride) = match &mut dx {
            Some(dx) => (&mut *dx.data, dx.stride),
            None => (&mut [][..], 0),
        };
        gemm(threads, method, Gemm { rows, depth, left, low, parts: part.as_slice(), c, stride });
    }
    assert_eq!(column, dy.cols, "gradient [T, Σ N]");
}

fn columns<'a>(rows: &Rows<'a>, from: usize, cols: usize) -> Operand<'a> {
    assert!(from + cols <= rows.cols, "columns {from}+{cols} of {}", rows.cols);
    Rows { data: &rows.data[from.min(rows.data.len())..], cols, ..*rows }.operand()
}
