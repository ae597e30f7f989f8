//! What the server needs of an engine.

use compute::Backend;
use model::engine::{AdapterId, Engine, Event, Load, Refused, Request, Ticket};
use model::{Activations, Decoder, OptionScore, Options};

/// Something that takes requests and says what becomes of them, a step at a time. One thread owns it.
pub trait Writer {
    /// As [`Engine::submit`].
    ///
    /// # Errors
    /// When the request cannot be taken.
    fn submit(&mut self, request: Request) -> Result<Ticket, Refused>;

    /// As [`Engine::cancel`].
    fn cancel(&mut self, ticket: Ticket);

    /// As [`Engine::step`].
    fn step(&mut self, events: &mut Vec<Event>) -> bool;

    /// As [`Engine::load`].
    fn load(&self) -> Load;

    /// How likely the model holds each option.
    ///
    /// # Errors
    /// When the device has no room.
    fn read(&mut self, options: &Options, adapter: AdapterId) -> model::Result<Vec<OptionScore>>;
}

/// An engine and the decoder that it writes with.
#[derive(Debug)]
pub struct DecoderWriter<'m, B: Backend> {
    engine: Engine<'m, B>,
    decoder: &'m Decoder<B>,
    reading: Option<Activations<B>>,
}

impl<'m, B: Backend> DecoderWriter<'m, B> {
    /// `engine` writes with `decoder`.
    pub fn new(engine: Engine<'m, B>, decoder: &'m Decoder<B>) -> Self {
        DecoderWriter { engine, decoder, reading: None }
    }
}

impl<B: Backend> Writer for DecoderWriter<'_, B> {
    fn submit(&mut self, request: Request) -> Result<Ticket, Refused> {
        self.engine.submit(request)
    }

    fn cancel(&mut self, ticket: Ticket) {
        self.engine.cancel(ticket);
    }

    fn step(&mut self, events: &mut Vec<Event>) -> bool {
        self.engine.step(events)
    }

    fn load(&self) -> Load {
        self.engine.load()
    }

    fn read(&mut self, options: &Options, adapter: AdapterId) -> model::Result<Vec<OptionScore>> {
        if self.reading.as_ref().is_none_or(|room| room.capacity() < options.tokens()) {
            self.reading = None;
            let room = Activations::for_inference(self.decoder, options.tokens().next_power_of_two())?;
            self.reading = Some(room);
        }
        let Some(room) = self.reading.as_mut() else { return Ok(Vec::new()) };
        Ok(options.read(self.decoder, room, adapter != AdapterId::BASE))
    }
}
