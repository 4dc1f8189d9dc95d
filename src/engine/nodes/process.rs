//! One child process in a group of its own, so that it can be ended with all its descendants.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// How long a group may take to end after SIGTERM, before SIGKILL.
pub const GRACE: Duration = Duration::from_secs(5);
/// How often a group that was sent SIGTERM is checked.
const POLL: Duration = Duration::from_millis(20);

/// A process group. Dropping it while it runs kills it, so that no exit from the program, including a panic
/// and a second Ctrl-C, leaves a command behind.
#[derive(Debug)]
pub struct ProcessGroup {
    /// The command itself. Its background processes may outlive it.
    pub child: Child,
    pgid: Option<Pid>,
    /// Standard output and standard error: one pipe for both, so that lines arrive in the order
    /// they were written.
    pub output: pipe::Receiver,
}

impl ProcessGroup {
    /// Starts a command with no standard input.
    ///
    /// # Errors
    ///
    /// If the pipe or the process cannot be created, for example because a directory does not exist.
    pub fn spawn(mut command: Command) -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).process_group(0).kill_on_drop(true);
        let child = command.spawn()?;
        // The command holds the other end of the pipe, which would otherwise never be closed.
        drop(command);
        let pgid = child.id().and_then(|id| id.try_into().ok()).map(Pid::from_raw);
        Ok(Self { child, pgid, output: pipe::Receiver::from_owned_fd(OwnedFd::from(reader))? })
    }

    /// Ends every process of the group: SIGTERM, and SIGKILL after [`GRACE`].
    ///
    /// # Errors
    ///
    /// If the operating system does not report how the command ended.
    pub async fn end(&mut self) -> io::Result<ExitStatus> {
        let deadline = Instant::now() + GRACE;
        self.signal(Some(Signal::SIGTERM));
        let _ = timeout(GRACE, self.child.wait()).await;
        while self.signal(None) && Instant::now() < deadline {
            sleep(POLL).await;
        }
        self.signal(Some(Signal::SIGKILL));
        self.pgid = None;
        self.child.wait().await
    }

    /// Sends a signal to the group, or with `None` only checks; returns whether the group exists.
    fn signal(&self, signal: Option<Signal>) -> bool {
        self.pgid.is_some_and(|pgid| killpg(pgid, signal) != Err(Errno::ESRCH))
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.signal(Some(Signal::SIGKILL));
    }
}
