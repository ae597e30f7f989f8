//! The worker threads of the CPU backend.
//!
//! An operation of decoding takes 5 to 50 µs, less than it takes to wake a thread. So the workers watch for the next
//! call a while before they sleep, the caller works too, and a call never waits for a worker that came too late.

// Workers borrow the caller's task, which no safe type of the standard library lets a living thread do.
#![allow(unsafe_code)]

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a worker watches for the next call before it sleeps.
const WATCH: Duration = Duration::from_micros(100);
/// Looks at a value before the processor is offered to others.
const LOOKS: usize = 4096;

/// A fixed number of threads that share numbered tasks.
#[derive(Debug)]
pub struct Threads {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held by the call that has the workers.
    caller: Mutex<()>,
}

impl Threads {
    /// `count` threads; at least one. The caller of [`Threads::run`] is one of them.
    pub fn new(count: usize) -> Self {
        let shared = Arc::new(Shared::default());
        let worker = |index| {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name(format!("compute-{index}"))
                .spawn(move || shared.work())
                .expect("the system refuses to start threads")
        };
        let workers = (1..count).map(worker).collect();
        Threads { shared, workers, caller: Mutex::new(()) }
    }

    /// Number of threads.
    pub fn count(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `task(0..tasks)`, each once, in any order and on any thread; returns when all are done. What a task
    /// computes must not depend on the thread or the order. A panic of a task is passed on.
    ///
    /// A call from inside a task, or while another thread has the workers, does all of its tasks itself.
    pub fn run(&self, tasks: usize, task: impl Fn(usize) + Sync) {
        if tasks <= 1 || self.workers.is_empty() {
            return (0..tasks).for_each(task);
        }
        let Ok(caller) = self.caller.try_lock() else {
            return (0..tasks).for_each(task);
        };
        let job = Job { task: &task, tasks, next: AtomicUsize::new(0), panic: Mutex::new(None) };
        self.shared.open(&job);
        job.work();
        self.shared.close();
        let panic = job.panic.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(panic) = panic {
            // A guard that is dropped while unwinding would poison the mutex, and every later call run alone.
            drop(caller);
            resume_unwind(panic);
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.shared.wake();
        for worker in self.workers.drain(..) {
            // Panics of tasks are caught, so a worker has none of its own.
            let _ = worker.join();
        }
    }
}

/// One call of [`Threads::run`].
struct Job<'a> {
    task: &'a (dyn Fn(usize) + Sync),
    tasks: usize,
    next: AtomicUsize,
    /// What the first task to panic had to say.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Job<'_> {
    /// Does tasks until none is left. Does not panic.
    fn work(&self) {
        let result = catch_unwind(AssertUnwindSafe(|| {
            loop {
                let index = self.next.fetch_add(1, Ordering::Relaxed);
                if index >= self.tasks {
                    break;
                }
                (self.task)(index);
            }
        }));
        if let Err(panic) = result {
            self.next.store(self.tasks, Ordering::Relaxed);
            self.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(panic);
        }
    }
}

/// What caller and workers both see.
#[derive(Debug, Default)]
struct Shared {
    /// Number of the call (upper half), workers inside its job (above the lowest bit), and whether the job still
    /// takes workers (lowest bit).
    state: AtomicU64,
    /// The job of the call. It lives while it takes workers or has workers inside.
    job: AtomicPtr<Job<'static>>,
    sleepers: AtomicUsize,
    ended: AtomicBool,
    sleep: Mutex<()>,
    alarm: Condvar,
}

const OPEN: u64 = 1;
const WORKER: u64 = 2;
const CALL: u64 = 1 << 32;

impl Shared {
    /// Offers a job to the workers. It must stay where it is until [`Shared::close`] has returned.
    fn open(&self, job: &Job<'_>) {
        self.job.store(ptr::from_ref(job).cast_mut().cast(), Ordering::Relaxed);
        let calls = self.state.load(Ordering::Relaxed) / CALL;
        // Total order with `sleepers`: either a worker that goes to sleep sees the job, or it is seen sleeping.
        self.state.store(calls.wrapping_add(1).wrapping_mul(CALL) | OPEN, Ordering::SeqCst);
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            self.wake();
        }
    }

