//! The provider's keys, and when they are read again.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use parking_lot::RwLock;
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::discovery::Metadata;
use super::fetch::{Fetch, FetchError};
use crate::access::AuthError;
use crate::access::timing::Timing;

/// While the provider is away, its keys are accepted for this long.
const KEPT: Duration = Duration::from_hours(24);
/// Keys that are looked at; the rest is left out.
const KEYS: usize = 64;

const AWAY: AuthError = AuthError::Unavailable("the identity provider does not answer");

/// A key that signatures can be verified with, and by which algorithms.
pub(super) struct IssuerKey {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    pub key: DecodingKey,
}

impl IssuerKey {
    /// `None` for what verifies nothing: keys to encrypt with, shared secrets, unknown kinds.
    fn of(jwk: &Jwk) -> Option<Self> {
        use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
        let algorithms = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => vec![RS256, RS384, RS512, PS256, PS384, PS512],
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => vec![ES256],
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => vec![ES384],
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => vec![EdDSA],
            _ => return None,
        };
        let common = &jwk.common;
        let verifies = matches!(common.public_key_use, None | Some(PublicKeyUse::Signature))
            && common.key_operations.as_ref().is_none_or(|operations| operations.contains(&KeyOperations::Verify));
        let algorithms = match common.key_algorithm {
            Some(named) => {
                algorithms.into_iter().filter(|algorithm| format!("{algorithm:?}") == named.to_string()).collect()
            }
            None => algorithms,
        };
        if !verifies || algorithms.is_empty() {
            return None;
        }
        Some(Self { id: common.key_id.clone(), algorithms, key: DecodingKey::from_jwk(jwk).ok()? })
    }

    fn fits(&self, id: Option<&str>, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm) && (id.is_none() || self.id.as_deref() == id)
    }
}

/// What was read of the provider, at one time.
pub(super) struct Known {
    pub metadata: Metadata,
    keys: Vec<Arc<IssuerKey>>,
    read: Instant,
}

#[derive(Default)]
struct Attempt {
    last: Option<Instant>,
    has_failed: bool,
}

/// The provider, as far as it is known.
pub(super) struct Provider {
    issuer: String,
    address: Url,
    fetch: Fetch,
    /// The time between two attempts.
    apart: Duration,
    /// How old the keys may become.
    refresh_after: Duration,
    known: RwLock<Option<Arc<Known>>>,
    /// Held while the provider is asked, so that many requests make one.
    attempt: Mutex<Attempt>,
}

impl Provider {
    pub fn new(issuer: String, url: &Url, fetch: Fetch, timing: Timing) -> Self {
        let address = Metadata::address(url);
        let (apart, refresh_after) = (timing.provider, timing.provider_keys);
        Self { issuer, address, fetch, apart, refresh_after, known: RwLock::default(), attempt: Mutex::default() }
    }

    fn known(&self) -> Option<Arc<Known>> {
        self.known.read().clone().filter(|known| known.read.elapsed() < KEPT)
    }

    /// The provider's configuration.
    ///
    /// # Errors
    ///
    /// If it is not known and the provider does not answer.
    pub async fn metadata(&self) -> Result<Arc<Known>, AuthError> {
        match self.known() {
            Some(known) => Ok(known),
            None => self.refreshed().await.ok_or(AWAY),
        }
    }

