//! There and back: what is archived is found, read and restored as it was.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    ARCHIVE, archive_all, archived_file, ended, files, record, recorded_files, restore, server, timeless, until_tidy,
};
use crate::archive::{export, lines, rows, run};
use crate::harness::{TestServer, eventually};
use crate::replay::Replay;

/// Everything that is shown of a session, and its replay.
async fn shown(server: &TestServer, id: &str) -> Vec<Value> {
    let mut shown = vec![server.session(id).await];
    for part in ["entity", "usage", "timeline", "graph", "nodes/a", "messages", "logs", "memories", "events?limit=1000"]
    {
        let (status, value) = server.get(&format!("/api/v1/sessions/{id}/{part}")).await;
        assert_eq!(status, 200, "{part}: {value}");
        shown.push(value);
    }
    let last = shown[0]["revision"].clone();
    for revision in 1..=last.as_u64().expect("a revision") {
        shown.push(server.session(&format!("{id}?revision={revision}")).await);
    }
    let mut replay = Replay::open(server, id, "speed=max&mode=events&messages=true&logs=true").await;
    loop {
        let frame = replay.frame().await;
        let is_last = frame["type"] == "event" && frame["revision"] == last;
        shown.push(frame);
        if is_last {
            return shown;
        }
    }
}

#[tokio::test]
async fn a_session_is_moved_to_a_file_and_comes_back_the_same_to_the_byte() {
    let (server, directory) = server().await;
    let id = run(&server).await;
    server.command(&id, json!({"type": "addLog", "nodeId": "a", "level": "warn", "text": "日本 \"x\""})).await;
    server.command(&id, json!({"type": "setLabels", "name": "Nächtlich", "tags": ["a,b"], "metadata": {"k": 1}})).await;
    server.command(&id, json!({"type": "complete", "outputs": {"o": [1.5]}})).await;
    let other = server.running_session().await;
    let (before, seen) = (export(&server, &id).await, shown(&server, &id).await);
    let (_, listed) = server.get("/api/v1/sessions?tag=a%5C,b").await;
    let stored = rows(&server).await;
    let mut viewer = server.socket(&format!("/ws/sessions/{id}")).await;
    viewer.frame().await;

    assert_eq!(
        archive_all(&server).await,
        json!({"matched": 1, "archived": 1, "failed": 0, "dryRun": false, "hasMore": false})
    );
    assert_eq!(viewer.close_code().await, 4504);
    let problem = server.refused(Method::GET, &format!("/api/v1/sessions/{id}"), None, "not_found").await;
    assert_eq!(problem["archive"], format!("{ARCHIVE}/{id}"), "{problem}");
    let problem = server.refused(Method::GET, &format!("/api/v1/sessions/{id}/export"), None, "not_found").await;
    assert_eq!(problem["archive"], format!("{ARCHIVE}/{id}"), "{problem}");
    let problem =
        server.refused(Method::GET, "/api/v1/sessions/0198c0de-0000-7000-8000-000000000001", None, "not_found").await;
    assert_eq!(problem.get("archive"), None);

    // What is known of it is what the list has said.
    let record = record(&server, &id).await;
    assert_eq!(record["session"], listed["sessions"][0]);
    assert_eq!(
        record["counts"],
        json!({"events": record["session"]["revision"], "messages": 2, "logs": 1, "memories": 2})
    );
    let file = std::fs::read(directory.path().join(record["file"]["name"].as_str().expect("a name"))).expect("a file");
    assert_eq!(record["file"]["bytes"], file.len());
    assert_eq!(files(directory.path()), recorded_files(&server).await);
    let archived = archived_file(&server, &id).await;
    assert_eq!(timeless(&archived), timeless(before.as_bytes()));
    // The tools of others read it.
    assert_eq!(zstd::decode_all(&*file).expect("zstd"), archived);

    let (status, session) = restore(&server, &id).await;
    assert_eq!((status.as_u16(), &session), (201, &seen[0]), "{session}");
    assert_eq!(timeless(export(&server, &id).await.as_bytes()), timeless(before.as_bytes()));
    assert_eq!(shown(&server, &id).await, seen);
    assert_eq!(rows(&server).await[1..], stored[1..], "nothing more and nothing less is stored");
    assert_eq!(server.get("/api/v1/sessions?tag=a%5C,b").await.1, listed);
    server.refused(Method::GET, &format!("{ARCHIVE}/{id}"), None, "not_found").await;
    server.refused(Method::POST, &format!("{ARCHIVE}/{id}/restore"), None, "not_found").await;
    until_tidy(&server, directory.path()).await;
    assert_eq!(files(directory.path()).len(), 0);
    server.command(&other, json!({"type": "complete"})).await;
}

