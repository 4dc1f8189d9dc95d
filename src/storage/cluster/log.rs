//! The file PostgreSQL logs to.
//!
//! Everything goes to one file, opened here and inherited by the postmaster, so that even an early
//! failure is in it. PostgreSQL's own collector rotates by time or size but truncates by time only, so it
//! does not bound the size. Instead the file is rotated when it is larger than [`LIMIT`], which is checked
//! every [`CHECK_EVERY`]; one old file is kept.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use tracing::warn;

use super::error::{ClusterError, IoContext};

const LIMIT: u64 = 10 * 1024 * 1024;
pub(super) const CHECK_EVERY: Duration = Duration::from_mins(1);

/// Bytes at its end that are shown in errors.
const TAIL_BYTES: u64 = 4096;
const TAIL_LINES: usize = 10;

#[derive(Debug)]
pub(super) struct ServerLog {
    path: PathBuf,
    limit: u64,
}

impl ServerLog {
    pub fn new(path: PathBuf) -> Self {
        Self { path, limit: LIMIT }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opened in append mode, so that a writer continues correctly after the file is truncated.
    pub fn open(&self) -> Result<File, ClusterError> {
        self.bound();
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&self.path)
            .context(|| format!("open {}", self.path.display()))
    }

    pub fn len(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |found| found.len())
    }

    /// Rotates the file if it is too large. Lines written between the copy and the truncation are lost. A
    /// database must not stop because of its log, so a failure is only reported.
    pub fn bound(&self) {
        if self.len() <= self.limit {
            return;
        }
        let cut = || -> io::Result<()> {
            fs::copy(&self.path, self.path.with_extension("log.1"))?;
            OpenOptions::new().write(true).open(&self.path)?.set_len(0)
        };
        if let Err(error) = cut() {
            warn!(log = %self.path.display(), %error, "cannot rotate PostgreSQL's log");
        }
    }

    /// The last lines since `start`, or since the file was rotated.
    pub fn tail(&self, start: u64) -> String {
        let read = || -> io::Result<String> {
            let mut file = File::open(&self.path)?;
            let len = file.metadata()?.len();
            let start = if start > len { 0 } else { start };
            file.seek(SeekFrom::Start(start.max(len.saturating_sub(TAIL_BYTES))))?;
            let mut bytes = Vec::new();
            file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let text = read().unwrap_or_else(|error| format!("(cannot be read: {error})"));
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn log(dir: &tempfile::TempDir, limit: u64) -> ServerLog {
        ServerLog { path: dir.path().join("postgres.log"), limit }
    }

    #[test]
    fn a_grown_log_is_cut_under_its_writer() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(&dir, 100);
        let mut writer = log.open().unwrap();
        writer.write_all(&[b'a'; 101]).unwrap();
        log.bound();
        writer.write_all(b"after").unwrap();

        assert_eq!(fs::read_to_string(log.path()).unwrap(), "after");
        assert_eq!(fs::metadata(dir.path().join("postgres.log.1")).unwrap().len(), 101);
    }

    #[test]
    fn the_tail_is_of_this_run_and_short() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(&dir, LIMIT);
        let mut writer = log.open().unwrap();
        writeln!(writer, "an earlier run").unwrap();
        let start = log.len();
        for line in 0..TAIL_LINES + 2 {
            writeln!(writer, "line {line}").unwrap();
        }

        let tail = log.tail(start);
        assert!(tail.starts_with("line 2\n") && tail.ends_with("line 11"), "{tail}");
        assert_eq!(log.tail(log.len()), "");
    }
}
