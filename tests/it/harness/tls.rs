//! Certificates made for a test, a server's files of them, and clients that trust them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A certificate authority of the test's own.
pub struct Authority {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params.distinguished_name.push(DnType::CommonName, "authority");
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate and its key, for a server's hosts or a client's role.
    pub fn issue(&self, names: &[&str]) -> (String, String) {
        let hosts: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("names");
        params.distinguished_name.push(DnType::CommonName, names[0]);
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &self.issuer).expect("a certificate").pem(), key.serialize_pem())
    }

    /// What a client needs to trust only this authority.
    pub fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).expect("a certificate")).expect("a root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions);
        Arc::new(config.expect("versions").with_root_certificates(roots).with_no_client_auth())
    }
}

/// A server's certificate and key in files, and the authority that clients know them by.
pub struct TlsFiles {
    pub authority: Authority,
    directory: tempfile::TempDir,
}

impl TlsFiles {
    pub fn create() -> Self {
        let files = Self { authority: Authority::new(), directory: tempfile::tempdir().expect("a directory") };
        let (certificate, key) = files.issue();
        files.write(&certificate, &key);
        files
    }

    /// Another certificate of the same authority.
    pub fn issue(&self) -> (String, String) {
        self.authority.issue(&["localhost", "127.0.0.1", "relive.example.org"])
    }

    pub fn write(&self, certificate: &str, key: &str) {
        std::fs::write(self.certificate(), certificate).expect("written");
        std::fs::write(self.key(), key).expect("written");
    }

    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join("server.crt")
    }

    pub fn key(&self) -> PathBuf {
        self.directory.path().join("server.key")
    }

    /// The authority's certificate as a file.
    pub fn root(&self) -> PathBuf {
        let path = self.directory.path().join("root.crt");
        std::fs::write(&path, &self.authority.pem).expect("written");
        path
    }

    pub fn client(&self) -> Arc<ClientConfig> {
        self.authority.client(rustls::ALL_VERSIONS)
    }

    pub fn certificate_of_authority(&self) -> reqwest::Certificate {
        reqwest::Certificate::from_pem(self.authority.pem.as_bytes()).expect("a certificate")
    }

    /// An HTTP client that trusts the authority, and asks for nothing packed.
    pub fn http(&self) -> reqwest::Client {
        let http = reqwest::Client::builder().no_gzip().no_deflate();
        http.tls_certs_only([self.certificate_of_authority()]).build().expect("a client")
    }

    /// A stream for bytes of the test's choice.
    pub async fn connect(&self, address: SocketAddr) -> TlsStream<TcpStream> {
        let tcp = TcpStream::connect(address).await.expect("connected");
        let name = ServerName::try_from("localhost").expect("a name");
        TlsConnector::from(self.client()).connect(name, tcp).await.expect("a handshake")
    }
}
