use std::sync::Arc;

use parking_lot::Mutex;

use super::*;
use crate::engine::nodes::LocalKinds;
use futures_util::future::BoxFuture;
use relive_client::testing::Memory;
use relive_session::{Command, NodeStatus, Refusal};
use relive_session::{GraphDefinition, Session, SessionStatus};
use serde_json::{Value, json};

mod clock;
mod ends;
mod interruptions;
mod prospects;

/// A session in this process, and both sides of its driver.
#[derive(Clone, Debug)]
struct Local {
    memory: Arc<Mutex<Memory>>,
    head: watch::Sender<usize>,
    /// The histories of the sessions that it descends from, that of its parent first.
    ancestors: Arc<Vec<Vec<Recorded>>>,
    /// Why outputs cannot be read.
    unreadable: Arc<Mutex<Option<LinkError>>>,
}

impl Local {
    fn new(graph: &GraphDefinition) -> Self {
        Self::with(Memory::new(Some(graph.clone())), Vec::new())
    }

    fn with(memory: Memory, ancestors: Vec<Vec<Recorded>>) -> Self {
        let memory = Arc::new(Mutex::new(memory));
        Self { memory, head: watch::Sender::new(1), ancestors: Arc::new(ancestors), unreadable: Arc::default() }
    }

    /// A fork of this one, that begins with this event.
    fn fork(&self, created: &Recorded) -> Self {
        let mut ancestors = vec![self.memory.lock().history.clone()];
        ancestors.extend(self.ancestors.iter().cloned());
        Self::with(Memory::of(created), ancestors)
    }

    fn tell(&self, command: Command) {
        self.memory.lock().carry_out(&[command], None).expect("accepted");
        self.head.send_modify(|head| *head += 1);
    }

    /// As [`Local::tell`], when it may be refused.
    fn try_tell(&self, command: Command) -> bool {
        let accepted = self.memory.lock().carry_out(&[command], None).is_ok();
        self.head.send_modify(|head| *head += 1);
        accepted
    }

    fn session(&self) -> Session {
        self.memory.lock().session.clone()
    }

    /// Waits until the session is as wanted. The deadline is only for a test that fails.
    async fn until(&self, what: &str, check: impl Fn(&Session) -> bool) {
        let mut head = self.head.subscribe();
        let waiting = head.wait_for(|_| check(&self.memory.lock().session));
        let waited = tokio::time::timeout(Duration::from_secs(2_000), waiting).await;
        assert!(waited.is_ok(), "never: {what}");
    }

    async fn until_node(&self, node: &str, status: NodeStatus) {
        let what = format!("{node} is {}", status.as_str());
        self.until(&what, |session| session.node_status(&node.into()) == Some(status)).await;
    }

    /// The statuses a node went through.
    fn story(&self, node: &str) -> Vec<NodeStatus> {
        let memory = self.memory.lock();
        let statuses = memory.history.iter().filter_map(|recorded| match &recorded.event {
            Event::NodeStatusChanged { node_id, status, .. } if node_id.as_str() == node => Some(*status),
            _ => None,
        });
        statuses.collect()
    }

    /// The last output of a node, from where the state says that it stands.
    fn output(&self, node: &str) -> Option<Value> {
        let memory = self.memory.lock();
        let place = memory.session.nodes.get(node)?.output?;
        let mut journals = [&memory.history].into_iter().chain(self.ancestors.iter());
        let journal = journals.nth(usize::try_from(place.depth).ok()?)?;
        match &journal.get(usize::try_from(place.revision).ok()?.checked_sub(1)?)?.event {
            Event::NodeStatusChanged { output: Some(output), .. } => Some(output.as_ref().clone()),
            _ => None,
        }
    }
}

impl SessionLink for Local {
    fn send(&self, commands: Vec<Command>) -> BoxFuture<'_, Result<(), LinkError>> {
        async move {
            let carried_out = self.memory.lock().carry_out(&commands, None);
            self.head.send_modify(|head| *head += 1);
            carried_out.map(drop).map_err(|refusal| match refusal {
                Refusal::SessionTransition { .. } => LinkError::Refused(refusal.to_string()),
                _ => LinkError::Unacceptable(refusal.to_string()),
            })
        }
        .boxed()
    }

    fn session(&self) -> Arc<Session> {
        Arc::new(Local::session(self))
    }

    fn output(&self, node: NodeId) -> BoxFuture<'_, Result<Option<Arc<Value>>, LinkError>> {
        let output = match self.unreadable.lock().clone() {
            Some(error) => Err(error),
            None => Ok(Local::output(self, node.as_str()).map(Arc::new)),
        };
        std::future::ready(output).boxed()
    }
}