#[tokio::test]
async fn the_archive_is_listed_by_the_filters_of_sessions_page_by_page() {
    let (server, _directory) = server().await;
    let mut ids = Vec::new();
    for number in 0..7 {
        ids.push(ended(&server, if number % 2 == 0 { "even" } else { "odd" }).await);
    }
    let failed = server.create(json!({"metadata": {"n": 1}})).await;
    server.command(&failed, json!({"type": "start"})).await;
    server.command(&failed, json!({"type": "setNodeStatus", "nodeId": "x", "status": "running"})).await;
    server.command(&failed, json!({"type": "fail", "error": "out of Paper"})).await;
    ids.push(failed.clone());
    let queries = [
        "",
        "?tag=even",
        "?status=failed",
        "?status=failed,completed&limit=2",
        "?text=paper",
        "?metadata.n=1",
        "?nodeId=x&nodeStatus=failed",
        "?nodeId=x&nodeStatus=completed",
        "?name=run%20odd",
        "?rootsOnly=true",
        "?endedBefore=2020-01-01T00:00:00Z",
        "?startedAfter=2020-01-01T00:00:00Z",
        "?updatedAfter=2020-01-01T00:00:00Z",
        "?workflowId=0198c0de-0000-7000-8000-000000000001",
        "?text=run%20ev",
    ];
    let mut before = Vec::new();
    for query in queries {
        before.push(server.get(&format!("/api/v1/sessions{query}")).await.1["sessions"].clone());
    }
    assert_eq!(archive_all(&server).await["archived"], 8);
    assert_eq!(server.get("/api/v1/sessions").await.1["sessions"], json!([]));
    for (query, before) in queries.iter().zip(before) {
        let (status, page) = server.get(&format!("{ARCHIVE}{query}")).await;
        assert_eq!(status, 200, "{query}: {page}");
        let sessions = page["sessions"].as_array().expect("sessions").iter().map(|one| one["session"].clone());
        assert_eq!(Value::from_iter(sessions), before, "{query}");
    }
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let (_, page) = server.get(&format!("{ARCHIVE}?limit=3{cursor}")).await;
        let sessions = page["sessions"].as_array().expect("sessions");
        found.extend(sessions.iter().map(|one| one["session"]["id"].as_str().expect("an id").to_owned()));
        let Some(next) = page["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    found.reverse();
    assert_eq!(found, ids);
    for wrong in ["?status=done", "?limit=201", "?cursor=x", "?colour=red"] {
        server.refused(Method::GET, &format!("{ARCHIVE}{wrong}"), None, "bad_request").await;
    }
}

#[tokio::test]
async fn a_file_that_is_damaged_or_missing_is_refused_and_stays_in_the_archive() {
    let (server, directory) = server().await;
    let [damaged, cut, missing] = [ended(&server, "a").await, ended(&server, "b").await, ended(&server, "c").await];
    archive_all(&server).await;
    let path =
        async |id: &str| directory.path().join(record(&server, id).await["file"]["name"].as_str().expect("a name"));
    let mut bytes = std::fs::read(path(&damaged).await).expect("a file");
    // In the text of an event, and the frame's own check is in the last bytes.
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path(&damaged).await, &bytes).expect("written");
    let whole = std::fs::read(path(&cut).await).expect("a file");
    std::fs::write(path(&cut).await, &whole[..whole.len() - 1]).expect("written");
    std::fs::remove_file(path(&missing).await).expect("removed");
    let stored = rows(&server).await;
    for id in [&damaged, &cut, &missing] {
        let (status, problem) = restore(&server, id).await;
        assert_eq!((status.as_u16(), &problem["code"]), (500, &json!("internal")), "{problem}");
        assert!(problem["detail"].as_str().expect("a text").contains("file of this session"), "{problem}");
        record(&server, id).await;
    }
    assert_eq!(rows(&server).await, stored, "nothing was stored");
    for id in [&cut, &missing] {
        let (status, problem) = server.get(&format!("{ARCHIVE}/{id}/export")).await;
        assert_eq!((status.as_u16(), &problem["code"]), (500, &json!("internal")), "{problem}");
    }
    // The connection is cut off, before or after the head of the answer.
    let export =
        async { server.request(Method::GET, &format!("{ARCHIVE}/{damaged}/export")).send().await?.text().await };
    let body = export.await;
    assert!(body.as_ref().map_or(true, |text| !text.contains(r#""type":"end""#)), "{body:?}");
    // What is put back in place is restored.
    bytes[middle] ^= 1;
    std::fs::write(path(&damaged).await, &bytes).expect("written");
    assert_eq!(restore(&server, &damaged).await.0, 201);
}

#[tokio::test]
async fn a_fork_and_its_parent_are_archived_and_restored_on_their_own() {
    let (server, directory) = server().await;
    let parent = run(&server).await;
    let (status, fork) = server.post(&format!("/api/v1/sessions/{parent}/fork"), json!({"revision": 12})).await;
    assert_eq!(status, 201, "{fork}");
    let fork = fork["id"].as_str().expect("an id").to_owned();
    server.command(&fork, json!({"type": "cancel"})).await;
    server.command(&parent, json!({"type": "cancel"})).await;
    let before = [export(&server, &parent).await, export(&server, &fork).await];
    assert_eq!(archive_all(&server).await["archived"], 2);
    for (id, before) in [&parent, &fork].into_iter().zip(&before) {
        let (status, session) = restore(&server, id).await;
        assert_eq!(status, 201, "{session}");
        let after = export(&server, id).await;
        assert_eq!(timeless(after.as_bytes()), timeless(before.as_bytes()));
        assert_eq!(lines(&after).last().expect("a line")["type"], "end");
    }
    until_tidy(&server, directory.path()).await;
}

#[tokio::test]
async fn what_is_deleted_takes_its_file_along() {
    let (server, directory) = server().await;
    let (_, group) = server.post("/api/v1/groups", json!({"name": "G"})).await;
    let group = group["id"].as_str().expect("an id").to_owned();
    let kept = ended(&server, "kept").await;
    let deleted = ended(&server, "deleted").await;
    let grouped = server.create(json!({"groupId": group})).await;
    server.command(&grouped, json!({"type": "cancel"})).await;
    assert_eq!(archive_all(&server).await["archived"], 3);
    assert_eq!(files(directory.path()).len(), 3);
    let delete = async |path: String| server.call(Method::DELETE, &path, None).await.0.as_u16();
    assert_eq!(delete(format!("{ARCHIVE}/{deleted}")).await, 204);
    assert_eq!(delete(format!("{ARCHIVE}/{deleted}")).await, 404);
    assert_eq!(delete(format!("/api/v1/groups/{group}")).await, 204);
    server.refused(Method::GET, &format!("{ARCHIVE}/{grouped}"), None, "not_found").await;
    until_tidy(&server, directory.path()).await;
    assert_eq!(files(directory.path()).len(), 1);
    assert_eq!(restore(&server, &kept).await.0, 201);
    eventually("the last file is removed", async || files(directory.path()).is_empty()).await;
}

#[tokio::test]
async fn the_same_key_restores_once() {
    let (server, _directory) = server().await;
    let id = ended(&server, "x").await;
    archive_all(&server).await;
    let mut answers = Vec::new();
    for _ in 0..2 {
        let request = server.request(Method::POST, &format!("{ARCHIVE}/{id}/restore")).header("idempotency-key", "k1");
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 201);
        answers.push(answer.json::<Value>().await.expect("JSON"));
    }
    assert_eq!(answers[0], answers[1]);
}
