//! From an HTTP request to a WebSocket connection on the same stream.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::SEC_WEBSOCKET_PROTOCOL;
use axum::http::{HeaderMap, HeaderValue, Response};
use bytes::Bytes;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::Error as WebSocketError;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use super::client_stream::ClientStream;
use super::connection::{ClientConnection, Identity};
use super::gateway::Gateway;
use super::places::Places;
use super::socket_kind::SocketKind;
use super::transport::Transport;
use crate::scoped::Scoped;
use relive_protocol::CloseCode;

/// The subprotocol of this server.
const PROTOCOL: &str = "relive.v1";

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

/// The address of the client, in a request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct ClientIp(pub Option<IpAddr>);

/// Answers the handshake and, once the HTTP server releases the stream, runs the connection.
///
/// # Errors
///
/// If the request is not a WebSocket handshake, or there are too many sockets already.
pub fn upgrade(
    gateway: &Gateway,
    scoped: &Scoped,
    mut request: Request,
    opening: SocketKind,
) -> Result<Response<Body>, UpgradeError> {
    let (response, pending) = handshake(&mut request)?;
    let place = gateway.place().ok_or(UpgradeError::Full)?;
    let ip = request.extensions().get::<ClientIp>().and_then(|client| client.0);
    let (permit, opening) = match opening {
        SocketKind::Refused(..) => (None, opening),
        opening => match gateway.access.limits().socket(scoped.caller(), ip) {
            Ok(permit) => (Some(permit), opening),
            Err(limited) => (None, SocketKind::Refused(CloseCode::RateLimited, limited.to_string())),
        },
    };
    let watch = gateway.access.watch(scoped.caller());
    let identity = Identity::new(Arc::new(scoped.clone()), watch, ip);
    let places = Places::new(place, permit);
    let accepted = Accepted { gateway: gateway.clone(), identity, places, pending, opening };
    gateway.connections.spawn(serve(Box::new(accepted)));
    Ok(response)
}

/// A connection whose handshake is answered. In a box, since a task needs memory for what it is given as long as it
/// runs.
struct Accepted {
    gateway: Gateway,
    identity: Identity,
    places: Places,
    pending: OnUpgrade,
    opening: SocketKind,
}

async fn serve(mut accepted: Box<Accepted>) {
    let sockets = metrics::gauge!("relive_sockets");
    sockets.increment(1);
    if let Some((stream, already_read)) = stream(&mut accepted.pending).await {
        let (connection, opening) = accepted.connect(stream, already_read);
        connection.run(opening).await;
    }
    sockets.decrement(1);
}

impl Accepted {
    fn connect(self: Box<Self>, stream: Transport, already_read: Bytes) -> (Box<ClientConnection>, SocketKind) {
        let Self { gateway, identity, places, pending: _, opening } = *self;
        (ClientConnection::new(gateway, identity, places, stream, already_read), opening)
    }
}

/// The answer to a handshake, and the pending upgrade.
pub(super) fn handshake<B>(request: &mut Request<B>) -> Result<(Response<Body>, OnUpgrade), UpgradeError> {
    let mut response = create_response_with_body(request, Body::empty).map_err(|error| match error {
        WebSocketError::Protocol(ProtocolError::MissingSecWebSocketKey) => UpgradeError::Key,
        error => UpgradeError::NotWebSocket(error.to_string()),
    })?;
    // A browser that offers subprotocols gives up unless one is chosen; the one with a token never is.
    if offers_protocol(request.headers()) {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    }
    let pending = request
        .extensions_mut()
        .remove::<OnUpgrade>()
        .ok_or_else(|| UpgradeError::NotWebSocket("the connection cannot be upgraded".to_owned()))?;
    Ok((response, pending))
}

fn offers_protocol(headers: &HeaderMap) -> bool {
    let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    offered.flat_map(|value| value.split(',')).any(|one| one.trim() == PROTOCOL)
}

/// The stream below hyper, and the bytes read after the request; `None` if the client is gone.
pub(super) async fn stream(pending: &mut OnUpgrade) -> Option<(Transport, Bytes)> {
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
    // Copied: the few bytes would hold the buffer of the HTTP server.
    Some((parts.io.into_inner().into_transport(), Bytes::copy_from_slice(&parts.read_buf)))
}
