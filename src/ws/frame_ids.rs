//! The ids of a client's frame, even if the rest of the frame is invalid.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

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
