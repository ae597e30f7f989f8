//! A model at an address.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use chat::{ChatModel, ChatRequest, Error, Finish, Form, Refusal, Reply, Result, Usage};
use serde_json::{Map, Value};

use crate::account::{Account, Budget, Spent};
use crate::connection::{Connection, Failed};
use crate::key::ApiKey;
use crate::prices::Prices;
use crate::rate::{Rate, RateLimit};
use crate::retry;
use crate::wire::{self, Rung, Understood};

/// No provider keeps callers waiting for longer and still wants them back.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Bytes of a token, at least, in the reservation of what a prompt may take.
const BYTES_PER_TOKEN: usize = 3;
/// Tokens that a template puts around a turn.
const TOKENS_AROUND_TURN: usize = 16;

/// Looks at every request before it is sent, and may keep it from being sent.
pub type Gate = Arc<dyn Fn(&ChatRequest) -> std::result::Result<(), Refusal> + Send + Sync>;

/// Where a model is and how it is used.
#[derive(Clone)]
pub struct Settings {
    /// Up to and with `/v1`: `https://openrouter.ai/api/v1`, `http://localhost:11434/v1`.
    pub address: String,
    /// The model's name there.
    pub model: String,
    /// Where one is needed.
    pub key: Option<ApiKey>,
    /// Fields of every request, as the provider has them; `null` takes one of ours away.
    pub extra: Map<String, Value>,
    /// What may be asked for in a minute.
    pub rate: RateLimit,
    /// What may be spent.
    pub budget: Budget,
    /// What was spent on this work before.
    pub spent: Spent,
    /// For providers who do not say what a reply costs.
    pub prices: Prices,
    /// For a reply, from the first byte sent to the last one read.
    pub timeout: Duration,
    /// How often a request is sent, if the reason that it failed for may pass.
    pub attempts: u32,
    /// The wait before the first repetition; each further one is twice as long. A second without it.
    pub backoff: Option<Duration>,
    /// Asked before anything is sent.
    pub before_send: Option<Gate>,
}

