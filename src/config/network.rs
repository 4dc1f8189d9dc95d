//! TLS for clients, and proxies in front of the server.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use ipnet::IpNet;

use super::seconds;

/// TLS for clients.
#[derive(Args, Clone, Debug)]
pub struct TlsConfig {
    /// A file with the server's certificate and those of its authorities, in PEM form; with `--tls-key`,
    /// HTTPS is spoken instead of HTTP. Both files are read again on SIGHUP.
    #[arg(long, env = "RELIVE_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// A file with the certificate's private key, in PEM form.
    #[arg(long, env = "RELIVE_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,

    /// Seconds for a TLS handshake.
    #[arg(long, env = "RELIVE_TLS_HANDSHAKE_SECONDS", default_value_t = 10.0, value_name = "SECONDS",
          value_parser = seconds)]
    pub tls_handshake_seconds: f64,

    /// Seconds for which browsers use nothing but HTTPS for this host, once they have used it
    /// (Strict-Transport-Security). 0: they are not told so.
    #[arg(long, env = "RELIVE_HSTS_SECONDS", default_value_t = 31_536_000, value_name = "SECONDS")]
    pub hsts_seconds: u64,
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self { tls_cert: None, tls_key: None, tls_handshake_seconds: 10.0, hsts_seconds: 31_536_000 }
    }
}

/// Proxies in front of the server, and the address it has behind them.
#[derive(Args, Clone, Debug)]
pub struct ProxyConfig {
    /// Addresses and networks of proxies whose X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Prefix are
    /// believed, such as <127.0.0.1> or <10.0.0.0/8>; several, separated by commas.
    #[arg(long, env = "RELIVE_TRUSTED_PROXIES", value_delimiter = ',', value_name = "NETWORK", value_parser = network)]
    pub trusted_proxies: Vec<IpNet>,

    /// The path below which the server is found, such as `/relive`.
    #[arg(long, env = "RELIVE_BASE_PATH", default_value = "/", value_name = "PATH")]
    pub base_path: String,
}

impl Default for ProxyConfig {
    fn default() -> Self {
        Self { trusted_proxies: Vec::new(), base_path: "/".to_owned() }
    }
}

/// An address stands for itself alone.
fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let network = match text.parse::<IpAddr>() {
        Ok(address) => Ok(IpNet::from(address.to_canonical())),
        Err(_) => text.parse::<IpNet>().map(|network| network.trunc()),
    };
    network.map_err(|_| "expected an address or a network, such as 127.0.0.1 or 10.0.0.0/8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_an_address_or_a_network() {
        for (text, network_text) in [
            ("127.0.0.1", "127.0.0.1/32"),
            (" ::1 ", "::1/128"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("fd00::/8", "fd00::/8"),
            ("::ffff:10.0.0.1", "10.0.0.1/32"),
        ] {
            assert_eq!(network(text).map(|network| network.to_string()).as_deref(), Ok(network_text), "{text}");
        }
        for text in ["", "*", "localhost", "10.0.0.0/33", "10.0.0", "10.0.0.1:80"] {
            assert!(network(text).is_err(), "{text}");
        }
    }
}
