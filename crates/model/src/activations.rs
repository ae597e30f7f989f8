//! The memory of a step: allocated once, used by every step.

use compute::{Backend, DeviceBuffer};

use crate::adapters::{AdapterForward, AdapterScratch};
use crate::checkpointing::Checkpointing;
use crate::{Config, Decoder, Result};

/// What the backward of a norm needs of its forward, where the input is kept for it alone.
#[derive(Debug)]
pub(crate) struct KeptNorm<Buf> {
    pub(crate) x: Buf,
    pub(crate) rstd: Buf,
}

/// What the backward of a layer's attention needs of its forward.
#[derive(Debug)]
pub(crate) struct AttentionActivations<Buf> {
    pub(crate) rstd: Buf,
    /// `[T, qkv_width]`, after RoPE.
    pub(crate) qkv: Buf,
    /// Query and key heads before their norm, `[T, qk_width]`, where they have one.
    pub(crate) heads: Option<KeptNorm<Buf>>,
    /// `[T, q_width]`.
    pub(crate) output: Buf,
    /// `[T, heads]`.
    pub(crate) log_sum_exp: Buf,
}

/// What the backward of the rest of a layer needs of its forward.
#[derive(Debug)]
pub(crate) struct MlpActivations<Buf> {
    /// What the attention adds to the residual stream before its norm, `[T, H]`, where it has one.
    pub(crate) attention_branch: Option<KeptNorm<Buf>>,
    /// Residual stream after the attention, `[T, H]`.
    pub(crate) x_mid: Buf,
    pub(crate) rstd: Buf,
    /// As `attention_branch`, of the gated layer.
    pub(crate) branch: Option<KeptNorm<Buf>>,
}

/// Gradients on their way down.
#[derive(Debug)]
pub(crate) struct BackwardScratch<Buf> {
    pub(crate) dx: Buf,
    /// Gradient of a branch before its norm; nothing where branches have none.
    pub(crate) d_branch: Buf,
    pub(crate) d_normed: Buf,
    pub(crate) d_qkv: Buf,
    pub(crate) d_attention: Buf,
    pub(crate) d_activation: Buf,
    pub(crate) dt: Buf,
}

/// Where a layer finds its memory: indices into the lists of [`Activations`]. Layers that compute again what they do
/// not keep share an entry.
#[derive(Debug, Clone, Copy)]
struct Place {
    x: usize,
    x_next: usize,
    attention: usize,
    mlp: usize,
    gates: usize,
    narrow_gates: Option<usize>,
    adapters: usize,
    checkpointing: Checkpointing,
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

/// The memory that one layer works in.
pub(crate) struct LayerMemory<'a, Buf> {
    /// Residual stream before the layer, `[T, H]`.
    pub(crate) x: &'a mut Buf,
    /// Residual stream after it, `[T, H]`.
    pub(crate) x_next: &'a mut Buf,
    pub(crate) attention: &'a mut AttentionActivations<Buf>,
    pub(crate) mlp: &'a mut MlpActivations<Buf>,
    /// Gate and up, `[T, 2I]`; the backward turns them into their gradient.
    pub(crate) gates: &'a mut Buf,
    /// Where the layer keeps them in bf16, `[T, I]`, if it does.
    pub(crate) narrow_gates: Option<&'a mut Buf>,
    pub(crate) adapters: AdapterForward<'a, Buf>,
    /// Output of a norm, `[T, H]`.
    pub(crate) normed: &'a mut Buf,
    /// Activated gate times up, `[T, I]`.
    pub(crate) activation: &'a mut Buf,
    pub(crate) checkpointing: Checkpointing,
}

/// Activations of a batch of at most `capacity` tokens. Norm outputs and the gated activation are never kept: the
/// backward computes them again, two passes over memory a layer for `2H + I` values a token. What else a layer keeps
/// is for its [`Checkpointing`] to say.
#[derive(Debug)]
pub struct Activations<B: Backend> {
    capacity: usize,
    layers: Vec<Place>,
    /// Residual stream before each layer and after the last (`layers + 1` of them, or two in turn), `[T, H]`.
    x: Vec<B::Buffer>,
    attention: Vec<AttentionActivations<B::Buffer>>,
    mlp: Vec<MlpActivations<B::Buffer>>,
    gates: Vec<B::Buffer>,
    narrow_gates: Vec<B::Buffer>,
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

/// Bytes of a step's memory by purpose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ActivationPlan {
    /// Kept from forward to backward.
    pub kept: usize,
    /// Used by one layer after the other.
    pub shared: usize,
    /// Logits of the labelled rows that are projected at once, with what belongs to them.
    pub logits: usize,
}

