//! Servers on one database, and what is done to them.

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
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};

use super::proxy::Proxy;
use crate::harness::{NatsServer, Proxy as Nginx, ServerProcess, SmallDisk};

/// How long a WebSocket may take to be opened.
const OPENED: Duration = Duration::from_secs(5);
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
    SilentBroker,
    FullDisk,
    StepClock,
}

impl Fault {
    pub fn random(random: &mut StdRng) -> Self {
        match random.random_range(0..24) {
            0..9 => Self::KillServer,
            9..13 => Self::KillDatabase,
            13..16 => Self::CutConnections,
            16..17 => Self::SilentConnections,
            17..18 => Self::FullDisk,
            18..20 => Self::StepClock,
            20..22 => Self::SilentBroker,
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
            Self::SilentBroker => "connections to NATS silent",
            Self::FullDisk => "full disk",
            Self::StepClock => "step of a clock",
        }
    }
}

/// What a fleet is made of.
#[derive(Default)]
pub struct Parts {
    pub servers: usize,
    /// Takes notices between the servers, each of which reaches it by a proxy of its own.
    pub nats: Option<NatsServer>,
    /// Drivers and viewers reach the servers by nginx alone.
    pub is_behind_nginx: bool,
    /// The disk of PostgreSQL can be filled up.
    pub has_small_disk: bool,
}

struct Place {
    address: SocketAddr,
    proxy: Proxy,
    /// Where PostgreSQL's socket is for this server: that of the proxy.
    sockets: PathBuf,
    /// The proxy in front of NATS, and the address by which the server reaches that.
    broker: Option<(Proxy, String)>,
    is_behind_nginx: bool,
    clock: Option<Clock>,
    process: Mutex<Option<ServerProcess>>,
}

pub struct Fleet {
    cluster: Cluster,
    places: Vec<Place>,
    nginx: Option<Nginx>,
    nats: Option<NatsServer>,
    http: reqwest::Client,
    disk: Option<SmallDisk>,
    _directory: TempDir,
}

impl Fleet {
    /// `None` where nginx is asked for and not installed.
    pub async fn start(parts: Parts) -> Option<Self> {
        let directory = open_directory();
        let data = directory.path().join("data");
        let disk = parts.has_small_disk.then(|| SmallDisk::mount(&data)).flatten();
        let options = ClusterOptions { data_dir: data, postgres_bin: None, durable: true };
        let cluster = Cluster::start(options).await.expect("PostgreSQL starts");
        let sockets = cluster.connect_options().get_socket().expect("a Unix socket").clone();
        let port = cluster.connect_options().get_port();
        let mut places = Vec::new();
        for number in 0..parts.servers {
            let own = directory.path().join(format!("proxy-{number}"));
            let broker = match &parts.nats {
                None => None,
                Some(nats) => {
                    let (proxy, address) = Proxy::of_broker(nats.address()).await;
                    Some((proxy, NatsServer::url_at(address)))
                }
            };
            let place = Place {
                address: free_address(),
                proxy: Proxy::of_database(&own, port, &sockets),
                sockets: own,
                broker,
                is_behind_nginx: parts.is_behind_nginx,
                clock: Clock::of(directory.path(), number),
                process: Mutex::new(None),
            };
            *place.process.lock().await = Some(place.start_server(port).await);
            places.push(place);
        }
        let nginx = if parts.is_behind_nginx {
            let addresses: Vec<SocketAddr> = places.iter().map(|place| place.address).collect();
            Some(Nginx::nginx_several(&addresses).await?)
        } else {
            None
        };
        let http = reqwest::Client::builder().timeout(Duration::from_secs(15));
        let http = match &nginx {
            Some(nginx) => http.tls_certs_only([nginx.tls.certificate_of_authority()]),
            None => http,
        };
        let http = http.build().expect("a client");
        Some(Self { cluster, places, nginx, nats: parts.nats, http, disk, _directory: directory })
    }

