//! Places at which a test ends the process, to see that what is on the disk then is enough.
//!
//! `MEDTUNE_FAILPOINT=name` or `name:3` aborts at the first or third pass. Only builds with debug assertions have
//! this; in a release build every function here is empty.

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static PASSES: AtomicU64 = AtomicU64::new(0);

    /// The name that is asked for, and the pass at which to end.
    fn wanted() -> Option<&'static (String, u64)> {
        static WANTED: OnceLock<Option<(String, u64)>> = OnceLock::new();
        let read = || {
            let text = std::env::var("MEDTUNE_FAILPOINT").ok()?;
            let (name, pass) = text.split_once(':').unwrap_or((&text, "1"));
            Some((name.to_owned(), pass.parse().unwrap_or(1)))
        };
        WANTED.get_or_init(read).as_ref()
    }

    pub(super) fn is_next(name: &str) -> bool {
        wanted().is_some_and(|(w, pass)| w == name && PASSES.load(Ordering::Relaxed) + 1 == *pass)
    }

    pub(super) fn hit(name: &str) {
        if is_next(name) {
            std::process::abort();
        }
        if wanted().is_some_and(|(wanted, _)| wanted == name) {
            PASSES.fetch_add(1, Ordering::Relaxed);
        }
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
