//! The ids of a client's frame, even if the rest of the frame is invalid.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use uuid::Uuid;

use relive_protocol::Given;
use relive_session::SessionId;

/// Longer ones are not returned.
const ECHOED_BYTES: usize = 1024;

/// A frame's `id` and `sessionId`, unchanged: an error returns them, so that the client knows which frame it
/// answers, even if they are malformed.
#[derive(Debug, Default)]
pub(crate) struct FrameIds {
    pub id: Option<Box<RawValue>>,
    pub session_id: Option<Box<RawValue>>,
}

impl FrameIds {
    /// Reads as far as the text is valid JSON.
    pub fn read(text: &str) -> Self {
        let mut ids = Self::default();
        // The position of the error does not matter: what precedes it is kept.
        let _ = Fields(&mut ids).deserialize(&mut serde_json::Deserializer::from_str(text));
        ids
    }
}

/// The id of a frame's session as the frame has it, if that is not the server's notation: upper case, for example.
pub(super) fn unusual_session_id(text: &str, id: SessionId) -> Option<Given> {
    let mut buffer = Uuid::encode_buffer();
    // Most frames have the usual one, and are not read a second time for it.
    if is_session_id(text, id.0.hyphenated().encode_lower(&mut buffer)) {
        return None;
    }
    let written = FrameIds::read(text).session_id?;
    serde_json::from_str(written.get()).ok().and_then(Given::of)
}

/// The id of a frame's session as the frame has it.
pub(super) fn as_written(text: &str, id: SessionId) -> Given {
    unusual_session_id(text, id).unwrap_or(id.into())
}

/// Whether the first place of the id in the text is as the value of `sessionId`.
fn is_session_id(text: &str, id: &str) -> bool {
    let before = text.find(id).and_then(|at| text[..at].strip_suffix('"'));
    let name = before.and_then(|before| before.trim_end().strip_suffix(':')).map(str::trim_end);
    name.is_some_and(|name| name.ends_with(r#""sessionId""#))
}

struct Fields<'a>(&'a mut FrameIds);

impl<'de> DeserializeSeed<'de> for Fields<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let field = match &*key {
                "id" => &mut self.0.id,
                "sessionId" => &mut self.0.session_id,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            let value = map.next_value::<Box<RawValue>>()?;
            *field = (value.get().len() <= ECHOED_BYTES).then_some(value);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str) -> (Option<String>, Option<String>) {
        let FrameIds { id, session_id } = FrameIds::read(text);
        let text = |value: Box<RawValue>| value.get().to_owned();
        (id.map(text), session_id.map(text))
    }

    #[test]
    fn what_can_be_read_is_kept_however_the_frame_goes_on() {
        let both = (Some("\"c\"".to_owned()), Some("\"not-a-uuid\"".to_owned()));
        for text in [
            r#"{"type":"command","id":"c","sessionId":"not-a-uuid"}"#,
            r#"{"id":"c","sessionId":"not-a-uuid","command":{"value":NaN}}"#,
            r#"{"id":"c","sessionId":"not-a-uuid"} {"more":1}"#,
            r#"{"id":"c","sessionId":"not-a-uuid","#,
        ] {
            assert_eq!(ids(text), both, "{text}");
        }
        let deep = format!(r#"{{"command":{}{},"id":7,"sessionId":[]}}"#, "[".repeat(500), "]".repeat(500));
        assert_eq!(ids(&deep), (Some("7".to_owned()), Some("[]".to_owned())));
        for text in ["", "7", "[]", "{", "null", r#"{"id":"#] {
            assert_eq!(ids(text), (None, None), "{text}");
        }
        assert_eq!(ids(&format!(r#"{{"id":"{}"}}"#, "x".repeat(2_000))), (None, None));
    }
}
