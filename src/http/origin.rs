//! Web origins, and the names by which clients call the server.

use std::fmt;
use std::net::IpAddr;

use super::client_address::Scheme;

/// `scheme://host[:port]`, as a browser writes it: in lower case, without the scheme's own port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebOrigin {
    scheme: String,
    authority: Authority,
}

/// `host[:port]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    host: Host,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    Name(String),
    Address(IpAddr),
}

/// Why a configured origin is refused: no page could have it, or every page would.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: `{origin}` {problem}")]
pub struct OriginError {
    setting: &'static str,
    origin: String,
    problem: &'static str,
}

impl WebOrigin {
    /// The value of an `Origin` header. `None` if it names no host, above all `null`.
    pub fn of_header(text: &str) -> Option<Self> {
        Self::parse(text).ok()
    }

    /// A configured origin; a slash at the end is accepted. `setting` is the flag, for the error.
    ///
    /// # Errors
    ///
    /// If no browser would ever send it, and for `*`.
    pub fn of_setting(setting: &'static str, text: &str) -> Result<Self, OriginError> {
        let text = text.trim();
        Self::parse(text.strip_suffix('/').unwrap_or(text)).map_err(|problem| OriginError {
            setting,
            origin: text.escape_debug().to_string(),
            problem,
        })
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        match text {
            "*" => {
                return Err("would let every web page do anything here; name the origins, such as https://a.example");
            }
            "null" => return Err("is the origin of every page without one; serve the page from a host instead"),
            _ => {}
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err("has no scheme; write http://… or https://…");
        };
        let mut letters = scheme.chars();
        let is_scheme = letters.next().is_some_and(|first| first.is_ascii_alphabetic())
            && letters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
        if !is_scheme {
            return Err("has no scheme; write http://… or https://…");
        }
        if rest.contains(['/', '?', '#']) {
            return Err("has a path; an origin ends with its host and port");
        }
        let scheme = scheme.to_ascii_lowercase();
        let mut authority = Authority::parse(rest)?;
        if authority.port == default_port(&scheme) {
            authority.port = None;
        }
        Ok(Self { scheme, authority })
    }

    /// Whether a page of this origin was loaded from a server that the browser addressed by this scheme and host.
    /// Where the scheme is not known, as a proxy in front may have added TLS, both will do.
    pub fn is_at(&self, scheme: Option<Scheme>, authority: &Authority) -> bool {
        let default = default_port(&self.scheme);
        let port = |authority: &Authority| authority.port.or(default);
        let is_scheme = match scheme {
            Some(scheme) => self.scheme == scheme.as_str(),
            None => matches!(&*self.scheme, "http" | "https"),
        };
        is_scheme && self.authority.host == authority.host && port(&self.authority) == port(authority)
    }

    pub fn host(&self) -> &Host {
        &self.authority.host
    }
}

impl fmt::Display for WebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

