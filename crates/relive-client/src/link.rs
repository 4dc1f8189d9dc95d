//! A socket with a token: the token is sent with the handshake, and replaced before it expires.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep_until};

use super::ClientError;
use super::socket::{Incoming, Lost, Socket};
use super::token::Tokens;
use relive_protocol::{ClientFrame, CloseCode, ErrorCode, ServerFrame};

/// The least time between two new tokens: tokens that last only seconds must not cause a loop.
const PAUSE: Duration = Duration::from_secs(5);

type Asked = BoxFuture<'static, Result<Option<String>, ClientError>>;

/// The state of a token's replacement.
enum Renewal {
    Idle,
    Due(Instant),
    Asking(Asked),
    /// The new token was sent.
    Sent,
}

/// A connection. Frames about its token are handled here, and not passed on.
pub(super) struct AuthenticatedConnection {
    socket: Socket,
    tokens: Tokens,
    token: Option<String>,
    /// When the token in use was requested.
    asked_at: Instant,
    renewal: Renewal,
    /// Why the server is about to close the connection.
    refusal: Option<ClientError>,
}

impl AuthenticatedConnection {
    pub(super) async fn connect(url: &str, tokens: &Tokens) -> Result<Self, Lost> {
        let asked_at = Instant::now();
        let token = tokens.ask().await.map_err(|error| match error {
            ClientError::NoToken(problem) => Lost::NoToken(problem),
            error => Lost::Permanent(error),
        })?;
        let socket = Socket::connect(url, token.as_deref()).await?;
        Ok(Self { socket, tokens: tokens.clone(), token, asked_at, renewal: Renewal::Idle, refusal: None })
    }

    pub(super) fn push(&mut self, text: String) {
        self.socket.push(text);
    }

    /// As [`Socket::next`]. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Incoming, Lost> {
        loop {
            tokio::select! {
                incoming = self.socket.next() => return match incoming {
                    Ok(Incoming::Text(text)) if self.is_about_access(&text) => Ok(Incoming::Sign),
                    Ok(incoming) => Ok(incoming),
                    Err(lost) => Err(self.explained(lost)),
                },
                token = self.renewal.next(&self.tokens) => self.renew(token),
            }
        }
    }

    fn is_about_access(&mut self, text: &str) -> bool {
        /// How such frames begin; the others, which may be large, are not read twice.
        const KINDS: [&str; 3] = [r#"{"type":"expiring""#, r#"{"type":"authenticated""#, r#"{"type":"error""#];
        if !KINDS.iter().any(|kind| text.starts_with(kind)) {
            return false;
        }
        match serde_json::from_str(text) {
            Ok(ServerFrame::Expiring { .. }) => self.expiring(),
            Ok(ServerFrame::Authenticated { .. }) => self.renewal = Renewal::Idle,
            Ok(ServerFrame::Error { id: None, session_id: None, code, message, .. }) => {
                if matches!(self.renewal, Renewal::Sent) {
                    tracing::warn!(code = code.as_str(), %message, "the server refuses the new token");
                    self.expiring();
                } else if matches!(code, ErrorCode::Unauthorized | ErrorCode::Forbidden) {
                    self.refusal = Some(ClientError::Refused { code, message });
                } else {
                    return false;
                }
            }
            _ => return false,
        }
        true
    }

    fn expiring(&mut self) {
        if self.tokens.is_renewable() && !matches!(self.renewal, Renewal::Asking(_)) {
            self.renewal = Renewal::Due(self.asked_at + PAUSE);
        }
    }

    fn renew(&mut self, token: Option<String>) {
        self.asked_at = Instant::now();
        self.renewal = Renewal::Idle;
        match token {
            Some(token) if self.token.as_ref() != Some(&token) => {
                self.token = Some(token.clone());
                match serde_json::to_string(&ClientFrame::Auth { token }) {
                    Ok(text) => self.socket.push(text),
                    Err(error) => tracing::error!(%error, "a frame cannot be encoded"),
                }
                self.renewal = Renewal::Sent;
            }
            // The same token would expire at the same time.
            _ => self.expiring(),
        }
    }

    /// The meaning of the close code with this token, with the reason that the server sent before.
    fn explained(&mut self, lost: Lost) -> Lost {
        let refusal = self.refusal.take();
        match lost {
            Lost::Closed { code, reason } if code == CloseCode::TokenExpired.code() && !self.tokens.is_renewable() => {
                let message = format!("the token has expired: {reason}");
                Lost::Permanent(refusal.unwrap_or(ClientError::Refused { code: ErrorCode::Unauthorized, message }))
            }
            Lost::Closed { code, reason } if !CloseCode::should_reconnect(code) => {
                Lost::Permanent(refusal.unwrap_or(ClientError::Closed { code, reason }))
            }
            Lost::Closed { code, reason } => Lost::Temporary(format!("closed by the server: {reason} ({code})")),
            lost => lost,
        }
    }
}

impl Renewal {
    /// Completes with a new token, once it is due and there is one; `None`: there is none. Cancel-safe.
    async fn next(&mut self, tokens: &Tokens) -> Option<String> {
        loop {
            match self {
                Self::Idle | Self::Sent => std::future::pending::<()>().await,
                Self::Due(at) => {
                    sleep_until(*at).await;
                    let tokens = tokens.clone();
                    *self = Self::Asking(async move { tokens.ask().await }.boxed());
                }
                Self::Asking(asked) => {
                    let token = asked.await;
                    *self = Self::Idle;
                    return token.inspect_err(|error| tracing::warn!(%error, "no new token; retrying")).ok().flatten();
                }
            }
        }
    }
}
