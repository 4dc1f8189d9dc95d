//! An SMTP server: it keeps what it is sent, and answers as it is told.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{TlsFiles, eventually};

/// An e-mail that was sent, whether it was taken or not.
#[derive(Clone, Debug)]
pub struct Mail {
    /// `name:password`, if the client has said who it is.
    pub login: Option<String>,
    pub from: String,
    pub to: Vec<String>,
    /// Headers and body, with lines as they came.
    pub text: String,
}

impl Mail {
    /// The value of a header, unfolded; it has to be there once.
    pub fn header(&self, name: &str) -> String {
        let (head, _) = self.text.split_once("\r\n\r\n").expect("a body");
        let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
        let prefix = format!("{}: ", name.to_lowercase());
        let found: Vec<&str> = unfolded.split("\r\n").filter(|line| line.to_lowercase().starts_with(&prefix)).collect();
        assert_eq!(found.len(), 1, "{name}: {head}");
        found[0][prefix.len()..].to_owned()
    }

    pub fn id(&self) -> String {
        self.header("Message-ID")
    }

    pub fn body(&self) -> String {
        self.text.split_once("\r\n\r\n").expect("a body").1.replace("=\r\n", "").replace("\r\n", "\n")
    }
}

/// What becomes of an e-mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    Yes,
    /// Its recipient is answered like this.
    RecipientRefused(u16),
    /// It is answered like this when all of it has come.
    Refused(u16),
    /// It has come, and no answer ever does.
    Silent,
}

type Decide = dyn Fn(&str, usize) -> Taken + Send + Sync;

#[derive(Clone)]
pub struct MailServer {
    address: SocketAddr,
    mails: Arc<Mutex<Vec<Mail>>>,
    decide: Arc<Decide>,
    /// `name:password` that is asked for.
    login: Option<&'static str>,
}

impl MailServer {
    /// Accepts everything.
    pub async fn start() -> Self {
        Self::deciding(|_, _| Taken::Yes).await
    }

    /// Is asked with the recipient and how many e-mails have come.
    pub async fn deciding(decide: impl Fn(&str, usize) -> Taken + Send + Sync + 'static) -> Self {
        Self::launch(Arc::new(decide), None, None).await
    }

    /// Takes e-mails only of who says this name and password.
    pub async fn with_login(login: &'static str) -> Self {
        Self::launch(Arc::new(|_: &str, _: usize| Taken::Yes), Some(login), None).await
    }

    /// Speaks TLS from the start.
    pub async fn with_tls(files: &TlsFiles) -> Self {
        let certificates = CertificateDer::pem_file_iter(files.certificate()).expect("a file");
        let certificates = certificates.collect::<Result<Vec<_>, _>>().expect("certificates");
        let key = PrivateKeyDer::from_pem_file(files.key()).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("versions").with_no_client_auth().with_single_cert(certificates, key);
        let acceptor = TlsAcceptor::from(Arc::new(config.expect("a certificate")));
        Self::launch(Arc::new(|_: &str, _: usize| Taken::Yes), None, Some(acceptor)).await
    }

    async fn launch(decide: Arc<Decide>, login: Option<&'static str>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("an address");
        let server = Self { address, mails: Arc::default(), decide, login };
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (server, tls) = (serving.clone(), tls.clone());
                tokio::spawn(async move {
                    // A client that goes away in the middle is part of some tests.
                    let _ = match tls {
                        None => server.talk(stream).await,
                        Some(acceptor) => match acceptor.accept(stream).await {
                            Ok(stream) => server.talk(stream).await,
                            Err(error) => Err(error),
                        },
                    };
                });
            }
        });
        server
    }

    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Everything that has come, in its order.
    pub fn mails(&self) -> Vec<Mail> {
        self.mails.lock().clone()
    }

    /// Waits until so many have come; returns all.
    pub async fn wait_for(&self, number: usize) -> Vec<Mail> {
        eventually("the e-mails come", async || self.mails.lock().len() >= number).await;
        self.mails()
    }

    async fn talk(&self, stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
        let (reading, mut writing) = tokio::io::split(stream);
        let mut lines = BufReader::new(reading).lines();
        let mut mail = Mail { login: None, from: String::new(), to: Vec::new(), text: String::new() };
        writing.write_all(b"220 mail.example.org ESMTP\r\n").await?;
        while let Some(line) = lines.next_line().await? {
            let (verb, rest) = line.split_once(' ').unwrap_or((line.as_str(), ""));
            let answer = match verb.to_uppercase().as_str() {
                "EHLO" => "250-mail.example.org\r\n250-8BITMIME\r\n250 AUTH PLAIN".to_owned(),
                "AUTH" => self.log_in(rest, &mut mail),
                "MAIL" if self.login.is_some() && mail.login.is_none() => "530 log in first".to_owned(),
                "MAIL" => {
                    (mail.from, mail.to) = (in_brackets(rest), Vec::new());
                    "250 ok".to_owned()
                }
                "RCPT" => self.recipient(in_brackets(rest), &mut mail),
                "DATA" => {
                    writing.write_all(b"354 go on\r\n").await?;
                    mail.text.clear();
                    while let Some(line) = lines.next_line().await?.filter(|line| line != ".") {
                        mail.text += line.strip_prefix('.').unwrap_or(&line);
                        mail.text += "\r\n";
                    }
                    let decided = (self.decide)(mail.to.first().map_or("", String::as_str), self.mails.lock().len());
                    self.mails.lock().push(mail.clone());
                    match decided {
                        Taken::Refused(code) => format!("{code} not this one"),
                        Taken::Silent => std::future::pending().await,
                        Taken::Yes | Taken::RecipientRefused(_) => "250 taken".to_owned(),
                    }
                }
                "QUIT" => {
                    writing.write_all(b"221 bye\r\n").await?;
                    return Ok(());
                }
                "NOOP" | "RSET" => "250 ok".to_owned(),
                _ => "502 what".to_owned(),
            };
            writing.write_all(format!("{answer}\r\n").as_bytes()).await?;
        }
        Ok(())
    }

    fn log_in(&self, rest: &str, mail: &mut Mail) -> String {
        let said = rest.strip_prefix("PLAIN ").and_then(|text| STANDARD.decode(text).ok());
        let said = said.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        let said = said.trim_start_matches('\0').replace('\0', ":");
        if self.login == Some(said.as_str()) {
            mail.login = Some(said);
            return "235 welcome".to_owned();
        }
        // As servers do that quote what they were sent.
        format!("535 wrong: {said}")
    }

    fn recipient(&self, recipient: String, mail: &mut Mail) -> String {
        if let Taken::RecipientRefused(code) = (self.decide)(&recipient, self.mails.lock().len()) {
            return format!("{code} no such mailbox");
        }
        mail.to.push(recipient);
        "250 ok".to_owned()
    }
}

/// The address in `FROM:<a@b> …`.
fn in_brackets(text: &str) -> String {
    let rest = text.split_once('<').expect("a bracket").1;
    rest.split_once('>').expect("a bracket").0.to_owned()
}
