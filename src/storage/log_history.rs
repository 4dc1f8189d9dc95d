//! Pages of log lines along the ancestry of a fork, in the order of recording, from either end.
//!
//! A page that is filtered may have to look at many lines for one that is wanted. It looks at a limited number of
//! revisions and says where to go on, so no page takes long, however many lines a run has.

use serde_json::Value;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::QueryAs;
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, FromRow, Postgres, Row as _, SqlSafeStr};

use super::bigint::bigint;
use super::logs::{log_columns, read_log};
use super::memories::containing;
use super::message_history::PositionRange;
use super::messages::{MessageCursor, MessageOrder};
use super::{Storage, StorageError};
use relive_session::{Log, LogLevel, NodeId, Revision, SessionId};

/// Which log lines of a session to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFilter {
    pub node_id: Option<NodeId>,
    /// This level and those above it.
    pub level: Option<LogLevel>,
    /// In the line's text, ignoring case.
    pub text: Option<String>,
}

impl LogFilter {
    /// Whether lines are looked at that are not on the page.
    fn searches(&self) -> bool {
        self.level.is_some() || self.text.is_some()
    }
}

/// A log line with the history that it belongs to: that of the session itself (depth 0) or of an ancestor.
#[derive(Clone, Debug, PartialEq)]
pub struct PlacedLog {
    pub depth: u32,
    pub log: Log,
}

impl PlacedLog {
    #[must_use]
    pub fn cursor(&self) -> MessageCursor {
        MessageCursor { depth: self.depth, revision: self.log.revision }
    }
}

impl FromRow<'_, PgRow> for PlacedLog {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self { depth: row.try_get::<i32, _>("depth")?.unsigned_abs(), log: read_log(row)? })
    }
}

/// A page of log lines. It may have fewer lines than were asked for, even none, although there are more.
#[derive(Clone, Debug, PartialEq)]
pub struct LogLines {
    pub logs: Vec<Log>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<MessageCursor>,
}

/// Revisions that one page looks through at most, if it searches.
const SEARCHED: u64 = 200_000;

