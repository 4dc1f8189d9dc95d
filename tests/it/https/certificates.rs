//! Which certificates are taken, and how they are replaced.

use std::net::SocketAddr;
use std::path::Path;

use nix::sys::signal::Signal;
use relive::server::{Server, listen};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;

use crate::harness::{Authority, Database, ServerProcess, Socket, TestServer, TlsFiles, config, eventually};

/// The certificate that a client is shown.
async fn shown(files: &TlsFiles, address: SocketAddr) -> CertificateDer<'static> {
    let stream = files.connect(address).await;
    stream.get_ref().1.peer_certificates().expect("certificates")[0].clone().into_owned()
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate")
}

fn log(path: &Path) -> String {
    std::fs::read_to_string(path).expect("the log")
}

#[tokio::test]
async fn a_signal_replaces_it_and_a_bad_file_does_not() {
    let (database, files) = (Database::create().await, TlsFiles::create());
    let directory = tempfile::tempdir().expect("a directory");
    let log_path = directory.path().join("log");
    let file = std::fs::File::create(&log_path).expect("a file");
    let url = database.url();
    let (certificate, key) = (files.certificate(), files.key());
    let settings = [
        ("DATABASE_URL", url.as_str()),
        ("RELIVE_EMBEDDING_DIM", "8"),
        ("RELIVE_LOG", "info"),
        ("RELIVE_TLS_CERT", certificate.to_str().expect("a path")),
        ("RELIVE_TLS_KEY", key.to_str().expect("a path")),
    ];
    let server = ServerProcess::start_logging(&settings, file).await;
    let first = shown(&files, server.address).await;
    let mut socket = Socket::open_tls(server.address, "/ws", files.client()).await;

    let (next, next_key) = files.issue();
    files.write(&next, &next_key);
    assert_eq!(shown(&files, server.address).await, first, "nobody has asked for it yet");
    server.signal(Signal::SIGHUP);
    eventually("the new certificate is shown", async || shown(&files, server.address).await == der(&next)).await;
    eventually("that is logged", async || log(&log_path).contains("the TLS certificate was read again")).await;
    // Whoever is connected stays so.
    socket.settle().await;

    let (_, other_key) = files.issue();
    for (certificate, key, reason) in [
        (next.as_str(), other_key.as_str(), "cannot be used with the key"),
        ("", next_key.as_str(), "has no certificate"),
        (next.as_str(), "nothing", "has no private key"),
    ] {
        files.write(certificate, key);
        server.signal(Signal::SIGHUP);
        let line =
            || log(&log_path).lines().filter(|line| line.contains("stays in use") && line.contains(reason)).count();
        eventually(reason, async || line() == 1).await;
        assert_eq!(shown(&files, server.address).await, der(&next), "{reason}");
    }
    socket.settle().await;
    assert!(!log(&log_path).contains("PRIVATE KEY"));
    assert_eq!(server.terminate().await, Some(0));
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named_with_the_reason() {
    let files = TlsFiles::create();
    let mut config = config(&Database::create().await);
    let (certificate, key) = (files.certificate(), files.key());
    let missing = certificate.with_file_name("missing.crt");
    let text = certificate.with_file_name("text.crt");
    std::fs::write(&text, "-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n").expect("written");
    let large = certificate.with_file_name("large.crt");
    std::fs::write(&large, vec![b'x'; 1024 * 1024 + 1]).expect("written");
    let stranger = certificate.with_file_name("stranger.key");
    std::fs::write(&stranger, Authority::new().issue(&["localhost"]).1).expect("written");
    for (certificate, key, reason) in [
        (Some(&certificate), None, "--tls-cert and --tls-key"),
        (None, Some(&key), "--tls-cert and --tls-key"),
        (Some(&missing), Some(&key), "missing.crt: No such file"),
        (Some(&key), Some(&key), "server.key has no certificate"),
        (Some(&certificate), Some(&certificate), "server.crt has no private key"),
        (Some(&text), Some(&key), "text.crt is not a PEM file"),
        (Some(&large), Some(&key), "large.crt is larger than 1 MiB"),
        (Some(&certificate), Some(&stranger), "cannot be used with the key"),
    ] {
        (config.tls.tls_cert, config.tls.tls_key) = (certificate.cloned(), key.cloned());
        let listener = listen(&config).await.expect("a listener");
        let refused = Server::prepare(listener, &config).await.expect_err(reason).to_string();
        assert!(refused.contains(reason), "{reason}: {refused}");
    }
}

#[tokio::test]
async fn a_chain_is_shown_whole() {
    let server = TestServer::start_tls(|config| {
        let path = config.tls.tls_cert.clone().expect("a file");
        let chain = std::fs::read_to_string(&path).expect("read") + &Authority::new().pem;
        std::fs::write(&path, chain).expect("written");
    })
    .await;
    let stream = server.tls().connect(server.address()).await;
    assert_eq!(stream.get_ref().1.peer_certificates().map(<[_]>::len), Some(2));
    assert_eq!(server.post("/api/v1/sessions", json!({})).await.0, 201);
}
