//! A client's stream for HTTP.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};
use tokio_rustls::server::TlsStream;

use super::transport::Transport;

/// Is told whether a client takes what is written to it.
pub trait Backpressure: fmt::Debug + Send + Sync {
    /// A write waits for the client, or none does any more.
    fn blocked(&self, is_blocked: bool);
}

/// A stream whose writes fail once the client has not read for too long. Otherwise a response that the
/// client does not read, such as a long export, would stay for ever.
///
/// After an upgrade the bare stream is used, with the limits of sockets.
#[derive(Debug)]
pub struct ClientStream {
    stream: Stream,
    /// How long a client may read nothing of a response.
    stall: Duration,
    /// Set at the first write that has to wait.
    alarm: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
    observer: Option<Arc<dyn Backpressure>>,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Encrypted(Box<TlsStream<TcpStream>>),
}

impl ClientStream {
    #[must_use]
    pub fn plain(tcp: TcpStream, stall: Duration) -> Self {
        Self::new(Stream::Plain(tcp), stall)
    }

    #[must_use]
    pub fn encrypted(tls: TlsStream<TcpStream>, stall: Duration) -> Self {
        Self::new(Stream::Encrypted(Box::new(tls)), stall)
    }

    fn new(stream: Stream, stall: Duration) -> Self {
        Self { stream, stall, alarm: None, is_waiting: false, observer: None }
    }

    /// Tells it when writes have to wait, until an upgrade.
    #[must_use]
    pub fn observed_by(self, observer: Arc<dyn Backpressure>) -> Self {
        Self { observer: Some(observer), ..self }
    }

    fn set_waiting(&mut self, is_waiting: bool) {
        if self.is_waiting != is_waiting {
            self.is_waiting = is_waiting;
            if let Some(observer) = &self.observer {
                observer.blocked(is_waiting);
            }
        }
    }

    pub(super) fn into_transport(self) -> Transport {
        match self.stream {
            Stream::Plain(tcp) => Transport::plain(tcp),
            Stream::Encrypted(tls) => {
                let (tcp, connection) = tls.into_inner();
                Transport::encrypted(tcp, connection)
            }
        }
    }

    /// Passes on the result of a write, unless it has waited for too long.
    fn watched<T>(&mut self, context: &mut Context<'_>, write: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if write.is_ready() {
            self.set_waiting(false);
            return write;
        }
        let stall = self.stall;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep(stall)));
        if !self.is_waiting {
            alarm.as_mut().reset(Instant::now() + stall);
        }
        let late = alarm.as_mut().poll(context);
        self.set_waiting(true);
        late.map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "the client reads nothing")))
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_read(context, buffer),
            Stream::Encrypted(tls) => Pin::new(tls).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let write = match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_write(context, bytes),
            Stream::Encrypted(tls) => Pin::new(tls).poll_write(context, bytes),
        };
        self.watched(context, write)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_write_vectored(context, slices),
            Stream::Encrypted(tls) => Pin::new(tls).poll_write_vectored(context, slices),
        };
        self.watched(context, write)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(tcp) => tcp.is_write_vectored(),
            Stream::Encrypted(tls) => tls.is_write_vectored(),
        }
    }

    // Without TLS neither of these waits; with it, both write.

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flush = match &mut self.stream {
            Stream::Plain(tcp) => return Pin::new(tcp).poll_flush(context),
            Stream::Encrypted(tls) => Pin::new(tls).poll_flush(context),
        };
        self.watched(context, flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shutdown = match &mut self.stream {
            Stream::Plain(tcp) => return Pin::new(tcp).poll_shutdown(context),
            Stream::Encrypted(tls) => Pin::new(tls).poll_shutdown(context),
        };
        self.watched(context, shutdown)
    }
}
