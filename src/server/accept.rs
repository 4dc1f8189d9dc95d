//! Accepting TCP connections and serving HTTP on them.

use std::io::ErrorKind;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::connections::{Connections, Slot};
use crate::http::HangUp;
use crate::ws::ClientStream;

/// Time limits of clients over HTTP, each with its default. Open sockets have limits of their own.
#[derive(Clone, Copy, Debug)]
pub struct HttpLimits {
    /// For a request's head, including the wait before it (30 s): before the first request of a
    /// connection, and between two.
    pub head: Duration,
    /// Without reading anything of an answer (30 s).
    pub stall: Duration,
    /// HTTP connections at once (5,000). For one more, the one that has been idle the longest is closed; if all
    /// are busy, it is answered with 503.
    pub connections: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self { head: Duration::from_secs(30), stall: Duration::from_secs(30), connections: 5_000 }
    }
}

/// Bytes that the kernel buffers for one client, doubled by Linux. Frames in it cannot be replaced by
/// newer ones, so a large buffer would make slow viewers lag.
const SEND_BUFFER: usize = 64 * 1024;
/// The pause when the process is out of file descriptors.
const EXHAUSTED: Duration = Duration::from_millis(100);
/// How often that is logged.
const REMINDER: Duration = Duration::from_secs(10);
/// The answer to a client if there are too many connections.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\n\
    content-type: application/problem+json\r\ncontent-length: 151\r\n\r\n\
    {\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,\
    \"detail\":\"this server has too many connections\",\"code\":\"unavailable\",\"retryable\":true}";

/// Serves connections until `shutdown` completes. The returned handle waits for the connections that
/// are open then.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: HttpLimits,
    shutdown: impl Future<Output = ()>,
) -> Connections {
    let connections = Connections::new(limits.connections);
    let mut reminder = None;
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => return connections,
        };
        match accepted {
            Ok((tcp, _)) => match connections.enter() {
                Some(slot) => {
                    tune(&tcp);
                    connections.spawn(serve_one(tcp, router.clone(), limits, slot));
                }
                // Best effort; the client is not worth waiting for.
                None => drop(tcp.try_write(FULL)),
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

fn is_of_client(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused)
}

async fn serve_one(tcp: TcpStream, router: Router, limits: HttpLimits, slot: Slot) {
    let router = TowerToHyperService::new(router);
    let hang_up = HangUp::default();
    let service = service_fn(|mut request: Request<Incoming>| {
        slot.begin();
        request.extensions_mut().insert(hang_up.clone());
        let answering = router.call(request);
        let slot = &slot;
        async move {
            let answer = answering.await;
            slot.end();
            answer
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head);
    let stream = TokioIo::new(ClientStream::new(tcp, limits.stall));
    let mut connection = pin!(http.serve_connection(stream, service).with_upgrades());
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
            () = slot.told_to_leave(), if !is_leaving => {
                // An incomplete head is no request, so its connection is not waited for.
                if slot.is_unused() {
                    return;
                }
                connection.as_mut().graceful_shutdown();
                is_leaving = true;
            }
        }
    }
}

fn tune(tcp: &TcpStream) {
    let socket = SockRef::from(tcp);
    // Neither is needed for correctness.
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_send_buffer_size(SEND_BUFFER);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_for_whom_there_is_no_room_is_a_problem_document() {
        let text = std::str::from_utf8(FULL).expect("a text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        assert!(head.contains(&format!("content-length: {}", body.len())), "{}", body.len());
        let problem: relive_protocol::Problem = serde_json::from_str(body).expect("a problem");
        assert_eq!((problem.status, problem.retryable), (503, true));
    }
}
