//! Lists of sessions: newest first, filtered, page by page.
//!
//! Every list is ordered by `(created_at, id)`, and a page must not cost more on a table of millions
//! than on one of hundreds. Most filters have an index in that order, which is read until the page is
//! full. Some conditions have several indexes, each for a part of the result. Joined by `OR`
//! they would use none of them, or collect and sort all matches; so such a list is the union of
//! *alternatives*: each is read through its own index and only as far as the page needs, and the newest of
//! all of them are the page.

mod backfill;
mod filter;
mod indexes;
mod labels;
mod query;
mod window;

use std::collections::HashMap;

use sqlx::types::Json;
use sqlx::{FromRow as _, QueryBuilder, Row as _};
use uuid::Uuid;

pub use filter::{MetadataFilter, SessionFilter, SessionText, Visible};
pub(super) use indexes::change_small;

use super::sessions::{SUMMARY, Summary};
use super::{Page, PageCursor, Storage, StorageError};
use query::push_list;
use relive_session::{SessionId, SessionSummary};

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
        // Filters differ by orders of magnitude in their selectivity: a plan made for one must not be used for
        // another, so plans are not cached.
        let rows: Vec<Summary> = query.build_query_as().persistent(false).fetch_all(&self.pool).await?;
        let mut rows: Vec<SessionSummary> = rows.into_iter().map(|Summary(summary)| summary).collect();
        self.count_visible_children(filter, rows.iter_mut()).await?;
        Ok(Page::cut(rows, limit, |summary: &SessionSummary| PageCursor {
            created_at: summary.created_at,
            id: summary.id.0,
        }))
    }

    /// Those of these sessions that exist, each with whether it is in the list.
    pub async fn summaries_of(
        &self,
        filter: &SessionFilter,
        ids: &[SessionId],
    ) -> Result<HashMap<SessionId, (SessionSummary, bool)>, StorageError> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let mut query = QueryBuilder::new("SELECT asked.*, listed.id IS NOT NULL AS matches FROM (");
        query.push(SUMMARY).push(" WHERE id = ANY(").push_bind(ids.clone());
        query.push(")) AS asked LEFT JOIN (SELECT id FROM sessions WHERE id = ANY(").push_bind(ids).push(")");
        filter.push_whole_to(&mut query);
        query.push(") AS listed ON listed.id = asked.id");
        let rows = query.build().persistent(false).fetch_all(&self.pool).await?;
        let found = rows.iter().map(|row| {
            let Summary(summary) = Summary::from_row(row)?;
            Ok((summary.id, (summary, row.try_get("matches")?)))
        });
        let mut found: HashMap<SessionId, (SessionSummary, bool)> = found.collect::<sqlx::Result<_>>()?;
        self.count_visible_children(filter, found.values_mut().map(|(summary, _)| summary)).await?;
        Ok(found)
    }

    /// Lets summaries count only those children that the reader may see.
    async fn count_visible_children<'a>(
        &self,
        filter: &SessionFilter,
        summaries: impl Iterator<Item = &'a mut SessionSummary>,
    ) -> Result<(), StorageError> {
        if filter.visible == Visible::All {
            return Ok(());
        }
        let mut parents: Vec<&mut SessionSummary> = summaries.filter(|summary| summary.child_count > 0).collect();
        if parents.is_empty() {
            return Ok(());
        }
        let ids: Vec<SessionId> = parents.iter().map(|summary| summary.id).collect();
        let counts = self.visible_child_counts(filter, &ids).await?;
        for summary in &mut parents {
            summary.child_count = counts.get(&summary.id).copied().unwrap_or_default();
        }
        Ok(())
    }

    /// How many sessions a list has, counted up to `limit`.
    pub async fn count_sessions(&self, filter: &SessionFilter, limit: u32) -> Result<u64, StorageError> {
        let mut query = QueryBuilder::new("SELECT count(*) FROM (");
        push_list(&mut query, filter, None, limit.saturating_sub(1));
        query.push(") AS counted");
        let count: i64 = query.build_query_scalar().persistent(false).fetch_one(&self.pool).await?;
        Ok(count.unsigned_abs())
    }

    /// The plan with which the database reads such a list: `EXPLAIN (ANALYZE, FORMAT JSON)`.
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
