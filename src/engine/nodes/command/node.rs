//! `command`: runs a shell command on this machine, and reports its progress while it runs.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::{CommandAttempt, CommandEnvironment, CommandSpec, attempt};
use crate::engine::nodes::{AttemptResult, End, NodeContext, NodeType, Work};
use relive_session::{Command, NodeStatus, Progress};

/// The least time between two progress reports of a node.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// A shell command.
#[derive(Debug)]
pub struct CommandNode {
    pub spec: CommandSpec,
    /// The server's address, for the command's environment.
    pub server: String,
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
        let run = async {
            let sender = sender;
            attempt(&self.spec, &environment, &sender, &context.stop).await
        };
        let (attempt, ()) = tokio::join!(run, report_progress(context, receiver));
        match attempt {
            CommandAttempt::Stopped => AttemptResult::bare(End::Stopped),
            CommandAttempt::Succeeded { output } => AttemptResult::completed(output),
            CommandAttempt::Failed { output, error } => {
                AttemptResult::bare(End::Failed { error, output: Some(output) })
            }
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
