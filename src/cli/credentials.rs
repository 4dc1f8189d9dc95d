//! Keys and access tokens on this machine: the file that `relive login` writes, one entry per server.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use relive_client::Address;
use serde::{Deserialize, Serialize};

/// Bytes of a key or a token at most; they have to fit into a header.
pub const LONGEST: u64 = 16 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    #[error("there is no place for keys: neither XDG_CONFIG_HOME nor HOME is set")]
    NoPlace,
    #[error("cannot read {}: {error}", path.display())]
    Read { path: PathBuf, error: std::io::Error },
    #[error("cannot write {}: {error}", path.display())]
    Write { path: PathBuf, error: std::io::Error },
    /// The text of the error would show a part of the file.
    #[error("{} is not what `relive login` writes; mend it, or remove it and sign in again", path.display())]
    Damaged { path: PathBuf },
    #[error("{from} has no key or access token")]
    Empty { from: String },
    #[error("what {from} has is not a key or an access token: it is too long, or has spaces or other characters in it")]
    Invalid { from: String },
}

/// A text from `from`, without the line end; it has to be one word that a header can carry.
///
/// # Errors
///
/// If it is empty, or cannot be a key or a token.
pub fn checked(text: &str, from: &str) -> Result<String, CredentialsError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(CredentialsError::Empty { from: from.to_owned() });
    }
    if text.len() as u64 > LONGEST || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(CredentialsError::Invalid { from: from.to_owned() });
    }
    Ok(text.to_owned())
}

/// The file: `$XDG_CONFIG_HOME/relive/credentials.toml`, or below `~/.config`.
#[derive(Clone, Debug)]
pub struct CredentialsFile(PathBuf);

#[derive(Default, Serialize, Deserialize)]
struct Content {
    #[serde(default)]
    servers: BTreeMap<String, Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    token: String,
}

impl CredentialsFile {
    /// # Errors
    ///
    /// If the environment names no place for it.
    pub fn of_environment() -> Result<Self, CredentialsError> {
        // Relative paths are to be ignored, says the XDG Base Directory Specification.
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path: &PathBuf| path.is_absolute());
        let config = absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")));
        Ok(Self(config.ok_or(CredentialsError::NoPlace)?.join("relive/credentials.toml")))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What is stored for a server.
    ///
    /// # Errors
    ///
    /// If the file cannot be read. None is no error.
    pub fn token(&self, server: &Address) -> Result<Option<String>, CredentialsError> {
        Ok(self.read()?.servers.remove(&server.to_string()).map(|entry| entry.token))
    }

    /// # Errors
    ///
    /// If the file cannot be read or written.
    pub fn store(&self, server: &Address, token: String) -> Result<(), CredentialsError> {
        let mut content = self.read()?;
        content.servers.insert(server.to_string(), Entry { token });
        self.write(&content)
    }

    /// Whether there was something to remove.
    ///
    /// # Errors
    ///
    /// As [`CredentialsFile::store`].
    pub fn remove(&self, server: &Address) -> Result<bool, CredentialsError> {
        let mut content = self.read()?;
        let was_there = content.servers.remove(&server.to_string()).is_some();
        if was_there {
            self.write(&content)?;
        }
        Ok(was_there)
    }

    fn read(&self) -> Result<Content, CredentialsError> {
        match fs::read_to_string(&self.0) {
            Ok(text) => toml::from_str(&text).map_err(|_| CredentialsError::Damaged { path: self.0.clone() }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Content::default()),
            Err(error) => Err(CredentialsError::Read { path: self.0.clone(), error }),
        }
    }

    /// Under a temporary name first, so that a crash loses nothing. Nobody else may read it at any time.
    fn write(&self, content: &Content) -> Result<(), CredentialsError> {
        let wrong = |error| CredentialsError::Write { path: self.0.clone(), error };
        let text = toml::to_string(content).map_err(|error| wrong(std::io::Error::other(error)))?;
        let directory = self.0.parent().unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(wrong)?;
        // Temporary files are for their owner alone.
        let mut part = tempfile::Builder::new().prefix(".credentials").tempfile_in(directory).map_err(wrong)?;
        part.write_all(text.as_bytes()).and_then(|()| part.as_file().sync_all()).map_err(wrong)?;
        part.persist(&self.0).map_err(|error| wrong(error.error))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).expect("an address")
    }

    #[test]
    fn each_server_has_its_own_and_only_the_owner_can_read_the_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = CredentialsFile(directory.path().join("config/relive/credentials.toml"));
        let (one, other) = (address("http://127.0.0.1:7400/"), address("https://example.org/relive"));
        assert_eq!(file.token(&one).expect("read"), None);
        file.store(&one, "rlv_one".to_owned()).expect("stored");
        file.store(&other, "rlv_other\"".to_owned()).expect("stored");
        assert_eq!(file.token(&address("http://127.0.0.1:7400")).expect("read").as_deref(), Some("rlv_one"));
        assert_eq!(file.token(&other).expect("read").as_deref(), Some("rlv_other\""));
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(file.path()), mode(file.path().parent().expect("a directory"))), (0o600, 0o700));
        // One that others could read is replaced, not written into.
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).expect("changed");
        file.store(&one, "rlv_new".to_owned()).expect("stored");
        assert_eq!(mode(file.path()), 0o600);
        assert!(file.remove(&one).expect("removed") && !file.remove(&one).expect("nothing to remove"));
        assert_eq!(file.token(&one).expect("read"), None);
        assert!(file.token(&other).expect("read").is_some());
        assert_eq!(fs::read_dir(file.path().parent().expect("a directory")).expect("a list").count(), 1);
    }

    #[test]
    fn a_file_that_is_damaged_is_not_overwritten_nor_shown() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = CredentialsFile(directory.path().join("credentials.toml"));
        fs::write(file.path(), "servers = 'rlv_secret").expect("written");
        let error = file.store(&address("http://127.0.0.1:1"), "x".to_owned()).expect_err("damaged").to_string();
        assert!(error.contains("credentials.toml") && !error.contains("secret"), "{error}");
        assert_eq!(fs::read_to_string(file.path()).expect("there"), "servers = 'rlv_secret");
    }

    #[test]
    fn a_token_is_one_word() {
        assert_eq!(checked(" rlv_abc\r\n", "it").expect("a key"), "rlv_abc");
        assert!(matches!(checked(" \n", "it"), Err(CredentialsError::Empty { .. })));
        for wrong in ["a b", "a\nb", "schlüssel", "\u{7f}", &"x".repeat(20_000)] {
            assert!(matches!(checked(wrong, "it"), Err(CredentialsError::Invalid { .. })), "{wrong}");
        }
    }
}
