//! `relive run`: runs a graph of local commands as a session on a server.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::lines::{OutputLines, Story, command_line, exit_status};
use super::{ServerArg, complain, exit};
use crate::engine::{
    self, Control, Ended, LinePrinter, LocalKinds, Plan, PlanError, RemoteLink, RunError, RunOptions, WallClock,
};
use relive_client::{
    self, Client, ClientError, ConnectionState, CreateSession, Event, GraphDefinition, NodeId, NodeStatus, Recorded,
    SessionId, WorkflowSession,
};

/// What `relive run` takes; the long help stands with [`Action`](super::CliCommand).
#[derive(Clone, Debug, clap::Args)]
pub struct RunArgs {
    /// The graph, as JSON.
    pub file: PathBuf,
    #[command(flatten)]
    pub server: ServerArg,
    /// How many commands run at the same time [default: the number of CPUs]
    #[arg(long, env = "RELIVE_JOBS", value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
}

#[derive(Debug, thiserror::Error)]
enum BadFile {
    #[error("cannot read {}: {error}", path.display())]
    Unreadable { path: PathBuf, error: std::io::Error },
    #[error("{} is not a graph: {error}", path.display())]
    NotAGraph { path: PathBuf, error: serde_json::Error },
    #[error("{}: {error}", path.display())]
    NotRunnable { path: PathBuf, error: PlanError },
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Run(#[from] RunError),
}

/// Runs to the end and gives the exit status.
///
/// After a second Ctrl-C commands may still be running; they are killed when the runtime is dropped.
/// So the caller must return from `main`, and not end the process in another way.
pub async fn run(args: RunArgs) -> ExitCode {
    let plan = match read_plan(&args.file, &args.server.server) {
        Ok(plan) => Arc::new(plan),
        Err(error) => {
            complain(&error);
            return exit::code(exit::BAD_INPUT);
        }
    };
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => {
            complain(&error);
            return exit::code(exit::FAILED);
        }
    };
    let interrupt = CancellationToken::new();
    let work = drive(&plan, &args, &interrupt);
    tokio::pin!(work);
    loop {
        tokio::select! {
            ended = &mut work => return report(ended, &args.server),
            () = signals.next() => {
                if interrupt.is_cancelled() {
                    return exit::code(exit::CANCELLED);
                }
                eprintln!("cancelling; press Ctrl-C again to kill the commands at once");
                interrupt.cancel();
            }
        }
    }
}

fn report(ended: Result<Ended, Failure>, server: &ServerArg) -> ExitCode {
    match ended {
        Ok(Ended::Completed) => exit_status(ExitCode::SUCCESS),
        Ok(Ended::Failed { .. }) => exit::code(exit::FAILED),
        // A run of this process is never parked.
        Ok(Ended::Cancelled { .. } | Ended::Parked { .. }) => exit::code(exit::CANCELLED),
        Err(error) => {
            match &error {
                Failure::Client(error) => server.complain(error),
                error @ Failure::Run(_) => complain(error),
            }
            let cancelled = matches!(error, Failure::Run(RunError::Unannounced));
            exit::code(if cancelled { exit::CANCELLED } else { exit::FAILED })
        }
    }
}

fn read_plan(path: &Path, server: &str) -> Result<Plan, BadFile> {
    let path = || path.to_owned();
    let text = std::fs::read(path()).map_err(|error| BadFile::Unreadable { path: path(), error })?;
    let graph: GraphDefinition =
        serde_json::from_slice(&text).map_err(|error| BadFile::NotAGraph { path: path(), error })?;
    let names: BTreeMap<_, _> = graph.nodes.values().map(|node| (node.id.clone(), node.name.clone())).collect();
    let output = OutputLines::stdout();
    // A run continues even if its output is closed.
    let print = move |node: &NodeId, line: &str| {
        let name = names.get(node).map_or(node.as_str(), String::as_str);
        output.print(&command_line(&output, name, line));
    };
    let kinds = LocalKinds {
        printer: Some(LinePrinter::new(print)),
        server: relive_client::Address::parse(server).map_or_else(|_| server.to_owned(), |address| address.to_string()),
    };
    Plan::new(Arc::new(graph), &kinds).map_err(|error| BadFile::NotRunnable { path: path(), error })
}

