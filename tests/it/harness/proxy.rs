//! nginx and Caddy in front of a server, with the examples in `deploy/`.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;

use tokio::process::{Child, Command};

use super::programs::find;
use super::{TlsFiles, eventually};

/// A proxy that runs until this is dropped.
pub struct Proxy {
    pub address: SocketAddr,
    pub tls: TlsFiles,
    _child: Child,
    _directory: tempfile::TempDir,
}

impl Proxy {
    /// nginx with `deploy/nginx.conf`, in front of a server; `None` where it is not installed.
    pub async fn nginx(server: SocketAddr) -> Option<Self> {
        Self::nginx_with("nginx.conf", &[server]).await
    }

    /// nginx with `deploy/nginx-several.conf`, in front of these servers.
    pub async fn nginx_several(servers: &[SocketAddr]) -> Option<Self> {
        Self::nginx_with("nginx-several.conf", servers).await
    }

    async fn nginx_with(file: &str, servers: &[SocketAddr]) -> Option<Self> {
        let program = find("deploy/nginx.conf", "nginx", "nginx-light")?;
        let (directory, tls, address) = parts();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {}/{kind};", directory.path().display()))
            .concat();
        let config =
            with_servers(&example(file, &tls), servers).replace("listen 443 ssl;", &format!("listen {address} ssl;"));
        // The example is included by an nginx.conf.
        let events = "worker_rlimit_nofile 20000; events { worker_connections 16384; }";
        let config = format!("{events}\nhttp {{ access_log off; {temporary}\n{config}\n}}\n");
        let path = directory.path().join("nginx.conf");
        std::fs::write(&path, config).expect("written");
        // One process, which ends with the test.
        let globals =
            format!("daemon off; master_process off; pid {}/pid; error_log stderr warn;", directory.path().display());
        let mut command = Command::new(program);
        command.arg("-p").arg(directory.path()).arg("-c").arg(&path).args(["-e", "stderr", "-g", &globals]);
        Some(Self::run(command, directory, tls, address).await)
    }

    /// Caddy with `deploy/Caddyfile`, likewise.
    pub async fn caddy(server: SocketAddr) -> Option<Self> {
        let program = find("deploy/Caddyfile", "caddy", "caddy")?;
        let (directory, tls, address) = parts();
        let config = example("Caddyfile", &tls)
            .replace("reverse_proxy 127.0.0.1:7400", &format!("reverse_proxy {server}"))
            .replace("\nrelive.example.org {", &format!("\nhttps://localhost:{} {{\n\tbind 127.0.0.1", address.port()));
        let path = directory.path().join("Caddyfile");
        std::fs::write(&path, format!("{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{config}"))
            .expect("written");
        let mut command = Command::new(program);
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&path);
        for home in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
            command.env(home, directory.path());
        }
        // It logs every start at length.
        command.stderr(std::fs::File::create(directory.path().join("log")).expect("a file"));
        Some(Self::run(command, directory, tls, address).await)
    }

    async fn run(mut command: Command, directory: tempfile::TempDir, tls: TlsFiles, address: SocketAddr) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true).spawn().expect("a proxy");
        eventually("the proxy listens", async || tokio::net::TcpStream::connect(address).await.is_ok()).await;
        Self { address, tls, _child: child, _directory: directory }
    }

    /// An address at the proxy.
    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }
}

fn parts() -> (tempfile::TempDir, TlsFiles, SocketAddr) {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    (tempfile::tempdir().expect("a directory"), TlsFiles::create(), free.expect("a free port"))
}

/// An example for nginx with these servers, each with what the example says of its first one.
fn with_servers(config: &str, servers: &[SocketAddr]) -> String {
    let mut left = Some(servers);
    let mut lines = Vec::new();
    for line in config.lines() {
        // Comments name them too.
        match line.trim_start().strip_prefix("server 127.0.0.1:740") {
            None => lines.push(line.to_owned()),
            Some(rest) => {
                let said = &rest[1..];
                lines.extend(left.take().into_iter().flatten().map(|server| format!("server {server}{said}")));
            }
        }
    }
    assert!(left.is_none(), "the example names a server");
    lines.join("\n")
}

/// An example, with the test's certificate.
fn example(name: &str, tls: &TlsFiles) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name);
    let text = std::fs::read_to_string(path).expect("an example");
    assert!(text.contains("/etc/relive/tls.crt") && text.contains("/etc/relive/tls.key"));
    text.replace("/etc/relive/tls.crt", tls.certificate().to_str().expect("a path"))
        .replace("/etc/relive/tls.key", tls.key().to_str().expect("a path"))
}
