//! Keyset pagination: newest first by `(created_at, id)`, stable while rows come and go.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use relive_session::Timestamp;

/// A page of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Where the next page begins; `None` on the last.
    pub next: Option<PageCursor>,
}

/// The last row of a page. Opaque to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageCursor {
    pub created_at: Timestamp,
    pub id: Uuid,
}

impl PageCursor {
    #[must_use]
    pub fn encode(&self) -> String {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.created_at.as_millis().to_be_bytes());
        bytes[8..].copy_from_slice(self.id.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// `None` if the text was not made by [`PageCursor::encode`].
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        let bytes: [u8; 24] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (millis, id) = bytes.split_first_chunk::<8>()?;
        Some(Self { created_at: Timestamp::from_millis(i64::from_be_bytes(*millis))?, id: Uuid::from_slice(id).ok()? })
    }
}

impl<T> Page<T> {
    /// Makes a page of `rows`, which were queried with one more than `limit`.
    pub(super) fn cut(mut rows: Vec<T>, limit: u32, cursor_of: impl Fn(&T) -> PageCursor) -> Self {
        let limit = limit as usize;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = if more { rows.last().map(cursor_of) } else { None };
        Self { items: rows, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text_form_and_nothing_else_does() {
        let cursor = PageCursor { created_at: Timestamp::now(), id: Uuid::now_v7() };
        assert_eq!(PageCursor::decode(&cursor.encode()), Some(cursor));
        assert_eq!(PageCursor::decode(&cursor.encode()[1..]), None);
        assert_eq!(PageCursor::decode("%"), None);
    }
}
