//! A client's TCP stream for HTTP.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// A TCP stream whose writes fail once the client has not read for too long. Otherwise a response that the
/// client does not read, such as a long export, would stay for ever.
///
/// After an upgrade the bare stream is used, with the limits of sockets.
#[derive(Debug)]
pub struct ClientStream {
    tcp: TcpStream,
    /// How long a client may read nothing of a response.
    stall: Duration,
    /// Set at the first write that has to wait.
    alarm: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
}

impl ClientStream {
    #[must_use]
    pub fn new(tcp: TcpStream, stall: Duration) -> Self {
        Self { tcp, stall, alarm: None, is_waiting: false }
    }

    #[must_use]
    pub fn into_inner(self) -> TcpStream {
        self.tcp
    }

    /// Passes on the result of a write, unless it has waited for too long.
    fn watched(&mut self, context: &mut Context<'_>, write: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if write.is_ready() {
            self.is_waiting = false;
            return write;
        }
        let stall = self.stall;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep(stall)));
        if !self.is_waiting {
            alarm.as_mut().reset(Instant::now() + stall);
            self.is_waiting = true;
        }
        alarm.as_mut().poll(context).map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "the client reads nothing")))
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(context, buffer)
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.tcp).poll_write(context, bytes);
        self.watched(context, write)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.tcp).poll_write_vectored(context, slices);
        self.watched(context, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}
