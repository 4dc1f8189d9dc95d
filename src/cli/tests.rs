//! Both commands against a small server over real sockets.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use serde_json::{Value, json};

use super::{Cli, ServerArg, exit, run, watch};
use relive_client::testing::{Fault, Peer};
use relive_client::{Command, Event, NodeStatus};

fn node(id: &str, kind: &str, properties: &Value, next: &[&str]) -> Value {
    json!({"id": id, "type": kind, "name": id, "properties": properties, "nextIds": next})
}

fn graph(nodes: Value) -> Value {
    json!({"name": "g", "startNodeId": "a", "nodes": nodes})
}

async fn run_file(peer: &Peer, file: PathBuf) -> ExitCode {
    let server = ServerArg { server: peer.url.clone(), token_file: None };
    let running = run::run(run::RunArgs { file, server, jobs: None });
    tokio::time::timeout(std::time::Duration::from_mins(1), running).await.expect("in time")
}

async fn run_graph(peer: &Peer, graph: &Value) -> ExitCode {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("graph.json");
    std::fs::write(&file, graph.to_string()).expect("written");
    run_file(peer, file).await
}

async fn watch_it(peer: &Peer) -> ExitCode {
    let server = ServerArg { server: peer.url.clone(), token_file: None };
    watch::run(watch::WatchArgs { id: Some(peer.id()), plain: true, server }).await
}

#[tokio::test]
async fn a_completed_run_exits_with_0_however_often_the_connection_is_cut() {
    // Nothing is lost or repeated: each node starts and ends once.
    let faults = (1..8).map(|cut| Fault { cut_after: Some(cut % 3 + 1), ..Fault::default() });
    let peer = Peer::start(faults.collect()).await;
    let dir = tempfile::tempdir().expect("a directory");
    let log = dir.path().join("log");
    let command = json!({"command": format!("echo $RELIVE_NODE_ID >> {}", log.display())});
    let nodes = json!({
        "a": node("a", "command", &command, &["b", "c"]),
        "b": node("b", "command", &command, &["d"]),
        "c": node("c", "command", &command, &["d"]),
        "d": node("d", "command", &command, &[]),
    });
    assert_eq!(run_graph(&peer, &graph(nodes)).await, ExitCode::SUCCESS);
    let log = std::fs::read_to_string(&log).expect("a log");
    let mut ran: Vec<&str> = log.lines().collect();
    ran.sort_unstable();
    assert_eq!(ran, ["a", "b", "c", "d"]);
    assert!(*peer.connections.borrow() > 5, "the connection was cut");
    let memory = peer.memory.lock();
    let changes = memory.history.iter().filter(|recorded| matches!(recorded.event, Event::NodeStatusChanged { .. }));
    assert_eq!(changes.count(), 8);
}

#[tokio::test]
async fn a_failed_run_exits_with_1_and_so_does_whoever_watches_it() {
    let peer = Peer::start(vec![]).await;
    let nodes = json!({"a": node("a", "command", &json!({"command": "exit 3"}), &[])});
    assert_eq!(run_graph(&peer, &graph(nodes)).await, exit::code(exit::FAILED));
    assert_eq!(watch_it(&peer).await, exit::code(exit::FAILED));
}

#[tokio::test]
async fn a_cancelled_run_exits_with_130_here_and_where_it_is_watched() {
    let peer = Peer::start(vec![]).await;
    let nodes = json!({"a": node("a", "human_review", &json!({}), &[])});
    let graph = graph(nodes);
    let cancel = async {
        loop {
            let status = peer.memory.lock().session.node_status(&"a".into());
            if status == Some(NodeStatus::Suspended) {
                break;
            }
            tokio::task::yield_now().await;
        }
        let watched = watch_it(&peer);
        let cancelled = async { peer.change(&[Command::Cancel { reason: None }]) };
        tokio::join!(watched, cancelled).0
    };
    let (ran, watched) = tokio::join!(run_graph(&peer, &graph), cancel);
    assert_eq!((ran, watched), (exit::code(exit::CANCELLED), exit::code(exit::CANCELLED)));
}

#[tokio::test]
async fn a_bad_graph_exits_with_2_before_anything_starts() {
    let peer = Peer::start(vec![]).await;
    let unknown = graph(json!({"a": node("a", "teleport", &json!({}), &[])}));
    assert_eq!(run_graph(&peer, &unknown).await, exit::code(exit::BAD_INPUT));
    assert_eq!(run_file(&peer, "/no/such/file.json".into()).await, exit::code(exit::BAD_INPUT));
    assert_eq!(*peer.connections.borrow(), 0);
}

#[tokio::test]
async fn the_tour_completes_and_leaves_nothing_behind() {
    let peer = Peer::start(vec![]).await;
    let tour = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/tour.json");
    assert_eq!(run_file(&peer, tour).await, ExitCode::SUCCESS);
    assert!(!std::env::temp_dir().join(format!("relive-tour-{}", peer.id())).exists());
    let memory = peer.memory.lock();
    assert_eq!(memory.session.nodes["distinct"].snapshot.attempt, Some(2));
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn no_job_at_all_is_refused() {
    assert!(Cli::try_parse_from(["relive", "run", "graph.json", "--jobs", "0"]).is_err());
}
