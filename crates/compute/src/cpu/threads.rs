//! The worker threads of the CPU backend.

/// A fixed number of threads that share numbered tasks.
#[derive(Debug)]
pub struct Threads {
    pool: rayon::ThreadPool,
    count: usize,
}

impl Threads {
    /// `count` threads; at least one.
    pub fn new(count: usize) -> Self {
        let count = count.max(1);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(count)
            .build()
            .expect("the system refuses to start threads");
        Threads { pool, count }
    }

    /// Number of threads.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Calls `task(0..tasks)`, each once, in any order and on any thread; returns when all are done. What a task
    /// computes must not depend on the thread or the order.
    pub fn run(&self, tasks: usize, task: impl Fn(usize) + Sync) {
        use rayon::prelude::*;
        if tasks <= 1 || self.count == 1 {
            (0..tasks).for_each(&task);
        } else {
            self.pool.install(|| (0..tasks).into_par_iter().with_max_len(1).for_each(|i| task(i)));
        }
    }
}
