//! Several adapters of one base in one forward. Side by side they are one adapter of the sum of their ranks,
//! `x Wᵀ + [t₁ | t₂ | …] [B₁ | B₂ | …]ᵀ`, where `tᵢ = sᵢ x Aᵢᵀ` is made in the rows of adapter `i` alone and is zero in
//! all others. So the base is read once for all rows, as in Punica (Chen et al. 2023). A step of zeros leaves a sum as it
//! is, so a row has the bits that it has alone.

use std::ops::Range;

use compute::{Adapter, Backend, DeviceBuffer, Linear, Matrix, View};

use crate::decoder::Origin;
use crate::forward::{Context, Tokens};
use crate::lora::{AdapterShape, Adapters, LoraConfig, Trainable};
use crate::projection::{GroupAdapter, Module, Projection};
use crate::{Activations, Decoder, Result};

/// Columns that an adapter's begin at a multiple of: products in bf16 take two steps of depth at once, and these must
/// not belong to two adapters.
const ALIGNMENT: usize = 2;

/// One of the adapters that lie side by side in that of a module.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member {
    /// First of its columns in the module's.
    pub(crate) column: usize,
    /// 0: it leaves the module as it is.
    pub(crate) rank: usize,
    pub(crate) scale: f32,
}

/// Rows of a batch, and the adapter of a stack that their texts are written with.
#[derive(Debug, Clone)]
pub(crate) struct AdapterRows {
    pub(crate) rows: Range<usize>,
    pub(crate) member: usize,
}

impl<B: Backend> Decoder<B> {
    /// Whether its adapter is nothing but a low-rank product on projections, so that it can lie beside others.
    pub(crate) fn stacks(&self) -> bool {
        let plain =
            |p: &Projection<B>| p.anchor.is_none() && p.adapter.is_none_or(|group| group.dora.is_none());
        self.adapter.is_some()
            && !self.ends.untie()
            && self.layers.iter().flat_map(|l| l.projections()).all(plain)
    }

    /// The adapters of `members`, which share this decoder's base, side by side on it.
    ///
    /// # Errors
    /// When the device has no room.
    pub(crate) fn stack(&self, members: &[&Decoder<B>]) -> Result<Self> {
        let width = |module: &Module<B>| module.adapter.map_or(0, |own| own.rank.next_multiple_of(ALIGNMENT));
        let mut shapes = std::collections::BTreeMap::new();
        for (layer, _, module) in members.iter().flat_map(|member| member.modules()) {
            let path = format!("model.layers.{layer}.{}", module.name);
            shapes.entry(path).or_insert(AdapterShape { rank: 0, scale: 1.0 }).rank += width(module);
        }
        shapes.retain(|_, shape| shape.rank > 0);
        let trainable = Trainable::Lora { config: LoraConfig::all(1, 1.0), seed: 0 };
        let parts = (self.backend.clone(), self.config.clone());
        let mut stack = Self::build(parts, Origin::Base(self), &trainable, Adapters::from(shapes))?;
        let mut values = vec![0.0; stack.parameters.len()];
        for member in members {
            let mut theirs = vec![0.0; member.parameters.len()];
            member.backend.read(&member.parameters.values, 0, &mut theirs);
            for (layer, from) in stack.layers.iter_mut().zip(&member.layers) {
                for (projection, from) in layer.projections_mut().into_iter().zip(from.projections()) {
                    projection.take_in(&mut values, (from, &theirs));
                }
            }
        }
        stack.backend.write(&mut stack.parameters.values, 0, &values);
        Ok(stack)
    }

    /// As [`Decoder::forward`], where each row has the adapter of the stack that `rows` says, in ascending order of both;
    /// rows in none of them have the base alone.
    pub(crate) fn forward_mixed(
        &self,
        tokens: Tokens<'_>,
        context: Context<'_, B>,
        activations: &mut Activations<B>,
        rows: &[AdapterRows],
    ) {
        self.embed(tokens, activations, true);
        activations.adapters.rows.extend_from_slice(rows);
        self.forward_embedded(tokens, context, activations, (true, None));
    }
}

impl<B: Backend> Projection<B> {
    /// Puts another's adapter beside those that are there.
    fn take_in(&mut self, values: &mut [f32], (from, theirs): (&Projection<B>, &[f32])) {
        let Some(group) = self.adapter else { return };
        for (module, theirs_of) in self.modules.iter_mut().zip(&from.modules) {
            let Some(own) = module.adapter else { continue };
            let last = module.members.last();
            let column = last.map_or(0, |last| last.column + last.rank.next_multiple_of(ALIGNMENT));
            let Some((their_group, adapter)) = from.adapter.zip(theirs_of.adapter) else {
                module.members.push(Member { column, rank: 0, scale: 1.0 });
                continue;
            };
            let (rank, k) = (adapter.rank, self.input);
            let a = &theirs[their_group.a + adapter.column * k..][..rank * k];
            values[group.a + (own.column + column) * k..][..rank * k].copy_from_slice(a);
            let b = theirs[adapter.b..][..module.weight.rows * rank].chunks_exact(rank);
            for (to, b) in values[own.b..].chunks_exact_mut(own.rank).zip(b) {
                to[column..][..rank].copy_from_slice(b);
            }
            module.members.push(Member { column, rank, scale: adapter.scale });
        }
    }

    /// `t = s x Aᵀ` in the rows and columns of each adapter, zeros elsewhere.
    pub(crate) fn stacked_low(
        &self,
        backend: &B,
        (values, x): (&B::Buffer, View<'_, B::Buffer>),
        (group, rows): (GroupAdapter, &[AdapterRows]),
        t: &mut B::Buffer,
    ) {
        let first = group.column * x.rows;
        backend.fill(t, first, x.rows * group.rank, 0.0);
        for AdapterRows { rows, member } in rows {
            let t = t.view_mut(first, x.rows, group.rank).rows_from(rows.start, rows.len());
            let x = x.rows_from(rows.start, rows.len());
            let down = |module| self.member_down(module, values, (group, *member));
            self.with_layers(down, |group| backend.low_rank(t, x, group));
        }
    }

    fn member_down<'a>(
        &self,
        module: &'a Module<B>,
        values: &'a B::Buffer,
        (group, member): (GroupAdapter, usize),
    ) -> Linear<'a, B> {
        let adapter = module.member(member).map(|(own, member)| {
            let column = own.column + member.column;
            let down = values.view(group.a + column * self.input, member.rank, self.input);
            let up = values.view(own.b, module.weight.rows, own.rank).columns(member.column, member.rank);
            Adapter { down: Some(Matrix::View(down)), up: Matrix::View(up), column, scale: member.scale }
        });
        Linear { weight: module.weight.matrix(values), adapter }
    }

    /// A layer with the low-rank side made, of the adapters that any row has.
    pub(crate) fn stacked_linear<'a>(
        &self,
        module: &'a Module<B>,
        values: &'a B::Buffer,
        rows: &[AdapterRows],
    ) -> Linear<'a, B> {
        let mut members = rows.iter().filter_map(|rows| module.member(rows.member));
        let first = members.next();
        let last = members.next_back().or(first);
        let adapter = first.zip(last).map(|((own, first), (_, last))| {
            let rank = last.column + last.rank - first.column;
            let up = values.view(own.b, module.weight.rows, own.rank).columns(first.column, rank);
            Adapter { down: None, up: Matrix::View(up), column: own.column + first.column, scale: 1.0 }
        });
        Linear { weight: module.weight.matrix(values), adapter }
    }
}