async fn drive(plan: &Arc<Plan>, args: &RunArgs, interrupt: &CancellationToken) -> Result<Ended, Failure> {
    let created = tokio::select! {
        created = create(plan, &args.server) => created,
        // Nothing runs yet. A session that was just being created stays pending.
        () = interrupt.cancelled() => return Ok(Ended::Cancelled { reason: None }),
    };
    let (client, session) = created?;
    let began = Instant::now();
    let mut story = Story::of_graph(OutputLines::stdout(), &plan.graph);
    let header = args.server.header();
    introduce(&story, &client, session.id, header);
    let _connection = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(tell_connection(client.clone())));
    let (link, events) = RemoteLink::open(client.clone(), session.id).await?;
    let options = RunOptions { parallel: jobs(args.jobs), park_after: None, crashes: 0, clock: WallClock::default() };
    let control = Control { interrupt: interrupt.clone(), ..Control::default() };
    let print = |recorded: &Recorded| {
        let hint = review_hint(recorded, &client, header);
        // A run continues even if its output is closed.
        for line in story.line_of(recorded).into_iter().chain(hint) {
            story.print(&line);
        }
    };
    let ended = engine::run(Arc::clone(plan), options, Arc::new(link), events, control, print).await?;
    story.print(&format!("{} after {:.1} s: {}", story.status.as_str(), began.elapsed().as_secs_f64(), story.counts()));
    Ok(ended)
}

async fn create(plan: &Plan, server: &ServerArg) -> Result<(Client, WorkflowSession), ClientError> {
    let client = server.connect().await?;
    let id = SessionId::generate();
    let request = CreateSession { id: Some(id), graph: Some(plan.graph.as_ref().clone()), ..CreateSession::default() };
    let session = client.create_session(&request, &id.to_string()).await?;
    Ok((client, session))
}

fn jobs(asked: Option<NonZeroUsize>) -> usize {
    asked.map_or_else(|| std::thread::available_parallelism().map_or(1, NonZeroUsize::get), NonZeroUsize::get)
}

fn introduce(story: &Story, client: &Client, session_id: SessionId, header: &str) {
    let address = client.address();
    story.print(&format!("session {session_id}"));
    story.print(&format!("watch   {}", address.http(&format!("/sessions/{session_id}"))));
    story.print(&format!("        websocat {header}{}", address.ws(&format!("/ws/sessions/{session_id}"))));
}

/// How to answer a node that has begun to wait for a person.
fn review_hint(recorded: &Recorded, client: &Client, header: &str) -> Option<String> {
    let Event::NodeStatusChanged { node_id, status: NodeStatus::Suspended, .. } = &recorded.event else {
        return None;
    };
    let url = client.address().http(&format!("/api/v1/sessions/{}/review", recorded.session_id));
    let body = serde_json::json!({ "nodeId": node_id, "action": "approve" });
    let body = body.to_string().replace('\'', "'\\''");
    Some(format!("              curl {header}-H 'Content-Type: application/json' -d '{body}' {url}"))
}

async fn tell_connection(client: Client) {
    let mut connection = client.connection();
    // The handle would keep the connection open.
    drop(client);
    let mut lost = false;
    while connection.changed().await.is_ok() {
        let state = connection.borrow_and_update().clone();
        match state {
            ConnectionState::Reconnecting { reason } => {
                lost = true;
                eprintln!("connection lost ({reason}); running commands continue, reconnecting");
            }
            ConnectionState::Connected if lost => eprintln!("connected again"),
            _ => {}
        }
    }
}

/// The signals by which a person, a terminal or a process supervisor ends a program.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}
