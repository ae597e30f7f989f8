//! The thread that owns the engine. Nobody waits for it with a lock, and it waits for nobody: what it has to say goes
//! into bounded channels, and a client that does not read loses its place.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use model::engine::{AdapterId, Event, FinishReason, Refused, Request, Ticket, TokenLogprob, Usage};
use model::{OptionScore, Options};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use crate::refusal::Refusal;
use crate::status::Status;
use crate::texts::Places;
use crate::writer::Writer;

/// Clients are told of their tokens after the first so often, all in one step. Waking their tasks takes as long as much of a
/// token, on the processors that write the next, and several wake in the time of one; nobody reads fifty pieces a second.
const GATHER: Duration = Duration::from_millis(20);

/// Work for the engine.
#[derive(Debug)]
pub(crate) enum Job {
    Write(WriteJob),
    Read(ReadJob),
    /// Whatever is being written ends now, and so does the thread.
    Stop,
}

/// Texts to write for one client.
#[derive(Debug)]
pub(crate) struct WriteJob {
    pub(crate) requests: Vec<Request>,
    /// Where their parts go, as many at once as the client is told of at once: so how long it may be deaf does not depend
    /// on how fast the model writes.
    pub(crate) parts: mpsc::Sender<Vec<Part>>,
    /// The client reads tokens as they come; else they may all come at the end.
    pub(crate) streamed: bool,
    /// The places that they take.
    pub(crate) places: Places,
}

/// Options to read for one client.
#[derive(Debug)]
pub(crate) struct ReadJob {
    pub(crate) options: Options,
    pub(crate) adapter: AdapterId,
    pub(crate) scores: oneshot::Sender<model::Result<Vec<OptionScore>>>,
    pub(crate) places: Places,
}

/// What a client hears of its texts, which are numbered from 0.
#[derive(Debug)]
pub(crate) enum Part {
    /// All texts have their place or wait for it.
    Taken,
    /// A text cannot be written.
    Refused(Refused),
    /// The next token of a text.
    Token { text_number: usize, id: u32, text: String, logprob: Option<TokenLogprob> },
    /// A text has ended, with this rest.
    End { text_number: usize, reason: FinishReason, text: String, usage: Usage },
    /// No more parts come, because of this.
    Failed(Refusal),
}

/// A text that is being written.
#[derive(Debug)]
struct Live {
    parts: mpsc::Sender<Vec<Part>>,
    text_number: usize,
    streamed: bool,
    /// Tokens that the client has not been told of.
    held: Vec<Part>,
    /// Whether it was told of any.
    begun: bool,
    /// Freed when the last text of the client has ended.
    _places: Places,
}

impl Live {
    /// Sends what is held; true when the client has not read what came before.
    fn tell(&mut self) -> bool {
        self.begun = true;
        let sent = self.parts.try_send(std::mem::take(&mut self.held));
        matches!(sent, Err(TrySendError::Full(_)))
    }
}

/// Drives a writer with the jobs that come, until there is nobody left to send any.
pub(crate) struct Worker<'a, W> {
    writer: W,
    jobs: mpsc::Receiver<Job>,
    status: &'a Status,
    live: HashMap<Ticket, Live>,
    /// When clients were told of their tokens.
    told: Instant,
    /// Options are read between steps, one question at a time.
    reads: VecDeque<ReadJob>,
}

impl<'a, W: Writer> Worker<'a, W> {
    pub(crate) fn new(writer: W, jobs: mpsc::Receiver<Job>, status: &'a Status) -> Self {
        Worker { writer, jobs, status, live: HashMap::new(), told: Instant::now(), reads: VecDeque::new() }
    }

    /// Works until [`Job::Stop`], or until nobody is left to send a job.
    pub(crate) fn run(mut self) {
        let mut events = Vec::new();
        let mut busy = false;
        loop {
            if !busy {
                let last = self.jobs.blocking_recv().is_none_or(|job| !self.take(job));
                if last {
                    return self.give_up();
                }
            }
            while let Ok(job) = self.jobs.try_recv() {
                if !self.take(job) {
                    return self.give_up();
                }
            }
            self.leave_the_gone();
            let read = self.read_next();
            events.clear();
            let stepped = self.writer.step(&mut events);
            for event in events.drain(..) {
                self.take_event(event);
            }
            if self.told.elapsed() >= GATHER {
                self.told = Instant::now();
                self.tell_all();
            }
            self.status.publish(self.writer.load());
            busy = stepped || read || !self.reads.is_empty();
        }
    }

