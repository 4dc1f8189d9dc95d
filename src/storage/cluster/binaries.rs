//! Finds PostgreSQL's programs.
//!
//! Nothing is bundled and nothing is downloaded; the directories of [`candidates`] are searched in order for
//! a PostgreSQL that has pgvector.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use tracing::debug;

use super::error::ClusterError;

/// The oldest major version that relive's SQL and settings work with.
const OLDEST: u32 = 14;

/// Programs that a directory must contain.
const PROGRAMS: [&str; 2] = ["postgres", "initdb"];

#[derive(Debug, Clone)]
pub(super) struct Binaries {
    /// Canonical, because the programs find their libraries relative to their real location.
    pub dir: PathBuf,
    pub major: u32,
}

impl Binaries {
    /// The configured directory, which then has to be usable, or the first usable one of the well-known
    /// directories.
    pub fn find(explicit: Option<&Path>) -> Result<Self, ClusterError> {
        if let Some(dir) = explicit {
            return Self::at(dir);
        }
        for dir in candidates() {
            match Self::at(&dir) {
                Ok(found) => return Ok(found),
                Err(why) => debug!(dir = %dir.display(), %why, "skipping this PostgreSQL"),
            }
        }
        Err(ClusterError::NoBinaries)
    }

    fn at(dir: &Path) -> Result<Self, ClusterError> {
        let not = |why: String| ClusterError::NotBinaries { dir: dir.to_owned(), why };
        let dir = fs::canonicalize(dir).map_err(|error| not(error.to_string()))?;
        if let Some(missing) = PROGRAMS.iter().find(|name| !dir.join(name).is_file()) {
            return Err(not(format!("it has no `{missing}`")));
        }
        let version = output(&dir.join("postgres"), "--version").map_err(not)?;
        let major = major(&version).ok_or_else(|| not(format!("unknown version `{version}`")))?;
        if major < OLDEST {
            return Err(ClusterError::TooOld { dir, major, oldest: OLDEST });
        }
        if !has_pgvector(&dir) {
            return Err(ClusterError::NoPgvector { dir, major });
        }
        Ok(Self { dir, major })
    }

    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// Directories in which PostgreSQL's client programs may be, best first. They need not be those of a server.
pub(in crate::storage) fn client_directories() -> Vec<PathBuf> {
    let mut found = candidates();
    found.extend(env::var_os("PATH").iter().flat_map(env::split_paths));
    found
}

/// The major version of one of PostgreSQL's programs.
pub(in crate::storage) fn major_version(program: &Path) -> Option<u32> {
    major(&output(program, "--version").ok()?)
}

/// Directories to try, best first. Many of them do not exist.
fn candidates() -> Vec<PathBuf> {
    // Prepared by `make`: below the current directory; or, for a binary that was built here and is started
    // elsewhere, in the directory it was built in, or above target/debug/ (target/debug/deps/ for tests).
    let built_at = concat!(env!("CARGO_MANIFEST_DIR"), "/.postgres/bin");
    let mut found = vec![PathBuf::from(".postgres/bin"), PathBuf::from(built_at)];
    if let Ok(program) = env::current_exe() {
        found.extend(program.ancestors().skip(1).take(4).map(|dir| dir.join(".postgres/bin")));
    }
    found.extend(versioned("/usr/lib/postgresql", ""));
    found.push(PathBuf::from("/usr/local/pgsql/bin"));
    found.extend(versioned("/opt/homebrew/opt", "postgresql@"));
    found.extend(versioned("/usr/local/opt", "postgresql@"));
    found.extend(on_path());
    found
}

/// `<parent>/<prefix><version>/bin`, newest version first.
fn versioned(parent: &str, prefix: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, dir)| dir).collect()
}

/// The directory of the `pg_ctl` on PATH, with links resolved.
fn on_path() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let program = env::split_paths(&path).map(|dir| dir.join("pg_ctl")).find(|it| it.is_file())?;
    Some(fs::canonicalize(program).ok()?.parent()?.to_owned())
}

/// The number in `postgres (PostgreSQL) 18.6 (Debian 18.6-1)`; also in `… 19devel`.
fn major(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL) ")?.1;
    let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number[..end].parse().ok()
}

/// Whether pgvector's control file is among the extensions.
fn has_pgvector(bin: &Path) -> bool {
    let shares = match output(&bin.join("pg_config"), "--sharedir") {
        Ok(share) => vec![PathBuf::from(share)],
        // Some packages put pg_config elsewhere, or leave it out.
        Err(_) => vec![bin.join("../share"), bin.join("../share/postgresql")],
    };
    shares.iter().any(|share| share.join("extension/vector.control").is_file())
}

/// The trimmed output of a program, or the reason why there is none.
fn output(program: &Path, argument: &str) -> Result<String, String> {
    let done = Command::new(program)
        .arg(argument)
        .output()
        .map_err(|error| format!("{} cannot be run: {error}", program.display()))?;
    if done.status.success() {
        Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
    } else {
        let why = String::from_utf8_lossy(&done.stderr).trim().to_owned();
        Err(format!("`{} {argument}` failed: {why}", program.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::major;

    #[test]
    fn major_version_of_releases_packages_and_snapshots() {
        assert_eq!(major("postgres (PostgreSQL) 18.6"), Some(18));
        assert_eq!(major("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 19devel"), Some(19));
        assert_eq!(major("something else"), None);
    }
}
