//! What is exported and imported again is the same session.

use reqwest::Method;
use serde_json::{Value, json};

use super::{export, import, imported, lines, renamed, run};
use crate::fork::{contents, fork, id_of, messages, output, said};
use crate::harness::{TestServer, answer, context, eventually, node};

/// Everything that is shown of a session but its messages and memories.
async fn shown(server: &TestServer, id: &str) -> Vec<Value> {
    let mut shown = vec![server.session(id).await];
    for part in ["entity", "usage", "timeline", "nodes/a"] {
        let (status, value) = server.get(&format!("/api/v1/sessions/{id}/{part}")).await;
        assert_eq!(status, 200, "{part}: {value}");
        shown.push(value);
    }
    let revision = shown[0]["revision"].as_u64().expect("a revision");
    for revision in 1..=revision {
        shown.push(server.session(&format!("{id}?revision={revision}")).await);
    }
    let (_, list) = server.get("/api/v1/sessions").await;
    let listed = list["sessions"].as_array().expect("sessions").iter().find(|listed| listed["id"] == id);
    shown.push(listed.cloned().expect("it is on the list"));
    shown
}

/// All frames of the history, as a viewer in events mode is sent them.
async fn frames(server: &TestServer, id: &str) -> Vec<String> {
    let mut socket = server.socket(&format!("/ws/sessions/{id}?mode=events&messages=true")).await;
    let last = server.session(id).await["revision"].clone();
    let mut frames = Vec::new();
    loop {
        let text = match socket.message().await {
            tokio_tungstenite::tungstenite::Message::Text(text) => text.to_string(),
            other => panic!("{other:?}"),
        };
        let frame: Value = serde_json::from_str(&text).expect("JSON");
        frames.push(text);
        if frame["type"] == "event" && frame["revision"] == last {
            return frames;
        }
    }
}

async fn memories(server: &TestServer, id: &str) -> Vec<Value> {
    let (_, page) = server.get(&format!("/api/v1/sessions/{id}/memories")).await;
    let mut memories = Vec::new();
    for memory in page["memories"].as_array().expect("memories") {
        let (_, memory) = server.get(&format!("/api/v1/memories/{}", memory["id"].as_str().expect("an id"))).await;
        memories.push(memory);
    }
    memories
}

