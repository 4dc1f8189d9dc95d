//! Chunks of messages that come to one server, shown by another.

use reqwest::Method;
use serde_json::{Value, json};

use super::{promptly, two};
use crate::harness::{Socket, TestServer};

/// Somebody who is sent messages and chunks.
pub(super) async fn watch(server: &TestServer, id: &str) -> Socket {
    let mut socket = server.socket(&format!("/ws/sessions/{id}?messages=true&mode=events&after=1")).await;
    socket.frame().await;
    socket
}

pub(super) async fn show(server: &TestServer, id: &str, message: &str, text: &str) {
    let chunk = json!({"nodeId": "n", "messageId": message, "text": text, "agentId": "alice"});
    let path = format!("/api/v1/sessions/{id}/tokens");
    let (status, answer) = server.call(Method::POST, &path, Some(json!([chunk]))).await;
    assert_eq!(status, 204, "{answer}");
}

/// Reads chunks until they make a text.
pub(super) async fn read(viewer: &mut Socket, message: &str, text: &str) {
    let mut read = String::new();
    while read.len() < text.len() {
        let frame = promptly(viewer.frame_of("token")).await;
        assert_eq!((&frame["messageId"], &frame["agentId"]), (&json!(message), &json!("alice")));
        read += frame["text"].as_str().expect("a text");
    }
    assert_eq!(read, text);
}

#[tokio::test]
async fn a_message_is_shown_word_by_word_on_every_server() {
    let [here, there] = two().await;
    let id = there.running_session().await;
    let mut viewers = [watch(&here, &id).await, watch(&there, &id).await];
    for word in ["One ", "two ", "\u{1f600}\u{1} ", "three"] {
        show(&there, &id, "first", word).await;
        for viewer in &mut viewers {
            read(viewer, "first", word).await;
        }
    }
    // A text that no notice could hold.
    let long = "word\u{1}".repeat(9_000);
    show(&there, &id, "long", &long).await;
    for viewer in &mut viewers {
        read(viewer, "long", &long).await;
    }
    // Over a socket, too; its own connection is not sent them.
    let mut writer = there.socket(&format!("/ws/sessions/{id}?messages=true&mode=events&after=2")).await;
    let token = |text: &str| json!({"type": "token", "sessionId": id, "nodeId": "n", "messageId": "third", "text": text, "agentId": "alice"});
    writer.send(token("by ")).await;
    writer.send(token("socket")).await;
    for viewer in &mut viewers {
        read(viewer, "third", "by socket").await;
    }
}

#[tokio::test]
async fn what_was_stored_is_not_begun_again_elsewhere() {
    let [here, there] = two().await;
    let id = there.running_session().await;
    let mut viewer = watch(&here, &id).await;
    show(&there, &id, "first", "One").await;
    read(&mut viewer, "first", "One").await;
    let message = json!({"type": "addMessage", "nodeId": "n", "content": "One two", "messageId": "first"});
    there.command(&id, message).await;
    let stored = promptly(viewer.frame_of("message")).await;
    assert_eq!(stored["message"]["content"], "One two");
    show(&there, &id, "first", " late").await;
    show(&there, &id, "next", "Next").await;
    let chunk: Value = promptly(viewer.frame_of("token")).await;
    assert_eq!((&chunk["messageId"], &chunk["text"]), (&json!("next"), &json!("Next")));
}