    fn place(&self, random: &mut StdRng, place: Option<usize>) -> &Place {
        &self.places[place.unwrap_or_else(|| random.random_range(0..self.places.len()))]
    }

    /// An address at the server of that number, or at any of them, whether it is alive or not; or at nginx, which chooses
    /// one.
    pub fn any(&self, random: &mut StdRng, place: Option<usize>, path: &str) -> String {
        match &self.nginx {
            Some(nginx) => nginx.url(path),
            None => format!("http://{}{path}", self.place(random, place).address),
        }
    }

    /// Opens a WebSocket: at the server of that number, at any of them, or at nginx; `None` if there is no answer.
    pub async fn open(
        &self,
        random: &mut StdRng,
        place: Option<usize>,
        path: &str,
    ) -> Option<WebSocketStream<MaybeTlsStream<TcpStream>>> {
        let (scheme, address, connector) = match &self.nginx {
            Some(nginx) => ("wss", nginx.address, Connector::Rustls(nginx.tls.client())),
            None => ("ws", self.place(random, place).address, Connector::Plain),
        };
        let url = format!("{scheme}://localhost:{}{path}", address.port());
        let opening = async {
            let tcp = TcpStream::connect(address).await.ok()?;
            Some(client_async_tls_with_config(url, tcp, None, Some(connector)).await.ok()?.0)
        };
        timeout(OPENED, opening).await.ok()?
    }

    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    pub fn nats(&self) -> Option<&NatsServer> {
        self.nats.as_ref()
    }

    /// Servers that have at least so many viewers.
    pub async fn watched(&self, viewers: u32) -> usize {
        let mut watched = 0;
        for place in &self.places {
            let metrics = self.http.get(format!("http://{}/metrics", place.address)).send().await.expect("metrics");
            let metrics = metrics.text().await.expect("a text");
            let number = metrics.lines().find_map(|line| line.strip_prefix("relive_viewers ")?.parse::<f64>().ok());
            watched += usize::from(number.is_some_and(|number| number >= f64::from(viewers)));
        }
        watched
    }

    /// Kills a server, which stays away until the fleet is healed.
    pub async fn kill(&self, place: usize) {
        if let Some(process) = self.places[place].process.lock().await.take() {
            process.kill().await;
        }
    }

    /// The connections of these servers to NATS fall silent, or go on.
    pub fn partition(&self, places: &[usize], is_silent: bool) {
        for place in places {
            let Some((proxy, _)) = &self.places[*place].broker else { continue };
            if is_silent { proxy.fall_silent() } else { proxy.forward() }
        }
    }

    /// Whether this machine can do it.
    pub fn is_possible(&self, fault: Fault) -> bool {
        match fault {
            Fault::FullDisk => self.disk.is_some(),
            Fault::SilentBroker => self.nats.is_some(),
            Fault::StepClock => self.places.iter().all(|place| place.clock.is_some()),
            _ => true,
        }
    }

