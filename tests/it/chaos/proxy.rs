//! Between a server and its database: a Unix socket that forwards, falls silent, or cuts everybody off.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
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

/// A socket in a directory of its own, named as PostgreSQL's.
pub struct Proxy {
    pub directory: PathBuf,
    state: watch::Sender<(State, u64)>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub fn start(directory: PathBuf, port: u16, behind: &Path) -> Self {
        std::fs::create_dir_all(&directory).expect("a directory");
        let name = format!(".s.PGSQL.{port}");
        let listener = UnixListener::bind(directory.join(&name)).expect("a socket");
        let behind: Arc<Path> = behind.join(name).into();
        let state = watch::Sender::new((State::Forwards, 0));
        let accepting = tokio::spawn(accept(listener, behind, state.clone()));
        Self { directory, state, accepting }
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

async fn accept(listener: UnixListener, behind: Arc<Path>, state: watch::Sender<(State, u64)>) {
    while let Ok((client, _)) = listener.accept().await {
        let (behind, state) = (Arc::clone(&behind), state.subscribe());
        tokio::spawn(async move {
            let Ok(server) = UnixStream::connect(&*behind).await else { return };
            let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
            tokio::select! {
                () = forward(from_client, to_server, state.clone()) => {}
                () = forward(from_server, to_client, state) => {}
            }
        });
    }
}

async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<(State, u64)>) {
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
