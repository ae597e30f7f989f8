//! A decoder's weights under their Hugging Face names, with its adapter merged or left out.

use compute::Backend;

use crate::projection::{Module, Projection, Table};
use crate::vector::Vector;
use crate::weights::StoredTensor;
use crate::{Config, Decoder};

/// A part of a decoder that is a tensor on disk.
pub(crate) enum ModelPart<'a, B: Backend> {
    Embedding(&'a Table<B>),
    /// Tied to the embedding, it has the embedding's table.
    Head(&'a Table<B>),
    Vector(Vector),
    Module(&'a Projection<B>, &'a Module<B>),
}

impl<B: Backend> ModelPart<'_, B> {
    pub(crate) fn shape(&self) -> Vec<usize> {
        match self {
            ModelPart::Embedding(table) | ModelPart::Head(table) => vec![table.rows, table.cols],
            ModelPart::Vector(vector) => vec![vector.cols],
            ModelPart::Module(_, module) => vec![module.weight.rows, module.weight.cols],
        }
    }
}

impl<B: Backend> Clone for ModelPart<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: Backend> Copy for ModelPart<'_, B> {}

impl<B: Backend> Decoder<B> {
    /// All weights under their Hugging Face names, adapters merged: `W + s B A`, computed in f64 and rounded once.
    pub fn merged(&self) -> impl Iterator<Item = (String, StoredTensor)> {
        self.parts(true).map(|(name, part)| (name, self.stored(part, true)))
    }

    /// The config of [`Decoder::merged`]: what an adapter has trained of embedding or head unties them.
    pub fn merged_config(&self) -> Config {
        let tie_word_embeddings = self.config.tie_word_embeddings && !self.ends.untie();
        Config { tie_word_embeddings, ..self.config.clone() }
    }

    /// The base's weights under their Hugging Face names, adapters left out.
    pub fn base(&self) -> impl Iterator<Item = (String, StoredTensor)> {
        self.parts(false).map(|(name, part)| (name, self.stored(part, false)))
    }

    /// Everything that has a name, in the order of the computation by kinds; with `merge` also a head that only an
    /// adapter unties from the embedding.
    pub(crate) fn parts(&self, merge: bool) -> impl Iterator<Item = (String, ModelPart<'_, B>)> {
        let norms = self.layers.iter().enumerate().flat_map(|(l, layer)| {
            layer
                .gains()
                .map(move |(name, gain)| (format!("model.layers.{l}.{name}.weight"), ModelPart::Vector(gain)))
        });
        let biases = self.modules().filter_map(|(l, group, module)| {
            let own = group.bias?.slice(module.column, 1, module.weight.rows);
            Some((format!("model.layers.{l}.{}.bias", module.name), ModelPart::Vector(own)))
        });
        let modules = self.modules().map(|(l, group, module)| {
            (format!("model.layers.{l}.{}.weight", module.name), ModelPart::Module(group, module))
        });
        let apart = self.head.is_some() || (merge && self.ends.untie());
        let head = apart.then(|| ("lm_head.weight".to_owned(), ModelPart::Head(self.head())));
        std::iter::once(("model.embed_tokens.weight".to_owned(), ModelPart::Embedding(&self.embedding)))
            .chain(norms)
            .chain(modules)
            .chain(biases)
            .chain(std::iter::once(("model.norm.weight".to_owned(), ModelPart::Vector(self.final_norm))))
            .chain(head)
    }

    fn stored(&self, part: ModelPart<'_, B>, merge: bool) -> StoredTensor {
        StoredTensor::from_f32(part.shape(), &self.part_values(part, merge))
    }

    /// The values of a part, its adapter merged or left out.
    pub(crate) fn part_values(&self, part: ModelPart<'_, B>, merge: bool) -> Vec<f32> {
        match part {
            ModelPart::Embedding(_) if merge => self.merged_embedding(),
            ModelPart::Head(_) if merge => self.merged_head(),
            ModelPart::Embedding(table) | ModelPart::Head(table) => self.table_values(table),
            ModelPart::Vector(vector) => self.vector_values(vector),
            ModelPart::Module(group, module) if merge => self.merged_values(group, module),
            ModelPart::Module(_, module) => self.table_values(&module.weight),
        }
    }

