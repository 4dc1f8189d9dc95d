//! One run of the postmaster, from its start to its end, under a watchdog process.
//!
//! A database that outlives its server would keep its data directory locked and its memory in use.
//! No handler can run on `kill -9`, and only Linux can signal a child when its parent dies. So a small shell
//! script (`watchdog.sh`) holds one end of a pipe and this process the other; when this end closes, for
//! whatever reason, the script stops the postmaster. [`Watchdog::end`] works the same way, so the path taken
//! after a crash is the one taken at every shutdown.

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

/// A fast shutdown writes a checkpoint, which can take a while on a slow disk.
const FAST_SHUTDOWN: Duration = Duration::from_mins(1);
const IMMEDIATE_SHUTDOWN: Duration = Duration::from_secs(10);

/// A running postmaster. Dropping it stops the postmaster too, without waiting.
#[derive(Debug)]
pub(super) struct Watchdog {
    shell: Child,
    /// The standard library opens pipes close-on-exec, so no other child holds this end.
    pipe: Option<ChildStdin>,
    /// The position in the log at which this run begins.
    pub log_start: u64,
}

impl Watchdog {
    /// Starts the postmaster, after a server that an earlier process left running has ended.
    pub async fn start(plan: &Plan) -> Result<Self, ClusterError> {
        postmaster::ensure_stopped(&plan.layout.pgdata).await?;
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
        // A Ctrl-C in the terminal must not reach the database: accepted commands are still to be written.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut shell = Command::from(command)
            .spawn()
            .context(|| format!("start PostgreSQL as the user {}", plan.layout.account.name))?;
        let pipe = shell.stdin.take();
        Ok(Self { shell, pipe, log_start })
    }

    /// Waits until the postmaster ends by itself. Can be dropped and called again.
    pub async fn ended(&mut self) -> Result<ExitStatus, ClusterError> {
        // tokio's `wait` would close the pipe if it were still in its place.
        self.shell.wait().await.context(|| "wait for PostgreSQL to end")
    }

    /// Stops the postmaster: its clients are disconnected, and what is committed is on disk.
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

/// Settings that relive relies on, whatever the configuration file says.
fn flags(plan: &Plan) -> Vec<String> {
    let sockets = plan.layout.sockets.display();
    let mut settings = vec![
        // Never a TCP port, and a socket only in a directory that no other user can access.
        "listen_addresses=".to_owned(),
        format!("unix_socket_directories={}", quoted(&sockets.to_string())),
        "unix_socket_permissions=0700".to_owned(),
        format!("port={PORT}"),
        // To the file opened above; `log` bounds its size.
        "logging_collector=off".to_owned(),
        "log_destination=stderr".to_owned(),
    ];
    if !plan.durable {
        // The disk is never waited for, but `synchronous_commit` stays on: a commit must survive the end of
        // the server, which tests rely on.
        settings.extend(["fsync=off", "full_page_writes=off"].map(str::to_owned));
    }
    settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]).collect()
}

/// Quotes a path as an element of a list setting, where commas and blanks would separate.
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
