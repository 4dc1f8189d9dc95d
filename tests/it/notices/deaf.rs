//! A server that cannot listen, as behind a connection pooler: it works as one did before there were
//! notices, and says so.

use std::path::Path;
use std::process::Stdio;

use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::process::Command;

use super::promptly;
use crate::harness::{DEADLINE, Database, Socket, TestServer, context};
use crate::story::running_session;

/// The type of PostgreSQL's message that brings a notification.
const NOTIFICATION: u8 = b'A';

/// Passes everything on to PostgreSQL, and back all but notifications.
async fn swallow_notifications(listener: UnixListener, postgres: std::path::PathBuf) {
    loop {
        let (client, _) = listener.accept().await.expect("a connection");
        let server = UnixStream::connect(&postgres).await.expect("PostgreSQL");
        let ((mut from_client, to_client), (from_server, mut to_server)) = (client.into_split(), server.into_split());
        tokio::spawn(async move {
            let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
        });
        tokio::spawn(pass_back(from_server, to_client));
    }
}

/// Messages of PostgreSQL: a type, a length that counts itself, and so many bytes.
async fn pass_back(from: OwnedReadHalf, mut to: OwnedWriteHalf) -> std::io::Result<()> {
    let mut from = BufReader::new(from);
    loop {
        let (kind, length) = (from.read_u8().await?, from.read_u32().await?);
        let mut message = vec![kind];
        message.extend(length.to_be_bytes());
        message.resize(1 + length as usize, 0);
        from.read_exact(&mut message[5..]).await?;
        if kind != NOTIFICATION {
            to.write_all(&message).await?;
        }
    }
}

/// The database's address through the proxy.
fn through_proxy(database: &Database, directory: &Path) -> String {
    let options = database.options();
    let name = format!(".s.PGSQL.{}", options.get_port());
    let postgres = options.get_socket().expect("a socket").join(&name);
    let listener = UnixListener::bind(directory.join(name)).expect("a socket");
    tokio::spawn(swallow_notifications(listener, postgres));
    let url = database.url();
    let (base, query) = url.split_once("?host=").expect("a socket");
    let (_, port) = query.split_once('&').expect("a port");
    format!("{base}?host={}&{port}&sslmode=disable", directory.display())
}

#[tokio::test]
async fn a_server_that_hears_nothing_works_and_says_so() {
    let hearing = TestServer::start().await;
    let directory = tempfile::tempdir().expect("a directory");
    let url = through_proxy(&hearing.database, directory.path());
    let mut command = Command::new(env!("CARGO_BIN_EXE_relive"));
    command.arg("serve").env("DATABASE_URL", url).env("RELIVE_LISTEN", "127.0.0.1:0").env("RELIVE_LOG", "warn");
    command.env("RELIVE_EMBEDDING_DIM", "8").env("RELIVE_LANES", "2").kill_on_drop(true);
    let mut deaf = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("relive serve");
    let mut said = BufReader::new(deaf.stdout.take().expect("stdout")).lines();
    let mut logged = BufReader::new(deaf.stderr.take().expect("stderr")).lines();
    let ready = tokio::time::timeout(DEADLINE, said.next_line()).await.expect("in time").expect("a line");
    let address = ready.as_deref().and_then(|line| line.strip_prefix("listening on http://")).expect("an address");
    let address = address.parse().expect("an address");

    let warning = tokio::time::timeout(DEADLINE, logged.next_line()).await.expect("in time").expect("a line");
    assert!(warning.expect("a warning").contains("no notices from other servers"));

    let id = running_session(address).await;
    let mut viewer = Socket::open(address, &format!("/ws/sessions/{id}?mode=events&after=2")).await;
    let mut other = hearing.socket(&format!("/ws/sessions/{id}")).await;
    other.frame().await;
    // What it does itself is shown at once, and what others did when it meets it.
    hearing.command(&id, context("k", json!(1))).await;
    let path = format!("http://{address}/api/v1/sessions/{id}/commands");
    let sent = reqwest::Client::new().post(path).json(&context("k", json!(2))).send().await.expect("an answer");
    assert!(sent.status().is_success());
    for revision in [3, 4] {
        assert_eq!(promptly(viewer.frame()).await["revision"], revision);
    }
    // It tells others all the same.
    promptly(other.until(|frame| frame["revision"] == 4)).await;
    // Who has seen more elsewhere is not shown an older state here.
    hearing.command(&id, context("k", json!(3))).await;
    let mut returned = Socket::open(address, &format!("/ws/sessions/{id}?after=5")).await;
    let path = format!("http://{address}/api/v1/sessions/{id}/commands");
    let sent = reqwest::Client::new().post(path).json(&context("k", json!(4))).send().await.expect("an answer");
    assert!(sent.status().is_success());
    assert_eq!(promptly(returned.frame()).await["revision"], 6);
}
