//! Places at which a test ends or stops the process, to see that what is on the disk then is enough.
//!
//! `MEDTUNE_FAILPOINT=name` or `name:3` aborts at the first or third pass; `name:3:pause` sleeps there for a minute.
//! Only builds with debug assertions have this; in a release build every function here is empty.

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    static PASSES: AtomicU64 = AtomicU64::new(0);

    /// What is asked for: the place, the pass, and whether to sleep there.
    #[derive(Debug)]
    struct Wanted {
        name: String,
        pass: u64,
        pause: bool,
    }

    fn wanted(name: &str) -> Option<&'static Wanted> {
        static WANTED: OnceLock<Option<Wanted>> = OnceLock::new();
        let read = || {
            let text = std::env::var("MEDTUNE_FAILPOINT").ok()?;
            let mut parts = text.split(':');
            let name = parts.next()?.to_owned();
            let pass = parts.next().and_then(|pass| pass.parse().ok()).unwrap_or(1);
            Some(Wanted { name, pass, pause: parts.next() == Some("pause") })
        };
        WANTED.get_or_init(read).as_ref().filter(|wanted| wanted.name == name)
    }

    pub(super) fn is_next(name: &str) -> bool {
        wanted(name).is_some_and(|wanted| PASSES.load(Ordering::Relaxed) + 1 == wanted.pass)
    }

    pub(super) fn hit(name: &str) {
        let Some(wanted) = wanted(name) else { return };
        if PASSES.fetch_add(1, Ordering::Relaxed) + 1 != wanted.pass {
            return;
        }
        if !wanted.pause {
            std::process::abort();
        }
        std::thread::sleep(Duration::from_secs(60));
    }
}

/// Ends the process if a test wants it to end here.
#[inline]
pub fn hit(name: &str) {
    #[cfg(debug_assertions)]
    armed::hit(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

/// Whether the next pass of [`hit`] will end the process, for places that prepare a half-done write.
#[inline]
pub fn is_next(name: &str) -> bool {
    #[cfg(debug_assertions)]
    return armed::is_next(name);
    #[cfg(not(debug_assertions))]
    {
        let _ = name;
        false
    }
}
