//! Ctrl-C and the system's wish that the program end (SIGINT, SIGTERM).
//!
//! While a run trains, the first signal asks it to keep its state and leave; a second one, and any signal at another
//! time, ends the program at once. The exit status is the shell's: 130 after Ctrl-C, 143 after SIGTERM.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::failure::{Failure, Outcome};

/// What is known of signals, while it lives.
#[derive(Debug)]
pub(crate) struct Interrupts {
    /// Set by a signal, and whenever a signal should end the program at once.
    at_once: Arc<AtomicBool>,
    signal: Arc<AtomicUsize>,
}

impl Interrupts {
    /// From here on signals are asked about instead of being obeyed.
    pub(crate) fn watch() -> Outcome<Self> {
        let watched = Interrupts { at_once: Arc::default(), signal: Arc::default() };
        let refused = |e: std::io::Error| Failure::unexpected(format!("signals cannot be watched: {e}"));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds `at_once` unset, sets it, and the next one ends the program.
            flag::register_conditional_shutdown(signal, 128 + signal, watched.at_once.clone())
                .map_err(refused)?;
            flag::register(signal, watched.at_once.clone()).map_err(refused)?;
            flag::register_usize(signal, watched.signal.clone(), signal as usize).map_err(refused)?;
        }
        Ok(watched)
    }

    /// True once a signal has come.
    pub(crate) fn flag(&self) -> &AtomicBool {
        &self.at_once
    }

    /// The exit status that tells of the signal.
    pub(crate) fn status(&self) -> u8 {
        match self.signal.load(Ordering::Relaxed) {
            0 => 128 + SIGINT as u8,
            signal => 128 + signal as u8,
        }
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        // Handlers stay; what comes after training has no state to keep.
        self.at_once.store(true, Ordering::Relaxed);
    }
}