impl ActivationPlan {
    /// What a batch of `tokens` tokens takes of which `labels` are judged, with these layers. Fewer layers than the
    /// decoder has: the rest keep everything.
    pub fn new<B: Backend>(
        decoder: &Decoder<B>,
        (tokens, labels): (usize, usize),
        layers: &[Checkpointing],
    ) -> Self {
        let (c, ranks) = (&decoder.config, decoder.layer_ranks());
        let (widths, adapters) = (Widths::of(c), decoder.adapter_widths());
        let modes = || modes(c, layers);
        let (attention, mlp) = (
            modes().filter(|mode| mode.keeps_attention()).count(),
            modes().filter(|mode| mode.keeps_mlp()).count(),
        );
        let narrow = decoder.backend.keeps_bf16();
        let spare = |kept: usize, width: usize| if kept < c.layers { width } else { 0 };
        let kept = (c.layers + 1) * c.hidden_size
            + attention * widths.attention
            + mlp * widths.mlp
            + mlp * if narrow { c.intermediate_size } else { 2 * c.intermediate_size }
            + c.layers * (ranks + adapters.outputs)
            + 1;
        let shared = spare(attention, widths.attention)
            + spare(mlp, widths.mlp)
            + spare(if narrow { 0 } else { mlp }, 2 * c.intermediate_size)
            + c.hidden_size
            + c.intermediate_size
            + widths.backward
            + ranks
            + adapters.scratch();
        let rows = crate::backward::loss_chunk(c.vocab_size).min(labels);
        let (head_rank, _) = decoder.end_ranks();
        ActivationPlan {
            kept: kept * tokens * size_of::<f32>(),
            shared: (shared * tokens + decoder.squares.len()) * size_of::<f32>(),
            logits: rows * (c.vocab_size + 2 * (c.hidden_size + head_rank) + 3) * size_of::<f32>(),
        }
    }

    /// All of it.
    pub fn total(&self) -> usize {
        self.kept + self.shared + self.logits
    }
}

/// Values a token.
struct Widths {
    attention: usize,
    mlp: usize,
    /// Of [`BackwardScratch`] without `dt`.
    backward: usize,
}

impl Widths {
    fn of(c: &Config) -> Self {
        let (a, f) = (c.attention(), &c.features);
        let (h, i) = (c.hidden_size, c.intermediate_size);
        let heads = if f.qk_norm { a.qk_width() + a.heads + a.kv_heads } else { 0 };
        let branches = if f.post_norms { 2 * (h + 1) } else { 0 };
        Widths {
            attention: 1 + a.qkv_width() + heads + a.q_width() + a.heads,
            mlp: branches + h + 1,
            backward: 2 * h + if f.post_norms { h } else { 0 } + a.qkv_width() + a.q_width() + i,
        }
    }
}

