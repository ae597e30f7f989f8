//! The memory of a step: allocated once, used by every step.

use compute::{Backend, DeviceBuffer};

use crate::adapters::{AdapterForward, AdapterScratch};
use crate::checkpointing::Checkpointing;
use crate::{Config, Decoder, Result};

mod kept;
mod layout;
mod plan;

pub(crate) use kept::{Kept, Storage};
pub use plan::ActivationPlan;

use kept::Storages;
use layout::{Layout, Place};

/// What the backward of a norm needs of its forward, where the input is kept for it alone.
#[derive(Debug)]
pub(crate) struct KeptNorm<Buf> {
    pub(crate) x: Buf,
    pub(crate) rstd: Buf,
}

/// What the backward of a layer's attention needs of its forward beside q, k, v and the output.
#[derive(Debug)]
pub(crate) struct AttentionActivations<Buf> {
    pub(crate) rstd: Buf,
    /// Query and key heads before their norm, `[T, qk_width]`, where they have one.
    pub(crate) heads: Option<KeptNorm<Buf>>,
    /// `[T, heads]`.
    pub(crate) log_sum_exp: Buf,
}

/// What the backward of the rest of a layer needs of its forward beside [`MlpValues`].
#[derive(Debug)]
pub(crate) struct MlpNorms<Buf> {
    /// What the attention adds to the residual stream before its norm, `[T, H]`, where it has one.
    pub(crate) attention_branch: Option<KeptNorm<Buf>>,
    pub(crate) rstd: Buf,
    /// As `attention_branch`, of the gated layer.
    pub(crate) branch: Option<KeptNorm<Buf>>,
}

/// What a layer's gated part reads and makes.
#[derive(Debug)]
pub(crate) struct MlpValues<Buf> {
    /// Residual stream after the attention, `[T, H]`.
    pub(crate) x_mid: Buf,
    /// Gate and up, `[T, 2I]`; the backward turns them into their gradient.
    pub(crate) gates: Buf,
}

/// What a layer keeps in fewer bits where products take nothing finer.
#[derive(Debug)]
pub(crate) struct NarrowValues<Buf> {
    /// Residual stream before the layer.
    pub(crate) x: Kept<Buf>,
    /// Residual stream after the attention.
    pub(crate) x_mid: Kept<Buf>,
    pub(crate) gates: Kept<Buf>,
    /// The attention's output; nothing where it is computed again.
    pub(crate) attended: Option<Kept<Buf>>,
    /// Nothing where it is computed again, or kept as it is.
    pub(crate) qkv: Option<Kept<Buf>>,
}

/// Gradients on their way down. Others go where a value was that is not needed any more.
#[derive(Debug)]
pub(crate) struct BackwardScratch<Buf> {
    pub(crate) dx: Buf,
    /// Gradient of a branch before its norm; nothing where branches have none.
    pub(crate) d_branch: Buf,
    pub(crate) dt: Buf,
}

/// What a layer's adapters write in the forward, kept whatever is computed again: it is small without DoRA, and with it
/// the backward of the layer's last product reads what no recomputation would write.
#[derive(Debug)]
struct AdapterActivations<Buf> {
    /// `s x Aᵀ`, group after group `[T, Σ R]`.
    t: Buf,
    /// With DoRA the products before their factor, group after group `[T, Σ N]`.
    outputs: Buf,
}

/// What the adapters of one decoder work in, apart from the rest: decoders on one base take turns in the same
/// activations.
#[derive(Debug)]
pub(crate) struct AdapterMemory<B: Backend> {
    activations: AdapterActivations<B::Buffer>,
    scratch: AdapterScratch<B::Buffer>,
}

impl<B: Backend> AdapterMemory<B> {
    /// Memory for forward passes on batches of up to `capacity` tokens.
    pub(crate) fn for_inference(decoder: &Decoder<B>, capacity: usize) -> Result<Self> {
        let activations = Rooms { decoder, capacity }.adapters()?;
        Ok(AdapterMemory { activations, scratch: decoder.adapter_scratch(capacity, false)? })
    }
}

/// What the norm behind the last layer works in.
pub(crate) struct Last<'a, Buf> {
    /// Residual stream after the last layer, `[T, H]`.
    pub(crate) x: &'a mut Buf,
    /// What the norm writes, `[T, H]`.
    pub(crate) normed: &'a mut Buf,
    pub(crate) rstd: &'a mut Buf,
    /// Not in use there.
    pub(crate) spare: &'a mut Buf,
}