struct LocalEvents {
    memory: Arc<Mutex<Memory>>,
    head: watch::Receiver<usize>,
    heard: usize,
}

impl LinkEvents for LocalEvents {
    async fn next(&mut self) -> Result<Option<Recorded>, LinkError> {
        loop {
            self.head.borrow_and_update();
            let next = {
                let memory = self.memory.lock();
                let next = memory.history.get(self.heard).cloned();
                if next.is_none() && memory.session.status.is_ended() {
                    return Ok(None);
                }
                next
            };
            if let Some(next) = next {
                self.heard += 1;
                return Ok(Some(next));
            }
            self.head.changed().await.map_err(|error| LinkError::Lost(error.to_string()))?;
        }
    }
}

/// A graph from `(id, type, properties, next)`.
fn graph(nodes: &[(&str, &str, Value, &[&str])]) -> GraphDefinition {
    let nodes_json: serde_json::Map<String, Value> = nodes
        .iter()
        .map(|(id, kind, properties, next)| {
            let node = json!({"id": id, "type": kind, "name": id, "properties": properties, "nextIds": next});
            ((*id).to_owned(), node)
        })
        .collect();
    serde_json::from_value(json!({"name": "g", "startNodeId": nodes[0].0, "nodes": nodes_json})).expect("a graph")
}

fn approve(node: &str) -> Command {
    Command::signal(node, json!({"review": {"action": "approve"}}))
}

fn sh(command: &str) -> Value {
    json!({ "command": command })
}

struct Running {
    local: Local,
    interrupt: CancellationToken,
    detach: CancellationToken,
    ended: tokio::task::JoinHandle<Result<Ended, RunError>>,
}

impl Running {
    fn start(graph: GraphDefinition, jobs: usize) -> Self {
        Self::start_with(graph, jobs, None)
    }

    fn start_with(graph: GraphDefinition, jobs: usize, park_after: Option<Duration>) -> Self {
        let options = RunOptions { parallel: jobs, park_after, crashes: 0, clock: WallClock::default() };
        Self::resume(Local::new(&graph), options)
    }

    /// A run from where the session stands.
    fn resume(local: Local, options: RunOptions) -> Self {
        let graph = local.session().origin.graph.clone().expect("a graph");
        let plan = Arc::new(
            Plan::new(graph, &LocalKinds { server: "http://test".to_owned(), printer: None }).expect("a plan"),
        );
        let control = Control::default();
        let (interrupt, detach) = (control.interrupt.clone(), control.detach.clone());
        let link = local.clone();
        let ended = tokio::spawn(async move {
            // The run looks at the state before anything else happens.
            let heard = link.memory.lock().history.len();
            let events = LocalEvents { memory: Arc::clone(&link.memory), head: link.head.subscribe(), heard };
            run(plan, options, Arc::new(link), events, control, |_| ()).await
        });
        Self { local, interrupt, detach, ended }
    }

    async fn end(self) -> (Local, Result<Ended, RunError>) {
        self.end_within(Duration::from_secs(30)).await
    }

    async fn end_within(self, time: Duration) -> (Local, Result<Ended, RunError>) {
        let ended = tokio::time::timeout(time, self.ended).await.expect("in time");
        (self.local, ended.expect("no panic"))
    }
}

use NodeStatus::{Completed, Failed, Pending, Running as Runs, Skipped, Suspended};

#[tokio::test]
async fn a_run_without_failures_completes_with_the_last_outputs() {
    let graph = graph(&[
        ("a", "start", json!({}), &["b", "c"]),
        ("b", "command", sh("echo b"), &["d"]),
        ("c", "command", sh("echo c"), &["d"]),
        ("d", "command", sh("echo $RELIVE_NODE_ID $RELIVE_SERVER"), &[]),
    ]);
    let (local, ended) = Running::start(graph, 4).end().await;
    assert_eq!(ended, Ok(Ended::Completed));
    let session = local.session();
    assert!(session.nodes.values().all(|node| node.snapshot.status == Completed));
    let outputs = session.outputs.expect("outputs");
    assert_eq!(outputs["d"]["output"], "d http://test\n");
    assert!(outputs.get("b").is_none(), "b is not last");
}

