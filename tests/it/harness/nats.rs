//! A NATS server.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;

use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::eventually;
use super::postgres::free_port;
use super::programs::find;

/// Ends with the test.
pub struct NatsServer {
    program: PathBuf,
    address: SocketAddr,
    running: Option<Child>,
}

impl NatsServer {
    /// With characters that an address has to escape.
    pub const PASSWORD: &str = "pass/word@ü";

    /// `None` where it is not installed.
    pub async fn start() -> Option<Self> {
        let program = find("notices by NATS", "nats-server", "nats-server")?;
        let mut server = Self { program, address: (Ipv4Addr::LOCALHOST, free_port()).into(), running: None };
        server.run().await;
        Some(server)
    }

    /// Starts it again, at the same address.
    pub async fn run(&mut self) {
        let address = self.address;
        let mut command = Command::new(&self.program);
        command.args(["--addr", "127.0.0.1", "--port", &address.port().to_string(), "--user", "relive"]);
        command.args(["--pass", Self::PASSWORD]).kill_on_drop(true).stdout(Stdio::null()).stderr(Stdio::null());
        self.running = Some(command.spawn().expect("nats-server"));
        eventually("an open port", || async { TcpStream::connect(address).await.is_ok() }).await;
    }

    /// Kills it.
    pub async fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.kill().await.expect("killed");
        }
    }

    /// Stops it without closing its connections, or lets it go on.
    pub fn pause(&self, pause: bool) {
        let id = self.running.as_ref().and_then(Child::id).expect("a process");
        let id = nix::unistd::Pid::from_raw(i32::try_from(id).expect("a process id"));
        let signal = if pause { nix::sys::signal::Signal::SIGSTOP } else { nix::sys::signal::Signal::SIGCONT };
        nix::sys::signal::kill(id, signal).expect("a signal");
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        Self::url_at(self.address)
    }

    /// With the name and the password, at this address.
    pub fn url_at(address: SocketAddr) -> String {
        format!("nats://relive:pass%2Fword%40%C3%BC@{address}")
    }

    /// What passes through it.
    pub async fn listen(&self) -> async_nats::Subscriber {
        let options =
            async_nats::ConnectOptions::with_user_and_password("relive".to_owned(), Self::PASSWORD.to_owned());
        let client = options.connect(self.url()).await.expect("a connection");
        client.subscribe("relive.>").await.expect("a subscription")
    }
}
