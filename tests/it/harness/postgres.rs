//! A PostgreSQL of a test's own that listens on TCP, and a network in front of it that can fail.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use relive::storage::cluster::{Cluster, ClusterOptions};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::eventually;

/// Everybody on this machine may connect, with TLS or without.
const TRUST: &str = "host all all localhost trust\nhost all all 127.0.0.1/32 trust\nhost all all ::1/128 trust\n";

pub(super) fn free_port() -> u16 {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    free.local_addr().expect("an address").port()
}

pub struct Postgres {
    directory: tempfile::TempDir,
    program: PathBuf,
    pub port: u16,
    child: Option<Child>,
}

impl Postgres {
    /// A new cluster; it does not run yet.
    pub async fn prepare() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o711)).expect("permissions");
        let options = ClusterOptions { data_dir: directory.path().to_owned(), postgres_bin: None, durable: false };
        let cluster = Cluster::start(options).await.expect("PostgreSQL starts; run `make postgres` first");
        // Where the programs are is found out by whoever starts them.
        let command_line = fs::read_to_string(directory.path().join("postgres/postmaster.opts")).expect("running");
        let program = PathBuf::from(command_line.split(" \"").next().expect("the program"));
        cluster.stop().await.expect("stopped");
        let postgres = Self { directory, program, port: free_port(), child: None };
        postgres.rules(TRUST);
        postgres
    }

    /// A new cluster of a PostgreSQL that was built with TLS; the one that `make postgres` brings was
    /// not. Without pgvector, perhaps. `None` when this machine has none.
    pub async fn with_tls() -> Option<Self> {
        let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let mut places: Vec<PathBuf> = installed.map(|version| version.path().join("bin")).collect();
        places.extend(std::env::var_os("RELIVE_POSTGRES_BIN").map(PathBuf::from));
        let has_tls = |bin: &PathBuf| {
            let configured = Command::new(bin.join("pg_config")).arg("--configure").output();
            configured.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("ssl"))
        };
        let Some(bin) = places.into_iter().find(has_tls) else {
            eprintln!("not tested: no PostgreSQL with TLS is installed (Debian: apt install postgresql)");
            return None;
        };
        let directory = tempfile::tempdir().expect("a directory");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o711)).expect("permissions");
        let data = directory.path().join("postgres");
        fs::create_dir(&data).expect("a directory");
        let mut initdb = Command::new(bin.join("initdb"));
        initdb.args(["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C", "--username=postgres", "--pgdata"]);
        initdb.arg(&data).current_dir("/").stdout(Stdio::null());
        if nix::unistd::Uid::effective().is_root() {
            let user = nix::unistd::User::from_name("postgres").expect("users").expect("a user postgres");
            chown(&data, Some(user.uid.as_raw()), Some(user.gid.as_raw())).expect("its owner");
            initdb.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        assert!(initdb.status().expect("initdb").success());
        let mut postgres = Self { directory, program: bin.join("postgres"), port: free_port(), child: None };
        postgres.rules(TRUST);
        postgres.run(&[]).await;
        let mut admin = postgres.admin("postgres").await.expect("a connection");
        sqlx::raw_sql("CREATE DATABASE relive").execute(&mut admin).await.expect("a database");
        postgres.stop();
        Some(postgres)
    }

    pub async fn start() -> Self {
        let mut postgres = Self::prepare().await;
        postgres.run(&[]).await;
        postgres
    }

    fn data(&self) -> PathBuf {
        fs::canonicalize(self.directory.path().join("postgres")).expect("the cluster")
    }

    /// Who may connect, and how: `pg_hba.conf`, below what the superuser needs.
    pub fn rules(&self, rules: &str) {
        self.write("pg_hba.conf", &format!("local all all trust\n{rules}"));
    }

    /// Writes a file into the cluster, as PostgreSQL's user wants it.
    pub fn write(&self, name: &str, content: &str) {
        let path = self.data().join(name);
        fs::write(&path, content).expect("written");
        let owner = fs::metadata(self.data()).expect("the cluster");
        chown(&path, Some(owner.uid()), Some(owner.gid())).expect("its owner");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("permissions");
    }

    /// Starts it with these settings and waits until it answers.
    pub async fn run(&mut self, settings: &[&str]) {
        let data = self.data();
        let owner = fs::metadata(&data).expect("the cluster");
        let mut command = Command::new(&self.program);
        command.arg("-D").arg(&data).args(["-c", "listen_addresses=localhost", "-c", "fsync=off"]);
        command.arg("-c").arg(format!("port={}", self.port));
        command.arg("-c").arg(format!("unix_socket_directories={}", data.display()));
        for setting in settings {
            command.args(["-c", setting]);
        }
        if nix::unistd::Uid::effective().is_root() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().expect("PostgreSQL"));
        eventually("PostgreSQL answers", async || self.admin("postgres").await.is_ok()).await;
    }

    async fn admin(&self, database: &str) -> sqlx::Result<PgConnection> {
        let socket = self.data();
        let address = format!("postgres:///{database}?user=postgres&host={}&port={}", socket.display(), self.port);
        PgConnection::connect(&address).await
    }

    /// Runs statements one by one, as the superuser and beside everything that a test puts in between.
    pub async fn sql(&self, statements: &[&str]) {
        let mut admin = self.admin("relive").await.expect("a connection");
        for statement in statements {
            let statement = AssertSqlSafe((*statement).to_owned());
            sqlx::raw_sql(statement).execute(&mut admin).await.expect("done");
        }
    }

    pub async fn ask<T>(&self, question: &str) -> T
    where
        T: Send + Unpin + for<'a> sqlx::Decode<'a, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        let mut admin = self.admin("relive").await.expect("a connection");
        sqlx::query_scalar(AssertSqlSafe(question.to_owned())).fetch_one(&mut admin).await.expect("an answer")
    }

    /// The address, through which TLS is spoken if PostgreSQL has it.
    pub fn url(&self, host: &str, query: &str) -> String {
        format!("postgres://postgres@{host}:{}/relive?{query}", self.port)
    }

    /// Stops it at once.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let pid = Pid::from_raw(child.id().try_into().expect("a pid"));
            let _ = kill(pid, Signal::SIGQUIT);
            let _ = child.wait();
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What a [`Network`] does with what it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    Flows,
    /// Nothing comes through until it flows again.
    Stands,
    /// Nothing comes through, ever, on connections that carried something meanwhile.
    IsLost,
}

