//! The SQL of a list.

use sqlx::types::Json;
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use super::filter::{SessionFilter, SessionText};
use crate::storage::PageCursor;
use crate::storage::sessions::SUMMARY;
use relive_session::{NodeId, NodeStatus, SessionStatus, Timestamp};

/// Sessions with an error that a search for a text looks through, from the page's beginning on.
const ERRORS: i64 = 10_000;

/// Workflows by that name that a search for a text looks into, the newest.
const WORKFLOWS: i64 = 1_000;

impl SessionFilter {
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
    pub(super) fn push_to(&self, query: &mut QueryBuilder<Postgres>) {
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

impl SessionText {
    /// Adds the condition itself, which no index answers: for a few sessions.
    pub(super) fn push_to(&self, query: &mut QueryBuilder<Postgres>) {
        query.push(" AND (workflow_name ILIKE ").push_bind(self.pattern());
        query.push(" OR error ILIKE ").push_bind(self.pattern());
        query.push(" OR starts_with(id::text, ").push_bind(self.lower.clone()).push("))");
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
pub(super) fn push_list(
    query: &mut QueryBuilder<Postgres>,
    filter: &SessionFilter,
    after: Option<PageCursor>,
    limit: u32,
) {
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
