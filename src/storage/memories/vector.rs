//! Searching by vector: cosine distance, nearest first.
//!
//! The HNSW index does not know scopes. It scans the whole table from near to far, and rows outside the
//! scope are discarded afterwards; with a small group in a large table the scan ends before it has reached
//! the group at all. So there are two strategies:
//!
//! - *A small scope* is compared row by row, through the index of its group, agent or session. That
//!   misses nothing, and takes time in proportion to the scope alone. A group's vectors are stored side by
//!   side in an index of their own, so that the table is not touched.
//! - *A large scope, or none,* goes through the HNSW index with pgvector's iterative scan, which continues
//!   until it has found enough rows of the scope. If it gives up before that, the scope is compared
//!   row by row after all: a complete answer late rather than an incomplete one.
//!
//! Both compare `unit`, the embedding with length 1 in half precision, and find some more than were
//! asked for; of these the whole embeddings are compared, which gives the exact order and scores. If
//! the scope has only a few rows, the embeddings are compared at once. Most scopes are like that, so a search
//! starts with a statement that returns nothing if there are more rows; the strategy for the scope is then
//! cached.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{QueryBuilder, Row as _};

use super::indexes::INDEXED_DIMENSION;
use super::search_pool::SEARCH;
use super::strategies::Strategy;
use super::{COLUMNS, MemoryScope, SearchLimits, read_memory};
use crate::storage::link::breaks_connection;
use crate::storage::pool::TakenConnection;
use crate::storage::{Storage, StorageError};
use relive_session::Memory;

/// Rows whose embeddings are compared at once.
const FEW: i64 = 128;
/// A scope is small when all its vectors together have at most this many numbers: 52,000 rows of 384.
/// Comparing such a group takes 0.35 µs a row and misses nothing. A scan of the index takes 2 to 3 ms if every
/// row counts, ten times that if one in fifty does, and then misses a tenth.
const SMALL_NUMBERS: usize = 20_000_000;
/// And it has at most this many rows, however short their vectors: each row has a cost of its own.
const SMALL_ROWS: usize = 50_000;
/// Rows found beyond those asked for, since half precision may swap neighbours.
const SPARE: u32 = 16;

impl Storage {
    /// The memories of a scope nearest to `embedding` (validated before), nearest first. A score is
    /// the cosine of the angle between them: 1 is identical, -1 the opposite.
    ///
    /// # Errors
    ///
    /// If the database is away, or too busy to search.
    pub async fn nearest_memories(
        &self,
        scope: &MemoryScope,
        embedding: &[f32],
        nearness: SearchLimits,
    ) -> Result<Vec<Memory>, StorageError> {
        let search = Search { scope, embedding, limit: nearness.limit };
        let mut connection = self.search_pool.acquire().await?;
        let mut found = match self.nearest_on(&search, &mut connection).await {
            // It had been idle, and its server process is gone.
            Err(StorageError::Unavailable(error)) if connection.was_idle() && breaks_connection(&error) => {
                drop(connection);
                self.nearest_on(&search, &mut self.search_pool.acquire().await?).await?
            }
            outcome => outcome?,
        };
        // Found in this order, so that nothing nearer was left out for what is cut off here.
        found.retain(|memory| memory.score >= nearness.min_score);
        Ok(found)
    }

    async fn nearest_on(
        &self,
        search: &Search<'_>,
        connection: &mut TakenConnection,
    ) -> Result<Vec<Memory>, StorageError> {
        connection.run(SEARCH, async |connection| self.nearest(search, connection).await).await
    }

    async fn nearest(&self, search: &Search<'_>, connection: &mut PgConnection) -> Result<Vec<Memory>, StorageError> {
        let strategy = if let Some(strategy) = self.strategies.of(search.scope) {
            strategy
        } else {
            let found = search.among_few(connection).await?;
            if !found.is_empty() {
                return Ok(found);
            }
            // An empty result: the scope is empty, or has more than a few rows.
            let Some(strategy) = search.strategy(connection).await? else { return Ok(Vec::new()) };
            self.strategies.remember(search.scope, strategy);
            strategy
        };
        let mut found = Vec::new();
        if strategy == Strategy::ThroughIndex {
            found = search.through_index(connection).await?;
        }
        if found.len() < search.limit as usize {
            found = search.row_by_row(connection).await?;
        }
        Ok(found)
    }
}