    /// The keys that a token may be signed with: the one it names, or all of its kind if it names none.
    ///
    /// # Errors
    ///
    /// [`AuthError::Unavailable`] if such a key may exist, but the provider cannot be asked now.
    pub async fn keys(
        self: &Arc<Self>,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Vec<Arc<IssuerKey>>, AuthError> {
        let find = |known: Option<Arc<Known>>| {
            let fitting = |known: &Arc<Known>| -> Vec<_> {
                known.keys.iter().filter(|key| key.fits(id, algorithm)).cloned().collect()
            };
            known.as_ref().map(fitting).filter(|keys| !keys.is_empty())
        };
        let known = self.known();
        let is_old = known.as_ref().is_none_or(|known| known.read.elapsed() >= self.refresh_after);
        let found = find(known);
        if let Some(keys) = found {
            if is_old {
                // Nobody waits for it, as the provider may be away for long.
                let provider = Arc::clone(self);
                tokio::spawn(async move { provider.refreshed().await });
            }
            return Ok(keys);
        }
        let refreshed = self.refreshed().await;
        let is_answered = refreshed.is_some();
        match find(refreshed.or_else(|| self.known())) {
            Some(keys) => Ok(keys),
            None if is_answered => Err(AuthError::Invalid),
            None => Err(AWAY),
        }
    }

    /// What is known after asking the provider, unless that was done a moment ago. `None` if it did not answer.
    async fn refreshed(&self) -> Option<Arc<Known>> {
        let mut attempt = self.attempt.lock().await;
        if attempt.last.is_some_and(|last| last.elapsed() < self.apart) {
            return if attempt.has_failed { None } else { self.known() };
        }
        let read = self.read().await;
        attempt.last = Some(Instant::now());
        attempt.has_failed = read.is_err();
        match read {
            Ok(known) => {
                let known = Arc::new(known);
                *self.known.write() = Some(Arc::clone(&known));
                Some(known)
            }
            Err(error) => {
                tracing::warn!(issuer = %self.issuer, %error, "the identity provider cannot be read");
                None
            }
        }
    }

    async fn read(&self) -> Result<Known, FetchError> {
        let metadata = Metadata::read(&self.fetch, &self.issuer, &self.address).await?;
        let keys = read_keys(self.fetch.get(&metadata.jwks_uri, None).await?);
        if keys.is_empty() {
            return Err(FetchError::Answer("it has no key that signs".to_owned()));
        }
        Ok(Known { metadata, keys, read: Instant::now() })
    }
}

/// A key set, of which each key is read by itself: one that is not understood must not hide the others.
#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

fn read_keys(set: KeySet) -> Vec<Arc<IssuerKey>> {
    let read = set.keys.into_iter().take(KEYS).filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
    read.filter_map(|jwk| IssuerKey::of(&jwk).map(Arc::new)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn algorithms(key: Value) -> Option<Vec<Algorithm>> {
        let set = serde_json::from_value(json!({ "keys": [key] })).expect("a set");
        read_keys(set).first().map(|key| key.algorithms.clone())
    }

    #[test]
    fn only_public_keys_that_verify_are_used() {
        use Algorithm::{ES256, EdDSA, PS256, RS256};
        let rsa = json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "1"});
        let with = |key: &Value, name: &str, value: Value| {
            let mut key = key.clone();
            key[name] = value;
            algorithms(key)
        };
        assert!(algorithms(rsa.clone()).expect("a key").contains(&PS256));
        assert_eq!(with(&rsa, "alg", json!("RS256")), Some(vec![RS256]));
        assert_eq!(with(&rsa, "use", json!("sig")).map(|algorithms| algorithms.len()), Some(6));
        assert_eq!(with(&rsa, "key_ops", json!(["verify"])).map(|algorithms| algorithms.len()), Some(6));
        for (name, value) in [
            ("use", json!("enc")),
            ("key_ops", json!(["encrypt"])),
            ("alg", json!("RSA-OAEP")),
            ("alg", json!("HS256")),
            ("alg", json!("ES256")),
            ("alg", json!("none")),
            ("alg", json!("XX1")),
            ("kty", json!("oct")),
            ("kty", json!("XX")),
            ("n", json!(7)),
        ] {
            assert_eq!(with(&rsa, name, value.clone()), None, "{name} {value}");
        }
        assert_eq!(algorithms(json!({"kty": "oct", "k": "AQAB"})), None);
        let curve = |curve: &str| algorithms(json!({"kty": "EC", "crv": curve, "x": "AQAB", "y": "AQAB"}));
        assert_eq!((curve("P-256"), curve("secp256k1")), (Some(vec![ES256]), None));
        assert_eq!(algorithms(json!({"kty": "OKP", "crv": "Ed25519", "x": "AQAB"})), Some(vec![EdDSA]));
        // One that is not understood does not hide the others.
        let set = json!({"keys": [7, {"kty": "XX"}, {}, rsa]});
        assert_eq!(read_keys(serde_json::from_value(set).expect("a set")).len(), 1);
    }
}
