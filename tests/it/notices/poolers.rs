//! PgBouncer between the servers and PostgreSQL, in both of its modes.

use std::fs::File;
use std::process::Stdio;

use reqwest::Client;
use serde_json::json;
use tokio::process::Command;

use super::promptly;
use crate::harness::{DEADLINE, PgBouncer, Postgres, ServerProcess, Socket, context, eventually};
use crate::story::running_session;

fn settings(url: &str) -> [(&str, &str); 3] {
    [("DATABASE_URL", url), ("RELIVE_EMBEDDING_DIM", "8"), ("RELIVE_LANES", "2")]
}

async fn set_context(server: &ServerProcess, id: &str, value: u32) {
    let path = format!("http://{}/api/v1/sessions/{id}/commands", server.address);
    let answer = Client::new().post(path).json(&context("k", json!(value))).send().await.expect("an answer");
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap_or_default());
}

#[tokio::test]
async fn in_session_mode_servers_hear_each_other() {
    let postgres = Postgres::start().await;
    let Some(pooler) = PgBouncer::start(&postgres, "session").await else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("log");
    let url = pooler.url();
    let one = ServerProcess::start_logging(&settings(&url), File::create(&log).expect("a file")).await;
    let other = ServerProcess::start(&settings(&url)).await;
    let id = running_session(other.address).await;
    let mut viewer = Socket::open(one.address, &format!("/ws/sessions/{id}?mode=events&after=2")).await;
    for (value, revision) in [(1, 3), (2, 4), (3, 5)] {
        set_context(&other, &id, value).await;
        assert_eq!(promptly(viewer.frame()).await["revision"], revision);
    }
    let log = std::fs::read_to_string(log).expect("the log");
    assert!(!log.contains("pooler"), "{log}");
}

/// Without prepared statements of its own, nothing that the server asks can be relied on.
#[tokio::test]
async fn in_transaction_mode_a_server_warns_or_does_not_start() {
    let postgres = Postgres::start().await;
    let Some(pooler) = PgBouncer::start(&postgres, "transaction").await else { return };
    let url = pooler.url();
    if !pooler.keeps_statements {
        let mut command = Command::new(env!("CARGO_BIN_EXE_relive"));
        command.args(["serve", "--listen", "127.0.0.1:0"]).envs(settings(&url)).kill_on_drop(true);
        let ended = command.stdin(Stdio::null()).output();
        let ended = tokio::time::timeout(DEADLINE, ended).await.expect("in time").expect("an end");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(!ended.status.success() && said.contains("pooler in transaction mode that mixes up"), "{said}");
        let made: i64 = postgres.ask("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").await;
        assert_eq!(made, 0, "something was changed");
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("log");
    let server = ServerProcess::start_logging(&settings(&url), File::create(&log).expect("a file")).await;
    let id = running_session(server.address).await;
    let mut viewer = Socket::open(server.address, &format!("/ws/sessions/{id}?mode=events&after=2")).await;
    for value in 1..=40 {
        set_context(&server, &id, value).await;
        assert_eq!(promptly(viewer.frame()).await["revision"], value + 2);
    }
    let text = || std::fs::read_to_string(&log).expect("the log");
    eventually("a warning that no notices arrive", async || text().contains("no notices from other servers")).await;
    for warning in ["this is a pooler in transaction mode", "no notices from other servers"] {
        assert_eq!(text().matches(warning).count(), 1, "{}", text());
    }
    assert!(!text().contains("prepared statement"), "{}", text());
}
