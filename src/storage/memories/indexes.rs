//! The indexes that depend on the dimension of embeddings, which is a setting.
//!
//! If there are few memories, they are built together with the schema. Otherwise that would lock the table for
//! minutes; so each index is built concurrently (`CONCURRENTLY`) under another name, and replaces the old one
//! when it is complete. Until then, a search that would use the index compares row by row.

use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use crate::storage::locks::try_lock;
use crate::storage::{Storage, StorageError};
use relive_backoff::Backoff;

/// An HNSW index takes vectors in half precision of at most this many numbers. Longer ones are always
/// compared row by row.
pub(super) const INDEXED_DIMENSION: u32 = 4_000;
/// An entry of a B-tree holds at most a third of a page: longer vectors do not fit.
const COVERED_DIMENSION: u32 = 1_280;
const NAMES: [&str; 3] = ["idx_memories_embedding", "idx_memories_other_dimension", "idx_memories_group_unit"];
/// The name of an index until it is complete.
const BUILT: &str = "_next";
/// This many numbers in all embeddings together, and this many embeddings, are indexed within a second.
const FEW_NUMBERS: u32 = 400_000;
const FEW: u32 = 2_000;

/// The advisory lock of the server that builds.
const BUILD_LOCK: i64 = 0x7265_6c69_7666;
/// How often the others check whether it has finished.
const OTHERS: Duration = Duration::from_secs(2);
const FIRST_RETRY: Duration = Duration::from_secs(2);
const LAST_RETRY: Duration = Duration::from_mins(5);
/// Building has no time limit. Exchanging two indexes waits for a lock no longer than this, since all other
/// statements would queue behind it.
const SETTINGS: &str = "SET statement_timeout = 0; SET lock_timeout = '2s'; SET client_min_messages = warning";

/// An index, and the part of its definition after `CREATE INDEX`.
struct Index {
    name: &'static str,
    definition: String,
    /// A part of the definition as PostgreSQL prints it, which distinguishes a current index from one of another
    /// dimension, or of an earlier version.
    mark: String,
}

fn indexes(dimension: u32) -> Vec<Index> {
    let mut indexes = vec![
        // Memories to be embedded again; see `unembedded`.
        Index {
            name: "idx_memories_other_dimension",
            definition: format!("(embed_after) WHERE vector_dims(unit) <> {dimension}"),
            mark: format!("<> {dimension})"),
        },
    ];
    if dimension <= COVERED_DIMENSION {
        // A group's vectors side by side, so that comparing all of them does not touch the table.
        indexes.push(Index {
            name: "idx_memories_group_unit",
            definition: format!(
                "(group_id) INCLUDE (id, unit) WHERE vector_dims(unit) = {dimension} AND group_id IS NOT NULL"
            ),
            mark: format!("= {dimension})"),
        });
    }
    if dimension <= INDEXED_DIMENSION {
        // HNSW rather than `IVFFlat`, which has a poor recall when trained on an empty table. With the default
        // of 16 neighbours (and 64 candidates) there are too few paths between clusters of topics: on 100,000
        // clustered vectors a scan of 200 found 97% of the nearest, with 24 (and 128) all.
        indexes.push(Index {
            name: "idx_memories_embedding",
            definition: format!(
                "USING hnsw ((unit::halfvec({dimension})) halfvec_cosine_ops) WITH (m = 24, ef_construction = 128)
                 WHERE vector_dims(unit) = {dimension}"
            ),
            mark: format!("halfvec({dimension})"),
        });
    }
    indexes
}

/// The change needed for one name.
struct Change {
    name: &'static str,
    /// `None`: no such index for this dimension.
    definition: Option<String>,
}

