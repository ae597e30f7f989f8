//! A server from its start to its end.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use futures_util::future::select;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::app::App;
use crate::signals::Signals;
use crate::worker::{Job, Worker};
use crate::{Catalogue, Error, Settings, Writer, listener, routes};

/// Threads for connections; the engine has its own.
const THREADS: usize = 2;
/// Threads for what takes time: tokenizing, compiling schemas.
const ENCODERS: usize = 4;
/// For so long `/health` tells that the engine has stopped before the server ends.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// For so long clients may take their error events when the time to end has come.
const GOODBYE: Duration = Duration::from_secs(2);

/// Gives the engine its jobs. It ends when the server does.
#[derive(Debug)]
pub struct Inbox {
    app: App,
    jobs: tokio::sync::mpsc::Receiver<Job>,
    ready: std_mpsc::Sender<()>,
}

impl Inbox {
    /// Works with `writer` until the server ends. The server listens from here on.
    pub fn drive<W: Writer>(self, writer: W) {
        // Nobody waits for the news if the start has failed.
        let _ = self.ready.send(());
        Worker::new(writer, self.jobs, &self.app.status).run();
    }
}

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    app: App,
    leave: watch::Sender<bool>,
    accepting: tokio::task::JoinHandle<()>,
    engine: std::thread::JoinHandle<Result<(), Error>>,
    ended: watch::Receiver<bool>,
    runtime: Runtime,
}

impl Server {
    /// Starts to listen. `engine` makes the writer on a thread of its own and gives it to [`Inbox::drive`].
    ///
    /// # Errors
    /// When others could reach it without a key, the address is taken, or the engine cannot be made.
    pub fn start(
        catalogue: Arc<Catalogue>,
        settings: Settings,
        engine: impl FnOnce(Inbox) -> model::Result<()> + Send + 'static,
    ) -> Result<Self, Error> {
        let bind = settings.bind;
        if !bind.ip().is_loopback() && settings.keys.is_empty() {
            return Err(Error::Open { bind });
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .max_blocking_threads(ENCODERS)
            .thread_name("http")
            .enable_all()
            .build()
            .map_err(Error::Start)?;
        let entered = runtime.enter();
        let listener = listener::listen(bind, &settings.limits)?;
        let address = listener.local_addr().map_err(|source| Error::Bind { bind, source })?;
        let (app, jobs) = App::new(catalogue, settings);
        let (ready, is_ready) = std_mpsc::channel();
        let (ended_sender, ended) = watch::channel(false);
        let inbox = Inbox { app: app.clone(), jobs, ready };
        let status = app.status.clone();
        let engine = std::thread::Builder::new()
            .name("engine".to_owned())
            .spawn(move || {
                let worked = catch_unwind(AssertUnwindSafe(|| engine(inbox)));
                let worked =
                    worked.map_err(|_| Error::EngineDied).and_then(|made| made.map_err(Error::Engine));
                let worked = match status.is_leaving() {
                    true => worked,
                    false => worked.and(Err(Error::EngineDied)),
                };
                if worked.is_err() {
                    status.died();
                }
                let _ = ended_sender.send(true);
                worked
            })
            .map_err(Error::Start)?;
        if is_ready.recv().is_err() {
            // It has ended before it drove anything.
            return Err(match engine.join() {
                Ok(Err(error)) => error,
                _ => Error::EngineDied,
            });
        }
        let (leave, leaving) = watch::channel(false);
        let accepting = listener::accept(listener, routes::router(app.clone()), app.clone(), leaving);
        let accepting = runtime.spawn(accepting);
        drop(entered);
        Ok(Server { address, app, leave, accepting, engine, ended, runtime })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until SIGINT or SIGTERM, or until the engine stops. Texts that are being written then get time to end;
    /// a second signal ends the program at once. `ready` is called when signals are heard.
    ///
    /// # Errors
    /// When the engine has stopped by itself.
    pub fn run(self, ready: impl FnOnce()) -> Result<(), Error> {
        let mut signals = {
            let _entered = self.runtime.enter();
            Signals::watch().map_err(Error::Start)?
        };
        ready();
        let (first, wanted) = watch::channel(false);
        self.runtime.spawn(async move {
            loop {
                let status = signals.next().await;
                if first.send_replace(true) {
                    std::process::exit(status);
                }
            }
        });
        self.until(wanted)
    }

    /// Serves until `wanted` says true, or until the engine stops.
    ///
    /// # Errors
    /// When the engine has stopped by itself.
    pub fn until(self, mut wanted: watch::Receiver<bool>) -> Result<(), Error> {
        let Server { app, leave, mut accepting, engine, mut ended, runtime, .. } = self;
        runtime.block_on(async {
            let asked = async { drop(wanted.wait_for(|w| *w).await) };
            let stopped = async { drop(ended.wait_for(|e| *e).await) };
            select(pin!(asked), pin!(stopped)).await;
            if app.status.is_dead() {
                tokio::time::sleep(LAST_WORDS).await;
            }
            app.status.leave();
            let _ = leave.send(true);
            let drained = tokio::time::timeout(app.settings.limits.drain, &mut accepting).await;
            // The channel has room for this job beside all others.
            let _ = app.jobs.try_send(Job::Stop);
            if drained.is_err() {
                let _ = tokio::time::timeout(GOODBYE, &mut accepting).await;
            }
        });
        let worked = engine.join().unwrap_or(Err(Error::EngineDied));
        runtime.shutdown_timeout(Duration::from_millis(100));
        worked
    }
}
