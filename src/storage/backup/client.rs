//! PostgreSQL's own programs, `pg_dump` and `pg_restore`: where they are, and how they are run.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use reqwest::Url;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use super::BackupError;
use super::file::{BackupWriter, Written};
use crate::storage::cluster::{client_directories, major_version};

/// What is kept of what a program says on standard error.
const SAID: u64 = 8 << 10;
const CHUNK: usize = 256 << 10;
/// Parameters of an address that libpq knows; the driver has some of its own.
const PARAMETERS: [&str; 14] = [
    "host",
    "hostaddr",
    "port",
    "user",
    "dbname",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "application_name",
    "options",
    "connect_timeout",
    "passfile",
    "channel_binding",
];

/// A database, as PostgreSQL's programs are told of it.
#[derive(Clone, Debug)]
pub struct Target {
    /// For `--dbname`, without a password: other users of the machine can see arguments.
    name: String,
    password: Option<String>,
}

impl Target {
    /// The database of a `DATABASE_URL`; `None` if that is no address.
    #[must_use]
    pub fn of_url(url: &str) -> Option<Self> {
        let mut url = Url::parse(url).ok()?;
        let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        let mut password = url.password().map(decoded);
        if password.is_some() {
            url.set_password(None).ok()?;
        }
        let given: Vec<(String, String)> =
            url.query_pairs().map(|(key, value)| (key.into_owned(), value.into_owned())).collect();
        if let Some((_, value)) = given.iter().find(|(key, _)| key == "password") {
            password = Some(value.clone());
        }
        let kept: Vec<_> = given.iter().filter(|(key, _)| PARAMETERS.contains(&key.as_str())).collect();
        url.set_query(None);
        let mut name = url.to_string();
        for (at, (key, value)) in kept.into_iter().enumerate() {
            // A query as libpq reads it: a space is %20 there, not +.
            let value = percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC);
            name += &format!("{}{key}={value}", if at == 0 { '?' } else { '&' });
        }
        Some(Self { name, password })
    }

    /// A database behind a socket of this machine that asks for no password.
    #[must_use]
    pub fn of_socket(directory: &Path, port: u16, user: &str, database: &str) -> Self {
        let quoted = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
        let directory = quoted(&directory.to_string_lossy());
        let (user, database) = (quoted(user), quoted(database));
        Self {
            name: format!("host={directory} port={port} user={user} dbname={database} sslmode=disable"),
            password: None,
        }
    }
}

/// Where PostgreSQL's programs are looked for.
#[derive(Clone, Debug)]
pub struct ClientPrograms {
    directories: Vec<PathBuf>,
}

impl ClientPrograms {
    /// The named directory alone, or all the usual ones.
    #[must_use]
    pub fn new(named: Option<&Path>) -> Self {
        Self { directories: named.map_or_else(client_directories, |named| vec![named.to_owned()]) }
    }

    /// The first program of this name that is not older than `major`: an older one does not understand the database, or
    /// the file.
    pub(super) fn find(&self, program: &'static str, major: u32) -> Result<PathBuf, BackupError> {
        let fits = |path: &PathBuf| path.is_file() && major_version(path).is_some_and(|found| found >= major);
        let found = self.directories.iter().map(|directory| directory.join(program)).find(fits);
        found.ok_or(BackupError::NoProgram { program, needed: major })
    }
}

fn command(program: &Path, target: &Target) -> Command {
    let mut command = Command::new(program);
    command.arg("--dbname").arg(&target.name).arg("--no-password").stdin(Stdio::null()).stderr(Stdio::piped());
    command.env("PGAPPNAME", "relive backup").kill_on_drop(true);
    if let Some(password) = &target.password {
        command.env("PGPASSWORD", password);
    }
    command
}

fn start(program: &Path, mut command: Command) -> Result<Child, BackupError> {
    command.spawn().map_err(|error| BackupError::Run { program: program.to_owned(), error })
}

/// The beginning of what a program says; the rest is read as well, or it would wait.
async fn said(stderr: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut stderr) = stderr else { return String::new() };
    let mut text = Vec::new();
    // What cannot be read is missing in a message.
    let _ = (&mut stderr).take(SAID).read_to_end(&mut text).await;
    let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&text).trim().to_owned()
}

