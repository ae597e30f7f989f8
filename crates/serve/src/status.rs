//! How the server is doing.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use model::engine::Load;

use crate::metrics::Metrics;

/// Shared between the thread of the engine and the handlers.
#[derive(Debug, Default)]
pub(crate) struct Status {
    /// The engine gave up.
    dead: AtomicBool,
    /// No new requests are taken.
    leaving: AtomicBool,
    /// Held for a copy only, never across foreign code.
    load: Mutex<Load>,
    pub(crate) metrics: Metrics,
}

impl Status {
    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    pub(crate) fn died(&self) {
        self.dead.store(true, Ordering::Release);
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    pub(crate) fn publish(&self, load: Load) {
        *self.load.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = load;
    }

    pub(crate) fn load(&self) -> Load {
        *self.load.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
