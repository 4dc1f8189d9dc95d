//! The archive in a bucket of an S3-compatible store.

use base64::Engine as _;
use rand::Rng as _;
use serde_json::{Value, json};

use crate::harness::bucket::{ACCESS_KEY, Bucket};
use crate::harness::{Database, ServerProcess, eventually};

/// As text a third more, which compresses back to this.
const TEXT_BYTES: usize = 700_000;

struct Server {
    process: ServerProcess,
    http: reqwest::Client,
}

impl Server {
    async fn start(database: &Database, settings: &[(&str, &str)]) -> Self {
        let url = database.url();
        let mut all = vec![("DATABASE_URL", url.as_str()), ("RELIVE_EMBEDDING_DIM", "8")];
        all.extend_from_slice(settings);
        Self { process: ServerProcess::start(&all).await, http: reqwest::Client::new() }
    }

    async fn call(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.http.request(method, format!("http://{}/api/v1{path}", self.process.address));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        (status, serde_json::from_slice(&answer.bytes().await.expect("a body")).unwrap_or_default())
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.call(reqwest::Method::POST, path, Some(body)).await
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.call(reqwest::Method::GET, path, None).await
    }

    /// A session that has ended, with this many texts that cannot be compressed.
    async fn ended(&self, texts: usize) -> String {
        let (status, session) = self.post("/sessions", json!({})).await;
        assert_eq!(status, 201, "{session}");
        let id = session["id"].as_str().expect("an id").to_owned();
        let path = format!("/sessions/{id}/commands");
        let mut commands = vec![json!({"type": "start"})];
        for _ in 0..texts {
            let mut bytes = vec![0; TEXT_BYTES];
            rand::rng().fill_bytes(&mut bytes);
            let text = base64::engine::general_purpose::STANDARD.encode(&bytes);
            commands.push(json!({"type": "addMessage", "nodeId": "n", "content": text}));
        }
        commands.push(json!({"type": "complete"}));
        for command in commands {
            let (status, answer) = self.post(&path, command).await;
            assert_eq!(status, 200, "{answer}");
        }
        id
    }
}

#[tokio::test]
async fn sessions_go_to_a_bucket_and_come_back() {
    let (database, bucket) = (Database::create().await, Bucket::start().await);
    let endpoint = bucket.endpoint();
    let settings = [
        ("RELIVE_ARCHIVE", "s3://runs/relive/a"),
        ("RELIVE_ARCHIVE_S3_ENDPOINT", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_REGION", "eu-central-1"),
    ];
    let server = Server::start(&database, &settings).await;
    let (small, large) = (server.ended(0).await, server.ended(14).await);
    let (_, before) = server.get(&format!("/sessions/{large}/messages?limit=14")).await;

    bucket.set_away(true);
    let (status, problem) = server.post("/archive", json!({"olderThanDays": 0})).await;
    assert_eq!((status, &problem["code"]), (503, &json!("unavailable")), "{problem}");
    assert_eq!(server.get(&format!("/sessions/{small}")).await.0, 200);
    bucket.set_away(false);

    let (status, answer) = server.post("/archive", json!({"olderThanDays": 0})).await;
    assert_eq!((status, &answer["archived"]), (200, &json!(2)), "{answer}");
    assert_eq!(bucket.keys().len(), 2);
    let key = async |id: &str| {
        let (_, record) = server.get(&format!("/archive/{id}")).await;
        format!("relive/a/{}", record["file"]["name"].as_str().expect("a name"))
    };
    let (small_key, large_key) = (key(&small).await, key(&large).await);
    assert!(bucket.keys().contains(&small_key) && bucket.keys().contains(&large_key), "{:?}", bucket.keys());
    assert_eq!(bucket.assembled(), [large_key], "a large file goes in parts");
    assert_eq!(server.get(&format!("/sessions/{small}")).await.1["archive"], format!("/api/v1/archive/{small}"));

    assert_eq!(server.post(&format!("/archive/{large}/restore"), json!({})).await.0, 201);
    assert_eq!(server.get(&format!("/sessions/{large}/messages?limit=14")).await.1, before);
    eventually("its file is removed", async || bucket.keys() == [small_key.clone()]).await;

    bucket.damage(&small_key);
    let (status, problem) = server.post(&format!("/archive/{small}/restore"), json!({})).await;
    assert_eq!((status, &problem["code"]), (500, &json!("internal")), "{problem}");
    bucket.damage(&small_key);
    assert_eq!(server.post(&format!("/archive/{small}/restore"), json!({})).await.0, 201);
    server.process.terminate().await;
}

#[tokio::test]
async fn keys_are_read_from_a_file_of_profiles() {
    let (database, bucket) = (Database::create().await, Bucket::start().await);
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("credentials");
    let text = format!(
        "[default]\naws_access_key_id = wrong\naws_secret_access_key = x\n\n[runs]\naws_access_key_id={ACCESS_KEY}\naws_secret_access_key=s\n"
    );
    std::fs::write(&file, text).expect("written");
    let endpoint = bucket.endpoint();
    let settings = [
        ("RELIVE_ARCHIVE", "s3://runs"),
        ("RELIVE_ARCHIVE_S3_ENDPOINT", endpoint.as_str()),
        ("AWS_SHARED_CREDENTIALS_FILE", file.to_str().expect("a path")),
        ("AWS_PROFILE", "runs"),
        ("AWS_ACCESS_KEY_ID", ""),
        ("AWS_REGION", "eu-central-1"),
    ];
    let server = Server::start(&database, &settings).await;
    let id = server.ended(0).await;
    let (status, answer) = server.post("/archive", json!({"olderThanDays": 0})).await;
    assert_eq!((status, &answer["archived"]), (200, &json!(1)), "{answer}");
    assert_eq!(server.post(&format!("/archive/{id}/restore"), json!({})).await.0, 201);
}