/// Dumps a schema as a snapshot shows it.
pub(super) async fn dump(
    program: &Path,
    target: &Target,
    schema: &str,
    snapshot: &str,
    file: &mut BackupWriter,
) -> Result<Written, BackupError> {
    let mut command = command(program, target);
    command.args([
        "--format=custom",
        "--no-owner",
        "--no-privileges",
        "--schema",
        &quoted(schema),
        "--snapshot",
        snapshot,
    ]);
    command.stdout(Stdio::piped());
    let mut child = start(program, command)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let copying = async {
        let Some(mut stdout) = stdout else { return Ok(()) };
        let mut buffer = vec![0; CHUNK];
        loop {
            match stdout.read(&mut buffer).await {
                Ok(0) => return Ok(()),
                Ok(read) => file.write(&buffer[..read]).await?,
                Err(error) => return Err(BackupError::Run { program: program.to_owned(), error }),
            }
        }
    };
    let (copied, said) = tokio::join!(copying, said(stderr));
    // A file that cannot be written makes the program fail as well; the first reason is the one that helps.
    copied?;
    ended(&mut child, program, "pg_dump", said).await?;
    Ok(file.end_dump())
}

/// A pattern that stands for this schema alone.
fn quoted(schema: &str) -> String {
    format!("\"{}\"", schema.replace('"', "\"\""))
}

async fn ended(child: &mut Child, program: &Path, name: &'static str, said: String) -> Result<(), BackupError> {
    let status = child.wait().await.map_err(|error| BackupError::Run { program: program.to_owned(), error })?;
    if status.success() {
        return Ok(());
    }
    let said = if said.is_empty() { status.to_string() } else { said };
    Err(BackupError::Failed { program: name, said })
}

/// Restores a dump, all of it or nothing.
pub(super) async fn restore(
    program: &Path,
    target: &Target,
    schema: &str,
    replaces: bool,
    dump: &mut (impl AsyncRead + Unpin),
) -> Result<(), BackupError> {
    let mut command = command(program, target);
    command.args(["--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction", "--schema", schema]);
    if replaces {
        command.args(["--clean", "--if-exists"]);
    }
    feed(program, command, dump).await
}

/// Reads a dump to its end, and gives what it would restore as a script to `lines`, piece by piece.
pub(super) async fn script(
    program: &Path,
    dump: &mut (impl AsyncRead + Unpin),
    mut pieces: impl FnMut(&[u8]),
) -> Result<(), BackupError> {
    let mut command = Command::new(program);
    command.args(["--file=-", "--no-owner", "--no-privileges"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    command.stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = start(program, command)?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let reading = async {
        let Some(mut stdout) = stdout else { return };
        let mut buffer = vec![0; CHUNK];
        while let Ok(read @ 1..) = stdout.read(&mut buffer).await {
            pieces(&buffer[..read]);
        }
    };
    let (_, (), said) = tokio::join!(write(stdin, dump), reading, said(stderr));
    ended(&mut child, program, "pg_restore", said).await
}

async fn feed(program: &Path, mut command: Command, dump: &mut (impl AsyncRead + Unpin)) -> Result<(), BackupError> {
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = start(program, command)?;
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let (_, said) = tokio::join!(write(stdin, dump), said(stderr));
    ended(&mut child, program, "pg_restore", said).await
}

/// A program that does not read to the end says why itself.
async fn write(
    to: Option<impl tokio::io::AsyncWrite + Unpin>,
    from: &mut (impl AsyncRead + Unpin),
) -> std::io::Result<()> {
    let Some(mut to) = to else { return Ok(()) };
    tokio::io::copy(from, &mut to).await?;
    to.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_goes_to_the_programs_without_its_password() {
        let target = Target::of_url(
            "postgres://ada:p%40ss@db.example:6432/relive?sslmode=verify-full&sslrootcert=/etc/a b.pem&statement-cache-capacity=5",
        );
        let target = target.expect("an address");
        assert_eq!(target.password.as_deref(), Some("p@ss"));
        assert_eq!(
            target.name,
            "postgres://ada@db.example:6432/relive?sslmode=verify%2Dfull&sslrootcert=%2Fetc%2Fa%20b%2Epem"
        );
        let target = Target::of_url("postgres:///relive?host=/tmp/x&user=ada&password=secret").expect("an address");
        assert_eq!(target.name, "postgres:///relive?host=%2Ftmp%2Fx&user=ada");
        assert_eq!(target.password.as_deref(), Some("secret"));
        assert!(Target::of_url("relive").is_none());
    }

    #[test]
    fn a_socket_may_have_any_path() {
        let target = Target::of_socket(Path::new("/data/it's"), 5432, "postgres", "relive");
        assert_eq!(target.name, "host='/data/it\\'s' port=5432 user='postgres' dbname='relive' sslmode=disable");
    }
}