impl Settings {
    /// Nothing limited, nothing known of prices; ten minutes for a reply, six attempts.
    pub fn new(address: impl Into<String>, model: impl Into<String>) -> Self {
        Settings {
            address: address.into(),
            model: model.into(),
            key: None,
            extra: Map::new(),
            rate: RateLimit::default(),
            budget: Budget::default(),
            spent: Spent::default(),
            prices: Prices::default(),
            timeout: Duration::from_secs(600),
            attempts: 6,
            backoff: None,
            before_send: None,
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("address", &self.address)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

/// A model at an address. Any number of threads may ask it at once.
#[derive(Debug)]
pub struct Endpoint {
    settings: Settings,
    connection: Connection,
    rate: Rate,
    account: Account,
    rung: AtomicU8,
    /// It has sent something at least once, so a connection that fails is an outage.
    answered: AtomicBool,
    /// A reply came whose cost nobody knows.
    unpriced: AtomicBool,
}

impl Endpoint {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Request`] when the address is none, or this build cannot speak its protocol.
    pub fn new(settings: Settings) -> Result<Self> {
        let connection = Connection::new(&settings.address, settings.key.clone(), settings.timeout)?;
        let rate = Rate::new(settings.rate);
        let account = Account::new(settings.budget, settings.spent);
        let (rung, answered, unpriced) = (AtomicU8::new(0), AtomicBool::new(false), AtomicBool::new(false));
        Ok(Endpoint { settings, connection, rate, account, rung, answered, unpriced })
    }

    /// The same, which asks `gate` before anything is sent.
    #[must_use]
    pub fn with_gate(mut self, gate: Gate) -> Self {
        self.settings.before_send = Some(gate);
        self
    }

    /// Whether what is sent leaves this machine.
    pub fn is_remote(&self) -> bool {
        !self.connection.loopback
    }

    /// What was spent, with what was spent before.
    pub fn spent(&self) -> Spent {
        self.account.spent()
    }

    /// The most that a request may take.
    fn most(&self, request: &ChatRequest) -> Spent {
        let prompt = request.bytes() / BYTES_PER_TOKEN + request.messages.len() * TOKENS_AROUND_TURN;
        let usage = Usage {
            prompt_tokens: prompt as u64,
            completion_tokens: request.max_tokens as u64,
            estimated: true,
        };
        let price = self.settings.prices.of(&self.settings.model);
        Spent { tokens: usage.total(), money: price.map_or(0.0, |price| price.cost(&usage)) }
    }

    /// Sends one body until there is a reply or no hope of one.
    fn send(&self, body: &str, tokens: u64) -> std::result::Result<Understood, Failed> {
        let mut repetition = 0;
        loop {
            self.rate.wait_for(tokens);
            let (error, after, for_all) = match self.connection.send(body, self.settings.timeout) {
                Ok(reply) => {
                    self.answered.store(true, Ordering::Relaxed);
                    return Ok(reply);
                }
                Err(Failed::Passing { error, after, for_all }) => (error, after, for_all),
                Err(other) => return Err(other),
            };
            let down = matches!(error, Error::Unreachable { .. });
            if !down {
                self.answered.store(true, Ordering::Relaxed);
            }
            repetition += 1;
            let hopeless = down && !self.answered.load(Ordering::Relaxed);
            let too_long = after.is_some_and(|after| after > LONGEST_PAUSE);
            if repetition >= self.settings.attempts || hopeless || too_long {
                return Err(Failed::Final(gave_up(error, repetition, after.filter(|_| too_long))));
            }
            let wait = retry::wait(repetition - 1, self.settings.backoff);
            let wait = after.map_or(wait, |after| after + wait.min(after / 10));
            if for_all {
                self.rate.pause(wait);
            } else {
                std::thread::sleep(wait);
            }
        }
    }

    fn finished(&self, understood: Understood, request: &ChatRequest) -> Reply {
        let Understood { text, finish, usage, cost, model } = understood;
        let usage = usage.unwrap_or(Usage {
            prompt_tokens: (request.bytes() / 4) as u64,
            completion_tokens: (text.len() / 4) as u64,
            estimated: true,
        });
        let priced = || self.settings.prices.of(&self.settings.model).map(|price| price.cost(&usage));
        let cost = cost.or_else(priced);
        let model = model.unwrap_or_else(|| self.settings.model.clone());
        Reply { text, finish, usage, cost, model, cached: false }
    }
}

/// The last error, with how often it was tried.
fn gave_up(error: Error, attempts: u32, pause: Option<Duration>) -> Error {
    match error {
        Error::Busy { address, reason, .. } => {
            let pause = pause.map_or(String::new(), |p| format!("; it asks to wait for {} s", p.as_secs()));
            Error::Busy { address, attempts, reason: reason + &pause }
        }
        other => other,
    }
}

impl ChatModel for Endpoint {
    fn name(&self) -> &str {
        &self.settings.model
    }

    fn identity(&self) -> String {
        let extra = Value::Object(self.settings.extra.clone());
        format!("{} {} {extra}", self.settings.address.trim_end_matches('/'), self.settings.model)
    }

    fn reply(&self, request: &ChatRequest) -> Result<Reply> {
        if let Some(gate) = &self.settings.before_send {
            gate(request)?;
        }
        if self.account.needs_prices() && self.unpriced.load(Ordering::Relaxed) {
            let model = &self.settings.model;
            return Err(Error::Budget(format!(
                "it is in money, but the provider does not say what a reply costs, and no price of `{model}` is known"
            )));
        }
        let most = self.most(request);
        let reservation = self.account.reserve(most)?;
        let structured = matches!(request.form, Some(Form::JsonSchema { .. }));
        let mut rung = Rung::from_number(self.rung.load(Ordering::Relaxed));
        let mut remember = false;
        let understood = loop {
            let body = wire::body(request, &self.settings.model, rung, &self.settings.extra).to_string();
            match self.send(&body, most.tokens) {
                Ok(understood) => break understood,
                Err(Failed::Form { once, .. }) if structured && rung < Rung::Words => {
                    remember |= !once;
                    rung = Rung::from_number(rung as u8 + 1);
                }
                Err(Failed::Final(error) | Failed::Passing { error, .. } | Failed::Form { error, .. }) => {
                    return Err(error);
                }
            }
        };
        if remember {
            self.rung.fetch_max(rung as u8, Ordering::Relaxed);
        }
        let mut reply = self.finished(understood, request);
        reservation.spend(&reply.usage, reply.cost);
        self.unpriced.fetch_or(reply.cost.is_none(), Ordering::Relaxed);
        if let Some(Form::Choice(texts)) = &request.form {
            reply.text = chosen(&reply, texts)?;
        }
        Ok(reply)
    }
}

/// The one of some texts that a reply is, whatever stands around it.
fn chosen(reply: &Reply, texts: &[String]) -> Result<String> {
    let said = reply.text.rsplit_once("</think>").map_or(reply.text.as_str(), |(_, said)| said);
    let said = said.trim_matches(|c: char| c.is_whitespace() || "`'\"*.()".contains(c));
    let same = |text: &&String| text.eq_ignore_ascii_case(said);
    texts.iter().find(|text| *text == said).or_else(|| texts.iter().find(same)).cloned().ok_or_else(|| {
        Error::Form(match reply.finish {
            Finish::Length => "it was cut off before it was one of the texts to choose from".to_owned(),
            _ => "it is none of the texts to choose from".to_owned(),
        })
    })
}
