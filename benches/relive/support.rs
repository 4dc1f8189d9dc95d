//! The server under test, and the table the figures go into.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use relive::storage::Storage;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection as _};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Viewers need file descriptors, here and in the server, which inherits the limit.
pub fn raise_file_limit() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit of open files");
    setrlimit(Resource::RLIMIT_NOFILE, most.min(65_536), most).expect("raise the limit of open files");
}

/// `relive serve` on a data directory of its own; both are gone when this is dropped.
pub struct Server {
    pub address: SocketAddr,
    pub runtime: Runtime,
    http: reqwest::Client,
    child: Child,
    data_dir: TempDir,
    /// The key that requests have to come with.
    pub key: Option<&'static str>,
}

impl Server {
    pub fn start() -> Self {
        Self::start_with(None)
    }

    /// A server that requires this key.
    pub fn start_with(key: Option<&'static str>) -> Self {
        Self::launch(key, None)
    }

    /// Another server on the database of this one.
    pub fn second(&self) -> Self {
        let socket = self.postgres_socket();
        Self::launch(self.key, Some(format!("postgres://postgres@localhost/relive?host={}", socket.display())))
    }

    fn launch(key: Option<&'static str>, database: Option<String>) -> Self {
        let data_dir = tempfile::tempdir().expect("a directory");
        // PostgreSQL may run as another user, who has to pass through.
        std::fs::set_permissions(data_dir.path(), std::fs::Permissions::from_mode(0o711)).expect("permissions");
        let program = std::env::var_os("RELIVE_BENCH_SERVER").unwrap_or(env!("CARGO_BIN_EXE_relive").into());
        let mut child = Command::new(program)
            .arg("serve")
            .env_remove("DATABASE_URL")
            .env("RELIVE_LISTEN", "127.0.0.1:0")
            .env("RELIVE_LOG", "warn")
            // For the part `idle`.
            .env("RELIVE_MAX_CONNECTIONS", "12000")
            .env("RELIVE_DATA_DIR", data_dir.path())
            .envs(key.map(|key| ("RELIVE_ROOT_KEY", key)))
            .envs(database.map(|url| ("DATABASE_URL", url)))
            .stdout(Stdio::piped())
            .spawn()
            .expect("relive serve");
        let address = BufReader::new(child.stdout.take().expect("stdout"))
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("listening on http://")?.parse().ok())
            .expect("the server starts; run `make postgres` first");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let mut headers = reqwest::header::HeaderMap::new();
        if let Some(key) = key {
            headers.insert("authorization", format!("Bearer {key}").parse().expect("a header"));
        }
        let http = reqwest::Client::builder().default_headers(headers).build().expect("a client");
        Self { address, runtime: runtime.expect("a runtime"), http, child, data_dir, key }
    }

    /// Creates a running session over a graph of `nodes` nodes, `n0` to `n<nodes - 1>`; returns its id.
    pub fn session(&self, nodes: usize) -> String {
        let id = |index: usize| format!("n{index}");
        let graph: serde_json::Map<String, Value> = (0..nodes)
            .map(|index| {
                let next: Vec<String> = if index == 0 { (1..nodes).map(id).collect() } else { Vec::new() };
                let name = format!("Step number {index}");
                (id(index), json!({"id": id(index), "type": "agent", "name": name, "nextIds": next}))
            })
            .collect();
        let graph = json!({"name": "bench", "startNodeId": "n0", "nodes": graph});
        let session = self.post("/api/v1/sessions", &json!({"graph": graph}));
        let id = session["id"].as_str().expect("an id").to_owned();
        self.post(&format!("/api/v1/sessions/{id}/commands"), &json!({"type": "start"}));
        id
    }

    /// As [`Server::session`], many at the same time.
    pub fn sessions(&self, number: usize, nodes: usize) -> Vec<String> {
        let next = AtomicUsize::new(0);
        let create = || {
            let mut own = Vec::new();
            while next.fetch_add(1, Ordering::Relaxed) < number {
                own.push(self.session(nodes));
            }
            own
        };
        std::thread::scope(|scope| {
            let creating: Vec<_> = (0..16).map(|_| scope.spawn(create)).collect();
            creating.into_iter().flat_map(|thread| thread.join().expect("sessions")).collect()
        })
    }

    pub fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.http.post(format!("http://{}{path}", self.address)).json(body);
        let answer = async { request.send().await?.error_for_status()?.json().await };
        self.runtime.block_on(answer).expect("an answer")
    }

    /// Reads an answer to its end.
    pub fn get(&self, path: &str) -> bytes::Bytes {
        let request = self.http.get(format!("http://{}{path}", self.address));
        let answer = async { request.send().await?.error_for_status()?.bytes().await };
        self.runtime.block_on(answer).expect("an answer")
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The process id of the server's PostgreSQL, and the directory of its socket.
    fn postmaster(&self) -> (u32, PathBuf) {
        let path = self.data_dir.path().join("postgres/postmaster.pid");
        let text = std::fs::read_to_string(path).expect("postmaster.pid");
        let lines: Vec<&str> = text.lines().collect();
        (lines[0].trim().parse().expect("a process id"), lines[4].into())
    }

    /// The directory of PostgreSQL's programs.
    pub fn postgres_bin(&self) -> PathBuf {
        let program = std::fs::read_link(format!("/proc/{}/exe", self.postmaster().0)).expect("PostgreSQL runs");
        program.parent().expect("a directory").to_owned()
    }

    pub fn postgres_socket(&self) -> PathBuf {
        self.postmaster().1
    }

    /// The server's own database.
    pub fn own_database(&self) -> Storage {
        let options = PgConnectOptions::new_without_pgpass().socket(self.postgres_socket()).username("postgres");
        let _runtime = self.runtime.enter();
        Storage::new(options.database("relive"), 2)
    }

    /// A migrated database of its own beside the server's, in the same PostgreSQL.
    pub fn database(&self, name: &str) -> Storage {
        let options = PgConnectOptions::new_without_pgpass().socket(self.postgres_socket()).username("postgres");
        self.runtime.block_on(async {
            let mut admin = PgConnection::connect_with(&options.clone().database("postgres")).await.expect("connect");
            let create = format!("CREATE DATABASE {name}");
            sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut admin).await.expect("create database");
            let storage = Storage::new(options.database(name), 8);
            storage.migrate(8).await.expect("migrate");
            storage
        })
    }

    /// The median time of an `INSERT` of one row that is waited for.
    pub fn commit_latency(&self) -> Duration {
        self.commit_latency_in("latency")
    }

    /// As [`Server::commit_latency`], in a new database of this name.
    pub fn commit_latency_in(&self, name: &str) -> Duration {
        let storage = self.database(name);
        self.runtime.block_on(async {
            let mut connection = storage.pool().acquire().await.expect("connect");
            sqlx::query("CREATE TABLE probe (n int)").execute(&mut *connection).await.expect("create table");
            let mut times = Vec::new();
            for n in 0..300 {
                let started = Instant::now();
                let insert = sqlx::query("INSERT INTO probe VALUES ($1)").bind(n);
                insert.execute(&mut *connection).await.expect("insert");
                times.push(started.elapsed());
            }
            median(&mut times)
        })
    }

    /// Resident memory of the server process (not of its PostgreSQL), in KiB.
    pub fn resident_kib(&self) -> u64 {
        self.status_kib("VmRSS:")
    }

    /// What some work gives, and by how many MiB the server process's resident memory grew for it at
    /// its highest.
    pub fn peak_growth<T>(&self, work: impl FnOnce() -> T) -> (T, f64) {
        // Sets the highest so far back to what is resident now (proc(5), clear_refs).
        std::fs::write(format!("/proc/{}/clear_refs", self.pid()), "5").expect("clear_refs");
        let before = self.resident_kib();
        let result = work();
        let growth = self.status_kib("VmHWM:").saturating_sub(before);
        (result, growth as f64 / 1024.0)
    }

    fn status_kib(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("/proc");
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("the field");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// CPU time the server process has used.
    pub fn cpu(&self) -> Duration {
        cpu_of(Path::new(&format!("/proc/{}", self.pid())), false).expect("/proc").1
    }

    /// CPU time its PostgreSQL has used: the postmaster, its children, and those that have ended.
    pub fn postgres_cpu(&self) -> Duration {
        let postmaster = self.postmaster().0;
        let own = cpu_of(Path::new(&format!("/proc/{postmaster}")), true).map_or(Duration::ZERO, |(_, cpu)| cpu);
        let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
        let children = processes.filter_map(|entry| cpu_of(&entry.path(), false));
        own + children.filter(|(parent, _)| *parent == postmaster).map(|(_, cpu)| cpu).sum::<Duration>()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has no data to be saved; its PostgreSQL ends with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.data_dir.path().join("postgres/postmaster.pid").exists() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A process's parent and the CPU time it used, with `ended` that of its ended children too.
fn cpu_of(process: &Path, ended: bool) -> Option<(u32, Duration)> {
    let stat = std::fs::read_to_string(process.join("stat")).ok()?;
    // The name in parentheses may hold anything, blanks included; `state` follows it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let last = if ended { 14 } else { 12 };
    let ticks: u64 = fields.get(11..=last)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    // The kernel shows times in hundredths of a second, whatever it counts in.
    Some((fields.get(1)?.parse().ok()?, Duration::from_millis(ticks * 10)))
}

pub fn median<T: PartialOrd + Copy>(values: &mut [T]) -> T {
    values.sort_by(|a, b| a.partial_cmp(b).expect("comparable"));
    values[values.len() / 2]
}

pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The figures, printed together at the end.
#[derive(Default)]
pub struct Table {
    notes: Vec<String>,
    rows: Vec<[String; 5]>,
}

impl Table {
    pub fn is_empty(&self) -> bool {
        self.notes.is_empty() && self.rows.is_empty()
    }

    pub fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    /// A figure, the baseline it is held against, their ratio, and what the ratio (or the figure,
    /// where there is no baseline) should be.
    pub fn row(&mut self, name: &str, figure: String, baseline: String, ratio: String, target: &str) {
        // At once, too: what follows may take minutes.
        eprintln!("  {name}: {figure}; {baseline}; {ratio}");
        self.rows.push([name.to_owned(), figure, baseline, ratio, target.to_owned()]);
    }

    pub fn print(&self) {
        let head = ["", "measured", "baseline", "ratio", "target"].map(str::to_owned);
        let width = |column: usize| {
            let cells = std::iter::once(&head).chain(&self.rows).map(|row| row[column].chars().count());
            cells.max().unwrap_or_default()
        };
        let widths = [0, 1, 2, 3, 4].map(width);
        println!();
        for row in std::iter::once(&head).chain(&self.rows) {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
            println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
        }
        println!();
        for note in &self.notes {
            println!("{note}");
        }
    }
}