/// The memory that one layer works in.
pub(crate) struct LayerMemory<'a, Buf> {
    /// Residual stream before the layer, `[T, H]`.
    pub(crate) x: &'a mut Buf,
    /// Residual stream after it, `[T, H]`; none where it takes the place of that before.
    pub(crate) x_next: Option<&'a mut Buf>,
    pub(crate) attention: &'a mut AttentionActivations<Buf>,
    /// `[T, qkv_width]`, after RoPE. Never in bf16, which would make the error of all gradients twice as large.
    pub(crate) qkv: &'a mut Buf,
    /// The attention's output, `[T, q_width]`; none where it is in the place of gate and up while they are not there.
    pub(crate) attended: Option<&'a mut Buf>,
    pub(crate) mlp_norms: &'a mut MlpNorms<Buf>,
    pub(crate) mlp: &'a mut MlpValues<Buf>,
    /// What the layer keeps in fewer bits; then it works in memory that layers share.
    pub(crate) narrow: Option<&'a mut NarrowValues<Buf>>,
    pub(crate) adapters: AdapterForward<'a, Buf>,
    /// Output of a norm, `[T, H]`, and in the backward the gradient of the attention's output.
    pub(crate) normed: &'a mut Buf,
    /// Activated gate times up, `[T, I]`, and in the backward gradients.
    pub(crate) activation: &'a mut Buf,
    pub(crate) checkpointing: Checkpointing,
}

/// Activations of a batch of at most `capacity` tokens. Norm outputs and the gated activation are never kept: the
/// backward computes them again, two passes over memory a layer for `2H + I` values a token. What else a layer keeps
/// is for its [`Checkpointing`] to say.
#[derive(Debug)]
pub struct Activations<B: Backend> {
    capacity: usize,
    hidden_size: usize,
    layers: Vec<Place>,
    /// Residual stream before each layer and after the last (`layers + 1` of them, or some in turn), `[T, H]`.
    x: Vec<B::Buffer>,
    attention: Vec<AttentionActivations<B::Buffer>>,
    qkv: Vec<B::Buffer>,
    attended: Vec<B::Buffer>,
    mlp_norms: Vec<MlpNorms<B::Buffer>>,
    mlp_values: Vec<MlpValues<B::Buffer>>,
    narrow: Vec<NarrowValues<B::Buffer>>,
    of_adapters: Vec<AdapterActivations<B::Buffer>>,
    /// Output of a norm, `[T, H]`; after the forward the decoder's output.
    pub(crate) normed: B::Buffer,
    pub(crate) final_rstd: B::Buffer,
    activation: B::Buffer,
    pub(crate) backward: Option<BackwardScratch<B::Buffer>>,
    /// What the adapters of one layer after the other work in.
    pub(crate) adapters: AdapterScratch<B::Buffer>,
    /// Embeddings on the host, where something is done to them there.
    pub(crate) embeddings: Vec<f32>,
}

impl<B: Backend> Activations<B> {
    /// Memory for training on batches of up to `capacity` tokens, everything kept.
    ///
    /// # Errors
    /// When the device has no room.
    pub fn for_training(decoder: &Decoder<B>, capacity: usize) -> Result<Self> {
        Self::for_checkpointed_training(decoder, capacity, &[])
    }

    /// As [`Activations::for_training`], where `layers` says what each layer keeps; layers beyond it keep everything.
    ///
    /// # Errors
    /// When the device has no room.
    pub fn for_checkpointed_training(
        decoder: &Decoder<B>,
        capacity: usize,
        layers: &[Checkpointing],
    ) -> Result<Self> {
        let rooms = Rooms { decoder, capacity };
        let mut activations =
            rooms.allocate(Layout::of_training(&decoder.config, layers, decoder.backend.waiting()), true)?;
        activations.backward = Some(rooms.backward()?);
        Ok(activations)
    }

    /// Memory for forward passes on batches of up to `capacity` tokens, of an adapter that is not trained meanwhile.
    ///
    /// # Errors
    /// When the device has no room.
    pub fn for_inference(decoder: &Decoder<B>, capacity: usize) -> Result<Self> {
        Rooms { decoder, capacity }.allocate(Layout::of_inference(&decoder.config), false)
    }

