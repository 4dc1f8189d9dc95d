//! Three servers on one database, and what is done to them.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::RngExt as _;
use rand::rngs::StdRng;
use relive::storage::cluster::{Cluster, ClusterOptions};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::proxy::Proxy;
use crate::harness::ServerProcess;

const SERVERS: usize = 3;
/// Of the built-in engine: short, so that a server that stands still for longer is overtaken.
const LEASE: Duration = Duration::from_secs(2);

/// Something that breaks, and is mended before the next fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    KillServer,
    StopServer,
    KillDatabase,
    CutConnections,
    SilentConnections,
    FullDisk,
}

impl Fault {
    pub fn random(random: &mut StdRng) -> Self {
        match random.random_range(0..20) {
            0..9 => Self::KillServer,
            9..13 => Self::KillDatabase,
            13..16 => Self::CutConnections,
            16..17 => Self::SilentConnections,
            17..18 => Self::FullDisk,
            _ => Self::StopServer,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::KillServer => "kill -9 of a server",
            Self::StopServer => "SIGSTOP of a server",
            Self::KillDatabase => "kill -9 of PostgreSQL",
            Self::CutConnections => "connections cut",
            Self::SilentConnections => "connections silent",
            Self::FullDisk => "full disk",
        }
    }
}

struct Place {
    address: SocketAddr,
    proxy: Proxy,
    process: Mutex<Option<ServerProcess>>,
}

pub struct Fleet {
    cluster: Cluster,
    places: Vec<Place>,
    http: reqwest::Client,
    disk: Option<SmallDisk>,
    _directory: TempDir,
}

impl Fleet {
    pub async fn start() -> Self {
        let directory = open_directory();
        let data = directory.path().join("data");
        let disk = SmallDisk::mount(&data);
        let options = ClusterOptions { data_dir: data, postgres_bin: None, durable: true };
        let cluster = Cluster::start(options).await.expect("PostgreSQL starts");
        let sockets = cluster.connect_options().get_socket().expect("a Unix socket").clone();
        let port = cluster.connect_options().get_port();
        let mut places = Vec::new();
        for number in 0..SERVERS {
            let proxy = Proxy::start(directory.path().join(format!("proxy-{number}")), port, &sockets);
            let address = free_address();
            let process = Mutex::new(Some(start_server(address, &proxy.directory, port, None).await));
            places.push(Place { address, proxy, process });
        }
        let http = reqwest::Client::builder().timeout(Duration::from_secs(15)).build().expect("a client");
        Self { cluster, places, http, disk, _directory: directory }
    }

    /// The address of one of the servers, whether it is alive or not.
    pub fn any(&self, random: &mut StdRng) -> SocketAddr {
        self.places[random.random_range(0..SERVERS)].address
    }

    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Breaks something for a moment.
    pub async fn inject(&self, fault: Fault, random: &mut StdRng) {
        let place = &self.places[random.random_range(0..SERVERS)];
        sleep(Duration::from_millis(random.random_range(20..400))).await;
        match fault {
            Fault::KillServer => {
                let mut process = place.process.lock().await;
                if let Some(process) = process.take() {
                    process.kill().await;
                }
                let clock = [None, None, Some("+1h"), Some("-1h")][random.random_range(0..4)];
                *process = Some(self.start_at(place, clock).await);
            }
            Fault::StopServer => {
                let process = place.process.lock().await;
                let Some(process) = &*process else { return };
                let pid = Pid::from_raw(process.pid());
                kill(pid, Signal::SIGSTOP).expect("stopped");
                sleep(LEASE + Duration::from_millis(500)).await;
                kill(pid, Signal::SIGCONT).expect("continued");
            }
            Fault::KillDatabase => {
                if let Some(pid) = self.cluster.postmaster_pid() {
                    let _ = kill(Pid::from_raw(pid.try_into().expect("a pid")), Signal::SIGKILL);
                }
            }
            Fault::CutConnections => place.proxy.cut(),
            Fault::SilentConnections => {
                place.proxy.fall_silent();
                sleep(Duration::from_secs(3)).await;
                place.proxy.forward();
            }
            Fault::FullDisk => {
                if let Some(disk) = &self.disk {
                    disk.fill();
                    sleep(Duration::from_millis(1_500)).await;
                    disk.empty();
                }
            }
        }
    }

    async fn start_at(&self, place: &Place, clock: Option<&str>) -> ServerProcess {
        start_server(place.address, &place.proxy.directory, self.cluster.connect_options().get_port(), clock).await
    }

    /// Nothing is broken any more.
    pub async fn heal(&self) {
        for place in &self.places {
            place.proxy.forward();
            let mut process = place.process.lock().await;
            if process.is_none() {
                *process = Some(self.start_at(place, None).await);
            }
        }
    }

