//! What a run says: messages in order with everything else, and chunks while they are written.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Socket, TestServer, answer, chain, problem};

fn message(node: &str, content: &str) -> Value {
    json!({"type": "addMessage", "nodeId": node, "content": content})
}

fn chunk(session: &str, message: Uuid, text: &str) -> Value {
    json!({"type": "token", "sessionId": session, "nodeId": "n", "messageId": message, "text": text})
}

async fn watch_with_messages(server: &TestServer, id: &str, query: &str) -> Socket {
    let mut socket = server.socket(&format!("/ws/sessions/{id}?messages=true{query}")).await;
    if !query.contains("after") {
        socket.frame_of(if query.contains("events") { "event" } else { "snapshot" }).await;
    }
    socket
}

#[tokio::test]
async fn a_message_goes_before_the_state_that_contains_it() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let mut plain = server.socket(&format!("/ws/sessions/{id}")).await;
    plain.frame().await;
    let mut asking = watch_with_messages(&server, &id, "").await;
    let revision = server.command(&id, message("n", "你好 👋 שלום")).await;
    let said = asking.frame().await;
    assert_eq!((&said["type"], &said["revision"]), (&json!("message"), &json!(revision)));
    assert_eq!(said["message"]["content"], "你好 👋 שלום");
    assert_eq!((&said["message"]["role"], &said["message"]["isThinking"]), (&json!("agent"), &json!(false)));
    assert_eq!(asking.frame().await["type"], "snapshot");
    assert_eq!(plain.frame().await["type"], "snapshot", "only those who ask are sent messages");
}

#[tokio::test]
async fn chunks_come_over_http_as_well() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let mut viewer = watch_with_messages(&server, &id, "").await;
    let path = format!("/api/v1/sessions/{id}/tokens");
    let message = Uuid::now_v7();
    let chunk = |text: &str| json!({"nodeId": "n", "messageId": message, "text": text, "isThinking": true});
    let (status, _) = server.post(&path, json!([chunk("one "), chunk("two ")])).await;
    assert_eq!(status, 204);
    server.post(&path, json!([chunk("three")])).await;
    let mut text = String::new();
    while text != "one two three" {
        let frame = viewer.frame_of("token").await;
        assert_eq!((&frame["messageId"], &frame["isThinking"]), (&json!(message), &json!(true)));
        text += frame["text"].as_str().expect("a text");
    }
    assert_eq!(server.session(&id).await["revision"], 2, "nothing is stored");
    let misspelled = json!([chunk("a"), {"nodeId": "n", "message_id": message, "text": "b"}]);
    let refused = server.refused(Method::POST, &path, Some(misspelled), "bad_request").await;
    assert_eq!(refused["detail"], "[1].message_id: unknown field; did you mean messageId?");
    server.refused(Method::POST, &path, Some(json!(vec![chunk("x"); 1_001])), "too_large").await;
    server.command(&id, json!({"type": "complete"})).await;
    server.refused(Method::POST, &path, Some(json!([chunk("late")])), "illegal_transition").await;
    let nowhere = format!("/api/v1/sessions/{message}/tokens");
    server.refused(Method::POST, &nowhere, Some(json!([chunk("x")])), "not_found").await;
}

