//! Between a server and its database or its message broker: forwards, falls silent, or cuts everybody off.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Forwards,
    /// Takes what comes and passes nothing on; nothing is closed.
    Silent,
    /// Odd and even: connections of another number are cut.
    Cut(u64),
}

/// What a connection has to know: what happens now, and how often connections were cut.
type Watched = watch::Receiver<(State, u64)>;

pub struct Proxy {
    state: watch::Sender<(State, u64)>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// In front of PostgreSQL: a socket in a directory of its own, named as PostgreSQL's.
    pub fn of_database(directory: &Path, port: u16, behind: &Path) -> Self {
        std::fs::create_dir_all(directory).expect("a directory");
        let name = format!(".s.PGSQL.{port}");
        let listener = UnixListener::bind(directory.join(&name)).expect("a socket");
        let state = watch::Sender::new((State::Forwards, 0));
        let accepting = tokio::spawn(accept_unix(listener, behind.join(name), state.clone()));
        Self { state, accepting }
    }

    /// In front of a server by TCP; returns its address too.
    pub async fn of_broker(behind: SocketAddr) -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("an address");
        let state = watch::Sender::new((State::Forwards, 0));
        let accepting = tokio::spawn(accept_tcp(listener, behind, state.clone()));
        (Self { state, accepting }, address)
    }

    pub fn fall_silent(&self) {
        self.state.send_modify(|(state, _)| *state = State::Silent);
    }

    /// Cuts every connection; new ones are forwarded.
    pub fn cut(&self) {
        self.state.send_modify(|(state, cuts)| {
            *cuts += 1;
            *state = State::Cut(*cuts);
        });
    }

    pub fn forward(&self) {
        self.state.send_modify(|(state, _)| *state = State::Forwards);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept_unix(listener: UnixListener, behind: PathBuf, state: watch::Sender<(State, u64)>) {
    while let Ok((client, _)) = listener.accept().await {
        let (behind, state) = (behind.clone(), state.subscribe());
        tokio::spawn(async move {
            let Ok(server) = UnixStream::connect(behind).await else { return };
            relay(client, server, state).await;
        });
    }
}

async fn accept_tcp(listener: TcpListener, behind: SocketAddr, state: watch::Sender<(State, u64)>) {
    while let Ok((client, _)) = listener.accept().await {
        let state = state.subscribe();
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(behind).await else { return };
            relay(client, server, state).await;
        });
    }
}

async fn relay<S: AsyncRead + AsyncWrite>(client: S, server: S, state: Watched) {
    let ((from_client, to_client), (from_server, to_server)) = (split(client), split(server));
    tokio::select! {
        () = forward(from_client, to_server, state.clone()) => {}
        () = forward(from_server, to_client, state) => {}
    }
}

async fn forward(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, mut state: Watched) {
    let born = state.borrow().1;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            _ = state.wait_for(|(_, cuts)| *cuts != born) => return,
        };
        let Ok(bytes @ 1..) = read else { return };
        let Ok(now) = state.wait_for(|(state, cuts)| *state != State::Silent || *cuts != born).await.map(|now| *now)
        else {
            return;
        };
        if now.1 != born || to.write_all(&buffer[..bytes]).await.is_err() {
            return;
        }
    }
}
