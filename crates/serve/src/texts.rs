//! From a request to texts: places, prompts, parts as they come.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::http::StatusCode;
use chat::Message;
use model::engine::{AdapterId, Constraint, FinishReason, Request, Stop, TokenLogprob, Usage};
use model::{OptionScore, Options, Sampling, encode_prompt};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::app::App;
use crate::refusal::{Outcome, Refusal};
use crate::worker::{Job, Part, ReadJob, WriteJob};

/// What to write, in the words of no protocol.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) adapter: AdapterId,
    pub(crate) sampling: Sampling,
    /// Tokens that a text may have; as many as fit, if it does not say.
    pub(crate) max_tokens: Option<usize>,
    pub(crate) stop: Vec<String>,
    pub(crate) logprobs: Option<usize>,
    pub(crate) constraint: Option<Constraint>,
    /// Texts for each prompt.
    pub(crate) choices: usize,
    /// The client reads tokens as they come.
    pub(crate) streamed: bool,
}

impl Wanted {
    /// The likeliest text.
    pub(crate) fn greedy(adapter: AdapterId) -> Self {
        Wanted {
            adapter,
            sampling: Sampling::default(),
            max_tokens: None,
            stop: Vec::new(),
            logprobs: None,
            constraint: None,
            choices: 1,
            streamed: false,
        }
    }

    /// Refuses what is out of range.
    pub(crate) fn check(&self, app: &App) -> Outcome<()> {
        let limits = &app.settings.limits;
        let Sampling { temperature, top_p, min_p, repetition_penalty, .. } = self.sampling;
        let Sampling { presence_penalty, frequency_penalty, .. } = self.sampling;
        let within = |name, value: f32, low: f32, high: f32| match (low..=high).contains(&value) {
            true => Ok(()),
            false => Err(Refusal::field(name, format!("expected a number from {low} to {high}"))),
        };
        within("temperature", temperature, 0.0, 100.0)?;
        within("top_p", top_p, 0.0, 1.0)?;
        within("min_p", min_p, 0.0, 1.0)?;
        within("repeat_penalty", repetition_penalty, 0.01, 100.0)?;
        within("presence_penalty", presence_penalty, -2.0, 2.0)?;
        within("frequency_penalty", frequency_penalty, -2.0, 2.0)?;
        if self.choices == 0 || self.choices > limits.choices {
            return Err(Refusal::field("n", format!("expected 1 to {}", limits.choices)));
        }
        let longest = limits.stop_bytes;
        if self.stop.len() > limits.stops || self.stop.iter().any(|s| s.is_empty() || s.len() > longest) {
            let expected = format!("expected at most {} strings of 1 to {longest} bytes", limits.stops);
            return Err(Refusal::field("stop", expected));
        }
        if self.logprobs.is_some_and(|top| top > limits.top_logprobs) {
            return Err(Refusal::field("top_logprobs", format!("expected at most {}", limits.top_logprobs)));
        }
        Ok(())
    }

    fn request(&self, app: &App, prompt: Vec<u32>, choice: usize) -> Request {
        let room = app.catalogue.context().saturating_sub(prompt.len());
        Request {
            adapter: self.adapter,
            sampling: self.sampling.clone(),
            choice,
            stop: Stop {
                tokens: app.catalogue.tokenizer().eos_ids().to_vec(),
                strings: self.stop.clone(),
                max_tokens: self.max_tokens.unwrap_or(room).min(room),
            },
            logprobs: self.logprobs,
            constraint: self.constraint.clone(),
            prompt,
        }
    }
}

/// Text for a prompt, before it is in tokens.
#[derive(Debug)]
pub(crate) enum Prompt {
    /// A conversation, through the model's template.
    Conversation(Vec<Message>),
    /// A text in which control tokens count; the vocabulary's BOS is put before it.
    Raw(String),
    /// Tokens.
    Ids(Vec<u32>),
}

