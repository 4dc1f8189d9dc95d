//! One WebSocket connection: sends and receives at the same time.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::{Sink, Stream};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::Error as WsError;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::ClientError;
use super::error::problem;
use super::http::refusal;

/// Bytes of the largest frame accepted from a server: a snapshot of the largest graph fits.
const LARGEST_FRAME: usize = 64 * 1024 * 1024;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How a connection ended.
#[derive(Debug)]
pub(super) enum Lost {
    /// Reconnecting may help.
    Temporary(String),
    /// By the server; the code says whether reconnecting may help.
    Closed {
        code: u16,
        reason: String,
    },
    /// There was no token to connect with; a retry may succeed.
    NoToken(String),
    Permanent(ClientError),
}

impl Lost {
    /// Why to reconnect, or what ends the client.
    pub(super) fn reason(self) -> Result<String, ClientError> {
        match self {
            Self::Temporary(reason) | Self::Closed { reason, .. } => Ok(reason),
            Self::NoToken(problem) => Ok(format!("no token to be had: {problem}")),
            Self::Permanent(error) => Err(error),
        }
    }
}

/// What was received.
#[derive(Debug)]
pub(super) enum Incoming {
    Text(Utf8Bytes),
    /// A ping or the like: the server is alive.
    Sign,
}

pub(super) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Frames not yet written. Bounded by the callers.
    outbox: VecDeque<Message>,
    flushed: bool,
}

impl Socket {
    pub(super) async fn connect(url: &str, token: Option<&str>) -> Result<Self, Lost> {
        let request = handshake(url, token)?;
        let config = WebSocketConfig::default()
            .read_buffer_size(16 * 1024)
            .write_buffer_size(0)
            .max_message_size(Some(LARGEST_FRAME))
            .max_frame_size(Some(LARGEST_FRAME));
        // Boxed: a TLS handshake is large.
        let connecting = Box::pin(connect_async_with_config(request, Some(config), true));
        let (stream, _) = match timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(connected) => connected.map_err(refused)?,
            Err(_) => return Err(Lost::Temporary("no answer to the WebSocket handshake".to_owned())),
        };
        Ok(Self { stream, outbox: VecDeque::new(), flushed: true })
    }

    pub(super) fn push(&mut self, text: String) {
        self.outbox.push_back(Message::text(text));
        self.flushed = false;
    }

    /// Sends what is in the outbox while waiting for the next frame. Both happen at once: otherwise a server that
    /// waits for its own writes to be read would never read ours. Pings are answered by the stream as it is read.
    /// Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Incoming, Lost> {
        poll_fn(|cx| {
            if let Poll::Ready(Err(error)) = self.poll_write(cx) {
                return Poll::Ready(Err(lost(&error)));
            }
            let message = ready!(std::pin::Pin::new(&mut self.stream).poll_next(cx));
            Poll::Ready(match message {
                Some(Ok(Message::Text(text))) => Ok(Incoming::Text(text)),
                Some(Ok(Message::Close(frame))) => Err(frame.map_or_else(
                    || Lost::Temporary("closed without a reason".to_owned()),
                    |frame| Lost::Closed { code: frame.code.into(), reason: frame.reason.to_string() },
                )),
                Some(Ok(_)) => Ok(Incoming::Sign),
                Some(Err(error)) => Err(lost(&error)),
                None => Err(Lost::Temporary("the connection ended".to_owned())),
            })
        })
        .await
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WsError>> {
        let mut stream = std::pin::Pin::new(&mut self.stream);
        while !self.outbox.is_empty() {
            ready!(stream.as_mut().poll_ready(cx))?;
            if let Some(message) = self.outbox.pop_front() {
                stream.as_mut().start_send(message)?;
            }
        }
        if !self.flushed {
            ready!(stream.as_mut().poll_flush(cx))?;
            self.flushed = true;
        }
        Poll::Ready(Ok(()))
    }
}

/// The token is sent in a header, since addresses are logged.
fn handshake(url: &str, token: Option<&str>) -> Result<Request, Lost> {
    let invalid = |error: WsError| Lost::Permanent(ClientError::Protocol(error.to_string()));
    let mut request = url.into_client_request().map_err(invalid)?;
    if let Some(token) = token {
        let wrong = |_| Lost::Permanent(ClientError::NoToken("what was given is not one".to_owned()));
        let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(wrong)?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    Ok(request)
}

fn lost(error: &WsError) -> Lost {
    match error {
        WsError::Capacity(_) => Lost::Permanent(ClientError::Protocol(error.to_string())),
        _ => Lost::Temporary(error.to_string()),
    }
}

/// Why the handshake failed. An HTTP answer is final, unless it is about load.
fn refused(error: WsError) -> Lost {
    match error {
        WsError::Http(response) => {
            let status = response.status().as_u16();
            match status {
                408 | 429 | 500.. => Lost::Temporary(format!("the server answered {status}")),
                401 | 403 => {
                    Lost::Permanent(refusal(response.status(), response.body().as_deref().unwrap_or_default()))
                }
                _ => Lost::Permanent(ClientError::Protocol(format!(
                    "the WebSocket handshake was answered with {status}"
                ))),
            }
        }
        WsError::Url(_) | WsError::HttpFormat(_) => Lost::Permanent(ClientError::Protocol(error.to_string())),
        other => Lost::Temporary(problem(&other)),
    }
}
