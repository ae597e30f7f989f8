//! Memory of this process and room on this machine, as Linux counts them.

use std::path::{Path, PathBuf};

/// Bytes of this process that are in memory now; nothing where the system does not say.
pub fn resident() -> Option<u64> {
    status("VmRSS:")
}

/// The most bytes of this process that have been in memory at once.
pub fn peak() -> Option<u64> {
    status("VmHWM:")
}

/// Bytes that this process may have in memory, those that it has included: what is free or can be freed, within the
/// limits of its control groups (version 1 or 2), and no more than `MEDTUNE_MEMORY_MIB`.
pub fn available() -> Option<u64> {
    let wanted = std::env::var("MEDTUNE_MEMORY_MIB").ok().and_then(|text| text.parse::<u64>().ok());
    let found = headroom(Path::new("/")).zip(resident()).map(|(room, now)| room.saturating_add(now));
    found.into_iter().chain(wanted.map(|mib| mib << 20)).min()
}

fn status(key: &str) -> Option<u64> {
    kibibytes(&std::fs::read_to_string("/proc/self/status").ok()?, key)
}

fn kibibytes(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Bytes that can be had beside those that are in use, on the system whose files lie below `root`.
fn headroom(root: &Path) -> Option<u64> {
    let free = kibibytes(&std::fs::read_to_string(root.join("proc/meminfo")).ok()?, "MemAvailable:")?;
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, group) = (parts.next()?, parts.next()?);
        match controllers {
            "" => VERSION_2.headroom(&root.join("sys/fs/cgroup"), group),
            names if names.split(',').any(|name| name == "memory") => {
                VERSION_1.headroom(&root.join("sys/fs/cgroup/memory"), group)
            }
            _ => None,
        }
    });
    limits.chain([free]).min()
}

/// What a version of control groups calls its files, and the cache that it can drop.
struct Version {
    limit: &'static str,
    usage: &'static str,
    cache: &'static str,
}

const VERSION_1: Version =
    Version { limit: "memory.limit_in_bytes", usage: "memory.usage_in_bytes", cache: "total_inactive_file" };
const VERSION_2: Version = Version { limit: "memory.max", usage: "memory.current", cache: "inactive_file" };

impl Version {
    /// The least room of a group and those around it. Inside a container the group's own folder may be hidden; its limit
    /// is then that of the root.
    fn headroom(&self, root: &Path, group: &str) -> Option<u64> {
        let own: PathBuf = root.join(group.trim_start_matches('/'));
        own.ancestors().take_while(|folder| folder.starts_with(root)).filter_map(|f| self.room_in(f)).min()
    }

    fn room_in(&self, folder: &Path) -> Option<u64> {
        let number = |name: &str| -> Option<u64> {
            std::fs::read_to_string(folder.join(name)).ok()?.trim().parse().ok()
        };
        let limit = number(self.limit)?;
        let statistics = std::fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
        let cache = statistics.lines().find_map(|line| line.strip_prefix(self.cache)?.trim().parse().ok());
        let used = number(self.usage)?.saturating_sub(cache.unwrap_or(0));
        Some(limit.saturating_sub(used))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    const FREE: (&str, &str) = ("proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:    8000 kB\n");

    #[test]
    fn without_limits_there_is_what_is_free() {
        let root = system(&[FREE, ("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", "max\n")]);
        assert_eq!(headroom(root.path()), Some(8000 * 1024));
    }

    #[test]
    fn the_tightest_group_of_version_2_counts_and_cache_can_be_dropped() {
        let root = system(&[
            FREE,
            ("proc/self/cgroup", "0::/user/job\n"),
            ("sys/fs/cgroup/user/memory.max", "3000000\n"),
            ("sys/fs/cgroup/user/memory.current", "2500000\n"),
            ("sys/fs/cgroup/user/memory.stat", "anon 5\ninactive_file 500000\n"),
            ("sys/fs/cgroup/user/job/memory.max", "max\n"),
            ("sys/fs/cgroup/user/job/memory.current", "100\n"),
        ]);
        assert_eq!(headroom(root.path()), Some(1_000_000));
    }

    #[test]
    fn a_group_of_version_1_is_found_also_where_its_folder_is_hidden() {
        let root = system(&[
            FREE,
            ("proc/self/cgroup", "5:cpu:/a\n4:memory:/docker/abc\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "2000000\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "600000\n"),
            ("sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 100000\n"),
        ]);
        assert_eq!(headroom(root.path()), Some(1_500_000));
    }

    /// The kernel counts pages per processor and adds them up late, so that two readings may contradict each other by
    /// some MiB: what is asked for here is far more than that.
    #[test]
    fn memory_that_this_process_touches_is_counted() {
        const TOUCHED: u64 = 128 << 20;
        let Some(before) = resident() else { return };
        let block = vec![1u8; TOUCHED as usize];
        let during = resident().unwrap();
        assert!(during > before + TOUCHED / 2, "{before} bytes before, {during} with {TOUCHED} more");
        assert_eq!(std::hint::black_box(&block).len() as u64, TOUCHED);
        drop(block);
        assert!(peak().unwrap() > before + TOUCHED / 2);
        assert!(available().unwrap() > TOUCHED / 2);
    }
}