#[tokio::test]
async fn the_id_of_a_message_is_free_text_and_counts_for_its_session() {
    let server = TestServer::start().await;
    let (id, other) = (server.running_session().await, server.running_session().await);
    let said = |session: &str, message: &str, content: &str| {
        let body = json!({"type": "addMessage", "messageId": message, "nodeId": "n", "content": content});
        server.request(Method::POST, &format!("/api/v1/sessions/{session}/commands")).json(&body)
    };
    let longest = "ü".repeat(128);
    let ids = ["run-7/step 3", "msg_01XyZ", "0198C0DE-0000-7000-8000-000000000001", "消息 1", &*longest];
    let mut viewer = watch_with_messages(&server, &id, "").await;
    for message in ids {
        assert_eq!(answer(said(&id, message, "here")).await.0, 200, "{message}");
        assert_eq!(viewer.frame_of("message").await["message"]["id"], message);
        assert_eq!(answer(said(&other, message, "there")).await.0, 200, "{message}");
        problem(said(&id, message, "again"), "conflict").await;
    }
    for wrong in ["", "a\u{0}", &"x".repeat(129)] {
        problem(said(&id, wrong, "c"), "bad_request").await;
    }
    let listed = |messages: Value| -> Vec<String> {
        let messages = messages["messages"].as_array().expect("messages").clone();
        messages.iter().map(|message| message["id"].as_str().expect("an id").to_owned()).collect()
    };
    let mut sessions = vec![id.clone()];
    let (_, fork) = server.post(&format!("/api/v1/sessions/{id}/fork"), json!({"revision": 7})).await;
    sessions.push(fork["id"].as_str().expect("an id").to_owned());
    let export = format!("/api/v1/sessions/{}/export", sessions[1]);
    let file = server.request(Method::GET, &export).send().await.expect("a file").bytes().await.expect("a file");
    let (status, copy) = answer(server.request(Method::POST, "/api/v1/sessions/import").body(file)).await;
    assert_eq!(status, 201, "{copy}");
    sessions.push(copy["id"].as_str().expect("an id").to_owned());
    for session in sessions.iter().rev() {
        assert_eq!(listed(server.get(&format!("/api/v1/sessions/{session}/messages")).await.1), ids, "{session}");
    }
    // What a fork shows outlives its parent, ids and all.
    server.call(Method::DELETE, &format!("/api/v1/sessions/{id}"), None).await;
    assert_eq!(listed(server.get(&format!("/api/v1/sessions/{}/messages", sessions[1])).await.1), ids);
    let replayed = format!("/ws/sessions/{}/replay?speed=max&mode=events&messages=true", other);
    let mut replay = server.socket(&replayed).await;
    assert_eq!(replay.frame_of("message").await["message"]["id"], ids[0]);
}

#[tokio::test]
async fn messages_come_from_the_journal_too_in_revision_order() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    for n in 0..4 {
        let commands: Vec<Value> = (0..100).map(|m| message("n", &format!("{n}-{m}"))).collect();
        server.command(&id, Value::Array(commands)).await;
    }
    for mode in ["events", "snapshot", "delta"] {
        let mut socket = watch_with_messages(&server, &id, &format!("&mode={mode}&after=2")).await;
        for n in 0..4 {
            for m in 0..100 {
                let frame = socket.frame_of("message").await;
                assert_eq!(frame["message"]["content"], format!("{n}-{m}"), "{mode}");
                assert_eq!(frame["revision"], 3 + n * 100 + m, "{mode}");
            }
        }
    }
}

#[tokio::test]
async fn messages_are_listed_page_by_page_and_filtered() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let (_, agent) = server.post("/api/v1/agents", json!({"name": "Ada", "personaPrompt": "precise"})).await;
    let commands: Vec<Value> = (0..5)
        .map(|n| {
            let mut command = message(if n % 2 == 0 { "even" } else { "odd" }, &n.to_string());
            if n == 3 {
                command["agentId"] = agent["id"].clone();
                command["isThinking"] = true.into();
            }
            command
        })
        .collect();
    server.command(&id, Value::Array(commands)).await;
    let path = format!("/api/v1/sessions/{id}/messages");
    let mut found = Vec::new();
    let mut after = String::new();
    loop {
        let (_, page) = server.get(&format!("{path}?limit=2{after}")).await;
        let messages = page["messages"].as_array().expect("messages");
        found.extend(messages.iter().map(|message| message["content"].as_str().unwrap_or_default().to_owned()));
        match page["nextAfter"].as_str() {
            Some(cursor) => after = format!("&after={cursor}"),
            None => break,
        }
    }
    assert_eq!(found, ["0", "1", "2", "3", "4"]);
    let (_, odd) = server.get(&format!("{path}?nodeId=odd")).await;
    assert_eq!(odd["messages"].as_array().map(Vec::len), Some(2));
    let (_, hers) = server.get(&format!("{path}?agentId={}", agent["id"].as_str().expect("an id"))).await;
    let hers = &hers["messages"][0];
    assert_eq!((&hers["agentName"], &hers["isThinking"]), (&json!("Ada"), &json!(true)));
    assert_eq!(server.get(&format!("{path}?after=nonsense")).await.0, 400);
}