    fn merged_values(&self, group: &Projection<B>, module: &Module<B>) -> Vec<f32> {
        let base = self.table_values(&module.weight);
        let Some(own) = module.adapter else { return base };
        let mut sum: Vec<f64> = base.into_iter().map(f64::from).collect();
        let cols = module.weight.cols;
        for LowRank { scale, a, b } in self.low_ranks(group, module) {
            let rank = a.len() / cols;
            for (row, b) in sum.chunks_exact_mut(cols).zip(b.chunks_exact(rank)) {
                for (j, w) in row.iter_mut().enumerate() {
                    *w +=
                        scale * (0..rank).map(|r| f64::from(b[r]) * f64::from(a[r * cols + j])).sum::<f64>();
                }
            }
        }
        if let Some(dora) = own.dora {
            let mut magnitude = vec![0.0; module.weight.rows];
            self.backend.read(&self.parameters.values, dora.magnitude, &mut magnitude);
            for (row, magnitude) in sum.chunks_exact_mut(cols).zip(magnitude) {
                let norm = row.iter().map(|w| w * w).sum::<f64>().sqrt();
                row.iter_mut().for_each(|w| *w *= f64::from(magnitude) / norm);
            }
        }
        sum.into_iter().map(|w| w as f32).collect()
    }

    /// What a module's adapter adds to its weight: `s B A`, and with PiSSA `-s B₀ A₀`.
    pub(crate) fn low_ranks(&self, group: &Projection<B>, module: &Module<B>) -> Vec<LowRank> {
        let (Some(group_adapter), Some(own)) = (group.adapter, module.adapter) else { return Vec::new() };
        let (rows, cols, rank) = (module.weight.rows, module.weight.cols, own.rank);
        let (mut a, mut b) = (vec![0.0; rank * cols], vec![0.0; rows * rank]);
        let trained = &self.parameters.values;
        self.backend.read(trained, group_adapter.a + own.column * cols, &mut a);
        self.backend.read(trained, own.b, &mut b);
        let mut parts = vec![LowRank { scale: f64::from(own.scale), a, b }];
        if let Some(anchor) = &group.anchor {
            let down = self.backend.read_weight(&anchor.down);
            let ranks = group_adapter.rank;
            let a = (0..rank).flat_map(|q| (0..cols).map(move |k| k * ranks + own.column + q));
            let number = group.adapted().position(|(other, _)| other.name == module.name).unwrap_or_default();
            parts.push(LowRank {
                scale: 1.0,
                a: a.map(|i| down[i]).collect(),
                b: self.backend.read_weight(&anchor.ups[number]),
            });
        }
        parts
    }

    /// A module's adapter as one product that fits the base as it is: PiSSA's as PEFT converts it, `[A; A₀]` and
    /// `[B, -B₀]`, of twice the rank.
    pub(crate) fn low_rank(&self, group: &Projection<B>, module: &Module<B>) -> Option<LowRank> {
        let mut parts = self.low_ranks(group, module).into_iter();
        let LowRank { scale, mut a, b } = parts.next()?;
        let Some(LowRank { a: a0, b: b0, .. }) = parts.next() else { return Some(LowRank { scale, a, b }) };
        let rank = a.len() / module.weight.cols;
        let mut up = Vec::with_capacity(2 * b.len());
        for (b, b0) in b.chunks_exact(rank).zip(b0.chunks_exact(rank)) {
            up.extend(b);
            up.extend(b0.iter().map(|b0| (f64::from(*b0) / scale) as f32));
        }
        a.extend(a0);
        Some(LowRank { scale, a, b: up })
    }
}

/// `scale · B A`.
#[derive(Debug)]
pub(crate) struct LowRank {
    pub(crate) scale: f64,
    /// `[R, K]`.
    pub(crate) a: Vec<f32>,
    /// `[N, R]`.
    pub(crate) b: Vec<f32>,
}