    /// Takes the job back and waits for the workers inside.
    fn close(&self) {
        let mut state = self.state.fetch_and(!OPEN, Ordering::Acquire) & !OPEN;
        let mut looks = 0usize;
        while !state.is_multiple_of(CALL) {
            pause(&mut looks);
            state = self.state.load(Ordering::Acquire);
        }
    }

    fn wake(&self) {
        // The lock makes sure that a worker on its way to sleep has got there.
        drop(self.sleep.lock().unwrap_or_else(PoisonError::into_inner));
        self.alarm.notify_all();
    }

    /// The life of a worker.
    fn work(&self) {
        let mut seen = 0;
        loop {
            let mut state = self.watch(seen);
            if self.ended.load(Ordering::SeqCst) {
                return;
            }
            while is_new(state, seen) {
                match self.state.compare_exchange_weak(
                    state,
                    state + WORKER,
                    Ordering::Acquire,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => {
                        seen = state / CALL;
                        // SAFETY: the job was open when this worker was counted, so its caller waits in `close`
                        // until the worker is counted out again.
                        let job = unsafe { &*self.job.load(Ordering::Relaxed) };
                        job.work();
                        self.state.fetch_sub(WORKER, Ordering::Release);
                    }
                    Err(now) => state = now,
                }
            }
        }
    }

    /// Waits for a job after call number `seen`, or the end.
    fn watch(&self, seen: u64) -> u64 {
        let ready = |state| is_new(state, seen) || self.ended.load(Ordering::Relaxed);
        let began = Instant::now();
        let mut looks = 0usize;
        loop {
            let state = self.state.load(Ordering::Relaxed);
            if ready(state) {
                return state;
            }
            std::hint::spin_loop();
            looks += 1;
            if looks.is_multiple_of(64) && began.elapsed() > WATCH {
                break;
            }
        }
        let mut guard = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        let mut state = self.state.load(Ordering::SeqCst);
        while !ready(state) {
            guard = self.alarm.wait(guard).unwrap_or_else(PoisonError::into_inner);
            state = self.state.load(Ordering::SeqCst);
        }
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
        state
    }
}

/// A job takes workers and is not the one of call number `seen`.
fn is_new(state: u64, seen: u64) -> bool {
    state & OPEN != 0 && state / CALL != seen
}

/// Waits a moment; gives way to other threads when that has not helped for long.
fn pause(looks: &mut usize) {
    *looks += 1;
    if (*looks).is_multiple_of(LOOKS) {
        std::thread::yield_now();
    } else {
        std::hint::spin_loop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once() {
        let threads = Threads::new(3);
        for tasks in (0..300).chain([5000]) {
            let runs: Vec<_> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
            threads.run(tasks, |task| {
                runs[task].fetch_add(1, Ordering::Relaxed);
            });
            assert!(runs.iter().all(|runs| runs.load(Ordering::Relaxed) == 1));
            if tasks % 50 == 0 {
                std::thread::sleep(WATCH * 2);
            }
        }
    }

    #[test]
    fn calls_inside_tasks_and_from_several_threads_finish() {
        let threads = Threads::new(2);
        let total = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        threads.run(4, |_| {
                            threads.run(3, |_| {
                                total.fetch_add(1, Ordering::Relaxed);
                            });
                        });
                    }
                });
            }
        });
        assert_eq!(total.into_inner(), 3 * 200 * 12);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_threads_go_on() {
        let threads = Threads::new(2);
        for bad in 0..8 {
            let result = catch_unwind(AssertUnwindSafe(|| {
                threads.run(8, |task| assert!(task != bad, "task {task}"));
            }));
            assert_eq!(*result.unwrap_err().downcast::<String>().unwrap(), format!("task {bad}"));
        }
        assert!(threads.caller.try_lock().is_ok());
        threads.run(8, |_| ());
    }
}
