//! `kill -9` while sessions are archived, and several servers at once.

use std::path::Path;

use serde_json::{Value, json};

use super::{ARCHIVE, ended, files, recorded_files, restore, until_tidy};
use crate::harness::{Database, ServerProcess, TestServer, eventually};

const SESSIONS: usize = 60;

/// Each session is in the database, or in the archive with a file of its own.
async fn check(database: &Database, directory: &Path, ids: &[String]) -> usize {
    let storage = database.storage();
    let of = async |table: &str| -> Vec<String> {
        let sql = format!("SELECT id::text FROM {table} ORDER BY id");
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(storage.pool()).await.expect("ids")
    };
    let (stored, archived) = (of("sessions").await, of("archived_sessions").await);
    let mut all: Vec<String> = stored.iter().chain(&archived).cloned().collect();
    all.sort();
    let mut expected = ids.to_vec();
    expected.sort();
    assert_eq!(all, expected, "none is lost, and none in both");
    let names: Vec<String> =
        sqlx::query_scalar("SELECT file_name FROM archived_sessions").fetch_all(storage.pool()).await.expect("names");
    for name in names {
        assert!(directory.join(&name).exists(), "{name}");
    }
    archived.len()
}

#[tokio::test]
async fn killed_at_any_moment_it_loses_nothing_and_leaves_nothing() {
    let database = Database::create().await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().to_str().expect("a path").to_owned();
    let server = TestServer::start_on(database.clone(), |_| {}).await;
    let mut ids = Vec::new();
    for number in 0..SESSIONS {
        ids.push(ended(&server, &format!("t{number}")).await);
    }
    server.stop().await;
    let settings =
        [("DATABASE_URL", database.url()), ("RELIVE_EMBEDDING_DIM", "8".into()), ("RELIVE_ARCHIVE", path.clone())];
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let rule = json!({"rules": [{"olderThanDays": 0, "action": "archive"}]});
    let (mut archived, client) = (0, reqwest::Client::new());
    for life in 0..4 {
        let server = ServerProcess::start(&settings).await;
        let retention = format!("http://{}/api/v1/retention", server.address);
        assert_eq!(client.put(&retention).json(&rule).send().await.expect("an answer").status(), 200);
        // A dead server's claims would end in a minute.
        let storage = database.storage();
        for table in ["archive_files", "retention"] {
            let sql = format!("UPDATE {table} SET due_at = now()");
            sqlx::query(sqlx::AssertSqlSafe(sql)).execute(storage.pool()).await.expect("due");
        }
        let goal = archived + 5 + life;
        eventually("some are archived", async || {
            let number: i64 = sqlx::query_scalar("SELECT count(*) FROM archived_sessions")
                .fetch_one(storage.pool())
                .await
                .expect("n");
            usize::try_from(number).expect("a number") >= goal
        })
        .await;
        server.kill().await;
        archived = check(&database, directory.path(), &ids).await;
        // At most one file more than is recorded: the one at hand, which may have its name by then or not.
        let extra = files(directory.path()).len() - archived;
        assert!(extra <= 1, "{extra} files too many");
    }
    assert!(archived < SESSIONS, "it was killed in the middle");
    let server = TestServer::start_on(database.clone(), |config| config.archive.archive = Some(path)).await;
    for table in ["archive_files", "retention"] {
        let sql = format!("UPDATE {table} SET due_at = now()");
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(server.database.storage().pool()).await.expect("due");
    }
    eventually("all are archived", async || recorded_files(&server).await.len() == SESSIONS).await;
    check(&database, directory.path(), &ids).await;
    until_tidy(&server, directory.path()).await;
    for id in &ids {
        let (status, session) = restore(&server, id).await;
        assert_eq!((status.as_u16(), &session["revision"]), (201, &json!(3)), "{session}");
    }
}

#[tokio::test]
async fn several_servers_archive_each_session_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().to_str().expect("a path").to_owned();
    let server = TestServer::start_with(|config| config.archive.archive = Some(path.clone())).await;
    let second = TestServer::start_on(server.database.clone(), |config| config.archive.archive = Some(path)).await;
    let mut ids = Vec::new();
    for _ in 0..30 {
        ids.push(ended(&server, "x").await);
    }
    let mut list = second.socket("/ws/sessions?tag=x").await;
    assert_eq!(list.frame().await["sessions"].as_array().map(Vec::len), Some(30));
    let busy = second.running_session().await;
    let request = json!({"olderThanDays": 0});
    let archiving =
        async { tokio::join!(server.post(ARCHIVE, request.clone()), second.post(ARCHIVE, request.clone())) };
    let mut archiving = std::pin::pin!(archiving);
    let (mut revision, mut number) = (2, 0);
    let (one, two) = loop {
        number += 1;
        let command = server.command(&busy, json!({"type": "setContext", "key": "k", "value": number}));
        tokio::select! {
            done = &mut archiving => break done,
            reached = command => revision = reached,
        }
    };
    assert!(revision > 2, "commands went on");
    let archived = |(status, answer): &(reqwest::StatusCode, Value)| {
        assert_eq!(*status, 200, "{answer}");
        answer["archived"].as_u64().expect("a number")
    };
    assert_eq!(archived(&one) + archived(&two), 30, "{one:?} {two:?}");
    check(&server.database, directory.path(), &[ids.clone(), vec![busy]].concat()).await;
    until_tidy(&server, directory.path()).await;
    assert_eq!(files(directory.path()).len(), 30);
    for _ in 0..30 {
        list.until(|frame| frame["change"] == "removed").await;
    }
    // One restores it, and the other shows it.
    assert_eq!(restore(&server, &ids[0]).await.0, 201);
    list.until(|frame| frame["change"] == "added" && frame["session"]["id"] == ids[0].as_str()).await;
    assert_eq!(second.session(&ids[0]).await["status"], "completed");
    let again = tokio::join!(restore(&server, &ids[1]), restore(&second, &ids[1]));
    let mut statuses = [again.0.0.as_u16(), again.1.0.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 404], "{again:?}");
}