impl Prompt {
    /// Its tokens. Takes time, so it runs beside the handlers.
    pub(crate) async fn encode(self, app: &App, places: &Places) -> Outcome<Vec<u32>> {
        let app = app.clone();
        beside(places, move || {
            let catalogue = &app.catalogue;
            let limit = catalogue.context().saturating_sub(1);
            let bytes = match &self {
                Prompt::Conversation(messages) => messages.iter().map(|m| m.content.len()).sum(),
                Prompt::Raw(text) => text.len(),
                Prompt::Ids(_) => 0,
            };
            // So much text has more tokens whatever they are: no need to count them.
            let least = bytes / (2 * catalogue.longest_token());
            if least > limit {
                return Err(Refusal::too_long(&format!("at least {least} tokens"), limit));
            }
            let ids = match self {
                Prompt::Conversation(messages) => {
                    if messages.len() > app.settings.limits.messages {
                        let expected = format!("expected at most {}", app.settings.limits.messages);
                        return Err(Refusal::field("messages", expected));
                    }
                    encode_prompt(catalogue.tokenizer(), catalogue.template(), &messages)?
                }
                Prompt::Raw(text) => {
                    let ids = catalogue.tokenizer().encode_with_control(&text)?;
                    let bos = catalogue.tokenizer().bos().filter(|bos| ids.first() != Some(bos));
                    bos.into_iter().chain(ids).collect()
                }
                Prompt::Ids(ids) => ids,
            };
            match ids.len() {
                0 => Err(Refusal::field("prompt", "expected at least one token")),
                tokens if tokens > limit => Err(Refusal::too_long(&format!("{tokens} tokens"), limit)),
                _ => Ok(ids),
            }
        })
        .await
    }
}

/// The right to as many texts as were asked for, from before their prompts are looked at until the last has ended.
pub(crate) type Places = Arc<OwnedSemaphorePermit>;

/// Runs what takes time on a thread of its own, which keeps the places even when the client has gone. A panic there is
/// this request's.
pub(crate) async fn beside<T: Send + 'static>(
    places: &Places,
    run: impl FnOnce() -> Outcome<T> + Send + 'static,
) -> Outcome<T> {
    let places = places.clone();
    let run = move || {
        let done = run();
        drop(places);
        done
    };
    tokio::task::spawn_blocking(run).await.unwrap_or_else(|_| Err(Refusal::defect()))
}

impl App {
    /// Begins the texts for some prompts: `wanted.choices` for each, numbered prompt by prompt.
    pub(crate) async fn write(
        &self,
        prompts: Vec<Vec<u32>>,
        wanted: &Wanted,
        places: Places,
    ) -> Outcome<Parts> {
        let requests: Vec<Request> = prompts
            .into_iter()
            .flat_map(|prompt| (0..wanted.choices).map(move |choice| (prompt.clone(), choice)))
            .map(|(prompt, choice)| wanted.request(self, prompt, choice))
            .collect();
        let texts = requests.len();
        // A text that is collected here comes at once when it has ended, or with the end of the server.
        let pieces = match wanted.streamed {
            true => self.settings.limits.unread.max(2),
            false => 2,
        };
        let (parts, receiver) = mpsc::channel(pieces * texts + 1);
        self.send(Job::Write(WriteJob { requests, parts, streamed: wanted.streamed, places }))?;
        let mut parts = Parts { receiver, piece: Vec::new().into_iter(), open: texts, app: self.clone() };
        match parts.next().await? {
            Part::Taken => Ok(parts),
            Part::Refused(refused) => Err(refused.into()),
            _ => Err(Refusal::defect()),
        }
    }

    /// How likely the model holds each option.
    pub(crate) async fn read(
        &self,
        options: Options,
        adapter: AdapterId,
        places: Places,
    ) -> Outcome<Vec<OptionScore>> {
        let limit = self.catalogue.context();
        // The question once, and all its options.
        if options.tokens() > limit {
            return Err(Refusal::too_long(&format!("{} tokens with its options", options.tokens()), limit));
        }
        let (scores, receiver) = oneshot::channel();
        self.send(Job::Read(ReadJob { options, adapter, scores, places }))?;
        let scores = receiver.await.map_err(|_| self.why_no_more())?;
        scores.map_err(|_| {
            let message = "the device has no room for these options";
            Refusal::new(StatusCode::INSUFFICIENT_STORAGE, "no_room", message)
        })
    }

    /// Places for so many texts, at once or not at all.
    pub(crate) fn places(&self, count: usize) -> Outcome<Places> {
        if self.status.is_dead() {
            return Err(Refusal::no_engine());
        }
        if self.status.is_leaving() {
            return Err(Refusal::leaving());
        }
        Arc::clone(&self.places).try_acquire_many_owned(count as u32).map(Arc::new).map_err(|_| {
            self.status.metrics.overloaded.fetch_add(1, Ordering::Relaxed);
            Refusal::busy(1 + self.status.load().waiting as u64 / 16)
        })
    }

