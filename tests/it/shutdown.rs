//! The end of a server: viewers are told, and what was accepted is kept.

use futures_util::{SinkExt as _, StreamExt as _};
use nix::sys::signal::Signal;
use reqwest::Client;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Database, ServerProcess, Socket, TestServer, context, eventually};

async fn post(server: &ServerProcess, path: &str, body: Value) -> Value {
    let url = format!("http://{}{path}", server.address);
    let response = Client::new().post(url).json(&body).send().await.expect("an answer");
    assert!(response.status().is_success(), "{}", response.status());
    response.json().await.expect("JSON")
}

#[tokio::test]
async fn viewers_are_told_that_the_server_restarts() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let mut sockets = Vec::new();
    for path in
        [format!("/ws/sessions/{id}"), format!("/ws/sessions/{id}?mode=events"), "/ws".into(), "/ws/sessions".into()]
    {
        let mut socket = server.socket(&path).await;
        if path == "/ws" {
            socket.settle().await;
        } else {
            socket.frame().await;
        }
        sockets.push(socket);
    }
    let stopping = tokio::spawn(server.stop());
    for mut socket in sockets {
        assert_eq!(socket.close_code().await, 1012);
    }
    let server = TestServer::start_on(stopping.await.expect("stopped"), |_| {}).await;
    assert_eq!(server.session(&id).await["status"], "running", "a session outlives its server");
}

/// A service manager sends it to have certificates read again, also where there are none.
#[tokio::test]
async fn a_hangup_without_a_certificate_ends_nothing() {
    let database = Database::create().await;
    let (url, directory) = (database.url(), tempfile::tempdir().expect("a directory"));
    let log = directory.path().join("log");
    let settings = [("DATABASE_URL", &*url), ("RELIVE_EMBEDDING_DIM", "8"), ("RELIVE_LOG", "info")];
    let server = ServerProcess::start_logging(&settings, std::fs::File::create(&log).expect("a file")).await;
    server.signal(Signal::SIGHUP);
    let is_logged = || std::fs::read_to_string(&log).expect("a log").contains("there is no certificate to read again");
    eventually("it is logged", async || is_logged()).await;
    post(&server, "/api/v1/sessions", json!({})).await;
    assert_eq!(server.terminate().await, Some(0));
}

/// Commands are under way when the signal comes. Whatever was acknowledged is there afterwards, and nothing
/// else; whatever was refused is not; the process ends with 0.
async fn ends_well_on(signal: Signal) {
    const COMMANDS: usize = 2_000;
    let database = Database::create().await;
    let url = database.url();
    let settings = [("DATABASE_URL", &*url), ("RELIVE_EMBEDDING_DIM", "8")];
    let server = ServerProcess::start(&settings).await;
    let session = post(&server, "/api/v1/sessions", json!({})).await;
    let id = session["id"].as_str().expect("an id").to_owned();
    let mut viewer = Socket::open(server.address, &format!("/ws/sessions/{id}")).await;
    viewer.frame().await;
    let (mut sink, mut stream) = Socket::open(server.address, "/ws").await.stream.split();
    let sending = tokio::spawn({
        let id = id.clone();
        async move {
            for n in 0..COMMANDS {
                let frame =
                    json!({"type": "command", "id": n.to_string(), "sessionId": id, "command": context("n", json!(n))});
                if sink.send(Message::text(frame.to_string())).await.is_err() {
                    return;
                }
            }
        }
    });
    let (mut acked, mut refused, mut close) = (Vec::new(), 0, None);
    let mut server = Some(server);
    let mut ending = None;
    let answers = async {
        while let Some(Ok(message)) = stream.next().await {
            match message {
                Message::Text(text) => {
                    let frame: Value = serde_json::from_str(&text).expect("JSON");
                    match frame["type"].as_str() {
                        Some("ack") => acked.push(frame["revision"].as_u64().expect("a revision")),
                        Some("error") => {
                            assert_eq!((&frame["code"], &frame["retryable"]), (&json!("unavailable"), &json!(true)));
                            refused += 1;
                        }
                        other => panic!("{other:?}"),
                    }
                }
                Message::Close(frame) => close = frame.map(|frame| u16::from(frame.code)),
                _ => {}
            }
            if let Some(server) = server.take_if(|_| acked.len() >= 20) {
                ending = Some(tokio::spawn(server.end_with(signal)));
            }
        }
    };
    tokio::time::timeout(crate::harness::DEADLINE, answers).await.expect("an end of the connection");
    assert_eq!((close, viewer.close_code().await), (Some(1012), 1012));
    assert_eq!(ending.expect("asked to end").await.expect("ended"), Some(0));
    sending.await.expect("sent");
    assert!(acked.iter().copied().eq(2..acked.len() as u64 + 2), "acknowledged in order, each once");

    let server = TestServer::start_on(database, |_| {}).await;
    let events = server.events(&id).await;
    // The first event is the creation. What was carried out after the signal was acknowledged as well.
    assert_eq!(events.len(), acked.len() + 1, "{refused} refused");
    assert!(events.iter().zip(1..).all(|(event, revision)| event["revision"] == revision), "dense");
    assert!(events.len() + refused <= COMMANDS + 1, "what was refused must not be stored");
    assert_eq!(server.session(&id).await["revision"], events.len());
}

#[tokio::test]
async fn a_process_ends_well_on_sigterm() {
    ends_well_on(Signal::SIGTERM).await;
}

#[tokio::test]
async fn a_process_ends_well_on_sigint() {
    ends_well_on(Signal::SIGINT).await;
}
