//! The address of a server.

use std::fmt;

use super::ClientError;

/// A server's base address, such as `http://127.0.0.1:7400`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    authority: String,
}

impl Address {
    /// # Errors
    ///
    /// If the text is not `http://host[:port]`. TLS is not supported yet, so `https` is refused
    /// rather than sent in the clear.
    pub fn parse(text: &str) -> Result<Self, ClientError> {
        let wrong = |problem: &str| ClientError::Address { address: text.to_owned(), problem: problem.to_owned() };
        let url = reqwest::Url::parse(text.trim()).map_err(|error| wrong(&error.to_string()))?;
        match url.scheme() {
            "http" => {}
            "https" => return Err(wrong("TLS is not built in yet; use http://")),
            _ => return Err(wrong("it must begin with http://")),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("it must not hold a user name or a password"));
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("nothing may follow the host and the port"));
        }
        let host = url.host_str().ok_or_else(|| wrong("it names no host"))?;
        Ok(Self { authority: url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")) })
    }

    /// `path` begins with a slash.
    #[must_use]
    pub fn http(&self, path: &str) -> String {
        format!("http://{}{path}", self.authority)
    }

    /// `path` begins with a slash.
    #[must_use]
    pub fn ws(&self, path: &str) -> String {
        format!("ws://{}{path}", self.authority)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_perhaps_a_port() {
        let ws = |text| Address::parse(text).map(|address| address.ws("/ws"));
        assert_eq!(ws("http://127.0.0.1:7400"), Ok("ws://127.0.0.1:7400/ws".to_owned()));
        assert_eq!(ws("http://example.org/"), Ok("ws://example.org/ws".to_owned()));
        assert_eq!(ws("http://[::1]:80"), Ok("ws://[::1]/ws".to_owned()));
    }

    #[test]
    fn anything_else_is_refused_with_a_reason() {
        let problem = |text| Address::parse(text).expect_err(text).to_string();
        assert!(problem("https://example.org").contains("TLS is not built in yet"));
        assert!(problem("127.0.0.1:7400").contains("127.0.0.1:7400"));
        assert!(problem("ws://example.org").contains("http://"));
        assert!(problem("http://example.org/relive").contains("follow"));
        assert!(problem("http://me:secret@example.org").contains("password"));
    }
}
