//! The archive: sessions moved from the database to files, and back.

mod access;
mod bucket;
mod command_line;
mod crashes;
mod ids;
pub mod measured;
mod rules;
mod trip;

use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{TestServer, eventually};

pub const ARCHIVE: &str = "/api/v1/archive";

/// A server with an archive in a directory.
pub async fn server() -> (TestServer, TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().to_str().expect("a path").to_owned();
    (TestServer::start_with(|config| config.archive.archive = Some(path)).await, directory)
}

/// A session with these tags that has ended.
pub async fn ended(server: &TestServer, tag: &str) -> String {
    let id = server.create(json!({"tags": [tag], "name": format!("run {tag}")})).await;
    server.command(&id, json!({"type": "start"})).await;
    server.command(&id, json!({"type": "complete"})).await;
    id
}

/// Archives everything that has ended; returns the answer.
pub async fn archive_all(server: &TestServer) -> Value {
    let (status, answer) = server.post(ARCHIVE, json!({"olderThanDays": 0})).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

pub async fn record(server: &TestServer, id: &str) -> Value {
    let (status, record) = server.get(&format!("{ARCHIVE}/{id}")).await;
    assert_eq!(status, 200, "{record}");
    record
}

pub async fn restore(server: &TestServer, id: &str) -> (reqwest::StatusCode, Value) {
    server.call(Method::POST, &format!("{ARCHIVE}/{id}/restore"), None).await
}

/// The file of an archived session.
pub async fn archived_file(server: &TestServer, id: &str) -> Vec<u8> {
    let answer = server.request(Method::GET, &format!("{ARCHIVE}/{id}/export")).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/x-ndjson");
    answer.bytes().await.expect("a whole body").to_vec()
}

/// All files below a directory, however they are called, by their paths in it.
pub fn files(directory: &Path) -> Vec<PathBuf> {
    let (mut found, mut waiting) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(next).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                found.push(path.strip_prefix(directory).expect("below it").to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The names of the files that records name.
pub async fn recorded_files(server: &TestServer) -> Vec<PathBuf> {
    let sql = "SELECT file_name FROM archived_sessions ORDER BY file_name";
    let names: Vec<String> = sqlx::query_scalar(sql).fetch_all(server.database.storage().pool()).await.expect("names");
    names.into_iter().map(PathBuf::from).collect()
}

/// Waits until there are no other files than those that are recorded, and nothing is left to be removed.
pub async fn until_tidy(server: &TestServer, directory: &Path) {
    let pool = server.database.storage();
    let pool = pool.pool();
    eventually("nothing is left to be removed", async || {
        // Nobody waits for a lease here.
        let due = "UPDATE archive_files SET due_at = now() WHERE session_id IS NULL";
        sqlx::query(due).execute(pool).await.expect("due");
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM archive_files").fetch_one(pool).await.expect("left");
        left == 0
    })
    .await;
    assert_eq!(files(directory), recorded_files(server).await);
}

/// An export without what says when it was made: the time in its first line, and the checks, which depend on it.
pub fn timeless(file: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(file).expect("a text");
    let line = |line: &str| {
        let (line, check) = line.rsplit_once(",\"check\":\"").expect("a check");
        assert_eq!(check.len(), 10, "{check}");
        let cut = |line: &str, name: &str| match line.split_once(&format!("\"{name}\":\"")) {
            Some((before, rest)) => format!("{before}{}", rest.split_once('"').expect("a text").1),
            None => line.to_owned(),
        };
        match line {
            line if line.starts_with(r#"{"type":"header""#) => cut(line, "exportedAt"),
            line if line.starts_with(r#"{"type":"end""#) => cut(line, "sha256"),
            line => line.to_owned(),
        }
    };
    text.lines().map(line).collect()
}
