//! HTTP requests to addresses that come from workflows or from the values of their templates.
//!
//! Only hosts on the list are contacted, and only at public addresses unless the setting says otherwise. The
//! address is checked when connecting, after the name was resolved, and again at every redirect; so a name on
//! the list that resolves to an internal address does not give access to it.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};

use crate::endpoint::{NotPublic, PublicOnly};

const CONNECT: Duration = Duration::from_secs(10);
const REDIRECTS: usize = 5;

/// What tool nodes may reach.
#[derive(Clone, Debug, Default)]
pub struct WebOptions {
    /// `api.example.org`, `*.example.org` (any name below), or `*` (any host). None: nothing.
    pub hosts: Vec<String>,
    /// Whether loopback, private and other internal addresses may be reached.
    pub allow_private: bool,
}

/// Why an address is not contacted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    #[error("{0} is no http or https address")]
    NotHttp(String),
    #[error("the host {0} is not on the list of hosts that tools may reach (RELIVE_TOOL_HOSTS)")]
    Host(String),
    #[error(transparent)]
    Private(#[from] NotPublic),
}

/// The HTTP client of tool nodes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Web {
    client: Client,
    rules: Arc<Rules>,
}

#[derive(Debug)]
struct Rules {
    hosts: Vec<String>,
    public: PublicOnly,
}

impl Web {
    /// # Errors
    ///
    /// If no HTTP client can be created.
    pub fn new(options: WebOptions) -> Result<Self, reqwest::Error> {
        let hosts = options.hosts.iter().map(|host| host.trim().to_lowercase()).filter(|host| !host.is_empty());
        let rule = "tools may reach no others (RELIVE_TOOL_ALLOW_PRIVATE)";
        let public = PublicOnly { allow_private: options.allow_private, rule };
        let rules = Arc::new(Rules { hosts: hosts.collect(), public });
        let for_redirects = Arc::clone(&rules);
        let redirects = Policy::custom(move |attempt| {
            if attempt.previous().len() > REDIRECTS {
                return attempt.error("too many redirects");
            }
            match for_redirects.check(attempt.url()) {
                Ok(()) => attempt.follow(),
                Err(forbidden) => attempt.error(forbidden),
            }
        });
        let client = Client::builder()
            // A proxy would resolve the names itself.
            .no_proxy()
            .dns_resolver(Arc::new(public))
            .redirect(redirects)
            .connect_timeout(CONNECT)
            // Gzip is decompressed by `unpack`.
            .no_gzip()
            .default_headers(HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate"))]))
            .user_agent(concat!("relive/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, rules })
    }

    /// Whether any host can be reached.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        !self.rules.hosts.is_empty()
    }

    /// A client for this address.
    ///
    /// # Errors
    ///
    /// [`Forbidden`] if the address is not allowed.
    pub fn client(&self, url: &Url) -> Result<&Client, Forbidden> {
        self.rules.check(url)?;
        Ok(&self.client)
    }
}

impl Rules {
    fn check(&self, url: &Url) -> Result<(), Forbidden> {
        let host = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https"));
        let host = host.ok_or_else(|| Forbidden::NotHttp(url.scheme().to_owned()))?.to_lowercase();
        let host = host.trim_end_matches('.');
        if !self.hosts.iter().any(|pattern| fits(pattern, host)) {
            return Err(Forbidden::Host(host.to_owned()));
        }
        Ok(self.public.check(url)?)
    }
}

fn fits(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(parent) => host.strip_suffix(parent).is_some_and(|below| below.len() > 1 && below.ends_with('.')),
        None => pattern == "*" || pattern == host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web(hosts: &[&str], allow_private: bool) -> Web {
        Web::new(WebOptions { hosts: hosts.iter().map(|host| (*host).to_owned()).collect(), allow_private })
            .expect("a client")
    }

    fn check(web: &Web, url: &str) -> Result<(), Forbidden> {
        web.client(&url.parse().expect(url)).map(drop)
    }

    #[test]
    fn only_hosts_on_the_list_are_asked() {
        let listed = web(&["api.example.org", "*.Example.com"], false);
        for url in
            ["https://api.example.org/x", "http://API.example.org.", "https://a.example.com", "https://a.b.example.com"]
        {
            assert_eq!(check(&listed, url), Ok(()), "{url}");
        }
        for url in [
            "https://example.org",
            "https://example.com",
            "https://badexample.com",
            "https://api.example.org.evil.net",
            "https://api.example.org@evil.net/",
        ] {
            assert!(matches!(check(&listed, url), Err(Forbidden::Host(_))), "{url}");
        }
        assert!(matches!(check(&listed, "file:///etc/passwd"), Err(Forbidden::NotHttp(_))));
        assert!(matches!(check(&web(&[], false), "https://example.org"), Err(Forbidden::Host(_))));
    }

    #[test]
    fn an_inner_address_is_refused_however_it_is_written() {
        for url in [
            "http://127.0.0.1",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://[::1]/",
            "http://[::ffff:7f00:1]/",
            "http://169.254.169.254/latest/meta-data/",
        ] {
            assert!(matches!(check(&web(&["*"], false), url), Err(Forbidden::Private(_))), "{url}");
            assert_eq!(check(&web(&["*"], true), url), Ok(()), "{url}");
        }
    }
}
