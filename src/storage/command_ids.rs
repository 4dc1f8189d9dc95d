//! How long command ids are known: for as long as their session runs, and for some time after its last change.

use std::time::Duration;

use sqlx::Row as _;
use uuid::Uuid;

use super::{Storage, StorageError};

/// Sessions that one statement looks at, and command ids that it deletes, at most.
const SESSIONS: i32 = 500;
const PRUNED: i64 = 2_000;

/// Goes through the sessions that have command ids, one look-up for each: sessions without any cost nothing, so a
/// table of old sessions is not read again and again.
const PRUNE: &str = "
WITH RECURSIVE visited (session_id, number) AS (
    (SELECT session_id, 1 FROM session_commands WHERE session_id > $1 ORDER BY session_id LIMIT 1)
    UNION ALL
    SELECT next.session_id, number + 1
    FROM visited, LATERAL (
        SELECT session_id FROM session_commands AS commands
        WHERE commands.session_id > visited.session_id ORDER BY session_id LIMIT 1) AS next
    WHERE number < $2
), expired AS MATERIALIZED (
    SELECT session_id FROM visited JOIN sessions ON sessions.id = session_id
    WHERE ended_at IS NOT NULL AND updated_at < now() - make_interval(secs => $3)
), deleted AS (
    DELETE FROM session_commands WHERE ctid = ANY(ARRAY(
        SELECT commands.ctid FROM expired JOIN session_commands AS commands USING (session_id) LIMIT $4))
    RETURNING 1
)
SELECT (SELECT session_id FROM visited ORDER BY number DESC LIMIT 1) AS last, (SELECT count(*) FROM deleted) AS deleted";

impl Storage {
    /// Whether this server is to prune command ids now: true once in each span of `every`, for one server.
    pub async fn claim_command_pruning(&self, every: Duration) -> Result<bool, StorageError> {
        let claimed = sqlx::query(
            "INSERT INTO settings AS held (name, value) VALUES ('command_ids_pruned', 'null')
             ON CONFLICT (name) DO UPDATE SET changed_at = now()
             WHERE held.changed_at <= now() - make_interval(secs => $1)",
        )
        .bind(every.as_secs_f64())
        .execute(&self.pool)
        .await?;
        Ok(claimed.rows_affected() > 0)
    }

    /// Deletes some command ids of sessions that have ended, and have not changed for `kept`, behind the session
    /// `after`. Returns where to go on; `None` at the end.
    pub async fn prune_commands(&self, after: Uuid, kept: Duration) -> Result<Option<Uuid>, StorageError> {
        let pruned =
            sqlx::query(PRUNE).bind(after).bind(SESSIONS).bind(kept.as_secs_f64()).bind(PRUNED).fetch_one(&self.pool);
        let pruned = pruned.await?;
        if pruned.try_get::<i64, _>("deleted")? >= PRUNED {
            return Ok(Some(after));
        }
        Ok(pruned.try_get("last")?)
    }
}
