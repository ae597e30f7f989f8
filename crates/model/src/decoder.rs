//! The decoder: the only transformer of the project. Here it is built; `forward.rs` and `backward.rs` run it.

use std::sync::Arc;

use compute::{Backend, DeviceBuffer, View};
use formats::quant::QuantizedMatrix;

use crate::lora::{LoraConfig, Trainable};
use crate::parameters::{Layout, Parameters};
use crate::projection::{GroupAdapter, Module, ModuleAdapter, Projection, Stored, Table};
use crate::weights::{StoredTensor, TensorSource, expect};
use crate::{Config, Error, Result};

/// A gain vector of a norm, frozen or trained.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Gain {
    /// First element in [`Decoder::gains`].
    Frozen(usize),
    /// First element among the trainable values.
    Trained(usize),
}

/// One layer.
#[derive(Debug)]
pub(crate) struct Layer<B: Backend> {
    pub(crate) attention_norm: Gain,
    pub(crate) qkv: Projection<B>,
    pub(crate) out: Projection<B>,
    pub(crate) mlp_norm: Gain,
    pub(crate) gate_up: Projection<B>,
    pub(crate) down: Projection<B>,
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
    pub(crate) final_norm: Gain,
    pub(crate) gains: B::Buffer,
    pub(crate) rope: B::Buffer,
    pub(crate) positions: usize,
    pub(crate) adapter: Option<LoraConfig>,
    /// The trainable values.
    pub parameters: Parameters<B>,
}

/// Builds a decoder tensor by tensor, so that only one is in memory twice.
struct Builder<'a, B: Backend> {
    backend: &'a B,
    source: &'a dyn TensorSource,
    trainable: &'a Trainable,
    layout: Layout,
    gains: Vec<f32>,
}

