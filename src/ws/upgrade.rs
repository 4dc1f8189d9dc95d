//! From an HTTP request to a WebSocket connection on the bare TCP stream.

use axum::body::Body;
use axum::extract::Request;
use axum::http::Response;
use bytes::Bytes;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error as WebSocketError;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use super::client_stream::ClientStream;
use super::connection::Connection;
use super::gateway::Gateway;
use super::opening::Opening;

/// Why a request did not become a WebSocket.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// Not a handshake of the protocol's version 13.
    #[error("this address speaks WebSocket: {0}")]
    NotWebSocket(String),
    #[error("the handshake has no Sec-WebSocket-Key")]
    Key,
    #[error("this server has no room for another socket")]
    Full,
}

/// Answers the handshake and, once the HTTP server lets go of the stream, runs the connection.
///
/// # Errors
///
/// When the request is no WebSocket handshake, or there are too many sockets already.
pub fn upgrade(gateway: &Gateway, mut request: Request, opening: Opening) -> Result<Response<Body>, UpgradeError> {
    let (response, pending) = handshake(&mut request)?;
    let place = gateway.place().ok_or(UpgradeError::Full)?;
    let gateway_of_task = gateway.clone();
    gateway.connections.spawn(async move {
        let sockets = metrics::gauge!("relive_sockets");
        sockets.increment(1);
        if let Some((tcp, already_read)) = stream(pending).await {
            Connection::run(gateway_of_task, tcp, already_read, opening).await;
        }
        sockets.decrement(1);
        drop(place);
    });
    Ok(response)
}

/// The answer to a handshake, and what the stream comes out of once it is sent.
pub(super) fn handshake<B>(request: &mut Request<B>) -> Result<(Response<Body>, OnUpgrade), UpgradeError> {
    let response = create_response_with_body(request, Body::empty).map_err(|error| match error {
        WebSocketError::Protocol(ProtocolError::MissingSecWebSocketKey) => UpgradeError::Key,
        error => UpgradeError::NotWebSocket(error.to_string()),
    })?;
    let pending = request
        .extensions_mut()
        .remove::<OnUpgrade>()
        .ok_or_else(|| UpgradeError::NotWebSocket("the connection cannot be upgraded".to_owned()))?;
    Ok((response, pending))
}

/// The TCP stream below hyper, and what was read of it beyond the request; `None` when the client has left.
pub(super) async fn stream(pending: OnUpgrade) -> Option<(TcpStream, Bytes)> {
    let upgraded = match pending.await {
        Ok(upgraded) => upgraded,
        Err(error) => {
            tracing::debug!(%error, "client left during the handshake");
            return None;
        }
    };
    let Ok(parts) = upgraded.downcast::<TokioIo<ClientStream>>() else {
        tracing::error!("an upgraded connection is not a TCP stream");
        return None;
    };
    Some((parts.io.into_inner().into_inner(), parts.read_buf))
}
