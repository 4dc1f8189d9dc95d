//! The secrets of webhooks, and signatures.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use uuid::Uuid;

/// How the text of a secret begins.
const PREFIX: &str = "whsec_";
/// Bytes that a secret may have.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A text that is no secret of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret is whsec_ and 24 to 64 bytes in base64")]
pub struct NotASecret;

/// The key of a webhook's signatures.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(Vec<u8>);

impl std::fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebhookSecret(***)")
    }
}

impl WebhookSecret {
    /// A new one, of 256 random bits.
    #[must_use]
    pub fn generate() -> Self {
        let random: [u8; 32] = rand::random();
        Self(random.to_vec())
    }

    /// Reads its text.
    ///
    /// # Errors
    ///
    /// [`NotASecret`].
    pub fn parse(text: &str) -> Result<Self, NotASecret> {
        let encoded = text.strip_prefix(PREFIX).ok_or(NotASecret)?;
        let key = STANDARD.decode(encoded).map_err(|_| NotASecret)?;
        if BYTES.contains(&key.len()) { Ok(Self(key)) } else { Err(NotASecret) }
    }

    /// Its text, for the receiver.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }

    /// What is stored.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.0
    }
}

/// The value of `webhook-signature`: a signature with each key, separated by spaces. Receivers look for one that they can
/// verify.
pub(super) fn signatures(keys: &[Vec<u8>], id: Uuid, seconds: i64, body: &str) -> String {
    let signed: Vec<String> = keys.iter().map(|key| signature(key, id, seconds, body)).collect();
    signed.join(" ")
}

/// An HMAC-SHA256 over id, time in seconds and body.
fn signature(key: &[u8], id: Uuid, seconds: i64, body: &str) -> String {
    // A key of any length is one.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(format!("{id}.{seconds}.").as_bytes());
    mac.update(body.as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_as_it_is_written() {
        let made = WebhookSecret::generate();
        assert_eq!(WebhookSecret::parse(&made.reveal()), Ok(made.clone()));
        assert_ne!(WebhookSecret::generate(), made);
        assert_eq!(format!("{made:?}"), "WebhookSecret(***)");
        let short = format!("whsec_{}", STANDARD.encode([7; 23]));
        let long = format!("whsec_{}", STANDARD.encode([7; 65]));
        for text in ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_%%%", &short, &long] {
            assert_eq!(WebhookSecret::parse(text), Err(NotASecret), "{text}");
        }
    }

    /// The example of the specification's libraries, with their form of ids.
    #[test]
    fn a_signature_is_that_of_the_specification() {
        let secret = WebhookSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret");
        let id: Uuid = "01890a5d-ac96-774b-bcce-b302099a8057".parse().expect("an id");
        let signed = signature(secret.key(), id, 1_614_265_330, r#"{"test": 2432232314}"#);
        // echo -n '01890a5d-ac96-774b-bcce-b302099a8057.1614265330.{"test": 2432232314}' |
        //     openssl dgst -sha256 -mac HMAC -macopt hexkey:31f290f6bf06298aab4f08d43c3f082cf648a362da2da4b0 -binary | base64
        assert_eq!(signed, "v1,6ltHRplMsmoj3iEeqXSFiuqSolc3P2gAhZLiYmX6UnQ=");
        let keys = [secret.key().to_vec(), b"another one".to_vec()];
        let both = signatures(&keys, id, 1_614_265_330, r#"{"test": 2432232314}"#);
        let (first, second) = both.split_once(' ').expect("two signatures");
        assert!(first == signed && second.starts_with("v1,") && second != first, "{both}");
    }
}
