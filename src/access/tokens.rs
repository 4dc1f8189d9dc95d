//! Access tokens of this server: JSON Web Tokens for browsers and guests.
//!
//! They are signed (HS256) by a secret in the database, so every server on it accepts them. Two secrets are
//! accepted at a time: the newest, which signs, and the one before, so that exchanging it ends no token early.

use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use relive_session::{ProjectId, Timestamp};

use super::{AuthError, Scopes, TokenIssuer};
use crate::storage::SigningKeyRow;

/// The `iss` of this server's tokens.
pub(super) const ISSUER: &str = "relive";
/// The `aud` of access tokens.
pub(super) const AUDIENCE: &str = "relive";
/// How long a token is valid unless it was asked otherwise.
pub const TOKEN_DEFAULT: Duration = Duration::from_mins(15);
/// How long a token can be valid.
pub const TOKEN_LONGEST: Duration = Duration::from_hours(168);

/// What an access token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claims {
    pub iss: String,
    pub aud: String,
    /// Who gave it; see [`TokenIssuer`].
    pub sub: String,
    /// The name of who gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub iat: i64,
    pub exp: i64,
    pub jti: Uuid,
    pub project: ProjectId,
    pub scopes: Scopes,
}

/// An access token that was just given. Printing it for debugging does not show it.
#[derive(Clone)]
pub struct IssuedToken {
    /// Its `jti`, by which it can be revoked.
    pub id: Uuid,
    pub token: String,
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IssuedToken")
            .field("id", &self.id)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// The secrets that are accepted, the newest first.
#[derive(Clone, Default)]
pub(super) struct SigningKeys(Vec<SigningKeyRow>);

impl SigningKeys {
    pub fn new(rows: Vec<SigningKeyRow>) -> Self {
        Self(rows)
    }

    /// When the newest was made.
    pub fn newest(&self) -> Option<Timestamp> {
        self.0.first().map(|key| key.created_at)
    }

    pub fn has(&self, id: &str) -> bool {
        self.0.iter().any(|key| key.id == id)
    }

    /// Signs claims with the newest key.
    pub fn sign<T: Serialize>(&self, claims: &T) -> Result<String, AuthError> {
        let key = self.0.first().ok_or(AuthError::Unavailable("there is no key to sign with yet"))?;
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(key.id.clone());
        encode(&header, claims, &EncodingKey::from_secret(&key.secret))
            .map_err(|_| AuthError::Unavailable("the token could not be signed"))
    }

    /// The mark of a root key in tokens that the key `id` signs. Whoever holds the token cannot guess the root
    /// key by it, since it depends on the secret too.
    pub fn mark(&self, id: &str, root_key: &str) -> Option<u64> {
        let key = self.0.iter().find(|key| key.id == id)?;
        let mut digest = Sha256::new();
        for part in [&key.secret[..], root_key.as_bytes(), &key.secret[..]] {
            digest.update(part);
        }
        digest.finalize().first_chunk().map(|mark| u64::from_be_bytes(*mark))
    }

    /// The `kid` of the key that signs.
    pub fn signs_with(&self) -> Option<&str> {
        self.0.first().map(|key| key.id.as_str())
    }

    /// What a token says, if one of the keys has signed it, for this audience, and it has not expired.
    pub fn read<T: DeserializeOwned>(&self, token: &str, audience: &str) -> Result<T, AuthError> {
        let id = kid(token).ok_or(AuthError::Invalid)?;
        let key = self.0.iter().find(|key| key.id == id).ok_or(AuthError::Invalid)?;
        let mut validation = Validation::new(Algorithm::HS256);
        // All servers on a database have the same clock to within little, and they made the token.
        validation.leeway = 0;
        validation.validate_nbf = true;
        validation.set_audience(&[audience]);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        match decode(token, &DecodingKey::from_secret(&key.secret), &validation) {
            Ok(data) => Ok(data.claims),
            Err(error) if *error.kind() == jsonwebtoken::errors::ErrorKind::ExpiredSignature => Err(AuthError::Expired),
            Err(_) => Err(AuthError::Invalid),
        }
    }
}

impl Claims {
    /// By which people know whoever holds the token.
    pub fn holder(&self) -> String {
        format!("token of {}", self.name.as_ref().unwrap_or(&self.sub))
    }
}

/// The `kid` of a token, which nothing has verified yet.
pub(super) fn kid(token: &str) -> Option<String> {
    decode_header(token).ok()?.kid
}

/// The `iss` of a token, which nothing has verified yet: it only says who is to verify it.
pub(super) fn issuer(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Issuer {
        iss: String,
    }
    let data = jsonwebtoken::dangerous::insecure_decode::<Issuer>(token).ok()?;
    Some(data.claims.iss)
}

/// Seconds since the epoch, as tokens write times.
pub(super) fn seconds(time: Timestamp) -> i64 {
    time.as_millis().div_euclid(1_000)
}

/// `None` if it is not a time that can be written.
pub(super) fn timestamp(seconds: i64) -> Option<Timestamp> {
    Timestamp::from_millis(seconds.checked_mul(1_000)?)
}

impl TokenIssuer {
    /// As the `sub` of a token.
    pub(super) fn subject(self) -> String {
        match self {
            Self::Key(id) => format!("key:{id}"),
            Self::User(person) => format!("user:{person:016x}"),
            Self::Root(mark) => format!("root:{mark:016x}"),
            Self::Anonymous => "anonymous".to_owned(),
        }
    }

