//! `command`: runs a shell command on this machine, and reports its progress and its output while it runs.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, watch};

use super::{CommandAttempt, CommandEnvironment, CommandSpec, attempt};
use crate::engine::nodes::{AttemptResult, End, NodeContext, NodeType, Work};
use crate::engine::session_link::LinkError;
use relive_session::{Command, LogLevel, NodeId, NodeStatus, Progress, Timestamp};

/// The least time between two progress reports of a node.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// Lines of output that wait to be sent as logs. One more is left out: a command never waits for the server.
const WAITING_LINES: usize = 1_000;
/// Lines in one message to the server.
const LINES_AT_ONCE: usize = 200;
/// Lines of one attempt that are sent as logs; the end of the output is in the node's `output` in any case.
const SENT_LINES: u64 = 10_000;

type Print = dyn Fn(&NodeId, &str) + Send + Sync;

/// Is given each line of a command's output as it comes.
#[derive(Clone)]
pub struct LinePrinter(Arc<Print>);

impl LinePrinter {
    pub fn new(print: impl Fn(&NodeId, &str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(print))
    }
}

impl fmt::Debug for LinePrinter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinePrinter")
    }
}

/// A shell command.
#[derive(Debug)]
pub struct CommandNode {
    pub spec: CommandSpec,
    /// The server's address, for the command's environment.
    pub server: String,
    pub printer: Option<LinePrinter>,
}

/// The lines of one attempt, on their way to the server.
struct Lines {
    waiting: mpsc::Sender<(Timestamp, String)>,
    taken: AtomicU64,
    left_out: Arc<AtomicU64>,
}

impl Lines {
    fn push(&self, line: &str) {
        let is_room = self.taken.fetch_add(1, Ordering::Relaxed) < SENT_LINES;
        if !is_room || self.waiting.try_send((Timestamp::now(), line.to_owned())).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl CommandNode {
    /// One attempt, with its progress reported while it runs.
    async fn attempt(&self, context: &NodeContext) -> AttemptResult {
        let environment = CommandEnvironment {
            session_id: context.session().id.to_string(),
            node_id: context.id().to_string(),
            server: self.server.clone(),
        };
        let (sender, receiver) = watch::channel(None);
        let (waiting, lines) = mpsc::channel(WAITING_LINES);
        let left_out = Arc::new(AtomicU64::new(0));
        let told = Lines { waiting, taken: AtomicU64::new(0), left_out: Arc::clone(&left_out) };
        let run = async {
            // Both end with the command.
            let (sender, told) = (sender, told);
            let said = |line: &str| {
                if let Some(LinePrinter(print)) = &self.printer {
                    print(context.id(), line);
                }
                told.push(line);
            };
            attempt(&self.spec, &environment, &sender, &said, &context.stop).await
        };
        let (attempt, (), ()) = tokio::join!(run, report_progress(context, receiver), send_lines(context, lines));
        result(context, attempt, left_out.load(Ordering::Relaxed))
    }
}

/// The attempt's result, with a note if lines are not in the log.
fn result(context: &NodeContext, attempt: CommandAttempt, left_out: u64) -> AttemptResult {
    let notes = (left_out > 0).then(|| {
        let text = format!("{left_out} more lines are not in the log; the end of the output is in the node's output");
        log(context, LogLevel::Warn, Timestamp::now(), text)
    });
    let result = match attempt {
        CommandAttempt::Stopped => AttemptResult::bare(End::Stopped),
        CommandAttempt::Succeeded { output } => AttemptResult::completed(output),
        CommandAttempt::Failed { output, error } => AttemptResult::bare(End::Failed { error, output: Some(output) }),
    };
    result.with(notes.into_iter().collect())
}

fn log(context: &NodeContext, level: LogLevel, at: Timestamp, text: String) -> Command {
    Command::AddLog { node_id: context.id().clone(), level, text, at: Some(at), attributes: None }
}

/// Sends lines as logs, as many at once as have come meanwhile, until the command has ended.
async fn send_lines(context: &NodeContext, mut lines: mpsc::Receiver<(Timestamp, String)>) {
    let mut batch = Vec::new();
    while lines.recv_many(&mut batch, LINES_AT_ONCE).await > 0 {
        let logs = batch.drain(..).map(|(at, text)| log(context, LogLevel::Info, at, text)).collect();
        match context.stop.run_until_cancelled(context.link.send(logs)).await {
            // What the session does not take as it is now is not in its log.
            Some(Ok(()) | Err(LinkError::Refused(_) | LinkError::Unacceptable(_))) => {}
            // If the session is lost, the report of the end fails as well.
            _ => return,
        }
    }
}

/// Reports the newest progress, a few times a second, until the command has ended. A report is answered
/// before the next is sent, and before the end is: a retried report could otherwise arrive after the end,
/// where `running` would begin another attempt.
async fn report_progress(context: &NodeContext, mut progress: watch::Receiver<Option<Progress>>) {
    while progress.changed().await.is_ok() {
        let newest = *progress.borrow_and_update();
        let report = Command::SetNodeStatus {
            node_id: context.id().clone(),
            status: NodeStatus::Running,
            name: None,
            node_type: None,
            progress: newest,
            error: None,
            output: None,
            retry: None,
            input: None,
            next_ids: None,
            parent_node_id: None,
            kind: None,
            attributes: None,
            started_at: None,
            completed_at: None,
        };
        let sent = context.stop.run_until_cancelled(context.link.send(vec![report])).await;
        if !matches!(sent, Some(Ok(()))) {
            // The result of the command matters more; if the session is lost, its report will fail.
            return;
        }
        // Progress in between is dropped except for the newest. The sender is dropped when the command ends, which
        // ends the pause as well.
        let mut ended = progress.clone();
        let _ = tokio::time::timeout(PROGRESS_EVERY, ended.wait_for(|_| false)).await;
    }
}

impl NodeType for CommandNode {
    fn run<'a>(&'a self, context: &'a NodeContext) -> BoxFuture<'a, AttemptResult> {
        self.attempt(context).boxed()
    }

    fn work(&self) -> Work {
        Work::Guarded
    }
}
