//! Lists of sessions: newest first, filtered, page by page.
//!
//! Every list is ordered by `(created_at, id)`, and a page must not cost more on a table of millions
//! than on one of hundreds. Most filters have an index in that order, which is read until the page is
//! full. Some conditions have several indexes, each for a part of what is asked for. Joined by `OR`
//! they would be answered by none of them, or by collecting and sorting all that match; so such a list
//! is put together from *alternatives*: each is read through its own index and only as far as the page
//! needs, and the newest of all of them are the page.

use std::collections::HashMap;

use sqlx::types::Json;
use sqlx::{FromRow as _, Postgres, QueryBuilder, Row as _};
use uuid::Uuid;

use super::memories::containing;
use super::sessions::{SUMMARY, Summary};
use super::{Page, PageCursor, Storage, StorageError};
use relive_session::{NodeId, NodeStatus, Session, SessionId, SessionStatus, SessionSummary, Timestamp};

/// Sessions with an error that a search for a text looks through, from the page's beginning on.
const ERRORS: i64 = 10_000;
/// Workflows by that name that a search for a text looks into, the newest.
const WORKFLOWS: i64 = 1_000;

/// Which sessions a list holds. Every given condition must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionFilter {
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
}

/// What somebody types to find a session: a part of its workflow's name or of its error, in capitals
/// or not, or the beginning of its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionText {
    lower: String,
}

impl SessionText {
    /// Characters at most.
    pub const CHARACTERS: usize = 200;

    /// `None` when the text is empty or too long, or contains NUL, which no stored text does.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let is_possible = !text.is_empty() && text.chars().count() <= Self::CHARACTERS && !text.contains('\0');
        is_possible.then(|| Self { lower: text.to_lowercase() })
    }

    fn matches(&self, session: &Session) -> bool {
        let has = |text: &str| text.to_lowercase().contains(&self.lower);
        session.origin.workflow_name.as_deref().is_some_and(has)
            || session.error.as_deref().is_some_and(has)
            || session.id.to_string().starts_with(&self.lower)
    }

    /// Adds the condition itself, which no index answers: for a few sessions.
    fn push_to(&self, query: &mut QueryBuilder<Postgres>) {
        query.push(" AND (workflow_name ILIKE ").push_bind(self.pattern());
        query.push(" OR error ILIKE ").push_bind(self.pattern());
        query.push(" OR starts_with(id::text, ").push_bind(self.lower.clone()).push("))");
    }

    fn pattern(&self) -> String {
        containing(&self.lower)
    }

    /// The first and the last id that begin with this text, if any can.
    fn ids(&self) -> Option<(Uuid, Uuid)> {
        let fill = |end: &str| {
            let rest = end.get(self.lower.len()..)?;
            let id = Uuid::try_parse(&format!("{}{rest}", self.lower)).ok()?;
            // Only ids written as the server writes them: parsing takes other forms as well.
            id.to_string().starts_with(&self.lower).then_some(id)
        };
        Some((fill(&Uuid::nil().to_string())?, fill(&Uuid::max().to_string())?))
    }
}

impl SessionFilter {
    /// Whether a session belongs on the list: the same question the SQL asks, for live states.
    #[must_use]
    pub fn matches(&self, session: &Session) -> bool {
        fn within(time: Option<Timestamp>, after: Option<Timestamp>, before: Option<Timestamp>) -> bool {
            after.is_none_or(|after| time.is_some_and(|time| time > after))
                && before.is_none_or(|before| time.is_some_and(|time| time < before))
        }
        let origin = &session.origin;
        self.group_id.is_none_or(|id| origin.group_id == Some(id))
            && self.workflow_id.is_none_or(|id| origin.workflow_id == Some(id))
            && (self.statuses.is_empty() || self.statuses.contains(&session.status))
            && self.node.as_ref().is_none_or(|(id, status)| session.node_status(id) == Some(*status))
            && within(session.started_at, self.started_after, self.started_before)
            && within(session.completed_at, self.ended_after, self.ended_before)
            && within(Some(session.updated_at), self.updated_after, None)
            && self.text.as_ref().is_none_or(|text| text.matches(session))
    }

