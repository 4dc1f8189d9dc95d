//! The reading half of a connection.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WebSocketError, Message};

use super::frame_ids::FrameIds;
use super::message_boundary::MessageBoundary;
use super::socket::{OUTBOX_BYTES, Socket};

/// The largest message a client may send.
pub const MESSAGE_BYTES: usize = 1024 * 1024;
/// Commands of a driver arrive some twenty per read.
const READ_BUFFER: usize = 4 * 1024;

/// The messages of a client.
///
/// A client that watches sends next to nothing. So what reading takes, some five KiB, is there only while something
/// arrives; for a client that sends commands, [`Reader::stay_ready`] keeps it.
pub(super) struct Reader {
    socket: Arc<Socket>,
    largest: usize,
    /// What the HTTP server had read after the request.
    already_read: Bytes,
    stays_ready: bool,
    frames: Option<Box<WebSocketStream<ReadHalf>>>,
}

impl Reader {
    /// Reads messages of at most `largest` bytes. `already_read` is what the HTTP server had read after the request.
    pub fn new(socket: Arc<Socket>, already_read: Bytes, largest: usize) -> Self {
        Self { socket, largest, already_read, stays_ready: false, frames: None }
    }

    /// The client will send more.
    pub fn stay_ready(&mut self) {
        self.stays_ready = true;
    }

    /// The next message; `None` after the end. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<Message, WebSocketError>> {
        loop {
            let frames = match &mut self.frames {
                Some(frames) => frames,
                none => {
                    if self.already_read.is_empty()
                        && let Err(error) = poll_fn(|context| self.socket.stream().poll_arrival(context)).await
                    {
                        return Some(Err(error.into()));
                    }
                    let already_read = std::mem::take(&mut self.already_read);
                    none.insert(Box::pin(open(Arc::clone(&self.socket), already_read, self.largest)).await)
                }
            };
            let stays_ready = self.stays_ready;
            let arrived = poll_fn(|context| match frames.poll_next_unpin(context) {
                Poll::Ready(message) => Poll::Ready(Some(message)),
                // Every message that has arrived was returned, so nothing of one is lost with the buffer.
                Poll::Pending if !stays_ready && frames.get_ref().boundary.is_between_messages() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            })
            .await;
            match arrived {
                Some(message) => return message,
                None => self.frames = None,
            }
        }
    }
}

/// How long the beginning of a message is waited for that is refused for its length.
const BEGINNING: Duration = Duration::from_millis(500);

impl Reader {
    /// The ids of the message that was refused as too large: the client should know which one it was.
    pub async fn ids_of_refused(&mut self) -> FrameIds {
        let Some(frames) = &mut self.frames else { return FrameIds::default() };
        let half = frames.get_mut();
        // What has arrived by then counts.
        let _ = tokio::time::timeout(BEGINNING, half.read_beginning()).await;
        let beginning = half.boundary.beginning().utf8_chunks().next();
        FrameIds::read(beginning.map(|chunk| chunk.valid()).unwrap_or_default())
    }
}

async fn open(socket: Arc<Socket>, already_read: Bytes, largest: usize) -> Box<WebSocketStream<ReadHalf>> {
    let mut boundary = MessageBoundary::new(largest);
    boundary.advance(&already_read);
    let half = ReadHalf { socket, boundary };
    let config = Some(config(largest));
    Box::new(WebSocketStream::from_partially_read(half, already_read.to_vec(), Role::Server, config).await)
}

/// The limits for messages of a client.
pub(crate) fn config(largest: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_message_size(Some(largest))
        .max_frame_size(Some(largest))
}

/// The stream that tungstenite uses: it reads from the socket, and its answers to control frames go to the
/// outbox, between other frames and never inside one.
#[derive(Debug)]
struct ReadHalf {
    socket: Arc<Socket>,
    boundary: MessageBoundary,
}

impl ReadHalf {
    /// Reads on to the end of what is kept of a message that is too large.
    async fn read_beginning(&mut self) -> io::Result<()> {
        let mut buffer = [0; 1024];
        while self.boundary.lacks_beginning() {
            poll_fn(|context| self.socket.stream().poll_arrival(context)).await?;
            match self.socket.stream().try_read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => self.boundary.advance(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl AsyncRead for ReadHalf {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.socket.stream().poll_arrival(context))?;
            let unfilled = buffer.initialize_unfilled();
            match self.socket.stream().try_read(unfilled) {
                Ok(read) => {
                    self.boundary.advance(&unfilled[..read]);
                    buffer.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for ReadHalf {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, frames: &[u8]) -> Poll<io::Result<usize>> {
        if self.socket.waiting_bytes() > 2 * OUTBOX_BYTES {
            let flood = "the client sends control frames and reads no answers";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::WriteZero, flood)));
        }
        self.socket.send(Bytes::copy_from_slice(frames));
        Poll::Ready(Ok(frames.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
