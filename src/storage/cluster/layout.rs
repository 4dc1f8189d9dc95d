//! The files and directories of a cluster, and their permissions.
//!
//! ```text
//! <data-dir>/              0700; as root 0711, so that the unprivileged user can pass through
//!   lock                   locked (flock) by the one relive that uses this directory
//!   postgres/              the database cluster itself, or a link to it
//!   postgres.log, .log.1   PostgreSQL's log
//!   socket/                0700; a short path under /tmp when this one is too long for a socket
//! ```

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::{
    account::Account,
    error::{ClusterError, IoContext},
    relocate::{fnv1a, relocated_pgdata},
};

/// PostgreSQL names its socket after a port, even if it does not listen on one.
pub(super) const PORT: u16 = 5432;

/// The shortest `sun_path` is that of macOS with 104 bytes, one of them for the final NUL. The socket's lock
/// file adds `.lock` to the name, but is no socket.
const LONGEST_SOCKET_PATH: usize = 103;

#[derive(Debug)]
pub(super) struct DataLayout {
    pub account: Account,
    pub pgdata: PathBuf,
    pub sockets: PathBuf,
    pub log: PathBuf,
}

/// Held for as long as the cluster is used. The kernel releases it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "kept open for its lock")] File);

impl DataLayout {
    /// Creates what is missing, except the database cluster, and takes the lock.
    pub fn prepare(data_dir: &Path) -> Result<(Self, Lock), ClusterError> {
        let is_root = nix::unistd::Uid::effective().is_root();
        let data_dir = create_data_dir(data_dir, if is_root { 0o711 } else { 0o700 })?;
        let lock = Lock::acquire(&data_dir.join("lock"), &data_dir)?;

        let link = data_dir.join("postgres");
        let account = Account::choose(&link)?;
        let pgdata = place_pgdata(&data_dir, &link, &account)?;
        let sockets = place_sockets(&data_dir, &pgdata, &account)?;
        let log = data_dir.join("postgres.log");
        Ok((Self { account, pgdata, sockets, log }, lock))
    }
}

/// How long to wait for a lock. A child that the holder has just forked holds it too until it executes its own
/// program, even after the holder has released it.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
const LOCK_POLL: Duration = Duration::from_millis(20);

impl Lock {
    fn acquire(path: &Path, dir: &Path) -> Result<Self, ClusterError> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path)
            .context(|| format!("open {}", path.display()))?;
        Self::of(file, path, dir)
    }

    /// Locks the cluster by one of its own files: two data directories may link to the same cluster.
    pub fn cluster(pgdata: &Path) -> Result<Self, ClusterError> {
        let path = pgdata.join("PG_VERSION");
        // Nothing is written, but NFS grants exclusive locks only on files opened for writing.
        let file =
            OpenOptions::new().read(true).write(true).open(&path).context(|| format!("open {}", path.display()))?;
        Self::of(file, &path, pgdata)
    }

    fn of(file: File, path: &Path, dir: &Path) -> Result<Self, ClusterError> {
        let deadline = Instant::now() + LOCK_TIMEOUT;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(LOCK_POLL),
                Err(TryLockError::WouldBlock) => return Err(ClusterError::InUse { dir: dir.to_owned() }),
                Err(TryLockError::Error(error)) => return Err(error).context(|| format!("lock {}", path.display())),
            }
        }
    }
}

/// Creates the directory with `mode`, whatever the umask; leaves an existing one as it is.
fn create_data_dir(dir: &Path, mode: u32) -> Result<PathBuf, ClusterError> {
    if !dir.is_dir() {
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent).context(|| format!("create {}", parent.display()))?;
        }
        create_dir(dir, mode).context(|| format!("create {}", dir.display()))?;
    }
    fs::canonicalize(dir).context(|| format!("find {}", dir.display()))
}

fn create_dir(dir: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made?,
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(mode))
}

