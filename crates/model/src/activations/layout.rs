//! Which layers have memory of their own, and which share some.

use compute::Waiting;

use crate::Config;
use crate::checkpointing::Checkpointing;

/// Where a layer finds its memory: indices into the lists of [`Activations`](super::Activations). Layers that compute
/// again what they do not keep share an entry, and so do those that keep it in fewer bits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) x: usize,
    pub(super) x_next: usize,
    pub(super) attention: usize,
    pub(super) qkv: usize,
    pub(super) attended: Option<usize>,
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
    pub(super) x: Slots,
    pub(super) attention: Slots,
    pub(super) qkv: Slots,
    pub(super) attended: Slots,
    pub(super) mlp_norms: Slots,
    pub(super) mlp_values: Slots,
    /// How many layers have memory for their adapters.
    pub(super) adapters: usize,
}

/// Hands out places in a list: one to each layer that keeps its values there, and one to all others.
#[derive(Debug)]
pub(super) struct Slots {
    /// Entries of one layer alone.
    pub(super) own: usize,
    shared: Option<usize>,
}

impl Slots {
    fn new() -> Self {
        Slots { own: 0, shared: None }
    }

    /// Entries.
    pub(super) fn count(&self) -> usize {
        self.own + self.shared()
    }

    /// Entries that layers share.
    pub(super) fn shared(&self) -> usize {
        usize::from(self.shared.is_some())
    }

    /// Place for a layer that keeps what is there, or the shared one.
    fn take(&mut self, own: bool) -> usize {
        let next = self.count();
        if own {
            self.own += 1;
            return next;
        }
        *self.shared.get_or_insert(next)
    }
}

impl Layout {
    fn new() -> Self {
        Layout {
            places: Vec::new(),
            x: Slots::new(),
            attention: Slots::new(),
            qkv: Slots::new(),
            attended: Slots::new(),
            mlp_norms: Slots::new(),
            mlp_values: Slots::new(),
            adapters: 0,
        }
    }

    /// What layers keep from forward to backward is their own. Layers beyond the list of modes keep everything.
    pub(super) fn of_training(c: &Config, layers: &[Checkpointing], waiting: Waiting) -> Self {
        let mut layout = Layout::new();
        let rounds = waiting != Waiting::Exact && c.hidden_size.is_multiple_of(2);
        // Who computes everything again does so from the residual stream as it was.
        let narrow = |mode: Checkpointing| rounds && mode.keeps_mlp();
        let (mut x_next, mut narrow_layers) = (None, 0);
        let modes: Vec<Checkpointing> =
            (0..c.layers).map(|l| layers.get(l).copied().unwrap_or_default()).collect();
        for (l, &mode) in modes.iter().enumerate() {
            let own_x = |l: usize| modes.get(l).map_or(!rounds, |&mode| !narrow(mode));
            let x = x_next.unwrap_or_else(|| layout.x.take(own_x(l)));
            let next = layout.x.take(own_x(l + 1));
            x_next = Some(next);
            let place = Place {
                x,
                x_next: next,
                attention: layout.attention.take(mode.keeps_attention()),
                qkv: layout.qkv.take(mode.keeps_attention() && !(narrow(mode) && waiting == Waiting::Codes)),
                attended: (!(narrow(mode) && mode.keeps_attention()))
                    .then(|| layout.attended.take(mode.keeps_attention())),
                mlp_norms: layout.mlp_norms.take(mode.keeps_mlp()),
                mlp_values: layout.mlp_values.take(mode.keeps_mlp() && !narrow(mode)),
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
        for _ in 0..c.layers {
            let place = Place {
                x: layout.x.take(false),
                x_next: layout.x.take(false),
                attention: layout.attention.take(false),
                qkv: layout.qkv.take(false),
                attended: Some(layout.attended.take(false)),
                mlp_norms: layout.mlp_norms.take(false),
                mlp_values: layout.mlp_values.take(false),
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
