//! What handlers share.

use std::ops::Deref;
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};

use crate::catalogue::Catalogue;
use crate::settings::Settings;
use crate::status::Status;
use crate::worker::Job;

/// The state of a server; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct App(Arc<Shared>);

/// What is shared.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) settings: Settings,
    pub(crate) status: Arc<Status>,
    /// One place for each text that is written or waits.
    pub(crate) places: Arc<Semaphore>,
    /// One place for each request whose vectors are computed.
    pub(crate) encoding: Semaphore,
    pub(crate) jobs: mpsc::Sender<Job>,
}

impl App {
    /// The state, and where the engine gets its jobs from.
    pub(crate) fn new(catalogue: Arc<Catalogue>, settings: Settings) -> (Self, mpsc::Receiver<Job>) {
        let places = settings.limits.places;
        // Room for a job in every place, and for the wish to stop.
        let (jobs, inbox) = mpsc::channel(places + 1);
        let places = Arc::new(Semaphore::new(places));
        let encoding = Semaphore::new(settings.limits.encoding);
        let status = Arc::default();
        (App(Arc::new(Shared { catalogue, settings, status, places, encoding, jobs })), inbox)
    }
}

impl Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
