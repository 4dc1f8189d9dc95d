//! PostgreSQL is killed and comes back while commands are under way.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::harness::{ServerProcess, Socket, eventually};
use crate::story::{get, journal, running_session, usage};

/// A server with a PostgreSQL of its own.
struct Embedded {
    server: ServerProcess,
    data: tempfile::TempDir,
}

impl Embedded {
    async fn start() -> Self {
        let data = tempfile::tempdir().expect("a directory");
        open(data.path());
        let path = data.path().to_str().expect("a text").to_owned();
        let server = ServerProcess::start(&[("RELIVE_DATA_DIR", &path), ("RELIVE_EMBEDDING_DIM", "8")]).await;
        Self { server, data }
    }

    fn postmaster_file(&self) -> PathBuf {
        self.data.path().join("postgres/postmaster.pid")
    }

    fn postmaster(&self) -> Option<i32> {
        std::fs::read_to_string(self.postmaster_file()).ok()?.lines().next()?.parse().ok()
    }

    /// `kill -9`, and nothing that could take its place until [`Embedded::bring_back`]. Its backends
    /// would commit for a moment longer than it lives, so they are killed with it.
    async fn take_away(&self) {
        let (settings, aside) = self.settings();
        std::fs::rename(settings, aside).expect("settings");
        let postmaster = self.postmaster().expect("a postmaster");
        let children = std::fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children"));
        let children = children.unwrap_or_default();
        let all: Vec<i32> = children.split_whitespace().map(|pid| pid.parse().expect("a pid")).collect();
        kill(Pid::from_raw(postmaster), Signal::SIGKILL).expect("killed");
        for backend in &all {
            // It may have noticed by itself.
            let _ = kill(Pid::from_raw(*backend), Signal::SIGKILL);
        }
        let runs = |pid: &i32| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok();
        eventually("the backends' end", || async { !all.iter().any(runs) }).await;
    }

    fn bring_back(&self) {
        let (settings, aside) = self.settings();
        std::fs::rename(aside, settings).expect("settings");
    }

    fn settings(&self) -> (PathBuf, PathBuf) {
        let settings = self.data.path().join("postgres/pg_hba.conf");
        let aside = settings.with_extension("aside");
        (settings, aside)
    }

    async fn until_ready(&self, status: u16) {
        eventually("readyz", || async { get(self.server.address, "/readyz").await.0 == status }).await;
    }

    async fn state(&self, id: &str) -> Value {
        get(self.server.address, &format!("/api/v1/sessions/{id}")).await.1
    }
}

/// The database's own user passes through, whatever the umask.
fn open(directory: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o711)).expect("permissions");
}

/// What became of the usages one driver recorded.
#[derive(Default)]
struct Tally {
    acked: AtomicU64,
    refused: AtomicU64,
}