#[tokio::test]
async fn chunks_reach_the_others_in_order_and_the_finished_text_ends_them() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let mut viewer = watch_with_messages(&server, &id, "").await;
    let mut writer = server.socket("/ws").await;
    let message_id = Uuid::now_v7();
    let words = ["one ", "two ", "三 ", "four"];
    for word in words {
        writer.send(chunk(&id, message_id, word)).await;
    }
    let mut text = String::new();
    while text.len() < words.concat().len() {
        let frame = viewer.frame_of("token").await;
        assert_eq!(frame["messageId"], json!(message_id));
        text += frame["text"].as_str().expect("text");
    }
    assert_eq!(text, words.concat());
    // One that joins now is shown the text from its beginning, and ends with the same.
    let mut late = watch_with_messages(&server, &id, "").await;
    assert_eq!(late.frame_of("token").await["text"], words.concat());
    let finished = json!({"type": "addMessage", "messageId": message_id, "nodeId": "n", "content": words.concat()});
    writer.send(json!({"type": "command", "id": "c", "sessionId": id, "command": finished})).await;
    assert_eq!(writer.frame().await["type"], "ack", "the writer is not sent its own words");
    writer.send(chunk(&id, message_id, "too late")).await;
    server.command(&id, json!({"type": "complete"})).await;
    for socket in [&mut viewer, &mut late] {
        let said = socket.frame().await;
        assert_eq!((&said["type"], &said["message"]["content"]), (&json!("message"), &json!(words.concat())));
        let last = socket.until(|frame| frame["type"] == "end" || frame["type"] == "token").await;
        assert_eq!(last["type"], "end", "no chunk follows the finished message");
    }
}

#[tokio::test]
async fn chunks_that_come_while_a_viewer_is_busy_are_joined() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let mut slow = Socket::open_narrow(server.address(), &format!("/ws/sessions/{id}?messages=true")).await;
    slow.frame_of("snapshot").await;
    let mut fast = watch_with_messages(&server, &id, "").await;
    let mut writer = server.socket("/ws").await;
    let message_id = Uuid::now_v7();
    let mut sent = String::new();
    // Larger than the kernel's buffers between server and client, within what is kept of a message.
    for n in 0..60 {
        let text = format!("{n:>8} ").repeat(1_500);
        writer.send(chunk(&id, message_id, &text)).await;
        sent += &text;
        let mut read = 0;
        while read < text.len() {
            read += fast.frame_of("token").await["text"].as_str().expect("text").len();
        }
    }
    let (mut text, mut frames) = (String::new(), 0);
    while text.len() < sent.len() {
        text += slow.frame_of("token").await["text"].as_str().expect("text");
        frames += 1;
    }
    assert_eq!(text, sent);
    assert!(frames < 40, "{frames} frames for 60 chunks: few were joined");
}

#[tokio::test]
async fn a_message_may_have_a_mebibyte_and_not_a_byte_more() {
    const MEBIBYTE: usize = 1024 * 1024;
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let path = format!("/api/v1/sessions/{id}/commands");
    let mut viewer = watch_with_messages(&server, &id, "").await;
    let longest = "x".repeat(MEBIBYTE);
    let too_long = format!("{longest}x");
    // Two bytes a letter, and six where they are escaped, as some encoders do with all but ASCII.
    let escaped = message("n", "")
        .to_string()
        .replace(r#""content":"""#, &format!(r#""content":"{}""#, r"\u0436".repeat(MEBIBYTE / 2)));
    assert!(escaped.len() > 3 * MEBIBYTE);
    for (body, expected) in [(message("n", &longest).to_string(), longest.clone()), (escaped, "ж".repeat(MEBIBYTE / 2))]
    {
        let (status, answer) = answer(server.request(Method::POST, &path).body(body)).await;
        assert_eq!(status, 200, "{answer}");
        let said = viewer.frame_of("message").await;
        assert!(said["message"]["content"] == *expected, "shown as it was written");
    }
    let (_, page) = server.get(&format!("/api/v1/sessions/{id}/messages")).await;
    assert!(page["messages"][0]["content"] == *longest, "stored as it was written");
    let memory = |content: &str| json!({"type": "addMemory", "content": content});
    server.command(&id, memory(&longest)).await;
    for body in [
        message("n", &too_long),
        memory(&too_long),
        json!([message("n", "short"), message("n", &too_long)]),
        // Room is made for the texts alone.
        json!([message("n", &longest), {"type": "setContext", "key": "k", "value": 1}]),
        json!([message("n", &longest), message("n", &longest), message("n", &longest), message("n", &longest)]),
        json!({"type": "addMemory", "content": "short", "metadata": {"key": longest}}),
    ] {
        server.refused(Method::POST, &path, Some(body), "too_large").await;
    }
    let padded = format!("{}{}", message("n", "short"), " ".repeat(4 * MEBIBYTE));
    problem(server.request(Method::POST, &path).body(padded), "too_large").await;
    let (status, stored) = server.post("/api/v1/memories", json!({"content": longest})).await;
    assert_eq!(status, 201, "{}", stored["detail"]);
    assert_eq!(server.session(&id).await["revision"], 5);
}

#[tokio::test]
async fn over_a_socket_a_message_has_to_fit_into_its_frame() {
    const MEBIBYTE: usize = 1024 * 1024;
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let command =
        |content: &str| json!({"type": "command", "id": "c", "sessionId": id, "command": message("n", content)});
    let room = MEBIBYTE - command("").to_string().len();
    let mut socket = server.socket("/ws").await;
    socket.send(command(&"x".repeat(room))).await;
    assert_eq!(socket.frame().await["type"], "ack");
    socket.send(command(&"x".repeat(MEBIBYTE + 1))).await;
    let error = socket.frame().await;
    assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("too_large")));
    assert_eq!(socket.close_code().await, 1009);
    assert_eq!(server.session(&id).await["revision"], 3);
}

