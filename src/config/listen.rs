//! The address to listen on.

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// `HOST:PORT`; the host is an address, or a name that is looked up when the server starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    host: String,
    port: u16,
}

impl ListenAddress {
    /// The name or address, IPv6 without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&self.host)
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let Some((host, port)) = text.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) else {
            return Err("the port is missing; expected HOST:PORT, such as 127.0.0.1:7400".to_owned());
        };
        let port = port.parse().map_err(|_| format!("`{}` is no port number", port.escape_debug()))?;
        let is_bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).is_some_and(is_ipv6);
        if host.is_empty() || host == "*" {
            return Err("the host is missing; 0.0.0.0 and [::] stand for every address of this machine".to_owned());
        }
        if host.contains(':') && !is_bracketed {
            return Err("write an IPv6 address in brackets, such as [::1]:7400".to_owned());
        }
        if !is_bracketed && !host.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '.' | '_')) {
            return Err("expected HOST:PORT, such as 127.0.0.1:7400 or localhost:7400".to_owned());
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

fn is_ipv6(text: &str) -> bool {
    text.parse::<Ipv6Addr>().is_ok()
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        let host = if address.is_ipv6() { format!("[{}]", address.ip()) } else { address.ip().to_string() };
        Self { host, port: address.port() }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_are_taken_and_what_is_wrong_is_said() {
        for (text, host, port) in [
            ("127.0.0.1:7400", "127.0.0.1", 7_400),
            (" localhost:0 ", "localhost", 0),
            ("[::1]:7400", "::1", 7_400),
            ("relive.internal:80", "relive.internal", 80),
        ] {
            let address: ListenAddress = text.parse().expect(text);
            assert_eq!((address.host(), address.port(), address.to_string()), (host, port, text.trim().to_owned()));
        }
        for (text, reason) in [
            ("", "port is missing"),
            ("localhost", "port is missing"),
            ("[::1]", "port is missing"),
            ("localhost:", "no port number"),
            ("localhost:http", "no port number"),
            ("localhost:65536", "no port number"),
            (":7400", "host is missing"),
            ("*:7400", "host is missing"),
            ("::1:7400", "brackets"),
            ("http://localhost:7400", "brackets"),
            ("[x]:7400", "expected HOST:PORT"),
            ("a b:7400", "expected HOST:PORT"),
        ] {
            let problem = text.parse::<ListenAddress>().expect_err(text);
            assert!(problem.contains(reason), "{text}: {problem}");
        }
    }
}
