//! Frames that no well-behaved client sends.

use futures_util::SinkExt as _;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{CONTINUATION, FINAL, RawSocket, TEXT, TestServer, assert_no_internals, context};

const MEBIBYTE: usize = 1024 * 1024;
const PING: &str = r#"{"type":"ping"}"#;

fn assert_error(frame: &Value, code: &str) {
    assert_eq!(
        (&frame["type"], &frame["code"], &frame["retryable"]),
        (&json!("error"), &json!(code), &json!(false)),
        "{frame}"
    );
    assert!(frame["message"].as_str().is_some_and(|message| !message.is_empty() && message.len() < 500), "{frame}");
    assert_no_internals(&frame.to_string());
}

/// The server still takes commands from others.
async fn assert_serving(server: &TestServer) {
    let id = server.running_session().await;
    assert_eq!(server.session(&id).await["revision"], 2);
}

#[tokio::test]
async fn frames_that_cannot_be_understood_are_errors_and_the_socket_goes_on() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let command = |value: &str| {
        format!(
            r#"{{"type":"command","id":"c","sessionId":"{id}","command":{{"type":"setContext","key":"k","value":{value}}}}}"#
        )
    };
    let mut socket = server.socket("/ws").await;
    for text in [
        "",
        "x",
        "{",
        "null",
        "7",
        "[]",
        "{}",
        "\"ping\"",
        r#"["ping"]"#,
        &format!(r#"["unsubscribe","{id}"]"#),
        &format!(r#"["command","c","{id}",["pause"]]"#),
        &format!(r#"{{"type":"command","id":"c","sessionId":"{id}","command":["pause"]}}"#),
        &format!(r#"{{"type":"command","id":"c","sessionId":"{id}","commands":[["pause"]]}}"#),
        r#"{"type":7}"#,
        r#"{"type":"dance"}"#,
        r#"{"type":"Ping"}"#,
        r#"{"type":"subscribe"}"#,
        r#"{"type":"subscribe","sessionId":"x"}"#,
        r#"{"type":"subscribe","sessionId":7}"#,
        r#"{"type":"unsubscribe"}"#,
        r#"{"type":"command","id":7}"#,
        r#"{"type":"replay"}"#,
        r#"{"type":"replay","action":"play"}"#,
        r#"{"type":"auth"}"#,
        r#"{"type":"ping"} {"type":"ping"}"#,
        &format!(r#"{{"type":"subscribe","sessionId":"{id}","mode":"video"}}"#),
        &format!(r#"{{"type":"subscribe","sessionId":"{id}","mode":{{"delta":null}}}}"#),
        &format!(r#"{{"type":"subscribe","sessionId":"{id}","after":-1}}"#),
        &format!(r#"{{"type":"subscribe","sessionId":"{id}","after":1e999}}"#),
        &format!(r#"{{"type":"subscribe","sessionId":"{id}","minIntervalMs":"x"}}"#),
        &command("NaN"),
        &command("Infinity"),
        &command("1e999"),
        &command("-1e999"),
        &command(r#""\ud800""#),
        &command(r#""\u0000""#),
        &command(r#"{"\u0000":1}"#),
        &command(&format!("{}{}", "[".repeat(200), "]".repeat(200))),
        &"[".repeat(MEBIBYTE),
        &format!("{}1{}", r#"{"a":"#.repeat(200), "}".repeat(200)),
    ] {
        socket.send_text(text).await;
        assert_error(&socket.frame().await, "bad_request");
        socket.settle().await;
    }
    assert_eq!(server.session(&id).await["revision"], 2);
}

#[tokio::test]
async fn an_error_carries_the_id_of_a_frame_that_is_only_half_understood() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let mut socket = server.socket("/ws").await;
    socket.send(json!({"type": "command", "id": "c-1", "sessionId": id, "command": {"type": "dance"}})).await;
    let error = socket.frame().await;
    assert_error(&error, "bad_request");
    assert_eq!((&error["id"], &error["sessionId"]), (&json!("c-1"), &json!(id)));
    // As it was given, even where it can be no id.
    socket.send(json!({"type": "command", "id": 7, "sessionId": "x", "command": 1})).await;
    let error = socket.frame().await;
    assert_error(&error, "bad_request");
    assert_eq!((&error["id"], &error["sessionId"]), (&json!(7), &json!("x")));
    socket.send(json!({"type": "subscribe", "sessionId": "no-uuid"})).await;
    assert_eq!(socket.frame().await["sessionId"], "no-uuid");
    socket.send(json!({"type": "command", "id": {}, "sessionId": [], "command": 1})).await;
    let error = socket.frame().await;
    assert_error(&error, "bad_request");
    assert_eq!((&error["id"], &error["sessionId"]), (&json!({}), &json!([])), "{error}");
    socket.send(json!({"type": "command", "command": 1, "id": "x".repeat(5_000)})).await;
    let error = socket.frame().await;
    assert_error(&error, "bad_request");
    assert!(error.get("id").is_none() && error.get("sessionId").is_none(), "{error}");
}

#[tokio::test]
async fn fields_that_are_unknown_are_refused_and_the_nearest_named() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let mut socket = server.socket("/ws").await;
    for (frame, problem) in [
        (json!({"type": "ping", "later": {"version": 2}}), "later: unknown field"),
        (json!({"type": "subscribe", "sessionId": id, "mod": "delta"}), "mod: unknown field; did you mean mode?"),
        (json!({"type": "unsubscribe", "sessionId": id, "id": "u"}), "id: unknown field"),
        (
            json!({"type": "command", "id": "c", "sessionId": id, "command": {"type": "pause"}, "command_id": "k"}),
            "command_id: unknown field; did you mean commandId?",
        ),
        (
            json!({"type": "command", "id": "c", "sessionId": id, "commands": [{"type": "pause"}, {"type": "resume", "reason": "r"}]}),
            "commands[1].reason: unknown field",
        ),
        (
            json!({"type": "token", "sessionId": id, "nodeId": "a", "messageId": id, "text": "t", "is_thinking": true}),
            "is_thinking: unknown field; did you mean isThinking?",
        ),
    ] {
        socket.send(frame.clone()).await;
        let error = socket.frame().await;
        assert_error(&error, "bad_request");
        assert!(error["message"].as_str().is_some_and(|message| message.contains(problem)), "{error}");
        assert_eq!((error.get("id"), error.get("sessionId")), (frame.get("id"), frame.get("sessionId")));
        socket.settle().await;
    }
    assert_eq!(server.session(&id).await["revision"], 2);
}

#[tokio::test]
async fn sockets_with_unknown_parameters_are_closed_with_the_reason() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    for path in [
        "/ws?sesionId=1".to_owned(),
        format!("/ws/sessions/{id}?mod=delta"),
        format!("/ws/sessions/{id}/replay?sped=2"),
        "/ws/sessions?stat=running".to_owned(),
    ] {
        let mut socket = server.socket(&path).await;
        let error = socket.frame().await;
        assert_error(&error, "bad_request");
        assert!(error["message"].as_str().is_some_and(|text| text.contains("unknown query parameter")), "{error}");
        assert_eq!(socket.close_code().await, 4501);
    }
}

#[tokio::test]
async fn binary_frames_are_errors_and_the_socket_goes_on() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    for path in ["/ws".to_owned(), format!("/ws/sessions/{id}?after=2")] {
        let mut socket = server.socket(&path).await;
        for bytes in [&b""[..], PING.as_bytes(), b"\xff\x00", &[7; 100_000]] {
            socket.stream.send(Message::binary(bytes.to_vec())).await.expect("sent");
            assert_error(&socket.frame().await, "bad_request");
            socket.settle().await;
        }
    }
}

#[tokio::test]
async fn text_may_come_in_fragments_with_pings_between_them() {
    let server = TestServer::start().await;
    let mut socket = RawSocket::open(server.address(), "/ws").await;
    let (begin, rest) = PING.as_bytes().split_at(5);
    let (middle, end) = rest.split_at(4);
    socket.send(TEXT, begin).await;
    socket.send(CONTINUATION, middle).await;
    socket.send(FINAL | 0x9, b"still there?").await;
    assert_eq!(socket.read().await, (0xa, b"still there?".to_vec()));
    socket.send(CONTINUATION, b"").await;
    socket.send(FINAL | CONTINUATION, end).await;
    assert_eq!(socket.frame().await, json!({"type": "pong"}));
    // A character of several bytes may be cut in the middle.
    let error = "ü{".as_bytes();
    socket.send(TEXT, &error[..1]).await;
    socket.send(FINAL | CONTINUATION, &error[1..]).await;
    assert_error(&socket.frame().await, "bad_request");
    socket.send(FINAL | TEXT, PING.as_bytes()).await;
    assert_eq!(socket.frame().await, json!({"type": "pong"}));
}

#[tokio::test]
async fn a_frame_of_a_mebibyte_is_taken_and_a_larger_one_ends_the_connection() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let command = |text: &str| {
        json!({"type": "command", "id": "c", "sessionId": id, "command": context("k", json!(text))}).to_string()
    };
    let fill = MEBIBYTE - command("").len();
    let mut socket = RawSocket::open(server.address(), "/ws").await;
    socket.send(FINAL | TEXT, command(&"x".repeat(fill)).as_bytes()).await;
    assert_eq!(socket.frame().await["type"], "ack");
    socket.send(FINAL | TEXT, command(&"y".repeat(fill + 1)).as_bytes()).await;
    assert_error(&socket.frame().await, "too_large");
    assert_eq!(socket.close_code().await, 1009);
    // A frame that only claims to be large is refused before it has come; fragments count together.
    let mut claims = RawSocket::open(server.address(), "/ws").await;
    claims.send_bytes(&[FINAL | TEXT, 0xff, 0, 0, 0, 0xff, 0, 0, 0, 0, 0, 0, 0, 0]).await;
    assert_error(&claims.frame().await, "too_large");
    assert_eq!(claims.close_code().await, 1009);
    let mut fragments = RawSocket::open(server.address(), "/ws").await;
    fragments.send(TEXT, &vec![b' '; MEBIBYTE / 2]).await;
    fragments.send(CONTINUATION, &vec![b' '; MEBIBYTE / 2]).await;
    fragments.send(FINAL | CONTINUATION, b" ").await;
    assert_error(&fragments.frame().await, "too_large");
    assert_eq!(fragments.close_code().await, 1009);
    assert_eq!(server.session(&id).await["revision"], 3);
    assert_serving(&server).await;
}

#[tokio::test]
async fn a_frame_that_is_too_large_is_answered_with_its_ids() {
    let server = TestServer::start().await;
    let text =
        format!(r#"{{"type":"command","id":"big","sessionId":"X","command":{{"value":"{}"#, "ü".repeat(MEBIBYTE / 2));
    let error = json!(["too_large", "big", "X"]);
    let ids = |frame: &Value| json!([frame["code"], frame["id"], frame["sessionId"]]);
    let mut whole = RawSocket::open(server.address(), "/ws").await;
    whole.send(FINAL | TEXT, text.as_bytes()).await;
    assert_eq!(ids(&whole.frame().await), error);
    assert_eq!(whole.close_code().await, 1009);

    // The header, and then the payload with a mask.
    let mut apart = RawSocket::open(server.address(), "/ws").await;
    let length = (text.len() as u64).to_be_bytes();
    apart.send_bytes(&[&[FINAL | TEXT, 0xff][..], &length, b"mask"].concat()).await;
    let masked: Vec<u8> = text.bytes().zip(b"mask".iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    apart.send_bytes(&masked).await;
    assert_eq!(ids(&apart.frame().await), error);
    assert_eq!(apart.close_code().await, 1009);

    let mut fragments = RawSocket::open(server.address(), "/ws").await;
    let (start, rest) = text.as_bytes().split_at(20);
    fragments.send(TEXT, start).await;
    fragments.send(FINAL | 0x9, b"ping").await;
    fragments.send(CONTINUATION, rest).await;
    assert_eq!(fragments.read().await.0, 0xa, "the pong");
    assert_eq!(ids(&fragments.frame().await), error);
    assert_eq!(fragments.close_code().await, 1009);
    assert_serving(&server).await;
}

#[tokio::test]
async fn an_error_has_the_sessions_id_as_it_was_written() {
    let server = TestServer::start().await;
    let id = server.new_session().await;
    let mut socket = server.socket("/ws").await;
    let nowhere = uuid::Uuid::now_v7().to_string();
    let unusual = [id.to_uppercase(), format!("{{{id}}}"), id.replace('-', ""), format!("urn:uuid:{id}"), id.clone()];
    for written in unusual {
        for frame in [
            // Refused by the session, by its form, and by the revision.
            json!({"type": "command", "id": "c", "sessionId": written, "command": {"type": "pause"}}),
            json!({"type": "command", "id": "c", "sessionId": written}),
            json!({"type": "command", "id": "c", "sessionId": written, "command": {"type": "start"}, "expectedRevision": 9}),
            json!({"command": {"type": "fail", "error": id}, "type": "command", "id": "c", "sessionId": written}),
        ] {
            // With spaces too, as Python writes them.
            for text in [frame.to_string(), serde_json::to_string_pretty(&frame).expect("JSON")] {
                socket.send_text(&text).await;
                let error = socket.frame().await;
                assert_eq!(
                    (&error["type"], &error["sessionId"]),
                    (&json!("error"), &json!(written)),
                    "{text}: {error}"
                );
            }
        }
    }
    let nowhere = nowhere.to_uppercase();
    for frame in [
        json!({"type": "subscribe", "sessionId": nowhere}),
        json!({"type": "command", "id": "c", "sessionId": nowhere, "command": {"type": "pause"}}),
    ] {
        socket.send(frame).await;
        let error = socket.frame().await;
        assert_eq!((&error["code"], &error["sessionId"]), (&json!("not_found"), &json!(nowhere)), "{error}");
    }
}

#[tokio::test]
async fn text_that_is_no_utf_8_ends_the_connection() {
    let server = TestServer::start().await;
    for payload in [&b"\xff"[..], b"{\"type\":\"\xc3\x28\"}", b"\xed\xa0\x80", b"\xc3"] {
        let mut socket = RawSocket::open(server.address(), "/ws").await;
        socket.send(FINAL | TEXT, payload).await;
        assert_eq!(socket.close_code().await, 1007, "{payload:?}");
    }
    assert_serving(&server).await;
}

#[tokio::test]
async fn bytes_that_are_no_sound_frames_end_the_connection() {
    let server = TestServer::start().await;
    let overlong_ping = [&[FINAL | 0x9, 0xfe, 0, 126][..], &[0; 4 + 126]].concat();
    for (what, bytes) in [
        ("unmasked", &[FINAL | TEXT, 2, b'{', b'}'][..]),
        ("unmasked close", &[FINAL | 0x8, 0]),
        ("reserved bit", &[FINAL | 0x40 | TEXT, 0x80, 0, 0, 0, 0]),
        ("unknown opcode", &[FINAL | 0x3, 0x80, 0, 0, 0, 0]),
        ("unknown control opcode", &[FINAL | 0xb, 0x80, 0, 0, 0, 0]),
        ("continuation of nothing", &[FINAL | CONTINUATION, 0x80, 0, 0, 0, 0]),
        ("fragmented ping", &[0x9, 0x80, 0, 0, 0, 0]),
        ("overlong ping", &overlong_ping),
        ("text within text", &[TEXT, 0x80, 0, 0, 0, 0, FINAL | TEXT, 0x80, 0, 0, 0, 0]),
    ] {
        let mut socket = RawSocket::open(server.address(), "/ws").await;
        socket.send_bytes(bytes).await;
        assert_eq!(socket.close_code().await, 1002, "{what}");
    }
    assert_serving(&server).await;
}

#[tokio::test]
async fn a_close_is_answered_with_a_close() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    for path in ["/ws".to_owned(), format!("/ws/sessions/{id}?after=2")] {
        let mut socket = RawSocket::open(server.address(), &path).await;
        socket.send(FINAL | 0x8, &1000_u16.to_be_bytes()).await;
        assert_eq!(socket.close_code().await, 1000);
    }
}
