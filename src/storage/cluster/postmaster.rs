//! Finds the postmaster that runs on a data directory, by its PID file.
//!
//! `postmaster.pid` may be stale, and its number may now belong to an unrelated process, which is likely in a
//! restarted container. So before a process is signalled or waited for, it is verified to be a postmaster on
//! this directory. A stale file is left to PostgreSQL, which handles it.

use std::{
    ffi::OsStr,
    fs,
    io::ErrorKind,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::error::{ClusterError, IoContext};

/// The steps to stop a leftover server, each with the time that it is given. It is usually shutting down
/// already, because its watchdog's holder was killed; so at first it is only given time.
const STOP_STEPS: [(Option<Signal>, Duration); 3] = [
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
    // While it runs single-user or in recovery, the number may be negative.
    let pid: i32 = file.lines().next()?.trim().parse().ok()?;
    let pid = Pid::from_raw(pid.checked_abs().filter(|pid| *pid > 1)?);
    serves(pid, pgdata).then_some(pid)
}

/// The directory of the sockets of the postmaster that runs on `pgdata` now.
pub(super) fn sockets(pgdata: &Path) -> Option<PathBuf> {
    running(pgdata)?;
    let file = fs::read_to_string(pgdata.join("postmaster.pid")).ok()?;
    // The lines: process, data directory, start, port, directory of the sockets.
    let directory = file.lines().nth(4).map(str::trim).filter(|line| !line.is_empty())?;
    Some(PathBuf::from(directory))
}

/// Makes sure that no postmaster runs on `pgdata`, and waits for it. Only for holders of the lock: it would
/// stop the database of another relive.
pub(super) async fn ensure_stopped(pgdata: &Path) -> Result<(), ClusterError> {
    let Some(pid) = running(pgdata) else {
        return Ok(());
    };
    warn!(%pid, "an earlier PostgreSQL still runs on this data directory; waiting for its end");
    for (signal_to_send, wait) in STOP_STEPS {
        if let Some(it) = signal_to_send {
            warn!(%pid, signal = %it, "ending the earlier PostgreSQL");
            signal(pid, it)?;
        }
        let deadline = Instant::now() + wait;
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
        // It has ended in between.
        Err(Errno::ESRCH) => Ok(()),
        sent => sent.context(|| format!("send {signal} to the PostgreSQL with process id {pid}")),
    }
}

/// Whether `pgdata` is named on the command line of the process, which everybody can read.
fn is_started_on(pid: Pid, pgdata: &Path) -> bool {
    let (Ok(line), Ok(pgdata)) = (fs::read(format!("/proc/{pid}/cmdline")), fs::canonicalize(pgdata)) else {
        return false;
    };
    let arguments: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    let names = |dir: &[u8]| fs::canonicalize(OsStr::from_bytes(dir)).is_ok_and(|dir| dir == pgdata);
    arguments.windows(2).any(|pair| pair[0] == b"-D" && names(pair[1]))
}

/// Whether the process is a postmaster on `pgdata`: that is its working directory, or, without `/proc` or where
/// that is not shown, on its command line.
fn serves(pid: Pid, pgdata: &Path) -> bool {
    if kill(pid, None) == Err(Errno::ESRCH) {
        return false;
    }
    if Path::new("/proc/self").exists() {
        return match fs::read_link(format!("/proc/{pid}/cwd")) {
            Ok(dir) => fs::canonicalize(pgdata).is_ok_and(|it| it == dir),
            // It has a capability that this process lacks: that of a service to use low ports, for example.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => is_started_on(pid, pgdata),
            Err(_) => false,
        };
    }
    let listed = Command::new("ps").args(["-o", "command=", "-p", &pid.to_string()]).output();
    listed.is_ok_and(|done| {
        let line = String::from_utf8_lossy(&done.stdout);
        line.contains(&format!("-D {}", pgdata.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_names_the_directory_by_any_path_to_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let (pgdata, link) = (dir.path().join("postgres"), dir.path().join("link"));
        fs::create_dir(&pgdata).expect("a directory");
        std::os::unix::fs::symlink(&pgdata, &link).expect("a link");
        let mut process = Command::new("sh");
        process.args(["-c", "read _", "postgres", "-D"]).arg(&link);
        let mut child = process.stdin(std::process::Stdio::piped()).spawn().expect("a process");
        let pid = Pid::from_raw(child.id().try_into().expect("a number"));
        // Its command line is there a moment after it is started.
        let deadline = Instant::now() + Duration::from_secs(20);
        while !is_started_on(pid, &pgdata) && Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert!(is_started_on(pid, &pgdata) && !is_started_on(pid, dir.path()));
        drop(child.stdin.take());
        child.wait().expect("it ends");
        assert!(!is_started_on(pid, &pgdata));
    }
}
