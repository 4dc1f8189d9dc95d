//! The indexes that depend on the dimension of embeddings, which is a setting.
//!
//! Over few memories they are made together with the schema. Over many that would keep everybody away
//! from the table for minutes; so each is built beside what goes on (`CONCURRENTLY`) under another name,
//! and takes the place of the old one when it is complete. Until then, a search that would go through
//! the index compares row by row.

use std::time::Duration;

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use crate::storage::locks::try_lock;
use crate::storage::{Storage, StorageError};
use relive_backoff::Backoff;

/// An HNSW index takes vectors in half precision of at most so many numbers. Longer ones are compared
/// row by row, always.
pub(super) const INDEXED_DIMENSION: u32 = 4_000;
/// An entry of a B-tree holds at most a third of a page: more numbers than these do not fit.
const COVERED_DIMENSION: u32 = 1_280;
const NAMES: [&str; 3] = ["idx_memories_embedding", "idx_memories_other_dimension", "idx_memories_group_unit"];
/// What an index is called until it is complete.
const BUILT: &str = "_next";
/// So many numbers in all embeddings together, and so many embeddings, are indexed within a second.
const FEW_NUMBERS: u32 = 400_000;
const FEW: u32 = 2_000;

/// Held by the one server that builds.
const BUILD_LOCK: i64 = 0x7265_6c69_7666;
/// How often the others look whether it has finished.
const OTHERS: Duration = Duration::from_secs(2);
const FIRST_RETRY: Duration = Duration::from_secs(2);
const LAST_RETRY: Duration = Duration::from_mins(5);
/// A build takes the time that it takes. Exchanging two indexes waits for nobody longer than this, as
/// everybody else would wait behind it.
const SETTINGS: &str = "SET statement_timeout = 0; SET lock_timeout = '2s'; SET client_min_messages = warning";

/// An index, and what stands behind its `CREATE INDEX`.
struct Index {
    name: &'static str,
    definition: String,
    /// A part of the definition as PostgreSQL repeats it, by which a current one is told from one of
    /// another dimension, or of an earlier version.
    mark: String,
}

fn indexes(dimension: u32) -> Vec<Index> {
    let mut indexes = vec![
        // What is to be embedded anew; see `unembedded`.
        Index {
            name: "idx_memories_other_dimension",
            definition: format!("(embed_after) WHERE vector_dims(unit) <> {dimension}"),
            mark: format!("<> {dimension})"),
        },
    ];
    if dimension <= COVERED_DIMENSION {
        // A group's vectors side by side, so that comparing them all need not touch the table.
        indexes.push(Index {
            name: "idx_memories_group_unit",
            definition: format!(
                "(group_id) INCLUDE (id, unit) WHERE vector_dims(unit) = {dimension} AND group_id IS NOT NULL"
            ),
            mark: format!("= {dimension})"),
        });
    }
    if dimension <= INDEXED_DIMENSION {
        // HNSW rather than `IVFFlat`: `IVFFlat` trained on an empty table recalls badly. Topics make
        // clusters, and between clusters the default of 16 neighbours (and 64 candidates) leaves too few
        // strategies: on 100,000 clustered vectors a walk of 200 found 97% of the nearest, with 24 (and 128) all.
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

/// What is to be done about one name.
struct Change {
    name: &'static str,
    /// `None`: there is to be no such index for this dimension.
    definition: Option<String>,
}

/// What differs from what this dimension wants. An index that was left invalid counts as none.
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

/// Makes the indexes for this dimension, in place of those for another one, if that takes no time
/// worth mentioning. Says whether that is left to be done.
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
    /// Makes the indexes for this dimension beside what goes on, however often that takes.
    pub(in crate::storage) fn build_memory_indexes(&self, dimension: u32) {
        let storage = self.clone();
        self.tasks.spawn(async move {
            let mut backoff = Backoff::new(FIRST_RETRY, LAST_RETRY);
            while let Err(error) = storage.try_build(dimension).await {
                tracing::warn!(%error, "cannot make the indexes over embeddings now; still trying");
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
            tracing::info!(index = change.name, dimension, "making an index over embeddings anew");
            let began = tokio::time::Instant::now();
            build(&mut connection, &change).await?;
            let seconds = began.elapsed().as_secs_f64().round();
            tracing::info!(index = change.name, seconds, "the index over embeddings is there");
        }
        Ok(())
    }
}

async fn build(connection: &mut PgConnection, Change { name, definition }: &Change) -> Result<(), StorageError> {
    // What a build that was cut off has left behind is invalid, and of no use.
    let mut statements = vec![format!("DROP INDEX CONCURRENTLY IF EXISTS {name}{BUILT}")];
    if let Some(definition) = definition {
        statements.push("SET lock_timeout = 0".to_owned());
        statements.push(format!("CREATE INDEX CONCURRENTLY {name}{BUILT} ON memories {definition}"));
        statements.push("SET lock_timeout = '2s'".to_owned());
        // In one message, which is one transaction: searches find the one or the other.
        statements.push(format!("DROP INDEX IF EXISTS {name}; ALTER INDEX {name}{BUILT} RENAME TO {name}"));
    } else {
        statements.push(format!("DROP INDEX CONCURRENTLY IF EXISTS {name}"));
    }
    for statement in statements {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *connection).await?;
    }
    Ok(())
}