    fn send(&self, job: Job) -> Outcome<()> {
        // There are no more jobs than places, and the channel has room for all of them.
        self.jobs.try_send(job).map_err(|_| self.why_no_more())
    }

    fn why_no_more(&self) -> Refusal {
        match self.status.is_leaving() && !self.status.is_dead() {
            true => Refusal::leaving(),
            false => Refusal::no_engine(),
        }
    }
}

/// The parts of texts as they come. Dropping them ends the texts.
#[derive(Debug)]
pub(crate) struct Parts {
    receiver: mpsc::Receiver<Vec<Part>>,
    /// What has come and was not asked for yet.
    piece: std::vec::IntoIter<Part>,
    /// Texts that have not ended.
    open: usize,
    app: App,
}

impl Parts {
    /// Whether all texts have ended.
    pub(crate) fn all_ended(&self) -> bool {
        self.open == 0
    }

    /// Time between signs of life to their client.
    pub(crate) fn sign_of_life(&self) -> std::time::Duration {
        self.app.settings.limits.sign_of_life
    }

    /// The next part of a text that has not ended.
    pub(crate) async fn next(&mut self) -> Outcome<Part> {
        let part = loop {
            match self.piece.next() {
                Some(part) => break Some(part),
                None => match self.receiver.recv().await {
                    Some(piece) => self.piece = piece.into_iter(),
                    None => break None,
                },
            }
        };
        self.judge(part)
    }

    /// A part that is there already.
    pub(crate) fn at_hand(&mut self) -> Option<Outcome<Part>> {
        if self.all_ended() {
            return None;
        }
        if self.piece.as_slice().is_empty() {
            self.piece = self.receiver.try_recv().ok()?.into_iter();
        }
        self.piece.next().map(|part| self.judge(Some(part)))
    }

    fn judge(&mut self, part: Option<Part>) -> Outcome<Part> {
        match part {
            None if self.app.status.is_dead() => Err(Refusal::no_engine()),
            None => {
                let message = "the answer was not read fast enough";
                Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "too_slow", message))
            }
            Some(Part::Failed(refusal)) => Err(refusal),
            Some(Part::End { reason: FinishReason::Cancelled, .. }) => Err(self.app.why_no_more()),
            Some(Part::End { reason: FinishReason::Tokenizer, .. }) => Err(Refusal::defect()),
            Some(part) => {
                if let Part::End { usage, .. } = &part {
                    self.app.status.metrics.written(usage);
                    self.open = self.open.saturating_sub(1);
                }
                Ok(part)
            }
        }
    }

    /// All texts, whole.
    pub(crate) async fn collect(mut self) -> Outcome<Vec<Written>> {
        let mut written: Vec<Written> = Vec::new();
        written.resize_with(self.open, Written::default);
        while !self.all_ended() {
            match self.next().await? {
                Part::Token { text_number, id, text, logprob } => {
                    let place = &mut written[text_number];
                    if let Some(logprob) = logprob {
                        place.tokens.push(Token { id, offset: place.text.len(), logprob });
                    }
                    place.text.push_str(&text);
                }
                Part::End { text_number, reason, text, usage } => {
                    let place = &mut written[text_number];
                    place.text.push_str(&text);
                    (place.reason, place.usage) = (Some(reason), usage);
                }
                Part::Taken | Part::Refused(_) | Part::Failed(_) => {}
            }
        }
        Ok(written)
    }
}

/// A text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Written {
    pub(crate) text: String,
    /// If log-probabilities were asked for.
    pub(crate) tokens: Vec<Token>,
    pub(crate) reason: Option<FinishReason>,
    pub(crate) usage: Usage,
}

/// A token with its log-probabilities.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) id: u32,
    /// Bytes of the text before it.
    pub(crate) offset: usize,
    pub(crate) logprob: TokenLogprob,
}

/// `stop` or `length`, as all protocols say.
pub(crate) fn reason_name(reason: Option<FinishReason>) -> &'static str {
    match reason {
        // A constraint that cannot be followed further leaves a text that is not complete.
        Some(FinishReason::Length | FinishReason::Constraint) => "length",
        _ => "stop",
    }
}