    /// Takes a job; false when it is the last.
    fn take(&mut self, job: Job) -> bool {
        match job {
            Job::Stop => return false,
            Job::Read(job) => self.reads.push_back(job),
            Job::Write(job) => self.begin(job),
        }
        true
    }

    fn begin(&mut self, job: WriteJob) {
        let mut tickets = Vec::with_capacity(job.requests.len());
        for request in job.requests {
            match self.writer.submit(request) {
                Ok(ticket) => tickets.push(ticket),
                Err(refused) => {
                    tickets.into_iter().for_each(|ticket| self.writer.cancel(ticket));
                    // If nobody listens any more, nobody needs to know.
                    let _ = job.parts.try_send(vec![Part::Refused(refused)]);
                    return;
                }
            }
        }
        let _ = job.parts.try_send(vec![Part::Taken]);
        for (text_number, ticket) in tickets.into_iter().enumerate() {
            let (parts, streamed, _places) = (job.parts.clone(), job.streamed, job.places.clone());
            let live = Live { parts, text_number, streamed, held: Vec::new(), begun: false, _places };
            self.live.insert(ticket, live);
        }
    }

    /// Ends the texts of clients that have gone away.
    fn leave_the_gone(&mut self) {
        let gone = self.live.iter().filter(|(_, live)| live.parts.is_closed());
        let gone: Vec<Ticket> = gone.map(|(ticket, _)| *ticket).collect();
        for ticket in gone {
            self.live.remove(&ticket);
            self.writer.cancel(ticket);
            self.status.metrics.disconnected.fetch_add(1, Ordering::Relaxed);
        }
        self.reads.retain(|job| !job.scores.is_closed());
    }

    fn read_next(&mut self) -> bool {
        let Some(job) = self.reads.pop_front() else { return false };
        let scores = self.writer.read(&job.options, job.adapter);
        drop(job.places);
        let _ = job.scores.send(scores);
        true
    }

    /// Keeps what has happened for its client, who is told at once of its first token and of the end.
    fn take_event(&mut self, event: Event) {
        let (ticket, ended) = match &event {
            Event::Token { ticket, .. } => (*ticket, false),
            Event::Finished { ticket, .. } => (*ticket, true),
        };
        let Some(live) = self.live.get_mut(&ticket) else { return };
        let text_number = live.text_number;
        let part = match event {
            Event::Token { id, text, logprob, .. } => Part::Token { text_number, id, text, logprob },
            Event::Finished { reason, text, usage, .. } => Part::End { text_number, reason, text, usage },
        };
        live.held.push(part);
        if ended || (live.streamed && !live.begun) {
            let full = live.tell();
            if full {
                self.give_up_on(ticket);
            } else if ended {
                self.live.remove(&ticket);
            }
        }
    }

    /// Tells every client that reads tokens as they come of those that it was not told of.
    fn tell_all(&mut self) {
        let due = self.live.iter_mut().filter(|(_, live)| live.streamed && !live.held.is_empty());
        let full: Vec<Ticket> = due.filter_map(|(ticket, live)| live.tell().then_some(*ticket)).collect();
        full.into_iter().for_each(|ticket| self.give_up_on(ticket));
    }

    /// Ends a text whose client does not read. Its other texts find the channel closed by the client, or full as this one
    /// did.
    fn give_up_on(&mut self, ticket: Ticket) {
        self.status.metrics.too_slow.fetch_add(1, Ordering::Relaxed);
        self.writer.cancel(ticket);
        self.live.remove(&ticket);
    }

    /// Tells all clients that no more comes.
    fn give_up(mut self) {
        for (ticket, mut live) in self.live.drain() {
            self.writer.cancel(ticket);
            live.tell();
            let _ = live.parts.try_send(vec![Part::Failed(Refusal::leaving())]);
        }
    }
}

/// A panic is known before the clients find their channels closed.
impl<W> Drop for Worker<'_, W> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.status.died();
        }
    }
}
