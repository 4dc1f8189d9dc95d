//! What lies between the server and PostgreSQL fails: connections that lead nowhere, a failover, a
//! server that is down.

use std::process::Stdio;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::sync::mpsc;

use crate::harness::{
    DEADLINE, Database, Network, Postgres, TestServer, Traffic, WITHIN, context, eventually, problem,
};

async fn server_on(url: String) -> TestServer {
    TestServer::start_on(Database::create().await, |config| config.database.database_url = Some(url)).await
}

async fn status(server: &TestServer, method: Method, path: &str, body: Option<Value>) -> u16 {
    let mut request = server.request(method, path);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answered = tokio::time::timeout(WITHIN, request.send()).await;
    answered.expect("an answer in time").expect("an answer").status().as_u16()
}

/// Reading and writing, by whatever keeps connections of its own.
async fn is_well(server: &TestServer, session: &str) -> bool {
    let embedding = json!({"embedding": [1, 0, 0, 0, 0, 0, 0, 0]});
    let commands = format!("/api/v1/sessions/{session}/commands");
    for (path, body, expected) in [
        ("/api/v1/sessions", json!({}), 201),
        (&*commands, context("k", json!(1)), 200),
        ("/api/v1/memories/search", embedding, 200),
    ] {
        if status(server, Method::POST, path, Some(body)).await != expected {
            return false;
        }
    }
    status(server, Method::GET, "/readyz", None).await == 200
}

