//! The reading half of a connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::socket::{OUTBOX_BYTES, Socket};

/// The largest message a client may send.
pub const MESSAGE_BYTES: usize = 1024 * 1024;
/// Idle viewers send nothing; commands of a driver arrive some twenty per read.
const READ_BUFFER: usize = 4 * 1024;

pub(super) type Reader = WebSocketStream<ReadHalf>;

/// Reads messages of at most `largest` bytes from a socket. `already_read` is what the HTTP server had read
/// after the request.
pub(super) async fn reader(socket: Arc<Socket>, already_read: Bytes, largest: usize) -> Reader {
    let config = Some(config(largest));
    WebSocketStream::from_partially_read(ReadHalf { socket }, already_read.to_vec(), Role::Server, config).await
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
pub(super) struct ReadHalf {
    socket: Arc<Socket>,
}

impl AsyncRead for ReadHalf {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let stream = self.socket.stream();
        loop {
            // Nothing more need arrive to read what was decrypted.
            if !stream.has_decrypted() {
                ready!(stream.tcp().poll_read_ready(context))?;
            }
            match stream.try_read(buffer.initialize_unfilled()) {
                Ok(read) => {
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