/// The lines of session `$1` and of its ancestors up to the revisions where the forks were made: after the position
/// (`$2`, `$3`) and up to the position (`$4`, `$5`).
macro_rules! line {
    ($by_depth:literal, $by_revision:literal) => {
        concat!(
            "WITH line AS (
                SELECT depth, ancestor_id, revision AS up_to FROM session_lineage WHERE session_id = $1
                UNION ALL SELECT 0, $1, 9223372036854775807
            ), wanted AS (
                SELECT depth, ancestor_id, CASE WHEN depth = $4 THEN LEAST(up_to, $5) ELSE up_to END AS up_to,
                       CASE WHEN depth = $2 THEN $3 ELSE 0 END AS after
                FROM line WHERE depth BETWEEN $4 AND $2 ORDER BY depth ",
            $by_depth,
            ")
            SELECT depth, found.* FROM wanted CROSS JOIN LATERAL (
                (SELECT session_id, revision, ",
            log_columns!(),
            "    FROM session_logs AS log
                 WHERE session_id = ancestor_id AND revision <= up_to AND revision > after
                   AND ($6::text IS NULL OR node_id = $6) AND level >= $7 AND ($8::text IS NULL OR text ILIKE $8)
                 ORDER BY revision ",
            $by_revision,
            " LIMIT $9)
                UNION ALL
                (SELECT ancestors.session_id, revision, ",
            log_columns!(),
            "    FROM ancestor_logs AS log JOIN ancestors ON ancestors.id = log.ancestor_id
                 WHERE log.ancestor_id = wanted.ancestor_id AND revision <= up_to AND revision > after
                   AND ($6::text IS NULL OR node_id = $6) AND level >= $7 AND ($8::text IS NULL OR text ILIKE $8)
                 ORDER BY revision ",
            $by_revision,
            " LIMIT $9)
            ) AS found
            ORDER BY depth ",
            $by_depth,
            ", revision ",
            $by_revision,
            " LIMIT $9"
        )
    };
}

const OLDEST_FIRST: &str = line!("DESC", "ASC");
const NEWEST_FIRST: &str = line!("ASC", "DESC");

/// The histories of a session and its ancestors, by depth, each up to the revision that belongs to its line.
const LENGTHS: &str = "SELECT depth, revision FROM session_lineage WHERE session_id = $1
    UNION ALL SELECT 0, revision FROM sessions WHERE id = $1 ORDER BY depth";

impl Storage {
    /// Up to `limit` lines, in the order of recording or the reverse: those of its ancestors up to the forks, and
    /// its own. `after` is where the page before ended.
    pub async fn logs(
        &self,
        session_id: SessionId,
        filter: &LogFilter,
        order: MessageOrder,
        after: Option<MessageCursor>,
        limit: u32,
    ) -> Result<LogLines, StorageError> {
        let mut span = PositionRange::WHOLE.resumed(order, after);
        let mut cut = None;
        if filter.searches() {
            let rows: Vec<(i32, i64)> = sqlx::query_as(LENGTHS).bind(session_id.0).fetch_all(&self.pool).await?;
            let lengths = rows.into_iter().map(|(depth, up_to)| (depth.unsigned_abs(), up_to.unsigned_abs())).collect();
            (span, cut) = within(span, lengths, order, SEARCHED);
        }
        // Filters differ by orders of magnitude in their selectivity, so plans are not cached.
        let query = bound(query_of(order), session_id, filter, span, limit + 1).persistent(false);
        let mut found: Vec<PlacedLog> = query.fetch_all(&self.pool).await?;
        let has_more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let next = if has_more { found.last().map(PlacedLog::cursor) } else { cut };
        Ok(LogLines { logs: found.into_iter().map(|placed| placed.log).collect(), next })
    }
}

impl Storage {
    /// The plan with which the database reads a first page of [`Storage::logs`]: `EXPLAIN (ANALYZE, FORMAT JSON)`.
    pub async fn explain_logs(
        &self,
        session_id: SessionId,
        filter: &LogFilter,
        order: MessageOrder,
        limit: u32,
    ) -> Result<Value, StorageError> {
        let sql = AssertSqlSafe(format!("EXPLAIN (ANALYZE, FORMAT JSON) {}", query_of(order)));
        let (Json(plan),) =
            bound(sql, session_id, filter, PositionRange::WHOLE, limit).persistent(false).fetch_one(&self.pool).await?;
        Ok(plan)
    }
}

/// The part of a range that is looked through at once, and the cursor that goes on behind it.
fn within(
    span: PositionRange,
    mut lengths: Vec<(u32, Revision)>,
    order: MessageOrder,
    mut left: u64,
) -> (PositionRange, Option<MessageCursor>) {
    if order == MessageOrder::OldestFirst {
        lengths.reverse();
    }
    for (depth, up_to) in lengths {
        if depth > span.after.depth || depth < span.up_to.depth {
            continue;
        }
        let bottom = if depth == span.after.depth { span.after.revision } else { 0 };
        let top = if depth == span.up_to.depth { up_to.min(span.up_to.revision) } else { up_to };
        let length = top.saturating_sub(bottom);
        if length <= left {
            left -= length;
            continue;
        }
        return match order {
            MessageOrder::OldestFirst => {
                let place = MessageCursor { depth, revision: bottom + left };
                (span.to(place), Some(place))
            }
            MessageOrder::NewestFirst => {
                let place = MessageCursor { depth, revision: top - left };
                // A cursor names the line before the next.
                (span.from(place), Some(MessageCursor { revision: place.revision + 1, ..place }))
            }
        };
    }
    (span, None)
}

/// The whole ancestry, oldest first, from a cursor on.
pub(super) fn history_query(
    session_id: SessionId,
    after: Option<MessageCursor>,
    limit: u32,
) -> QueryAs<'static, Postgres, PlacedLog, PgArguments> {
    let span = PositionRange::WHOLE.resumed(MessageOrder::OldestFirst, after);
    bound(OLDEST_FIRST, session_id, &LogFilter::default(), span, limit)
}

fn query_of(order: MessageOrder) -> &'static str {
    match order {
        MessageOrder::OldestFirst => OLDEST_FIRST,
        MessageOrder::NewestFirst => NEWEST_FIRST,
    }
}

fn bound<Row>(
    sql: impl SqlSafeStr,
    session_id: SessionId,
    filter: &LogFilter,
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
        .bind(filter.node_id.as_ref().map(|id| id.as_str().to_owned()))
        .bind(filter.level.map_or(0, LogLevel::rank))
        .bind(filter.text.as_deref().map(containing))
        .bind(i64::from(limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Page by page, in either order, every position is looked at once.
    #[test]
    fn a_search_goes_through_a_whole_line_in_steps() {
        let lengths = vec![(0, 7), (1, 5), (2, 1), (3, 4)];
        for order in [MessageOrder::OldestFirst, MessageOrder::NewestFirst] {
            for step in 1..20 {
                let mut seen = Vec::new();
                let mut after = None;
                for page in 0.. {
                    assert!(page < 20, "it does not end");
                    let (span, next) = within(PositionRange::WHOLE.resumed(order, after), lengths.clone(), order, step);
                    let is_in = |depth: u32, revision: u64| {
                        let position = |place: MessageCursor| (u32::MAX - place.depth, place.revision);
                        let at = position(MessageCursor { depth, revision });
                        position(span.after) < at && at <= position(span.up_to)
                    };
                    let positions = lengths.iter().rev().flat_map(|(depth, up_to)| (1..=*up_to).map(|n| (*depth, n)));
                    let looked_at: Vec<_> = positions.filter(|(depth, n)| is_in(*depth, *n)).collect();
                    assert!(looked_at.len() as u64 <= step, "{order:?}, {step}: {looked_at:?}");
                    seen.extend(looked_at);
                    after = next;
                    if after.is_none() {
                        break;
                    }
                }
                seen.sort_unstable();
                let all: Vec<_> = lengths.iter().flat_map(|(depth, up_to)| (1..=*up_to).map(|n| (*depth, n))).collect();
                assert_eq!(seen, all, "{order:?}, {step}");
            }
        }
    }
}
