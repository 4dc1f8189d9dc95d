//! Accepting TCP connections and serving HTTP on them.

use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};

/// How long a client may take to send a request's head, the silence before it included.
const HEAD: Duration = Duration::from_secs(30);
/// Bytes the kernel holds for one client. What is in there can no longer be replaced by something
/// newer, so a large buffer would make slow viewers lag; doubled by Linux.
const SEND_BUFFER: usize = 64 * 1024;
/// How long to wait when the process is out of file descriptors.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Serves connections until `shutdown` completes. The connections that are left then can be waited
/// for through the returned handle.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()>,
) -> GracefulShutdown {
    let connections = GracefulShutdown::new();
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
    let mut shutdown = pin!(shutdown);
    loop {
        let tcp = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((tcp, _)) => tcp,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(EXHAUSTED).await;
                    continue;
                }
            },
            () = &mut shutdown => return connections,
        };
        tune(&tcp);
        let service = TowerToHyperService::new(router.clone());
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(tcp), service).into_owned();
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended");
            }
        });
    }
}

fn tune(tcp: &TcpStream) {
    let socket = SockRef::from(tcp);
    // Neither is needed for correctness.
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_send_buffer_size(SEND_BUFFER);
}
