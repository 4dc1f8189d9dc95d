//! PgBouncer in front of a PostgreSQL.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::eventually;
use super::postgres::{Postgres, free_port};
use super::programs::find;

/// Ends with the test.
pub struct PgBouncer {
    port: u16,
    /// Of 1.21 on, the statements that its clients have prepared are kept apart.
    pub keeps_statements: bool,
    _child: Child,
    _directory: tempfile::TempDir,
}

impl PgBouncer {
    /// `mode` is `session` or `transaction`. `None` where it is not installed.
    pub async fn start(postgres: &Postgres, mode: &str) -> Option<Self> {
        let program = find("a pooler", "pgbouncer", "pgbouncer")?;
        let keeps_statements = version(&program).await >= (1, 21);
        let directory = tempfile::tempdir().expect("a directory");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
        let (port, behind) = (free_port(), postgres.port);
        let statements = if keeps_statements { "max_prepared_statements = 200" } else { "" };
        let settings = format!(
            "[databases]\nrelive = host=127.0.0.1 port={behind} dbname=relive user=postgres\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = {mode}\ndefault_pool_size = 60\nmax_client_conn = 200\n\
             ignore_startup_parameters = extra_float_digits\n{statements}\n"
        );
        let path = directory.path().join("pgbouncer.ini");
        fs::write(&path, settings).expect("written");
        let mut command = Command::new(program);
        if nix::unistd::Uid::effective().is_root() {
            command.args(["--user", "nobody"]);
        }
        command.arg(&path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let child = command.spawn().expect("PgBouncer");
        eventually("an open port", || async { TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok() }).await;
        Some(Self { port, keeps_statements, _child: child, _directory: directory })
    }

    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/relive", self.port)
    }
}

/// Its first two numbers: `PgBouncer 1.24.1`.
async fn version(program: &Path) -> (u32, u32) {
    let output = Command::new(program).arg("--version").output().await.expect("PgBouncer").stdout;
    let text = String::from_utf8_lossy(&output).into_owned();
    let mut numbers = text.split_whitespace().nth(1).expect("a version").split('.').map(|part| part.parse());
    let mut next = || numbers.next().and_then(Result::ok).expect("a number");
    (next(), next())
}
