//! Files that are not as they were exported: refused whole, with the line at fault.

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use reqwest::Method;
use serde_json::{Value, json};

use super::{export, import, imported, lines, rows, run};
use crate::fork::{fork, id_of};
use crate::harness::{TestServer, answer, problem};

/// Refused, with a problem that names the line.
async fn refused(server: &TestServer, file: impl Into<reqwest::Body>, what: &str) -> Value {
    let request = server.request(Method::POST, "/api/v1/sessions/import").body(file);
    let problem = problem(request, "bad_request").await;
    let line = problem["line"].as_u64().unwrap_or_else(|| panic!("{what}: {problem}"));
    assert!(problem["detail"].as_str().expect("a text").starts_with(&format!("line {line}: ")), "{what}: {problem}");
    problem
}

fn joined(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// A server, one file of a plain session and one of a fork, and what is in the tables.
async fn files() -> (TestServer, [String; 2], Vec<i64>) {
    let server = TestServer::start().await;
    let id = run(&server).await;
    let forked = id_of(&fork(&server, &id, 15).await);
    let files = [export(&server, &id).await, export(&server, &forked).await];
    for id in [&id, &forked] {
        assert_eq!(server.call(Method::DELETE, &format!("/api/v1/sessions/{id}"), None).await.0, 204);
    }
    let there = rows(&server).await;
    assert!(there.iter().all(|rows| *rows == 0), "{there:?}");
    (server, files, there)
}

#[tokio::test]
async fn every_line_that_is_lost_moved_repeated_or_altered_is_found_where_it_is() {
    let (server, files, before) = files().await;
    for file in &files {
        let whole: Vec<&str> = file.lines().collect();
        for at in 0..whole.len() {
            let line = at as u64 + 1;
            let mut dropped = whole.clone();
            dropped.remove(at);
            assert_eq!(refused(&server, joined(&dropped), "dropped").await["line"], line, "dropped {at}");
            let mut repeated = whole.clone();
            repeated.insert(at, whole[at]);
            assert_eq!(refused(&server, joined(&repeated), "repeated").await["line"], line + 1, "repeated {at}");
            if at > 0 {
                let mut swapped = whole.clone();
                swapped.swap(at - 1, at);
                assert_eq!(refused(&server, joined(&swapped), "swapped").await["line"], line - 1, "swapped {at}");
            }
            let mut emptied = whole.clone();
            emptied[at] = "";
            assert_eq!(refused(&server, joined(&emptied), "emptied").await["line"], line, "emptied {at}");
            // A bit of a byte here and there, whatever byte that is.
            for place in (0..whole[at].len()).step_by(1 + whole[at].len() / 5).chain([whole[at].len() - 1]) {
                let start: usize = whole[..at].iter().map(|line| line.len() + 1).sum();
                let mut flipped = file.clone().into_bytes();
                flipped[start + place] ^= 1;
                assert_eq!(refused(&server, flipped, "flipped").await["line"], line, "flipped {at}, byte {place}");
            }
            assert_eq!(rows(&server).await, before, "something stayed");
        }
        let appended = format!("{file}{{}}\n");
        assert_eq!(refused(&server, appended, "appended").await["line"], whole.len() + 1);
        imported(&server, file.clone()).await;
        sqlx::query("DELETE FROM sessions").execute(server.database.storage().pool()).await.expect("deleted");
        assert_eq!(rows(&server).await, before);
    }
}

#[tokio::test]
async fn a_file_that_is_cut_off_is_refused_wherever_that_is() {
    let (server, [file, _], before) = files().await;
    let bytes = file.as_bytes();
    for end in (0..bytes.len()).step_by(1 + bytes.len() / 60).chain([bytes.len() - 2, bytes.len() - 1]) {
        let line = file[..file.floor_char_boundary(end)].matches('\n').count() + 1;
        assert_eq!(refused(&server, bytes[..end].to_vec(), "cut off").await["line"], line, "cut off at {end}");
    }
    for end in file.match_indices('\n').map(|(at, _)| at + 1).filter(|end| *end < file.len()) {
        let line = file[..end].matches('\n').count() + 1;
        assert_eq!(refused(&server, file[..end].to_owned(), "cut off").await["line"], line, "cut off after a line");
    }
    assert_eq!(rows(&server).await, before);
}

#[tokio::test]
async fn what_is_no_such_file_is_refused() {
    let (server, [file, _], before) = files().await;
    for (body, line) in [
        (Bytes::new(), 1),
        (Bytes::from_static(b"\n"), 1),
        (Bytes::from_static(b"{}\n"), 1),
        (Bytes::from_static(b"null"), 1),
        (Bytes::from_static(b"\xff\xfe\x00\n"), 1),
        (Bytes::from("[".repeat(100_000) + "\n"), 1),
        (Bytes::from(format!("\u{feff}{file}")), 1),
        (Bytes::from(file.replace('\n', "\r\n")), 1),
        (Bytes::from(format!("\n{file}")), 1),
    ] {
        assert_eq!(refused(&server, body, "no file").await["line"], line);
    }
    assert_eq!(rows(&server).await, before);
}

#[tokio::test]
async fn a_line_or_a_file_has_an_end() {
    let server = TestServer::start_with(|config| config.max_import_bytes = 20 * 1024 * 1024).await;
    let id = run(&server).await;
    let file = export(&server, &id).await;
    let before = rows(&server).await;
    let first = file.lines().next().expect("a line");
    // A line that never ends is given up at the limit of a line, many lines at that of a file.
    let endless = stream::repeat(Bytes::from(vec![b'x'; 64 * 1024])).take(300).map(Ok::<_, std::io::Error>);
    let body = reqwest::Body::wrap_stream(stream::iter([Ok(Bytes::from(format!("{first}\n")))]).chain(endless));
    let request = server.request(Method::POST, "/api/v1/sessions/import").body(body);
    assert_eq!(problem(request, "too_large").await["line"], 2);
    let (small, sent) = (TestServer::start_with(|config| config.max_import_bytes = 2_000).await, file.clone());
    let problem = problem(small.request(Method::POST, "/api/v1/sessions/import").body(sent), "too_large").await;
    assert!(problem["line"].is_null(), "{problem}");
    assert_eq!(rows(&server).await, before);
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_middle_leaves_nothing() {
    let server = TestServer::start().await;
    let id = run(&server).await;
    let file = export(&server, &id).await;
    let before = rows(&server).await;
    for cut in [file.len() / 3, file.len() / 2] {
        let sent = Bytes::from(file.as_bytes()[..cut].to_vec());
        let broken = stream::iter([Ok(sent), Err(std::io::Error::other("gone"))]);
        let body = reqwest::Body::wrap_stream(broken);
        let sent = server.request(Method::POST, "/api/v1/sessions/import").body(body).send().await;
        assert!(sent.is_err() || sent.is_ok_and(|answer| answer.status() == 400));
    }
    // The places are free again, and nothing is held.
    for _ in 0..3 {
        imported(&server, file.clone()).await;
    }
    let after = rows(&server).await;
    assert_eq!(after[0], before[0] + 3);
}

/// A request whose body comes in two halves, the second when it is sent.
async fn begun(server: &TestServer, file: &str) -> (tokio::sync::mpsc::Sender<Bytes>, reqwest::RequestBuilder) {
    let (sender, receiver) = tokio::sync::mpsc::channel::<Bytes>(1);
    sender.send(Bytes::from(file.as_bytes()[..file.len() / 2].to_vec())).await.expect("sent");
    let chunks = stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|chunk| (Ok::<_, std::io::Error>(chunk), receiver))
    });
    let body = reqwest::Body::wrap_stream(chunks);
    (sender, server.request(Method::POST, "/api/v1/sessions/import").body(body))
}

