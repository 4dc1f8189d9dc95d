//! Lists by label: read from `session_labels`, which has an entry in the order of lists for each label of each
//! session.

use serde_json::{Map, Value};
use sqlx::types::Json;
use sqlx::{Postgres, QueryBuilder};

use super::filter::{SessionFilter, SessionText};
use super::window::{Window, push_order};
use relive_session::SessionId;

/// Sessions with a name or tags that a text search reads, from the page's beginning on.
const NAMED: i64 = 10_000;

/// Labels that are compared in how many sessions have them, to read the list by the rarest; and how far they are
/// counted.
const COMPARED: usize = 4;
const COUNTED: i64 = 10_000;

/// One label of a session.
#[derive(Clone, Copy, Debug)]
pub(super) enum Label<'a> {
    Name(&'a str),
    Tag(&'a str),
    Metadata(&'a str, &'a Value),
    /// That of the children of a session.
    Parent(SessionId),
    /// That of all sessions with a name or tags.
    Named,
}

/// Sets of labels of which every session in a list has one whole set; none if the filter asks for no label.
pub(super) fn sets_of(filter: &SessionFilter) -> Vec<Vec<Label<'_>>> {
    let mut all: Vec<Label<'_>> = filter.parent_session_id.map(Label::Parent).into_iter().collect();
    all.extend(filter.name.iter().map(|name| Label::Name(name)));
    all.extend(filter.tags.iter().map(|tag| Label::Tag(tag)));
    // The first entry that can mean two values makes two sets. Others like it are only conditions.
    let mut either = None;
    for entry in &filter.metadata {
        match &entry.values[..] {
            [value] => all.push(Label::Metadata(&entry.key, value)),
            values => either = either.or(Some((&entry.key, values))),
        }
    }
    all.truncate(COMPARED);
    match either {
        Some((key, values)) => {
            let with = |value| std::iter::once(Label::Metadata(key, value)).chain(all.iter().copied()).collect();
            values.iter().map(with).collect()
        }
        None if all.is_empty() => Vec::new(),
        None => vec![all],
    }
}

impl Label<'_> {
    fn push_to(self, query: &mut QueryBuilder<Postgres>, filter: &SessionFilter) {
        let project = filter.project_id.as_str().to_owned();
        match self {
            Self::Metadata(key, value) => {
                query.push("relive_metadata_label(").push_bind(project).push(", ").push_bind(key.to_owned());
                query.push(", ").push_bind(Json(value.clone())).push(")");
            }
            Self::Name(name) => push_label(query, project, "name", name),
            Self::Tag(tag) => push_label(query, project, "tag", tag),
            Self::Parent(id) => push_label(query, project, "parent", &id.to_string()),
            Self::Named => push_label(query, project, "named", ""),
        }
    }
}

fn push_label(query: &mut QueryBuilder<Postgres>, project: String, kind: &'static str, value: &str) {
    query.push("relive_label(").push_bind(project).push(", ").push_bind(kind);
    query.push(", ").push_bind(value.to_owned()).push(")");
}

/// Adds the label, or the rarest of several: its sessions are read, and the other labels looked for in them.
fn push_rarest(query: &mut QueryBuilder<Postgres>, labels: &[Label<'_>], filter: &SessionFilter) {
    if let [label] = labels {
        label.push_to(query, filter);
        return;
    }
    query.push("(SELECT wanted FROM unnest(ARRAY[");
    for (place, label) in labels.iter().enumerate() {
        query.push(if place == 0 { "" } else { ", " });
        label.push_to(query, filter);
    }
    query.push("]) AS wanted ORDER BY (SELECT count(*) FROM (SELECT FROM session_labels WHERE label = wanted LIMIT ");
    query.push_bind(COUNTED).push(") AS counted) LIMIT 1)");
}

/// The newest sessions with all of some labels, with their times of creation.
pub(super) fn push_labelled(
    query: &mut QueryBuilder<Postgres>,
    labels: &[Label<'_>],
    filter: &SessionFilter,
    page: &Window,
) {
    query.push("SELECT id, created_at FROM ");
    push_entries(query, labels, filter, page, None);
    push_sessions(query, "id, created_at", filter);
    query.push(" ORDER BY session_created_at DESC, session_id DESC LIMIT ").push_bind(page.rows);
}

/// The newest sessions with a text in their names or tags, among the newest [`NAMED`].
pub(super) fn push_named(
    query: &mut QueryBuilder<Postgres>,
    text: &SessionText,
    filter: &SessionFilter,
    page: &Window,
) {
    query.push("SELECT id, created_at FROM ");
    push_entries(query, &[Label::Named], filter, page, Some(NAMED));
    push_sessions(query, "id, created_at, name, tags", filter);
    query.push(" WHERE ");
    text.push_labels_to(query);
    push_order(query, page.rows);
}

fn push_entries(
    query: &mut QueryBuilder<Postgres>,
    labels: &[Label<'_>],
    filter: &SessionFilter,
    page: &Window,
    rows: Option<i64>,
) {
    query.push("(SELECT session_id, session_created_at FROM session_labels WHERE label = ");
    push_rarest(query, labels, filter);
    if let Some(cursor) = page.after {
        query.push(" AND (session_created_at, session_id) < (").push_bind(cursor.created_at.as_datetime());
        query.push(", ").push_bind(cursor.id).push(")");
    }
    if let Some(rows) = rows {
        query.push(" ORDER BY session_created_at DESC, session_id DESC LIMIT ").push_bind(rows);
    }
    query.push(") AS entries");
}

/// One look-up for each entry: `LIMIT` keeps it from becoming a join that reads all sessions.
fn push_sessions(query: &mut QueryBuilder<Postgres>, columns: &'static str, filter: &SessionFilter) {
    query.push(" CROSS JOIN LATERAL (SELECT ").push(columns).push(" FROM sessions WHERE id = session_id");
    filter.push_to(query);
    query.push(" LIMIT 1) AS labelled");
}

impl SessionText {
    /// Adds whether a name or a tag contains the text.
    pub(super) fn push_labels_to(&self, query: &mut QueryBuilder<Postgres>) {
        query.push("(name ILIKE ").push_bind(self.pattern());
        query.push(" OR EXISTS (SELECT FROM unnest(tags) AS tag WHERE tag ILIKE ");
        query.push_bind(self.pattern()).push("))");
    }
}

impl SessionFilter {
    /// Adds the conditions on labels.
    pub(super) fn push_labels_to(&self, query: &mut QueryBuilder<Postgres>) {
        if let Some(name) = &self.name {
            query.push(" AND name = ").push_bind(name.clone());
        }
        if !self.tags.is_empty() {
            query.push(" AND tags @> ").push_bind(self.tags.clone());
        }
        for entry in &self.metadata {
            let one = |value: &Value| Json(Map::from_iter([(entry.key.clone(), value.clone())]));
            query.push(" AND metadata @> ANY(").push_bind(entry.values.iter().map(one).collect::<Vec<_>>()).push(")");
        }
    }
}