/// The location of the cluster: the target of the link if there is one, else in the data directory if the
/// account can access it, else in a directory of its own with a link to it.
fn place_pgdata(data_dir: &Path, link: &Path, account: &Account) -> Result<PathBuf, ClusterError> {
    let found = fs::symlink_metadata(link).ok();
    if found.is_some_and(|found| found.is_symlink()) {
        let target = fs::read_link(link).context(|| format!("read {}", link.display()))?;
        let pgdata = data_dir.join(target);
        // The cluster itself may still be missing, if its creation was interrupted.
        let home = pgdata.parent().unwrap_or(&pgdata);
        if !home.is_dir() {
            return Err(ClusterError::LostData { link: link.to_owned(), target: pgdata });
        }
        return check_reach(home, account).map(|()| pgdata);
    }
    if link.exists() || account.reaches(data_dir)? {
        return check_reach(data_dir, account).map(|()| link.to_owned());
    }
    relocated_pgdata(data_dir, link, account)
}

fn check_reach(dir: &Path, account: &Account) -> Result<(), ClusterError> {
    if account.reaches(dir)? {
        Ok(())
    } else {
        Err(ClusterError::Unreachable { path: dir.to_owned(), user: account.name.clone() })
    }
}

/// The directory of the socket: in the data directory if its path is short enough, else under /tmp.
fn place_sockets(data_dir: &Path, pgdata: &Path, account: &Account) -> Result<PathBuf, ClusterError> {
    let near = if account.reaches(data_dir)? { data_dir } else { pgdata.parent().unwrap_or(pgdata) };
    let mut sockets = near.join("socket");
    if sockets.as_os_str().len() + format!("/.s.PGSQL.{PORT}").len() > LONGEST_SOCKET_PATH {
        let name = format!("relive-{:016x}", fnv1a(data_dir.as_os_str().as_bytes()));
        sockets = Path::new("/tmp").join(name);
    }
    private_dir(&sockets, account)?;
    Ok(sockets)
}

/// Makes sure that `dir` is a directory that only `account` can use. Anyone can create names in /tmp, so an
/// existing directory is checked and not trusted.
fn private_dir(dir: &Path, account: &Account) -> Result<(), ClusterError> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).context(|| format!("create {}", dir.display())),
    }
    let look = || fs::symlink_metadata(dir).context(|| format!("look at {}", dir.display()));
    // Just created by root, or left behind by an interrupted start.
    if account.switches && look()?.is_dir() && look()?.uid() == 0 {
        account.take_ownership(dir)?;
    }
    let found = look()?;
    let wrong = if !found.is_dir() {
        "no directory".to_owned()
    } else if !account.owns(&found) {
        format!("owned by user number {}", found.uid())
    } else if found.mode() & 0o077 != 0 {
        format!("open to others (mode {:o})", found.mode() & 0o777)
    } else {
        return Ok(());
    };
    let user = account.name.clone();
    Err(ClusterError::NotPrivate { path: dir.to_owned(), user, found: wrong })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> Account {
        let dir = tempfile::tempdir().unwrap();
        Account::choose(dir.path()).unwrap()
    }

    #[test]
    fn a_private_directory_is_made_once_and_found_again() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("socket");
        private_dir(&dir, &ours()).unwrap();
        private_dir(&dir, &ours()).unwrap();
        assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_directory_open_to_others_or_a_link_is_not_trusted() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("socket");
        private_dir(&dir, &ours()).unwrap();

        let link = parent.path().join("link");
        std::os::unix::fs::symlink(&dir, &link).unwrap();
        let refused = private_dir(&link, &ours()).unwrap_err();
        assert!(matches!(refused, ClusterError::NotPrivate { .. }), "{refused}");

        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        let refused = private_dir(&dir, &ours()).unwrap_err();
        assert!(matches!(refused, ClusterError::NotPrivate { .. }), "{refused}");
    }

    #[test]
    fn a_long_data_directory_gets_a_short_socket() {
        let parent = tempfile::tempdir().unwrap();
        let data_dir = parent.path().join("x".repeat(90));
        fs::create_dir(&data_dir).unwrap();
        let sockets = place_sockets(&data_dir, &data_dir.join("postgres"), &ours()).unwrap();
        assert!(sockets.starts_with("/tmp") && sockets.as_os_str().len() < 40, "{sockets:?}");
        fs::remove_dir(&sockets).unwrap();
    }
}
