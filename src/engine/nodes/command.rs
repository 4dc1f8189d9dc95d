//! One attempt of a `command` node: a shell command, its output, and how it ended.
//!
//! The command runs by `sh -c` without standard input, in the directory the run was started in
//! unless `cwd` says otherwise. The node ends with its shell: background processes are ended too, so that
//! nothing outlives its node. A daemon that should survive has to leave the process group, as `setsid` does.

mod node;
mod spec;

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::output::Output;
use super::process::ProcessGroup;
use relive_session::Progress;

pub use node::{CommandNode, LinePrinter};
pub use spec::CommandSpec;

/// How long output is still read after the command's group has ended: only a process that left
/// the group can still hold the pipe.
const DRAIN: Duration = Duration::from_millis(500);

/// Environment variables that tell a command which run it belongs to.
#[derive(Clone, Debug)]
pub struct CommandEnvironment {
    /// `RELIVE_SESSION_ID`
    pub session_id: String,
    /// `RELIVE_NODE_ID`
    pub node_id: String,
    /// `RELIVE_SERVER`
    pub server: String,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub enum CommandAttempt {
    Succeeded {
        output: Value,
    },
    Failed {
        output: Value,
        error: String,
    },
    /// Ended from outside; there is nothing to report.
    Stopped,
}

enum Ending {
    Exited(std::io::Result<ExitStatus>),
    TimedOut(Duration),
    Stopped,
}

/// Runs the command once, and hands over each line of its output as it comes. When `stop` is cancelled the whole process group is ended first:
/// once this has returned, no process of it is left.
pub async fn attempt(
    spec: &CommandSpec,
    environment: &CommandEnvironment,
    progress: &watch::Sender<Option<Progress>>,
    lines: &(dyn Fn(&str) + Sync),
    stop: &CancellationToken,
) -> CommandAttempt {
    let began = Instant::now();
    let mut group = match ProcessGroup::spawn(command(spec, environment)) {
        Ok(group) => group,
        Err(error) => return not_started(spec, &error),
    };
    let mut output = Output::default();
    let report = |reported: Option<Progress>, output: &mut Output| {
        if reported.is_some() {
            progress.send_replace(reported);
        }
        output.take_lines().iter().for_each(|line| lines(line));
    };
    let ending = supervise(&mut group, &mut output, spec.timeout, stop, &report).await;
    let ended = group.end().await;
    let drained = async { while read(&mut group, &mut output, &report).await {} };
    let _ = tokio::time::timeout(DRAIN, drained).await;
    let last = output.finish();
    report(last, &mut output);
    let (status, error) = match ending {
        Ending::Stopped => return CommandAttempt::Stopped,
        Ending::TimedOut(limit) => (ended.ok(), Some(format!("timed out after {} s", limit.as_secs_f64()))),
        Ending::Exited(Err(error)) => (None, Some(format!("cannot tell how the command ended: {error}"))),
        Ending::Exited(Ok(status)) => (Some(status), failure(status, output.last_line())),
    };
    let (text, cut) = output.text();
    let output = describe(status.map_or(-1, exit_code), &text, cut, began.elapsed());
    match error {
        None => CommandAttempt::Succeeded { output },
        Some(error) => CommandAttempt::Failed { output, error },
    }
}

fn command(spec: &CommandSpec, environment: &CommandEnvironment) -> Command {
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(&spec.command)
        .envs(&spec.env)
        .env("RELIVE_SESSION_ID", &environment.session_id)
        .env("RELIVE_NODE_ID", &environment.node_id)
        .env("RELIVE_SERVER", &environment.server);
    if let Some(cwd) = &spec.cwd {
        command.current_dir(cwd);
    }
    command
}

/// Reads output until the command ends, its time limit is reached, or it is stopped.
async fn supervise(
    group: &mut ProcessGroup,
    output: &mut Output,
    limit: Option<Duration>,
    stop: &CancellationToken,
    report: &impl Fn(Option<Progress>, &mut Output),
) -> Ending {
    let deadline = async {
        match limit {
            Some(limit) => {
                tokio::time::sleep(limit).await;
                limit
            }
            None => std::future::pending().await,
        }
    };
    tokio::pin!(deadline);
    let mut open = true;
    loop {
        let mut chunk = [0; 8 * 1024];
        tokio::select! {
            // Stopping is checked first, and output before the end, so that no output is missed.
            biased;
            () = stop.cancelled() => return Ending::Stopped,
            limit = &mut deadline => return Ending::TimedOut(limit),
            count = group.output.read(&mut chunk), if open => match count {
                Ok(count) if count > 0 => {
                    let progress = output.push(&chunk[..count]);
                    report(progress, output);
                }
                _ => open = false,
            },
            status = group.child.wait() => return Ending::Exited(status),
        }
    }
}

async fn read(group: &mut ProcessGroup, output: &mut Output, report: &impl Fn(Option<Progress>, &mut Output)) -> bool {
    let mut chunk = [0; 8 * 1024];
    match group.output.read(&mut chunk).await {
        Ok(count) if count > 0 => {
            let progress = output.push(&chunk[..count]);
            report(progress, output);
            true
        }
        _ => false,
    }
}

fn describe(exit_code: i32, text: &str, cut: u64, took: Duration) -> Value {
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    json!({ "exitCode": exit_code, "output": text, "truncatedBytes": cut, "durationMs": millis })
}

/// As a shell reports it: 128 and the signal's number when a signal ended the command.
fn exit_code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

fn failure(status: ExitStatus, last_line: &str) -> Option<String> {
    if status.success() {
        return None;
    }
    let how = match status.signal() {
        Some(signal) => format!("killed by signal {signal}"),
        None => format!("exit status {}", exit_code(status)),
    };
    Some(if last_line.is_empty() { how } else { format!("{how}: {last_line}") })
}

fn not_started(spec: &CommandSpec, error: &std::io::Error) -> CommandAttempt {
    let place = spec.cwd.as_ref().map_or_else(String::new, |cwd| format!(" in {}", cwd.display()));
    let error = format!("cannot start sh{place}: {error}");
    CommandAttempt::Failed { output: describe(-1, "", 0, Duration::ZERO), error }
}

#[cfg(test)]
mod tests;