#[tokio::test]
async fn on_another_server_it_is_the_same_to_the_byte() {
    let here = TestServer::start().await;
    let id = run(&here).await;
    let there = TestServer::start().await;
    let file = export(&here, &id).await;
    let (status, session) = import(&there, file.clone()).await;
    assert_eq!((status.as_u16(), &session["id"]), (201, &json!(id)), "{session}");
    assert_eq!(session, there.session(&id).await);
    // Group and workflow are not there, and so are not named.
    let here_ids = here.session(&id).await;
    let without = |value: &Value| {
        let mut value = value.clone();
        for key in ["groupId", "workflowId"] {
            if value.get(key).is_some_and(|held| *held == here_ids[key]) {
                value.as_object_mut().expect("an object").remove(key);
            }
        }
        value
    };
    let before: Vec<Value> = shown(&here, &id).await.iter().map(without).collect();
    assert_eq!(shown(&there, &id).await, before);
    let (before, after) = (frames(&here, &id).await, frames(&there, &id).await);
    let named = format!(r#""workflowId":{},"#, here_ids["workflowId"]);
    let group = format!(r#""groupId":{},"#, here_ids["groupId"]);
    assert!(before[0].contains(&named) && before[0].contains(&group));
    assert_eq!(after[0], before[0].replace(&named, "").replace(&group, ""));
    assert_eq!(after[1..], before[1..]);
    assert_eq!(messages(&there, &id, "", 10).await, messages(&here, &id, "", 10).await);
    let memories_here: Vec<Value> = memories(&here, &id).await.iter().map(without).collect();
    assert_eq!(memories(&there, &id).await, memories_here);
    // And the export of the import is the file again, but for the header and what follows from it.
    let again = lines(&export(&there, &id).await);
    assert_eq!(again[2..again.len() - 3], lines(&file)[2..again.len() - 3]);
    let raw = |file: &str| file.lines().nth(2).map(|line| line[..line.len() - 20].to_owned());
    assert_eq!(raw(&export(&there, &id).await), raw(&file), "as it was written, to the byte");
    let first = export(&here, &id).await.lines().nth(1).expect("a line").to_owned();
    assert!(first.contains(r#""event":{"type":"created","workflowId":"#), "{first}");
    // It is still running, and goes on.
    let revision = there.command(&id, json!({"type": "complete"})).await;
    assert_eq!(revision, 23);
    let there = TestServer::start_on(there.stop().await, |_| {}).await;
    assert_eq!(there.session(&id).await["status"], "completed");
}

#[tokio::test]
async fn on_the_same_server_it_gets_new_ids_and_nothing_else() {
    let server = TestServer::start().await;
    let id = run(&server).await;
    let file = export(&server, &id).await;
    let mut list = server.socket("/ws/sessions").await;
    list.frame_of("sessions").await;
    let copy = imported(&server, file.clone()).await;
    assert_ne!(copy, id);
    let added = list.frame_of("session").await;
    assert_eq!((&added["change"], &added["session"]["id"]), (&json!("added"), &json!(copy)));
    let mut names = vec![(id.clone(), copy.clone())];
    for (old, new) in messages(&server, &id, "", 10).await.iter().zip(messages(&server, &copy, "", 10).await) {
        assert_eq!(old["id"], new["id"], "unique in its session, so it can stay");
    }
    for (old, new) in memories(&server, &id).await.iter().zip(memories(&server, &copy).await) {
        names.push((old["id"].as_str().expect("an id").into(), new["id"].as_str().expect("an id").into()));
    }
    assert_eq!(names.len(), 3);
    assert!(names.iter().all(|(old, new)| old != new));
    let names: Vec<(&str, &str)> = names.iter().map(|(old, new)| (&**old, &**new)).collect();
    let rename = |values: Vec<Value>| values.iter().map(|value| renamed(value, &names)).collect::<Vec<_>>();
    assert_eq!(rename(shown(&server, &id).await), shown(&server, &copy).await);
    assert_eq!(rename(messages(&server, &id, "", 9).await), messages(&server, &copy, "", 9).await);
    assert_eq!(rename(memories(&server, &id).await), memories(&server, &copy).await);
    let frames_of_copy = frames(&server, &copy).await;
    for (before, after) in frames(&server, &id).await.iter().zip(&frames_of_copy) {
        let mut before = before.clone();
        names.iter().for_each(|(old, new)| before = before.replace(old, new));
        assert_eq!(&before, after);
    }
    // Deleting one leaves the other, and frees its id.
    let (status, _) = server.call(Method::DELETE, &format!("/api/v1/sessions/{id}"), None).await;
    assert_eq!(status, 204);
    assert_eq!(messages(&server, &copy, "", 9).await.len(), 2);
    assert_eq!(imported(&server, file.clone()).await, id, "it keeps its id when that is free");
    // Unless somebody wants another.
    let request = server.request(Method::POST, "/api/v1/sessions/import?newId=true").body(file);
    let (status, third) = answer(request).await;
    assert!(status == 201 && third["id"] != id && third["id"] != copy, "{third}");
}

#[tokio::test]
async fn a_forks_file_holds_what_it_shows_of_others() {
    let server = TestServer::start().await;
    let first = run(&server).await;
    let put_out = |node: &str, output: Value| json!({"type": "setNodeStatus", "nodeId": node, "status": "completed", "output": output});
    let second = id_of(&fork(&server, &first, 17).await);
    server
        .command(&second, json!([said("a", "in the second"), node("b", "running"), put_out("b", json!("b's"))]))
        .await;
    server.command(&second, json!({"type": "recordUsage", "nodeId": "c", "model": "n", "inputTokens": 2, "outputTokens": 2, "costUsd": 0.5})).await;
    let third = id_of(&fork(&server, &second, 5).await);
    server.command(&third, json!([said("a", "in the third"), put_out("c", json!("c's"))])).await;
    server.command(&third, json!({"type": "recordUsage", "nodeId": "c", "model": "n", "inputTokens": 1, "outputTokens": 1, "costUsd": 0.25})).await;
    // As it is while its ancestors are there, and when they are not.
    let mut files = vec![export(&server, &third).await];
    for ancestor in [&first, &second] {
        server.call(Method::DELETE, &format!("/api/v1/sessions/{ancestor}"), None).await;
        files.push(export(&server, &third).await);
    }
    // The time of the export is in the header, and so in what the last line is the sum of.
    let inside = |file: &String| lines(file)[1..].split_last().expect("lines").1.to_vec();
    for file in &files {
        assert_eq!(inside(file), inside(&files[0]));
    }
    let there = TestServer::start().await;
    for (server, file) in [(&there, &files[0]), (&server, &files[2])] {
        let copy = imported(server, file.clone()).await;
        assert_eq!(
            contents(server, &copy, "", 2).await,
            ["你好 \"quoted\"\n{}", "thinking", "in the second", "in the third"]
        );
        let said_in: Vec<Value> =
            messages(server, &copy, "", 9).await.iter().map(|said| said["sessionId"].clone()).collect();
        assert_eq!(said_in, [&first, &first, &second, &copy].map(|id| json!(id)));
        assert_eq!(output(server, &copy, "a").await, json!({"rows": [1, 2.5e-8, "x", null]}));
        assert_eq!((output(server, &copy, "b").await, output(server, &copy, "c").await), (json!("b's"), json!("c's")));
        let (_, usage) = server.get(&format!("/api/v1/sessions/{copy}/usage")).await;
        assert_eq!(usage["byModel"]["n"], json!({"calls": 2, "inputTokens": 3, "outputTokens": 3, "costUsd": 0.75}));
        assert_eq!(usage["total"]["calls"], 5);
        let session = server.session(&copy).await;
        assert_eq!((&session["parentId"], &session["forkedFromRevision"]), (&json!(second), &json!(5)));
        // It can be forked and exported again.
        let next = id_of(&fork(server, &copy, 3).await);
        assert_eq!(contents(server, &next, "", 9).await.len(), 4);
        assert_eq!(lines(&export(server, &copy).await).len(), lines(file).len());
        imported(server, export(server, &next).await).await;
    }
}

#[tokio::test]
async fn any_state_of_a_session_goes_round() {
    let server = TestServer::start().await;
    let there = TestServer::start().await;
    for commands in [
        json!([context("k", json!({"null": null}))]),
        json!([{"type": "cancel"}]),
        json!([{"type": "start"}, node("n", "running"), {"type": "fail", "error": ""}]),
        json!([{"type": "start"}, {"type": "stop"}]),
        json!([{"type": "start"}, {"type": "complete", "outputs": {"a": [null]}}]),
        json!([{"type": "start"}, node("n", "pending"), node("n", "running"), node("n", "completed"), node("n", "running")]),
        json!([{"type": "start"}, node("n", "running"), {"type": "pause"}]),
    ] {
        let id = server.new_session().await;
        server.command(&id, commands).await;
        assert_eq!(imported(&there, export(&server, &id).await).await, id);
        assert_eq!(there.session(&id).await, server.session(&id).await);
        assert_eq!(there.events(&id).await, server.events(&id).await);
    }
    let id = server.new_session().await;
    assert_eq!(imported(&there, export(&server, &id).await).await, id);
}

#[tokio::test]
async fn an_embedding_of_another_dimension_is_left_out() {
    let here = TestServer::start().await;
    let there = TestServer::start_with(|config| config.database.embedding_dim = 4).await;
    let id = run(&here).await;
    imported(&there, export(&here, &id).await).await;
    let memories = memories(&there, &id).await;
    assert_eq!(memories.len(), 2);
    assert!(memories.iter().all(|memory| memory["embedded"] == false && memory["embedding"].is_null()), "{memories:?}");
}

#[tokio::test]
async fn an_export_of_a_running_session_is_of_one_moment() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let there = TestServer::start().await;
    let writing = async {
        for n in 0..300 {
            server
                .command(&id, json!([context("n", json!(n)), said("n", "said"), {"type": "addMemory", "content": "m"}]))
                .await;
        }
    };
    let exporting = async {
        let mut taken = 0;
        eventually("the session has gone on", async || server.session(&id).await["revision"].as_u64() > Some(100))
            .await;
        for _ in 0..5 {
            let copy = imported(&there, export(&server, &id).await).await;
            let copied = there.session(&copy).await;
            let revision = copied["revision"].as_u64().expect("a revision");
            assert_eq!(there.events(&copy).await.len() as u64, revision);
            let mut was = server.session(&format!("{id}?revision={revision}")).await;
            was["id"] = copied["id"].clone();
            assert_eq!(copied, was);
            taken += 1;
        }
        taken
    };
    let ((), taken) = tokio::join!(writing, exporting);
    assert_eq!(taken, 5);
}

#[tokio::test]
async fn what_does_not_exist_cannot_be_exported() {
    let server = TestServer::start().await;
    let nobody = "/api/v1/sessions/0198c0de-0000-7000-8000-000000000001/export";
    server.refused(Method::GET, nobody, None, "not_found").await;
    server.refused(Method::GET, "/api/v1/sessions/x/export", None, "bad_request").await;
}
