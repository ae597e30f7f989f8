//! The machine that a run was made on.

use serde::{Deserialize, Serialize};

/// What the numbers of a run depend on besides its inputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name as it reports it.
    pub cpu: String,
    /// Threads that can run at once.
    pub cores: usize,
    /// Main memory in bytes; 0 where it is not known.
    pub memory_bytes: u64,
    /// The widest instruction set found: `avx512`, `avx2`, `neon` or `plain`.
    pub isa: String,
    /// Operating system and architecture.
    pub os: String,
    /// The accelerator, where one was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accelerator: Option<String>,
}

impl Machine {
    /// Describes this machine. What cannot be found out is left `unknown` or 0; nothing here fails.
    pub fn detect() -> Self {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu = value_after(&cpuinfo, "model name").unwrap_or("unknown").to_string();
        let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kibibytes = value_after(&meminfo, "MemTotal")
            .and_then(|value| value.trim_end_matches("kB").trim().parse::<u64>().ok());
        let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
        let os = release
            .lines()
            .find_map(|line| line.strip_prefix("PRETTY_NAME="))
            .map_or(std::env::consts::OS, |name| name.trim_matches('"'));
        Self {
            cpu,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: kibibytes.unwrap_or(0).saturating_mul(1024),
            isa: isa().to_string(),
            os: format!("{os} {}", std::env::consts::ARCH),
            accelerator: None,
        }
    }
}

/// The value of the first `key : value` line.
fn value_after<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(key))?;
    line.split_once(':').map(|(_, value)| value.trim())
}

fn isa() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if std::is_x86_feature_detected!("avx512f") {
            return "avx512";
        }
        if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
            return "avx2";
        }
    }
    if cfg!(target_arch = "aarch64") { "neon" } else { "plain" }
}

/// The machine's name for the lock file. It stays out of the manifest, which people pass on.
pub(crate) fn host_name() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name =
        kernel.or_else(|| std::env::var("HOSTNAME").ok()).or_else(|| std::env::var("COMPUTERNAME").ok());
    name.map(|name| name.trim().to_string())
        .filter(|name| !name.is_empty())
        .unwrap_or("unknown host".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_cores_and_a_name() {
        let machine = Machine::detect();
        assert!(machine.cores >= 1);
        assert!(!machine.os.is_empty() && !machine.isa.is_empty());
        assert!(!host_name().is_empty());
    }

    #[test]
    fn the_first_matching_line_is_read() {
        let text = "processor\t: 0\nmodel name\t: A CPU @ 2 GHz\nmodel name\t: other\n";
        assert_eq!(value_after(text, "model name"), Some("A CPU @ 2 GHz"));
        assert_eq!(value_after(text, "flags"), None);
    }
}
