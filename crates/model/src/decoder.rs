//! The decoder: the only transformer of the project. Here it is built; `forward.rs` and `backward.rs` run it.

use std::sync::Arc;

use compute::{Backend, DeviceBuffer};
use formats::quant::QuantizedMatrix;

use crate::adapter_start::AdapterPlace;
use crate::lora::{Adapters, EMBEDDING, HEAD, LoraConfig, Trainable};
use crate::parameters::{Layout, Parameters};
use crate::projection::{Module, Projection, Stored, Table};
use crate::vector::{Place, Vector};
use crate::vocabulary::{Ends, embedding_end, head_end};
use crate::weights::{TensorSource, expect, expect_shape};
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

    pub(crate) fn projections_mut(&mut self) -> [&mut Projection<B>; 4] {
        [&mut self.qkv, &mut self.out, &mut self.gate_up, &mut self.down]
    }

    /// The gains, each with its path below the layer.
    pub(crate) fn gains(&self) -> impl Iterator<Item = (&'static str, Vector)> {
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
    /// What of these two is trained beside an adapter.
    pub(crate) ends: Ends,
    pub(crate) layers: Vec<Layer<B>>,
    pub(crate) final_norm: Vector,
    /// The frozen gains and biases.
    pub(crate) vectors: B::Buffer,
    pub(crate) rope: B::Buffer,
    pub(crate) positions: usize,
    /// With DoRA, the squared lengths of the rows of all weights that carry an adapter.
    pub(crate) squares: B::Buffer,
    pub(crate) adapter: Option<LoraConfig>,
    /// The trainable values.
    pub parameters: Parameters<B>,
}

/// Where a decoder's base comes from.
pub(crate) enum Origin<'a, B: Backend> {
    Source(&'a dyn TensorSource),
    /// A decoder on the same device, whose frozen values are shared.
    Base(&'a Decoder<B>),
}

/// Builds a decoder tensor by tensor, so that only one is in memory twice.
pub(crate) struct Builder<'a, B: Backend> {
    pub(crate) backend: &'a B,
    origin: Origin<'a, B>,
    trainable: &'a Trainable,
    pub(crate) adapters: Adapters,
    pub(crate) layout: Layout,
    vectors: Vec<f32>,
    /// See [`Decoder::squares`].
    pub(crate) squares: Vec<f32>,
}

