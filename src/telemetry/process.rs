//! What the process uses, by the names that all clients of Prometheus give it.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::time::TimeValLike as _;

/// Reads it anew. What this system does not tell is left out.
pub fn observe() {
    static STARTED: OnceLock<f64> = OnceLock::new();
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    metrics::gauge!("process_start_time_seconds").set(*STARTED.get_or_init(now));
    if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
        let seconds = (usage.user_time() + usage.system_time()).num_seconds();
        metrics::counter!("process_cpu_seconds_total").absolute(seconds.try_into().unwrap_or_default());
    }
    if let Ok((most, _)) = getrlimit(Resource::RLIMIT_NOFILE) {
        metrics::gauge!("process_max_fds").set(most as f64);
    }
    // The directory itself is open while it is read.
    if let Ok(open) = std::fs::read_dir("/dev/fd") {
        metrics::gauge!("process_open_fds").set(open.count().saturating_sub(1) as f64);
    }
    if let Some(bytes) = resident_memory() {
        metrics::gauge!("process_resident_memory_bytes").set(bytes as f64);
    }
}

/// Bytes of memory; only Linux tells it in a file.
fn resident_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    resident_of(&status)
}

fn resident_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::resident_of;

    #[test]
    fn the_resident_memory_is_in_bytes() {
        assert_eq!(resident_of("Name:\trelive\nVmRSS:\t   10240 kB\nThreads:\t9\n"), Some(10_485_760));
        assert_eq!(resident_of("Name:\trelive\n"), None);
        assert_eq!(resident_of("VmRSS:\t many kB\n"), None);
    }
}