/// Records usage without command ids, eight at a time, until told to stop.
fn drive(address: std::net::SocketAddr, id: String, stop: Arc<AtomicBool>, tally: Arc<Tally>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut socket = Socket::open(address, "/ws").await;
        while !stop.load(Relaxed) {
            for _ in 0..8 {
                socket.send(json!({"type": "command", "id": "u", "sessionId": id, "command": usage()})).await;
            }
            for _ in 0..8 {
                let answer = socket.frame().await;
                if answer["type"] == "ack" {
                    assert_eq!(answer["duplicate"], Value::Null);
                    tally.acked.fetch_add(1, Relaxed);
                } else {
                    assert_eq!((&answer["code"], &answer["retryable"]), (&json!("unavailable"), &json!(true)));
                    tally.refused.fetch_add(1, Relaxed);
                }
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_and_nothing_counts_twice() {
    let embedded = Embedded::start().await;
    let address = embedded.server.address;
    let stop = Arc::new(AtomicBool::new(false));
    let mut drivers = Vec::new();
    for _ in 0..4 {
        let id = running_session(address).await;
        let tally = Arc::new(Tally::default());
        let task = drive(address, id.clone(), Arc::clone(&stop), Arc::clone(&tally));
        drivers.push((id, tally, task));
    }
    let mut watcher = Socket::open(address, &format!("/ws/sessions/{}", drivers[0].0)).await;
    let watching = tokio::spawn(async move {
        let mut seen = 0;
        loop {
            let frame = watcher.frame().await;
            assert_eq!(frame["type"], "snapshot", "{frame}");
            let revision = frame["revision"].as_u64().expect("a revision");
            assert!(revision > seen, "an older state after a newer one");
            seen = revision;
            if frame["session"]["contextData"]["done"] == true {
                return;
            }
        }
    });

    let everyone_is_past = |more: u64| {
        let targets: Vec<u64> = drivers.iter().map(|(_, tally, _)| tally.acked.load(Relaxed) + more).collect();
        let drivers = &drivers;
        eventually("progress", move || {
            let done = drivers.iter().zip(&targets).all(|((_, tally, _), target)| tally.acked.load(Relaxed) >= *target);
            async move { done }
        })
    };
    for _ in 0..3 {
        everyone_is_past(40).await;
        let killed = embedded.postmaster().expect("a postmaster");
        kill(Pid::from_raw(killed), Signal::SIGKILL).expect("killed");
        // By itself, with nobody's help. Its backends may answer a little longer than it lives.
        let is_replaced = || async { embedded.postmaster().is_some_and(|postmaster| postmaster != killed) };
        eventually("another postmaster", is_replaced).await;
        everyone_is_past(40).await;
    }
    stop.store(true, Relaxed);
    for (id, tally, task) in drivers {
        task.await.expect("a driver");
        let (acked, refused) = (tally.acked.load(Relaxed), tally.refused.load(Relaxed));
        let journal = journal(address, &id).await;
        let counted = journal.iter().filter(|event| event["event"]["type"] == "usageRecorded").count() as u64;
        assert!(acked <= counted && counted <= acked + refused, "{acked} acked, {refused} refused, {counted} counted");
        assert_eq!(embedded.state(&id).await["totalTokens"], counted);
        let done = json!({"type": "setContext", "key": "done", "value": true});
        let commands = format!("http://{address}/api/v1/sessions/{id}/commands");
        assert!(
            reqwest::Client::new().post(commands).json(&done).send().await.expect("an answer").status().is_success()
        );
    }
    watching.await.expect("the viewer saw everything");
    embedded.server.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_it_is_away_viewers_keep_what_they_have_and_readiness_says_so() {
    let embedded = Embedded::start().await;
    let address = embedded.server.address;
    let id = running_session(address).await;
    let mut watcher = Socket::open(address, &format!("/ws/sessions/{id}")).await;
    assert_eq!(watcher.frame().await["revision"], 2);
    embedded.until_ready(200).await;
    embedded.take_away().await;
    embedded.until_ready(503).await;
    assert_eq!(get(address, "/healthz").await.0, 200);

    // The command waits; what it will lead to is not to be seen anywhere.
    let mut driver = Socket::open(address, "/ws").await;
    driver.send(json!({"type": "command", "id": "w", "sessionId": id, "command": usage()})).await;
    assert!(driver.is_quiet(Duration::from_millis(200)).await);
    assert_eq!(embedded.state(&id).await["revision"], 2, "a state that is not durable");
    // A refusal that rests on what is not durable yet waits as well.
    let twice = |frame: &str| json!({"type": "command", "id": frame, "sessionId": id, "command": {"type": "pause"}});
    driver.send(twice("p1")).await;
    driver.send(twice("p2")).await;
    assert!(driver.is_quiet(Duration::from_millis(200)).await);
    assert!(watcher.is_quiet(Duration::from_millis(50)).await);
    // One that rests on what is durable does not.
    let other = json!({"type": "command", "id": "x", "sessionId": id, "command": {"type": "setContext", "key": "", "value": 1}});
    driver.send(other).await;

    embedded.bring_back();
    let mut answers = Vec::new();
    for _ in 0..4 {
        let answer = driver.frame().await;
        answers.push((
            answer["id"].as_str().expect("an id").to_owned(),
            answer["type"].clone(),
            answer["code"].clone(),
        ));
    }
    answers.sort_by(|one, other| one.0.cmp(&other.0));
    let expected = [
        ("p1", "ack", Value::Null),
        ("p2", "error", json!("illegal_transition")),
        ("w", "ack", Value::Null),
        ("x", "error", json!("bad_request")),
    ];
    assert_eq!(answers, expected.map(|(id, kind, code)| (id.to_owned(), json!(kind), code)));
    embedded.until_ready(200).await;
    watcher.until(|frame| frame["session"]["status"] == "paused").await;
    assert_eq!(embedded.state(&id).await["totalTokens"], 1);
    assert_eq!(journal(address, &id).await.len(), 4);
    embedded.server.kill().await;
}
