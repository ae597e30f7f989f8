//! The processes of a training job: who they are, what rank 0 tells the others, how they end together.

use std::path::Path;
use std::sync::Arc;

use compute::Cpu;
use serde::{Deserialize, Serialize};
use train::{Alone, Communicator, Examinations, Job, Longest, MemoryPlan, Plan, Recipe};

use super::base::{self, Model};
use super::training;
use crate::failure::{Failure, Outcome};
use crate::interrupt::Interrupts;

/// Where a launcher says how many processes it has started: OpenMPI, the launchers of MPICH's kind, Slurm.
const LAUNCHERS: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"];

/// How this process belongs to a job.
#[derive(Debug)]
pub(crate) enum Ranks {
    /// It is the only one.
    Alone,
    /// It is one of several.
    #[cfg(feature = "mpi")]
    Mpi(train::Mpi),
}

impl Ranks {
    /// Joins the job that a launcher has started this process in, if there is one of several processes.
    pub(crate) fn join() -> Outcome<Self> {
        let number = |name: &&str| std::env::var(name).ok()?.trim().parse::<usize>().ok();
        match LAUNCHERS.iter().find_map(number) {
            Some(count) if count > 1 => Self::join_launched(count),
            _ => Ok(Ranks::Alone),
        }
    }

    #[cfg(feature = "mpi")]
    fn join_launched(count: usize) -> Outcome<Self> {
        let mpi = train::Mpi::join()?;
        if mpi.size() == count {
            return Ok(Ranks::Mpi(mpi));
        }
        let failure = Failure::input(format!(
            "the launcher started {count} processes, but MPI knows of {} here",
            mpi.size()
        ));
        mpi.leave();
        Err(failure
            .hint("start with the mpirun of the MPI that this program was built with, or `srun --mpi=pmix`"))
    }

    #[cfg(not(feature = "mpi"))]
    fn join_launched(count: usize) -> Outcome<Self> {
        Err(Failure::input(format!("started as {count} processes, but this build trains with one"))
            .hint("build with MPI: `cargo build --release --features mpi`"))
    }

    pub(crate) fn communicator(&self) -> &dyn Communicator {
        match self {
            Ranks::Alone => &Alone,
            #[cfg(feature = "mpi")]
            Ranks::Mpi(mpi) => mpi,
        }
    }

    /// Leaves the job after what this rank did in it. A failure that is not every rank's ends the job for all of them,
    /// and so this process.
    pub(crate) fn end<T>(self, result: Outcome<T>) -> Outcome<T> {
        match (self, result) {
            (Ranks::Alone, result) => result,
            #[cfg(feature = "mpi")]
            (Ranks::Mpi(mpi), Ok(value)) => {
                mpi.leave();
                Ok(value)
            }
            #[cfg(feature = "mpi")]
            (Ranks::Mpi(mpi), Err(failure)) => end_job(mpi, &failure),
        }
    }
}

#[cfg(feature = "mpi")]
fn end_job(mpi: train::Mpi, failure: &Failure) -> ! {
    let rank = mpi.rank();
    // All ranks have agreed to stop for a signal: rank 0 speaks, and nobody leaves before it has kept the state.
    if failure.by_signal() {
        if rank == 0 {
            failure.report("");
        }
        mpi.leave();
        std::process::exit(i32::from(failure.status));
    }
    failure.report(&if rank == 0 { String::new() } else { format!("rank {rank}: ") });
    mpi.abort(failure.status)
}

/// A rank and the threads that it computes with.
#[derive(Debug)]
pub(crate) struct Team<'a> {
    pub(crate) ranks: &'a dyn Communicator,
    pub(crate) threads: usize,
}

