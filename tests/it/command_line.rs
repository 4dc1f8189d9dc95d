//! `relive run` and `relive watch` against a real server.

use std::path::PathBuf;
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::harness::{DEADLINE, Database, Ran, ServerProcess, TestServer, eventually, relive};

/// A `relive` with its output read line by line.
struct Cli {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Cli {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_relive"));
        command.args(arguments).env_remove("RELIVE_SERVER").stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("relive");
        let lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
        Self { child, lines }
    }

    /// The rest of the first line that holds `text`, after it.
    async fn line_with(&mut self, text: &str) -> String {
        let reading = async {
            while let Some(line) = self.lines.next_line().await.expect("a line") {
                if let Some((_, rest)) = line.split_once(text) {
                    return rest.trim().to_owned();
                }
            }
            panic!("no line with '{text}'");
        };
        tokio::time::timeout(DEADLINE, reading).await.unwrap_or_else(|_| panic!("no line with '{text}' in time"))
    }

    async fn exit_code(mut self) -> Option<i32> {
        let ending = async {
            while self.lines.next_line().await.expect("a line").is_some() {}
            self.child.wait().await.expect("a status").code()
        };
        tokio::time::timeout(DEADLINE, ending).await.expect("ends in time")
    }
}

/// A graph file of `command` nodes: id, command, next ids.
fn graph(nodes: &[(&str, &str, &str, &[&str])]) -> (tempfile::TempDir, PathBuf) {
    let nodes: serde_json::Map<String, Value> = nodes
        .iter()
        .map(|(id, kind, command, next)| {
            let properties = if command.is_empty() { json!({}) } else { json!({ "command": command }) };
            let node = json!({"id": id, "type": kind, "name": id, "nextIds": next, "properties": properties});
            ((*id).to_owned(), node)
        })
        .collect();
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("graph.json");
    let start = nodes.keys().min().cloned();
    std::fs::write(&file, json!({"name": "g", "nodes": nodes, "startNodeId": start}).to_string()).expect("a file");
    (directory, file)
}

fn run(file: &std::path::Path, server: &str) -> Cli {
    Cli::start(&["run", file.to_str().expect("a path"), "--server", server])
}

#[tokio::test]
async fn a_run_reports_every_node_and_ends_with_status_0() {
    let server = TestServer::start().await;
    let (_directory, file) = graph(&[("a", "command", "echo one; echo two", &["b"]), ("b", "command", "true", &[])]);
    let mut cli = run(&file, &server.url(""));
    let id = cli.line_with("session ").await;
    assert_eq!(cli.line_with("watch ").await, server.url(&format!("/sessions/{id}")));
    assert_eq!(cli.exit_code().await, Some(0));
    let (_, session) = server.get(&format!("/api/v1/sessions/{id}")).await;
    assert_eq!(session["status"], "completed", "{session}");
    assert_eq!(session["nodes"]["b"]["status"], "completed");
    let (_, node) = server.get(&format!("/api/v1/sessions/{id}/nodes/a")).await;
    assert_eq!((&node["output"]["output"], &node["output"]["exitCode"]), (&json!("one\ntwo\n"), &json!(0)));
}

#[tokio::test]
async fn what_commands_write_is_printed_as_it_comes_and_sent_as_logs() {
    let server = TestServer::start().await;
    let command = "echo one; while ! test -e GO; do sleep 0.02; done; echo two";
    let (directory, file) = graph(&[("a", "command", command, &[])]);
    let go = directory.path().join("go");
    let text = std::fs::read_to_string(&file).expect("a file").replace("GO", &go.display().to_string());
    std::fs::write(&file, text).expect("a file");
    let mut cli = run(&file, &server.url(""));
    let id = cli.line_with("session ").await;
    // The command runs until its first line was seen, here and by the server.
    assert_eq!(cli.line_with("info       a ").await, "one");
    let logs = async || {
        let (_, page) = server.get(&format!("/api/v1/sessions/{id}/logs")).await;
        let logs = page["logs"].as_array().unwrap_or_else(|| panic!("{page}")).iter();
        logs.map(|log| (log["nodeId"].clone(), log["level"].clone(), log["text"].clone())).collect::<Vec<_>>()
    };
    let log = |text: &str| (json!("a"), json!("info"), json!(text));
    eventually("the first line is in the log", async || logs().await == [log("one")]).await;
    std::fs::write(&go, "").expect("go");
    assert_eq!(cli.line_with("info       a ").await, "two");
    assert_eq!(cli.exit_code().await, Some(0));
    assert_eq!(logs().await, [log("one"), log("two")]);
}

