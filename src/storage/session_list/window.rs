//! The order of every list, and the part of it that is read.

use sqlx::{Postgres, QueryBuilder};

use crate::storage::PageCursor;

/// The order of every list, and the range that is read.
pub(super) struct Window {
    pub after: Option<PageCursor>,
    pub rows: i64,
}

impl Window {
    pub fn push_to(&self, query: &mut QueryBuilder<Postgres>) {
        self.push_cursor(query);
        push_order(query, self.rows);
    }

    pub fn push_cursor(&self, query: &mut QueryBuilder<Postgres>) {
        if let Some(cursor) = self.after {
            query.push(" AND (created_at, id) < (").push_bind(cursor.created_at.as_datetime());
            query.push(", ").push_bind(cursor.id).push(")");
        }
    }
}

pub(super) fn push_order(query: &mut QueryBuilder<Postgres>, rows: i64) {
    query.push(" ORDER BY created_at DESC, id DESC LIMIT ").push_bind(rows);
}
