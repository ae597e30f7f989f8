//! What a person sees of a run: a bar with loss, speed and time left on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use track::StepRow;
use train::Observer;

/// Plain lines come at most this often.
const LINE_EVERY: Duration = Duration::from_secs(15);

/// Shows training to a person, on standard error.
#[derive(Debug, Default)]
pub(crate) struct TrainingProgress {
    bar: Option<ProgressBar>,
    last_line: Option<Instant>,
}

impl TrainingProgress {
    /// A line that begins a part of the work.
    pub(crate) fn heading(&mut self, text: &str) {
        eprintln!("{text}");
    }

    fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("  {text}")),
            None => eprintln!("  {text}"),
        }
    }
}

impl Observer for TrainingProgress {
    fn step(&mut self, row: &StepRow, total: u64) {
        let message = format!("loss {:.3}  {:.0} tokens/s", row.loss, row.tokens_per_second);
        if std::io::stderr().is_terminal() {
            let bar = self.bar.get_or_insert_with(|| counted_bar(total, "training"));
            bar.set_position(row.step);
            bar.set_message(message);
            if row.step == total {
                bar.finish();
            }
            return;
        }
        let due = self.last_line.is_none_or(|t| t.elapsed() >= LINE_EVERY) || row.step == total;
        if due {
            self.last_line = Some(Instant::now());
            let left = row.elapsed_s / row.step.max(1) as f64 * (total - row.step) as f64;
            self.say(&format!("step {}/{total}  {message}  {left:.0} s left", row.step));
        }
    }

    fn validated(&mut self, step: u64, loss: f64) {
        self.say(&format!("step {step}: validation loss {loss:.4}"));
    }

    fn note(&mut self, text: &str) {
        self.say(text);
    }
}

/// A bar that counts to `total`, with time left and a message.
fn counted_bar(total: u64, what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("  {prefix} {bar:30} {pos}/{len}  {msg}  {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(8));
    bar.with_style(style).with_prefix(what.to_owned())
}

/// Counts to a total, on standard error: a bar that goes away with it on a terminal, plain lines elsewhere.
#[derive(Debug)]
pub(crate) struct Counted {
    what: String,
    total: u64,
    bar: Option<ProgressBar>,
    started: Instant,
    last_line: Instant,
}

impl Counted {
    pub(crate) fn new(total: u64, what: &str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| counted_bar(total, what));
        let now = Instant::now();
        Counted { what: what.to_owned(), total, bar, started: now, last_line: now }
    }

    /// So many are done.
    pub(crate) fn at(&mut self, done: u64) {
        let rate = done as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{rate:.0}/s"));
            bar.set_position(done);
        } else if self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            let left = self.total.saturating_sub(done) as f64 / rate.max(1e-9);
            eprintln!("  {} {done}/{}  {rate:.0}/s  {left:.0} s left", self.what, self.total);
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Shows a download to a person, on standard error.
#[cfg(feature = "hub")]
#[derive(Debug)]
pub(crate) struct TransferProgress {
    bar: Option<ProgressBar>,
    total: u64,
    started: Instant,
    last_line: Instant,
    /// Bytes that were there before.
    first: Option<u64>,
}

#[cfg(feature = "hub")]
impl TransferProgress {
    /// A transfer of `total` bytes.
    pub(crate) fn new(total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let template = "  {msg:32!} {bar:24} {binary_bytes}/{binary_total_bytes}  {binary_bytes_per_sec}  {eta} left";
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(8)).with_style(style)
        });
        let now = Instant::now();
        TransferProgress { bar, total, started: now, last_line: now, first: None }
    }

    /// A line before the transfer.
    pub(crate) fn heading(&self, text: &str) {
        eprintln!("{text}");
    }

    /// `done` bytes of all are there.
    pub(crate) fn at(&mut self, path: &str, done: u64) {
        let first = *self.first.get_or_insert(done);
        if let Some(bar) = &self.bar {
            bar.set_message(path.to_owned());
            bar.set_position(done);
        } else if self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            let rate = done.saturating_sub(first) as f64 / self.started.elapsed().as_secs_f64();
            let left = self.total.saturating_sub(done) as f64 / rate.max(1.0);
            let [done, total, rate] = [done, self.total, rate as u64].map(crate::output::bytes);
            eprintln!("  {done} of {total}  {rate}/s  {left:.0} s left  {path}");
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