#[tokio::test]
async fn a_failing_node_fails_the_run_and_skips_what_depends_on_it() {
    let server = TestServer::start().await;
    let (_directory, file) = graph(&[("a", "command", "exit 7", &["b"]), ("b", "command", "true", &[])]);
    let mut cli = run(&file, &server.url(""));
    let id = cli.line_with("session ").await;
    assert_eq!(cli.exit_code().await, Some(1));
    let (_, session) = server.get(&format!("/api/v1/sessions/{id}")).await;
    assert_eq!(session["status"], "failed");
    assert_eq!(
        (&session["nodes"]["a"]["status"], &session["nodes"]["b"]["status"]),
        (&json!("failed"), &json!("skipped"))
    );
}

#[tokio::test]
async fn a_viewer_can_cancel_a_run_and_its_processes_end() {
    let server = TestServer::start().await;
    let (directory, file) = graph(&[("a", "command", "echo $$ > pid; sleep 1000", &[])]);
    let pid_file = directory.path().join("pid");
    let text = std::fs::read_to_string(&file).expect("a file").replace("> pid", &format!("> {}", pid_file.display()));
    std::fs::write(&file, text).expect("a file");
    let mut cli = run(&file, &server.url(""));
    let id = cli.line_with("session ").await;
    let pid = || std::fs::read_to_string(&pid_file).ok().and_then(|text| text.trim().parse::<i32>().ok());
    eventually("the command runs", async || pid().is_some()).await;
    server.command(&id, json!({"type": "cancel", "reason": "enough"})).await;
    assert_eq!(cli.exit_code().await, Some(130));
    let process = nix::unistd::Pid::from_raw(pid().expect("a pid"));
    eventually("the command has ended", async || nix::sys::signal::kill(process, None).is_err()).await;
}

#[tokio::test]
async fn a_review_waits_for_its_answer() {
    let server = TestServer::start().await;
    let (_directory, file) = graph(&[("a", "human_review", "", &["b"]), ("b", "command", "true", &[])]);
    let mut cli = run(&file, &server.url(""));
    let id = cli.line_with("session ").await;
    cli.line_with("suspended").await;
    let review = json!({"nodeId": "a", "action": "approve", "reviewer": "Ada"});
    let (status, receipt) = server.post(&format!("/api/v1/sessions/{id}/review"), review).await;
    assert!(status.is_success(), "{receipt}");
    assert_eq!(cli.exit_code().await, Some(0));
    let (_, node) = server.get(&format!("/api/v1/sessions/{id}/nodes/a")).await;
    assert_eq!(node["output"]["review"]["reviewer"], "Ada", "{node}");
}

#[tokio::test]
async fn a_paused_run_starts_nothing_until_it_is_resumed() {
    let server = TestServer::start().await;
    let (directory, file) =
        graph(&[("a", "command", "while ! test -e GO; do sleep 0.02; done", &["b"]), ("b", "command", "true", &[])]);
    let go = directory.path().join("go");
    let text = std::fs::read_to_string(&file).expect("a file").replace("GO", &go.display().to_string());
    std::fs::write(&file, text).expect("a file");
    let mut cli = run(&file, &server.url(""));
    let id = cli.line_with("session ").await;
    let path = format!("/api/v1/sessions/{id}");
    let status_of = async |node: &str| server.get(&path).await.1["nodes"][node]["status"].clone();
    eventually("a runs", async || status_of("a").await == "running").await;
    server.command(&id, json!({"type": "pause"})).await;
    std::fs::write(&go, "").expect("go");
    eventually("a finishes while paused", async || status_of("a").await == "completed").await;
    assert_eq!(status_of("b").await, "pending");
    server.command(&id, json!({"type": "resume"})).await;
    assert_eq!(cli.exit_code().await, Some(0));
    let (_, events) = server.get(&format!("{path}/events")).await;
    let kinds: Vec<&str> =
        events["events"].as_array().expect("events").iter().filter_map(|e| e["event"]["type"].as_str()).collect();
    let place = |kind| kinds.iter().position(|found| *found == kind).expect("happened");
    let started_b =
        events["events"].as_array().expect("events").iter().position(|e| e["event"]["nodeId"] == "b").expect("b");
    assert!(place("resumed") < started_b, "{kinds:?}");
}

