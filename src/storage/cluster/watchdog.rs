//! One run of the postmaster, from its start to its end, under a watchdog process.
//!
//! A database that outlives its server would keep its data directory busy and its memory taken.
//! No handler of ours runs on `kill -9`, and asking the kernel for a signal at a parent's death is
//! Linux's alone, so a small shell (`watchdog.sh`) stands between: it holds one end of a pipe, we
//! hold the other, and when ours closes, for whatever reason, it ends the postmaster. That is also
//! how [`Watchdog::end`] works, so the way out on a crash is the one taken every day.

use std::{path::Path, process::ExitStatus, time::Duration};

use nix::sys::signal::Signal;
use tokio::{
    process::{Child, ChildStdin, Command},
    time::timeout,
};
use tracing::warn;

use super::{
    Plan,
    error::{ClusterError, IoContext},
    layout::PORT,
    postmaster,
};

const SCRIPT: &str = include_str!("watchdog.sh");

/// A fast shutdown writes a checkpoint, which takes a while on a slow disk with much to write.
const FAST_SHUTDOWN: Duration = Duration::from_mins(1);
const IMMEDIATE_SHUTDOWN: Duration = Duration::from_secs(10);

/// A running postmaster. Dropping it ends the postmaster too, without waiting for that.
#[derive(Debug)]
pub(super) struct Watchdog {
    shell: Child,
    /// The standard library opens pipes close-on-exec, so no other child of ours holds this end.
    pipe: Option<ChildStdin>,
    /// Where this run's part of the log begins.
    pub log_start: u64,
}

impl Watchdog {
    /// Starts the postmaster once whatever an earlier process left running has ended.
    pub async fn start(plan: &Plan) -> Result<Self, ClusterError> {
        postmaster::settle(&plan.layout.pgdata).await?;
        let log = plan.log.open()?;
        let log_start = plan.log.len();
        let mut command = plan.layout.account.command(Path::new("/bin/sh"));
        command
            .args(["-c", SCRIPT, "watchdog"])
            .arg(plan.binaries.program("postgres"))
            .arg("-D")
            .arg(&plan.layout.pgdata)
            .args(flags(plan))
            .stdin(std::process::Stdio::piped())
            .stdout(log.try_clone().context(|| "share the log of PostgreSQL")?)
            .stderr(log);
        // A Ctrl-C in the terminal is for us; what we have accepted is still to be written.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut shell = Command::from(command)
            .spawn()
            .context(|| format!("start PostgreSQL as the user {}", plan.layout.account.name))?;
        let pipe = shell.stdin.take();
        Ok(Self { shell, pipe, log_start })
    }

    /// Waits until the postmaster ends by itself. May be dropped and called again.
    pub async fn ended(&mut self) -> Result<ExitStatus, ClusterError> {
        // tokio's `wait` would close the pipe if it were still in its place.
        self.shell.wait().await.context(|| "wait for PostgreSQL to end")
    }

    /// Ends the postmaster: its clients are disconnected, what is committed is on disk.
    pub async fn end(mut self, pgdata: &Path) -> Result<(), ClusterError> {
        drop(self.pipe.take());
        if let Ok(ended) = timeout(FAST_SHUTDOWN, self.shell.wait()).await {
            return ended.map(drop).context(|| "wait for PostgreSQL to end");
        }
        let pid = postmaster::running(pgdata);
        warn!(?pid, "PostgreSQL takes too long to shut down; it will recover at its next start");
        if let Some(pid) = pid {
            postmaster::signal(pid, Signal::SIGQUIT)?;
        }
        match timeout(IMMEDIATE_SHUTDOWN, self.shell.wait()).await {
            Ok(ended) => ended.map(drop).context(|| "wait for PostgreSQL to end"),
            Err(_) => {
                Err(ClusterError::Stuck { pid: pid.map_or(0, nix::unistd::Pid::as_raw), pgdata: pgdata.to_owned() })
            }
        }
    }
}

/// What relive relies on, whatever the configuration file says.
fn flags(plan: &Plan) -> Vec<String> {
    let sockets = plan.layout.sockets.display();
    let mut settings = vec![
        // Never a TCP port, and a socket only in a directory nobody else can enter.
        "listen_addresses=".to_owned(),
        format!("unix_socket_directories={}", quoted(&sockets.to_string())),
        "unix_socket_permissions=0700".to_owned(),
        format!("port={PORT}"),
        // To the file we opened, which the plan's log keeps from growing without bound.
        "logging_collector=off".to_owned(),
        "log_destination=stderr".to_owned(),
    ];
    if !plan.durable {
        // The disk is never waited for, but `synchronous_commit` stays on: a commit must survive
        // the end of the server, of which tests want to be certain.
        settings.extend(["fsync=off", "full_page_writes=off"].map(str::to_owned));
    }
    settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]).collect()
}

/// A path as an element of a list setting, where commas and blanks would separate.
fn quoted(path: &str) -> String {
    format!("\"{}\"", path.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_path_stays_one_element_of_a_list() {
        assert_eq!(quoted("/data, old/it"), r#""/data, old/it""#);
        assert_eq!(quoted(r#"/a"b"#), r#""/a""b""#);
    }
}
