//! The decoder: the only transformer of the project. Here it is built; `forward.rs` and `backward.rs` run it.

use std::sync::Arc;

use compute::{Backend, DeviceBuffer};
use formats::quant::QuantizedMatrix;

use crate::lora::{LoraConfig, Trainable};
use crate::parameters::{Layout, Parameters};
use crate::projection::{GroupAdapter, Module, ModuleAdapter, Projection, Stored, Table};
use crate::vector::{Place, Vector};
use crate::weights::{StoredTensor, TensorSource, expect, expect_shape};
use crate::{Config, Error, Result};

/// One layer.
#[derive(Debug)]
pub(crate) struct Layer<B: Backend> {
    pub(crate) attention_norm: Vector,
    pub(crate) qkv: Projection<B>,
    /// The gain of the query heads, then that of the key heads, `[2, D]`.
    pub(crate) qk_norm: Option<Vector>,
    pub(crate) out: Projection<B>,
    /// Norm of the attention's output before it joins the residual stream.
    pub(crate) attention_post_norm: Option<Vector>,
    pub(crate) mlp_norm: Vector,
    pub(crate) gate_up: Projection<B>,
    pub(crate) down: Projection<B>,
    /// As `attention_post_norm`, of the gated layer.
    pub(crate) mlp_post_norm: Option<Vector>,
}

impl<B: Backend> Layer<B> {
    /// The projections, in the order of their computation.
    pub(crate) fn projections(&self) -> [&Projection<B>; 4] {
        [&self.qkv, &self.out, &self.gate_up, &self.down]
    }

    /// The gains, each with its path below the layer.
    fn gains(&self) -> impl Iterator<Item = (&'static str, Vector)> {
        let names = NormNames::of(self.mlp_post_norm.is_some());
        let heads = self.qk_norm.map(|v| (v.slice(0, 1, v.cols), v.slice(v.cols, 1, v.cols)));
        [
            Some((names.attention, self.attention_norm)),
            heads.map(|(q, _)| (Q_NORM, q)),
            heads.map(|(_, k)| (K_NORM, k)),
            self.attention_post_norm.map(|v| (names.attention_post, v)),
            Some((names.mlp, self.mlp_norm)),
            self.mlp_post_norm.map(|v| (names.mlp_post, v)),
        ]
        .into_iter()
        .flatten()
    }
}

const Q_NORM: &str = "self_attn.q_norm";
const K_NORM: &str = "self_attn.k_norm";

/// What the norms of a layer are called. The name of the norm between attention and gated layer depends on whether
/// the outputs of both are normed.
struct NormNames {
    attention: &'static str,
    attention_post: &'static str,
    mlp: &'static str,
    mlp_post: &'static str,
}

impl NormNames {
    fn of(post_norms: bool) -> Self {
        NormNames {
            attention: "input_layernorm",
            attention_post: "post_attention_layernorm",
            mlp: if post_norms { "pre_feedforward_layernorm" } else { "post_attention_layernorm" },
            mlp_post: "post_feedforward_layernorm",
        }
    }
}

/// A decoder on a backend.
#[derive(Debug)]
pub struct Decoder<B: Backend> {
    pub(crate) backend: Arc<B>,
    pub(crate) config: Config,
    pub(crate) embedding: Table<B>,
    /// `None`: tied to the embedding.
    pub(crate) head: Option<Table<B>>,
    pub(crate) layers: Vec<Layer<B>>,
    pub(crate) final_norm: Vector,
    /// The frozen gains and biases.
    pub(crate) vectors: B::Buffer,
    pub(crate) rope: B::Buffer,
    pub(crate) positions: usize,
    pub(crate) adapter: Option<LoraConfig>,
    /// The trainable values.
    pub parameters: Parameters<B>,
}

/// A part of a decoder that is a tensor on disk.
pub(crate) enum ModelPart<'a, B: Backend> {
    Table(&'a Table<B>),
    Vector(Vector),
    Module(&'a Projection<B>, &'a Module<B>),
}

