//! The server as a process of its own, for tests that kill it.

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::process::Stdio;

use nix::sys::signal::Signal;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::DEADLINE;

/// The program; `RELIVE_BINARY` names another build of it, for measurements.
fn program() -> OsString {
    std::env::var_os("RELIVE_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_relive").into())
}

/// What a `relive` left behind that has ended.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub printed: String,
    pub said: String,
}

/// Runs `relive` with these arguments and variables to its end.
pub async fn relive(arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relive"));
    command.args(arguments).env_remove("DATABASE_URL").envs(variables.iter().copied());
    command.stdin(Stdio::null()).kill_on_drop(true);
    // Some start a PostgreSQL, make a database and stop it again.
    let ended = tokio::time::timeout(3 * DEADLINE, command.output()).await;
    let output = ended.unwrap_or_else(|_| panic!("{arguments:?} ends in time")).expect("relive");
    let text = |bytes| String::from_utf8(bytes).expect("a text");
    Ran { code: output.status.code(), printed: text(output.stdout), said: text(output.stderr) }
}

pub struct ServerProcess {
    pub address: SocketAddr,
    child: Child,
}

impl ServerProcess {
    /// Starts `relive serve` with these settings (environment variables) and waits until it is
    /// ready. Without `RELIVE_LISTEN` it takes a free port.
    pub async fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_logging(settings, Stdio::inherit()).await
    }

    /// As [`ServerProcess::start`]; its log goes there.
    pub async fn start_logging(settings: &[(&str, &str)], log: impl Into<Stdio>) -> Self {
        Self::run(&program(), settings, log.into()).await
    }

    /// As [`ServerProcess::start`], with another program.
    pub async fn start_program(program: &OsStr, settings: &[(&str, &str)]) -> Self {
        Self::run(program, settings, Stdio::inherit()).await
    }

    async fn run(program: &OsStr, settings: &[(&str, &str)], log: Stdio) -> Self {
        let mut command = Command::new(program);
        command
            .arg("serve")
            .env_remove("DATABASE_URL")
            .env_remove("RELIVE_BINARY")
            .env("RELIVE_LISTEN", "127.0.0.1:0")
            .env("RELIVE_LOG", "warn");
        command.envs(settings.iter().copied());
        let mut child = command.stdout(Stdio::piped()).stderr(log).kill_on_drop(true).spawn().expect("relive serve");
        let mut lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
        let ready = async {
            while let Some(line) = lines.next_line().await.expect("a line") {
                if let Some((_, address)) =
                    line.strip_prefix("listening on http").and_then(|rest| rest.split_once("://"))
                {
                    return address.parse().expect("an address");
                }
            }
            panic!("the server ended before it was ready");
        };
        let address = tokio::time::timeout(DEADLINE, ready).await.expect("ready in time");
        Self { address, child }
    }

    pub fn pid(&self) -> i32 {
        self.child.id().expect("running").try_into().expect("a pid")
    }

    /// `kill -9`: nothing is flushed, nobody is told.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("killed");
    }

    /// Sends a signal that does not end the server.
    pub fn signal(&self, signal: Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid()), signal).expect("signal");
    }

    /// SIGTERM; returns the exit code.
    pub async fn terminate(self) -> Option<i32> {
        self.end_with(Signal::SIGTERM).await
    }

    /// Sends a signal that ends the server; returns the exit code.
    pub async fn end_with(mut self, signal: Signal) -> Option<i32> {
        self.signal(signal);
        let ended = tokio::time::timeout(DEADLINE, self.child.wait()).await.expect("ended in time");
        ended.expect("a status").code()
    }
}