    /// The parts that together are the list, and may overlap; empty: it has only one.
    fn alternatives(&self) -> Vec<Alternative<'_>> {
        if let Some(text) = &self.text {
            let by_id = text.ids().map(|(first, last)| Alternative::Ids(first, last));
            return by_id.into_iter().chain([Alternative::Workflow(text), Alternative::Error(text)]).collect();
        }
        if let Some(before) = [self.started_before, self.ended_before].into_iter().flatten().min() {
            return vec![Alternative::CreatedBefore(before), Alternative::ForkedSince(before)];
        }
        if self.statuses.len() > 1 {
            return self.statuses.iter().map(|status| Alternative::Status(*status)).collect();
        }
        Vec::new()
    }

    /// Adds `AND …` for each condition that one index can answer, or that is only checked.
    fn push_to(&self, query: &mut QueryBuilder<Postgres>) {
        if let Some(id) = self.group_id {
            query.push(" AND group_id = ").push_bind(id);
        }
        if let Some(id) = self.workflow_id {
            query.push(" AND workflow_id = ").push_bind(id);
        }
        if let [status] = self.statuses[..] {
            query.push(" AND status = ").push_bind(status.as_str());
        } else if !self.statuses.is_empty() {
            let names: Vec<&str> = self.statuses.iter().map(|status| status.as_str()).collect();
            query.push(" AND status = ANY(").push_bind(names).push(")");
        }
        if let Some((node_id, status)) = &self.node {
            push_node_condition(query, node_id, *status);
        }
        let times = [
            (" AND started_at > ", self.started_after),
            (" AND started_at < ", self.started_before),
            (" AND ended_at > ", self.ended_after),
            (" AND ended_at < ", self.ended_before),
            (" AND updated_at > ", self.updated_after),
        ];
        for (condition, time) in times {
            if let Some(time) = time {
                query.push(condition).push_bind(time.as_datetime());
            }
        }
    }
}

/// A part of a list that has an index of its own.
#[derive(Debug)]
enum Alternative<'a> {
    /// In this one status; together they are the statuses asked for.
    Status(SessionStatus),
    /// What started or ended before a time was created before it: so the newest of these stand where
    /// the index in order of creation passes that time, however many newer ones there are.
    CreatedBefore(Timestamp),
    /// Except forks: they have the times of the run they were made from.
    ForkedSince(Timestamp),
    Ids(Uuid, Uuid),
    /// Of workflows that had this name when a session was made from them.
    Workflow(&'a SessionText),
    Error(&'a SessionText),
}

/// The order of every list, and how much of it is read.
struct Window {
    after: Option<PageCursor>,
    rows: i64,
}

impl Window {
    fn push_to(&self, query: &mut QueryBuilder<Postgres>) {
        self.push_cursor(query);
        push_order(query, self.rows);
    }

    fn push_cursor(&self, query: &mut QueryBuilder<Postgres>) {
        if let Some(cursor) = self.after {
            query.push(" AND (created_at, id) < (").push_bind(cursor.created_at.as_datetime());
            query.push(", ").push_bind(cursor.id).push(")");
        }
    }
}

fn push_order(query: &mut QueryBuilder<Postgres>, rows: i64) {
    query.push(" ORDER BY created_at DESC, id DESC LIMIT ").push_bind(rows);
}

impl Alternative<'_> {
    /// Adds a query for the ids of its newest sessions, with their times of creation.
    fn push_to(&self, query: &mut QueryBuilder<Postgres>, filter: &SessionFilter, page: &Window) {
        const FROM: &str = "SELECT id, created_at FROM sessions WHERE ";
        match self {
            Self::Status(status) => query.push(FROM).push("status = ").push_bind(status.as_str()),
            Self::CreatedBefore(time) => query.push(FROM).push("created_at < ").push_bind(time.as_datetime()),
            Self::ForkedSince(time) => {
                query.push(FROM).push("parent_id IS NOT NULL AND created_at >= ").push_bind(time.as_datetime())
            }
            Self::Ids(first, last) => {
                query.push(FROM).push("id BETWEEN ").push_bind(*first).push(" AND ").push_bind(*last)
            }
            Self::Workflow(text) => return push_named(query, text, filter, page),
            Self::Error(text) => return push_failed(query, text, filter, page),
        };
        filter.push_to(query);
        page.push_to(query);
    }
}

/// Workflows are few and are looked through; of each, the index of its sessions is read.
fn push_named(query: &mut QueryBuilder<Postgres>, text: &SessionText, filter: &SessionFilter, page: &Window) {
    query.push(
        "SELECT named.id, named.created_at FROM (
            SELECT workflow_id AS workflow FROM workflow_names WHERE name ILIKE ",
    );
    query.push_bind(text.pattern()).push(" GROUP BY workflow_id ORDER BY workflow_id DESC LIMIT ");
    query.push_bind(WORKFLOWS).push(
        ") AS workflows CROSS JOIN LATERAL (
            SELECT id, created_at FROM sessions WHERE workflow_id = workflow AND workflow_name ILIKE ",
    );
    query.push_bind(text.pattern());
    filter.push_to(query);
    page.push_to(query);
    query.push(") AS named");
    push_order(query, page.rows);
}