impl Authority {
    /// # Errors
    ///
    /// The error, to be appended to the text.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.contains('@') {
            return Err("has a user name; an origin has none");
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
                let port = port.parse().ok().filter(|port| is_number && *port > 0);
                (host, Some(port.ok_or("has a port that is none")?))
            }
            _ => (text, None),
        };
        Ok(Self { host: Host::parse(host)?, port })
    }

    pub fn host(&self) -> &Host {
        &self.host
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.host.fmt(f)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl Host {
    /// # Errors
    ///
    /// The error, to be appended to the text.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(inside) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return inside.parse().map(|address| Self::Address(IpAddr::V6(address))).map_err(|_| "has no host");
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(IpAddr::V4(address)));
        }
        if text.contains('*') {
            return Err("has a wildcard; name each host");
        }
        if !text.is_ascii() {
            return Err("has a host that browsers write in ASCII (xn--…); write it so");
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if text.is_empty() || !text.chars().all(is_name) || text.split('.').any(str::is_empty) {
            return Err("has no host that a browser could name");
        }
        Ok(Self::Name(text.to_ascii_lowercase()))
    }

    pub fn is_localhost(&self) -> bool {
        matches!(self, Self::Name(name) if name == "localhost" || name.ends_with(".localhost"))
    }

    /// Whether this is a name, and not one of the machine's own.
    pub fn is_public_name(&self) -> bool {
        matches!(self, Self::Name(_)) && !self.is_localhost()
    }

    /// Whether the public DNS cannot resolve this name to this server: it has a single label, or ends in one that
    /// is reserved for local use.
    pub fn is_local_name(&self) -> bool {
        const RESERVED: [&str; 5] = [".local", ".internal", ".localhost", ".home.arpa", ".test"];
        matches!(self, Self::Name(name) if !name.contains('.') || RESERVED.iter().any(|end| name.ends_with(end)))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configured_origins_are_written_as_browsers_write_them() {
        for (text, written) in [
            ("https://Dash.example.org/", "https://dash.example.org"),
            (" https://a.example:443 ", "https://a.example"),
            ("http://a.example:80", "http://a.example"),
            ("http://a.example:443", "http://a.example:443"),
            ("HTTP://LOCALHOST:3000", "http://localhost:3000"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("http://[0:0:0:0:0:0:0:1]", "http://[::1]"),
            ("http://192.168.0.1", "http://192.168.0.1"),
            ("vscode-webview://abc", "vscode-webview://abc"),
        ] {
            assert_eq!(WebOrigin::of_setting("--allow-origin", text).expect("an origin").to_string(), written);
        }
    }

    #[test]
    fn an_origin_that_no_page_or_every_page_has_is_refused_with_the_reason() {
        for (text, reason) in [
            ("*", "every web page"),
            ("null", "without one"),
            ("a.example", "scheme"),
            ("//a.example", "scheme"),
            ("://a.example", "scheme"),
            ("localhost:3000", "scheme"),
            ("https://*.example", "wildcard"),
            ("https://*", "wildcard"),
            ("https://a.example/path", "path"),
            ("https://a.example//", "path"),
            ("https://a.example?x", "path"),
            ("https://a.example#x", "path"),
            ("https://user@a.example", "user"),
            ("https://", "scheme"),
            ("https:///", "host"),
            ("https://:443", "host"),
            ("https://a..example", "host"),
            ("https://a b", "host"),
            ("https://bücher.example", "xn--"),
            ("https://[::1", "host"),
            ("https://a.example:", "port"),
            ("https://a.example:0", "port"),
            ("https://a.example:+1", "port"),
            ("https://a.example:65536", "port"),
            ("", "scheme"),
        ] {
            let message = WebOrigin::of_setting("--allow-origin", text).expect_err(text).to_string();
            assert!(message.contains(reason) && message.contains("--allow-origin"), "{message}");
        }
    }

    #[test]
    fn a_page_is_at_the_server_that_it_was_loaded_from() {
        let is_at = |origin: &str, host: &str| {
            WebOrigin::of_header(origin).expect("an origin").is_at(None, &Authority::parse(host).expect("a host"))
        };
        for (origin, host) in [
            ("http://localhost:8080", "localhost:8080"),
            ("http://LocalHost:8080", "localhost:8080"),
            ("http://relive.example", "relive.example"),
            ("http://relive.example", "relive.example:80"),
            ("https://relive.example", "relive.example"),
            ("https://relive.example", "relive.example:443"),
            ("https://localhost:8443", "localhost:8443"),
            ("http://[::1]:7400", "[::1]:7400"),
        ] {
            assert!(is_at(origin, host), "{origin} at {host}");
        }
        for (origin, host) in [
            ("http://localhost:8080", "localhost:7400"),
            ("http://localhost:7400", "127.0.0.1:7400"),
            ("http://6.6.6.6:7400", "127.0.0.1:7400"),
            ("http://relive.example", "relive.example:443"),
            ("https://relive.example", "relive.example:80"),
            ("http://relive.example", "relive.example:7400"),
            ("http://evil.example:7400", "relive.example:7400"),
            ("chrome-extension://localhost", "localhost"),
        ] {
            assert!(!is_at(origin, host), "{origin} at {host}");
        }
        let is_at = |origin: &str, scheme, host: &str| {
            WebOrigin::of_header(origin)
                .expect("an origin")
                .is_at(Some(scheme), &Authority::parse(host).expect("a host"))
        };
        assert!(is_at("https://relive.example", Scheme::Https, "relive.example"));
        assert!(
            !is_at("http://relive.example", Scheme::Https, "relive.example"),
            "whoever is between may have made it"
        );
        assert!(is_at("http://localhost:7400", Scheme::Http, "localhost:7400"));
        assert!(!is_at("https://localhost:7400", Scheme::Http, "localhost:7400"));
        for none in
            ["null", "", "file://", "http://user@localhost:8080", "http://localhost:8080/", "http://a, http://b"]
        {
            assert_eq!(WebOrigin::of_header(none), None, "{none}");
        }
    }
}