impl<B: Backend> ModelPart<'_, B> {
    pub(crate) fn shape(&self) -> Vec<usize> {
        match self {
            ModelPart::Table(table) => vec![table.rows, table.cols],
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

/// Builds a decoder tensor by tensor, so that only one is in memory twice.
struct Builder<'a, B: Backend> {
    backend: &'a B,
    source: &'a dyn TensorSource,
    trainable: &'a Trainable,
    layout: Layout,
    vectors: Vec<f32>,
}

impl<B: Backend> Builder<'_, B> {
    fn table(&mut self, name: &str, rows: usize, cols: usize) -> Result<Table<B>> {
        if let Some(matrix) = self.frozen_quantized(name, rows, cols)? {
            return Ok(Table { stored: Stored::Frozen(self.backend.quantized_weight(matrix)?), rows, cols });
        }
        let stored = match self.trainable {
            Trainable::Everything => {
                let values = expect(self.source, name, &[rows, cols])?.to_f32();
                Stored::Trained(self.layout.push(name.to_owned(), rows, cols, values))
            }
            _ => Stored::Frozen(self.frozen(name, rows, cols)?),
        };
        Ok(Table { stored, rows, cols })
    }

    /// A weight in its storage type, read straight to where it stays if the source can do that.
    fn frozen(&self, name: &str, rows: usize, cols: usize) -> Result<B::Weight> {
        let (backend, source) = (self.backend, self.source);
        if let Some((dtype, shape)) = source.info(name)? {
            expect_shape(source, name, &[rows, cols], &shape)?;
            return backend.weight_from(dtype, rows, cols, |into| source.read_into(name, into));
        }
        let tensor = expect(source, name, &[rows, cols])?;
        Ok(backend.weight(tensor.dtype, rows, cols, &tensor.bytes)?)
    }

    fn frozen_quantized(&self, name: &str, rows: usize, cols: usize) -> Result<Option<QuantizedMatrix>> {
        let Some(matrix) = self.source.quantized(name)? else { return Ok(None) };
        if *self.trainable == Trainable::Everything {
            return Err(Error::Frozen { origin: self.source.origin(), tensor: name.to_owned() });
        }
        expect_shape(self.source, name, &[rows, cols], &[matrix.rows(), matrix.cols()])?;
        Ok(Some(matrix))
    }

    fn vector(&mut self, name: &str, cols: usize) -> Result<Vector> {
        let values = expect(self.source, name, &[cols])?.to_f32();
        let place = match self.trainable {
            Trainable::Everything => Place::Trained(self.layout.push_vector(name.to_owned(), values)),
            _ => {
                self.vectors.extend(values);
                Place::Frozen(self.vectors.len() - cols)
            }
        };
        Ok(Vector { place, rows: 1, cols })
    }

    /// The gain of layer `layer`'s norm `name`.
    fn gain(&mut self, layer: usize, name: &str, cols: usize) -> Result<Vector> {
        self.vector(&format!("model.layers.{layer}.{name}.weight"), cols)
    }

    /// The group of `modules` (name, rows) that read the same `input`; `ranks` counts the layer's ranks so far.
    fn projection(
        &mut self,
        layer: usize,
        modules: &[(&'static str, usize)],
        (input, bias): (usize, bool),
        ranks: &mut usize,
    ) -> Result<Projection<B>> {
        let mut group = Projection { modules: Vec::new(), adapter: None, bias: None, input, output: 0 };
        for &(name, rows) in modules {
            let weight = self.table(&format!("model.layers.{layer}.{name}.weight"), rows, input)?;
            group.modules.push(Module { name, weight, column: group.output, adapter: None });
            group.output += rows;
        }
        for module in group.modules.iter().filter(|_| bias) {
            let name = format!("model.layers.{layer}.{}.bias", module.name);
            let own = self.vector(&name, module.weight.rows)?;
            // One after another, so that the group's biases are one vector.
            group.bias.get_or_insert(own.slice(0, 1, group.output));
        }
        if let Trainable::Lora { config, seed } = self.trainable {
            self.adapters(layer, &mut group, config, *seed, ranks);
        }
        Ok(group)
    }

    fn adapters(
        &mut self,
        layer: usize,
        group: &mut Projection<B>,
        config: &LoraConfig,
        seed: u64,
        ranks: &mut usize,
    ) {
        let rank = config.rank;
        let targeted: Vec<usize> = (0..group.modules.len())
            .filter(|&i| config.targets(group.modules[i].name.rsplit('.').next().unwrap_or_default()))
            .collect();
        if targeted.is_empty() {
            return;
        }
        let path = |name: &str, side: &str| format!("model.layers.{layer}.{name}.lora_{side}.weight");
        // PEFT's start: kaiming_uniform with a = sqrt(5), which is uniform in ±1/sqrt(K).
        let bound = 1.0 / (group.input as f32).sqrt();
        let mut a = Vec::new();
        for &i in &targeted {
            let name = path(group.modules[i].name, "A");
            let values: Vec<f32> = crate::random::uniform(seed, &name, bound, rank * group.input).collect();
            a.push(self.layout.push(name, rank, group.input, values));
        }
        for (order, &i) in targeted.iter().enumerate() {
            let module = &mut group.modules[i];
            let rows = module.weight.rows;
            let b = self.layout.push(path(module.name, "B"), rows, rank, vec![0.0; rows * rank]);
            module.adapter = Some(ModuleAdapter { b, column: order * rank, rank });
        }
        let total = rank * targeted.len();
        group.adapter = Some(GroupAdapter { a: a[0], rank: total, scale: config.scale(), column: *ranks });
        *ranks += total;
    }
}

impl<B: Backend> Decoder<B> {
    /// Builds the decoder of `config` from the tensors of `source`.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape, or the device has no room.
    pub fn new(
        backend: Arc<B>,
        config: Config,
        source: &dyn TensorSource,
        trainable: &Trainable,
    ) -> Result<Self> {
        if let Trainable::Lora { config: lora, .. } = trainable {
            check_lora(lora)?;
        }
        let mut builder =
            Builder { backend: &*backend, source, trainable, layout: Layout::default(), vectors: Vec::new() };
        let (h, i, a, f) =
            (config.hidden_size, config.intermediate_size, config.attention(), &config.features);
        let names = NormNames::of(f.post_norms);
        let embedding = builder.table("model.embed_tokens.weight", config.vocab_size, h)?;
        let mut layers = Vec::with_capacity(config.layers);
        for l in 0..config.layers {
            let ranks = &mut 0;
            let qkv = [
                ("self_attn.q_proj", a.q_width()),
                ("self_attn.k_proj", a.kv_width()),
                ("self_attn.v_proj", a.kv_width()),
            ];
            let (out, down) = ([("self_attn.o_proj", h)], [("mlp.down_proj", h)]);
            let gate_up = [("mlp.gate_proj", i), ("mlp.up_proj", i)];
            layers.push(Layer {
                attention_norm: builder.gain(l, names.attention, h)?,
                qkv: builder.projection(l, &qkv, (h, f.qkv_bias), ranks)?,
                qk_norm: match f.qk_norm {
                    true => {
                        let queries = builder.gain(l, Q_NORM, config.head_dim)?;
                        builder.gain(l, K_NORM, config.head_dim)?;
                        Some(queries.slice(0, 2, config.head_dim))
                    }
                    false => None,
                },
                out: builder.projection(l, &out, (a.q_width(), f.out_bias), ranks)?,
                attention_post_norm: match f.post_norms {
                    true => Some(builder.gain(l, names.attention_post, h)?),
                    false => None,
                },
                mlp_norm: builder.gain(l, names.mlp, h)?,
                gate_up: builder.projection(l, &gate_up, (h, f.mlp_bias), ranks)?,
                down: builder.projection(l, &down, (i, f.mlp_bias), ranks)?,
                mlp_post_norm: match f.post_norms {
                    true => Some(builder.gain(l, names.mlp_post, h)?),
                    false => None,
                },
            });
        }
        let final_norm = builder.vector("model.norm.weight", h)?;
        let head = match config.tie_word_embeddings {
            true => None,
            false => Some(builder.table("lm_head.weight", config.vocab_size, h)?),
        };
        let Builder { layout, vectors: values, .. } = builder;
        let mut vectors = backend.zeros("norm gains and biases", values.len())?;
        backend.write(&mut vectors, 0, &values);
        let positions = config.max_positions.min(MAX_TABLE_POSITIONS);
        let mut rope = backend.zeros("rotary table", positions * config.head_dim)?;
        backend.write(&mut rope, 0, &config.rope_table(positions));
        let parameters = layout.upload(&*backend)?;
        let adapter = match trainable {
            Trainable::Lora { config, .. } => Some(config.clone()),
            _ => None,
        };
        Ok(Decoder {
            backend,
            config,
            embedding,
            head,
            layers,
            final_norm,
            vectors,
            rope,
            positions,
            adapter,
            parameters,
        })
    }

    /// The shape.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The device.
    pub fn backend(&self) -> &Arc<B> {
        &self.backend
    }

    /// The adapter's shape, if there is one.
    pub fn adapter(&self) -> Option<&LoraConfig> {
        self.adapter.as_ref()
    }

    /// Positions that the rotary table covers.
    pub fn positions(&self) -> usize {
        self.positions
    }

    /// Bytes of what is not trained: frozen weights in their storage type, gains and biases, the rotary table.
    pub fn weight_bytes(&self) -> usize {
        let tables = self.modules().map(|(_, _, module)| &module.weight);
        let tables = tables.chain([&self.embedding]).chain(&self.head);
        let bytes = |table: &Table<B>| match &table.stored {
            Stored::Frozen(weight) => self.backend.weight_bytes(weight),
            Stored::Trained(_) => 0,
        };
        tables.map(bytes).sum::<usize>() + (self.vectors.len() + self.rope.len()) * size_of::<f32>()
    }

    pub(crate) fn head(&self) -> &Table<B> {
        self.head.as_ref().unwrap_or(&self.embedding)
    }

    /// Sum of the ranks of a layer's adapters: the width of its `t`.
    pub(crate) fn layer_ranks(&self) -> usize {
        let ranks = |layer: &Layer<B>| layer.projections().iter().filter_map(|p| Some(p.adapter?.rank)).sum();
        self.layers.first().map_or(0, ranks)
    }

    /// Every linear layer of the layers, with its number: for merging and saving.
    pub(crate) fn modules(&self) -> impl Iterator<Item = (usize, &Projection<B>, &Module<B>)> {
        self.layers.iter().enumerate().flat_map(|(l, layer)| {
            layer.projections().into_iter().flat_map(move |p| p.modules.iter().map(move |m| (l, p, m)))
        })
    }

    /// The values of a matrix, decoded.
    pub(crate) fn table_values(&self, table: &Table<B>) -> Vec<f32> {
        match &table.stored {
            Stored::Frozen(weight) => self.backend.read_weight(weight),
            Stored::Trained(offset) => {
                let mut out = vec![0.0; table.rows * table.cols];
                self.backend.read(&self.parameters.values, *offset, &mut out);
                out
            }
        }
    }

    /// All weights under their Hugging Face names, adapters merged: `W + s B A`, computed in f64 and rounded once.
    pub fn merged(&self) -> impl Iterator<Item = (String, StoredTensor)> {
        self.parts().map(|(name, part)| (name, self.stored(part, true)))
    }

    /// The base's weights under their Hugging Face names, adapters left out.
    pub fn base(&self) -> impl Iterator<Item = (String, StoredTensor)> {
        self.parts().map(|(name, part)| (name, self.stored(part, false)))
    }

    /// Everything that has a name, in the order of the computation by kinds.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (String, ModelPart<'_, B>)> {
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
        std::iter::once(("model.embed_tokens.weight".to_owned(), ModelPart::Table(&self.embedding)))
            .chain(norms)
            .chain(modules)
            .chain(biases)
            .chain(std::iter::once(("model.norm.weight".to_owned(), ModelPart::Vector(self.final_norm))))
            .chain(self.head.iter().map(|head| ("lm_head.weight".to_owned(), ModelPart::Table(head))))
    }

    fn stored(&self, part: ModelPart<'_, B>, merge: bool) -> StoredTensor {
        StoredTensor::from_f32(part.shape(), &self.part_values(part, merge))
    }

    /// The values of a part, its adapter merged or left out.
    pub(crate) fn part_values(&self, part: ModelPart<'_, B>, merge: bool) -> Vec<f32> {
        match part {
            ModelPart::Table(table) => self.table_values(table),
            ModelPart::Vector(vector) => self.vector_values(vector),
            ModelPart::Module(group, module) if merge => self.merged_values(group, module),
            ModelPart::Module(_, module) => self.table_values(&module.weight),
        }
    }

    fn merged_values(&self, group: &Projection<B>, module: &Module<B>) -> Vec<f32> {
        let mut values = self.table_values(&module.weight);
        let (Some(adapter), Some(group_adapter)) = (module.adapter, group.adapter) else { return values };
        let (rows, cols, rank) = (module.weight.rows, module.weight.cols, adapter.rank);
        let (mut a, mut b) = (vec![0.0; rank * cols], vec![0.0; rows * rank]);
        let trained = &self.parameters.values;
        self.backend.read(trained, group_adapter.a + adapter.column * cols, &mut a);
        self.backend.read(trained, adapter.b, &mut b);
        for (row, b) in values.chunks_exact_mut(cols).zip(b.chunks_exact(rank)) {
            for (j, w) in row.iter_mut().enumerate() {
                let delta: f64 = (0..rank).map(|r| f64::from(b[r]) * f64::from(a[r * cols + j])).sum();
                *w = (f64::from(*w) + f64::from(group_adapter.scale) * delta) as f32;
            }
        }
        values
    }
}

/// A longer table than anyone trains on here would only cost memory.
const MAX_TABLE_POSITIONS: usize = 32_768;

fn check_lora(lora: &LoraConfig) -> Result<()> {
    if lora.rank == 0 {
        return Err(Error::Adapter("the rank is 0".into()));
    }
    if lora.targets.is_empty() {
        return Err(Error::Adapter("no projection is targeted".into()));
    }
    for target in &lora.targets {
        if !crate::lora::PROJECTIONS.contains(&target.as_str()) {
            let known = crate::lora::PROJECTIONS.join(", ");
            return Err(Error::Adapter(format!("{target} is no projection (known: {known})")));
        }
    }
    Ok(())
}
