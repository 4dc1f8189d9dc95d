//! Pages of messages along the ancestry of a fork, from either end or from a time on.
//!
//! Within a session, times never decrease along revisions, and a fork begins no earlier than the revision
//! where it leaves its parent. So the order of positions, which are indexed, is also the order of
//! `created_at`, which is not: a time is converted to a position first.

use std::cmp::Reverse;

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::QueryAs;
use sqlx::types::Json;
use sqlx::{FromRow, Postgres, SqlSafeStr};

use super::bigint::bigint;
use super::messages::{MessageCursor, MessageFilter, MessageOrder, PlacedMessage};
use super::{Storage, StorageError};
use relive_session::{SessionId, Timestamp};

/// The messages of session `$1` and of its ancestors up to the revisions where the forks were made:
/// after the position (`$2`, `$3`) and up to the position (`$4`, `$5`).
macro_rules! ancestry {
    ($by_depth:literal, $by_revision:literal) => {
        concat!(
            "WITH ancestry AS (
                SELECT depth, ancestor_id, revision AS up_to FROM session_lineage WHERE session_id = $1
                UNION ALL SELECT 0, $1, 9223372036854775807
            ), wanted AS (
                SELECT depth, ancestor_id, CASE WHEN depth = $4 THEN LEAST(up_to, $5) ELSE up_to END AS up_to,
                       CASE WHEN depth = $2 THEN $3 ELSE 0 END AS after
                FROM ancestry WHERE depth BETWEEN $4 AND $2 ORDER BY depth ",
            $by_depth,
            ")
            SELECT depth, message.* FROM wanted CROSS JOIN LATERAL (
                (SELECT id, session_id, revision, node_id, agent_id, agent_name, role, content, token_count,
                        is_thinking, created_at, tool_calls, tool_call_id, content_type
                 FROM session_messages
                 WHERE session_id = ancestor_id AND revision <= up_to AND revision > after
                   AND ($6::text IS NULL OR agent_id = $6) AND ($7::text IS NULL OR node_id = $7)
                 ORDER BY revision ",
            $by_revision,
            " LIMIT $8)
                UNION ALL
                (SELECT messages.id, ancestors.session_id, revision, node_id, agent_id, agent_name, role, content,
                        token_count, is_thinking, created_at, tool_calls, tool_call_id, content_type
                 FROM ancestor_messages AS messages JOIN ancestors ON ancestors.id = messages.ancestor_id
                 WHERE messages.ancestor_id = wanted.ancestor_id AND revision <= up_to AND revision > after
                   AND ($6::text IS NULL OR agent_id = $6) AND ($7::text IS NULL OR node_id = $7)
                 ORDER BY revision ",
            $by_revision,
            " LIMIT $8)
            ) AS message
            ORDER BY depth ",
            $by_depth,
            ", revision ",
            $by_revision,
            " LIMIT $8"
        )
    };
}

const OLDEST_FIRST: &str = ancestry!("DESC", "ASC");
const NEWEST_FIRST: &str = ancestry!("ASC", "DESC");

/// The last position in the ancestry of session `$1` at or before which nothing is later than `$2`; no row if
/// everything is later. First the session is found, then the position in it by binary search: each step reads
/// one entry of an index.
const PLACE_BY: &str = "
    WITH RECURSIVE ancestry AS (
        SELECT depth, ancestor_id, revision AS up_to FROM session_lineage WHERE session_id = $1
        UNION ALL SELECT 0, $1, 9223372036854775807
    ), said AS NOT MATERIALIZED (
        SELECT session_id AS holder_id, revision, created_at FROM session_messages
        UNION ALL SELECT ancestor_id, revision, created_at FROM ancestor_messages
    ), holder AS (
        SELECT depth, ancestor_id, last.revision + 1 AS beyond FROM ancestry
        CROSS JOIN LATERAL (
            SELECT created_at FROM said WHERE holder_id = ancestor_id AND revision <= up_to
            ORDER BY revision LIMIT 1) AS first
        CROSS JOIN LATERAL (
            SELECT revision FROM said WHERE holder_id = ancestor_id AND revision <= up_to
            ORDER BY revision DESC LIMIT 1) AS last
        WHERE first.created_at <= $2 ORDER BY depth LIMIT 1
    ), halved (depth, ancestor_id, reached, beyond) AS (
        SELECT depth, ancestor_id, 0::bigint, beyond FROM holder
        UNION ALL
        SELECT depth, ancestor_id,
               CASE WHEN probe.created_at > $2 THEN reached ELSE middle END,
               CASE WHEN probe.created_at > $2 THEN probe.revision ELSE beyond END
        FROM halved
        CROSS JOIN LATERAL (SELECT reached + (beyond - reached) / 2 AS middle) AS half
        LEFT JOIN LATERAL (
            SELECT revision, created_at FROM said
            WHERE holder_id = ancestor_id AND revision > reached AND revision <= middle
            ORDER BY revision DESC LIMIT 1) AS probe ON true
        WHERE beyond - reached > 1
    )
    SELECT depth, reached FROM halved WHERE beyond - reached <= 1";

/// A range of an ancestry: after one position and up to another.
#[derive(Clone, Copy, Debug)]
pub(super) struct PositionRange {
    pub after: MessageCursor,
    pub up_to: MessageCursor,
}

impl PositionRange {
    pub const WHOLE: Self = Self {
        after: MessageCursor { depth: u32::MAX, revision: 0 },
        up_to: MessageCursor { depth: 0, revision: u64::MAX },
    };

    pub fn from(self, place: MessageCursor) -> Self {
        Self { after: std::cmp::max_by_key(self.after, place, order_of), ..self }
    }

    pub fn to(self, place: MessageCursor) -> Self {
        Self { up_to: std::cmp::min_by_key(self.up_to, place, order_of), ..self }
    }

    /// Continues after a cursor, in the order of reading.
    pub fn resumed(self, order: MessageOrder, cursor: Option<MessageCursor>) -> Self {
        match (cursor, order) {
            (None, _) => self,
            (Some(cursor), MessageOrder::OldestFirst) => self.from(cursor),
            (Some(MessageCursor { depth, revision }), MessageOrder::NewestFirst) => {
                self.to(MessageCursor { depth, revision: revision.saturating_sub(1) })
            }
        }
    }
}

/// Messages of a more distant ancestor are older.
fn order_of(place: &MessageCursor) -> (Reverse<u32>, u64) {
    (Reverse(place.depth), place.revision)
}

impl Storage {
    /// Up to `limit` messages in chronological or reverse order: those of its ancestors up to the forks, and its
    /// own. `after` is the last message of the page before.
    pub async fn messages(
        &self,
        session_id: SessionId,
        filter: &MessageFilter,
        order: MessageOrder,
        after: Option<MessageCursor>,
        limit: u32,
    ) -> Result<Vec<PlacedMessage>, StorageError> {
        let mut span = PositionRange::WHOLE.resumed(order, after);
        // Times are whole milliseconds.
        if let Some(before) = filter.since.and_then(|since| Timestamp::from_millis(since.as_millis() - 1))
            && let Some(place) = self.place_by(session_id, before).await?
        {
            span = span.from(place);
        }
        if let Some(until) = filter.until {
            let Some(place) = self.place_by(session_id, until).await? else { return Ok(Vec::new()) };
            span = span.to(place);
        }
        Ok(bound(query_of(order), session_id, filter, span, limit).fetch_all(&self.pool).await?)
    }

    async fn place_by(&self, session_id: SessionId, time: Timestamp) -> Result<Option<MessageCursor>, StorageError> {
        let place: Option<(i32, i64)> =
            sqlx::query_as(PLACE_BY).bind(session_id.0).bind(time.as_datetime()).fetch_optional(&self.pool).await?;
        Ok(place
            .map(|(depth, revision)| MessageCursor { depth: depth.unsigned_abs(), revision: revision.unsigned_abs() }))
    }

    /// The plans with which the database reads a first page of [`Storage::messages`] and finds the position of a
    /// time: `EXPLAIN (ANALYZE, FORMAT JSON)`.
    pub async fn explain_messages(
        &self,
        session_id: SessionId,
        order: MessageOrder,
        time: Timestamp,
        limit: u32,
    ) -> Result<[serde_json::Value; 2], StorageError> {
        let explain = |sql: &str| sqlx::AssertSqlSafe(format!("EXPLAIN (ANALYZE, FORMAT JSON) {sql}"));
        let page = bound(explain(query_of(order)), session_id, &MessageFilter::default(), PositionRange::WHOLE, limit);
        let (Json(page),) = page.fetch_one(&self.pool).await?;
        let place = sqlx::query_as(explain(PLACE_BY)).bind(session_id.0).bind(time.as_datetime());
        let (Json(place),) = place.fetch_one(&self.pool).await?;
        Ok([page, place])
    }
}

fn query_of(order: MessageOrder) -> &'static str {
    match order {
        MessageOrder::OldestFirst => OLDEST_FIRST,
        MessageOrder::NewestFirst => NEWEST_FIRST,
    }
}

/// The whole ancestry, oldest first, from a cursor on.
pub(super) fn history_query(
    session_id: SessionId,
    after: Option<MessageCursor>,
    limit: u32,
) -> QueryAs<'static, Postgres, PlacedMessage, PgArguments> {
    let span = PositionRange::WHOLE.resumed(MessageOrder::OldestFirst, after);
    bound(OLDEST_FIRST, session_id, &MessageFilter::default(), span, limit)
}

fn bound<Row>(
    sql: impl SqlSafeStr,
    session_id: SessionId,
    filter: &MessageFilter,
    PositionRange { after, up_to }: PositionRange,
    limit: u32,
) -> QueryAs<'static, Postgres, Row, PgArguments>
where
    Row: for<'r> FromRow<'r, PgRow>,
{
    sqlx::query_as(sql)
        .bind(session_id.0)
        .bind(i32::try_from(after.depth).unwrap_or(i32::MAX))
        .bind(bigint(after.revision))
        .bind(i32::try_from(up_to.depth).unwrap_or(i32::MAX))
        .bind(bigint(up_to.revision))
        .bind(filter.agent_id.clone())
        .bind(filter.node_id.as_ref().map(|id| id.as_str().to_owned()))
        .bind(i64::from(limit))
}
