//! `relive backup` and `relive restore`, while servers run, as docs/backup.md has them.

use std::path::Path;

use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::harness::{Database, Ran, ServerProcess, TestServer, relive};

/// Sessions that something is written to while a backup is made.
const SESSIONS: usize = 8;

/// Clients that write without a pause, each into a session of its own, until they are told to stop. An answer is counted
/// when it is there.
struct Load {
    stop: CancellationToken,
    writers: JoinSet<()>,
}

impl Load {
    /// Returns when every session has some events.
    async fn start(address: &str) -> Self {
        let (stop, mut writers) = (CancellationToken::new(), JoinSet::new());
        let (ready, mut are_ready) = tokio::sync::mpsc::channel(SESSIONS);
        for _ in 0..SESSIONS {
            let (address, stop, ready) = (address.to_owned(), stop.clone(), ready.clone());
            writers.spawn(async move {
                let http = Client::new();
                let sessions = format!("{address}/api/v1/sessions");
                let made: Value =
                    http.post(&sessions).json(&json!({})).send().await.expect("sent").json().await.expect("JSON");
                let commands = format!("{sessions}/{}/commands", made["id"].as_str().expect("an id"));
                let send = async |command: Value| {
                    let answer = http.post(&commands).json(&command).send().await.expect("an answer");
                    assert!(answer.status().is_success(), "{}", answer.status());
                };
                send(json!([{"type": "start"}, {"type": "setNodeStatus", "nodeId": "n", "status": "running"}])).await;
                let mut round = 0;
                while !stop.is_cancelled() {
                    send(json!({"type": "setContext", "key": format!("k{}", round % 20), "value": round})).await;
                    send(json!({"type": "addMessage", "nodeId": "n", "content": format!("größer {round}")})).await;
                    round += 1;
                    if round == 5 {
                        ready.send(()).await.expect("somebody waits");
                    }
                }
            });
        }
        for _ in 0..SESSIONS {
            are_ready.recv().await.expect("a writer");
        }
        Self { stop, writers }
    }

    async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.writers.join_next().await {
            ended.expect("no writer failed");
        }
    }
}

async fn get(address: &str, path: &str) -> Value {
    let answer = Client::new().get(format!("{address}{path}")).send().await.expect("an answer");
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
    answer.json().await.expect("JSON")
}

/// The ids and revisions of all sessions.
async fn revisions(address: &str) -> Vec<(String, u64)> {
    let list = get(address, "/api/v1/sessions?limit=100").await;
    let sessions = list["sessions"].as_array().expect("sessions").iter();
    let pair = |session: &Value| {
        (session["id"].as_str().expect("an id").to_owned(), session["revision"].as_u64().expect("a revision"))
    };
    sessions.map(pair).collect()
}

/// That a server on a restored database has what there was before the backup began, and nothing that is incomplete.
async fn assert_restored(address: &str, before: &[(String, u64)]) {
    let restored = revisions(address).await;
    assert_eq!(restored.len(), SESSIONS);
    for (id, least) in before {
        let (_, revision) = restored.iter().find(|(found, _)| found == id).expect("the session");
        assert!(revision >= least, "{id}: {revision} < {least}");
        let (mut after, mut seen) = (0, Vec::new());
        while after < *revision {
            let page = get(address, &format!("/api/v1/sessions/{id}/events?limit=1000&after={after}")).await;
            let events = page["events"].as_array().expect("events");
            seen.extend(events.iter().map(|event| event["revision"].as_u64().expect("a revision")));
            after = *seen.last().expect("more events");
        }
        assert_eq!(seen, (1..=*revision).collect::<Vec<_>>(), "{id}");
    }
    // It goes on where it was.
    let (id, revision) = &restored[0];
    let commands = format!("{address}/api/v1/sessions/{id}/commands");
    let pause = Client::new().post(commands).json(&json!({"type": "pause"})).send().await.expect("an answer");
    assert_eq!(pause.json::<Value>().await.expect("JSON")["revision"], revision + 1);
}

