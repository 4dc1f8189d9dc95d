//! Filters of session lists.

use serde_json::Value;
use uuid::Uuid;

use crate::storage::memories::containing;
use relive_session::{
    Labels, NodeId, NodeStatus, ProjectId, Session, SessionId, SessionStatus, SessionSummary, Timestamp,
};

/// Which sessions a list shows. Every given condition must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionFilter {
    pub project_id: ProjectId,
    pub visible: Visible,
    pub group_id: Option<Uuid>,
    pub workflow_id: Option<Uuid>,
    /// Any of these; empty: all.
    pub statuses: Vec<SessionStatus>,
    pub node: Option<(NodeId, NodeStatus)>,
    pub started_after: Option<Timestamp>,
    pub started_before: Option<Timestamp>,
    pub ended_after: Option<Timestamp>,
    pub ended_before: Option<Timestamp>,
    pub updated_after: Option<Timestamp>,
    pub text: Option<SessionText>,
    pub name: Option<String>,
    /// All of these.
    pub tags: Vec<String>,
    pub metadata: Vec<MetadataFilter>,
    /// Those whose driver's lease has passed, or all others.
    pub is_stalled: Option<bool>,
    /// Those that this session has started.
    pub parent_session_id: Option<SessionId>,
    /// Those that no other session has started.
    pub is_root: bool,
    /// Those that did not come back from the archive after this time. Only for rules: [`SessionFilter::matches`] does
    /// not know.
    pub not_restored_after: Option<Timestamp>,
}

/// An entry of the metadata: a key, and the values that a text can mean.
#[derive(Clone, Debug, PartialEq)]
pub struct MetadataFilter {
    pub(super) key: String,
    /// At most two: the text itself, and the number or boolean that it reads as.
    pub(super) values: Vec<Value>,
}

impl MetadataFilter {
    #[must_use]
    pub fn new(key: String, text: String) -> Self {
        let read = serde_json::from_str(&text).ok().filter(|value| matches!(value, Value::Number(_) | Value::Bool(_)));
        Self { key, values: std::iter::once(Value::String(text)).chain(read).collect() }
    }

    fn matches(&self, labels: &Labels) -> bool {
        self.values.iter().any(|value| labels.has(&self.key, value))
    }
}

impl SessionFilter {
    /// Whether the reader may see a session at all.
    #[must_use]
    pub fn concerns(&self, summary: &SessionSummary) -> bool {
        summary.project_id == self.project_id && self.visible.includes(summary.id, summary.group_id, &summary.tags)
    }

    /// Whether a session is in the list: the condition of the SQL, for states in memory.
    #[must_use]
    pub fn matches(&self, session: &Session) -> bool {
        fn within(time: Option<Timestamp>, after: Option<Timestamp>, before: Option<Timestamp>) -> bool {
            after.is_none_or(|after| time.is_some_and(|time| time > after))
                && before.is_none_or(|before| time.is_some_and(|time| time < before))
        }
        let (origin, labels) = (&session.origin, &session.labels);
        origin.project_id == self.project_id
            && self.visible.includes(session.id, origin.group_id, &labels.tags)
            && self.group_id.is_none_or(|id| origin.group_id == Some(id))
            && self.workflow_id.is_none_or(|id| origin.workflow_id == Some(id))
            && (self.statuses.is_empty() || self.statuses.contains(&session.status))
            && self.node.as_ref().is_none_or(|(id, status)| session.node_status(id) == Some(*status))
            && within(session.started_at, self.started_after, self.started_before)
            && within(session.completed_at, self.ended_after, self.ended_before)
            && within(Some(session.updated_at), self.updated_after, None)
            && self.name.as_ref().is_none_or(|name| labels.name.as_deref() == Some(name))
            && self.tags.iter().all(|tag| labels.tags.contains(tag))
            && self.metadata.iter().all(|entry| entry.matches(labels))
            && self.is_stalled.is_none_or(|wanted| session.is_stalled() == wanted)
            && self.parent_session_id.is_none_or(|id| session.parent() == Some(id))
            && (!self.is_root || session.parent().is_none())
            && self.text.as_ref().is_none_or(|text| text.matches(session))
    }
}