    pub(super) fn parse(subject: &str) -> Option<Self> {
        match subject.split_once(':') {
            Some(("key", id)) => id.parse().ok().map(Self::Key),
            Some(("root", mark)) => u64::from_str_radix(mark, 16).ok().map(Self::Root),
            Some(("user", person)) => u64::from_str_radix(person, 16).ok().map(Self::User),
            // As the first versions wrote it.
            None if subject == "user" => Some(Self::User(0)),
            None if subject == "anonymous" => Some(Self::Anonymous),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str, byte: u8) -> SigningKeyRow {
        SigningKeyRow { id: id.to_owned(), secret: vec![byte; 32], created_at: Timestamp::now() }
    }

    fn claims(expires_in: i64) -> Claims {
        let now = seconds(Timestamp::now());
        Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: TokenIssuer::User(7).subject(),
            name: None,
            iat: now,
            exp: now + expires_in,
            jti: Uuid::nil(),
            project: ProjectId::default_project(),
            scopes: Scopes::parse(&["read:sessions"]).expect("scopes"),
        }
    }

    fn is_read(keys: &SigningKeys, token: &str) -> Result<(), String> {
        keys.read::<Claims>(token, AUDIENCE).map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn the_newest_signs_and_the_one_before_is_accepted() {
        let first = SigningKeys::new(vec![key("1", 1)]);
        let token = first.sign(&claims(60)).expect("a token");
        let second = SigningKeys::new(vec![key("2", 2), key("1", 1)]);
        let third = SigningKeys::new(vec![key("3", 3), key("2", 2)]);
        assert_eq!(first.read::<Claims>(&token, AUDIENCE).expect("valid"), claims(60));
        assert!(is_read(&second, &token).is_ok());
        assert!(is_read(&third, &token).is_err());
        assert_eq!(kid(&second.sign(&claims(60)).expect("a token")).as_deref(), Some("2"));
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        let keys = SigningKeys::new(vec![key("1", 1)]);
        assert!(is_read(&keys, &keys.sign(&claims(60)).expect("a token")).is_ok());
        assert!(is_read(&keys, &keys.sign(&claims(-1)).expect("a token")).is_err(), "expired");
        for change in ["iss", "aud"] {
            let mut claims = claims(60);
            match change {
                "iss" => claims.iss = "https://issuer.example".to_owned(),
                _ => claims.aud = "relive-sign-in".to_owned(),
            }
            assert!(is_read(&keys, &keys.sign(&claims).expect("a token")).is_err(), "{change}");
        }
        // Another key under the same name.
        let forged = SigningKeys::new(vec![key("1", 9)]).sign(&claims(60)).expect("a token");
        assert!(is_read(&keys, &forged).is_err());
        // Other algorithms, and none.
        for algorithm in [Algorithm::HS384, Algorithm::HS512] {
            let mut header = Header::new(algorithm);
            header.kid = Some("1".to_owned());
            let token = encode(&header, &claims(60), &EncodingKey::from_secret(&[1; 32])).expect("a token");
            assert!(is_read(&keys, &token).is_err(), "{algorithm:?}");
        }
        let token = keys.sign(&claims(60)).expect("a token");
        let parts: Vec<&str> = token.split('.').collect();
        let none = base64::Engine::encode(
            &base64::engine::general_purpose::URL_SAFE_NO_PAD,
            r#"{"alg":"none","typ":"JWT","kid":"1"}"#,
        );
        for forged in [
            format!("{none}.{}.", parts[1]),
            format!("{none}.{}.{}", parts[1], parts[2]),
            format!("{}.{}.", parts[0], parts[1]),
            format!("{}.{}", parts[0], parts[1]),
            format!("{token}."),
            token[1..].to_owned(),
            String::new(),
        ] {
            assert!(is_read(&keys, &forged).is_err(), "{forged}");
        }
    }

    #[test]
    fn the_giver_is_in_the_subject() {
        for issuer in [
            TokenIssuer::Key(Uuid::from_u128(7)),
            TokenIssuer::User(7),
            TokenIssuer::Root(u64::MAX),
            TokenIssuer::Root(1),
            TokenIssuer::Anonymous,
        ] {
            assert_eq!(TokenIssuer::parse(&issuer.subject()), Some(issuer));
        }
        for wrong in ["", "key", "key:", "key:x", "root", "user:", "user:x", "anonymous:"] {
            assert_eq!(TokenIssuer::parse(wrong), None, "{wrong}");
        }
    }
}
