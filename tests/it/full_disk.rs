//! A database whose disk is full: nothing is claimed to work, nothing is lost, and all is well soon after
//! there is room again.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use relive::storage::cluster::{Cluster, ClusterOptions};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::{ServerProcess, SmallDisk, TestServer, eventually, left_out};

/// How soon after room was made.
const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn while_the_disk_is_full_the_server_is_not_ready_and_soon_after_it_is() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o711)).expect("permissions");
    let data = directory.path().join("data");
    let Some(disk) = SmallDisk::mount(&data) else {
        return left_out("a full disk", "only root can mount a file system");
    };
    let options = ClusterOptions { data_dir: data, postgres_bin: None, durable: false };
    let cluster = Cluster::start(options).await.expect("PostgreSQL starts");
    let options = cluster.connect_options();
    let (socket, port) = (options.get_socket().expect("a socket").clone(), options.get_port());
    let url = format!("postgres://postgres@localhost/relive?host={}&port={port}", socket.display());
    let server = ServerProcess::start(&[("DATABASE_URL", &url), ("RELIVE_EMBEDDING_DIM", "8")]).await;
    let base = format!("http://{}", server.address);
    let http = reqwest::Client::new();
    let ready = async || http.get(format!("{base}/readyz")).send().await.expect("an answer").status();
    let create = async || {
        let request = http.post(format!("{base}/api/v1/sessions")).json(&json!({}));
        request.send().await.expect("an answer")
    };
    let id = create().await.json::<Value>().await.expect("JSON")["id"].as_str().expect("an id").to_owned();
    let note = async |number: u32, text: &str| {
        let command = json!({"type": "setContext", "key": format!("k{number}"), "value": text});
        let request = http.post(format!("{base}/api/v1/sessions/{id}/commands")).json(&command);
        request.header("Idempotency-Key", number.to_string()).send().await.expect("an answer").status().as_u16()
    };
    assert_eq!((ready().await.as_u16(), note(0, "x").await), (200, 200));

    disk.fill();
    eventually("not ready", async || ready().await == 503).await;
    let large: String =
        (0..60_000).map(|number: u32| char::from(b'a' + (number.wrapping_mul(number) >> 7) as u8 % 26)).collect();
    let mut number = 1;
    // Pages that exist have room for a few small ones.
    while note(number, &large).await == 200 {
        number += 1;
        assert!(number < 200, "the disk is not full");
    }
    assert_eq!(ready().await, 503, "writes fail");

    disk.empty();
    let began = Instant::now();
    eventually("ready", async || ready().await == 200).await;
    // What was refused is carried out when it is asked for again, once.
    for number in 0..=number {
        eventually("written", async || note(number, if number == 0 { "x" } else { &large }).await == 200).await;
    }
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    let session: Value =
        http.get(format!("{base}/api/v1/sessions/{id}")).send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(session["contextData"].as_object().expect("an object").len(), number as usize + 1);
    assert_eq!(session["revision"], number + 2, "each was carried out once");
    assert_eq!(server.terminate().await, Some(0));
    cluster.stop().await.expect("PostgreSQL stops");
}

/// A disk with a little room left takes a probe, and not a large write.
#[tokio::test]
async fn a_write_that_found_no_room_makes_the_server_not_ready_for_a_moment() {
    let server = TestServer::start().await;
    let storage = server.database.storage();
    let pool = storage.pool();
    let full = "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$;
                CREATE TRIGGER full_disk BEFORE INSERT ON sessions EXECUTE FUNCTION full_disk()";
    sqlx::raw_sql(full).execute(pool).await.expect("no room");
    let ready = async || server.request(Method::GET, "/readyz").send().await.expect("an answer").status();
    assert_eq!(ready().await, 200);
    assert_eq!(server.call(Method::POST, "/api/v1/sessions", Some(json!({}))).await.0, 503);
    assert_eq!(ready().await, 503);
    sqlx::raw_sql("DROP TRIGGER full_disk ON sessions").execute(pool).await.expect("room");
    eventually("ready", async || ready().await == 200).await;
    assert_eq!(server.call(Method::POST, "/api/v1/sessions", Some(json!({}))).await.0, 201);
}
