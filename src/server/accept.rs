//! Accepting connections and serving HTTP on them.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::EXPECT;
use axum::response::Response;
use hyper::Request;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::answer_body::AnswerBody;
use super::connections::{ConnectionSlot, Connections};
use super::greeting;
use super::request_body::RequestBody;
use crate::http::{HangUp, Ingress, Streaming};
use crate::ws::ClientStream;

/// Time limits of clients over HTTP, each with its default. Open sockets have limits of their own.
#[derive(Clone, Copy, Debug)]
pub struct HttpLimits {
    /// For a TLS handshake (10 s).
    pub handshake: Duration,
    /// For a request's head, including the wait before it (30 s): before the first request of a
    /// connection, and between two.
    pub head: Duration,
    /// Without reading anything of an answer (30 s).
    pub stall: Duration,
    /// HTTP connections at once (5,000). For one more, the one that has been idle the longest is closed, or else
    /// the one whose request has been arriving, or whose answer has not been taken, the longest; if all are being
    /// answered, it is answered with 503.
    pub connections: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(30),
            stall: Duration::from_secs(30),
            connections: 5_000,
        }
    }
}

/// What connections lead to.
pub(super) struct Site {
    pub router: TowerToHyperService<Router>,
    /// `None`: the router decides itself what it admits.
    pub entry: Option<Ingress>,
    /// Without it clients speak plain HTTP.
    pub tls: Option<TlsAcceptor>,
    pub limits: HttpLimits,
}

/// Bytes that the kernel buffers for one client, doubled by Linux. Frames in it cannot be replaced by
/// newer ones, so a large buffer would make slow viewers lag.
const SEND_BUFFER: usize = 64 * 1024;
/// The pause when the process is out of file descriptors.
const EXHAUSTED: Duration = Duration::from_millis(100);
/// How often that is logged.
const REMINDER: Duration = Duration::from_secs(10);

/// Serves connections until `shutdown` completes. The returned handle waits for the connections that
/// are open then.
pub(super) async fn serve(listener: TcpListener, site: Site, shutdown: impl Future<Output = ()>) -> Connections {
    let connections = Connections::new(site.limits.connections);
    let site = Arc::new(site);
    let mut reminder = None;
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => return connections,
        };
        match accepted {
            Ok((tcp, peer)) => match connections.enter() {
                Some(slot) => {
                    tune(&tcp);
                    connections.spawn(serve_one(tcp, peer.ip(), site.clone(), slot));
                }
                // Best effort; the client is not worth waiting for.
                None if site.tls.is_none() => drop(tcp.try_write(greeting::FULL)),
                None => drop(tcp),
            },
            Err(error) if is_of_client(error.kind()) => tracing::debug!(%error, "a client left before it was accepted"),
            Err(error) => {
                if reminder.is_none_or(|next| next <= Instant::now()) {
                    tracing::warn!(%error, "cannot accept connections");
                    reminder = Some(Instant::now() + REMINDER);
                }
                connections.make_room();
                tokio::time::sleep(EXHAUSTED).await;
            }
        }
    }
}

/// Serves a router by itself over plain HTTP, with the limits that clients of the server have, until `shutdown`
/// completes. What is being answered then may take `farewell`; whatever is left is cut off with the runtime.
pub async fn serve_router(
    listener: TcpListener,
    router: Router,
    limits: HttpLimits,
    shutdown: impl Future<Output = ()>,
    farewell: Duration,
) {
    let site = Site { router: TowerToHyperService::new(router), entry: None, tls: None, limits };
    let connections = serve(listener, site, shutdown).await;
    let _ = tokio::time::timeout(farewell, connections.shutdown()).await;
}

fn is_of_client(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused)
}

async fn serve_one(tcp: TcpStream, peer: IpAddr, site: Arc<Site>, slot: ConnectionSlot) {
    let slot = Arc::new(slot);
    let Some(stream) = open(tcp, &site, &slot).await else { return };
    let hang_up = HangUp::default();
    let service = service_fn(|mut request: Request<Incoming>| {
        slot.begin(request.body().is_end_stream());
        request.extensions_mut().insert(hang_up.clone());
        let (site, slot) = (&site, &slot);
        async move {
            let response = answer(request, peer, site, slot).await;
            if response.extensions().get::<Streaming>().is_some() {
                slot.stream();
                return Ok::<_, Infallible>(response);
            }
            Ok(response.map(|body| AnswerBody::watched(body, slot)))
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(site.limits.head);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service).with_upgrades());
    let mut is_leaving = false;
    loop {
        tokio::select! {
            ended = &mut connection => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended");
                }
                return;
            }
            () = hang_up.requested() => return,
            () = slot.stuck() => return,
            () = slot.told_to_leave(), if !is_leaving => {
                // An incomplete head is no request, so its connection is not waited for.
                if slot.is_unused() || slot.is_displaced() {
                    return;
                }
                connection.as_mut().graceful_shutdown();
                is_leaving = true;
            }
        }
    }
}

/// The stream for HTTP, after the TLS handshake if there is one; `None` if the client is gone.
async fn open(tcp: TcpStream, site: &Site, slot: &Arc<ConnectionSlot>) -> Option<ClientStream> {
    let HttpLimits { handshake, stall, .. } = site.limits;
    let Some(tls) = &site.tls else { return Some(ClientStream::plain(tcp, stall).observed_by(slot.clone())) };
    // Boxed: the state of a handshake is large.
    let opening = Box::pin(tokio::time::timeout(handshake, greeting::encrypted(tcp, tls)));
    tokio::select! {
        opened = opening => match opened {
            Ok(Ok(stream)) => Some(ClientStream::encrypted(stream, stall).observed_by(slot.clone())),
            Ok(Err(error)) => {
                tracing::debug!(%error, "TLS handshake failed");
                None
            }
            Err(_) => {
                tracing::debug!("a TLS handshake took too long");
                None
            }
        },
        () = slot.told_to_leave() => None,
    }
}

async fn answer(mut request: Request<Incoming>, peer: IpAddr, site: &Site, slot: &Arc<ConnectionSlot>) -> Response {
    let admitted = match &site.entry {
        None => None,
        Some(entry) => match entry.admit(&mut request, peer) {
            Ok(admitted) => Some(admitted),
            Err(refusal) => return refusal,
        },
    };
    let is_sent = !request.headers().contains_key(EXPECT);
    let request = request.map(|body| {
        if body.is_end_stream() { Body::empty() } else { Body::new(RequestBody::new(body, slot.clone(), is_sent)) }
    });
    let Ok(mut response) = site.router.call(request).await;
    if let (Some(entry), Some(admitted)) = (&site.entry, &admitted) {
        entry.complete(admitted, &mut response);
    }
    response
}

fn tune(tcp: &TcpStream) {
    let socket = SockRef::from(tcp);
    // Neither is needed for correctness.
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_send_buffer_size(SEND_BUFFER);
}
