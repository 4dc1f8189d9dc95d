//! `relive export` and `relive import` against a real server.

use std::path::Path;
use std::process::{Output, Stdio};

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::{export, lines, run};
use crate::harness::{DEADLINE, TestServer};

/// Its standard output is a device that is always full.
#[cfg(target_os = "linux")]
async fn relive_to_a_full_disk(server: &TestServer, arguments: &[&str]) -> Output {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("the device");
    let mut command = Command::new(env!("CARGO_BIN_EXE_relive"));
    command.args(arguments).env("RELIVE_SERVER", server.url("")).kill_on_drop(true);
    let child = command.stdin(Stdio::null()).stdout(full).stderr(Stdio::piped()).spawn().expect("relive");
    tokio::time::timeout(DEADLINE, child.wait_with_output()).await.expect("in time").expect("an end")
}

async fn relive(server: &TestServer, arguments: &[&str], input: Option<&[u8]>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relive"));
    command.args(arguments).env("RELIVE_SERVER", server.url("")).kill_on_drop(true);
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    let mut child = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("relive");
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        // A program that has seen enough need not read the rest.
        let _ = stdin.write_all(input).await;
    }
    tokio::time::timeout(DEADLINE, child.wait_with_output()).await.expect("in time").expect("an end")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("a text")
}

#[tokio::test]
async fn a_session_goes_round_through_a_file_and_through_a_pipe() {
    let server = TestServer::start().await;
    let id = run(&server).await;
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("run.ndjson");
    let name = file.to_str().expect("a path");

    let to_file = relive(&server, &["export", &id, "--output", name], None).await;
    assert_eq!((to_file.status.code(), text(&to_file.stdout), text(&to_file.stderr)), (Some(0), "", ""));
    let written = std::fs::read_to_string(&file).expect("a file");
    let to_pipe = relive(&server, &["export", &id], None).await;
    assert_eq!((to_pipe.status.code(), text(&to_pipe.stderr)), (Some(0), ""), "no bar where there is no terminal");
    assert_eq!(
        lines(text(&to_pipe.stdout))[1..lines(&written).len() - 1],
        lines(&written)[1..lines(&written).len() - 1]
    );
    assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 1, "no leftovers");

    let from_file = relive(&server, &["import", name], None).await;
    let from_pipe = relive(&server, &["import", "-"], Some(written.as_bytes())).await;
    let anew = relive(&TestServer::start().await, &["import", name], None).await;
    let anew_again = relive(&server, &["import", "--new-id", name], None).await;
    for output in [&from_file, &from_pipe, &anew_again] {
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
        let copy = text(&output.stdout).trim_end();
        assert_eq!(server.session(copy).await["revision"], 22);
    }
    assert_eq!(text(&anew.stdout), format!("{id}\n"));
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn an_output_that_cannot_be_written_is_an_error() {
    let server = TestServer::start().await;
    let id = run(&server).await;
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("run.ndjson");
    let name = file.to_str().expect("a path");
    assert!(relive(&server, &["export", &id, "--output", name], None).await.status.success());
    let graph = directory.path().join("graph.json");
    let node = serde_json::json!({"id": "a", "type": "command", "name": "A", "properties": {"command": "true"}});
    let written = serde_json::json!({"name": "g", "startNodeId": "a", "nodes": {"a": node}});
    std::fs::write(&graph, written.to_string()).expect("a file");
    let graph = graph.to_str().expect("a path");
    for arguments in [&["export", &id][..], &["import", "--new-id", name], &["watch", &id], &["watch"], &["run", graph]]
    {
        let output = relive_to_a_full_disk(&server, arguments).await;
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.starts_with("relive: cannot write standard output: ") && said.lines().count() == 1, "{said}");
    }
}

#[tokio::test]
async fn a_file_at_fault_is_named_with_its_line() {
    let server = TestServer::start().await;
    let id = run(&server).await;
    let file = export(&server, &id).await;
    let altered = file.replacen("\"revision\":7", "\"revision\":8", 1);
    let output = relive(&server, &["import", "-"], Some(altered.as_bytes())).await;
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""));
    assert!(text(&output.stderr).contains("line 8: "), "{}", text(&output.stderr));
    let output = relive(&server, &["import", "-"], Some(&file.as_bytes()[..file.len() / 2])).await;
    assert!(output.status.code() == Some(2) && text(&output.stderr).contains("cut off"), "{}", text(&output.stderr));
    // Long after the fault there is still much to send; the answer is heard all the same.
    let long = file.replacen(r#""type":"started""#, r#""type":"startled""#, 1) + &"x".repeat(12 * 1024 * 1024);
    let output = relive(&server, &["import", "-"], Some(long.as_bytes())).await;
    assert!(output.status.code() == Some(2) && text(&output.stderr).contains("line 3: "), "{}", text(&output.stderr));
}

#[tokio::test]
async fn what_cannot_be_done_is_said_and_leaves_no_file() {
    let server = TestServer::start().await;
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("run.ndjson");
    let name = file.to_str().expect("a path");
    let nobody = "0198c0de-0000-7000-8000-000000000001";
    let cases: [(&[&str], i32, &str); 6] = [
        (&["export", nobody], 1, "no such session"),
        (&["export", nobody, "--output", name], 1, "no such session"),
        (&["export", nobody, "--server", "http://127.0.0.1:1"], 1, "127.0.0.1:1"),
        (&["export", nobody, "--output", "/nowhere/at/all"], 1, "/nowhere/at/all"),
        (&["import", "/nowhere/at/all"], 2, "/nowhere/at/all"),
        (&["import", "/"], 2, "cannot read /"),
    ];
    for (arguments, code, part) in cases {
        let output = relive(&server, arguments, None).await;
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(text(&output.stderr).contains(part) && output.stdout.is_empty(), "{}", text(&output.stderr));
    }
    assert!(!Path::new(name).exists());
    assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 0);
}

/// What stands in the place of a server and stops in the middle.
#[tokio::test]
async fn an_export_that_is_cut_off_is_no_file() {
    let server = TestServer::start().await;
    let id = run(&server).await;
    let file = export(&server, &id).await;
    let directory = tempfile::tempdir().expect("a directory");
    let name = directory.path().join("run.ndjson");
    let last_line = file.trim_end().rfind('\n').expect("lines") + 1;
    for end in [0, 100, last_line, last_line + 8] {
        let part = file[..file.floor_char_boundary(end)].to_owned();
        let router = axum::Router::new().fallback(move || async move { part });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("listen");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await });
        let arguments = ["export", &id, "--server", &address, "--output", name.to_str().expect("a path")];
        let output = relive(&server, &arguments, None).await;
        assert_eq!(output.status.code(), Some(1), "cut off at {end}");
        assert!(text(&output.stderr).contains("cut off"), "{}", text(&output.stderr));
        serving.abort();
    }
    assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 0);
}
