//! How a postmaster ends, and who sees to it that one runs, and only one.

use std::fs;

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, getpgid},
};
use relive::storage::cluster::{Cluster, ClusterError};
use sqlx::{ConnectOptions, Connection};

use super::support::{connect, open_dir, options, pid, runs, spawn_helper, start, stop, until};

#[tokio::test]
async fn stop_ends_it_and_start_finds_the_data_again() {
    let dir = open_dir();
    let cluster = start(dir.path()).await;
    let postmaster = pid(cluster.postmaster_pid().unwrap());
    let mut connection = connect(&cluster).await;
    sqlx::raw_sql("CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)").execute(&mut connection).await.unwrap();
    stop(cluster).await;
    assert!(!runs(postmaster), "the postmaster outlived stop");
    assert!(connection.ping().await.is_err());

    let cluster = start(dir.path()).await;
    let kept: i32 = sqlx::query_scalar("SELECT n FROM kept").fetch_one(&mut connect(&cluster).await).await.unwrap();
    assert_eq!(kept, 7);
    stop(cluster).await;
}

#[tokio::test]
async fn a_killed_postmaster_comes_back() {
    let dir = open_dir();
    let cluster = start(dir.path()).await;
    let mut connection = connect(&cluster).await;
    sqlx::raw_sql("CREATE TABLE kept (n int)").execute(&mut connection).await.unwrap();
    // Twice: what replaces the first one is watched as well.
    for _ in 0..2 {
        let killed = cluster.postmaster_pid().unwrap();
        kill(pid(killed), Signal::SIGKILL).unwrap();
        let options = cluster.connect_options();
        until("an answer from another postmaster", async || {
            let mut connection = options.connect().await.ok()?;
            sqlx::query("SELECT n FROM kept").fetch_all(&mut connection).await.ok()?;
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
    let Some([shell, _]) = shells_of(pid(first)) else {
        return stop(cluster).await;
    };
    kill(shell, Signal::SIGKILL).unwrap();

    until("another postmaster", async || cluster.postmaster_pid().filter(|pid| *pid != first)).await;
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

    assert_eq!(cluster.postmaster_pid(), Some(postmaster), "the refused start left it alone");
    connect(&cluster).await.ping().await.unwrap();
    stop(cluster).await;
}

#[tokio::test]
async fn a_dropped_cluster_ends() {
    let dir = open_dir();
    let cluster = start(dir.path()).await;
    let postmaster = pid(cluster.postmaster_pid().unwrap());
    drop(cluster);
    until("the postmaster's end", async || (!runs(postmaster)).then_some(())).await;
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
    until("the postmaster's end", async || (!runs(postmaster)).then_some(())).await;
}

/// A service manager or a terminal may signal all of our processes at once, but the database must
/// not go before its owner, who still has something to write.
#[tokio::test]
async fn signals_meant_for_the_owner_spare_the_leash() {
    let dir = open_dir();
    let cluster = start(dir.path()).await;
    let postmaster = pid(cluster.postmaster_pid().unwrap());
    assert_ne!(getpgid(Some(postmaster)).unwrap(), getpgid(None).unwrap());
    let Some(shells) = shells_of(postmaster) else {
        return stop(cluster).await;
    };
    for shell in shells {
        let ignored = u64::from_str_radix(&status(shell, "SigIgn").unwrap(), 16).unwrap();
        for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM] {
            assert_ne!(ignored & (1 << (signal as i32 - 1)), 0, "{signal} would end the watchdog");
        }
    }
    stop(cluster).await;
}

#[tokio::test]
async fn a_leftover_without_a_leash_is_ended_first() {
    let dir = open_dir();
    let (mut helper, postmaster) = spawn_helper(dir.path(), |_| {});
    let shells = shells_of(postmaster);
    // Stopped first, or they would end the postmaster as soon as the owner is gone.
    for shell in shells.iter().flatten() {
        kill(*shell, Signal::SIGSTOP).unwrap();
    }
    helper.kill().unwrap();
    helper.wait().unwrap();
    for shell in shells.iter().flatten() {
        kill(*shell, Signal::SIGKILL).unwrap();
    }

    let cluster = start(dir.path()).await;
    assert!(!runs(postmaster));
    connect(&cluster).await.ping().await.unwrap();
    stop(cluster).await;
}

/// The shell that waits for the postmaster, and the one that watches the pipe. Only /proc tells.
fn shells_of(postmaster: Pid) -> Option<[Pid; 2]> {
    let shell: i32 = status(postmaster, "PPid")?.parse().unwrap();
    let children = fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
    let watcher = children
        .split_whitespace()
        .map(|child| Pid::from_raw(child.parse().unwrap()))
        .find(|child| *child != postmaster)
        .unwrap();
    Some([Pid::from_raw(shell), watcher])
}

fn status(process: Pid, field: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    Some(line.unwrap().trim().to_owned())
}