    /// Runs of the built-in engine that take a few seconds.
    pub async fn start_engine_runs(&self, number: usize) -> Vec<String> {
        let node = |id: &str, kind: &str, next: &[&str], properties: Value| json!({"id": id, "type": kind, "name": id, "nextIds": next, "properties": properties});
        let graph = json!({"name": "a loop with pauses", "startNodeId": "s", "nodes": {
            "s": node("s", "start", &["d"], json!({})),
            "d": node("d", "delay", &["l"], json!({"seconds": 0.4})),
            "l": node("l", "loop", &["d", "e"], json!({"max_rounds": 12})),
            "e": node("e", "end", &[], json!({})),
        }});
        let mut runs = Vec::new();
        for _ in 0..number {
            let body = json!({"driver": "builtin", "graph": graph});
            let session = self.post("/api/v1/sessions", &body).await;
            let id = session["id"].as_str().expect("an id").to_owned();
            self.post(&format!("/api/v1/sessions/{id}/control"), &json!({"action": "start"})).await;
            runs.push(id);
        }
        runs
    }

    /// Of a server that works.
    pub async fn post(&self, path: &str, body: &Value) -> Value {
        let url = format!("http://{}{path}", self.places[0].address);
        let answer = self.http.post(url).json(body).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.expect("JSON")
    }

    async fn get(&self, path: &str) -> Value {
        let url = format!("http://{}{path}", self.places[0].address);
        loop {
            // Right after a fault, the database may still be on its way back.
            if let Ok(answer) = self.http.get(&url).send().await
                && answer.status().is_success()
            {
                return answer.json().await.expect("JSON");
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn session(&self, id: &str) -> Value {
        self.get(&format!("/api/v1/sessions/{id}")).await
    }

    /// A run once it has ended.
    pub async fn ended(&self, id: &str, within: Duration) -> Value {
        let deadline = Instant::now() + within;
        loop {
            let session = self.session(id).await;
            if session["completedAt"].is_string() {
                return session;
            }
            assert!(Instant::now() < deadline, "the run does not end: {session}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn journal(&self, id: &str) -> Vec<Value> {
        let mut events: Vec<Value> = Vec::new();
        loop {
            let page = self.get(&format!("/api/v1/sessions/{id}/events?limit=1000&after={}", events.len())).await;
            events.extend(page["events"].as_array().expect("events").iter().cloned());
            if page["nextAfter"].is_null() {
                return events;
            }
        }
    }

    pub async fn stop(self) {
        for place in self.places {
            let process = place.process.into_inner().expect("a server");
            assert_eq!(process.terminate().await, Some(0));
        }
        self.cluster.stop().await.expect("PostgreSQL stops");
    }
}

async fn start_server(address: SocketAddr, sockets: &Path, port: u16, clock: Option<&str>) -> ServerProcess {
    let url = format!("postgres://postgres@localhost/relive?host={}&port={port}", sockets.display());
    let (listen, lease) = (address.to_string(), LEASE.as_secs().to_string());
    let mut settings = vec![
        ("DATABASE_URL", url.as_str()),
        ("RELIVE_LISTEN", listen.as_str()),
        ("RELIVE_ENGINE_LEASE_SECONDS", lease.as_str()),
        ("RELIVE_EMBEDDING_DIM", "8"),
        ("RELIVE_LOG", "error"),
    ];
    let library = faketime();
    if let (Some(library), Some(clock)) = (&library, clock) {
        // Only the time of day is off; waiting takes as long as it does.
        settings.extend([("LD_PRELOAD", library.as_str()), ("FAKETIME", clock), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")]);
    }
    ServerProcess::start(&settings).await
}

/// Debian's package `libfaketime`, if it is installed.
fn faketime() -> Option<String> {
    let found =
        std::fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path().join("faketime/libfaketime.so.1"));
    found.into_iter().find(|path| path.exists()).map(|path| path.display().to_string())
}

fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

/// A directory that PostgreSQL's user can pass through.
fn open_directory() -> TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o711)).expect("permissions");
    directory
}

/// A file system in memory that can be filled; only root can mount one, elsewhere the fault is left out.
struct SmallDisk {
    mounted: PathBuf,
}

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() || !cfg!(target_os = "linux") {
            return None;
        }
        std::fs::create_dir_all(at).expect("a directory");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1g,mode=0711", "tmpfs"])
            .arg(at)
            .status()
            .is_ok_and(|status| status.success());
        mounted.then(|| Self { mounted: at.to_owned() })
    }

    fn filler(&self) -> PathBuf {
        self.mounted.join("filler")
    }

    fn fill(&self) {
        let mut file = std::fs::File::create(self.filler()).expect("a file");
        let piece = vec![0; 1024 * 1024];
        while file.write_all(&piece).is_ok() {}
        while file.write_all(&piece[..4096]).is_ok() {}
    }

    fn empty(&self) {
        std::fs::remove_file(self.filler()).expect("removed");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.mounted).status();
    }
}