/// Which sessions of the project the reader may see at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Visible {
    #[default]
    All,
    /// Any of these sessions, those of any of these groups, and those that have one of these tags now.
    Some { sessions: Vec<SessionId>, groups: Vec<Uuid>, tags: Vec<String> },
}

impl Visible {
    /// Whether it includes a session with this id, group and tags.
    fn includes(&self, id: SessionId, group_id: Option<Uuid>, has: &[String]) -> bool {
        match self {
            Self::All => true,
            Self::Some { sessions, groups, tags } => {
                sessions.contains(&id)
                    || group_id.is_some_and(|id| groups.contains(&id))
                    || tags.iter().any(|tag| has.contains(tag))
            }
        }
    }
}

/// A search text: a part of a name, a tag, a workflow's name or an error, ignoring case, or the beginning of an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionText {
    pub(super) lower: String,
}

impl SessionText {
    /// Characters at most.
    pub const CHARACTERS: usize = 200;

    /// `None` if the text is empty or too long, or contains NUL, which no stored text does.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let is_possible = !text.is_empty() && text.chars().count() <= Self::CHARACTERS && !text.contains('\0');
        is_possible.then(|| Self { lower: lower(text) })
    }

    fn matches(&self, session: &Session) -> bool {
        let has = |text: &str| lower(text).contains(&self.lower);
        session.labels.name.as_deref().is_some_and(has)
            || session.labels.tags.iter().any(|tag| has(tag))
            || session.origin.workflow_name.as_deref().is_some_and(has)
            || session.error.as_deref().is_some_and(has)
            || session.id.to_string().starts_with(&self.lower)
    }

    pub(super) fn pattern(&self) -> String {
        containing(&self.lower)
    }

    /// The first and the last id that begin with this text, if there are any.
    pub(super) fn ids(&self) -> Option<(Uuid, Uuid)> {
        let fill = |end: &str| {
            let rest = end.get(self.lower.len()..)?;
            let id = Uuid::try_parse(&format!("{}{rest}", self.lower)).ok()?;
            // Only ids in the server's notation: parsing accepts other notations as well.
            id.to_string().starts_with(&self.lower).then_some(id)
        };
        Some((fill(&Uuid::nil().to_string())?, fill(&Uuid::max().to_string())?))
    }
}

/// As PostgreSQL's `lower`, by which lists are read: a character becomes one character, whatever stands around it. For
/// `str::to_lowercase`, a sigma at the end of a word is another letter than elsewhere.
fn lower(text: &str) -> String {
    text.chars().map(|c| c.to_lowercase().next().unwrap_or(c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_the_beginning_of_the_ids_it_can_be_the_beginning_of() {
        let ids = |text: &str| SessionText::new(text).expect("possible").ids();
        let range = |first: &str, last: &str| {
            Some((first.parse::<Uuid>().expect("an id"), last.parse::<Uuid>().expect("an id")))
        };
        let expected = range("0190a000-0000-0000-0000-000000000000", "0190afff-ffff-ffff-ffff-ffffffffffff");
        assert_eq!(ids("0190A"), expected);
        let whole = "0190a000-0000-7000-8000-00000000000f";
        assert_eq!(ids(whole), range(whole, whole));
        assert_eq!(
            ids("0190a000-"),
            range("0190a000-0000-0000-0000-000000000000", "0190a000-ffff-ffff-ffff-ffffffffffff")
        );
        for text in ["0190a0000", "x", "-", "{0190a000", "0190a000-0000-7000-8000-00000000000f0", "ü", "urn:uuid:"] {
            assert_eq!(ids(text), None, "{text}");
        }
    }
}
