//! Sends e-mails by an SMTP server.

use std::fmt;
use std::time::Duration;

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::PoolConfig;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use percent_encoding::percent_decode_str;
use reqwest::Url;

use super::fields::is_address;
use crate::endpoint::{Secrets, clean};
use crate::storage::DueEmail;

/// How long an attempt may take.
const ATTEMPT: Duration = Duration::from_secs(30);
/// Connections to the SMTP server at once.
const CONNECTIONS: u32 = 4;
/// How long one that is not used is kept open.
const IDLE: Duration = Duration::from_secs(20);
/// Answers that mean that this recipient, or this message, will not be taken by any attempt. Others that say
/// "permanent" are about the connection, the credentials or the sender, and go away when the settings are mended.
const REFUSED: [u16; 5] = [550, 551, 553, 555, 556];

/// The settings make no sense. No value is repeated: there may be a password in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailerError {
    #[error("RELIVE_SMTP_URL is not an address such as smtps://name:password@mail.example.org")]
    Url,
    #[error("RELIVE_SMTP_URL must begin with smtp:// or smtps://")]
    Scheme,
    #[error(
        "RELIVE_SMTP_URL may have `?tls=required`, `?tls=opportunistic` or `?tls=none` after smtp://, and nothing else"
    )]
    Tls,
    #[error("RELIVE_SMTP_FROM is missing: the address that e-mails come from")]
    NoSender,
    #[error("RELIVE_SMTP_FROM must be an address such as relive@example.org, or `Relive <relive@example.org>`")]
    Sender,
    #[error("RELIVE_SMTP_FROM is set, and RELIVE_SMTP_URL is not")]
    NoServer,
    #[error("TLS cannot be used for e-mails: {0}")]
    Library(String),
}

/// Why an attempt has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SendError {
    pub text: String,
    /// No further attempt can succeed.
    pub is_final: bool,
}

/// How the connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protection {
    /// TLS from the start.
    Wrapped,
    /// STARTTLS, or nothing is sent.
    Required,
    /// STARTTLS if the server offers it.
    Opportunistic,
    None,
}

/// Sends e-mails. Cheap to clone.
#[derive(Clone)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    /// What is hidden in the texts of errors.
    secrets: Secrets,
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailer").field("from", &self.from).finish_non_exhaustive()
    }
}

impl Mailer {
    /// The mailer of these settings; `None` if there are none. Empty ones count as not set. Contacts nobody.
    ///
    /// # Errors
    ///
    /// What is wrong with a setting.
    pub fn new(url: Option<&str>, from: Option<&str>) -> Result<Option<Self>, MailerError> {
        let given = |text: Option<&str>| text.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        let (url, from) = match (given(url), given(from)) {
            (None, None) => return Ok(None),
            (None, Some(_)) => return Err(MailerError::NoServer),
            (Some(_), None) => return Err(MailerError::NoSender),
            (Some(url), Some(from)) => (url, from),
        };
        let url = Url::parse(&url).map_err(|_| MailerError::Url)?;
        let from: Mailbox = from.parse().map_err(|_| MailerError::Sender)?;
        let is_clean = |name: &String| !name.contains(char::is_control);
        if !is_address(from.email.as_ref()) || !from.name.as_ref().is_none_or(is_clean) {
            return Err(MailerError::Sender);
        }
        let secrets = Secrets::of_endpoint(None, url.as_str());
        Ok(Some(Self { transport: transport(&url, from.email.domain())?, from, secrets }))
    }

    /// Makes one attempt.
    pub(super) async fn send(&self, email: &DueEmail) -> Result<(), SendError> {
        let message = self.message(email)?;
        match tokio::time::timeout(ATTEMPT, self.transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => {
                let is_final = error.status().is_some_and(|code| REFUSED.contains(&u16::from(code)));
                Err(SendError { text: clean(&self.secrets.hide(&error.to_string())), is_final })
            }
            Err(_) => Err(SendError { text: "no answer in time".to_owned(), is_final: false }),
        }
    }

    /// The same at every attempt.
    fn message(&self, email: &DueEmail) -> Result<Message, SendError> {
        let impossible = |error: String| SendError { text: clean(&error), is_final: true };
        let recipient = email.recipient.parse().map_err(|error| impossible(format!("the address: {error}")))?;
        // RFC 3834: no automatic answers.
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, recipient))
            .subject(email.subject.clone())
            .message_id(Some(format!("<{}@{}>", email.id, self.from.email.domain())))
            .date(email.at.as_datetime().into())
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
            .header(ContentType::TEXT_PLAIN)
            .body(email.body.clone())
            .map_err(|error| impossible(error.to_string()))
    }
}

/// How an address wants the connection to be protected. What leaves the machine is, unless it is said otherwise.
fn protection(url: &Url) -> Result<Protection, MailerError> {
    let asked: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let asked: Vec<(&str, &str)> = asked.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    match (url.scheme(), &asked[..]) {
        ("smtps", []) => Ok(Protection::Wrapped),
        ("smtp", []) if is_local(url) => Ok(Protection::None),
        ("smtp", [] | [("tls", "required")]) => Ok(Protection::Required),
        ("smtp", [("tls", "opportunistic")]) => Ok(Protection::Opportunistic),
        ("smtp", [("tls", "none")]) => Ok(Protection::None),
        ("smtp" | "smtps", _) => Err(MailerError::Tls),
        _ => Err(MailerError::Scheme),
    }
}

