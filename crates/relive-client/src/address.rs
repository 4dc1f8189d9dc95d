//! The address of a server.

use std::fmt;

use super::ClientError;

/// A server's base address, such as `http://127.0.0.1:7400`, or `https://example.org/relive` behind a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    is_tls: bool,
    authority: String,
    /// Empty, or such as `/relive`.
    base_path: String,
}

impl Address {
    /// # Errors
    ///
    /// If the text is not `http://host[:port][/path]`, or the same with `https`.
    pub fn parse(text: &str) -> Result<Self, ClientError> {
        let wrong = |problem: &str| ClientError::Address { address: text.to_owned(), problem: problem.to_owned() };
        let url = reqwest::Url::parse(text.trim()).map_err(|error| wrong(&error.to_string()))?;
        let is_tls = match url.scheme() {
            "http" => false,
            "https" => true,
            _ => return Err(wrong("it must begin with http:// or https://")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("it must not hold a user name or a password"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("nothing may follow the path"));
        }
        let host = url.host_str().ok_or_else(|| wrong("it names no host"))?;
        let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Ok(Self { is_tls, authority, base_path: url.path().trim_end_matches('/').to_owned() })
    }

    /// `path` begins with a slash.
    #[must_use]
    pub fn http(&self, path: &str) -> String {
        format!("{self}{path}")
    }

    /// `path` begins with a slash.
    #[must_use]
    pub fn ws(&self, path: &str) -> String {
        let scheme = if self.is_tls { "wss" } else { "ws" };
        format!("{scheme}://{}{}{path}", self.authority, self.base_path)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.base_path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_perhaps_a_port_and_a_path() {
        let ws = |text| Address::parse(text).map(|address| address.ws("/ws"));
        assert_eq!(ws("http://127.0.0.1:7400"), Ok("ws://127.0.0.1:7400/ws".to_owned()));
        assert_eq!(ws("http://example.org/"), Ok("ws://example.org/ws".to_owned()));
        assert_eq!(ws("http://[::1]:80"), Ok("ws://[::1]/ws".to_owned()));
        assert_eq!(ws("https://example.org:443/relive/"), Ok("wss://example.org/relive/ws".to_owned()));
        let address = Address::parse("https://example.org:8443/relive").expect("an address");
        assert_eq!(address.http("/api"), "https://example.org:8443/relive/api");
    }

    #[test]
    fn anything_else_is_refused_with_a_reason() {
        let problem = |text| Address::parse(text).expect_err(text).to_string();
        assert!(problem("127.0.0.1:7400").contains("127.0.0.1:7400"));
        assert!(problem("ws://example.org").contains("http://"));
        assert!(problem("http://example.org/?x").contains("follow"));
        assert!(problem("http://example.org/relive#x").contains("follow"));
        assert!(problem("http://me:secret@example.org").contains("password"));
    }
}