#[tokio::test]
async fn branches_run_side_by_side_as_far_as_there_are_jobs() {
    let dir = tempfile::tempdir().expect("a directory");
    // Each waits for the other to be there, so they end only side by side.
    let meet = |mine: &str, other: &str| {
        let at = dir.path().display();
        sh(&format!("touch {at}/{mine}; while [ ! -e {at}/{other} ]; do sleep 0.05; done"))
    };
    let nodes = |b: Value, c: Value| {
        graph(&[("a", "parallel", json!({}), &["b", "c"]), ("b", "command", b, &[]), ("c", "command", c, &[])])
    };
    let (_, ended) = Running::start(nodes(meet("b", "c"), meet("c", "b")), 2).end().await;
    assert_eq!(ended, Ok(Ended::Completed));
    // With one job the second never sees the first one's marker, which is gone by then.
    let alone = sh(&format!("mkdir {0}/lock && sleep 0.2 && rmdir {0}/lock", dir.path().display()));
    let (_, ended) = Running::start(nodes(alone.clone(), alone), 1).end().await;
    assert_eq!(ended, Ok(Ended::Completed));
}

#[tokio::test]
async fn a_failure_skips_what_depends_on_it_and_fails_the_session_with_its_last_line() {
    let dir = tempfile::tempdir().expect("a directory");
    let gate = dir.path().join("gate");
    let graph = graph(&[
        ("a", "parallel", json!({}), &["bad", "slow"]),
        ("bad", "command", sh("echo 'oh no'; exit 2"), &["after"]),
        ("after", "command", sh("echo never"), &[]),
        ("slow", "command", sh(&format!("while [ ! -e {} ]; do sleep 0.05; done", gate.display())), &["next"]),
        ("next", "command", sh("echo never"), &[]),
    ]);
    let running = Running::start(graph, 4);
    running.local.until_node("slow", Runs).await;
    running.local.until_node("after", Skipped).await;
    assert_eq!(running.local.session().status, SessionStatus::Running, "slow may finish");
    std::fs::write(gate, "").expect("opened");
    let (local, ended) = running.end().await;
    assert_eq!(ended, Ok(Ended::Failed { error: "node 'bad' failed: exit status 2: oh no".to_owned() }));
    assert_eq!((local.story("slow"), local.story("next")), (vec![Runs, Completed], vec![]));
    assert_eq!(local.session().node_status(&"next".into()), Some(Skipped));
}

#[tokio::test]
async fn a_retry_is_a_new_attempt() {
    let dir = tempfile::tempdir().expect("a directory");
    let command =
        format!("if [ -e {0} ]; then echo ok; else touch {0}; exit 1; fi", dir.path().join("tried").display());
    let graph = graph(&[("a", "command", json!({"command": command, "retries": 2}), &[])]);
    let (local, ended) = Running::start(graph, 1).end().await;
    assert_eq!(ended, Ok(Ended::Completed));
    assert_eq!(local.story("a"), [Runs, Failed, Pending, Runs, Completed]);
    assert_eq!(local.session().nodes["a"].snapshot.attempt, Some(2));
}

#[tokio::test]
async fn a_review_suspends_until_it_is_approved() {
    let graph = graph(&[("r", "human_review", json!({}), &["b"]), ("b", "command", sh("true"), &[])]);
    let running = Running::start(graph, 1);
    running.local.until_node("r", Suspended).await;
    let payload = json!({"review": {"action": "approve", "reviewer": "me"}});
    running.local.tell(Command::signal("r", payload.clone()));
    let (local, ended) = running.end().await;
    assert_eq!(ended, Ok(Ended::Completed));
    assert_eq!(local.story("r"), [Runs, Suspended, Completed]);
    let output = local.output("r").expect("an output");
    assert_eq!((&output["review"], &output["reviewer"]), (&payload["review"], &json!("me")));
    assert!(output["decidedAt"].is_string(), "{output}");
}

#[tokio::test]
async fn a_rejected_review_fails_the_run() {
    let graph = graph(&[("r", "human_review", json!({}), &["b"]), ("b", "command", sh("true"), &[])]);
    let running = Running::start(graph, 1);
    running.local.until_node("r", Suspended).await;
    let payload = json!({"review": {"action": "reject", "reviewer": "me"}});
    running.local.tell(Command::signal("r", payload));
    let (_, ended) = running.end().await;
    assert_eq!(ended, Ok(Ended::Failed { error: "node 'r' failed: rejected by me".to_owned() }));
}

#[tokio::test]
async fn a_failure_elsewhere_does_not_wait_for_a_review() {
    let graph = graph(&[
        ("a", "parallel", json!({}), &["r", "bad"]),
        ("r", "human_review", json!({}), &[]),
        ("bad", "command", sh("exit 1"), &[]),
    ]);
    let (local, ended) = Running::start(graph, 1).end().await;
    assert!(matches!(ended, Ok(Ended::Failed { .. })), "{ended:?}");
    assert_eq!(local.session().node_status(&"r".into()), Some(Skipped));
}

