//! Which layers have memory of their own, and which share some.

use compute::Backend;

use crate::checkpointing::Checkpointing;
use crate::{Config, Decoder};

/// Where a layer finds its memory: indices into the lists of [`Activations`](super::Activations). Layers that compute
/// again what they do not keep share an entry, and so do those that keep it in bf16.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) x: usize,
    pub(super) x_next: usize,
    pub(super) attention: usize,
    pub(super) attended: usize,
    pub(super) mlp_norms: usize,
    pub(super) mlp_values: usize,
    pub(super) narrow: Option<usize>,
    pub(super) adapters: usize,
    pub(super) checkpointing: Checkpointing,
}

/// The places of all layers.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) places: Vec<Place>,
    pub(super) x: Slots<2>,
    pub(super) attention: Slots<1>,
    pub(super) attended: Slots<1>,
    pub(super) mlp_norms: Slots<1>,
    pub(super) mlp_values: Slots<1>,
    /// How many layers have memory for their adapters.
    pub(super) adapters: usize,
}

/// Hands out places in a list: one to each layer that keeps its values there, and the shared ones to all others.
#[derive(Debug)]
pub(super) struct Slots<const SHARED: usize> {
    /// Entries of one layer alone.
    pub(super) own: usize,
    shared: [Option<usize>; SHARED],
}

impl<const SHARED: usize> Slots<SHARED> {
    fn new() -> Self {
        Slots { own: 0, shared: [None; SHARED] }
    }

    /// Entries.
    pub(super) fn count(&self) -> usize {
        self.own + self.shared()
    }

    /// Entries that layers share.
    pub(super) fn shared(&self) -> usize {
        self.shared.iter().flatten().count()
    }

    /// Place for a layer that keeps what is there, or the shared one of number `number`.
    fn take(&mut self, own: bool, number: usize) -> usize {
        let next = self.count();
        if own {
            self.own += 1;
            return next;
        }
        *self.shared[number % SHARED].get_or_insert(next)
    }
}

impl Layout {
    fn new() -> Self {
        Layout {
            places: Vec::new(),
            x: Slots::new(),
            attention: Slots::new(),
            attended: Slots::new(),
            mlp_norms: Slots::new(),
            mlp_values: Slots::new(),
            adapters: 0,
        }
    }

    /// What layers keep from forward to backward is their own. Layers beyond the list of modes keep everything.
    pub(super) fn of_training<B: Backend>(decoder: &Decoder<B>, layers: &[Checkpointing]) -> Self {
        let (mut layout, c) = (Layout::new(), &decoder.config);
        let keeps_bf16 = decoder.backend.keeps_bf16() && c.hidden_size.is_multiple_of(2);
        // Who computes everything again does so from the residual stream as it was.
        let narrow = |mode: Checkpointing| keeps_bf16 && mode.keeps_mlp();
        let (mut x_next, mut narrow_layers) = (None, 0);
        let modes: Vec<Checkpointing> =
            (0..c.layers).map(|l| layers.get(l).copied().unwrap_or_default()).collect();
        for (l, &mode) in modes.iter().enumerate() {
            let own_x = |l: usize| modes.get(l).map_or(!keeps_bf16, |&mode| !narrow(mode));
            let x = x_next.unwrap_or_else(|| layout.x.take(own_x(l), l));
            let next = layout.x.take(own_x(l + 1), l + 1);
            x_next = Some(next);
            let place = Place {
                x,
                x_next: next,
                attention: layout.attention.take(mode.keeps_attention(), 0),
                attended: layout.attended.take(mode.keeps_attention() && !narrow(mode), 0),
                mlp_norms: layout.mlp_norms.take(mode.keeps_mlp(), 0),
                mlp_values: layout.mlp_values.take(mode.keeps_mlp() && !narrow(mode), 0),
                narrow: narrow(mode).then_some(narrow_layers),
                adapters: l,
                checkpointing: mode,
            };
            narrow_layers += usize::from(narrow(mode));
            layout.places.push(place);
        }
        layout.adapters = c.layers;
        layout
    }

    /// One layer after the other works in the same memory.
    pub(super) fn of_inference(c: &Config) -> Self {
        let mut layout = Layout::new();
        for l in 0..c.layers {
            let place = Place {
                x: layout.x.take(false, l),
                x_next: layout.x.take(false, l + 1),
                attention: layout.attention.take(false, 0),
                attended: layout.attended.take(false, 0),
                mlp_norms: layout.mlp_norms.take(false, 0),
                mlp_values: layout.mlp_values.take(false, 0),
                narrow: None,
                adapters: 0,
                checkpointing: Checkpointing::None,
            };
            layout.places.push(place);
        }
        layout.adapters = 1;
        layout
    }
}
