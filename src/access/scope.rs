//! Scopes: what an access token grants.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::ToSchema;
use uuid::Uuid;

use relive_session::SessionId;

/// What a token grants of one kind of thing. None implies another: whoever may control a session cannot read it
/// by that.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// `read:sessions`: every session of the project.
    ReadSessions,
    /// `read:sessions:{id}`
    ReadSession(SessionId),
    /// `read:tags:{tag}`: the sessions that have the tag at the time of reading.
    ReadTag(Arc<str>),
    /// `read:groups:{id}`: the sessions of the group.
    ReadGroup(Uuid),
    /// `review:sessions:{id}`: reviews and signals.
    Review(SessionId),
    /// `control:sessions:{id}`: start, pause, resume, stop and cancel.
    Control(SessionId),
    /// `write:sessions:{id}`: every command, and chunks of messages; tags only with a scope that reads the session
    /// whatever they are.
    Write(SessionId),
}

/// A text that is not a scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    #[error(
        "`{0}` is not a scope; expected read:sessions, read:sessions:ID, read:tags:TAG, read:groups:ID, \
         review:sessions:ID, control:sessions:ID or write:sessions:ID"
    )]
    Unknown(String),
    #[error("a token has 1 to {} scopes", Scopes::LIMIT)]
    Number,
}

impl Scope {
    /// Characters of a tag.
    pub const TAG_CHARACTERS: usize = 64;

    fn parse(text: &str) -> Option<Self> {
        if text == "read:sessions" {
            return Some(Self::ReadSessions);
        }
        let (verb, rest) = text.split_once(':')?;
        let (kind, name) = rest.split_once(':')?;
        match (verb, kind) {
            ("read", "tags") => is_tag(name).then(|| Self::ReadTag(name.into())),
            ("read", "groups") => id(name).map(Self::ReadGroup),
            ("read", "sessions") => session(name).map(Self::ReadSession),
            ("review", "sessions") => session(name).map(Self::Review),
            ("control", "sessions") => session(name).map(Self::Control),
            ("write", "sessions") => session(name).map(Self::Write),
            _ => None,
        }
    }

    /// Whether it grants reading, of whatever.
    #[must_use]
    pub fn is_read(&self) -> bool {
        matches!(self, Self::ReadSessions | Self::ReadSession(_) | Self::ReadTag(_) | Self::ReadGroup(_))
    }
}

fn is_tag(text: &str) -> bool {
    (1..=Scope::TAG_CHARACTERS).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// A UUID in the form in which the server writes ids: every other spelling would be another scope with the same
/// meaning.
fn id(text: &str) -> Option<Uuid> {
    let id: Uuid = text.parse().ok()?;
    (text == id.hyphenated().encode_lower(&mut Uuid::encode_buffer())).then_some(id)
}

fn session(text: &str) -> Option<SessionId> {
    id(text).map(SessionId)
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        /// Characters of an invalid scope that its error repeats.
        const REPEATED: usize = 64;
        Self::parse(text).ok_or_else(|| {
            let repeated: String = text.chars().take(REPEATED).collect();
            ScopeError::Unknown(repeated.escape_debug().to_string())
        })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReadSessions => f.write_str("read:sessions"),
            Self::ReadSession(id) => write!(f, "read:sessions:{id}"),
            Self::ReadTag(tag) => write!(f, "read:tags:{tag}"),
            Self::ReadGroup(id) => write!(f, "read:groups:{id}"),
            Self::Review(id) => write!(f, "review:sessions:{id}"),
            Self::Control(id) => write!(f, "control:sessions:{id}"),
            Self::Write(id) => write!(f, "write:sessions:{id}"),
        }
    }
}

/// The scopes of a token: 1 to 100, sorted, without repetitions. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, ToSchema)]
#[schema(value_type = Vec<String>, min_items = 1, max_items = 100)]
pub struct Scopes(Arc<[Scope]>);

impl Scopes {
    pub const LIMIT: usize = 100;

    /// # Errors
    ///
    /// If there are none or too many.
    pub fn new(mut scopes: Vec<Scope>) -> Result<Self, ScopeError> {
        scopes.sort();
        scopes.dedup();
        if (1..=Self::LIMIT).contains(&scopes.len()) { Ok(Self(scopes.into())) } else { Err(ScopeError::Number) }
    }

    /// No scope: what those have who are refused.
    #[must_use]
    pub fn none() -> Self {
        Self(Arc::new([]))
    }

    /// # Errors
    ///
    /// The first text that is not a scope, or if there are none or too many.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, ScopeError> {
        // Looked at before they are read: a text may be long.
        if texts.len() > Self::LIMIT {
            return Err(ScopeError::Number);
        }
        let scopes = texts.iter().map(|text| text.as_ref().parse());
        Self::new(scopes.collect::<Result<_, _>>()?)
    }

    #[must_use]
    pub fn contains(&self, scope: &Scope) -> bool {
        self.0.binary_search(scope).is_ok()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }
}

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(ToString::to_string))
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        Self::parse(&texts).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0198c0de-0000-7000-8000-000000000001";

    #[test]
    fn scopes_are_read_by_the_texts_they_are_written_with() {
        for text in [
            "read:sessions".to_owned(),
            format!("read:sessions:{ID}"),
            "read:tags:nightly".to_owned(),
            "read:tags:a:b, c".to_owned(),
            format!("read:tags:{}", "検".repeat(64)),
            format!("read:groups:{ID}"),
            format!("review:sessions:{ID}"),
            format!("control:sessions:{ID}"),
            format!("write:sessions:{ID}"),
        ] {
            assert_eq!(text.parse::<Scope>().expect(&text).to_string(), text);
        }
    }

    #[test]
    fn what_is_not_a_scope_is_refused() {
        for text in [
            String::new(),
            "read".to_owned(),
            "read:".to_owned(),
            "read:sessions:".to_owned(),
            "read:sessions:*".to_owned(),
            "read:*".to_owned(),
            "READ:sessions".to_owned(),
            "write:sessions".to_owned(),
            "control:sessions".to_owned(),
            "review:tags:x".to_owned(),
            "write:groups:x".to_owned(),
            "read:tags:".to_owned(),
            "read:tags:a\nb".to_owned(),
            format!("read:tags:{}", "x".repeat(65)),
            format!("read:sessions:{ID} "),
            format!("read:sessions:{}", ID.to_uppercase()),
            format!("read:sessions:{}", ID.replace('-', "")),
            format!("read:sessions:{{{ID}}}"),
        ] {
            assert!(matches!(text.parse::<Scope>(), Err(ScopeError::Unknown(_))), "{text}");
        }
        let error = "x".repeat(10_000).parse::<Scope>().expect_err("no scope").to_string();
        assert!(error.len() < 300, "{error}");
    }

    #[test]
    fn a_set_is_bounded_and_has_one_form() {
        let texts = ["read:tags:b", "read:sessions", "read:tags:b"];
        let scopes = Scopes::parse(&texts).expect("scopes");
        assert_eq!(serde_json::to_string(&scopes).expect("JSON"), r#"["read:sessions","read:tags:b"]"#);
        assert_eq!(serde_json::from_str::<Scopes>(r#"["read:tags:b","read:sessions"]"#).expect("scopes"), scopes);
        assert_eq!(Scopes::parse::<&str>(&[]), Err(ScopeError::Number));
        let many: Vec<String> = (0..101).map(|n| format!("read:tags:{n}")).collect();
        assert_eq!(Scopes::parse(&many), Err(ScopeError::Number));
        assert!(Scopes::parse(&many[1..]).is_ok());
    }
}
