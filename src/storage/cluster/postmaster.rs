//! The postmaster that is running on a data directory, found by the file it leaves there.
//!
//! `postmaster.pid` may be stale, and its number may meanwhile name an unrelated process (in a
//! container that is started again, that is likely). So before anything is signalled or waited
//! for, the process has to show that it is a postmaster on this very directory. A file that turns
//! out stale is left alone: PostgreSQL deals with it, and better than we could.

use std::{fs, path::Path, process::Command, time::Duration};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::error::{ClusterError, IoContext};

/// What is done about a leftover in turn, and how long it then gets. It is usually on its way out
/// already, where the holder of its watchdog was killed; so at first it only gets time.
const PERSUASION: [(Option<Signal>, Duration); 3] = [
    (None, Duration::from_secs(5)),
    // Fast shutdown: disconnect clients, write a checkpoint.
    (Some(Signal::SIGINT), Duration::from_mins(1)),
    // Immediate shutdown: recover at the next start.
    (Some(Signal::SIGQUIT), Duration::from_secs(10)),
];

const POLL: Duration = Duration::from_millis(20);

/// The postmaster that runs on `pgdata` now.
pub(super) fn running(pgdata: &Path) -> Option<Pid> {
    let file = fs::read_to_string(pgdata.join("postmaster.pid")).ok()?;
    // While it only starts single-user or recovers, the number may be negative.
    let pid: i32 = file.lines().next()?.trim().parse().ok()?;
    let pid = Pid::from_raw(pid.checked_abs().filter(|pid| *pid > 1)?);
    serves(pid, pgdata).then_some(pid)
}

/// Waits until no postmaster runs on `pgdata`, and sees to it that none does. Only for those who
/// hold the lock: it would end the database of another relive.
pub(super) async fn settle(pgdata: &Path) -> Result<(), ClusterError> {
    let Some(pid) = running(pgdata) else {
        return Ok(());
    };
    warn!(%pid, "an earlier PostgreSQL still runs on this data directory; waiting for its end");
    for (signal_to_send, patience) in PERSUASION {
        if let Some(it) = signal_to_send {
            warn!(%pid, signal = %it, "ending the earlier PostgreSQL");
            signal(pid, it)?;
        }
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if !serves(pid, pgdata) {
                return Ok(());
            }
            sleep(POLL).await;
        }
    }
    Err(ClusterError::Stuck { pid: pid.as_raw(), pgdata: pgdata.to_owned() })
}

pub(super) fn signal(pid: Pid, signal: Signal) -> Result<(), ClusterError> {
    match kill(pid, signal) {
        // It has ended in between, which is what was wanted.
        Err(Errno::ESRCH) => Ok(()),
        sent => sent.context(|| format!("send {signal} to the PostgreSQL with process id {pid}")),
    }
}

/// Whether the process is a postmaster on `pgdata`: it works in that directory, or where there is
/// no `/proc` to tell, has it on its command line.
fn serves(pid: Pid, pgdata: &Path) -> bool {
    if kill(pid, None) == Err(Errno::ESRCH) {
        return false;
    }
    if Path::new("/proc/self").exists() {
        let works_in = fs::read_link(format!("/proc/{pid}/cwd"));
        return works_in.is_ok_and(|dir| fs::canonicalize(pgdata).is_ok_and(|it| it == dir));
    }
    let listed = Command::new("ps").args(["-o", "command=", "-p", &pid.to_string()]).output();
    listed.is_ok_and(|done| {
        let line = String::from_utf8_lossy(&done.stdout);
        line.contains(&format!("-D {}", pgdata.display()))
    })
}