    /// Tokens that a batch may have.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The decoder's output of the last forward, `[T, H]`.
    pub fn hidden(&self, tokens: usize) -> compute::View<'_, B::Buffer> {
        self.normed.view(0, tokens, self.hidden_size)
    }

    /// Puts the memory of another decoder's adapters in the place of that which is there, and the other way round; for
    /// inference.
    pub(crate) fn exchange(&mut self, memory: &mut AdapterMemory<B>) {
        std::mem::swap(&mut self.of_adapters[0], &mut memory.activations);
        std::mem::swap(&mut self.adapters, &mut memory.scratch);
    }

    /// The residual stream before the first layer.
    pub(crate) fn first(&mut self) -> &mut B::Buffer {
        self.first_and_adapters().0
    }

    /// As [`Activations::first`], and what the adapters work in.
    pub(crate) fn first_and_adapters(&mut self) -> (&mut B::Buffer, &mut AdapterScratch<B::Buffer>) {
        let first = self.layers.first().map_or(0, |place| place.x);
        (&mut self.x[first], &mut self.adapters)
    }

    /// The end of the decoder.
    pub(crate) fn last(&mut self) -> Last<'_, B::Buffer> {
        let last = self.layers.last().map_or(0, |place| place.x_next);
        Last {
            x: &mut self.x[last],
            normed: &mut self.normed,
            rstd: &mut self.final_rstd,
            spare: &mut self.activation,
        }
    }

    /// Memory of layer `l`.
    pub(crate) fn layer(&mut self, l: usize) -> LayerMemory<'_, B::Buffer> {
        let place = self.layers[l];
        let (x, x_next) = if place.x == place.x_next {
            (&mut self.x[place.x], None)
        } else {
            let [x, x_next] = self.x.get_disjoint_mut([place.x, place.x_next]).expect("two of the list");
            (x, Some(x_next))
        };
        let of_adapters = &mut self.of_adapters[place.adapters];
        LayerMemory {
            x,
            x_next,
            attention: &mut self.attention[place.attention],
            qkv: &mut self.qkv[place.qkv],
            attended: place.attended.map(|n| &mut self.attended[n]),
            mlp_norms: &mut self.mlp_norms[place.mlp_norms],
            mlp: &mut self.mlp_values[place.mlp_values],
            narrow: place.narrow.map(|n| &mut self.narrow[n]),
            adapters: AdapterForward {
                t: &mut of_adapters.t,
                outputs: &mut of_adapters.outputs,
                scratch: &mut self.adapters,
            },
            normed: &mut self.normed,
            activation: &mut self.activation,
            checkpointing: place.checkpointing,
        }
    }
}

/// Allocates for a decoder and a number of tokens.
struct Rooms<'a, B: Backend> {
    decoder: &'a Decoder<B>,
    capacity: usize,
}