#[tokio::test]
async fn a_pause_lets_running_nodes_finish_and_starts_none() {
    let dir = tempfile::tempdir().expect("a directory");
    let gate = dir.path().join("gate");
    let wait = format!("while [ ! -e {} ]; do sleep 0.05; done", gate.display());
    let running = Running::start(graph(&[("a", "command", sh(&wait), &["b"]), ("b", "command", sh("true"), &[])]), 1);
    running.local.until_node("a", Runs).await;
    running.local.tell(Command::Pause);
    std::fs::write(gate, "").expect("opened");
    running.local.until_node("a", Completed).await;
    // Everything that could run has had its turn once the runtime has nothing left to do.
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    assert_eq!(running.local.story("b"), []);
    running.local.tell(Command::Resume);
    let (local, ended) = running.end().await;
    assert_eq!(ended, Ok(Ended::Completed));
    assert_eq!(local.story("b"), [Runs, Completed]);
}

#[tokio::test]
async fn a_session_paused_at_its_end_completes_when_it_is_resumed() {
    let running = Running::start(graph(&[("r", "human_review", json!({}), &[])]), 1);
    running.local.until_node("r", Suspended).await;
    running.local.tell(Command::Pause);
    running.local.tell(approve("r"));
    running.local.until_node("r", Completed).await;
    running.local.tell(Command::Resume);
    assert_eq!(running.end().await.1, Ok(Ended::Completed));
}

#[tokio::test]
async fn a_cancellation_by_a_viewer_kills_what_runs() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("pid");
    let command = format!("sleep 300 & echo $! > {}; wait", file.display());
    let running = Running::start(graph(&[("a", "command", sh(&command), &["b"]), ("b", "end", json!({}), &[])]), 1);
    let deadline = Instant::now() + Duration::from_secs(20);
    while !std::fs::read_to_string(&file).is_ok_and(|pid| pid.ends_with('\n')) {
        assert!(Instant::now() < deadline, "the command never ran");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    running.local.tell(Command::Cancel { reason: Some("enough".to_owned()) });
    let (local, ended) = running.end().await;
    assert_eq!(ended, Ok(Ended::Cancelled { reason: Some("enough".to_owned()) }));
    assert_eq!(local.story("b"), []);
    let pid = std::fs::read_to_string(&file).expect("a pid");
    let alive = std::process::Command::new("ps").args(["-o", "stat=", "-p", pid.trim()]).output().expect("ps");
    let state = String::from_utf8_lossy(&alive.stdout).trim().to_owned();
    assert!(state.is_empty() || state.starts_with('Z'), "still alive: {state}");
}

#[tokio::test]
async fn an_interrupt_cancels_the_session() {
    let running = Running::start(graph(&[("a", "command", sh("sleep 300"), &[])]), 1);
    running.local.until_node("a", Runs).await;
    running.interrupt.cancel();
    let (local, ended) = running.end().await;
    assert_eq!(ended, Ok(Ended::Cancelled { reason: Some("interrupted".to_owned()) }));
    assert_eq!(local.session().node_status(&"a".into()), Some(Failed));
}

#[tokio::test]
async fn a_loop_runs_its_nodes_again() {
    let graph = graph(&[
        ("a", "command", sh("echo round"), &["l"]),
        ("l", "loop", json!({"max_rounds": 3}), &["a", "z"]),
        ("z", "end", json!({}), &[]),
    ]);
    let (local, ended) = Running::start(graph, 1).end().await;
    assert_eq!(ended, Ok(Ended::Completed));
    let attempt = |node: &str| local.session().nodes[node].snapshot.attempt;
    assert_eq!((attempt("a"), attempt("l"), attempt("z")), (Some(3), Some(3), Some(1)));
}

#[tokio::test]
async fn progress_shows_while_a_node_runs() {
    let (local, ended) =
        Running::start(graph(&[("a", "command", sh("echo ::progress 0.5; echo done"), &[])]), 1).end().await;
    assert_eq!(ended, Ok(Ended::Completed));
    assert_eq!(local.session().nodes["a"].snapshot.progress.map(relive_session::Progress::get), Some(0.5));
    assert_eq!(local.output("a").expect("an output")["output"], "done\n");
}

#[tokio::test]
async fn a_node_that_was_never_to_run_is_skipped_once() {
    let graph = graph(&[
        ("l", "loop", json!({"max_rounds": 0}), &["a", "z"]),
        ("a", "command", sh("echo never"), &["l"]),
        ("z", "human_review", json!({}), &[]),
    ]);
    let running = Running::start(graph, 1);
    running.local.until_node("a", Skipped).await;
    running.local.until_node("z", Suspended).await;
    assert_ne!(running.local.session().node_status(&"a".into()), Some(Pending));
    running.local.tell(approve("z"));
    let (local, ended) = running.end().await;
    assert_eq!((ended, local.story("a")), (Ok(Ended::Completed), vec![Skipped]));
}
