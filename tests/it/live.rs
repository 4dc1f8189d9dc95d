//! Watching a session: what each mode shows, and when.

use serde_json::{Value, json};

use crate::harness::TestServer;

fn node(id: &str, status: &str) -> Value {
    json!({"type": "setNodeStatus", "nodeId": id, "status": status})
}

#[tokio::test]
async fn a_bare_socket_shows_the_state_and_every_change_of_it() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let mut socket = server.socket(&format!("/ws/sessions/{id}")).await;
    let first = socket.frame().await;
    assert_eq!((first["type"].as_str(), first["revision"].as_u64()), (Some("snapshot"), Some(2)));
    let revision = server.command(&id, node("a", "running")).await;
    let second = socket.frame().await;
    assert_eq!(second["revision"], revision);
    assert_eq!(second["session"]["nodes"]["a"]["status"], "running");
    assert_eq!(second["session"]["activeNodeIds"], json!(["a"]));
    server.command(&id, json!([node("a", "completed"), {"type": "complete"}])).await;
    let last = socket.frame().await;
    assert_eq!((last["session"]["status"].as_str(), last["revision"].as_u64()), (Some("completed"), Some(5)));
    let end = socket.frame().await;
    assert_eq!(end, json!({"type": "end", "sessionId": id, "status": "completed", "revision": 5}));
}
