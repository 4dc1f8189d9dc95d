//! The indexes over memories. Most depend on the dimension of embeddings, which is a setting. Until one is
//! complete, a search that would use it compares row by row.

use std::time::Duration;

use sqlx::postgres::PgConnection;

use crate::storage::indexes::{Index, SETTINGS, build_at_once, build_concurrently, outdated};
use crate::storage::locks::try_lock;
use crate::storage::{Storage, StorageError};
use relive_backoff::Backoff;

/// An HNSW index takes vectors in half precision of at most this many numbers. Longer ones are always
/// compared row by row.
pub(super) const INDEXED_DIMENSION: u32 = 4_000;
/// An entry of a B-tree holds at most a third of a page: longer vectors do not fit.
const COVERED_DIMENSION: u32 = 1_280;
/// This many numbers in all embeddings together, and this many embeddings, are indexed within a second.
const FEW_NUMBERS: u32 = 400_000;
const FEW: u32 = 2_000;

/// The advisory lock of the server that builds.
const BUILD_LOCK: i64 = 0x7265_6c69_7666;
/// How often the others check whether it has finished.
const OTHERS: Duration = Duration::from_secs(2);
const FIRST_RETRY: Duration = Duration::from_secs(2);
const LAST_RETRY: Duration = Duration::from_mins(5);

fn indexes(dimension: u32) -> Vec<Index> {
    let index = |name, definition: Option<String>, mark: String| Index { table: "memories", name, definition, mark };
    let listed = |name, leading: &str| {
        let columns = format!("{leading}created_at DESC, id DESC)");
        index(name, Some(columns.clone()), columns)
    };
    // A group's vectors side by side, so that comparing all of them does not touch the table.
    let group = (dimension <= COVERED_DIMENSION).then(|| {
        format!("(group_id) INCLUDE (id, unit) WHERE vector_dims(unit) = {dimension} AND group_id IS NOT NULL")
    });
    // HNSW rather than `IVFFlat`, which has a poor recall when trained on an empty table. With the default
    // of 16 neighbours (and 64 candidates) there are too few paths between clusters of topics: on 100,000
    // clustered vectors a scan of 200 found 97% of the nearest, with 24 (and 128) all.
    let embedding = (dimension <= INDEXED_DIMENSION).then(|| {
        format!(
            "USING hnsw ((unit::halfvec({dimension})) halfvec_cosine_ops) WITH (m = 24, ef_construction = 128)
             WHERE vector_dims(unit) = {dimension}"
        )
    });
    // Memories to be embedded again; see `unembedded`.
    let other = format!("(embed_after) WHERE vector_dims(unit) <> {dimension}");
    vec![
        // Those of a small project among many, and pages of all of them, of a group's and of an agent's.
        listed("idx_memories_listed", "(project_id, "),
        listed("idx_memories_group_listed", "(group_id, "),
        listed("idx_memories_agent_listed", "(project_id, agent_id, "),
        // Earlier versions had this one in place of the first.
        index("idx_memories_project", None, String::new()),
        index("idx_memories_other_dimension", Some(other), format!("<> {dimension})")),
        index("idx_memories_group_unit", group, format!("= {dimension})")),
        index("idx_memories_embedding", embedding, format!("halfvec({dimension})")),
    ]
}

async fn changes(connection: &mut PgConnection, dimension: u32) -> Result<Vec<Index>, StorageError> {
    outdated(connection, indexes(dimension)).await
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
    for index in &changes {
        build_at_once(connection, index).await?;
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
        for index in changes(&mut connection, dimension).await? {
            tracing::info!(index = index.name, dimension, "rebuilding an index over embeddings");
            let began = tokio::time::Instant::now();
            build_concurrently(&mut connection, &index).await?;
            let seconds = began.elapsed().as_secs_f64().round();
            tracing::info!(index = index.name, seconds, "the index over embeddings is complete");
        }
        Ok(())
    }
}
