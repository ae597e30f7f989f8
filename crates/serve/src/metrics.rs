//! Counters in Prometheus' text format. Labels are routes and statuses, never anything that a client wrote.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model::engine::{Load, Usage};

/// Upper bounds in seconds of the buckets of durations.
const BOUNDS: [f64; 10] = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

/// What is counted.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// Route and status. Held for an addition only.
    requests: Mutex<BTreeMap<(String, u16), u64>>,
    pub(crate) panics: AtomicU64,
    pub(crate) disconnected: AtomicU64,
    pub(crate) too_slow: AtomicU64,
    pub(crate) overloaded: AtomicU64,
    pub(crate) connections: AtomicU64,
    waiting: Histogram,
    first_token: Histogram,
    texts: Histogram,
}

/// Durations in buckets.
#[derive(Debug, Default)]
struct Histogram {
    buckets: [AtomicU64; BOUNDS.len()],
    count: AtomicU64,
    micros: AtomicU64,
}

impl Histogram {
    fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        for (bucket, bound) in self.buckets.iter().zip(BOUNDS) {
            if seconds <= bound {
                bucket.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(duration.as_micros() as u64, Ordering::Relaxed);
    }

    fn write(&self, out: &mut String, name: &str, help: &str) {
        let _ = writeln!(out, "# HELP medtune_{name} {help}\n# TYPE medtune_{name} histogram");
        for (bucket, bound) in self.buckets.iter().zip(BOUNDS) {
            let count = bucket.load(Ordering::Relaxed);
            let _ = writeln!(out, "medtune_{name}_bucket{{le=\"{bound}\"}} {count}");
        }
        let (count, micros) = (self.count.load(Ordering::Relaxed), self.micros.load(Ordering::Relaxed));
        let _ = writeln!(out, "medtune_{name}_bucket{{le=\"+Inf\"}} {count}");
        let _ = writeln!(out, "medtune_{name}_sum {}\nmedtune_{name}_count {count}", micros as f64 / 1e6);
    }
}

impl Metrics {
    /// A request was answered, or its answer has begun.
    pub(crate) fn answered(&self, route: &str, status: u16) {
        let mut requests = self.requests.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match requests.get_mut(&(route.to_owned(), status)) {
            Some(count) => *count += 1,
            None => drop(requests.insert((route.to_owned(), status), 1)),
        }
    }

    /// A text was written to its end.
    pub(crate) fn written(&self, usage: &Usage) {
        self.waiting.observe(usage.waiting);
        self.first_token.observe(usage.waiting + usage.prefill);
        self.texts.observe(usage.waiting + usage.prefill + usage.decode);
    }

    /// All of it.
    pub(crate) fn render(&self, load: Load, dead: bool) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "# HELP medtune_requests_total Requests by route and status.");
        let _ = writeln!(out, "# TYPE medtune_requests_total counter");
        let requests = self.requests.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        for ((route, status), count) in requests {
            let _ = writeln!(out, "medtune_requests_total{{route=\"{route}\",status=\"{status}\"}} {count}");
        }
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        for (name, help, value) in [
            ("panics_total", "Requests that ended in a defect of the server.", of(&self.panics)),
            ("disconnects_total", "Texts ended because their client went away.", of(&self.disconnected)),
            ("slow_readers_total", "Texts ended because their client did not read.", of(&self.too_slow)),
            ("overloaded_total", "Requests refused because everything was taken.", of(&self.overloaded)),
            ("prompt_tokens_total", "Tokens of prompts.", load.prompt_tokens),
            ("cached_tokens_total", "Tokens of prompts that were not computed again.", load.cached_tokens),
            ("completion_tokens_total", "Tokens written.", load.completion_tokens),
            ("guessed_tokens_total", "Tokens guessed from what stands in their texts.", load.guessed_tokens),
            ("guessed_right_total", "Guessed tokens that were chosen.", load.guessed_right),
            ("preempted_total", "Texts that gave way to others and started again.", load.preempted),
        ] {
            let _ = writeln!(
                out,
                "# HELP medtune_{name} {help}\n# TYPE medtune_{name} counter\nmedtune_{name} {value}"
            );
        }
        for (name, help, value) in [
            ("engine_up", "1 while the engine works.", u64::from(!dead)),
            ("texts_running", "Texts that are being written.", load.running as u64),
            ("texts_waiting", "Texts that wait for a slot.", load.waiting as u64),
            ("kv_positions", "Positions of keys and values.", load.positions as u64),
            ("kv_positions_held", "Positions that texts hold.", load.positions_held as u64),
            ("kv_positions_kept", "Positions kept for later prompts.", load.positions_kept as u64),
            ("connections", "Open connections.", of(&self.connections)),
        ] {
            let _ = writeln!(
                out,
                "# HELP medtune_{name} {help}\n# TYPE medtune_{name} gauge\nmedtune_{name} {value}"
            );
        }
        self.waiting.write(&mut out, "waiting_seconds", "From a request to its first turn.");
        self.first_token.write(&mut out, "first_token_seconds", "From a request to its first token.");
        self.texts.write(&mut out, "text_seconds", "From a request to the end of its text.");
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_all_buckets_above_them() {
        let metrics = Metrics::default();
        let usage = Usage { prefill: Duration::from_millis(300), ..Usage::default() };
        metrics.written(&usage);
        metrics.answered("/ask", 200);
        metrics.answered("/ask", 200);
        let text = metrics.render(Load::default(), false);
        for line in [
            "medtune_requests_total{route=\"/ask\",status=\"200\"} 2",
            "medtune_first_token_seconds_bucket{le=\"0.25\"} 0",
            "medtune_first_token_seconds_bucket{le=\"0.5\"} 1",
            "medtune_first_token_seconds_bucket{le=\"+Inf\"} 1",
            "medtune_first_token_seconds_sum 0.3",
            "medtune_engine_up 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }
}
