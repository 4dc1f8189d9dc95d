//! The SQL of a list.

use sqlx::types::Json;
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use super::filter::{SessionFilter, SessionText, Visible};
use super::labels::{Label, push_labelled, push_named as push_text_in_labels, sets_of};
use super::window::{Window, push_order};
use crate::storage::PageCursor;
use crate::storage::sessions::SUMMARY;
use relive_session::{NodeId, NodeStatus, SessionId, SessionStatus, Timestamp};

/// Sessions with an error that a text search reads, from the page's beginning on.
const ERRORS: i64 = 10_000;

/// Workflows with a matching name that a text search reads, the newest.
const WORKFLOWS: i64 = 1_000;

/// Sessions without a workflow that a text search reads for the names of their graphs, from the page's beginning on.
const WITHOUT_WORKFLOW: i64 = 4_000;

impl SessionFilter {
    /// The alternatives whose union is the list, and which may overlap; empty if there is only one.
    fn alternatives(&self) -> Vec<Alternative<'_>> {
        if let Some(text) = &self.text {
            let by_id = text.ids().map(|(first, last)| Alternative::Ids(first, last));
            // No session of a workflow is without one.
            let own = self.workflow_id.is_none().then_some(Alternative::OwnGraph(text));
            return by_id.into_iter().chain(own).chain(Alternative::of_text(text)).collect();
        }
        let labels = sets_of(self);
        if !labels.is_empty() {
            return labels.into_iter().map(Alternative::Labels).collect();
        }
        if let Some(before) = [self.started_before, self.ended_before].into_iter().flatten().min() {
            return vec![Alternative::CreatedBefore(before), Alternative::ForkedSince(before)];
        }
        if let Visible::Some { sessions, groups, tags } = &self.visible {
            let in_groups = groups.iter().map(|group| Alternative::Group(*group));
            let tagged = tags.iter().map(|tag| Alternative::Labels(vec![Label::Tag(tag)]));
            return in_groups.chain(tagged).chain([Alternative::Among(sessions)]).collect();
        }
        if self.statuses.len() > 1 {
            return self.statuses.iter().map(|status| Alternative::Status(*status)).collect();
        }
        Vec::new()
    }

    /// Adds `AND …` for each condition that one index can answer, or that is only checked.
    pub(in crate::storage) fn push_to(&self, query: &mut QueryBuilder<Postgres>) {
        query.push(" AND project_id = ").push_bind(self.project_id.as_str().to_owned());
        if let Visible::Some { sessions, groups, tags } = &self.visible {
            query.push(" AND (id = ANY(").push_bind(uuids(sessions));
            query.push(") OR group_id = ANY(").push_bind(groups.clone());
            query.push(") OR tags && ").push_bind(tags.clone()).push(")");
        }
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
        self.push_labels_to(query);
        if let Some(parent) = self.parent_session_id {
            query.push(" AND parent_session_id = ").push_bind(parent.0);
        }
        if self.is_root {
            query.push(" AND parent_session_id IS NULL");
        }
        if let Some(is_stalled) = self.is_stalled {
            query.push(if is_stalled { " AND is_stalled" } else { " AND is_stalled IS NOT TRUE" });
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
        if let Some(time) = self.not_restored_after {
            query.push(" AND NOT EXISTS (SELECT FROM restored_sessions WHERE session_id = sessions.id");
            query.push(" AND restored_at > ").push_bind(time.as_datetime()).push(")");
        }
        if let Some(time) = self.updated_after {
            // Indexed in place of `updated_at`, which every change of a running session would change.
            query.push(" AND updated_about > ").push_bind(time.as_datetime()).push(" - interval '10 minutes'");
        }
    }
}

impl SessionFilter {
    /// As [`SessionFilter::push_to`], with the text too, without regard to indexes: for a few sessions.
    pub(in crate::storage) fn push_whole_to(&self, query: &mut QueryBuilder<Postgres>) {
        self.push_to(query);
        if let Some(text) = &self.text {
            text.push_to(query);
        }
    }
}

impl SessionText {
    /// Adds the whole condition, without regard to indexes: for a few sessions.
    pub(super) fn push_to(&self, query: &mut QueryBuilder<Postgres>) {
        query.push(" AND (workflow_name ILIKE ").push_bind(self.pattern());
        query.push(" OR error ILIKE ").push_bind(self.pattern());
        query.push(" OR ");
        self.push_labels_to(query);
        query.push(" OR starts_with(id::text, ").push_bind(self.lower.clone()).push("))");
    }
}

