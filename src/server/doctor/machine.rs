//! This machine: file descriptors, the address, the data directory and the programs of PostgreSQL.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::HumanBytes;
use nix::sys::statvfs::statvfs;
use tokio::net::TcpListener;

use super::super::descriptors::{self, Capacity};
use super::super::{ServeError, addresses};
use super::Finding;
use crate::config::{DatabaseConfig, ServeConfig};
use crate::storage::cluster::Cluster;

/// With less room than this, the next hours are in doubt.
const LITTLE: u64 = 1 << 30;
/// With less room than this, PostgreSQL cannot work.
const TOO_LITTLE: u64 = 100 << 20;
const ANSWER: Duration = Duration::from_secs(3);

pub(super) fn descriptors(config: &ServeConfig) -> Finding {
    const CHECK: &str = "fileDescriptors";
    let wanted = Capacity { connections: config.http.max_connections.max(1), sockets: config.max_sockets };
    let descriptors = match descriptors::raise() {
        Ok(descriptors) => descriptors,
        Err(error) => return Finding::warn(CHECK, format!("the limit cannot be read: {error}"), "look at `ulimit -n`"),
    };
    let found = wanted.within(descriptors, config.database.database_connections);
    let detail = format!(
        "{descriptors} open files allow {} connections and {} sockets; set are {} and {}",
        found.connections, found.sockets, wanted.connections, wanted.sockets
    );
    if found == wanted {
        return Finding::ok(CHECK, detail);
    }
    Finding::warn(CHECK, detail, "raise the limit (LimitNOFILE= in systemd, `ulimit -n`), or lower the two settings")
}

pub(super) async fn address(config: &ServeConfig) -> Finding {
    const CHECK: &str = "address";
    let named = &config.listen;
    let found = match addresses(config).await {
        Ok(found) => found,
        Err(error) => return Finding::fail(CHECK, error.to_string(), "correct RELIVE_LISTEN, or the name service"),
    };
    match TcpListener::bind(&found[..]).await {
        Ok(_) => Finding::ok(CHECK, format!("{named} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            if is_relive(&found).await {
                return Finding::ok(CHECK, format!("a relive is running on {named}"));
            }
            let remedy = "end the program that listens there, or set another address (RELIVE_LISTEN)";
            Finding::fail(CHECK, format!("{named} is in use by another program"), remedy)
        }
        Err(source) => {
            let error = ServeError::Listen { address: named.to_string(), source };
            Finding::fail(CHECK, error.to_string(), "set an address of this machine (RELIVE_LISTEN)")
        }
    }
}

/// Whether a server of ours answers there, with TLS or without.
async fn is_relive(addresses: &[SocketAddr]) -> bool {
    let client = reqwest::Client::builder().timeout(ANSWER).no_proxy().tls_danger_accept_invalid_certs(true).build();
    let Ok(client) = client else { return false };
    for address in addresses {
        for scheme in ["http", "https"] {
            let asked = client.get(format!("{scheme}://{address}/api/openapi.json")).send().await;
            if let Ok(answer) = asked
                && answer.text().await.is_ok_and(|text| text.contains("Relive"))
            {
                return true;
            }
        }
    }
    false
}

pub(super) fn data_directory(config: &DatabaseConfig) -> Vec<Finding> {
    vec![place(&config.data_dir), room(&config.data_dir), programs(config)]
}

fn place(directory: &Path) -> Finding {
    const CHECK: &str = "dataDirectory";
    let shown = directory.display();
    let there = existing(directory);
    let detail = if there == directory { format!("{shown} can be written to") } else { format!("{shown} can be made") };
    match tempfile::tempfile_in(&there) {
        Ok(_) => Finding::ok(CHECK, detail),
        Err(error) => {
            let remedy = "give the directory to the user that runs relive, or set another one (RELIVE_DATA_DIR)";
            Finding::fail(CHECK, format!("{} cannot be written to: {error}", there.display()), remedy)
        }
    }
}

/// The directory, or the nearest above it that is there.
fn existing(directory: &Path) -> PathBuf {
    let found = directory.ancestors().find(|path| path.is_dir());
    found.filter(|path| !path.as_os_str().is_empty()).map_or_else(|| PathBuf::from("."), Path::to_owned)
}

fn room(directory: &Path) -> Finding {
    const CHECK: &str = "diskSpace";
    // The database may be elsewhere, linked from there.
    let database = directory.join("postgres");
    let there = existing(if database.is_dir() { &database } else { directory });
    // macOS counts in 32 bits.
    #[allow(clippy::useless_conversion)]
    match statvfs(&there) {
        Ok(found) => of_room(u64::from(found.blocks_available()).saturating_mul(found.fragment_size()), &there),
        Err(error) => Finding::warn(CHECK, format!("{}: {error}", there.display()), "look at `df`"),
    }
}

fn of_room(free: u64, there: &Path) -> Finding {
    const CHECK: &str = "diskSpace";
    let detail = format!("{} are free in {}", HumanBytes(free), there.display());
    let remedy = "make room, delete old runs (docs/retention.md), or move the data directory";
    match free {
        _ if free < TOO_LITTLE => Finding::fail(CHECK, detail, remedy),
        _ if free < LITTLE => Finding::warn(CHECK, detail, remedy),
        _ => Finding::ok(CHECK, detail),
    }
}

fn programs(config: &DatabaseConfig) -> Finding {
    const CHECK: &str = "postgresPrograms";
    let (directory, major) = match Cluster::programs(config.postgres_bin.as_deref()) {
        Ok(found) => found,
        Err(error) => {
            return Finding::fail(CHECK, error.to_string(), "install PostgreSQL with pgvector, or set DATABASE_URL");
        }
    };
    let detail = format!("PostgreSQL {major} in {}", directory.display());
    let missing: Vec<&str> =
        ["pg_dump", "pg_restore"].into_iter().filter(|name| !directory.join(name).is_file()).collect();
    if missing.is_empty() {
        return Finding::ok(CHECK, detail);
    }
    let detail = format!("{detail}, without {}", missing.join(" and "));
    Finding::warn(
        CHECK,
        detail,
        "install PostgreSQL's client programs, which `relive backup` and `relive restore` need",
    )
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn little_room_is_a_warning_and_none_a_failure() {
        let verdict = |free| of_room(free, Path::new("/data")).verdict;
        assert_eq!((verdict(0), verdict(200 << 20), verdict(2 << 30)), (Verdict::Fail, Verdict::Warn, Verdict::Ok));
    }

    #[test]
    fn what_is_not_there_yet_is_looked_for_above() {
        let directory = tempfile::tempdir().expect("a directory");
        assert_eq!(existing(&directory.path().join("a/b")), directory.path());
        assert_eq!(existing(Path::new("no-such-directory/x")), Path::new("."));
        assert!(place(&directory.path().join("data")).detail.contains("can be made"));
    }
}
