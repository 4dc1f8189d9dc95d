//! The proof that a replay is the run: what a live viewer was sent, byte for byte.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::run;
use crate::harness::{Socket, TestServer, chain};

/// The next frame as it came, replays' own ones left out.
async fn text(socket: &mut Socket) -> String {
    loop {
        let Message::Text(text) = socket.message().await else { panic!("not a text") };
        if !text.starts_with(r#"{"type":"replayState""#) {
            return text.to_string();
        }
    }
}

fn is_end(frame: &str) -> bool {
    frame.starts_with(r#"{"type":"end""#)
}

/// Drives a session from its creation to its end and returns what a viewer that never lagged was sent.
async fn record(server: &TestServer, id: &str, query: &str) -> Vec<String> {
    let mut viewer = server.socket(&format!("/ws/sessions/{id}?{query}")).await;
    let mut frames = vec![text(&mut viewer).await];
    let ending = json!({"type": "complete", "outputs": {"answer": [42]}});
    for command in run().into_iter().chain([ending]) {
        let revision = server.command(id, command).await;
        // The next command only when this one was shown: so nothing is conflated.
        loop {
            let frame = text(&mut viewer).await;
            let is_shown =
                !frame.starts_with(r#"{"type":"message""#) && frame.contains(&format!("\"revision\":{revision}"));
            frames.push(frame);
            if is_shown {
                break;
            }
        }
    }
    frames.push(text(&mut viewer).await);
    assert!(is_end(frames.last().expect("frames")));
    frames
}

async fn replay(server: &TestServer, id: &str, query: &str) -> Vec<String> {
    let mut viewer = server.socket(&format!("/ws/sessions/{id}/replay?{query}")).await;
    let mut frames = Vec::new();
    while !frames.last().is_some_and(|frame: &String| is_end(frame)) {
        frames.push(text(&mut viewer).await);
    }
    frames
}

#[tokio::test]
async fn a_replay_sends_what_a_live_viewer_was_sent_byte_for_byte() {
    let mut server = TestServer::start().await;
    let mut recorded = Vec::new();
    for mode in ["snapshot", "delta", "events"] {
        for messages in ["", "&messages=true"] {
            let id = server.create(json!({"graph": chain(&["a", "b"]), "inputs": {"n": 1.0}})).await;
            let query = format!("mode={mode}{messages}");
            let frames = record(&server, &id, &query).await;
            let expected = 20 + if messages.is_empty() { 0 } else { 2 };
            assert_eq!(frames.len(), expected, "each of 19 revisions once, then the end");
            recorded.push((id, query, frames));
        }
    }
    // From memory, and by a server that has never seen the run.
    for _ in 0..2 {
        for (id, query, live) in &recorded {
            for speed in ["speed=max", "speed=1000&skipIdleMs=0"] {
                let again = replay(&server, id, &format!("{query}&{speed}")).await;
                assert_eq!(&again, live, "{query} {speed}");
            }
        }
        server = TestServer::start_on(server.stop().await, |_| {}).await;
    }
}