    /// Breaks something for a moment.
    pub async fn inject(&self, fault: Fault, random: &mut StdRng) {
        let number = random.random_range(0..self.places.len());
        let place = &self.places[number];
        sleep(Duration::from_millis(random.random_range(20..400))).await;
        match fault {
            Fault::KillServer => {
                let mut process = place.process.lock().await;
                if let Some(process) = process.take() {
                    process.kill().await;
                }
                *process = Some(self.start_server(place).await);
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
            Fault::SilentBroker => {
                self.partition(&[number], true);
                // Longer than a server takes to find out.
                sleep(Duration::from_secs(4)).await;
                self.partition(&[number], false);
            }
            Fault::FullDisk => {
                if let Some(disk) = &self.disk {
                    disk.fill();
                    sleep(Duration::from_millis(1_500)).await;
                    disk.empty();
                }
            }
            Fault::StepClock => {
                if let Some(clock) = &place.clock {
                    clock.set(["+1h", "-1h", "+30s", "-30s", "+0s"][random.random_range(0..5)]);
                    // libfaketime looks at the file once a second.
                    sleep(Duration::from_millis(1_100)).await;
                }
            }
        }
    }

    async fn start_server(&self, place: &Place) -> ServerProcess {
        place.start_server(self.cluster.connect_options().get_port()).await
    }

    /// Nothing is broken any more.
    pub async fn heal(&self) {
        for (number, place) in self.places.iter().enumerate() {
            place.proxy.forward();
            self.partition(&[number], false);
            let mut process = place.process.lock().await;
            if process.is_none() {
                *process = Some(self.start_server(place).await);
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
            self.post(&format!("/api/v1/sessions/{id}/commands"), &json!({"type": "start"})).await;
            runs.push(id);
        }
        runs
    }

    /// Asks one server after the other until the request is carried out, once.
    pub async fn post(&self, path: &str, body: &Value) -> Value {
        let key = uuid::Uuid::new_v4().to_string();
        for place in self.places.iter().cycle() {
            let url = match &self.nginx {
                Some(nginx) => nginx.url(path),
                None => format!("http://{}{path}", place.address),
            };
            let answer = self.http.post(url).json(body).header("Idempotency-Key", &key).send().await;
            // Servers are killed meanwhile, and their database with them.
            if let Ok(answer) = answer {
                let status = answer.status();
                match answer.json().await {
                    Ok(value) if status.is_success() => return value,
                    value => {
                        assert!(matches!(status.as_u16(), 502..=504) || value.is_err(), "{path}: {status} {value:?}")
                    }
                }
            }
            sleep(Duration::from_millis(50)).await;
        }
        unreachable!("there are servers")
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

impl Place {
    async fn start_server(&self, port: u16) -> ServerProcess {
        let url = format!("postgres://postgres@localhost/relive?host={}&port={port}", self.sockets.display());
        let (listen, lease) = (self.address.to_string(), LEASE.as_secs().to_string());
        let mut settings = vec![
            ("DATABASE_URL", url.as_str()),
            ("RELIVE_LISTEN", listen.as_str()),
            ("RELIVE_ENGINE_LEASE_SECONDS", lease.as_str()),
            ("RELIVE_EMBEDDING_DIM", "8"),
            ("RELIVE_LOG", "error"),
        ];
        settings.extend(self.clock.iter().flat_map(Clock::settings));
        settings.extend(self.broker.iter().map(|(_, url)| ("RELIVE_NATS_URL", url.as_str())));
        if self.is_behind_nginx {
            settings.extend([("RELIVE_TRUSTED_PROXIES", "127.0.0.1/32"), ("RELIVE_ALLOW_ANONYMOUS", "true")]);
        }
        ServerProcess::start(&settings).await
    }
}

/// The wall clock of one server, by libfaketime. Only the time of day is off: waiting takes as long as
/// it does.
struct Clock {
    library: String,
    file: String,
}

impl Clock {
    /// None where Debian's package `libfaketime` is not installed.
    fn of(directory: &Path, number: usize) -> Option<Self> {
        let folders = std::fs::read_dir("/usr/lib").ok()?.flatten();
        let library =
            folders.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1")).find(|path| path.exists())?;
        let file = directory.join(format!("clock-{number}"));
        let clock = Self { library: library.display().to_string(), file: file.display().to_string() };
        clock.set("+0s");
        Some(clock)
    }

    fn set(&self, offset: &str) {
        // Renamed, so that the library never reads half a line.
        let new = format!("{}.new", self.file);
        std::fs::write(&new, offset).and_then(|()| std::fs::rename(&new, &self.file)).expect("a clock's file");
    }

    fn settings(&self) -> [(&str, &str); 4] {
        [
            ("LD_PRELOAD", &self.library),
            ("FAKETIME_TIMESTAMP_FILE", &self.file),
            ("FAKETIME_CACHE_DURATION", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ]
    }
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
