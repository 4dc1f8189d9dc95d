//! From an HTTP request to a WebSocket connection on the same stream.

use axum::body::Body;
use axum::extract::Request;
use axum::http::Response;
use bytes::Bytes;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::Error as WebSocketError;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use super::client_stream::ClientStream;
use super::connection::Connection;
use super::gateway::Gateway;
use super::opening::Opening;
use super::transport::Transport;

/// Why a request cannot be upgraded.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// Not a handshake of version 13 of the protocol.
    #[error("this address expects a WebSocket handshake: {0}")]
    NotWebSocket(String),
    #[error("the handshake has no Sec-WebSocket-Key")]
    Key,
    #[error("this server has too many sockets")]
    Full,
}

/// Answers the handshake and, once the HTTP server releases the stream, runs the connection.
///
/// # Errors
///
/// If the request is not a WebSocket handshake, or there are too many sockets already.
pub fn upgrade(gateway: &Gateway, mut request: Request, opening: Opening) -> Result<Response<Body>, UpgradeError> {
    let (response, pending) = handshake(&mut request)?;
    let place = gateway.place().ok_or(UpgradeError::Full)?;
    let gateway_of_task = gateway.clone();
    gateway.connections.spawn(async move {
        let sockets = metrics::gauge!("relive_sockets");
        sockets.increment(1);
        if let Some((stream, already_read)) = stream(pending).await {
            Connection::run(gateway_of_task, stream, already_read, opening).await;
        }
        sockets.decrement(1);
        drop(place);
    });
    Ok(response)
}

/// The answer to a handshake, and the pending upgrade.
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

/// The stream below hyper, and the bytes read after the request; `None` if the client is gone.
pub(super) async fn stream(pending: OnUpgrade) -> Option<(Transport, Bytes)> {
    let upgraded = match pending.await {
        Ok(upgraded) => upgraded,
        Err(error) => {
            tracing::debug!(%error, "client left during the handshake");
            return None;
        }
    };
    let Ok(parts) = upgraded.downcast::<TokioIo<ClientStream>>() else {
        tracing::error!("an upgraded connection has an unknown stream");
        return None;
    };
    Some((parts.io.into_inner().into_transport(), parts.read_buf))
}