fn is_local(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn transport(url: &Url, own_domain: &str) -> Result<AsyncSmtpTransport<Tokio1Executor>, MailerError> {
    let protection = protection(url)?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or(MailerError::Url)?;
    if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
        return Err(MailerError::Url);
    }
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let library = |error: lettre::transport::smtp::Error| MailerError::Library(error.to_string());
    let parameters = || TlsParameters::new(host.clone()).map_err(library);
    let (tls, port) = match protection {
        Protection::Wrapped => (Tls::Wrapper(parameters()?), 465),
        Protection::Required => (Tls::Required(parameters()?), 587),
        Protection::Opportunistic => (Tls::Opportunistic(parameters()?), 587),
        Protection::None => (Tls::None, 587),
    };
    let pool = PoolConfig::new().max_size(CONNECTIONS).idle_timeout(IDLE);
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host.clone())
        .port(url.port().unwrap_or(port))
        .tls(tls)
        .timeout(Some(ATTEMPT))
        .pool_config(pool)
        .hello_name(ClientId::Domain(own_domain.to_owned()));
    if url.password().is_none() && !url.username().is_empty() {
        return Err(MailerError::Url);
    }
    if let Some(password) = url.password() {
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        builder = builder.credentials(Credentials::new(decoded(url.username()), decoded(password)));
    }
    Ok(builder.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(url: &str, from: &str) -> MailerError {
        Mailer::new(Some(url), Some(from)).expect_err("refused")
    }

    #[test]
    fn what_leaves_the_machine_is_protected_unless_it_is_said_otherwise() {
        for (url, expected) in [
            ("smtps://mail.example.org", Protection::Wrapped),
            ("smtp://mail.example.org", Protection::Required),
            ("smtp://me:word@mail.example.org:25", Protection::Required),
            ("smtp://10.0.0.1", Protection::Required),
            ("smtp://localhost.example.org", Protection::Required),
            ("smtp://mail.example.org?tls=opportunistic", Protection::Opportunistic),
            ("smtp://mail.example.org?tls=none", Protection::None),
            ("smtp://localhost:25", Protection::None),
            ("smtp://127.0.0.1:25", Protection::None),
            ("smtp://[::1]:25", Protection::None),
            ("smtp://localhost?tls=required", Protection::Required),
        ] {
            assert_eq!(protection(&url.parse().expect("an address")), Ok(expected), "{url}");
        }
    }

    #[tokio::test]
    async fn errors_about_settings_repeat_none_of_them() {
        let from = "relive@example.org";
        for (url, expected) in [
            ("mail.example.org", MailerError::Url),
            ("http://me:pass-word@mail.example.org", MailerError::Scheme),
            ("smtp://me:pass-word@mail.example.org?tls=maybe", MailerError::Tls),
            ("smtps://me:pass-word@mail.example.org?tls=none", MailerError::Tls),
            ("smtps://me:pass-word@mail.example.org/path", MailerError::Url),
            ("smtps://", MailerError::Url),
            ("smtps://me@mail.example.org", MailerError::Url),
        ] {
            let error = error(url, from);
            assert_eq!(error, expected, "{url}");
            assert!(!error.to_string().contains("pass-word"));
        }
        for from in ["relive", "a@example.org, b@example.org", "x\r\nBcc: y <a@example.org>", "größe@example.org"] {
            assert_eq!(error("smtp://localhost", from), MailerError::Sender, "{from}");
        }
        assert_eq!(Mailer::new(Some("smtp://localhost"), None).expect_err("refused"), MailerError::NoSender);
        assert_eq!(Mailer::new(None, Some(from)).expect_err("refused"), MailerError::NoServer);
        assert!(Mailer::new(Some(" "), Some("")).expect("no settings").is_none());
        let mailer = Mailer::new(Some("smtps://me:pass-word@mail.example.org"), Some("Relive <relive@example.org>"));
        let mailer = mailer.expect("settings").expect("a mailer");
        assert!(!format!("{mailer:?}").contains("pass-word"), "{mailer:?}");
        assert_eq!(mailer.secrets.hide("535 no pass-word bWU6cGFzcy13b3Jk"), "535 no [redacted] [redacted]");
    }

    #[tokio::test]
    async fn a_message_is_the_same_at_every_attempt() {
        let mailer = Mailer::new(Some("smtp://localhost"), Some("Größe <relive@example.org>"));
        let mailer = mailer.expect("settings").expect("a mailer");
        let email = DueEmail {
            id: "01980000-0000-7000-8000-000000000000".parse().expect("an id"),
            recipient: "ada@example.org".to_owned(),
            subject: "[Relive] Raised: Nächtlich".to_owned(),
            body: "Zeile eins.\n.\nZeile drei.\n".to_owned(),
            attempts: 1,
            at: "2026-05-28T20:26:40Z".parse().expect("a time"),
        };
        let text = |email: &DueEmail| {
            String::from_utf8(mailer.message(email).expect("a message").formatted()).expect("a text")
        };
        let first = text(&email);
        assert_eq!(first, text(&DueEmail { attempts: 2, ..email }));
        for header in [
            "Message-ID: <01980000-0000-7000-8000-000000000000@example.org>\r\n",
            "Date: Thu, 28 May 2026 20:26:40 +0000\r\n",
            "To: ada@example.org\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "Content-Type: text/plain; charset=utf-8\r\n",
        ] {
            assert!(first.contains(header), "{header}: {first}");
        }
        assert!(first.is_ascii(), "{first}");
    }
}
