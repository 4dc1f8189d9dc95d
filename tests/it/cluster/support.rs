//! What the tests of the embedded PostgreSQL share.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::{sys::signal::kill, unistd::Pid};
use relive::storage::cluster::{Cluster, ClusterOptions};
use sqlx::{ConnectOptions, PgConnection};
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

/// For anything here; a start takes about a second.
const DEADLINE: Duration = Duration::from_secs(30);

/// Set for the helper process, which then holds a cluster in this directory.
const HELPER_DIR: &str = "RELIVE_TEST_CLUSTER_DIR";

/// A directory the unprivileged user can pass through, whatever the umask.
pub fn open_dir() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).unwrap();
    dir
}

pub fn options(data_dir: &Path) -> ClusterOptions {
    let postgres_bin = std::env::var_os("RELIVE_POSTGRES_BIN").map(PathBuf::from);
    ClusterOptions { data_dir: data_dir.to_owned(), postgres_bin, durable: false }
}

pub async fn start(data_dir: &Path) -> Cluster {
    let started = timeout(DEADLINE, Cluster::start(options(data_dir))).await;
    started.expect("a start in time").unwrap()
}

pub async fn connect(cluster: &Cluster) -> PgConnection {
    cluster.connect_options().connect().await.unwrap()
}

pub async fn stop(cluster: Cluster) {
    timeout(DEADLINE, cluster.stop()).await.expect("a stop in time").unwrap();
}

pub fn pid(number: u32) -> Pid {
    Pid::from_raw(number.try_into().unwrap())
}

/// A process that has ended but was not waited for by its parent yet has no working directory.
pub fn runs(process: Pid) -> bool {
    let found = fs::read_link(format!("/proc/{process}/cwd")).is_ok();
    if Path::new("/proc/self").exists() { found } else { kill(process, None).is_ok() }
}

pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Starts this very program as the owner of a cluster; returns with its postmaster's id.
pub fn spawn_helper(data_dir: &Path, adjust: impl FnOnce(&mut Command)) -> (Child, Pid) {
    spawn_helper_from(&std::env::current_exe().unwrap(), data_dir, adjust)
}

/// As [`spawn_helper`], from a copy of this program.
pub fn spawn_helper_from(program: &Path, data_dir: &Path, adjust: impl FnOnce(&mut Command)) -> (Child, Pid) {
    let module = module_path!().split_once("::").map_or(String::new(), |(_, it)| format!("{it}::"));
    let mut command = Command::new(program);
    command
        .args(["--ignored", "--exact", "--nocapture"])
        .arg(format!("{module}helper_that_owns_a_cluster"))
        .env(HELPER_DIR, data_dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    adjust(&mut command);
    let mut helper = command.spawn().unwrap();
    let lines = BufReader::new(helper.stdout.take().unwrap()).lines();
    let found = lines
        .map_while(Result::ok)
        .find_map(|line| line.split_once("postmaster ").and_then(|(_, number)| number.parse().ok()));
    (helper, pid(found.expect("the helper's postmaster")))
}

#[tokio::test]
#[ignore = "a process of its own for the tests above"]
async fn helper_that_owns_a_cluster() {
    let Some(data_dir) = std::env::var_os(HELPER_DIR) else {
        return;
    };
    let cluster = start(Path::new(&data_dir)).await;
    println!("postmaster {}", cluster.postmaster_pid().unwrap());
    std::future::pending::<()>().await;
}
