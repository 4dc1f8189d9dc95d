//! WebSockets over TLS.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{DEADLINE, TestServer, merge};

/// Texts that take several TLS records.
fn large(number: usize) -> Value {
    json!({"type": "setContext", "key": format!("k{number}"), "value": "x".repeat(100_000)})
}

#[tokio::test]
async fn every_mode_shows_what_it_should() {
    let server = TestServer::start_tls(|_| {}).await;
    let id = server.running_session().await;
    let mut snapshot = server.socket(&format!("/ws/sessions/{id}")).await;
    let mut delta = server.socket(&format!("/ws/sessions/{id}?mode=delta")).await;
    let mut events = server.socket(&format!("/ws/sessions/{id}?mode=events")).await;
    let mut list = server.socket("/ws/sessions").await;
    assert_eq!(list.frame().await["sessions"][0]["id"], id);
    let mut state = delta.frame().await["session"].take();
    let mut driver = server.socket("/ws").await;
    for number in 0..5 {
        let name = number.to_string();
        driver.send(json!({"type": "command", "id": name, "sessionId": id, "command": large(number)})).await;
        let ack = driver.frame().await;
        assert_eq!((&ack["type"], &ack["id"]), (&json!("ack"), &json!(name)), "{ack}");
        let frame = delta.frame().await;
        assert_eq!((&frame["type"], &frame["revision"]), (&json!("delta"), &ack["revision"]));
        state = merge(state, &frame["patch"]);
    }
    assert_eq!(snapshot.until(|frame| frame["revision"] == 7).await["session"], state);
    for revision in 1..=7 {
        assert_eq!(events.frame().await["revision"], revision);
    }
    server.command(&id, json!({"type": "complete"})).await;
    for socket in [&mut snapshot, &mut delta, &mut events] {
        socket.frame_of("end").await;
    }
    list.until(|frame| frame["session"]["status"] == "completed").await;
    let mut replay = server.socket(&format!("/ws/sessions/{id}/replay?speed=max&mode=events")).await;
    assert_eq!(
        replay.until(|frame| frame["revision"] == 8 && frame["type"] == "event").await["event"]["type"],
        "completed"
    );
}

#[tokio::test]
async fn chunks_of_messages_and_large_frames_go_both_ways() {
    let server = TestServer::start_tls(|_| {}).await;
    let id = server.running_session().await;
    let mut viewer = server.socket(&format!("/ws/sessions/{id}?messages=true")).await;
    viewer.frame().await;
    let mut driver = server.socket("/ws").await;
    let text = "é".repeat(200_000);
    driver.send(json!({"type": "token", "sessionId": id, "nodeId": "n", "messageId": "m", "text": "one "})).await;
    assert_eq!(viewer.frame_of("token").await["text"], "one ");
    let message = json!({"type": "addMessage", "nodeId": "n", "messageId": "m", "content": text});
    driver.send(json!({"type": "command", "id": "c", "sessionId": id, "command": message})).await;
    assert_eq!(driver.frame().await["type"], "ack");
    assert_eq!(viewer.frame_of("message").await["message"]["content"], text);
    // Many small ones at once arrive in few records, of which each must be read to its end.
    for _ in 0..500 {
        driver.send(json!({"type": "ping"})).await;
    }
    for _ in 0..500 {
        assert_eq!(driver.frame().await, json!({"type": "pong"}));
    }
    // Too large a frame is explained before the socket is closed.
    driver.send_text(&"x".repeat(1024 * 1024 + 1)).await;
    assert_eq!(driver.frame().await["code"], "too_large");
    assert_eq!(driver.close_code().await, 1009);
}

#[tokio::test]
async fn a_server_that_stops_says_so_and_ends_the_stream_in_order() {
    let server = TestServer::start_tls(|_| {}).await;
    let mut socket = server.socket("/ws").await;
    let mut stream = server.tls().connect(server.address()).await;
    let request = "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.expect("an answer");
    assert_eq!(&head, b"HTTP/1.1 101");
    socket.settle().await;
    let stopping = tokio::spawn(server.stop());
    assert_eq!(socket.close_code().await, 1012);
    // Without the farewell of TLS this is an error: the stream may have been cut.
    let mut rest = Vec::new();
    tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await.expect("in time").expect("a stream that ended");
    assert!(rest.windows(2).any(|code| code == 1012_u16.to_be_bytes()), "{rest:?}");
    drop((socket, stream));
    stopping.await.expect("stopped");
}

/// Frames that are sent with the request, in the same TLS record, are decrypted before it is answered.
#[tokio::test]
async fn what_comes_with_the_handshake_is_read() {
    const PINGS: usize = 600;
    let server = TestServer::start_tls(|_| {}).await;
    let mut stream = server.tls().connect(server.address()).await;
    let mut sent = b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        .to_vec();
    let ping = br#"{"type":"ping"}"#;
    for _ in 0..PINGS {
        // A final text frame of 15 bytes, with a mask of zeros.
        sent.extend([0x81, 0x8f, 0, 0, 0, 0]);
        sent.extend(ping);
    }
    assert!(sent.len() < 16 * 1024, "more than a record");
    stream.write_all(&sent).await.expect("sent");
    let mut said = String::new();
    while said.matches(r#"{"type":"pong"}"#).count() < PINGS {
        let mut buffer = [0; 4096];
        let read = tokio::time::timeout(DEADLINE, stream.read(&mut buffer)).await.expect("in time").expect("read");
        assert!(read > 0, "closed");
        said.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
}

#[tokio::test]
async fn a_client_may_change_its_keys() {
    let server = TestServer::start_tls(|_| {}).await;
    let id = server.running_session().await;
    let mut stream = server.tls().connect(server.address()).await;
    let request = format!(
        "GET /ws/sessions/{id} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    for revision in 3..10 {
        stream.get_mut().1.refresh_traffic_keys().expect("new keys");
        // By itself: a record in which nothing is to be read.
        stream.flush().await.expect("sent");
        server.command(&id, json!({"type": "setContext", "key": "k", "value": revision})).await;
        let wanted = format!("\"revision\":{revision}");
        let mut said = String::new();
        while !said.contains(&wanted) {
            let mut buffer = [0; 4096];
            let read = tokio::time::timeout(DEADLINE, stream.read(&mut buffer)).await.expect("in time").expect("read");
            assert!(read > 0, "closed");
            said.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        // An empty pong, with a mask of zeros.
        stream.write_all(&[0x8a, 0x80, 0, 0, 0, 0]).await.expect("sent");
    }
}
