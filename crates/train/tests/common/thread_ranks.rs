//! Ranks that are threads of the test, so that what ranks do together can be tested without MPI.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use train::Communicator;

/// A rank that fails leaves the others waiting; they give up after this time.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Meeting {
    size: usize,
    /// What each rank brought, and how many have come and gone in all.
    state: Mutex<(Vec<Vec<f64>>, usize)>,
    changed: Condvar,
}

impl Meeting {
    /// Waits until `count` have come or gone since the beginning.
    fn wait_for(&self, count: usize) {
        let state = self.state.lock().unwrap();
        let (_held, wait) =
            self.changed.wait_timeout_while(state, PATIENCE, |state| state.1 < count).unwrap();
        assert!(!wait.timed_out(), "a rank is missing");
    }
}

#[derive(Debug)]
pub(crate) struct ThreadRank {
    rank: usize,
    meeting: Arc<Meeting>,
    met: std::cell::Cell<usize>,
    /// Added to the first value of every sum, as a machine that computes wrongly might.
    pub(crate) off: f32,
}

impl Communicator for ThreadRank {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.meeting.size
    }

    fn local_size(&self) -> usize {
        self.meeting.size
    }

    fn gather(&self, own: &[f64]) -> Vec<f64> {
        let (meeting, size) = (&*self.meeting, self.meeting.size);
        let before = 2 * size * self.met.replace(self.met.get() + 1);
        meeting.wait_for(before);
        let step = |change: &dyn Fn(&mut Vec<Vec<f64>>)| {
            let mut state = meeting.state.lock().unwrap();
            change(&mut state.0);
            state.1 += 1;
            meeting.changed.notify_all();
        };
        step(&|brought| brought[self.rank] = own.to_vec());
        meeting.wait_for(before + size);
        let all = meeting.state.lock().unwrap().0.clone();
        step(&|_| {});
        assert!(all.iter().all(|values| values.len() == own.len()), "all bring equally many");
        all.concat()
    }

    fn sum(&self, values: &mut [f32]) {
        let own: Vec<f64> = values.iter().map(|&v| f64::from(v)).collect();
        let all = self.gather(&own);
        for (i, value) in values.iter_mut().enumerate() {
            *value = all.iter().skip(i).step_by(own.len()).fold(0.0, |sum, &v| sum + v as f32);
        }
        values[0] += self.off;
    }

    fn broadcast(&self, bytes: &mut [u8]) {
        let own: Vec<f64> = bytes.iter().map(|&b| f64::from(b)).collect();
        let all = self.gather(&own);
        bytes.iter_mut().zip(all).for_each(|(byte, value)| *byte = value as u8);
    }
}

/// Does `work` as `size` ranks at once; what each came to, in their order.
pub(crate) fn together<T: Send>(size: usize, work: impl Fn(ThreadRank) -> T + Sync) -> Vec<T> {
    let state = Mutex::new((vec![Vec::new(); size], 0));
    let meeting = Arc::new(Meeting { size, state, changed: Condvar::new() });
    std::thread::scope(|scope| {
        let start = |rank| {
            let (meeting, work) = (Arc::clone(&meeting), &work);
            scope.spawn(move || work(ThreadRank { rank, meeting, met: Default::default(), off: 0.0 }))
        };
        let threads: Vec<_> = (0..size).map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}
