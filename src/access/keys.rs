//! Keys of programs, and other secrets: how their texts are made, checked and stored.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

use relive_session::{ProjectId, Timestamp};

use super::Role;
use crate::storage::KeyRow;

/// How every key begins.
pub const KEY_PREFIX: &str = "rlv_";
/// Characters of a key that are stored and shown again.
const SHOWN: usize = 12;
/// Characters of 32 bytes in base62.
const SECRET_CHARACTERS: usize = 43;
/// Characters of a CRC-32 in base62.
const CHECKSUM_CHARACTERS: usize = 6;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A key, as its holder has it. Printing it for debugging shows how it begins.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyText(String);

impl KeyText {
    /// The key that is made of these random bytes.
    #[must_use]
    pub fn new(random: [u8; 32]) -> Self {
        let mut text = KEY_PREFIX.to_owned();
        text.push_str(&base62(random, SECRET_CHARACTERS));
        let checksum = checksum(&text);
        text.push_str(&checksum);
        Self(text)
    }

    /// `None` if the text is not a key: mistyped, cut off, or made up without its checksum.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_long = text.len() == KEY_PREFIX.len() + SECRET_CHARACTERS + CHECKSUM_CHARACTERS;
        if !is_long || !text.starts_with(KEY_PREFIX) || !text.is_ascii() {
            return None;
        }
        let (key, given) = text.split_at(text.len() - CHECKSUM_CHARACTERS);
        (checksum(key) == given).then(|| Self(text.to_owned()))
    }

    /// The key itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// How it begins, which is stored and shown.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.0[..SHOWN]
    }

    /// What is stored of it.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        sha256(&self.0)
    }
}

impl std::fmt::Debug for KeyText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}…", self.prefix())
    }
}

/// A random text of 256 bits, such as a cookie or a `state`.
#[must_use]
pub(super) fn secret_text() -> String {
    base62(rand::random(), SECRET_CHARACTERS)
}

pub(super) fn sha256(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

fn checksum(text: &str) -> String {
    let mut bytes = [0; 32];
    bytes[28..].copy_from_slice(&crc32fast::hash(text.as_bytes()).to_be_bytes());
    base62(bytes, CHECKSUM_CHARACTERS)
}

/// The last `width` digits in base62 of a number with its highest byte first.
fn base62(mut number: [u8; 32], width: usize) -> String {
    let mut digits = vec![b'0'; width];
    for digit in digits.iter_mut().rev() {
        let mut remainder: u32 = 0;
        for byte in &mut number {
            let value = remainder << 8 | u32::from(*byte);
            // Below 256, since the remainder is below 62.
            *byte = u8::try_from(value / 62).unwrap_or_default();
            remainder = value % 62;
        }
        *digit = BASE62[remainder as usize];
    }
    digits.into_iter().map(char::from).collect()
}

/// A key as lists show it, without what would let it be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiKey {
    pub id: Uuid,
    pub project: ProjectId,
    pub name: String,
    pub role: Role,
    /// How the key begins.
    pub prefix: String,
    pub created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    /// To within a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
}

impl ApiKey {
    /// `None` if the role is one that this version does not know.
    pub(super) fn of(row: KeyRow) -> Option<Self> {
        Some(Self {
            role: row.role.parse().ok()?,
            id: row.id,
            project: row.project,
            name: row.name,
            prefix: row.prefix,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            last_used_at: row.last_used_at,
        })
    }
}

/// A key that was just made. The only time that it is shown.
#[derive(Clone, Debug)]
pub struct MadeKey {
    pub key: ApiKey,
    pub text: KeyText,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_base62() {
        let of = |number: u64| {
            let mut bytes = [0; 32];
            bytes[24..].copy_from_slice(&number.to_be_bytes());
            base62(bytes, 43)
        };
        for (number, end) in [(0, "000"), (61, "00z"), (62, "010"), (62 * 62 + 10, "10A"), (u64::MAX, "LygHa16AHYF")] {
            let text = of(number);
            assert!(text.ends_with(end) && text.len() == 43, "{number}: {text}");
        }
        // The greatest number fits.
        assert!(base62([255; 32], 43).starts_with('w') || base62([255; 32], 43) > base62([1; 32], 43));
        assert_ne!(base62([255; 32], 43), base62([254; 32], 43));
    }

    #[test]
    fn a_key_has_a_fixed_form_and_a_checksum() {
        let key = KeyText::new([7; 32]);
        assert_eq!((key.reveal().len(), key.prefix().len()), (53, 12));
        assert_eq!(KeyText::parse(key.reveal()).as_ref(), Some(&key));
        assert_eq!(format!("{key:?}"), format!("{}…", key.prefix()));
        let text = key.reveal();
        for at in 0..text.len() {
            let other = if &text[at..=at] == "x" { "y" } else { "x" };
            let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            assert_eq!(KeyText::parse(&changed), None, "{changed}");
        }
        for wrong in ["", "rlv_", &text[..52], &format!("{text}0"), &text.to_lowercase(), &"ä".repeat(26)] {
            assert_eq!(KeyText::parse(wrong), None, "{wrong}");
        }
        assert_ne!(KeyText::new(rand::random()).hash(), KeyText::new(rand::random()).hash());
    }
}
