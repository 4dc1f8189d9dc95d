//! The beginning of a connection: the TLS handshake, and answers to clients that do not get as far as a request.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The answer to a client if there are too many connections.
pub(super) const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 1\r\n\
    content-type: application/problem+json\r\ncontent-length: 151\r\n\r\n\
    {\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,\
    \"detail\":\"this server has too many connections\",\"code\":\"unavailable\",\"retryable\":true}";

/// The answer to a client that speaks HTTP where HTTPS is expected.
const NOT_ENCRYPTED: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\
    content-type: application/problem+json\r\ncontent-length: 146\r\n\r\n\
    {\"type\":\"about:blank\",\"title\":\"Bad Request\",\"status\":400,\
    \"detail\":\"this server speaks HTTPS: use https://\",\"code\":\"bad_request\",\"retryable\":false}";

/// How long a client that speaks HTTP is listened to, so that it can read the answer.
const LINGER: Duration = Duration::from_secs(1);

/// Carries out the handshake. The caller limits the time.
pub(super) async fn encrypted(tcp: TcpStream, tls: &TlsAcceptor) -> io::Result<TlsStream<TcpStream>> {
    // A handshake does not begin with a letter, and a request does.
    let mut first = [0];
    if tcp.peek(&mut first).await? > 0 && first[0].is_ascii_uppercase() {
        refuse(tcp).await;
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the client speaks HTTP"));
    }
    tls.accept(tcp).await
}

async fn refuse(mut tcp: TcpStream) {
    let refusing = async {
        let mut request = [0; 4096];
        // Closing with unread input would reset the connection.
        let _ = tcp.read(&mut request).await;
        let _ = tcp.write_all(NOT_ENCRYPTED).await;
        let _ = tcp.shutdown().await;
        while tcp.read(&mut request).await.is_ok_and(|read| read > 0) {}
    };
    let _ = tokio::time::timeout(LINGER, refusing).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_before_a_request_are_problem_documents() {
        for (answer, status, retryable) in [(FULL, 503, true), (NOT_ENCRYPTED, 400, false)] {
            let text = std::str::from_utf8(answer).expect("a text");
            let (head, body) = text.split_once("\r\n\r\n").expect("a head");
            assert!(head.contains(&format!("content-length: {}", body.len())), "{}", body.len());
            let problem: relive_protocol::Problem = serde_json::from_str(body).expect("a problem");
            assert_eq!((problem.status, problem.retryable), (status, retryable));
        }
    }
}
