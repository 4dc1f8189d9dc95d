//! Searching by vector: cosine distance, nearest first.
//!
//! The HNSW index knows nothing of scopes. It walks the whole table from near to far, and rows
//! outside the scope are thrown away afterwards; with a small group in a large table the walk ends
//! before it has met the group at all. So there are two ways:
//!
//! - *A scope of few rows* is compared row by row, through the index of its group, agent or session.
//!   That is exact, and takes time in proportion to the scope alone.
//! - *A large scope, or none,* goes through the HNSW index with pgvector's iterative scan: it walks on
//!   until it has found enough rows of the scope. If it gives up before that, the scope is compared
//!   row by row after all: a full answer late rather than a short one.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{FromRow as _, QueryBuilder, Row as _};

use super::{COLUMNS, MemoryScope, Nearness};
use crate::session::Memory;
use crate::storage::{Storage, StorageError};

/// Begins a search.
///
/// - Scopes differ in size by orders of magnitude, so a plan made for one must not serve another.
/// - A search that takes very long is ended, rather than keeping a connection busy for a client
///   that has gone.
/// - `ef_search` is how wide the walk is: wider than the default 40, since recall matters more here than
///   the last millisecond. `relaxed_order` lets later parts of the walk return rows nearer than
///   earlier ones; the order is made afterwards. The walk may visit 40,000 rows (default 20,000) in 8
///   times `work_mem` before it gives up.
pub(super) const BEGIN: &str = "BEGIN; SET LOCAL plan_cache_mode = force_custom_plan;
    SET LOCAL statement_timeout = '10s'; SET LOCAL hnsw.iterative_scan = relaxed_order;
    SET LOCAL hnsw.ef_search = 200; SET LOCAL hnsw.max_scan_tuples = 40000; SET LOCAL hnsw.scan_mem_multiplier = 8";

/// A scope is small when all its vectors together have at most this many numbers: 10,000 rows of 384.
/// Measured there on two busy cores, comparing takes about 5 µs a row (50 ms for 10,000), counting up to
/// the bound 0.5 ms, and a walk through the index 0.5 to 7 ms. So beyond this, exactness costs more
/// than it gives; below it, nobody waits for it.
const EXACT_NUMBERS: usize = 4_000_000;
/// And it has at most this many rows, however short their vectors: a row has a price of its own.
const EXACT_ROWS: usize = 20_000;

impl Storage {
    /// The memories of a scope nearest to `embedding` (checked before), nearest first. A score is
    /// the cosine of the angle between them: 1 is identical, -1 the opposite.
    ///
    /// # Errors
    ///
    /// When the database is away, or too busy to search.
    pub async fn nearest_memories(
        &self,
        scope: &MemoryScope,
        embedding: &[f32],
        nearness: Nearness,
    ) -> Result<Vec<Memory>, StorageError> {
        let mut transaction = self.pool.begin_with(BEGIN).await?;
        let search = Search { scope, embedding, limit: nearness.limit };
        let mut found = Vec::new();
        let is_large = search.is_large(&mut transaction).await?;
        if is_large {
            found = search.through_index(&mut transaction).await?;
        }
        if found.len() < nearness.limit as usize {
            found = search.row_by_row(&mut transaction).await?;
        }
        transaction.commit().await?;
        // Found in this order, so that nothing nearer was left out for what is cut off here.
        found.retain(|memory| memory.score >= nearness.min_score);
        Ok(found)
    }
}

struct Search<'a> {
    scope: &'a MemoryScope,
    embedding: &'a [f32],
    limit: u32,
}

impl Search<'_> {
    async fn is_large(&self, connection: &mut PgConnection) -> Result<bool, StorageError> {
        let small = (EXACT_NUMBERS / self.embedding.len().max(1)).min(EXACT_ROWS);
        let small = i64::try_from(small).unwrap_or(i64::MAX);
        if self.scope.is_everything() {
            // There is no index to count the whole table by; the last ANALYZE knows it well enough.
            let rows: f32 = sqlx::query_scalar("SELECT reltuples FROM pg_class WHERE oid = 'memories'::regclass")
                .fetch_one(&mut *connection)
                .await?;
            if f64::from(rows) > small as f64 {
                return Ok(true);
            }
        }
        let mut query = QueryBuilder::new("SELECT count(*) FROM (SELECT FROM memories WHERE TRUE");
        self.scope.push_to(&mut query);
        query.push(" LIMIT ").push_bind(small + 1).push(") AS counted");
        let rows: i64 = query.build_query_scalar().fetch_one(connection).await?;
        Ok(rows > small)
    }

    async fn through_index(&self, connection: &mut PgConnection) -> Result<Vec<Memory>, StorageError> {
        let distance = format!("embedding::vector({}) <=> ", self.embedding.len());
        let mut query = QueryBuilder::new("WITH nearest AS MATERIALIZED (SELECT id, ");
        query.push(&distance).push_bind(self.vector());
        self.push_rows(&mut query);
        query.push(" ORDER BY ").push(&distance).push_bind(self.vector());
        query.push(" LIMIT ").push_bind(i64::from(self.limit)).push(")");
        self.read(query, connection).await
    }

    async fn row_by_row(&self, connection: &mut PgConnection) -> Result<Vec<Memory>, StorageError> {
        // Distances first and alone: the planner must neither take the HNSW index here nor carry
        // the texts through the sort.
        let mut query = QueryBuilder::new("WITH compared AS MATERIALIZED (SELECT id, embedding <=> ");
        query.push_bind(self.vector());
        self.push_rows(&mut query);
        query.push("), nearest AS MATERIALIZED (SELECT id, distance FROM compared ORDER BY distance, id LIMIT ");
        query.push_bind(i64::from(self.limit)).push(")");
        self.read(query, connection).await
    }

    fn vector(&self) -> pgvector::Vector {
        pgvector::Vector::from(self.embedding.to_vec())
    }

    /// The rows that can be compared: stored when the dimension was another one, they cannot.
    fn push_rows(&self, query: &mut QueryBuilder<sqlx::Postgres>) {
        query.push(" AS distance FROM memories WHERE vector_dims(embedding) = ").push(self.embedding.len());
        self.scope.push_to(query);
    }

    async fn read(
        &self,
        mut query: QueryBuilder<sqlx::Postgres>,
        connection: &mut PgConnection,
    ) -> Result<Vec<Memory>, StorageError> {
        query.push(format!(
            " SELECT {COLUMNS}, 1 - distance AS score FROM nearest JOIN memories USING (id) ORDER BY distance, id"
        ));
        let read = |row: &PgRow| Ok(Memory { score: Some(row.try_get("score")?), ..Memory::from_row(row)? });
        Ok(query.build().fetch_all(connection).await?.iter().map(read).collect::<sqlx::Result<_>>()?)
    }
}