fn second_half(file: &str) -> Bytes {
    Bytes::from(file.as_bytes()[file.len() / 2..].to_vec())
}

#[tokio::test]
async fn eight_files_are_received_at_a_time_and_nobody_sees_them_before() {
    let server = TestServer::start().await;
    let id = run(&server).await;
    let file = export(&server, &id).await;
    let (mut senders, mut waiting) = (Vec::new(), Vec::new());
    for _ in 0..8 {
        let (sender, request) = begun(&server, &file).await;
        waiting.push(tokio::spawn(answer(request)));
        senders.push(sender);
    }
    crate::harness::eventually("a ninth is put off", async || import(&server, "").await.0 == 503).await;
    let (_, list) = server.get("/api/v1/sessions").await;
    assert_eq!(list["sessions"].as_array().map(Vec::len), Some(1), "half a session is none");
    for sender in senders {
        sender.send(second_half(&file)).await.expect("sent");
    }
    let mut ids = vec![json!(id)];
    for answer in waiting {
        let (status, session) = answer.await.expect("an answer");
        assert_eq!(status, 201, "{session}");
        assert!(!ids.contains(&session["id"]));
        ids.push(session["id"].clone());
    }
    assert_eq!(lines(&file).len(), 1 + 22 + 2 + 2 + 1);
}