struct Search<'a> {
    scope: &'a MemoryScope,
    embedding: &'a [f32],
    limit: u32,
}

impl Search<'_> {
    /// The strategy for the current size of the scope; `None` if it is empty.
    async fn strategy(&self, connection: &mut PgConnection) -> Result<Option<Strategy>, StorageError> {
        let small = (SMALL_NUMBERS / self.embedding.len().max(1)).min(SMALL_ROWS);
        let small = i64::try_from(small).unwrap_or(i64::MAX);
        let mut query = QueryBuilder::new("SELECT ");
        self.push_count(&mut query, small);
        let rows: i64 = query.build_query_scalar().fetch_one(connection).await?;
        let is_indexed = self.embedding.len() <= INDEXED_DIMENSION as usize;
        Ok((rows > 0).then_some(if rows > small && is_indexed { Strategy::ThroughIndex } else { Strategy::RowByRow }))
    }

    /// Returns nothing if there are more than a few rows.
    async fn among_few(&self, connection: &mut PgConnection) -> Result<Vec<Memory>, StorageError> {
        let mut query = QueryBuilder::new(format!("SELECT {COLUMNS}, 1 - (embedding <=> "));
        query.push_bind(self.vector()).push(") AS score");
        self.push_rows(&mut query);
        query.push(" AND ");
        self.push_count(&mut query, FEW);
        query.push(" <= ").push_bind(FEW).push(" ORDER BY score DESC, id LIMIT ").push_bind(i64::from(self.limit));
        self.read(query, connection).await
    }

    async fn through_index(&self, connection: &mut PgConnection) -> Result<Vec<Memory>, StorageError> {
        let order = format!("unit::halfvec({}) <=> (SELECT unit FROM asked)", self.embedding.len());
        self.among_nearest(&order, connection).await
    }

    /// Not ordered by the expression of the HNSW index, so that index cannot be used here.
    async fn row_by_row(&self, connection: &mut PgConnection) -> Result<Vec<Memory>, StorageError> {
        self.among_nearest("unit <#> (SELECT unit FROM asked)", connection).await
    }

    /// Of the first rows in `order`, the nearest.
    async fn among_nearest(&self, order: &str, connection: &mut PgConnection) -> Result<Vec<Memory>, StorageError> {
        let mut query = QueryBuilder::new(
            "WITH asked AS MATERIALIZED (SELECT given AS embedding, l2_normalize(given)::halfvec AS unit FROM (SELECT ",
        );
        query.push_bind(self.vector()).push("::vector AS given) AS given), near AS MATERIALIZED (SELECT id");
        self.push_rows(&mut query);
        // In the statement itself, since plans are made for it, and in few sizes, since they are kept.
        let near = (self.limit + SPARE).next_multiple_of(SPARE);
        query.push(format!(
            " ORDER BY {order} LIMIT {near})
             SELECT {COLUMNS}, 1 - (embedding <=> (SELECT embedding FROM asked)) AS score
             FROM near JOIN memories USING (id) ORDER BY score DESC, id LIMIT "
        ));
        query.push_bind(i64::from(self.limit));
        self.read(query, connection).await
    }

    fn vector(&self) -> pgvector::Vector {
        pgvector::Vector::from(self.embedding.to_vec())
    }

    /// The rows that can be compared: those stored under another dimension cannot.
    fn push_rows(&self, query: &mut QueryBuilder<sqlx::Postgres>) {
        query.push(" FROM memories WHERE vector_dims(unit) = ").push(self.embedding.len());
        self.scope.push_to(query);
    }

    /// Adds the number of rows in the scope, counted no further than one beyond `at_most`.
    fn push_count(&self, query: &mut QueryBuilder<sqlx::Postgres>, at_most: i64) {
        query.push("(SELECT count(*) FROM (SELECT FROM memories WHERE true");
        self.scope.push_to(query);
        query.push(" LIMIT ").push_bind(at_most.saturating_add(1)).push(") AS counted)");
    }

    async fn read(
        &self,
        mut query: QueryBuilder<sqlx::Postgres>,
        connection: &mut PgConnection,
    ) -> Result<Vec<Memory>, StorageError> {
        let read = |row: &PgRow| Ok(Memory { score: Some(row.try_get("score")?), ..read_memory(row)? });
        Ok(query.build().fetch_all(connection).await?.iter().map(read).collect::<sqlx::Result<_>>()?)
    }
}
