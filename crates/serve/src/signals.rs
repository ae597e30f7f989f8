//! The wish that the program end: Ctrl-C, and SIGTERM where there is one.

use std::io;

#[cfg(unix)]
pub(crate) use unix::Signals;

#[cfg(unix)]
mod unix {
    use std::pin::pin;

    use futures_util::future::{Either, select};
    use tokio::signal::unix::{Signal, SignalKind, signal};

    use super::io;

    /// Signals from here on.
    #[derive(Debug)]
    pub(crate) struct Signals {
        interrupt: Signal,
        terminate: Signal,
    }

    impl Signals {
        /// Begins to watch; needs a runtime.
        pub(crate) fn watch() -> io::Result<Self> {
            let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
            Ok(Signals { interrupt, terminate })
        }

        /// The exit status that tells of the next one.
        pub(crate) async fn next(&mut self) -> i32 {
            match select(pin!(self.interrupt.recv()), pin!(self.terminate.recv())).await {
                Either::Left(_) => 130,
                Either::Right(_) => 143,
            }
        }
    }
}

/// Signals from here on.
#[cfg(not(unix))]
#[derive(Debug)]
pub(crate) struct Signals;

#[cfg(not(unix))]
impl Signals {
    /// Begins to watch; needs a runtime.
    pub(crate) fn watch() -> io::Result<Self> {
        Ok(Signals)
    }

    /// The exit status that tells of the next one.
    pub(crate) async fn next(&mut self) -> i32 {
        let _ = tokio::signal::ctrl_c().await;
        130
    }
}