/// What a client decides the length of holds nothing that others wait for.
#[tokio::test]
async fn a_file_that_is_being_received_holds_neither_its_id_nor_a_connection() {
    let server = TestServer::start_with(|config| config.database.database_connections = 6).await;
    let id = run(&server).await;
    let file = export(&server, &id).await;
    server.call(Method::DELETE, &format!("/api/v1/sessions/{id}"), None).await;
    let (mut senders, mut waiting) = (Vec::new(), Vec::new());
    for _ in 0..7 {
        let (sender, request) = begun(&server, &file).await;
        waiting.push(tokio::spawn(answer(request)));
        senders.push(sender);
    }
    for sender in &senders {
        // The channel holds one piece: there is room again when the first has been taken.
        sender.reserve().await.expect("the first half is on its way");
    }
    let ready = server.request(Method::GET, "/readyz").send().await.expect("an answer");
    assert_eq!(ready.status(), 200);
    let (status, session) = server.post("/api/v1/sessions", json!({"id": id})).await;
    assert_eq!((status.as_u16(), &session["id"]), (201, &json!(id)), "whoever comes first has the id");
    for (sender, answer) in senders.into_iter().zip(waiting) {
        sender.send(second_half(&file)).await.expect("sent");
        drop(sender);
        let (status, session) = answer.await.expect("an answer");
        assert_eq!(status, 201, "{session}");
        assert_ne!(session["id"], json!(id));
    }
}

#[tokio::test]
async fn a_server_ends_beside_a_file_that_does_not() {
    let database = crate::harness::Database::create().await;
    let url = database.url();
    let server = crate::harness::ServerProcess::start(&[("DATABASE_URL", &*url), ("RELIVE_EMBEDDING_DIM", "8")]).await;
    let address = format!("http://{}/api/v1/sessions/import", server.address);
    let endless = stream::unfold(false, |begun| async move {
        if begun {
            std::future::pending::<()>().await;
        }
        Some((Ok::<_, std::io::Error>(Bytes::from_static(b"{\"type\":")), true))
    });
    let request = reqwest::Client::new().post(address).body(reqwest::Body::wrap_stream(endless));
    let waiting = tokio::spawn(request.send());
    let metrics = format!("http://{}/healthz", server.address);
    reqwest::get(metrics).await.expect("an answer");
    assert_eq!(server.terminate().await, Some(0));
    waiting.abort();
}

#[tokio::test]
async fn another_file_is_named_as_one() {
    let server = TestServer::start().await;
    for other in ["{\"hello\":1}\n", "not even JSON\n", "PK\u{3}\u{4}\n"] {
        let (status, problem) = import(&server, other).await;
        assert_eq!((status.as_u16(), &problem["line"]), (400, &json!(1)));
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains("not the export of a session"), "{detail}");
    }
}