async fn silence(traffic: Traffic) {
    let postgres = Postgres::start().await;
    let network = Network::before(postgres.port).await;
    let server = server_on(format!("postgres://postgres@{}/relive", network.address)).await;
    let session = server.running_session().await;
    // Several connections, so that there are some to be found dead one after the other.
    let list = || status(&server, Method::GET, "/api/v1/sessions", None);
    futures_util::future::join_all((0..8).map(|_| list())).await;
    assert!(is_well(&server, &session).await);

    network.set(traffic);
    let began = Instant::now();
    let search = json!({"embedding": [1, 0, 0, 0, 0, 0, 0, 0]});
    let all = futures_util::future::join_all((0..8).map(|_| list()));
    let (lists, create, search) = tokio::join!(
        all,
        status(&server, Method::POST, "/api/v1/sessions", Some(json!({}))),
        status(&server, Method::POST, "/api/v1/memories/search", Some(search)),
    );
    assert_eq!((lists, create, search), (vec![503; 8], 503, 503));
    assert!(began.elapsed() < WITHIN, "{:?}", began.elapsed());
    // Once more, now that it is known.
    assert_eq!(list().await, 503);
    let told = problem(server.request(Method::GET, "/readyz"), "unavailable").await;
    assert_eq!(told["detail"], "the database does not answer");

    network.set(Traffic::Flows);
    let back = Instant::now();
    eventually("all is well", async || is_well(&server, &session).await).await;
    assert!(back.elapsed() < WITHIN, "{:?}", back.elapsed());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_stands_still_is_noticed_and_forgotten() {
    silence(Traffic::Stands).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_lead_nowhere_are_noticed_and_given_up() {
    silence(Traffic::IsLost).await;
}

/// A statement that takes long is no outage: the database answers others meanwhile.
#[tokio::test]
async fn a_statement_that_waits_for_a_lock_is_waited_for() {
    let server = TestServer::start().await;
    let storage = server.database.storage();
    let mut holder = storage.pool().begin().await.expect("a transaction");
    sqlx::raw_sql("LOCK TABLE sessions").execute(&mut *holder).await.expect("a lock");
    let list = server.call(Method::GET, "/api/v1/sessions", None);
    let release = async {
        // Longer than it takes to ask whether the database is there, and to be told.
        tokio::time::sleep(Duration::from_secs(6)).await;
        holder.rollback().await.expect("released");
    };
    let ((status, _), ()) = tokio::join!(list, release);
    assert_eq!(status, 200);
}

#[tokio::test]
async fn connections_that_became_read_only_leave_the_pool() {
    let postgres = Postgres::start().await;
    let server = server_on(postgres.url("127.0.0.1", "")).await;
    let session = server.running_session().await;
    assert!(is_well(&server, &session).await);
    // As after a failover: what was connected before is read-only, new connections are not.
    postgres
        .sql(&[
            "ALTER ROLE postgres SET default_transaction_read_only = off",
            "ALTER SYSTEM SET default_transaction_read_only = on",
            "SELECT pg_reload_conf()",
        ])
        .await;
    let began = Instant::now();
    eventually("all is well", async || is_well(&server, &session).await).await;
    for _ in 0..10 {
        assert!(is_well(&server, &session).await, "a read-only connection is still in use");
    }
    assert!(began.elapsed() < WITHIN, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_read_only_database_is_not_ready_and_can_be_read() {
    let postgres = Postgres::start().await;
    let server = server_on(postgres.url("127.0.0.1", "")).await;
    let session = server.running_session().await;
    let disconnect = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                      WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    postgres.sql(&["ALTER ROLE postgres SET default_transaction_read_only = on", disconnect]).await;
    let readiness = || status(&server, Method::GET, "/readyz", None);
    eventually("not ready", async || readiness().await == 503).await;
    assert_eq!(status(&server, Method::POST, "/api/v1/sessions", Some(json!({}))).await, 503);
    eventually("what is stored can be read", async || {
        status(&server, Method::GET, "/api/v1/sessions", None).await == 200
    })
    .await;
    assert_eq!(readiness().await, 503);
    let undo = "ALTER ROLE postgres RESET default_transaction_read_only";
    postgres.sql(&["SET default_transaction_read_only = off", undo]).await;
    eventually("all is well", async || is_well(&server, &session).await).await;
}

/// `relive serve` with its log, line by line.
struct Logged {
    child: tokio::process::Child,
    lines: mpsc::UnboundedReceiver<String>,
    seen: Vec<String>,
}

impl Logged {
    fn start(url: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_relive"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--database-url", url]).env("RELIVE_EMBEDDING_DIM", "8");
        command.env_remove("RELIVE_LOG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().expect("relive serve");
        let (sender, lines) = mpsc::unbounded_channel();
        let (stdout, stderr) = (child.stdout.take().expect("stdout"), child.stderr.take().expect("stderr"));
        let out = sender.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let _ = out.send(line);
            }
        });
        tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let _ = sender.send(line);
            }
        });
        Self { child, lines, seen: Vec::new() }
    }

    /// The next line with this text.
    async fn until(&mut self, text: &str) -> String {
        let next = async {
            while let Some(line) = self.lines.recv().await {
                self.seen.push(line.clone());
                if line.contains(text) {
                    return line;
                }
            }
            panic!("it ended without {text:?}: {:#?}", self.seen)
        };
        tokio::time::timeout(DEADLINE, next).await.expect(text)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_says_where_the_database_is_when_it_goes_and_when_it_is_back() {
    let mut postgres = Postgres::prepare().await;
    // With a password, which must not be in the log.
    let url = postgres.url("127.0.0.1", "").replace("postgres@", "postgres:s3cret@");
    let place = format!("127.0.0.1:{}", postgres.port);
    let mut server = Logged::start(&url);
    // Not there yet when the server starts.
    let away = server.until("the database is away").await;
    assert!(away.contains(&place) && away.contains("Connection refused"), "{away}");
    postgres.run(&[]).await;
    server.until("the database is back").await;
    server.until("listening on").await;
    postgres.stop();
    let away = server.until("the database is away").await;
    assert!(away.contains(&place), "{away}");
    postgres.run(&[]).await;
    server.until("the database is back").await;
    let lines = |text: &str| server.seen.iter().filter(|line| line.contains(text)).count();
    assert_eq!((lines("the database is away"), lines("the database is back")), (2, 2), "{:#?}", server.seen);
    assert!(!server.seen.iter().any(|line| line.contains("s3cret")), "{:#?}", server.seen);
}

#[tokio::test]
async fn a_server_that_is_refused_says_so_at_once() {
    let mut postgres = Postgres::prepare().await;
    postgres.rules("host all all all reject\n");
    postgres.run(&[]).await;
    let mut server = Logged::start(&postgres.url("127.0.0.1", ""));
    let said = server.until("cannot use the database").await;
    assert!(said.contains("pg_hba.conf"), "{said}");
    let ended = tokio::time::timeout(DEADLINE, server.child.wait()).await.expect("ended").expect("a status");
    assert_eq!(ended.code(), Some(1));
}
