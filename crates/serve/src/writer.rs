//! What the server needs of an engine.

use compute::Backend;
use model::engine::{AdapterId, Engine, EngineSettings, Event, Load, Refused, Request, Ticket};
use model::{Activations, Decoder, OptionScore, Options, Tokenizer};

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

/// An engine and the decoders that it writes with.
#[derive(Debug)]
pub struct DecoderWriter<'m, B: Backend> {
    engine: Engine<'m, B>,
    decoders: &'m [Decoder<B>],
    /// Room for options, and the adapter that it was made for.
    reading: Option<(AdapterId, Activations<B>)>,
}

impl<'m, B: Backend> DecoderWriter<'m, B> {
    /// An engine on the first of `decoders`, with the adapters of the others, which share its base. They are
    /// [`AdapterId::another`] in their order.
    ///
    /// # Errors
    /// When one is on another base, or the device has no room.
    ///
    /// # Panics
    /// When there is no decoder.
    pub fn new(
        decoders: &'m [Decoder<B>],
        settings: EngineSettings,
        tokenizer: &'m Tokenizer,
    ) -> model::Result<Self> {
        let mut engine = Engine::new(&decoders[0], settings)?.with_tokenizer(tokenizer);
        for another in &decoders[1..] {
            engine.add_adapter(another)?;
        }
        Ok(DecoderWriter { engine, decoders, reading: None })
    }

    fn decoder(&self, adapter: AdapterId) -> &'m Decoder<B> {
        let mut others = (0..).map(AdapterId::another).zip(&self.decoders[1..]);
        others.find(|(id, _)| *id == adapter).map_or(&self.decoders[0], |(_, decoder)| decoder)
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
        let decoder = self.decoder(adapter);
        let fits = |(owner, room): &(AdapterId, Activations<B>)| {
            *owner == adapter && room.capacity() >= options.tokens()
        };
        if !self.reading.as_ref().is_some_and(fits) {
            self.reading = None;
            let room = Activations::for_inference(decoder, options.tokens().next_power_of_two())?;
            self.reading = Some((adapter, room));
        }
        let Some((_, room)) = self.reading.as_mut() else { return Ok(Vec::new()) };
        Ok(options.read(decoder, room, adapter != AdapterId::BASE))
    }
}