#[tokio::test]
async fn nul_and_a_repeated_id_are_refused() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let path = format!("/api/v1/sessions/{id}/commands");
    let (status, problem) = server.post(&path, message("n", "a\0b")).await;
    assert_eq!((status.as_u16(), &problem["code"]), (400, &json!("bad_request")));
    let repeated = json!({"type": "addMessage", "messageId": Uuid::now_v7(), "nodeId": "n", "content": "once"});
    server.command(&id, repeated.clone()).await;
    let (status, problem) = server.post(&path, repeated).await;
    assert_eq!((status.as_u16(), &problem["code"]), (409, &json!("conflict")));
}

#[tokio::test]
async fn chunks_are_refused_as_their_message_would_be() {
    let server = TestServer::start().await;
    let id = server.create(json!({"graph": chain(&["a", "b"])})).await;
    server.command(&id, json!({"type": "start"})).await;
    let mut viewer = watch_with_messages(&server, &id, "").await;
    let mut writer = server.socket("/ws").await;
    let path = format!("/api/v1/sessions/{id}/tokens");
    let chunk = |message: &str, more: &Value| {
        let mut chunk = json!({"nodeId": "a", "messageId": message, "text": "t"});
        chunk.as_object_mut().expect("an object").extend(more.as_object().expect("members").clone());
        chunk
    };
    let frame = |mut chunk: Value| {
        (chunk["type"], chunk["sessionId"]) = (json!("token"), json!(id));
        chunk
    };
    for (more, code) in [
        (json!({"nodeId": "x"}), "unknown_node"),
        (json!({"nodeId": "x#1"}), "unknown_node"),
        (json!({"nodeId": ""}), "bad_request"),
        (json!({"nodeId": "n".repeat(257)}), "too_large"),
        (json!({"agentId": ""}), "bad_request"),
        (json!({"agentId": "g".repeat(257)}), "too_large"),
        (json!({"text": "a\u{0}b"}), "bad_request"),
    ] {
        let refused = server
            .refused(Method::POST, &path, Some(json!([chunk("good", &json!({})), chunk("wrong", &more)])), code)
            .await;
        assert!(refused["detail"].as_str().is_some_and(|detail| detail.starts_with("[1]: ")), "{refused}");
        // Over a socket it is dropped, as all that is not shown.
        writer.send(frame(chunk("wrong", &more))).await;
    }
    // What is under way counts: the answer to the command need not be waited for.
    let plan = json!({"id": "p", "type": "step", "name": "P", "nextIds": []});
    writer.send(json!({"type": "command", "id": "c", "sessionId": id, "command": {"type": "addNodes", "nodes": {"p": plan}}})).await;
    writer.send(frame(chunk("planned", &json!({"nodeId": "p"})))).await;
    assert_eq!(writer.frame().await["type"], "ack", "no error before it");
    let shown = viewer.frame_of("token").await;
    assert_eq!(shown["messageId"], "planned", "nothing that was refused, and nothing beside it: {shown}");
    let (status, _) = server.post(&path, json!([chunk("instance", &json!({"nodeId": "a#1"}))])).await;
    assert_eq!(status, 204);
    assert_eq!(viewer.frame_of("token").await["messageId"], "instance");
}
