//! TLS for clients: the certificate, and its replacement while the server runs.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// Bytes of a PEM file at most.
const FILE_BYTES: u64 = 1024 * 1024;
/// The protocols that are spoken over TLS.
const PROTOCOLS: [&[u8]; 1] = [b"http/1.1"];

/// Why TLS cannot be used with the given files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("--tls-cert and --tls-key are given together or not at all")]
    Half,
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is larger than 1 MiB; is it a PEM file?")]
    TooLarge { path: PathBuf },
    #[error("{path} has no {what} in PEM form")]
    Missing { path: PathBuf, what: &'static str },
    #[error("{path} is not a PEM file: {problem}")]
    Pem { path: PathBuf, problem: String },
    #[error("the certificate {certificate} cannot be used with the key {key}: {source}")]
    Pair { certificate: PathBuf, key: PathBuf, source: rustls::Error },
    #[error("cannot use TLS: {0}")]
    Setup(#[from] rustls::Error),
}

/// The server's certificate with its key, read from two files. Cheap to clone.
#[derive(Clone)]
pub struct Certificate(Arc<Inner>);

struct Inner {
    certificate: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificate {
    /// # Errors
    ///
    /// If a file cannot be read, or the two do not belong together.
    pub fn load(certificate: PathBuf, key: PathBuf) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let current = RwLock::new(Arc::new(read(&certificate, &key, &provider)?));
        Ok(Self(Arc::new(Inner { certificate, key, provider, current })))
    }

    /// Reads the files again. Connections that are open keep the certificate they began with.
    ///
    /// # Errors
    ///
    /// As [`Certificate::load`]; then the previous certificate stays in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        let Inner { certificate, key, provider, current } = &*self.0;
        let next = Arc::new(read(certificate, key, provider)?);
        *current.write() = next;
        Ok(())
    }

    /// Reads the files again, and logs the result.
    pub fn reload_and_log(&self) {
        let (certificate, key) = (self.0.certificate.display(), self.0.key.display());
        match self.reload() {
            Ok(()) => tracing::info!(%certificate, %key, "the TLS certificate was read again"),
            Err(error) => {
                tracing::error!(%error, "the TLS certificate was not replaced; the previous one stays in use");
            }
        }
    }

    pub(super) fn server_config(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let mut config = ServerConfig::builder_with_provider(self.0.provider.clone())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(self.0.clone());
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Inner {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().clone())
    }
}

/// Without the key.
impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn read(certificate: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let chain = CertificateDer::pem_slice_iter(&content(certificate)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| malformed(certificate, "certificate", &error))?;
    if chain.is_empty() {
        return Err(TlsError::Missing { path: certificate.to_owned(), what: "certificate" });
    }
    let private =
        PrivateKeyDer::from_pem_slice(&content(key)?).map_err(|error| malformed(key, "private key", &error))?;
    CertifiedKey::from_der(chain, private, provider).map_err(|source| TlsError::Pair {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        source,
    })
}

fn malformed(path: &Path, what: &'static str, error: &pem::Error) -> TlsError {
    match error {
        pem::Error::NoItemsFound => TlsError::Missing { path: path.to_owned(), what },
        error => TlsError::Pem { path: path.to_owned(), problem: error.to_string() },
    }
}

fn content(path: &Path) -> Result<Vec<u8>, TlsError> {
    let mut content = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES + 1).read_to_end(&mut content))
        .map_err(|source| TlsError::Read { path: path.to_owned(), source })?;
    if content.len() as u64 > FILE_BYTES {
        return Err(TlsError::TooLarge { path: path.to_owned() });
    }
    Ok(content)
}