impl<B: Backend> Rooms<'_, B> {
    fn zeros(&self, what: &'static str, width: usize) -> Result<B::Buffer> {
        Ok(self.decoder.backend.zeros(what, self.capacity * width)?)
    }

    fn norm(&self, present: bool, width: usize, rows: usize) -> Result<Option<KeptNorm<B::Buffer>>> {
        let kept = || Ok(KeptNorm { x: self.zeros("norms", width)?, rstd: self.zeros("norms", rows)? });
        present.then(kept).transpose()
    }

    fn attention(&self) -> Result<AttentionActivations<B::Buffer>> {
        let (a, f) = (self.decoder.config.attention(), &self.decoder.config.features);
        Ok(AttentionActivations {
            rstd: self.zeros("norms", 1)?,
            heads: self.norm(f.qk_norm, a.qk_width(), a.heads + a.kv_heads)?,
            log_sum_exp: self.zeros("attention", a.heads)?,
        })
    }

    fn qkv(&self) -> Result<B::Buffer> {
        self.zeros("q, k, v", self.decoder.config.attention().qkv_width())
    }

    fn attended(&self) -> Result<B::Buffer> {
        self.zeros("attention", self.decoder.config.attention().q_width())
    }

    fn mlp_norms(&self) -> Result<MlpNorms<B::Buffer>> {
        let (c, f) = (&self.decoder.config, &self.decoder.config.features);
        Ok(MlpNorms {
            attention_branch: self.norm(f.post_norms, c.hidden_size, 1)?,
            rstd: self.zeros("norms", 1)?,
            branch: self.norm(f.post_norms, c.hidden_size, 1)?,
        })
    }

    fn mlp_values(&self) -> Result<MlpValues<B::Buffer>> {
        let c = &self.decoder.config;
        Ok(MlpValues {
            x_mid: self.zeros("residual stream", c.hidden_size)?,
            gates: self.zeros("gate and up", gates_room(c))?,
        })
    }

    fn narrow(&self, mode: Checkpointing) -> Result<NarrowValues<B::Buffer>> {
        let (c, of) = (&self.decoder.config, Storages::of(self.decoder.backend.waiting(), mode));
        let (h, a) = (c.hidden_size, c.attention());
        let kept = |what, storage: Storage, width| -> Result<_> {
            Ok(Kept { buffer: self.zeros(what, storage.room(width))?, storage })
        };
        let attended = of.attended.map(|storage| kept("attention", storage, a.q_width()));
        let qkv = of.qkv.map(|storage| kept("q, k, v", storage, a.qkv_width()));
        Ok(NarrowValues {
            x: kept("residual stream", of.x, h)?,
            x_mid: kept("residual stream", of.mlp, h)?,
            gates: kept("gate and up", of.mlp, 2 * c.intermediate_size)?,
            attended: attended.transpose()?,
            qkv: qkv.transpose()?,
        })
    }

    fn backward(&self) -> Result<BackwardScratch<B::Buffer>> {
        let c = &self.decoder.config;
        let gradient = |width| self.zeros("gradients", width);
        Ok(BackwardScratch {
            dx: gradient(c.hidden_size)?,
            d_branch: gradient(if c.features.post_norms { c.hidden_size } else { 0 })?,
            dt: gradient(self.decoder.layer_ranks())?,
        })
    }

    fn adapters(&self) -> Result<AdapterActivations<B::Buffer>> {
        Ok(AdapterActivations {
            t: self.zeros("adapter activations", self.decoder.layer_ranks())?,
            outputs: self.zeros("adapter activations", self.decoder.adapter_widths().outputs)?,
        })
    }

    fn allocate(&self, layout: Layout, training: bool) -> Result<Activations<B>> {
        let c = &self.decoder.config;
        let narrow = layout.places.iter().filter(|place| place.narrow.is_some());
        let narrow = narrow.map(|place| self.narrow(place.checkpointing));
        Ok(Activations {
            capacity: self.capacity,
            hidden_size: c.hidden_size,
            x: many(layout.x.count(), || self.zeros("residual stream", c.hidden_size))?,
            attention: many(layout.attention.count(), || self.attention())?,
            qkv: many(layout.qkv.count(), || self.qkv())?,
            attended: many(layout.attended.count(), || self.attended())?,
            mlp_norms: many(layout.mlp_norms.count(), || self.mlp_norms())?,
            mlp_values: many(layout.mlp_values.count(), || self.mlp_values())?,
            narrow: narrow.collect::<Result<_>>()?,
            of_adapters: many(layout.adapters, || self.adapters())?,
            layers: layout.places,
            normed: self.zeros("norms", normed_room(c, training))?,
            final_rstd: self.zeros("norms", 1)?,
            activation: self.zeros("gated activation", activation_room(c, training))?,
            backward: None,
            adapters: self.decoder.adapter_scratch(self.capacity, training)?,
            embeddings: Vec::new(),
        })
    }
}

/// Values a token where gate and up are: before and behind them the attention's output may be there, and the gradient of
/// the input of a norm.
fn gates_room(c: &Config) -> usize {
    (2 * c.intermediate_size).max(c.hidden_size).max(c.attention().q_width())
}

/// As [`gates_room`], where the gated activation is: then the gradients of the input of a norm and of q, k, v.
fn activation_room(c: &Config, training: bool) -> usize {
    let gradients = if training { c.hidden_size.max(c.attention().qkv_width()) } else { 0 };
    c.intermediate_size.max(gradients)
}

/// As [`gates_room`], where the output of a norm is: then the gradient of the attention's output.
fn normed_room(c: &Config, training: bool) -> usize {
    c.hidden_size.max(if training { c.attention().q_width() } else { 0 })
}