/// The mode of every layer.
fn modes(c: &Config, layers: &[Checkpointing]) -> impl Iterator<Item = Checkpointing> {
    (0..c.layers).map(|l| layers.get(l).copied().unwrap_or_default())
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
        let c = &decoder.config;
        let narrow = decoder.backend.keeps_bf16();
        let [mut attention, mut mlp, mut gates, mut narrow_gates] = std::array::from_fn(|_| Slots::default());
        let layers = modes(c, layers)
            .enumerate()
            .map(|(l, checkpointing)| Place {
                x: l,
                x_next: l + 1,
                attention: attention.take(checkpointing.keeps_attention()),
                mlp: mlp.take(checkpointing.keeps_mlp()),
                gates: gates.take(checkpointing.keeps_mlp() && !narrow),
                narrow_gates: (checkpointing.keeps_mlp() && narrow).then(|| narrow_gates.take(true)),
                adapters: l,
                checkpointing,
            })
            .collect();
        let rooms = Rooms { decoder, capacity };
        let counts = Counts {
            x: c.layers + 1,
            attention: attention.count,
            mlp: mlp.count,
            gates: gates.count,
            narrow_gates: narrow_gates.count,
            adapters: c.layers,
        };
        let mut activations = rooms.allocate(layers, counts, true)?;
        activations.backward = Some(rooms.backward()?);
        Ok(activations)
    }

    /// Memory for forward passes on batches of up to `capacity` tokens, of an adapter that is not trained meanwhile.
    ///
    /// # Errors
    /// When the device has no room.
    pub fn for_inference(decoder: &Decoder<B>, capacity: usize) -> Result<Self> {
        let place = |l| Place {
            x: l % 2,
            x_next: (l + 1) % 2,
            attention: 0,
            mlp: 0,
            gates: 0,
            narrow_gates: None,
            adapters: 0,
            checkpointing: Checkpointing::None,
        };
        let layers = (0..decoder.config.layers).map(place).collect();
        let counts = Counts { x: 2, attention: 1, mlp: 1, gates: 1, narrow_gates: 0, adapters: 1 };
        Rooms { decoder, capacity }.allocate(layers, counts, false)
    }

    /// Tokens that a batch may have.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The decoder's output of the last forward, `[T, H]`.
    pub fn hidden(&self, tokens: usize) -> compute::View<'_, B::Buffer> {
        self.normed.view(0, tokens, self.normed.len() / self.capacity)
    }

    /// Puts the memory of another decoder's adapters in the place of that which is there, and the other way round; for
    /// inference.
    pub(crate) fn exchange(&mut self, memory: &mut AdapterMemory<B>) {
        std::mem::swap(&mut self.of_adapters[0], &mut memory.activations);
        std::mem::swap(&mut self.adapters, &mut memory.scratch);
    }

    /// The residual stream before the first layer.
    pub(crate) fn first(&mut self) -> &mut B::Buffer {
        &mut self.x[0]
    }

    /// As [`Activations::first`], and what the adapters work in.
    pub(crate) fn first_and_adapters(&mut self) -> (&mut B::Buffer, &mut AdapterScratch<B::Buffer>) {
        (&mut self.x[0], &mut self.adapters)
    }

    /// The residual stream after the last layer, and what the norm behind it writes.
    pub(crate) fn last(&mut self) -> (&B::Buffer, &mut B::Buffer, &mut B::Buffer) {
        let last = self.layers.last().map_or(0, |place| place.x_next);
        (&self.x[last], &mut self.normed, &mut self.final_rstd)
    }

    /// Memory of layer `l`.
    pub(crate) fn layer(&mut self, l: usize) -> LayerMemory<'_, B::Buffer> {
        let place = self.layers[l];
        let [x, x_next] = self.x.get_disjoint_mut([place.x, place.x_next]).expect("two of the list");
        let of_adapters = &mut self.of_adapters[place.adapters];
        LayerMemory {
            x,
            x_next,
            attention: &mut self.attention[place.attention],
            mlp: &mut self.mlp[place.mlp],
            gates: &mut self.gates[place.gates],
            narrow_gates: place.narrow_gates.map(|n| &mut self.narrow_gates[n]),
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

/// Hands out places in a list: one to each layer that keeps its values, one to all others.
#[derive(Default)]
struct Slots {
    count: usize,
    shared: Option<usize>,
}

impl Slots {
    fn take(&mut self, own: bool) -> usize {
        let mut next = || {
            self.count += 1;
            self.count - 1
        };
        if own { next() } else { *self.shared.get_or_insert_with(next) }
    }
}

/// How many of each list there are.
struct Counts {
    x: usize,
    attention: usize,
    mlp: usize,
    gates: usize,
    narrow_gates: usize,
    adapters: usize,
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
            qkv: self.zeros("q, k, v", a.qkv_width())?,
            heads: self.norm(f.qk_norm, a.qk_width(), a.heads + a.kv_heads)?,
            output: self.zeros("attention", a.q_width())?,
            log_sum_exp: self.zeros("attention", a.heads)?,
        })
    }

    fn mlp(&self) -> Result<MlpActivations<B::Buffer>> {
        let (c, f) = (&self.decoder.config, &self.decoder.config.features);
        Ok(MlpActivations {
            attention_branch: self.norm(f.post_norms, c.hidden_size, 1)?,
            x_mid: self.zeros("residual stream", c.hidden_size)?,
            rstd: self.zeros("norms", 1)?,
            branch: self.norm(f.post_norms, c.hidden_size, 1)?,
        })
    }

    fn backward(&self) -> Result<BackwardScratch<B::Buffer>> {
        let (c, a) = (&self.decoder.config, self.decoder.config.attention());
        let gradient = |width| self.zeros("gradients", width);
        Ok(BackwardScratch {
            dx: gradient(c.hidden_size)?,
            d_branch: gradient(if c.features.post_norms { c.hidden_size } else { 0 })?,
            d_normed: gradient(c.hidden_size)?,
            d_qkv: gradient(a.qkv_width())?,
            d_attention: gradient(a.q_width())?,
            d_activation: gradient(c.intermediate_size)?,
            dt: gradient(self.decoder.layer_ranks())?,
        })
    }

    fn adapters(&self) -> Result<AdapterActivations<B::Buffer>> {
        Ok(AdapterActivations {
            t: self.zeros("adapter activations", self.decoder.layer_ranks())?,
            outputs: self.zeros("adapter activations", self.decoder.adapter_widths().outputs)?,
        })
    }

    /// So many of each.
    fn allocate(&self, layers: Vec<Place>, counts: Counts, training: bool) -> Result<Activations<B>> {
        let c = &self.decoder.config;
        let (h, i) = (c.hidden_size, c.intermediate_size);
        let list =
            |count: usize, what, width| (0..count).map(|_| self.zeros(what, width)).collect::<Result<_>>();
        Ok(Activations {
            capacity: self.capacity,
            layers,
            x: list(counts.x, "residual stream", h)?,
            attention: (0..counts.attention).map(|_| self.attention()).collect::<Result<_>>()?,
            mlp: (0..counts.mlp).map(|_| self.mlp()).collect::<Result<_>>()?,
            gates: list(counts.gates, "gate and up", 2 * i)?,
            narrow_gates: list(counts.narrow_gates, "gate and up", i)?,
            of_adapters: (0..counts.adapters).map(|_| self.adapters()).collect::<Result<_>>()?,
            normed: self.zeros("norms", c.hidden_size)?,
            final_rstd: self.zeros("norms", 1)?,
            activation: self.zeros("gated activation", c.intermediate_size)?,
            backward: None,
            adapters: self.decoder.adapter_scratch(self.capacity, training)?,
            embeddings: Vec::new(),
        })
    }
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
        let attention = |m: &AttentionActivations<CpuBuffer>| {
            m.rstd.len() + m.qkv.len() + norm(&m.heads) + m.output.len() + m.log_sum_exp.len()
        };
        let mlp = |m: &MlpActivations<CpuBuffer>| {
            norm(&m.attention_branch) + m.x_mid.len() + m.rstd.len() + norm(&m.branch)
        };
        let b = a.backward.as_ref().unwrap();
        let backward = [&b.dx, &b.d_branch, &b.d_normed, &b.d_qkv, &b.d_attention, &b.d_activation, &b.dt];
        let single = backward.into_iter().chain([&a.normed, &a.final_rstd, &a.activation]);
        let own = &a.adapters;
        let scratch =
            [&own.masked, &own.norms, &own.d_outputs, &own.anchored, &own.embedded, &own.d_embedded];
        let kept = a.of_adapters.iter().flat_map(|kept| [&kept.t, &kept.outputs]);
        let kept = kept.chain(&a.gates).chain(&a.narrow_gates);
        single.chain(&a.x).chain(scratch).chain(kept).map(|buffer| buffer.len()).sum::<usize>()
            + a.attention.iter().map(attention).sum::<usize>()
            + a.mlp.iter().map(mlp).sum::<usize>()
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
            let precisions = [Precision::F32, Precision::Bf16];
            for (adapter, precision) in adapters.iter().flat_map(|a| precisions.map(|p| (a.clone(), p))) {
                let trainable = Trainable::Lora { config: adapter, seed: 1 };
                let start = RandomStart::new(config.clone(), 1);
                let device = Arc::new(Cpu::new(1).with_precision(precision));
                let decoder = Decoder::new(device, config.clone(), &start, &trainable).unwrap();
                for layers in [&[][..], &[None, Attention, Full], &[Full; 3], &[Attention; 3]] {
                    let plan = ActivationPlan::new(&decoder, (7, 5), layers);
                    let activations = Activations::for_checkpointed_training(&decoder, 7, layers).unwrap();
                    let what = format!("{family:?} {trainable:?} {layers:?}");
                    assert_eq!(plan.kept + plan.shared, 4 * allocated(&activations), "{what}");
                }
            }
        }
    }
}
