//! What layers keep from forward to backward in fewer bits than a float has.

use compute::{Codes, DeviceBuffer, View, ViewMut, Waiting};

use crate::checkpointing::Checkpointing;

/// Values `[T, N]` that wait for the backward.
#[derive(Debug)]
pub(crate) struct Kept<Buf> {
    /// `[T, storage.room(N)]`.
    pub(crate) buffer: Buf,
    pub(crate) storage: Storage,
}

/// How they are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storage {
    /// Two values in the room of one.
    Bf16,
    Codes(Codes),
}

impl Storage {
    /// Room of a row of `width` values.
    pub(crate) fn room(self, width: usize) -> usize {
        match self {
            Storage::Bf16 => width / 2,
            Storage::Codes(codes) => codes.room(width),
        }
    }
}

impl<Buf: DeviceBuffer> Kept<Buf> {
    /// Where `rows` rows of `width` values are.
    pub(crate) fn view(&self, rows: usize, width: usize) -> View<'_, Buf> {
        self.buffer.view(0, rows, self.storage.room(width))
    }

    /// As [`Kept::view`].
    pub(crate) fn view_mut(&mut self, rows: usize, width: usize) -> ViewMut<'_, Buf> {
        let room = self.storage.room(width);
        self.buffer.view_mut(0, rows, room)
    }
}

/// How a layer that keeps gate and up stores what it keeps; nothing for what is computed again, or kept as it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Storages {
    /// Of the residual stream before the layer.
    pub(super) x: Storage,
    /// Of gate and up, and of the residual stream before them.
    pub(super) mlp: Storage,
    pub(super) attended: Option<Storage>,
    pub(super) qkv: Option<Storage>,
}

impl Storages {
    pub(super) fn of(waiting: Waiting, mode: Checkpointing) -> Self {
        let coded = waiting == Waiting::Codes;
        let narrow = if coded { Storage::Codes(Codes::Eight) } else { Storage::Bf16 };
        let attention = mode.keeps_attention();
        Storages {
            // Who computes the attention again does so from what the forward has read.
            x: if attention { narrow } else { Storage::Bf16 },
            mlp: narrow,
            attended: attention.then_some(narrow),
            qkv: (attention && coded).then_some(Storage::Codes(Codes::Sixteen)),
        }
    }
}