fn many<T>(count: usize, one: impl Fn() -> Result<T>) -> Result<Vec<T>> {
    (0..count).map(|_| one()).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use compute::Cpu;
    use compute::cpu::{CpuBuffer, Precision};

    use super::*;
    use crate::{Family, Features, InitLoraWeights, LoraConfig, RandomStart, Trainable};

    /// Values in all buffers of the activations: the `t` of the backward is counted with them.
    fn allocated(a: &Activations<Cpu>) -> usize {
        let norm = |n: &Option<KeptNorm<CpuBuffer>>| n.as_ref().map_or(0, |n| n.x.len() + n.rstd.len());
        let mlp = |m: &MlpValues<CpuBuffer>| m.x_mid.len() + m.gates.len();
        let narrow = |m: &NarrowValues<CpuBuffer>| {
            let always = [&m.x, &m.x_mid, &m.gates].into_iter();
            always.chain(&m.attended).chain(&m.qkv).map(|kept| kept.buffer.len()).sum::<usize>()
        };
        let attention =
            |m: &AttentionActivations<CpuBuffer>| m.rstd.len() + norm(&m.heads) + m.log_sum_exp.len();
        let mlp_norms = |m: &MlpNorms<CpuBuffer>| norm(&m.attention_branch) + m.rstd.len() + norm(&m.branch);
        let backward = a.backward.iter().flat_map(|b| [&b.dx, &b.d_branch, &b.dt]);
        let single = backward.chain([&a.normed, &a.final_rstd, &a.activation]);
        let own = &a.adapters;
        let scratch =
            [&own.masked, &own.norms, &own.d_outputs, &own.anchored, &own.embedded, &own.d_embedded];
        let kept = a.of_adapters.iter().flat_map(|kept| [&kept.t, &kept.outputs]);
        single.chain(&a.x).chain(&a.qkv).chain(scratch).chain(kept).map(|buffer| buffer.len()).sum::<usize>()
            + a.attention.iter().map(attention).sum::<usize>()
            + a.attended.iter().map(|output| output.len()).sum::<usize>()
            + a.mlp_norms.iter().map(mlp_norms).sum::<usize>()
            + a.mlp_values.iter().map(mlp).sum::<usize>()
            + a.narrow.iter().map(narrow).sum::<usize>()
    }

    #[test]
    fn what_is_planned_is_what_is_allocated() {
        use Checkpointing::{Attention, Full, None};
        for family in [Family::Llama, Family::Qwen3, Family::Gemma2] {
            let config = Config {
                vocab_size: 31,
                hidden_size: 16,
                intermediate_size: 24,
                layers: 3,
                heads: 2,
                kv_heads: 1,
                head_dim: 8,
                max_positions: 32,
                rms_norm_eps: 1e-5,
                rope_theta: 10_000.0,
                rope_scaling: Option::None,
                tie_word_embeddings: true,
                features: Features::of(family),
            };
            let plain = LoraConfig::all(2, 4.0);
            let some = vec!["q_proj".into(), "down_proj".into(), "embed_tokens".into(), "lm_head".into()];
            let adapters = [
                LoraConfig { dropout: 0.1, dora: true, ..plain.clone() },
                LoraConfig { init: InitLoraWeights::Pissa { passes: Some(1) }, ..plain.clone() },
                LoraConfig { targets: some, dropout: 0.1, ..plain.clone() },
                plain,
            ];
            let devices = || {
                let bf16 = || Cpu::new(1).with_precision(Precision::Bf16);
                [Cpu::new(1), bf16(), bf16().with_8bit_activations()]
            };
            for (adapter, device) in adapters.iter().flat_map(|a| devices().map(|d| (a.clone(), d))) {
                let trainable = Trainable::Lora { config: adapter, seed: 1 };
                let start = RandomStart::new(config.clone(), 1);
                let decoder = Decoder::new(Arc::new(device), config.clone(), &start, &trainable).unwrap();
                let plan = ActivationPlan::for_inference(&decoder, (7, 5));
                let activations = Activations::for_inference(&decoder, 7).unwrap();
                assert_eq!(plan.shared, 4 * allocated(&activations), "{family:?} {trainable:?}");
                for layers in [&[][..], &[None, Attention, Full], &[Full; 3], &[Attention; 3]] {
                    let plan = ActivationPlan::new(&decoder, (7, 5), (layers, decoder.backend().waiting()));
                    let activations = Activations::for_checkpointed_training(&decoder, 7, layers).unwrap();
                    let what = format!("{family:?} {trainable:?} {layers:?}");
                    assert_eq!(plan.kept + plan.shared, 4 * allocated(&activations), "{what}");
                }
            }
        }
    }
}
