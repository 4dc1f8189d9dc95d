//! Closes a connection such that the client can read the reason.

use std::time::Duration;

use tokio_tungstenite::tungstenite::Error as WebSocketError;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};

use super::frames;
use super::reader::Reader;
use super::socket::Socket;
use relive_protocol::{CloseCode, ErrorCode};

/// How long a closing connection may take.
const LINGER: Duration = Duration::from_secs(2);

/// The close code for an error of the client; `None` if the connection is already lost.
pub(super) async fn explain(socket: &Socket, reader: &mut Reader, error: &WebSocketError) -> Option<CloseCode> {
    match error {
        WebSocketError::Capacity(CapacityError::MessageTooLong { .. }) => {
            let ids = reader.ids_of_refused().await;
            let problem = "a frame may have at most 1 MiB";
            socket.send(frames::error_about(&ids, ErrorCode::TooLarge, problem));
            Some(CloseCode::TooLarge)
        }
        WebSocketError::Utf8(_) => Some(CloseCode::InvalidText),
        WebSocketError::Protocol(violation) => {
            let left = matches!(violation, ProtocolError::ResetWithoutClosingHandshake);
            (!left).then_some(CloseCode::ProtocolError)
        }
        _ => None,
    }
}

/// Sends the close frame and gives the client time to read it.
pub(super) async fn close(socket: &Socket, code: CloseCode) {
    socket.send(frames::close(code));
    finish(socket).await;
}

/// Closes a connection after the frames that are still to be written, such as the answer to the client's own
/// close frame. Closing with unread input would reset the connection, and the client might not see them.
pub(super) async fn finish(socket: &Socket) {
    if socket.is_broken() {
        return;
    }
    let tcp = socket.stream().tcp();
    let closing = async {
        while socket.is_blocked() && !socket.is_broken() {
            if tcp.writable().await.is_err() {
                return;
            }
            socket.flush();
        }
        socket.stream().shutdown();
        let mut discarded = [0; 4096];
        while tcp.readable().await.is_ok() {
            match tcp.try_read(&mut discarded) {
                Ok(0) => return,
                Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return,
                Ok(_) | Err(_) => {}
            }
        }
    };
    let _ = tokio::time::timeout(LINGER, closing).await;
}
