//! What a child process may use.

use serde::{Deserialize, Serialize};

/// Bounds on the reading of one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Address space in bytes.
    pub memory: u64,
    /// Seconds of the clock, and of processor time.
    pub seconds: u64,
}

impl Default for Limits {
    /// 2 GiB and two minutes: a book of 2,000 pages takes a tenth of either.
    fn default() -> Self {
        Limits { memory: 2 << 30, seconds: 120 }
    }
}

/// Open files of a child, and the longest file that it may write (a picture of a page).
#[cfg(unix)]
const FILES: u64 = 256;
#[cfg(unix)]
const LONGEST_FILE: u64 = 1 << 30;

impl Limits {
    /// Binds this process, and every process that it starts, to the limits. The child ends with its parent on Linux.
    ///
    /// # Errors
    /// The system refuses.
    #[cfg(unix)]
    pub(super) fn bind_this_process(self) -> std::io::Result<()> {
        use rustix::process::{Resource, Rlimit, setrlimit};

        let at_most = |limit: u64| Rlimit { current: Some(limit), maximum: Some(limit) };
        setrlimit(Resource::As, at_most(self.memory))?;
        setrlimit(Resource::Cpu, at_most(self.seconds.max(1)))?;
        setrlimit(Resource::Nofile, at_most(FILES))?;
        setrlimit(Resource::Fsize, at_most(LONGEST_FILE))?;
        setrlimit(Resource::Core, at_most(0))?;
        #[cfg(target_os = "linux")]
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        Ok(())
    }

    /// Only the clock binds a child on this system; its parent looks at it.
    #[cfg(not(unix))]
    pub(super) fn bind_this_process(self) -> std::io::Result<()> {
        Ok(())
    }
}
