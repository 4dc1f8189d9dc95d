//! The id of an archived session is taken, and a claim on a session holds only for what was written.

use std::time::Duration;

use relive::storage::{SessionFilter, SessionVersion, StoredFile};
use relive_session::SessionId;
use reqwest::Method;
use serde_json::json;

use super::{ARCHIVE, archive_all, archived_file, ended, record, restore, server};
use crate::archive::{import, imported};
use crate::harness::{TestServer, eventually};

#[tokio::test]
async fn a_new_session_does_not_get_the_id_of_an_archived_one() {
    let (server, _directory) = server().await;
    let id = ended(&server, "x").await;
    archive_all(&server).await;
    let problem = server.refused(Method::POST, "/api/v1/sessions", Some(json!({"id": id})), "conflict").await;
    assert!(problem["detail"].as_str().expect("a text").contains("archive"), "{problem}");
    // A file gets another id, as one whose id is taken.
    let file = archived_file(&server, &id).await;
    let copy = imported(&server, file.clone()).await;
    assert_ne!(copy, id);
    assert_eq!(restore(&server, &id).await.0, 201);
    let problem = server.refused(Method::POST, "/api/v1/sessions", Some(json!({"id": id})), "conflict").await;
    assert!(!problem["detail"].as_str().expect("a text").contains("archive"), "{problem}");
    assert_eq!(import(&server, file).await.0, 201);
    // Once it is deleted, its id can be used again.
    archive_all(&server).await;
    server.call(Method::DELETE, &format!("{ARCHIVE}/{id}"), None).await;
    server.call(Method::DELETE, &format!("/api/v1/sessions/{id}"), None).await;
    assert_eq!(server.create(json!({"id": id})).await, id);
}

#[tokio::test]
async fn spans_of_an_archived_trace_are_rejected() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().to_str().expect("a path").to_owned();
    let server = TestServer::start_with(|config| {
        config.archive.archive = Some(path);
        config.trace_idle_seconds = 1.0;
    })
    .await;
    let send = async |span: &str, parent: &str| {
        let span = json!({"traceId": "0198c0de00007000800000000000000a", "spanId": span, "parentSpanId": parent,
            "name": "s", "startTimeUnixNano": "1000000000", "endTimeUnixNano": "2000000000"});
        let body = json!({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]});
        let (status, answer) = server.call(Method::POST, "/v1/traces", Some(body)).await;
        assert_eq!(status, 200, "{answer}");
        answer
    };
    send("00000000000000a1", "").await;
    let id = "0198c0de-0000-7000-8000-00000000000a";
    eventually("the trace is over", async || server.session(id).await["status"] == "completed").await;
    assert_eq!(archive_all(&server).await["archived"], 1);
    let answer = send("00000000000000a2", "00000000000000a1").await;
    let partial = &answer["partialSuccess"];
    assert!(partial["errorMessage"].as_str().expect("a text").contains("archive"), "{answer}");
    record(&server, id).await;
}

fn file(name: &str) -> StoredFile {
    let (name, sha256) = (name.to_owned(), "00".to_owned());
    StoredFile { name, bytes: 1, sha256, events: 3, messages: 0, logs: 0, memories: 0 }
}

#[tokio::test]
async fn a_session_that_has_changed_since_it_was_written_is_not_deleted() {
    let (server, _directory) = server().await;
    let id = ended(&server, "x").await;
    let session: SessionId = id.parse().expect("an id");
    let (storage, minute) = (server.database.storage(), Duration::from_secs(60));
    let all = SessionFilter::default();
    let version = async || {
        let stored = storage.session(session).await.expect("an answer").expect("a session");
        SessionVersion::of(&stored)
    };
    let claim = async |name: &str| storage.claim_archiving(session, name.to_owned(), minute).await.expect("an answer");
    let end_claim = "UPDATE archive_files SET due_at = now() WHERE session_id IS NOT NULL";
    let end_claim = async || {
        sqlx::query(end_claim).execute(storage.pool()).await.expect("ended");
    };

    // A memory without a revision of its own.
    let (held, before) = (claim("a").await.expect("a claim"), version().await);
    assert!(claim("b").await.is_none(), "one server at a time");
    let (status, _) = server.post("/api/v1/memories", json!({"sessionId": id, "content": "late"})).await;
    assert_eq!(status, 201);
    assert_eq!(storage.archive_session(&held, before, &all, &file("a")).await.expect("an answer"), None);

    // A revision.
    end_claim().await;
    let (held, before) = (claim("c").await.expect("a claim"), version().await);
    server.command(&id, json!({"type": "setLabels", "tags": ["y"]})).await;
    assert_eq!(storage.archive_session(&held, before, &all, &file("c")).await.expect("an answer"), None);

    // Not in the list any more.
    let tagged = SessionFilter { tags: vec!["x".to_owned()], ..SessionFilter::default() };
    let now = version().await;
    assert_eq!(storage.archive_session(&held, now, &tagged, &file("c")).await.expect("an answer"), None);

    // The claim has passed to another server; the file of the first is to be removed.
    end_claim().await;
    let second = claim("d").await.expect("a claim");
    assert_eq!(storage.archive_session(&held, now, &all, &file("c")).await.expect("an answer"), None);
    assert!(!storage.keep_archiving(&held, minute).await.expect("an answer"));
    server.session(&id).await;
    assert_eq!(storage.archive_session(&second, now, &all, &file("d")).await.expect("an answer"), Some(Vec::new()));
    assert_eq!(record(&server, &id).await["file"]["name"], "d");
    assert_eq!(storage.archive_session(&second, now, &all, &file("d")).await.expect("an answer"), None);
}
