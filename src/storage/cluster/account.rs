//! The user PostgreSQL runs as.
//!
//! If an ordinary user starts relive, everything runs as that user. PostgreSQL refuses to run as root, which
//! is common in containers; then its processes run as an unprivileged user, and the files they write belong
//! to that user.

use std::{
    env, fs,
    os::unix::{
        fs::{MetadataExt, lchown},
        process::CommandExt,
    },
    path::Path,
    process::{Command, Stdio},
};

use nix::unistd::{Gid, Uid, User};

use super::error::{ClusterError, IoContext};

/// Environment variables that a child may see. No others are passed on: keys of other services do not
/// belong into a process whose superuser can read its environment, and `PG*` would change its settings.
const PASSED_ON: [&str; 4] = ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH"];

#[derive(Debug, Clone)]
pub(super) struct Account {
    uid: Uid,
    gid: Gid,
    pub name: String,
    /// This process is root, and the children must not be.
    pub switches: bool,
}

impl Account {
    /// The current user; for root, the owner of the data directory if there is one, else `postgres` or `nobody`.
    ///
    /// The owner comes first, so that a data directory of an ordinary user remains usable for that user after a
    /// start by root.
    pub fn choose(pgdata: &Path) -> Result<Self, ClusterError> {
        let us = Uid::effective();
        if !us.is_root() {
            return Ok(Self::new(us, Gid::effective(), false));
        }
        if let Ok(found) = fs::metadata(pgdata)
            && found.uid() != 0
        {
            return Ok(Self::new(Uid::from_raw(found.uid()), Gid::from_raw(found.gid()), true));
        }
        for name in ["postgres", "nobody"] {
            let user = User::from_name(name).context(|| format!("look up the user {name}"))?;
            if let Some(user) = user {
                return Ok(Self::new(user.uid, user.gid, true));
            }
        }
        Err(ClusterError::NoAccount)
    }

    fn new(uid: Uid, gid: Gid, switches: bool) -> Self {
        let name = match User::from_uid(uid) {
            Ok(Some(user)) => user.name,
            // The user of a container often has a number and no name.
            _ => uid.to_string(),
        };
        Self { uid, gid, name, switches }
    }

    /// A command that will run as this user, from `/`, with a clean environment and no input.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir("/").stdin(Stdio::null()).env_clear();
        for name in PASSED_ON {
            if let Some(value) = env::var_os(name) {
                command.env(name, value);
            }
        }
        // LC_ALL must be set: on macOS the postmaster would otherwise start threads to find a locale, and then
        // refuse to run. TZ saves initdb a search through all time zones.
        command.env("LC_ALL", "C").env("TZ", "UTC");
        if self.switches {
            // As root, `uid` also clears the supplementary groups.
            command.gid(self.gid.as_raw()).uid(self.uid.as_raw());
        }
        command
    }

    /// Whether this user can access `path` and every directory above it. The kernel is asked, rather than the
    /// mode bits evaluated, so that access lists count too.
    pub fn reaches(&self, path: &Path) -> Result<bool, ClusterError> {
        if !self.switches {
            return Ok(true);
        }
        let status = self
            .command(Path::new("/bin/sh"))
            .args(["-c", r#"test -x "$1""#, "sh"])
            .arg(path)
            .status()
            .context(|| format!("run a shell as the user {}", self.name))?;
        Ok(status.success())
    }

    pub fn owns(&self, found: &fs::Metadata) -> bool {
        found.uid() == self.uid.as_raw()
    }

    /// Gives `path` itself to this user.
    pub fn take_ownership(&self, path: &Path) -> Result<(), ClusterError> {
        if !self.switches {
            return Ok(());
        }
        lchown(path, Some(self.uid.as_raw()), Some(self.gid.as_raw()))
            .context(|| format!("give {} to the user {}", path.display(), self.name))
    }

    /// Gives `path` and everything below it to this user, without following links.
    pub fn take_ownership_of_tree(&self, path: &Path) -> Result<(), ClusterError> {
        self.take_ownership(path)?;
        let found = fs::symlink_metadata(path).context(|| format!("look at {}", path.display()))?;
        if found.is_dir() {
            for entry in fs::read_dir(path).context(|| format!("list {}", path.display()))? {
                let entry = entry.context(|| format!("list {}", path.display()))?;
                self.take_ownership_of_tree(&entry.path())?;
            }
        }
        Ok(())
    }
}
