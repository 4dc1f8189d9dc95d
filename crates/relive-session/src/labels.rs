//! Labels: the name, the tags and the metadata of a session.

use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use ts_rs::TS;
use utoipa::ToSchema;

use super::{Refusal, limits};

/// The labels of a session. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Labels {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "no_tags")]
    pub tags: Arc<[String]>,
    #[serde(default, skip_serializing_if = "no_metadata")]
    pub metadata: Arc<Map<String, Value>>,
}

pub(super) fn no_tags(tags: &Arc<[String]>) -> bool {
    tags.is_empty()
}

pub(super) fn no_metadata(metadata: &Arc<Map<String, Value>>) -> bool {
    metadata.is_empty()
}

/// A value in the metadata; in the schema only, as its errors do not say which value is wrong.
#[derive(ToSchema)]
#[schema(as = MetadataValue)]
#[serde(untagged)]
#[allow(dead_code, reason = "a schema")]
pub enum MetadataValue {
    Text(String),
    Number(f64),
    Boolean(bool),
}

/// Labels to be set. Each given member replaces the held one whole; an empty one removes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts", optional_fields)]
pub struct LabelFields {
    /// At most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// At most 20, each different, of 1 to 64 characters, none of them a control character.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// At most 50 entries and 16 KiB as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(type = "Record<string, string | number | boolean>", optional)]
    #[schema(value_type = Value, required = false)]
    pub metadata: Option<Map<String, Value>>,
}

impl LabelFields {
    /// Checks numbers, lengths and characters.
    ///
    /// # Errors
    ///
    /// [`Refusal::TooLarge`] beyond a limit of [`limits`], [`Refusal::Invalid`] for anything else.
    pub fn check(&self) -> Result<(), Refusal> {
        self.check_recorded()?;
        self.check_size()
    }

    /// As [`LabelFields::check`], for what was recorded, maybe by an earlier version, which counted the metadata
    /// without the quotes, colons and commas.
    pub(super) fn check_recorded(&self) -> Result<(), Refusal> {
        check_name(self.name.as_deref().unwrap_or_default())?;
        check_tags(self.tags.as_deref().unwrap_or_default())?;
        self.metadata.as_ref().map_or(Ok(()), check_metadata)
    }

    /// Checks the metadata's length as JSON.
    pub(super) fn check_size(&self) -> Result<(), Refusal> {
        if self.metadata.as_ref().is_some_and(|metadata| super::json::bytes(metadata) > limits::LABEL_BYTES) {
            return Err(Refusal::TooLarge { what: "metadata", limit: limits::LABEL_BYTES });
        }
        Ok(())
    }
}

impl Labels {
    /// These labels with the given members replaced.
    #[must_use]
    pub fn with(&self, fields: &LabelFields) -> Self {
        let mut next = self.clone();
        if let Some(name) = &fields.name {
            next.name = (!name.is_empty()).then(|| name.as_str().into());
        }
        if let Some(tags) = &fields.tags {
            next.tags = tags.as_slice().into();
        }
        if let Some(metadata) = &fields.metadata {
            next.metadata = Arc::new(metadata.clone());
        }
        next
    }

    /// Checks labels that were not set by a command here; as [`LabelFields::check_recorded`].
    pub(super) fn check(&self) -> Result<(), Refusal> {
        check_name(self.name.as_deref().unwrap_or_default())?;
        check_tags(&self.tags)?;
        check_metadata(&self.metadata)
    }

    /// Whether the metadata has this value under this key. Numbers are compared as PostgreSQL compares those of
    /// `jsonb`: by their decimal digits, so 1 and 1.0 are the same.
    #[must_use]
    pub fn has(&self, key: &str, value: &Value) -> bool {
        self.metadata.get(key).is_some_and(|held| super::is_same_json(held, value))
    }
}

fn check_name(name: &str) -> Result<(), Refusal> {
    // Bytes first: a name may be long.
    if name.len() > limits::LABEL_NAME_CHARACTERS * 4 || name.chars().count() > limits::LABEL_NAME_CHARACTERS {
        return Err(Refusal::TooLarge { what: "characters of the name", limit: limits::LABEL_NAME_CHARACTERS });
    }
    super::json::no_nul("name", name)
}

fn check_tags(tags: &[String]) -> Result<(), Refusal> {
    if tags.len() > limits::TAGS {
        return Err(Refusal::TooLarge { what: "the number of tags", limit: limits::TAGS });
    }
    tags.iter().try_for_each(|tag| check_tag(tag))?;
    let different: HashSet<&String> = tags.iter().collect();
    if different.len() < tags.len() {
        return Err(Refusal::Invalid { field: "tags", problem: "must be different" });
    }
    Ok(())
}

fn check_tag(tag: &str) -> Result<(), Refusal> {
    if tag.is_empty() {
        return Err(Refusal::Invalid { field: "tags", problem: "must not be empty texts" });
    }
    if tag.len() > limits::TAG_CHARACTERS * 4 || tag.chars().count() > limits::TAG_CHARACTERS {
        return Err(Refusal::TooLarge { what: "characters of a tag", limit: limits::TAG_CHARACTERS });
    }
    if tag.chars().any(char::is_control) {
        return Err(Refusal::Invalid { field: "tags", problem: "must not have control characters" });
    }
    Ok(())
}

/// The length is checked as earlier versions did: less than that of the JSON text.
fn check_metadata(metadata: &Map<String, Value>) -> Result<(), Refusal> {
    if metadata.len() > limits::METADATA_KEYS {
        return Err(Refusal::TooLarge { what: "the number of keys in metadata", limit: limits::METADATA_KEYS });
    }
    let mut bytes = 0;
    for (key, value) in metadata {
        if key.is_empty() {
            return Err(Refusal::Invalid { field: "metadata", problem: "must not have an empty key" });
        }
        super::json::no_nul("metadata", key)?;
        match value {
            Value::String(text) => super::json::no_nul("metadata", text)?,
            Value::Number(_) | Value::Bool(_) => {}
            Value::Null | Value::Array(_) | Value::Object(_) => {
                let problem = "must have only texts, numbers and booleans as values";
                return Err(Refusal::Invalid { field: "metadata", problem });
            }
        }
        bytes += super::json::context_entry_bytes(key, value);
        if bytes > limits::LABEL_BYTES {
            return Err(Refusal::TooLarge { what: "metadata", limit: limits::LABEL_BYTES });
        }
    }
    Ok(())
}
