//! The indexes of lists: each begins with the project, and continues in the order of the list.

use std::time::Duration;

use sqlx::postgres::PgConnection;

use super::backfill::{backfill, backfill_gently};
use crate::storage::indexes::{Index, SETTINGS, build_at_once, build_concurrently, outdated};
use crate::storage::locks::try_lock;
use crate::storage::{Storage, StorageError};
use relive_backoff::Backoff;

/// This many sessions are indexed within a second.
const FEW: i64 = 10_000;
/// The advisory lock of the server that builds.
const BUILD_LOCK: i64 = 0x7265_6c69_7667;
/// How often the others check whether it has finished.
const OTHERS: Duration = Duration::from_secs(2);
const FIRST_RETRY: Duration = Duration::from_secs(2);
const LAST_RETRY: Duration = Duration::from_mins(5);

/// What every index of lists begins with; one of an earlier version does not have its mark.
const PROJECT: &str = "(project_id";

/// The name, the definition and the mark of each index. No column that a change of a running session changes is in one,
/// nor in a condition of one: each change would add an entry to every index of the table.
///
/// The statuses of nodes are in an index only once a session has ended; others are few, and are scanned
/// (`idx_sessions_live`).
const INDEXES: [(&str, &str, &str); 13] = [
    ("idx_sessions_created", "(project_id, created_at DESC, id DESC)", PROJECT),
    ("idx_sessions_status", "(project_id, status, created_at DESC, id DESC)", PROJECT),
    ("idx_sessions_updated", "(project_id, updated_about)", "updated_about"),
    ("idx_sessions_started", "(project_id, started_at)", PROJECT),
    ("idx_sessions_ended", "(project_id, ended_at) WHERE ended_at IS NOT NULL", PROJECT),
    ("idx_sessions_live", "(project_id, created_at DESC, id DESC) WHERE ended_nodes IS NULL", "ended_nodes"),
    ("idx_sessions_ended_node_statuses", "USING gin (ended_nodes) WHERE ended_nodes IS NOT NULL", "ended_nodes"),
    ("idx_sessions_errors", "(project_id, created_at DESC, id DESC) WHERE error IS NOT NULL", PROJECT),
    ("idx_sessions_forks", "(project_id, created_at DESC, id DESC) WHERE parent_id IS NOT NULL", PROJECT),
    ("idx_sessions_own_graph", "(project_id, created_at DESC, id DESC) WHERE workflow_id IS NULL", PROJECT),
    ("idx_sessions_roots", "(project_id, created_at DESC, id DESC) WHERE parent_session_id IS NULL", PROJECT),
    ("idx_sessions_stalled", "(project_id, created_at DESC, id DESC) WHERE is_stalled", PROJECT),
    // Of the built-in engine: the sessions that somebody has to drive (`run_leases.rs`).
    (
        "idx_sessions_driven",
        "(is_parked, created_at) WHERE driver = 'builtin' AND status IN ('running', 'paused')",
        "(is_parked",
    ),
];

/// The indexes over columns that rows of earlier versions lack.
const BACKFILLED: [&str; 3] = ["idx_sessions_updated", "idx_sessions_live", "idx_sessions_ended_node_statuses"];

async fn changes(connection: &mut PgConnection) -> Result<Vec<Index>, StorageError> {
    let index = |(name, definition, mark): (&'static str, &str, &str)| Index {
        table: "sessions",
        name,
        definition: Some(definition.to_owned()),
        mark: mark.to_owned(),
    };
    outdated(connection, INDEXES.into_iter().map(index).collect()).await
}

/// Whether rows have to be brought up to date before these indexes are built. Afterwards it would cost an entry in
/// every index for each row.
fn need_backfill(changes: &[Index]) -> bool {
    changes.iter().any(|index| BACKFILLED.contains(&index.name))
}

/// Builds the indexes that are not there, if that is fast. Returns whether it remains to be done in the
/// background; until then, those of an earlier version are used.
pub(in crate::storage) async fn change_small(connection: &mut PgConnection) -> Result<bool, StorageError> {
    let changes = changes(connection).await?;
    if changes.is_empty() {
        return Ok(false);
    }
    let counted: i64 = sqlx::query_scalar("SELECT count(*) FROM (SELECT FROM sessions LIMIT $1 + 1) AS counted")
        .bind(FEW)
        .fetch_one(&mut *connection)
        .await?;
    if counted > FEW {
        return Ok(true);
    }
    if need_backfill(&changes) {
        backfill(connection).await?;
    }
    for index in &changes {
        build_at_once(connection, index).await?;
    }
    Ok(false)
}

impl Storage {
    /// Builds the indexes of lists in the background, with retries.
    pub(in crate::storage) fn build_list_indexes(&self) {
        let storage = self.clone();
        self.tasks.spawn(async move {
            let mut backoff = Backoff::new(FIRST_RETRY, LAST_RETRY);
            while let Err(error) = storage.try_build_lists().await {
                tracing::warn!(%error, "cannot build the indexes of lists; retrying");
                tokio::time::sleep(backoff.next_wait()).await;
            }
        });
    }

    async fn try_build_lists(&self) -> Result<(), StorageError> {
        let mut connection = self.pool.link().open(SETTINGS).await?.connection;
        while !try_lock(&mut connection, BUILD_LOCK).await? {
            tokio::time::sleep(OTHERS).await;
        }
        let changes = changes(&mut connection).await?;
        if need_backfill(&changes) {
            backfill_gently(&mut connection).await?;
        }
        for index in changes {
            tracing::info!(index = index.name, "rebuilding an index of lists");
            let began = tokio::time::Instant::now();
            build_concurrently(&mut connection, &index).await?;
            let seconds = began.elapsed().as_secs_f64().round();
            tracing::info!(index = index.name, seconds, "the index of lists is complete");
        }
        Ok(())
    }
}