fn succeeds(ran: &Ran) {
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

fn refused(ran: &Ran, why: &str) {
    assert!(ran.code == Some(1) && ran.said.contains(why), "{why}: {ran:?}");
}

fn path(directory: &tempfile::TempDir, name: &str) -> String {
    directory.path().join(name).display().to_string()
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn an_external_database_is_backed_up_under_load_and_restored() {
    let server = TestServer::start().await;
    let address = server.url("");
    let address = address.trim_end_matches('/');
    let directory = tempfile::tempdir().expect("a directory");
    let file = path(&directory, "relive.backup");
    let url = server.database.url();
    let from = [("DATABASE_URL", url.as_str())];

    let load = Load::start(address).await;
    let before = revisions(address).await;
    let made = relive(&["backup", &file], &from).await;
    load.stop().await;
    succeeds(&made);
    assert!(made.said.contains("8 sessions"), "{made:?}");
    let grown = revisions(address).await;
    assert!(
        grown.iter().map(|(_, revision)| revision).sum::<u64>() > before.iter().map(|(_, revision)| revision).sum()
    );
    assert_eq!(names(directory.path()), ["relive.backup"]);
    succeeds(&relive(&["backup", "--verify", &file], &[]).await);

    let target = Database::empty().await;
    let to_url = target.url();
    let to = [("DATABASE_URL", to_url.as_str())];
    let restored = relive(&["restore", &file], &to).await;
    succeeds(&restored);
    // The same, but for what was done.
    assert_eq!(restored.said.split_once(": ").map(|it| it.0), Some("relive"));
    assert_eq!(restored.said.rsplit_once("backup: ").map(|it| it.1), made.said.rsplit_once("backup: ").map(|it| it.1));
    let second = ServerProcess::start(&[("DATABASE_URL", &to_url)]).await;
    assert_restored(&format!("http://{}", second.address), &before).await;

    // A database that is used, or has something, stays as it is.
    refused(&relive(&["restore", &file], &to).await, "a server is running on the database");
    assert_eq!(second.terminate().await, Some(0));
    refused(&relive(&["restore", &file], &to).await, "the database is not empty");
    succeeds(&relive(&["restore", "--replace", &file], &to).await);
    let third = ServerProcess::start(&[("DATABASE_URL", &to_url)]).await;
    assert_restored(&format!("http://{}", third.address), &before).await;
    assert_eq!(third.terminate().await, Some(0));
}

#[tokio::test]
async fn the_embedded_database_is_backed_up_under_load_and_restored() {
    let directory = tempfile::tempdir().expect("a directory");
    open(directory.path());
    let (data, other) = (path(&directory, "data"), path(&directory, "other"));
    let file = path(&directory, "relive.backup");
    let server = ServerProcess::start(&[("RELIVE_DATA_DIR", &data)]).await;
    let address = format!("http://{}", server.address);
    let load = Load::start(&address).await;
    let before = revisions(&address).await;
    let made = relive(&["backup", &file, "--data-dir", &data], &[]).await;
    load.stop().await;
    succeeds(&made);
    // Without a server, which also has what was written after the first.
    assert_eq!(server.terminate().await, Some(0));
    let last = path(&directory, "last.backup");
    succeeds(&relive(&["backup", &last, "--data-dir", &data], &[]).await);

    for (file, place) in [(&file, &other), (&last, &path(&directory, "third"))] {
        succeeds(&relive(&["restore", file, "--data-dir", place], &[]).await);
        let restored = ServerProcess::start(&[("RELIVE_DATA_DIR", place)]).await;
        assert_restored(&format!("http://{}", restored.address), &before).await;
        assert_eq!(restored.terminate().await, Some(0));
    }
    refused(&relive(&["backup", &file, "--data-dir", &path(&directory, "none")], &[]).await, "there is no database");
}

/// Lets the user that PostgreSQL runs as pass through.
fn open(directory: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o711)).expect("permissions");
}

#[tokio::test]
async fn a_file_that_was_altered_is_refused_before_anything_is_changed() {
    let server = TestServer::start().await;
    server.running_session().await;
    let directory = tempfile::tempdir().expect("a directory");
    let file = path(&directory, "relive.backup");
    let url = server.database.url();
    succeeds(&relive(&["backup", &file], &[("DATABASE_URL", &url)]).await);
    let whole = std::fs::read(&file).expect("the file");
    let target = Database::empty().await.url();
    let find = |text: &[u8]| whole.windows(text.len()).position(|part| part == text).expect("there");
    let newer = |bytes: &mut Vec<u8>| {
        let at = find(b"\"schemaVersion\": ") + 17;
        bytes[at..at + 2].copy_from_slice(b"99");
    };
    type Change<'a> = Box<dyn Fn(&mut Vec<u8>) + 'a>;
    let changes: [(Change, &str); 6] = [
        (Box::new(|bytes: &mut Vec<u8>| bytes[2_000] ^= 1), "does not have the checksum"),
        (Box::new(|bytes: &mut Vec<u8>| bytes.truncate(3_000)), "it ends within the dump"),
        (Box::new(|bytes: &mut Vec<u8>| bytes.truncate(find(b"manifest.json"))), "it ends before the manifest"),
        (Box::new(|bytes: &mut Vec<u8>| *bytes = b"no backup".to_vec()), "is not a backup of relive"),
        (Box::new(|bytes: &mut Vec<u8>| bytes[0] ^= 1), "is not a backup of relive"),
        (Box::new(newer), "the schema 99"),
    ];
    for (change, why) in changes {
        let mut bytes = whole.clone();
        change(&mut bytes);
        let altered = path(&directory, "altered.backup");
        std::fs::write(&altered, bytes).expect("written");
        refused(&relive(&["restore", &altered], &[("DATABASE_URL", &target)]).await, why);
        if why != "the schema 99" {
            refused(&relive(&["backup", "--verify", &altered], &[]).await, why);
        }
    }
    // A manifest that says more than the dump has.
    let mut bytes = whole.clone();
    let at = find(b"\"sessions\": 1") + 12;
    bytes[at] = b'2';
    let altered = path(&directory, "altered.backup");
    std::fs::write(&altered, bytes).expect("written");
    refused(&relive(&["backup", "--verify", &altered], &[]).await, "sessions has 1 rows, and 2 by the manifest");
    // Nothing was restored by any of these.
    succeeds(&relive(&["restore", &file], &[("DATABASE_URL", &target)]).await);
}

#[tokio::test]
async fn what_cannot_be_done_is_said_and_leaves_no_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = path(&directory, "relive.backup");
    let unprepared = Database::empty().await.url();
    refused(&relive(&["backup", &file], &[("DATABASE_URL", &unprepared)]).await, "nothing to back up");
    let url = Database::create().await.url();
    let without = [("DATABASE_URL", url.as_str()), ("RELIVE_POSTGRES_BIN", "/nowhere")];
    refused(&relive(&["backup", &file], &without).await, "there is no pg_dump");
    let nowhere = path(&directory, "nowhere/relive.backup");
    refused(&relive(&["backup", &nowhere], &[("DATABASE_URL", &url)]).await, "cannot write");
    refused(&relive(&["restore", &file], &[("DATABASE_URL", &unprepared)]).await, "cannot read");
    assert!(names(directory.path()).is_empty(), "{:?}", names(directory.path()));
}
