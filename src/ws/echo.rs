//! An echo server, for conformance tests.
//!
//! Handshake, reader, writer and closing are those of the live server, and so are the rules for reading
//! while a client is busy; the largest message is set by the caller.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

use super::client_stream::ClientStream;
use super::reader::Reader;
use super::socket::{OUTBOX_BYTES, Socket};
use super::transport::Transport;
use super::upgrade::{handshake, stream};
use super::{closing, frames};

/// How long a client may take to read the answer to its handshake.
const STALL: Duration = Duration::from_secs(10);

/// Serves until the listener fails. Messages have at most `largest` bytes.
///
/// # Errors
///
/// The listener's.
pub async fn serve(listener: TcpListener, largest: usize) -> io::Result<()> {
    loop {
        let (tcp, _) = listener.accept().await?;
        tcp.set_nodelay(true)?;
        let answer = service_fn(move |request| async move { Ok::<_, Infallible>(answer(request, largest)) });
        let io = TokioIo::new(ClientStream::plain(tcp, STALL));
        // A client that disconnects during the handshake does not affect the others.
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, answer).with_upgrades());
    }
}

fn answer(mut request: Request<Incoming>, largest: usize) -> Response<Body> {
    match handshake(&mut request) {
        Ok((response, mut pending)) => {
            tokio::spawn(async move {
                if let Some((stream, already_read)) = stream(&mut pending).await {
                    echo(stream, already_read, largest).await;
                }
            });
            response
        }
        Err(error) => {
            let mut response = Response::new(Body::from(error.to_string()));
            *response.status_mut() = StatusCode::BAD_REQUEST;
            response
        }
    }
}

async fn echo(stream: Transport, already_read: Bytes, largest: usize) {
    let socket = Arc::new(Socket::new(stream));
    let mut reader = Reader::new(Arc::clone(&socket), already_read, largest);
    let code = loop {
        let (blocked, may_read) = (socket.is_blocked(), socket.waiting_bytes() < OUTBOX_BYTES);
        let message = tokio::select! {
            biased;
            _ = socket.stream().tcp().writable(), if blocked => {
                socket.flush();
                continue;
            }
            message = reader.next(), if may_read => message,
            () = socket.wake.notified() => continue,
        };
        match message {
            Some(Ok(Message::Text(text))) => socket.send(frames::frame(frames::TEXT, text.as_bytes())),
            Some(Ok(Message::Binary(bytes))) => socket.send(frames::frame(frames::BINARY, &bytes)),
            // Control frames are answered while reading.
            Some(Ok(_)) => {}
            Some(Err(error)) => break closing::explain(&socket, &mut reader, &error).await,
            None => break None,
        }
        if socket.is_broken() {
            break None;
        }
    };
    match code {
        Some(code) => closing::close(&socket, code).await,
        None => closing::finish(&socket).await,
    }
}
