//! `relive archive` against a real server.

use std::process::{Output, Stdio};

use tokio::process::Command;

use super::{ended, record, server};
use crate::harness::{DEADLINE, TestServer};

async fn relive(server: &TestServer, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relive"));
    command.arg("archive").args(arguments).env("RELIVE_SERVER", server.url("")).kill_on_drop(true);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("relive");
    tokio::time::timeout(DEADLINE, child.wait_with_output()).await.expect("in time").expect("an end")
}

fn said(output: &Output) -> (Option<i32>, &str, &str) {
    let text = |bytes| std::str::from_utf8(bytes).expect("a text");
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn old_sessions_are_counted_and_archived() {
    let (server, _directory) = server().await;
    let (a, b) = (ended(&server, "a").await, ended(&server, "b").await);
    let counted = relive(&server, &["--older-than-days", "0", "--dry-run"]).await;
    assert_eq!(said(&counted), (Some(0), "2 sessions would be archived\n", ""));
    let none = relive(&server, &["--older-than-days", "30"]).await;
    assert_eq!(said(&none), (Some(0), "0 sessions archived\n", ""));
    let one = relive(&server, &["--older-than-days", "0", "--tag", "a", "--status", "failed,completed"]).await;
    assert_eq!(said(&one), (Some(0), "1 sessions archived\n", ""));
    record(&server, &a).await;
    server.session(&b).await;
    let wrong = relive(&server, &["--older-than-days", "0", "--status", "running"]).await;
    assert_eq!(wrong.status.code(), Some(1));
    assert!(said(&wrong).2.contains("running"), "{wrong:?}");
}

#[tokio::test]
async fn a_server_without_an_archive_says_so() {
    let server = TestServer::start().await;
    let output = relive(&server, &["--older-than-days", "0"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).2.contains("RELIVE_ARCHIVE"), "{output:?}");
}
