//! A server in this process, started as `main` starts it.

use relive::config::{
    AccessConfig, ArchiveConfig, DatabaseConfig, EmailConfig, EmbeddingsConfig, EngineConfig, HttpConfig, LogConfig,
    MessagingConfig, ProxyConfig, ServeConfig, TlsConfig, TracesConfig, WebhookConfig,
};
use relive::server::{Server, listen};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::check::assert_problem;
use super::database::Database;
use super::events::EventSource;
use super::socket::Socket;
use super::tls::TlsFiles;

/// Settings of a test server on `database`: any free port, few connections.
pub fn config(database: &Database) -> ServeConfig {
    ServeConfig {
        listen: std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into(),
        database: DatabaseConfig {
            config_file: None,
            database_url: Some(database.url()),
            data_dir: "unused".into(),
            postgres_bin: None,
            database_connections: 10,
            lanes: Some(2),
            embedding_dim: 8,
        },
        access: AccessConfig::default(),
        http: HttpConfig::default(),
        tls: TlsConfig::default(),
        proxy: ProxyConfig::default(),
        messaging: MessagingConfig::default(),
        log: LogConfig::default(),
        traces: TracesConfig::default(),
        embeddings: EmbeddingsConfig::default(),
        engine: EngineConfig::default(),
        webhooks: WebhookConfig::default(),
        email: EmailConfig::default(),
        archive: ArchiveConfig::default(),
        model_prices: None,
        max_sockets: 10_000,
        max_import_bytes: 4 << 30,
        idle_seconds: 60.0,
        trace_idle_seconds: 30.0,
        answer_within_seconds: 8.0,
        command_id_hours: 24,
    }
}

pub struct TestServer {
    pub database: Database,
    address: std::net::SocketAddr,
    /// The certificate, if it speaks TLS.
    tls: Option<TlsFiles>,
    http: reqwest::Client,
    stop: CancellationToken,
    running: Option<JoinHandle<()>>,
}

/// A client that asks for nothing packed unless a test does.
fn plain_client() -> reqwest::Client {
    reqwest::Client::builder().no_gzip().no_deflate().build().expect("a client")
}

impl TestServer {
    /// A server on a database of its own.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// As [`TestServer::start`], with other settings.
    pub async fn start_with(change: impl FnOnce(&mut ServeConfig)) -> Self {
        Self::start_on(Database::create().await, change).await
    }

    /// A server on a database that exists.
    pub async fn start_on(database: Database, change: impl FnOnce(&mut ServeConfig)) -> Self {
        Self::launch(database, None, change).await
    }

    /// As [`TestServer::start_with`], with TLS; its clients trust the certificate.
    pub async fn start_tls(change: impl FnOnce(&mut ServeConfig)) -> Self {
        Self::launch(Database::create().await, Some(TlsFiles::create()), change).await
    }

    async fn launch(database: Database, tls: Option<TlsFiles>, change: impl FnOnce(&mut ServeConfig)) -> Self {
        let mut config = config(&database);
        config.tls.tls_cert = tls.as_ref().map(TlsFiles::certificate);
        config.tls.tls_key = tls.as_ref().map(TlsFiles::key);
        change(&mut config);
        let listener = listen(&config).await.expect("listen");
        let server = Server::prepare(listener, &config).await.expect("prepare");
        let address = server.address();
        let stop = CancellationToken::new();
        let running = tokio::spawn(server.run(stop.clone().cancelled_owned()));
        let http = tls.as_ref().map_or_else(plain_client, TlsFiles::http);
        Self { database, address, tls, http, stop, running: Some(running) }
    }

    /// Stops the server and waits for it; returns its database for another one.
    pub async fn stop(mut self) -> Database {
        self.stop.cancel();
        self.running.take().expect("running").await.expect("the server ends well");
        self.database.clone()
    }

    pub fn address(&self) -> std::net::SocketAddr {
        self.address
    }

    /// The certificate of a server that speaks TLS.
    pub fn tls(&self) -> &TlsFiles {
        self.tls.as_ref().expect("a server with TLS")
    }

    pub fn url(&self, path: &str) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address)
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, self.url(path))
    }

    /// Sends a request and returns status and body (`null` when it is empty).
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        answer(request).await
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.call(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        self.call(Method::POST, path, Some(body)).await
    }

    /// A new session without a graph; returns its id.
    pub async fn new_session(&self) -> String {
        self.create(json!({})).await
    }

    pub async fn create(&self, request: Value) -> String {
        let (status, session) = self.post("/api/v1/sessions", request).await;
        assert_eq!(status, StatusCode::CREATED, "{session}");
        session["id"].as_str().expect("an id").to_owned()
    }

    /// A new session that is running.
    pub async fn running_session(&self) -> String {
        let id = self.new_session().await;
        self.command(&id, json!({"type": "start"})).await;
        id
    }

    /// Carries out a command (or an array of them) that must be accepted; returns the revision.
    pub async fn command(&self, id: &str, command: Value) -> u64 {
        let (status, receipt) = self.post(&format!("/api/v1/sessions/{id}/commands"), command).await;
        assert_eq!(status, StatusCode::OK, "{receipt}");
        receipt["revision"].as_u64().expect("a revision")
    }

    /// Sends a request that must be answered with this error code, as a problem document.
    pub async fn refused(&self, method: Method, path: &str, body: Option<Value>, code: &str) -> Value {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        problem(request, code).await
    }

    /// The state of a session, live or (`?revision=N`) as it was.
    pub async fn session(&self, id_and_query: &str) -> Value {
        let (status, session) = self.get(&format!("/api/v1/sessions/{id_and_query}")).await;
        assert_eq!(status, StatusCode::OK, "{session}");
        session
    }

    /// All events of a session, as they are stored.
    pub async fn events(&self, id: &str) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let path = format!("/api/v1/sessions/{id}/events?limit=1000&after={}", events.len());
            let (status, mut page) = self.get(&path).await;
            assert_eq!(status, StatusCode::OK, "{page}");
            events.append(page["events"].as_array_mut().expect("events"));
            if page["nextAfter"].is_null() {
                return events;
            }
        }
    }

    /// Opens an event stream, such as `/api/v1/sessions/{id}/stream`.
    pub async fn stream(&self, path: &str) -> EventSource {
        EventSource::open(self.request(Method::GET, path)).await
    }

    /// Opens a WebSocket, such as `/ws` or `/ws/sessions/{id}?mode=events`.
    pub async fn socket(&self, path: &str) -> Socket {
        match &self.tls {
            Some(files) => Socket::open_tls(self.address, path, files.client()).await,
            None => Socket::open(self.address, path).await,
        }
    }
}

/// Sends a request and returns status and body (`null` when it is empty).
pub async fn answer(request: reqwest::RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.expect("an answer");
    let status = response.status();
    let bytes = response.bytes().await.expect("a body");
    (status, if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).expect("JSON") })
}

/// Sends a request that must be answered with this error code, as a problem document.
pub async fn problem(request: reqwest::RequestBuilder, code: &str) -> Value {
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    let content_type = response.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or("");
    let content_type = content_type.to_owned();
    let body = response.json().await.expect("JSON");
    assert_problem(status, &content_type, &body, code);
    body
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