impl<'a> Team<'a> {
    /// `threads` of a rank; if not given, `MEDTUNE_THREADS`, and in a job of several ranks `OMP_NUM_THREADS`,
    /// `SLURM_CPUS_PER_TASK` or an even share of the cores.
    pub(crate) fn new(ranks: &'a dyn Communicator, threads: Option<usize>) -> Self {
        let threads = threads.unwrap_or_else(|| match ranks.alone() {
            true => base::threads(),
            false => ["MEDTUNE_THREADS", "OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK"]
                .iter()
                .find_map(|name| std::env::var(name).ok()?.split(',').next()?.trim().parse().ok())
                .filter(|&threads| threads > 0)
                .unwrap_or_else(|| (base::threads() / ranks.local_size()).max(1)),
        });
        Team { ranks, threads }
    }

    /// The only process, with all cores.
    pub(crate) fn alone() -> Team<'static> {
        Team { ranks: &Alone, threads: base::threads() }
    }

    /// The device that this rank computes on.
    pub(crate) fn device(&self, recipe: &Recipe) -> Outcome<Arc<Cpu>> {
        base::device_with(self.threads, recipe.waiting())
    }

    /// Who works, in a job of several.
    pub(crate) fn describe(&self) -> Option<String> {
        let (size, local) = (self.ranks.size(), self.ranks.local_size());
        (size > 1).then(|| {
            let threads = self.threads;
            format!("{size} ranks with {threads} threads each, {local} of them on this machine")
        })
    }
}

/// What every rank must know before it loads its model.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Brief {
    pub(crate) recipe: Recipe,
    /// Name and BLAKE3 of every file of the base model.
    pub(crate) base: Vec<(String, String)>,
}

/// What a rank other than 0 does: it needs the base model and nothing else of its own, no data and no run folder.
pub(crate) fn assist(team: &Team<'_>) -> Outcome<()> {
    let ranks = team.ranks;
    let brief: Brief = train::share(ranks, None)?;
    let recipe = &brief.recipe;
    let loaded = match &recipe.base_model {
        Some(name) => {
            same_base(&training::base_hashes(recipe)?, &brief.base)?;
            Some(Model::for_training(recipe, name, team.device(recipe)?)?.decoder)
        }
        None => None,
    };
    let vocab_size: usize = train::share(ranks, None)?;
    let mut decoder = match (loaded, &recipe.base_model_config) {
        (Some(decoder), _) => decoder,
        (None, Some(shape)) => base::random_decoder(shape, recipe, vocab_size, team.device(recipe)?)?,
        (None, None) => return Err(Failure::input("the recipe names no base_model")),
    };
    let samples = train::share_samples(ranks, Vec::new())?;
    let validation = train::share_samples(ranks, Vec::new())?;
    let interrupts = Interrupts::watch()?;
    let stop = Some(interrupts.flag());
    let longest = Longest::of(&Plan::new(recipe, &samples), &samples, &validation);
    // Rank 0 alone examines the model.
    let case = (longest, Examinations::default());
    let checkpointing = Some(MemoryPlan::new(&decoder, recipe, case).1);
    let job = Job { stop, ranks, checkpointing, ..Job::new(recipe, &samples, &validation) };
    train::assist(&mut decoder, &job).map_err(|error| training::ended(error, &interrupts))
}

/// Refuses a base that is not that of rank 0.
fn same_base(own: &[(String, String)], expected: &[(String, String)]) -> Outcome<()> {
    if own == expected {
        return Ok(());
    }
    let differs = expected
        .iter()
        .find(|file| !own.contains(file))
        .or_else(|| own.iter().find(|f| !expected.contains(f)));
    let name = differs.map_or("its files", |(name, _)| name);
    Err(Failure::input(format!("base_model: {} is not what rank 0 has", Path::new(name).display()))
        .hint("give all machines the same base model, best on a file system that they share"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_that_differs_is_refused_by_the_file() {
        let files = |hash: &str| {
            vec![("config.json".to_owned(), "a".to_owned()), ("model.safetensors".into(), hash.into())]
        };
        assert!(same_base(&files("b"), &files("b")).is_ok());
        let failure = same_base(&files("c"), &files("b")).unwrap_err();
        assert_eq!(failure.message, "base_model: model.safetensors is not what rank 0 has");
        assert!(same_base(&files("b")[..1], &files("b")).unwrap_err().message.contains("model.safetensors"));
    }
}