impl<B: Backend> Builder<'_, B> {
    fn table(&mut self, name: &str, rows: usize, cols: usize) -> Result<Table<B>> {
        let source = match self.origin {
            Origin::Source(source) => source,
            Origin::Base(base) => return base.shared(name),
        };
        if let Some(matrix) = self.frozen_quantized(source, name, (rows, cols))? {
            let weight = self.backend.quantized_weight(matrix)?;
            return Ok(Table { stored: Stored::Frozen(weight.into()), rows, cols });
        }
        let stored = match self.trainable {
            Trainable::Everything => {
                let values = expect(source, name, &[rows, cols])?.to_f32();
                Stored::Trained(self.layout.push(name.to_owned(), rows, cols, values))
            }
            _ => Stored::Frozen(self.frozen(source, name, (rows, cols))?.into()),
        };
        Ok(Table { stored, rows, cols })
    }

    /// A weight in its storage type, read straight to where it stays if the source can do that.
    fn frozen(
        &self,
        source: &dyn TensorSource,
        name: &str,
        (rows, cols): (usize, usize),
    ) -> Result<B::Weight> {
        let backend = self.backend;
        if let Some((dtype, shape)) = source.info(name)? {
            expect_shape(source, name, &[rows, cols], &shape)?;
            return backend.weight_from(dtype, rows, cols, |into| source.read_into(name, into));
        }
        let tensor = expect(source, name, &[rows, cols])?;
        Ok(backend.weight(tensor.dtype, rows, cols, &tensor.bytes)?)
    }

    fn frozen_quantized(
        &self,
        source: &dyn TensorSource,
        name: &str,
        (rows, cols): (usize, usize),
    ) -> Result<Option<QuantizedMatrix>> {
        let Some(matrix) = source.quantized(name)? else { return Ok(None) };
        if *self.trainable == Trainable::Everything {
            return Err(Error::Frozen { origin: source.origin(), tensor: name.to_owned() });
        }
        expect_shape(source, name, &[rows, cols], &[matrix.rows(), matrix.cols()])?;
        Ok(Some(matrix))
    }

    fn vector(&mut self, name: &str, cols: usize) -> Result<Vector> {
        let values = match self.origin {
            Origin::Source(source) => expect(source, name, &[cols])?.to_f32(),
            // All of them are read at once, when it is known where they lie.
            Origin::Base(_) => vec![0.0; cols],
        };
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

    /// The group of `modules` (name, rows) that read the same `input` in the layer at `place`.
    fn projection(
        &mut self,
        modules: &[(&'static str, usize)],
        (input, bias): (usize, bool),
        place: &mut AdapterPlace,
    ) -> Result<Projection<B>> {
        let layer = place.layer;
        let (adapter, anchor) = (None, None);
        let mut group = Projection { modules: Vec::new(), adapter, anchor, bias: None, input, output: 0 };
        for &(name, rows) in modules {
            let weight = self.table(&format!("model.layers.{layer}.{name}.weight"), rows, input)?;
            let (column, members) = (group.output, Vec::new());
            group.modules.push(Module { name, weight, column, adapter: None, members });
            group.output += rows;
        }
        for module in group.modules.iter().filter(|_| bias) {
            let name = format!("model.layers.{layer}.{}.bias", module.name);
            let own = self.vector(&name, module.weight.rows)?;
            // One after another, so that the group's biases are one vector.
            group.bias.get_or_insert(own.slice(0, 1, group.output));
        }
        if let Trainable::Lora { config, seed } = self.trainable {
            self.adapters(&mut group, (config, *seed), place)?;
        }
        Ok(group)
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
        let adapters = trainable.adapters(&config)?;
        Self::build((backend, config), Origin::Source(source), trainable, adapters)
    }

    /// Another adapter on this decoder's base, which both share: only the adapter takes memory.
    ///
    /// # Errors
    /// When the adapter does not fit, the base is trained itself, or the device has no room.
    pub fn with_another(&self, config: LoraConfig, seed: u64) -> Result<Self> {
        if matches!(self.embedding.stored, Stored::Trained(_)) {
            return Err(Error::Adapter("the base is trained itself, so it cannot be shared".to_owned()));
        }
        let trainable = Trainable::Lora { config, seed };
        let adapters = trainable.adapters(&self.config)?;
        Self::build((self.backend.clone(), self.config.clone()), Origin::Base(self), &trainable, adapters)
    }

    /// Whether two decoders have one base in memory.
    pub fn shares_base(&self, other: &Self) -> bool {
        match (&self.embedding.stored, &other.embedding.stored) {
            (Stored::Frozen(own), Stored::Frozen(others)) => Arc::ptr_eq(own, others),
            _ => std::ptr::eq(self, other),
        }
    }

    /// The base's matrix of this name.
    fn shared(&self, name: &str) -> Result<Table<B>> {
        let modules = self.modules().map(|(l, _, module)| {
            let matches = name
                .strip_prefix("model.layers.")
                .and_then(|rest| rest.split_once('.'))
                .is_some_and(|(layer, path)| {
                    layer.parse() == Ok(l) && path.strip_suffix(".weight") == Some(module.name)
                });
            (matches, &module.weight)
        });
        let ends =
            [(name == EMBEDDING_WEIGHT, Some(&self.embedding)), (name == HEAD_WEIGHT, self.head.as_ref())];
        let ends = ends.into_iter().filter_map(|(matches, table)| Some((matches, table?)));
        let table = modules.chain(ends).find(|(matches, _)| *matches).map(|(_, table)| table);
        match table {
            Some(Table { stored: Stored::Frozen(weight), rows, cols }) => {
                Ok(Table { stored: Stored::Frozen(weight.clone()), rows: *rows, cols: *cols })
            }
            _ => {
                let origin = "the base in memory".to_owned();
                Err(Error::MissingTensor { origin, tensor: name.to_owned() })
            }
        }
    }

    pub(crate) fn build(
        (backend, config): (Arc<B>, Config),
        origin: Origin<'_, B>,
        trainable: &Trainable,
        adapters: Adapters,
    ) -> Result<Self> {
        let mut builder = Builder {
            backend: &*backend,
            origin,
            trainable,
            adapters,
            layout: Layout::default(),
            vectors: Vec::new(),
            squares: Vec::new(),
        };
        let (h, i, a, f) =
            (config.hidden_size, config.intermediate_size, config.attention(), &config.features);
        let names = NormNames::of(f.post_norms);
        let embedding = builder.table(EMBEDDING_WEIGHT, config.vocab_size, h)?;
        let mut ends = Ends::default();
        let shape = (config.vocab_size, h);
        if let Trainable::Lora { config: lora, seed } = trainable {
            let wanted = (lora, *seed, builder.adapters.of(EMBEDDING));
            let values = || stored_values(&*backend, &embedding);
            ends.embedding = embedding_end(&mut builder.layout, wanted, shape, values);
        }
        let mut layers = Vec::with_capacity(config.layers);
        for l in 0..config.layers {
            let place = &mut AdapterPlace { layer: l, ranks: 0, outputs: 0 };
            let qkv = [
                ("self_attn.q_proj", a.q_width()),
                ("self_attn.k_proj", a.kv_width()),
                ("self_attn.v_proj", a.kv_width()),
            ];
            let (out, down) = ([("self_attn.o_proj", h)], [("mlp.down_proj", h)]);
            let gate_up = [("mlp.gate_proj", i), ("mlp.up_proj", i)];
            layers.push(Layer {
                attention_norm: builder.gain(l, names.attention, h)?,
                qkv: builder.projection(&qkv, (h, f.qkv_bias), place)?,
                qk_norm: match f.qk_norm {
                    true => {
                        let queries = builder.gain(l, Q_NORM, config.head_dim)?;
                        builder.gain(l, K_NORM, config.head_dim)?;
                        Some(queries.slice(0, 2, config.head_dim))
                    }
                    false => None,
                },
                out: builder.projection(&out, (a.q_width(), f.out_bias), place)?,
                attention_post_norm: match f.post_norms {
                    true => Some(builder.gain(l, names.attention_post, h)?),
                    false => None,
                },
                mlp_norm: builder.gain(l, names.mlp, h)?,
                gate_up: builder.projection(&gate_up, (h, f.mlp_bias), place)?,
                down: builder.projection(&down, (i, f.mlp_bias), place)?,
                mlp_post_norm: match f.post_norms {
                    true => Some(builder.gain(l, names.mlp_post, h)?),
                    false => None,
                },
            });
        }
        let final_norm = builder.vector("model.norm.weight", h)?;
        let head = match config.tie_word_embeddings {
            true => None,
            false => Some(builder.table(HEAD_WEIGHT, config.vocab_size, h)?),
        };
        if let Trainable::Lora { config: lora, seed } = trainable {
            let wanted = (lora, *seed, builder.adapters.of(HEAD));
            let values = || stored_values(&*backend, head.as_ref().unwrap_or(&embedding));
            ends.head = head_end(&mut builder.layout, wanted, shape, values);
        }
        let Builder { layout, vectors: mut values, squares: squared, origin, .. } = builder;
        if let Origin::Base(base) = origin {
            backend.read(&base.vectors, 0, &mut values);
        }
        let mut vectors = backend.zeros("norm gains and biases", values.len())?;
        backend.write(&mut vectors, 0, &values);
        let mut squares = backend.zeros("weight norms", squared.len())?;
        backend.write(&mut squares, 0, &squared);
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
            ends,
            layers,
            final_norm,
            vectors,
            rope,
            positions,
            squares,
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

    /// Bytes of what is not trained: frozen weights in their storage type, gains and biases, the rotary table, what
    /// PiSSA takes off the base, and the lengths that DoRA starts from.
    pub fn weight_bytes(&self) -> usize {
        let tables = self.modules().map(|(_, _, module)| &module.weight);
        let tables = tables.chain([&self.embedding]).chain(&self.head);
        let bytes = |table: &Table<B>| match &table.stored {
            Stored::Frozen(weight) => self.backend.weight_bytes(weight),
            Stored::Trained(_) => 0,
        };
        let anchors = self.layers.iter().flat_map(Layer::projections).filter_map(|p| p.anchor.as_ref());
        let anchors = anchors.flat_map(|anchor| anchor.ups.iter().chain([&anchor.down]));
        tables.map(bytes).sum::<usize>()
            + anchors.map(|side| self.backend.weight_bytes(side)).sum::<usize>()
            + (self.vectors.len() + self.rope.len() + self.squares.len()) * size_of::<f32>()
    }

    /// Projections of the layers whose products are products of integers, and all of them. It depends on the device and
    /// on the bits of each matrix.
    pub fn integer_projections(&self) -> (usize, usize) {
        let of_integers = |table: &Table<B>| match &table.stored {
            Stored::Frozen(weight) => self.backend.multiplies_integers(weight),
            Stored::Trained(_) => false,
        };
        let taken = self.modules().filter(|(_, _, module)| of_integers(&module.weight)).count();
        (taken, self.modules().count())
    }

    pub(crate) fn head(&self) -> &Table<B> {
        self.head.as_ref().unwrap_or(&self.embedding)
    }

    /// Sum of the ranks of a layer's adapters, of the layer with most of them: the width of `t`.
    pub(crate) fn layer_ranks(&self) -> usize {
        let ranks = |layer: &Layer<B>| layer.projections().iter().filter_map(|p| Some(p.adapter?.rank)).sum();
        self.layers.iter().map(ranks).max().unwrap_or(0)
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
}

/// The values of a table of the base.
fn stored_values<B: Backend>(backend: &B, table: &Table<B>) -> Vec<f32> {
    match &table.stored {
        Stored::Frozen(weight) => backend.read_weight(weight),
        Stored::Trained(_) => unreachable!("beside an adapter the base is frozen"),
    }
}

const EMBEDDING_WEIGHT: &str = "model.embed_tokens.weight";
const HEAD_WEIGHT: &str = "lm_head.weight";

/// A longer table than anyone trains on here would only cost memory.
const MAX_TABLE_POSITIONS: usize = 32_768;