fn push_failed(query: &mut QueryBuilder<Postgres>, text: &SessionText, filter: &SessionFilter, page: &Window) {
    query.push("SELECT id, created_at FROM (SELECT id, created_at, error FROM sessions WHERE error IS NOT NULL");
    filter.push_to(query);
    page.push_cursor(query);
    push_order(query, ERRORS);
    query.push(") AS failed WHERE error ILIKE ").push_bind(text.pattern());
    push_order(query, page.rows);
}

/// Written as two halves because each has an index of its own: ended sessions a GIN index, live
/// ones a partial index that is small enough to be read through.
fn push_node_condition(query: &mut QueryBuilder<Postgres>, node_id: &NodeId, status: NodeStatus) {
    let pattern = serde_json::json!({ node_id.as_str(): status.as_str() });
    query.push(" AND ((ended_at IS NOT NULL AND node_statuses @> ").push_bind(Json(pattern.clone()));
    query.push(") OR (ended_at IS NULL AND node_statuses @> ").push_bind(Json(pattern)).push("))");
}

/// Adds the whole query to what `query` begins with.
fn push_list(query: &mut QueryBuilder<Postgres>, filter: &SessionFilter, after: Option<PageCursor>, limit: u32) {
    let page = Window { after, rows: i64::from(limit) + 1 };
    let alternatives = filter.alternatives();
    if alternatives.is_empty() {
        query.push(SUMMARY).push(" WHERE true");
        filter.push_to(query);
        page.push_to(query);
        return;
    }
    query.push(SUMMARY).push(" WHERE id IN (SELECT id FROM (");
    for (place, alternative) in alternatives.iter().enumerate() {
        query.push(if place == 0 { "(" } else { ") UNION (" });
        alternative.push_to(query, filter, &page);
    }
    query.push(")) AS listed");
    push_order(query, page.rows);
    query.push(") ORDER BY created_at DESC, id DESC");
}

impl Storage {
    /// A page of summaries, newest first.
    pub async fn summaries(
        &self,
        filter: &SessionFilter,
        after: Option<PageCursor>,
        limit: u32,
    ) -> Result<Page<SessionSummary>, StorageError> {
        let mut query = QueryBuilder::new("");
        push_list(&mut query, filter, after, limit);
        // Filters differ by orders of magnitude in what they let through: a plan made for one must not
        // serve another, so none is kept.
        let rows: Vec<Summary> = query.build_query_as().persistent(false).fetch_all(&self.pool).await?;
        let rows = rows.into_iter().map(|Summary(summary)| summary).collect();
        Ok(Page::cut(rows, limit, |summary: &SessionSummary| PageCursor {
            created_at: summary.created_at,
            id: summary.id.0,
        }))
    }

    /// These sessions, as many as there are, each with whether it belongs on the list.
    pub async fn summaries_of(
        &self,
        filter: &SessionFilter,
        ids: &[SessionId],
    ) -> Result<HashMap<SessionId, (SessionSummary, bool)>, StorageError> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let mut query = QueryBuilder::new("SELECT asked.*, listed.id IS NOT NULL AS matches FROM (");
        query.push(SUMMARY).push(" WHERE id = ANY(").push_bind(ids.clone());
        query.push(")) AS asked LEFT JOIN (SELECT id FROM sessions WHERE id = ANY(").push_bind(ids).push(")");
        filter.push_to(&mut query);
        if let Some(text) = &filter.text {
            text.push_to(&mut query);
        }
        query.push(") AS listed ON listed.id = asked.id");
        let rows = query.build().persistent(false).fetch_all(&self.pool).await?;
        let found = rows.iter().map(|row| {
            let Summary(summary) = Summary::from_row(row)?;
            Ok((summary.id, (summary, row.try_get("matches")?)))
        });
        Ok(found.collect::<sqlx::Result<_>>()?)
    }

    /// How the database answers such a list, in numbers: `EXPLAIN (ANALYZE, FORMAT JSON)`.
    pub async fn explain_summaries(
        &self,
        filter: &SessionFilter,
        after: Option<PageCursor>,
        limit: u32,
    ) -> Result<serde_json::Value, StorageError> {
        let mut query = QueryBuilder::new("EXPLAIN (ANALYZE, FORMAT JSON) ");
        push_list(&mut query, filter, after, limit);
        let Json(plan) = query.build().persistent(false).fetch_one(&self.pool).await?.try_get(0)?;
        Ok(plan)
    }
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
