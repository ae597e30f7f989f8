//! Servers under test, with the shipped model or with a script.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use compute::Cpu;
use model::engine::{AdapterId, Engine, EngineSettings};
use model::{ChatTemplate, Decoder, Tokenizer, Trainable};
use serve::{Catalogue, DecoderWriter, Details, Error, Name, Server, Settings};
use tokio::sync::watch;

use crate::script::{Cancelled, Script, Scripted};

/// A server on a port of its own; it ends when it is dropped.
pub(crate) struct Served {
    pub(crate) to: SocketAddr,
    pub(crate) cancelled: Cancelled,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

impl Served {
    /// Asks it to end.
    pub(crate) fn leave(&self) {
        self.stop.send_replace(true);
    }

    /// How it ended.
    pub(crate) fn end(mut self) -> Result<(), Error> {
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.leave();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

pub(crate) fn settings() -> Settings {
    Settings::new("127.0.0.1:0".parse().unwrap())
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../models/base")
}

pub(crate) fn decoder() -> Decoder<Cpu> {
    Decoder::load(Arc::new(Cpu::new(1)), &folder(), &Trainable::Nothing).unwrap()
}

pub(crate) fn tokenizer() -> Tokenizer {
    Tokenizer::from_dir(folder()).unwrap()
}

pub(crate) fn template() -> ChatTemplate {
    ChatTemplate::from_dir(folder()).unwrap()
}

fn catalogue(decoder: &Decoder<Cpu>, context: usize) -> Arc<Catalogue> {
    let names = vec![Name { name: "shipped".to_owned(), adapter: AdapterId::BASE }];
    let details = Details {
        family: "llama".to_owned(),
        format: "safetensors".to_owned(),
        quantization: "BF16".to_owned(),
        bytes: decoder.weight_bytes() as u64,
    };
    Arc::new(Catalogue::new(names, (decoder.config().clone(), details), (tokenizer(), template()), context))
}

/// The shipped model.
pub(crate) fn shipped(settings: Settings) -> Served {
    let decoder = decoder();
    let engine = EngineSettings::new(4, 512);
    let catalogue = catalogue(&decoder, engine.context);
    let shared = catalogue.clone();
    let server = Server::start(catalogue, settings, move |inbox| {
        inbox.drive(DecoderWriter::new(&[decoder], engine, shared.tokenizer())?);
        Ok(())
    });
    watch_over(server.unwrap(), Cancelled::default())
}

/// A script with the shipped model's vocabulary and a context that is long enough for anything.
pub(crate) fn scripted(settings: Settings, script: Script) -> Served {
    let decoder = decoder();
    let catalogue = catalogue(&decoder, 1_000_000);
    let cancelled = Cancelled::default();
    let told = cancelled.clone();
    let server = Server::start(catalogue, settings, move |inbox| {
        let tickets = Engine::new(&decoder, EngineSettings::new(1, 1024))?;
        inbox.drive(Scripted::new(tickets, script, told));
        Ok(())
    });
    watch_over(server.unwrap(), cancelled)
}

fn watch_over(server: Server, cancelled: Cancelled) -> Served {
    let (stop, wanted) = watch::channel(false);
    let to = server.address();
    let thread = Some(std::thread::spawn(move || server.until(wanted)));
    Served { to, cancelled, stop, thread }
}

/// A server whose engine cannot be made.
pub(crate) fn start_broken(settings: Settings) -> Result<Server, Error> {
    let decoder = decoder();
    let catalogue = catalogue(&decoder, 512);
    Server::start(catalogue, settings, |_| {
        Err(model::Error::MissingTensor { origin: "test".to_owned(), tensor: "all".to_owned() })
    })
}