impl<B: Backend> Builder<'_, B> {
    fn table(&mut self, name: &str, rows: usize, cols: usize) -> Result<Table<B>> {
        if let Some(matrix) = self.frozen_quantized(name, rows, cols)? {
            return Ok(Table { stored: Stored::Frozen(self.backend.quantized_weight(matrix)?), rows, cols });
        }
        let tensor = expect(self.source, name, &[rows, cols])?;
        let stored = match self.trainable {
            Trainable::Everything => {
                Stored::Trained(self.layout.push(name.to_owned(), rows, cols, tensor.to_f32()))
            }
            _ => Stored::Frozen(self.backend.weight(tensor.dtype, rows, cols, &tensor.bytes)?),
        };
        Ok(Table { stored, rows, cols })
    }

    fn frozen_quantized(&self, name: &str, rows: usize, cols: usize) -> Result<Option<QuantizedMatrix>> {
        if *self.trainable == Trainable::Everything {
            return Ok(None);
        }
        let Some(matrix) = self.source.quantized(name)? else { return Ok(None) };
        if (matrix.rows(), matrix.cols()) != (rows, cols) {
            return Err(Error::TensorShape {
                origin: self.source.origin(),
                tensor: name.to_owned(),
                expected: vec![rows, cols],
                got: vec![matrix.rows(), matrix.cols()],
            });
        }
        Ok(Some(matrix))
    }

    fn gain(&mut self, name: &str, width: usize) -> Result<Gain> {
        let values = expect(self.source, name, &[width])?.to_f32();
        Ok(match self.trainable {
            Trainable::Everything => Gain::Trained(self.layout.push_vector(name.to_owned(), values)),
            _ => {
                self.gains.extend(values);
                Gain::Frozen(self.gains.len() - width)
            }
        })
    }

    /// The group of `modules` (name, rows) that read the same `input`; `ranks` counts the layer's ranks so far.
    fn projection(
        &mut self,
        layer: usize,
        modules: &[(&'static str, usize)],
        input: usize,
        ranks: &mut usize,
    ) -> Result<Projection<B>> {
        let mut group = Projection { modules: Vec::new(), adapter: None, input, output: 0 };
        for &(name, rows) in modules {
            let weight = self.table(&format!("model.layers.{layer}.{name}.weight"), rows, input)?;
            group.modules.push(Module { name, weight, column: group.output, adapter: None });
            group.output += rows;
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
            Builder { backend: &*backend, source, trainable, layout: Layout::default(), gains: Vec::new() };
        let (h, i, a) = (config.hidden_size, config.intermediate_size, config.attention());
        let embedding = builder.table("model.embed_tokens.weight", config.vocab_size, h)?;
        let mut layers = Vec::with_capacity(config.layers);
        for l in 0..config.layers {
            let name = |part: &str| format!("model.layers.{l}.{part}.weight");
            let ranks = &mut 0;
            let qkv = [
                ("self_attn.q_proj", a.q_width()),
                ("self_attn.k_proj", a.kv_width()),
                ("self_attn.v_proj", a.kv_width()),
            ];
            layers.push(Layer {
                attention_norm: builder.gain(&name("input_layernorm"), h)?,
                qkv: builder.projection(l, &qkv, h, ranks)?,
                out: builder.projection(l, &[("self_attn.o_proj", h)], a.q_width(), ranks)?,
                mlp_norm: builder.gain(&name("post_attention_layernorm"), h)?,
                gate_up: builder.projection(l, &[("mlp.gate_proj", i), ("mlp.up_proj", i)], h, ranks)?,
                down: builder.projection(l, &[("mlp.down_proj", h)], i, ranks)?,
            });
        }
        let final_norm = builder.gain("model.norm.weight", h)?;
        let head = match config.tie_word_embeddings {
            true => None,
            false => Some(builder.table("lm_head.weight", config.vocab_size, h)?),
        };
        let Builder { layout, gains: gain_values, .. } = builder;
        let mut gains = backend.zeros("norm gains", gain_values.len())?;
        backend.write(&mut gains, 0, &gain_values);
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
            gains,
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

    pub(crate) fn gain(&self, gain: Gain) -> View<'_, B::Buffer> {
        match gain {
            Gain::Frozen(offset) => self.gains.view(offset, 1, self.config.hidden_size),
            Gain::Trained(offset) => self.parameters.values.view(offset, 1, self.config.hidden_size),
        }
    }

    pub(crate) fn head(&self) -> &Table<B> {
        self.head.as_ref().unwrap_or(&self.embedding)
    }

    /// Sum of the ranks of a layer's adapters: the width of its `t`.
    pub(crate) fn layer_ranks(&self) -> usize {
        self.layers.first().map_or(0, |layer| {
            [&layer.qkv, &layer.out, &layer.gate_up, &layer.down]
                .iter()
                .filter_map(|p| p.adapter.map(|a| a.rank))
                .sum()
        })
    }

    /// Every linear layer of the layers, with its number: for merging and saving.
    pub(crate) fn modules(&self) -> impl Iterator<Item = (usize, &Projection<B>, &Module<B>)> {
        self.layers.iter().enumerate().flat_map(|(l, layer)| {
            [&layer.qkv, &layer.out, &layer.gate_up, &layer.down]
                .into_iter()
                .flat_map(move |p| p.modules.iter().map(move |m| (l, p, m)))
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

    fn gain_values(&self, gain: Gain) -> Vec<f32> {
        let view = self.gain(gain);
        let mut out = vec![0.0; view.cols];
        self.backend.read(view.buffer, view.offset, &mut out);
        out
    }

    /// All weights under their Hugging Face names, adapters merged: `W + s B A`, computed in f64 and rounded once.
    pub fn merged(&self) -> impl Iterator<Item = (String, StoredTensor)> {
        self.tensors(true)
    }

    /// The base's weights under their Hugging Face names, adapters left out.
    pub fn base(&self) -> impl Iterator<Item = (String, StoredTensor)> {
        self.tensors(false)
    }

    fn tensors(&self, merge: bool) -> impl Iterator<Item = (String, StoredTensor)> {
        let table = |name: &str, t: &Table<B>| {
            (name.to_owned(), StoredTensor::from_f32(vec![t.rows, t.cols], &self.table_values(t)))
        };
        let gain = |name: String, g: Gain| {
            (name, StoredTensor::from_f32(vec![self.config.hidden_size], &self.gain_values(g)))
        };
        let norms = self.layers.iter().enumerate().flat_map(move |(l, layer)| {
            [
                gain(format!("model.layers.{l}.input_layernorm.weight"), layer.attention_norm),
                gain(format!("model.layers.{l}.post_attention_layernorm.weight"), layer.mlp_norm),
            ]
        });
        let modules = self.modules().map(move |(l, group, module)| {
            let values = match merge {
                true => self.merged_values(group, module),
                false => self.table_values(&module.weight),
            };
            let shape = vec![module.weight.rows, module.weight.cols];
            (format!("model.layers.{l}.{}.weight", module.name), StoredTensor::from_f32(shape, &values))
        });
        std::iter::once(table("model.embed_tokens.weight", &self.embedding))
            .chain(norms)
            .chain(modules)
            .chain(std::iter::once_with(move || gain("model.norm.weight".to_owned(), self.final_norm)))
            .chain(self.head.iter().map(move |h| table("lm_head.weight", h)))
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
