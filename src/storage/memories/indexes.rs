//! The indexes that depend on the dimension of embeddings, which is a setting.

use sqlx::AssertSqlSafe;

use crate::storage::{Storage, StorageError};

/// An entry of a B-tree holds at most a third of a page: more numbers than these do not fit.
const COVERED_DIMENSION: u32 = 1_280;

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
        // HNSW rather than `IVFFlat`: `IVFFlat` trained on an empty table recalls badly. Topics make
        // clusters, and between clusters the default of 16 neighbours (and 64 candidates) leaves too few
        // ways: on 100,000 clustered vectors a walk of 200 found 97% of the nearest, with 24 (and 128) all.
        Index {
            name: "idx_memories_embedding",
            definition: format!(
                "USING hnsw ((unit::halfvec({dimension})) halfvec_cosine_ops) WITH (m = 24, ef_construction = 128)
                 WHERE vector_dims(unit) = {dimension}"
            ),
            mark: format!("halfvec({dimension})"),
        },
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
    indexes
}

impl Storage {
    /// Makes the indexes for this dimension, in place of those for another one.
    pub(in crate::storage) async fn ensure_memory_indexes(&self, dimension: u32) -> Result<(), StorageError> {
        let current: Vec<(String, String)> = sqlx::query_as(
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema() AND tablename = 'memories'",
        )
        .fetch_all(&self.pool)
        .await?;
        let wanted = indexes(dimension);
        for name in ["idx_memories_embedding", "idx_memories_other_dimension", "idx_memories_group_unit"] {
            let held = current.iter().find(|(held, _)| held == name).map(|(_, definition)| definition);
            let wanted = wanted.iter().find(|index| index.name == name);
            if let (Some(held), Some(wanted)) = (held, wanted)
                && held.contains(&wanted.mark)
            {
                continue;
            }
            let create = wanted
                .map(|Index { definition, .. }| format!("CREATE INDEX IF NOT EXISTS {name} ON memories {definition};"));
            // In one message, which is one transaction: searches find the one or the other.
            let sql = format!("DROP INDEX IF EXISTS {name}; {}", create.unwrap_or_default());
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.pool).await?;
        }
        Ok(())
    }
}
