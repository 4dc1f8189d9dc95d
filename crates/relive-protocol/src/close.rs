//! WebSocket close codes. The number says whether to reconnect.

/// Why the server ends a connection.
///
/// 4000 to 4499: reconnecting may help. 4500 to 4999: it will not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseCode {
    Normal,
    GoingAway,
    ProtocolError,
    InvalidText,
    TooLarge,
    Restarting,
    TokenExpired,
    WriteStalled,
    NoPong,
    RateLimited,
    BadToken,
    NotThisProtocol,
    Forbidden,
    NoSuchSession,
}

impl CloseCode {
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::GoingAway => 1001,
            Self::ProtocolError => 1002,
            Self::InvalidText => 1007,
            Self::TooLarge => 1009,
            Self::Restarting => 1012,
            Self::TokenExpired => 4401,
            Self::WriteStalled => 4408,
            Self::NoPong => 4410,
            Self::RateLimited => 4429,
            Self::BadToken => 4500,
            Self::NotThisProtocol => 4501,
            Self::Forbidden => 4503,
            Self::NoSuchSession => 4504,
        }
    }

    /// The reason text of the close frame.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Normal => "",
            Self::GoingAway => "going away",
            Self::ProtocolError => "protocol error",
            Self::InvalidText => "text is not UTF-8",
            Self::TooLarge => "frame too large",
            Self::Restarting => "restarting",
            Self::TokenExpired => "token expired",
            Self::WriteStalled => "write stalled",
            Self::NoPong => "no pong",
            Self::RateLimited => "rate limited",
            Self::BadToken => "bad token",
            Self::NotThisProtocol => "not this protocol",
            Self::Forbidden => "forbidden",
            Self::NoSuchSession => "no such session",
        }
    }

    /// Whether a client that was closed with `code` should connect again.
    #[must_use]
    pub fn should_reconnect(code: u16) -> bool {
        !matches!(code, 1000 | 1002 | 1003 | 1007..=1010 | 4500..=4999)
    }
}