/// The differences from what this dimension needs. An index that was left invalid counts as missing.
async fn changes(connection: &mut PgConnection, dimension: u32) -> Result<Vec<Change>, StorageError> {
    let held: Vec<(String, String, bool)> = sqlx::query_as(
        "SELECT i.relname::text, pg_get_indexdef(i.oid), x.indisvalid FROM pg_index x
         JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = 'memories'::regclass",
    )
    .fetch_all(connection)
    .await?;
    let mut wanted = indexes(dimension);
    let changes = NAMES.into_iter().filter_map(|name| {
        let wanted = wanted.iter().position(|index| index.name == name).map(|at| wanted.swap_remove(at));
        let held = held.iter().find(|(held, ..)| held == name);
        let is_current = match (&wanted, held) {
            (None, None) => true,
            (Some(wanted), Some((_, definition, is_valid))) => *is_valid && definition.contains(&wanted.mark),
            _ => false,
        };
        (!is_current).then(|| Change { name, definition: wanted.map(|index| index.definition) })
    });
    Ok(changes.collect())
}

/// Builds the indexes for this dimension, replacing those for another one, if that is fast. Returns
/// whether it remains to be done in the background.
pub(in crate::storage) async fn change_small(
    connection: &mut PgConnection,
    dimension: u32,
) -> Result<bool, StorageError> {
    let changes = changes(connection, dimension).await?;
    if changes.is_empty() {
        return Ok(false);
    }
    let few = i64::from(FEW.min(FEW_NUMBERS / dimension.max(1)));
    let counted: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM (SELECT FROM memories WHERE embedding IS NOT NULL LIMIT $1 + 1) AS counted",
    )
    .bind(few)
    .fetch_one(&mut *connection)
    .await?;
    if counted > few {
        return Ok(true);
    }
    for Change { name, definition } in changes {
        let create = definition.map(|definition| format!("CREATE INDEX {name} ON memories {definition};"));
        let sql = format!("DROP INDEX IF EXISTS {name}{BUILT}, {name}; {}", create.unwrap_or_default());
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await?;
    }
    Ok(false)
}

impl Storage {
    /// Builds the indexes for this dimension in the background, with retries.
    pub(in crate::storage) fn build_memory_indexes(&self, dimension: u32) {
        let storage = self.clone();
        self.tasks.spawn(async move {
            let mut backoff = Backoff::new(FIRST_RETRY, LAST_RETRY);
            while let Err(error) = storage.try_build(dimension).await {
                tracing::warn!(%error, "cannot build the indexes over embeddings; retrying");
                tokio::time::sleep(backoff.next_wait()).await;
            }
        });
    }

    async fn try_build(&self, dimension: u32) -> Result<(), StorageError> {
        let mut connection = self.pool.link().open(SETTINGS).await?.connection;
        while !try_lock(&mut connection, BUILD_LOCK).await? {
            tokio::time::sleep(OTHERS).await;
        }
        for change in changes(&mut connection, dimension).await? {
            tracing::info!(index = change.name, dimension, "rebuilding an index over embeddings");
            let began = tokio::time::Instant::now();
            build(&mut connection, &change).await?;
            let seconds = began.elapsed().as_secs_f64().round();
            tracing::info!(index = change.name, seconds, "the index over embeddings is complete");
        }
        Ok(())
    }
}

async fn build(connection: &mut PgConnection, Change { name, definition }: &Change) -> Result<(), StorageError> {
    // An index that an interrupted build has left behind is invalid.
    let mut statements = vec![format!("DROP INDEX CONCURRENTLY IF EXISTS {name}{BUILT}")];
    if let Some(definition) = definition {
        statements.push("SET lock_timeout = 0".to_owned());
        statements.push(format!("CREATE INDEX CONCURRENTLY {name}{BUILT} ON memories {definition}"));
        statements.push("SET lock_timeout = '2s'".to_owned());
        // In one message, which is one transaction: searches see the one or the other.
        statements.push(format!("DROP INDEX IF EXISTS {name}; ALTER INDEX {name}{BUILT} RENAME TO {name}"));
    } else {
        statements.push(format!("DROP INDEX CONCURRENTLY IF EXISTS {name}"));
    }
    for statement in statements {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *connection).await?;
    }
    Ok(())
}
