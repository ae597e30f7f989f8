//! A decoder's weights under their Hugging Face names, with its adapter merged or left out.

use compute::Backend;

use crate::projection::{Module, Projection, Table};
use crate::vector::Vector;
use crate::weights::StoredTensor;
use crate::{Config, Decoder};

impl<B: Backend> Decoder<B> {
    /// All weights under their Hugging Face names, adapters merged: `W + s B A`, computed in f64 and rounded once.
    pub fn merged(&self) -> impl Iterator<Item = (String, StoredTensor)> {
        self.tensors(true)
    }

    /// The config of [`Decoder::merged`]: what an adapter has trained of embedding or head unties them.
    pub fn merged_config(&self) -> Config {
        let tie_word_embeddings = self.config.tie_word_embeddings && !self.ends.untie();
        Config { tie_word_embeddings, ..self.config.clone() }
    }

    /// The base's weights under their Hugging Face names, adapters left out.
    pub fn base(&self) -> impl Iterator<Item = (String, StoredTensor)> {
        self.tensors(false)
    }

    fn tensors(&self, merge: bool) -> impl Iterator<Item = (String, StoredTensor)> {
        let table = |name: &str, t: &Table<B>| {
            (name.to_owned(), StoredTensor::from_f32(vec![t.rows, t.cols], &self.table_values(t)))
        };
        let vector =
            |name: String, v: Vector| (name, StoredTensor::from_f32(vec![v.cols], &self.vector_values(v)));
        let norms = self.layers.iter().enumerate().flat_map(move |(l, layer)| {
            layer.gains().map(move |(name, gain)| vector(format!("model.layers.{l}.{name}.weight"), gain))
        });
        let biases = self.modules().filter_map(move |(l, group, module)| {
            let own = group.bias?.slice(module.column, 1, module.weight.rows);
            Some(vector(format!("model.layers.{l}.{}.bias", module.name), own))
        });
        let modules = self.modules().map(move |(l, group, module)| {
            let values = match merge {
                true => self.merged_values(group, module),
                false => self.table_values(&module.weight),
            };
            let shape = vec![module.weight.rows, module.weight.cols];
            (format!("model.layers.{l}.{}.weight", module.name), StoredTensor::from_f32(shape, &values))
        });
        let end = |name: &str, values: &[f32]| {
            let shape = vec![self.config.vocab_size, self.config.hidden_size];
            (name.to_owned(), StoredTensor::from_f32(shape, values))
        };
        let embedding = move || match merge {
            true => end("model.embed_tokens.weight", &self.merged_embedding()),
            false => table("model.embed_tokens.weight", &self.embedding),
        };
        let head = move || match (merge, &self.head) {
            (true, None) if self.ends.untie() => Some(end("lm_head.weight", &self.merged_head())),
            (true, Some(_)) => Some(end("lm_head.weight", &self.merged_head())),
            (_, head) => head.as_ref().map(|head| table("lm_head.weight", head)),
        };
        std::iter::once_with(embedding)
            .chain(norms)
            .chain(modules)
            .chain(biases)
            .chain(std::iter::once_with(move || vector("model.norm.weight".to_owned(), self.final_norm)))
            .chain(std::iter::once_with(head).flatten())
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
