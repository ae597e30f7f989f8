//! This program's own engine as a [`ChatModel`]: one thread owns it, callers wait for their replies, and what several of
//! them ask at once is written together.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use chat::{ChatModel, ChatRequest, Finish, Form, Reply};
use compute::Backend;

use crate::engine::{
    Constraint, Engine, EngineSettings, Event, FinishReason, Grammars, Request, Stop, Ticket, Usage,
};
use crate::{ChatTemplate, Decoder, Error, Result, Sampling, Tokenizer, encode_prompt};

/// A model in this process. It ends with its last request when it is dropped.
#[derive(Debug)]
pub struct LocalModel {
    name: String,
    identity: String,
    tokenizer: Tokenizer,
    template: ChatTemplate,
    grammars: Grammars,
    context: usize,
    /// Nothing once it is being dropped.
    jobs: Option<Sender<Job>>,
    worker: Option<JoinHandle<()>>,
}

/// A decoder with what belongs to it.
#[derive(Debug)]
pub struct LocalParts<B: Backend> {
    /// The weights, with the adapter that it writes with.
    pub decoder: Decoder<B>,
    /// Its vocabulary.
    pub tokenizer: Tokenizer,
    /// Its template.
    pub template: ChatTemplate,
}

/// A text that somebody waits for.
struct Job {
    request: Request,
    written: SyncSender<chat::Result<Written>>,
}

struct Written {
    text: String,
    reason: FinishReason,
    usage: Usage,
}

/// What is known of a text that is being written.
struct Live {
    text: String,
    written: SyncSender<chat::Result<Written>>,
}

impl LocalModel {
    /// Starts the engine. `identity` tells these weights from all others, for those who keep replies.
    ///
    /// # Errors
    /// When the device has no room, or the vocabulary has no token that ends a text.
    pub fn start<B: Backend>(
        parts: LocalParts<B>,
        settings: EngineSettings,
        (name, identity): (&str, &str),
    ) -> Result<Self> {
        let LocalParts { decoder, tokenizer, template } = parts;
        let grammars = Grammars::new(&tokenizer)?;
        let (jobs, waiting) = channel();
        let (ready, started) = sync_channel(1);
        let own = tokenizer.clone();
        let run = move || match Engine::new(&decoder, settings) {
            Ok(engine) => {
                let engine = engine.with_tokenizer(&own);
                // Whoever started it has gone only if it panicked.
                let _ = ready.send(Ok(engine.settings().context));
                write(engine, &waiting);
            }
            Err(error) => drop(ready.send(Err(error))),
        };
        let spawned = std::thread::Builder::new().name("engine".to_owned()).spawn(run);
        let worker = spawned.map_err(|error| Error::Start(error.to_string()))?;
        let context = started.recv().unwrap_or_else(|_| Err(Error::Start("it broke down".to_owned())))?;
        Ok(LocalModel {
            name: name.to_owned(),
            identity: identity.to_owned(),
            tokenizer,
            template,
            grammars,
            context,
            jobs: Some(jobs),
            worker: Some(worker),
        })
    }

    /// Its vocabulary.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Tokens that a prompt and its reply may have together.
    pub fn context(&self) -> usize {
        self.context
    }

    fn constraint(&self, form: &Form) -> std::result::Result<Constraint, crate::engine::ConstraintError> {
        match form {
            Form::JsonSchema { schema, .. } => self.grammars.json_schema(schema),
            Form::Choice(texts) => self.grammars.choice(texts),
        }
    }

    fn request(&self, request: &ChatRequest) -> chat::Result<Request> {
        let refused = |error: &dyn std::fmt::Display| chat::Error::Request(error.to_string());
        let prompt =
            encode_prompt(&self.tokenizer, &self.template, &request.messages).map_err(|e| refused(&e))?;
        let constraint =
            request.form.as_ref().map(|form| self.constraint(form)).transpose().map_err(|e| refused(&e))?;
        let stop = Stop {
            tokens: self.tokenizer.eos_ids().to_vec(),
            strings: request.stop.clone(),
            max_tokens: request.max_tokens.min(self.context.saturating_sub(prompt.len())),
        };
        let mut sampling = Sampling { temperature: request.temperature, ..Sampling::default() };
        sampling.seed = request.seed.unwrap_or(sampling.seed);
        Ok(Request { sampling, constraint, ..Request::greedy(prompt, stop) })
    }
}

impl ChatModel for LocalModel {
    fn name(&self) -> &str {
        &self.name
    }

    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn reply(&self, request: &ChatRequest) -> chat::Result<Reply> {
        let stopped = || chat::Error::Stopped("its engine has ended".to_owned());
        let (written, reply) = sync_channel(1);
        let job = Job { request: self.request(request)?, written };
        self.jobs.as_ref().ok_or_else(stopped)?.send(job).map_err(|_| stopped())?;
        let Written { text, reason, usage } = reply.recv().map_err(|_| stopped())??;
        let finish = match reason {
            FinishReason::Stop => Finish::Stop,
            FinishReason::Length => Finish::Length,
            FinishReason::Constraint => Finish::Other("constraint".to_owned()),
            FinishReason::Tokenizer => Finish::Other("tokenizer".to_owned()),
            FinishReason::Cancelled => return Err(stopped()),
        };
        let usage = chat::Usage {
            prompt_tokens: usage.prompt_tokens as u64,
            completion_tokens: usage.completion_tokens as u64,
            estimated: false,
        };
        Ok(Reply { text, finish, usage, cost: Some(0.0), model: self.name.clone(), cached: false })
    }
}

impl Drop for LocalModel {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(worker) = self.worker.take() {
            // Its callers have heard of a panic already.
            let _ = worker.join();
        }
    }
}

/// Drives the engine until nobody is left to ask and all texts are written.
fn write<B: Backend>(mut engine: Engine<'_, B>, jobs: &Receiver<Job>) {
    let mut live: HashMap<Ticket, Live> = HashMap::new();
    let mut events = Vec::new();
    loop {
        if live.is_empty() {
            match jobs.recv() {
                Ok(job) => submit(&mut engine, job, &mut live),
                Err(_) => return,
            }
        }
        while let Ok(job) = jobs.try_recv() {
            submit(&mut engine, job, &mut live);
        }
        engine.step(&mut events);
        for event in events.drain(..) {
            match event {
                Event::Token { ticket, text, .. } => {
                    if let Some(live) = live.get_mut(&ticket) {
                        live.text += &text;
                    }
                }
                Event::Finished { ticket, reason, text, usage } => {
                    if let Some(Live { text: before, written }) = live.remove(&ticket) {
                        // A caller who has gone does not need it.
                        let _ = written.send(Ok(Written { text: before + &text, reason, usage }));
                    }
                }
            }
        }
    }
}

fn submit<B: Backend>(engine: &mut Engine<'_, B>, job: Job, live: &mut HashMap<Ticket, Live>) {
    match engine.submit(job.request) {
        Ok(ticket) => drop(live.insert(ticket, Live { text: String::new(), written: job.written })),
        // As above.
        Err(refused) => drop(job.written.send(Err(chat::Error::Request(refused.to_string())))),
    }
}
