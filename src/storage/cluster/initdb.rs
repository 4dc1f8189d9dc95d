//! Creates a database cluster.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::Path,
};

use tracing::info;

use super::{
    account::Account,
    binaries::Binaries,
    error::{ClusterError, IoContext},
};

/// Superuser of the cluster, and the name relive connects as.
pub(super) const SUPERUSER: &str = "postgres";

/// Initial settings of a new cluster. They are written to its `postgresql.conf`, not passed at every start, so
/// that its owner can change them, there or by `ALTER SYSTEM`. Settings that relive relies on are passed at
/// every start: see `process`.
///
/// `wal_level` keeps its default, `replica`: `minimal` would save little here and rule out
/// `pg_basebackup`. `wal_compression` compresses the page images that follow each checkpoint; `on` means
/// pglz, which every build has.
const SETTINGS: &str = "
# Written once, when relive made this cluster; change what you like.
max_connections = 100
max_wal_size = 2GB
wal_compression = on
autovacuum = on
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] '
log_checkpoints = off
";

/// Makes sure that `pgdata` holds a cluster these binaries can run.
pub(super) fn initialise(
    pgdata: &Path,
    binaries: &Binaries,
    account: &Account,
    durable: bool,
) -> Result<(), ClusterError> {
    match fs::read_to_string(pgdata.join("PG_VERSION")) {
        Ok(version) => {
            check_version(version.trim(), pgdata, binaries)?;
            adopt(pgdata, account)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(pgdata, binaries, account, durable),
        Err(error) => Err(error).context(|| format!("read PG_VERSION in {}", pgdata.display())),
    }
}

fn check_version(data: &str, pgdata: &Path, binaries: &Binaries) -> Result<(), ClusterError> {
    if data == binaries.major.to_string() {
        return Ok(());
    }
    Err(ClusterError::VersionMismatch {
        pgdata: pgdata.to_owned(),
        data: data.to_owned(),
        dir: binaries.dir.clone(),
        binaries: binaries.major,
    })
}

/// A copy of a cluster made by root belongs to root, and PostgreSQL would refuse it.
fn adopt(pgdata: &Path, account: &Account) -> Result<(), ClusterError> {
    let found = fs::metadata(pgdata).context(|| format!("look at {}", pgdata.display()))?;
    if account.owns(&found) { Ok(()) } else { account.take_ownership_of_tree(pgdata) }
}

/// Creates the cluster in a temporary directory and moves it into place when it is complete, so that an
/// interrupted `initdb` is not taken for a cluster.
fn create(pgdata: &Path, binaries: &Binaries, account: &Account, durable: bool) -> Result<(), ClusterError> {
    let stage = pgdata.with_extension("new");
    let mut refused = String::new();
    for locale in locales(binaries.major) {
        if stage.exists() {
            fs::remove_dir_all(&stage).context(|| format!("remove {}", stage.display()))?;
        }
        fs::create_dir(&stage).context(|| format!("create {}", stage.display()))?;
        account.take_ownership(&stage)?;
        match initdb(&stage, binaries, account, durable, locale)? {
            Ok(()) => {
                configure(&stage, durable)?;
                return put_in_place(&stage, pgdata, durable);
            }
            Err(output) => refused = output,
        }
    }
    Err(ClusterError::Initdb { pgdata: pgdata.to_owned(), output: refused })
}

/// Locale options to try in turn. Sorting by code point is the same on every machine, so indexes survive a
/// move or an upgrade of the C library. Up to PostgreSQL 16, C.UTF-8 comes from the system; where it is
/// missing, plain C sorts the same and only handles upper case beyond ASCII differently.
fn locales(major: u32) -> &'static [&'static [&'static str]] {
    if major >= 17 {
        &[&["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]]
    } else {
        &[&["--locale=C.UTF-8"], &["--locale=C"]]
    }
}

/// Runs `initdb`; the inner error is its output.
fn initdb(
    stage: &Path,
    binaries: &Binaries,
    account: &Account,
    durable: bool,
    locale: &[&str],
) -> Result<Result<(), String>, ClusterError> {
    let program = binaries.program("initdb");
    let done = account
        .command(&program)
        .args(["--encoding=UTF8", "--auth=trust", "--no-instructions"])
        .arg(if durable { "--data-checksums" } else { "--no-sync" })
        .args(locale)
        .args(["--username", SUPERUSER, "--pgdata"])
        .arg(stage)
        .output()
        .context(|| format!("run {} as the user {}", program.display(), account.name))?;
    if done.status.success() {
        return Ok(Ok(()));
    }
    let output = [done.stdout, done.stderr].concat();
    Ok(Err(String::from_utf8_lossy(&output).trim().to_owned()))
}

fn configure(stage: &Path, durable: bool) -> Result<(), ClusterError> {
    // A test's cluster is one of many on its machine.
    let shared_buffers = if durable { "256MB" } else { "32MB" };
    let path = stage.join("postgresql.conf");
    OpenOptions::new()
        .append(true)
        .open(&path)
        .and_then(|mut file| {
            writeln!(file, "{SETTINGS}shared_buffers = {shared_buffers}")?;
            if durable { file.sync_all() } else { Ok(()) }
        })
        .context(|| format!("write {}", path.display()))
}

fn put_in_place(stage: &Path, pgdata: &Path, durable: bool) -> Result<(), ClusterError> {
    fs::rename(stage, pgdata)
        .and_then(|()| match pgdata.parent() {
            Some(parent) if durable => File::open(parent)?.sync_all(),
            _ => Ok(()),
        })
        .context(|| format!("move the new cluster to {}", pgdata.display()))?;
    info!(pgdata = %pgdata.display(), "created a new database cluster");
    Ok(())
}