/// A part of a list that has an index of its own.
#[derive(Debug)]
enum Alternative<'a> {
    /// With this one status; together they are the statuses of the filter.
    Status(SessionStatus),
    /// A session that started or ended before a time was created before it: so reading the index in order of
    /// creation can begin at that time, however many newer sessions there are.
    CreatedBefore(Timestamp),
    /// Except forks: they have the times of their parent's run.
    ForkedSince(Timestamp),
    Ids(Uuid, Uuid),
    /// Of workflows that had this name when a session was created from them.
    Workflow(&'a SessionText),
    /// Of no workflow, with a graph of their own that has this name.
    OwnGraph(&'a SessionText),
    Error(&'a SessionText),
    /// Of what the reader may see, one part each.
    Group(Uuid),
    Among(&'a [SessionId]),
    /// With all of these labels.
    Labels(Vec<Label<'a>>),
    /// With a name or tags in which a text is found.
    Named(&'a SessionText),
}

fn uuids(ids: &[SessionId]) -> Vec<Uuid> {
    ids.iter().map(|id| id.0).collect()
}

impl<'a> Alternative<'a> {
    /// Where a text is looked for, besides the ids and the names of graphs.
    fn of_text(text: &'a SessionText) -> [Self; 3] {
        [Self::Workflow(text), Self::Error(text), Self::Named(text)]
    }

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
            Self::Group(id) => query.push(FROM).push("group_id = ").push_bind(*id),
            Self::Among(ids) => query.push(FROM).push("id = ANY(").push_bind(uuids(ids)).push(")"),
            Self::Labels(labels) => return push_labelled(query, labels, filter, page),
            Self::Named(text) => return push_text_in_labels(query, text, filter, page),
            Self::Workflow(text) => return push_named(query, text, filter, page),
            Self::OwnGraph(text) => return push_own_graph(query, text, filter, page),
            Self::Error(text) => return push_failed(query, text, filter, page),
        };
        filter.push_to(query);
        page.push_to(query);
    }
}

/// Workflows are few and are searched without an index; of each, the index of its sessions is read.
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

/// The rest of the filter is applied to what was read: with it inside, PostgreSQL would rather combine indexes over all
/// sessions.
fn push_own_graph(query: &mut QueryBuilder<Postgres>, text: &SessionText, filter: &SessionFilter, page: &Window) {
    query.push("SELECT id, created_at FROM (SELECT * FROM sessions WHERE workflow_id IS NULL AND project_id = ");
    query.push_bind(filter.project_id.as_str().to_owned());
    page.push_cursor(query);
    push_order(query, WITHOUT_WORKFLOW);
    query.push(") AS own WHERE workflow_name ILIKE ").push_bind(text.pattern());
    filter.push_to(query);
    push_order(query, page.rows);
}

/// In two halves because each has an index of its own: ended sessions a GIN index over hashes, the others a partial
/// index that is small enough to be scanned. The hash already says how many sessions there are; the planner must not
/// take the exact comparison for a second, independent condition, which it does not with `COALESCE`. Each of these counts
/// as a half. Five of them put the border at one session in a hundred, between the hashes that are too rare for
/// statistics, which it takes for 0.5 % of all and which the index has to find, and those that a page of the newest
/// sessions comes upon by itself.
fn push_node_condition(query: &mut QueryBuilder<Postgres>, node_id: &NodeId, status: NodeStatus) {
    let pattern = Json(serde_json::json!({ node_id.as_str(): status.as_str() }));
    query.push(" AND ((ended_nodes @> ARRAY[relive_node_hash(").push_bind(node_id.as_str().to_owned());
    query.push(", ").push_bind(status.as_str()).push(")]");
    for nulls in 0..5 {
        // Each is written differently: the planner counts a repeated condition once.
        query.push(" AND COALESCE(node_statuses @> ").push_bind(pattern.clone());
        query.push(", NULL".repeat(nulls)).push(", false)");
    }
    query.push(") OR (ended_nodes IS NULL AND node_statuses @> ").push_bind(pattern).push("))");
}

/// Appends the whole query.
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
