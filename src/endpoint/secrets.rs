//! Redacts secrets in texts from outside.
//!
//! An endpoint that refuses a key often quotes it; a tool may return the headers it was sent. So everything
//! that comes from outside goes through [`Secrets`] before it can reach the journal, a viewer, an export or a
//! log.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use serde_json::Value;

/// The replacement of a secret.
const HIDDEN: &str = "[redacted]";
/// Shorter ones would match unrelated text.
const SHORTEST: usize = 6;
/// Values given as a key where none is needed.
const PLACEHOLDERS: [&str; 9] = [
    "ollama",
    "lm-studio",
    "lmstudio",
    "not-needed",
    "no-key-required",
    "placeholder",
    "unused",
    "anything",
    "api-key",
];

/// Texts that are redacted. Cheap to clone.
#[derive(Clone, Default)]
pub struct Secrets {
    /// The longest first, so that a secret that contains another is redacted completely.
    texts: Arc<[String]>,
}

/// Prints how many there are, and none of them.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.texts.len())
    }
}

impl Secrets {
    /// Those of the texts that are long enough to be secrets, in all their encodings.
    #[must_use]
    pub fn new<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut all: Vec<String> = Vec::new();
        for text in texts.into_iter().map(str::trim).filter(|text| is_secret(text)) {
            all.push(text.to_owned());
            // In a JSON text.
            if let Ok(quoted) = serde_json::to_string(text) {
                all.push(quoted.trim_matches('"').to_owned());
            }
        }
        all.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        all.dedup();
        Self { texts: all.into() }
    }

    /// Those of an endpoint: its key, and the secrets in its address.
    #[must_use]
    pub fn of_endpoint(api_key: Option<&str>, address: &str) -> Self {
        let in_address = address.trim().parse().map(|url| in_url(&url)).unwrap_or_default();
        Self::new(in_address.iter().map(String::as_str).chain(api_key))
    }

    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self::new(self.texts.iter().chain(other.texts.iter()).map(String::as_str))
    }

    #[must_use]
    pub fn are_none(&self) -> bool {
        self.texts.is_empty()
    }

    /// The text without them.
    #[must_use]
    pub fn hide<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut hidden = Cow::Borrowed(text);
        for secret in self.texts.iter() {
            if hidden.contains(secret.as_str()) {
                hidden = Cow::Owned(hidden.replace(secret.as_str(), HIDDEN));
            }
        }
        hidden
    }

    /// The value without them in any of its texts.
    #[must_use]
    pub fn hide_in(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.hide(&text).into_owned()),
            Value::Array(items) => items.into_iter().map(|item| self.hide_in(item)).collect(),
            Value::Object(members) => members
                .into_iter()
                .map(|(name, member)| (self.hide(&name).into_owned(), self.hide_in(member)))
                .collect(),
            plain => plain,
        }
    }

    /// How many bytes at the end of a text may be the beginning of a secret.
    fn begun(&self, text: &str) -> usize {
        let begins = |secret: &String| {
            let starts = secret.char_indices().map(|(at, _)| at).skip(1);
            starts.filter(|at| text.ends_with(&secret[..*at])).max().unwrap_or_default()
        };
        self.texts.iter().map(begins).max().unwrap_or_default()
    }
}

fn is_secret(text: &str) -> bool {
    text.len() >= SHORTEST && !PLACEHOLDERS.iter().any(|placeholder| text.eq_ignore_ascii_case(placeholder))
}

/// The password in an address, in all its encodings.
#[must_use]
pub fn in_url(url: &Url) -> Vec<String> {
    let Some(password) = url.password().filter(|password| !password.is_empty()) else { return Vec::new() };
    let pair = format!("{}:{}", decode(url.username()), decode(password));
    vec![password.to_owned(), decode(password), STANDARD.encode(pair)]
}

/// The secret in a header, if there is one: whole, and without the scheme before it.
#[must_use]
pub fn in_header(name: &str, value: &str) -> Vec<String> {
    if !names_a_secret(name) {
        return Vec::new();
    }
    let mut secrets = vec![value.to_owned()];
    if let Some((scheme, credentials)) = value.trim().split_once(' ') {
        secrets.push(credentials.trim().to_owned());
        let pair = STANDARD.decode(credentials.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"));
        let pair = pair.and_then(|pair| String::from_utf8(pair).ok());
        secrets.extend(pair.and_then(|pair| pair.split_once(':').map(|(_, password)| password.to_owned())));
    }
    secrets
}

fn decode(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = byte.and_then(|_| behind.get(2..)).unwrap_or(behind);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An address without its password, and without the values of secret query parameters.
#[must_use]
pub fn shown_url(url: &Url) -> String {
    let mut shown = url.clone();
    if shown.password().is_some() {
        let _ = shown.set_password(Some("redacted"));
    }
    if url.query_pairs().any(|(name, _)| names_a_secret(&name)) {
        let pairs: Vec<(String, String)> = url
            .query_pairs()
            .map(|(name, value)| {
                let hides = names_a_secret(&name);
                (name.into_owned(), if hides { HIDDEN.to_owned() } else { value.into_owned() })
            })
            .collect();
        shown.query_pairs_mut().clear().extend_pairs(pairs);
    }
    shown.into()
}

/// A header's value, redacted.
#[must_use]
pub fn shown_header<'a>(name: &str, value: &'a str) -> &'a str {
    if names_a_secret(name) { HIDDEN } else { value }
}