/// A proxy that can stop forwarding without closing anything.
pub struct Network {
    pub address: SocketAddr,
    traffic: watch::Sender<Traffic>,
}

impl Network {
    pub async fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let traffic = watch::Sender::new(Traffic::Flows);
        let watching = traffic.subscribe();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connect(client, port, watching.clone()));
            }
        });
        Self { address, traffic }
    }

    pub fn set(&self, traffic: Traffic) {
        self.traffic.send_replace(traffic);
    }
}

async fn connect(client: TcpStream, port: u16, mut traffic: watch::Receiver<Traffic>) {
    if traffic.wait_for(|traffic| *traffic == Traffic::Flows).await.is_err() {
        return;
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::join!(
        forward(&mut from_client, &mut to_server, traffic.clone()),
        forward(&mut from_server, &mut to_client, traffic)
    );
}

async fn forward(
    from: &mut tokio::net::tcp::OwnedReadHalf,
    to: &mut tokio::net::tcp::OwnedWriteHalf,
    mut traffic: watch::Receiver<Traffic>,
) {
    let mut buffer = [0; 16 * 1024];
    let mut is_lost = false;
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        is_lost |= *traffic.borrow() == Traffic::IsLost;
        if is_lost {
            continue;
        }
        let is_over = traffic.wait_for(|traffic| *traffic != Traffic::Stands).await.is_err();
        if is_over || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

/// How long a server may take to answer that the database cannot be reached, and to be well again.
pub const WITHIN: Duration = Duration::from_secs(10);
