//! A WebSocket client that reads frames with a deadline.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use rustls::ClientConfig;
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config, connect_async};

use super::DEADLINE;

/// A connection whose kernel takes only a few kilobytes for a client that does not read.
async fn narrow(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4 * 1024).expect("a small buffer");
    socket.connect(address).await.expect("connected")
}

pub struct Socket {
    pub stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Socket {
    pub async fn open(address: SocketAddr, path: &str) -> Self {
        let (stream, _) = connect_async(format!("ws://{address}{path}")).await.expect("a WebSocket");
        Self { stream }
    }

    /// As [`Socket::open`], over TLS.
    pub async fn open_tls(address: SocketAddr, path: &str, config: Arc<ClientConfig>) -> Self {
        let tcp = TcpStream::connect(address).await.expect("connected");
        Self::over(tcp, address, path, Some(config)).await
    }

    /// As [`Socket::open`], with a kernel buffer so small that the server notices at once when
    /// this client does not read.
    pub async fn open_narrow(address: SocketAddr, path: &str) -> Self {
        Self::over(narrow(address).await, address, path, None).await
    }

    /// As [`Socket::open_narrow`], over TLS.
    pub async fn open_narrow_tls(address: SocketAddr, path: &str, config: Arc<ClientConfig>) -> Self {
        Self::over(narrow(address).await, address, path, Some(config)).await
    }

    async fn over(tcp: TcpStream, address: SocketAddr, path: &str, config: Option<Arc<ClientConfig>>) -> Self {
        let scheme = if config.is_some() { "wss" } else { "ws" };
        let connector = config.map_or(Connector::Plain, Connector::Rustls);
        let url = format!("{scheme}://localhost:{}{path}", address.port());
        let (stream, _) = client_async_tls_with_config(url, tcp, None, Some(connector)).await.expect("a WebSocket");
        Self { stream }
    }

    pub async fn send(&mut self, frame: Value) {
        self.send_text(&frame.to_string()).await;
    }

    pub async fn send_text(&mut self, text: &str) {
        self.stream.send(Message::text(text)).await.expect("sent");
    }

    /// The next frame, whatever it is; pings are answered on the way.
    pub async fn message(&mut self) -> Message {
        loop {
            let next = tokio::time::timeout(DEADLINE, self.stream.next());
            let message = next.await.expect("a frame in time").expect("an open socket").expect("a sound frame");
            if !matches!(message, Message::Ping(_) | Message::Pong(_)) {
                return message;
            }
        }
    }

    /// The next JSON frame.
    pub async fn frame(&mut self) -> Value {
        match self.message().await {
            Message::Text(text) => serde_json::from_str(&text).expect("JSON"),
            other => panic!("expected a JSON frame, not {other:?}"),
        }
    }

    /// The next JSON frame of a type; those of other types are passed over.
    pub async fn frame_of(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.frame().await;
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    /// The first JSON frame that `wanted` accepts; others are passed over.
    pub async fn until(&mut self, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        loop {
            let frame = self.frame().await;
            if wanted(&frame) {
                return frame;
            }
        }
    }

    /// The code the server closes with; frames before are passed over.
    pub async fn close_code(&mut self) -> u16 {
        loop {
            if let Message::Close(frame) = self.message().await {
                return frame.map_or(1005, |frame| frame.code.into());
            }
        }
    }

    /// Waits until the server has dealt with everything sent so far. Nothing else may come first.
    pub async fn settle(&mut self) {
        self.send(json!({"type": "ping"})).await;
        assert_eq!(self.frame().await, json!({"type": "pong"}));
    }

    /// Whether nothing has come after `quiet`: for frames that must not be sent. A server that
    /// is only slow passes; what is tested must also be seen to arrive when it should.
    pub async fn is_quiet(&mut self, quiet: Duration) -> bool {
        tokio::time::timeout(quiet, self.frame()).await.is_err()
    }
}