/// Whether a header or a query's parameter of this name carries a secret.
#[must_use]
pub fn names_a_secret(name: &str) -> bool {
    let name: String = name.to_ascii_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    matches!(name.as_str(), "key" | "sig" | "cookie" | "setcookie")
        || ["authorization", "apikey", "token", "secret", "password", "passwd", "signature", "credential"]
            .iter()
            .any(|part| name.contains(part))
}

/// Redacts a text that arrives in pieces: what may be the beginning of a secret is held back.
#[derive(Debug, Default)]
pub struct Sieve {
    secrets: Secrets,
    held: String,
}

impl Sieve {
    #[must_use]
    pub fn new(secrets: Secrets) -> Self {
        Self { secrets, held: String::new() }
    }

    /// The next piece, with what was held back before it and without what is held back now.
    pub fn push(&mut self, piece: &str) -> String {
        if self.secrets.are_none() {
            return piece.to_owned();
        }
        self.held.push_str(piece);
        let text = self.secrets.hide(&self.held).into_owned();
        let keep = text.len() - self.secrets.begun(&text);
        text[keep..].clone_into(&mut self.held);
        text[..keep].to_owned()
    }

    /// The rest that was held back and is no secret.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_taken_out_whole_and_words_are_left() {
        let secrets = Secrets::new(["sk-abc", "sk-abc-123", "ollama", "none", "", "a\"b-c\\d"]);
        for (text, expected) in [
            ("no: sk-abc-123!", "no: [redacted]!"),
            ("sk-abc sk-abc", "[redacted] [redacted]"),
            ("ask ollama or none", "ask ollama or none"),
            (r#"{"key":"a\"b-c\\d"}"#, r#"{"key":"[redacted]"}"#),
            ("a\"b-c\\d", "[redacted]"),
        ] {
            assert_eq!(secrets.hide(text), expected);
        }
        assert_eq!(format!("{secrets:?}").matches("sk").count(), 0);
    }

    #[test]
    fn a_secret_that_comes_in_pieces_is_found() {
        let text = "the key sk-12345 is wrong: sk-1234";
        for at in 0..=text.len() {
            for step in 1..7 {
                let mut sieve = Sieve::new(Secrets::new(["sk-12345"]));
                let mut out = sieve.push(&text[..at]);
                for piece in text.as_bytes()[at..].chunks(step) {
                    out += &sieve.push(std::str::from_utf8(piece).expect("ASCII"));
                }
                out += &sieve.finish();
                assert_eq!(out, "the key [redacted] is wrong: sk-1234", "cut at {at}, then by {step}");
            }
        }
        let mut sieve = Sieve::new(Secrets::new(["Größe-1"]));
        assert_eq!(sieve.push("Gr"), "");
        assert_eq!(sieve.push("üße"), "Grüße");
    }

    #[test]
    fn an_address_is_shown_without_its_password() {
        let url: Url = "https://me:p%40ss-word@example.org/x?api_key=s3&q=1".parse().expect("an address");
        let shown = shown_url(&url);
        assert!(!shown.contains("ss-word") && !shown.contains("s3") && shown.contains("q=1"), "{shown}");
        let secrets = Secrets::of_endpoint(Some("sk-key-1"), url.as_str());
        assert_eq!(
            secrets.hide("p@ss-word p%40ss-word bWU6cEBzcy13b3Jk sk-key-1"),
            "[redacted] [redacted] [redacted] [redacted]"
        );
    }

    #[test]
    fn names_tell_which_headers_carry_secrets() {
        for name in ["Authorization", "X-Api-Key", "x-auth-token", "Cookie", "api_key", "Proxy-Authorization", "key"] {
            assert_eq!(shown_header(name, "v"), HIDDEN, "{name}");
        }
        let basic = Secrets::new(in_header("Authorization", "Basic bWU6cEBzcy13b3Jk").iter().map(String::as_str));
        assert_eq!(basic.hide("p@ss-word bWU6cEBzcy13b3Jk"), "[redacted] [redacted]");
        for name in ["Accept", "X-Request-Id", "keyboard", "q"] {
            assert_eq!(shown_header(name, "v"), "v", "{name}");
        }
    }
}
