//! Ranks that `mpirun` or `srun` has started, over MPI.

use std::cell::RefCell;
use std::fmt;
use std::time::{Duration, Instant};

use mpi::Threading;
use mpi::collective::SystemOperation;
use mpi::environment::Universe;
use mpi::request::scope;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator as _, CommunicatorCollectives as _, Root as _};

use super::Communicator;
use crate::{Error, Result};

/// Bytes of one broadcast: MPI counts in 32 bits with a sign.
const LONGEST: usize = 1 << 30;
/// A rank that waits looks without rest for so long, then ever more rarely, up to [`NAP`].
const LOOK: Duration = Duration::from_micros(200);
/// Longest sleep between two looks.
const NAP: Duration = Duration::from_millis(1);

/// This process as a rank of an MPI job.
///
/// It must [`leave`](Mpi::leave) when its work is done. Dropped in any other way, by an error or a panic, it ends the
/// whole job, since the other ranks would wait for it for ever.
pub struct Mpi {
    /// Kept for its end, `MPI_Finalize`.
    universe: Option<Universe>,
    world: SimpleCommunicator,
    local_size: usize,
    /// MPI sums from one buffer into another.
    own: RefCell<Vec<f32>>,
}

impl Mpi {
    /// Joins the job that this process was started in. MPI is called from this thread alone.
    ///
    /// # Errors
    /// [`Error::Ranks`] when MPI has been started before, or forbids that a rank has threads.
    pub fn join() -> Result<Self> {
        let wrong = |reason: &str| Error::Ranks { reason: reason.into() };
        let (universe, level) = mpi::initialize_with_threading(Threading::Funneled)
            .ok_or_else(|| wrong("MPI has been started before"))?;
        if level < Threading::Funneled {
            return Err(wrong("this MPI library does not allow threads"));
        }
        let world = universe.world();
        let local_size = world.split_shared(world.rank()).size() as usize;
        Ok(Mpi { universe: Some(universe), world, local_size, own: RefCell::default() })
    }

    /// Leaves the job in peace; returns when all ranks do.
    pub fn leave(mut self) {
        self.universe = None;
    }

    /// Ends the whole job with this exit status.
    pub fn abort(&self, status: u8) -> ! {
        self.world.abort(i32::from(status))
    }
}

impl Drop for Mpi {
    fn drop(&mut self) {
        if self.universe.is_some() {
            self.abort(2);
        }
    }
}

impl fmt::Debug for Mpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mpi").field("rank", &self.rank()).field("size", &self.size()).finish_non_exhaustive()
    }
}

impl Communicator for Mpi {
    fn rank(&self) -> usize {
        self.world.rank() as usize
    }

    fn size(&self) -> usize {
        self.world.size() as usize
    }

    fn local_size(&self) -> usize {
        self.local_size
    }

    fn gather(&self, own: &[f64]) -> Vec<f64> {
        let mut all = vec![0.0; self.size() * own.len()];
        scope(|scope| {
            let mut request = self.world.immediate_all_gather_into(scope, own, &mut all[..]);
            let begun = Instant::now();
            while let Err(waiting) = request.test() {
                request = waiting;
                let waited = begun.elapsed();
                if waited > LOOK {
                    std::thread::sleep((waited / 16).min(NAP));
                }
            }
        });
        all
    }

    /// One `MPI_Allreduce`. For the same number of ranks and values an MPI library adds in the same order, whoever comes
    /// first (MPI 4.0, 6.9.1, advice to implementors).
    fn sum(&self, values: &mut [f32]) {
        let mut own = self.own.borrow_mut();
        own.clear();
        own.extend_from_slice(values);
        self.world.all_reduce_into(&own[..], values, SystemOperation::sum());
    }

    fn broadcast(&self, bytes: &mut [u8]) {
        for part in bytes.chunks_mut(LONGEST) {
            self.world.process_at_rank(0).broadcast_into(part);
        }
    }
}