#[tokio::test]
async fn a_run_outlives_a_killed_server_without_losing_or_repeating_a_command() {
    let database = Database::create().await;
    let url = database.url();
    let server = ServerProcess::start(&[("DATABASE_URL", &url)]).await;
    let address = server.address.to_string();
    let commands: Vec<(String, &str)> = (0..8).map(|n| (format!("n{n}"), "sleep 0.1")).collect();
    let next: Vec<Vec<&str>> =
        (0..8).map(|n| commands.get(n + 1).map(|(id, _)| id.as_str()).into_iter().collect()).collect();
    let nodes: Vec<(&str, &str, &str, &[&str])> = commands
        .iter()
        .zip(&next)
        .map(|((id, command), next)| (id.as_str(), "command", *command, next.as_slice()))
        .collect();
    let (_directory, file) = graph(&nodes);
    let mut cli = run(&file, &format!("http://{address}"));
    let id = cli.line_with("session ").await;
    cli.line_with("completed  n1").await;
    server.kill().await;
    let server = ServerProcess::start(&[("DATABASE_URL", &url), ("RELIVE_LISTEN", &address)]).await;
    assert_eq!(cli.exit_code().await, Some(0));
    let events: Value = reqwest::get(format!("http://{address}/api/v1/sessions/{id}/events?limit=1000"))
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    for n in 0..8 {
        let statuses: Vec<&Value> = events["events"]
            .as_array()
            .expect("events")
            .iter()
            .filter(|event| event["event"]["nodeId"] == format!("n{n}"))
            .map(|event| &event["event"]["status"])
            .collect();
        assert_eq!(statuses, ["running", "completed"], "node n{n}");
    }
    assert_eq!(server.terminate().await, Some(0));
}

#[tokio::test]
async fn watching_a_session_ends_with_it() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let mut cli = Cli::start(&["watch", &id, "--server", &server.url("")]);
    cli.line_with("running").await;
    server.command(&id, json!({"type": "setNodeStatus", "nodeId": "fetch", "status": "running"})).await;
    cli.line_with("fetch").await;
    server.command(&id, json!({"type": "fail", "error": "no luck"})).await;
    cli.line_with("no luck").await;
    assert_eq!(cli.exit_code().await, Some(1));
}

#[tokio::test]
async fn watching_everything_shows_new_sessions() {
    let server = TestServer::start().await;
    let old = server.new_session().await;
    let mut cli = Cli::start(&["watch", "--server", &server.url("")]);
    cli.line_with(&old).await;
    let new = server.new_session().await;
    cli.line_with(&new).await;
}

#[tokio::test]
async fn a_graph_that_cannot_be_run_is_refused_before_anything_starts() {
    let server = TestServer::start().await;
    let (_directory, file) = graph(&[("a", "teleport", "", &[])]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_relive"));
    command.args(["run", file.to_str().expect("a path"), "--server", &server.url("")]);
    let Output { status, stderr, .. } = command.output().await.expect("relive");
    assert_eq!(status.code(), Some(2));
    assert!(String::from_utf8_lossy(&stderr).contains("teleport"), "names the type");
    assert_eq!(server.get("/api/v1/sessions").await.1["sessions"], json!([]));
}

#[tokio::test]
async fn shells_complete_the_commands_and_each_has_a_manual_page() {
    let directory = tempfile::tempdir().expect("a directory");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let Ran { code, printed, said } = relive(&["completions", shell], &[]).await;
        assert_eq!(code, Some(0), "{said}");
        assert!(printed.contains("doctor") && printed.contains("max-sockets"), "{shell}");
        if shell == "bash" {
            let script = directory.path().join("relive.bash");
            std::fs::write(&script, printed).expect("written");
            // bash itself completes the beginning of a command.
            let asked = "source \"$0\"; COMP_WORDS=(relive back); COMP_CWORD=1; COMPREPLY=(); _relive relive back relive; echo \"${COMPREPLY[@]}\"";
            let bash = Command::new("bash").args(["-c", asked]).arg(&script).output().await.expect("bash");
            assert_eq!(String::from_utf8_lossy(&bash.stdout).trim(), "backup", "{bash:?}");
        }
    }
    assert_eq!(relive(&["completions", "csh"], &[]).await.code, Some(2));

    let pages = directory.path().join("share/man1");
    let ran = relive(&["man", pages.to_str().expect("a path")], &[]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for (page, text) in [
        ("relive", "relive\\-backup"),
        ("relive-serve", "RELIVE_LISTEN"),
        ("relive-archive", "RELIVE_ARCHIVE"),
        ("relive-keys-create", "role"),
    ] {
        let written = std::fs::read_to_string(pages.join(format!("{page}.1"))).expect(page);
        assert!(written.contains(".TH") && written.contains(text), "{page}: {written}");
    }
    let file = directory.path().join("file");
    std::fs::write(&file, "").expect("written");
    let ran = relive(&["man", file.join("man1").to_str().expect("a path")], &[]).await;
    assert!(ran.code == Some(1) && ran.said.contains("man1: "), "{ran:?}");
}
