//! Searching by vector: cosine distance, nearest first.
//!
//! The HNSW index knows nothing of scopes. It walks the whole table from near to far, and rows
//! outside the scope are thrown away afterwards; with a small group in a large table the walk ends
//! before it has met the group at all. So there are two ways:
//!
//! - *A scope of few rows* is compared row by row, through the index of its group, agent or session.
//!   That misses nothing, and takes time in proportion to the scope alone. A group's vectors stand side
//!   by side in an index of their own, so that the table is not touched.
//! - *A large scope, or none,* goes through the HNSW index with pgvector's iterative scan: it walks on
//!   until it has found enough rows of the scope. If it gives up before that, the scope is compared
//!   row by row after all: a full answer late rather than a short one.
//!
//! Both compare `unit`, the embedding with length 1 in half precision, and find some more than were
//! asked for; of these the whole embeddings are compared, which gives the exact order and scores.
//! A search is one statement.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{FromRow as _, QueryBuilder, Row as _};

use super::{COLUMNS, MemoryScope, Nearness};
use crate::session::Memory;
use crate::storage::{Storage, StorageError};

/// A scope is small when all its vectors together have at most this many numbers: 52,000 rows of 384.
/// Comparing a group of such takes 0.35 µs a row and misses nothing. A walk through the index takes 2
/// to 3 ms where every row counts, ten times that where one in fifty does, and misses a tenth then.
const EXACT_NUMBERS: usize = 20_000_000;
/// And it has at most this many rows, however short their vectors: a row has a price of its own.
const EXACT_ROWS: usize = 50_000;
/// Found beyond what was asked for, since half precision may swap neighbours.
const SPARE: u32 = 16;

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
        let search = Search { scope, embedding, limit: nearness.limit };
        loop {
            let mut searcher = self.searchers.take().await?;
            match self.nearest(&search, &mut searcher.connection).await {
                Ok(mut found) => {
                    self.searchers.give_back(searcher);
                    // Found in this order, so that nothing nearer was left out for what is cut off here.
                    found.retain(|memory| memory.score >= nearness.min_score);
                    return Ok(found);
                }
                Err(error) if self.searchers.was_stale(&searcher, &error) => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn nearest(&self, search: &Search<'_>, connection: &mut PgConnection) -> Result<Vec<Memory>, StorageError> {
        if !self.searchers.is_known_to_be_large(search.scope) {
            let found = search.row_by_row(Some(search.small()), connection).await?;
            // Nothing was found where nothing is, or where there is too much to compare.
            if !found.is_empty() || !search.is_large(connection).await? {
                return Ok(found);
            }
            self.searchers.is_large(search.scope);
        }
        let found = search.through_index(connection).await?;
        if found.len() < search.limit as usize { search.row_by_row(None, connection).await } else { Ok(found) }
    }
}

struct Search<'a> {
    scope: &'a MemoryScope,
    embedding: &'a [f32],
    limit: u32,
}

impl Search<'_> {
    /// How many rows a small scope has at most.
    fn small(&self) -> i64 {
        let rows = (EXACT_NUMBERS / self.embedding.len().max(1)).min(EXACT_ROWS);
        i64::try_from(rows).unwrap_or(i64::MAX)
    }

    async fn is_large(&self, connection: &mut PgConnection) -> Result<bool, StorageError> {
        let mut query = QueryBuilder::new("SELECT ");
        self.push_count(&mut query, self.small());
        let rows: i64 = query.build_query_scalar().fetch_one(connection).await?;
        Ok(rows > self.small())
    }

    async fn through_index(&self, connection: &mut PgConnection) -> Result<Vec<Memory>, StorageError> {
        let mut query = self.begin();
        query.push(format!(" ORDER BY unit::halfvec({}) <=> (SELECT unit FROM asked)", self.embedding.len()));
        self.read(query, connection).await
    }

    /// With `at_most`, a scope of more rows is not compared, and nothing is found in it.
    async fn row_by_row(
        &self,
        at_most: Option<i64>,
        connection: &mut PgConnection,
    ) -> Result<Vec<Memory>, StorageError> {
        let mut query = self.begin();
        if let Some(rows) = at_most {
            query.push(" AND ");
            self.push_count(&mut query, rows);
            query.push(" <= ").push_bind(rows);
        }
        // Not by the expression that the HNSW index is over, so it cannot be taken here.
        query.push(" ORDER BY unit <#> (SELECT unit FROM asked)");
        self.read(query, connection).await
    }

    /// Adds the number of rows in the scope, counted no further than one beyond `at_most`.
    fn push_count(&self, query: &mut QueryBuilder<sqlx::Postgres>, at_most: i64) {
        query.push("(SELECT count(*) FROM (SELECT FROM memories WHERE true");
        self.scope.push_to(query);
        query.push(" LIMIT ").push_bind(at_most.saturating_add(1)).push(") AS counted)");
    }

    /// The rows that can be compared: stored when the dimension was another one, they cannot.
    fn begin(&self) -> QueryBuilder<sqlx::Postgres> {
        let mut query = QueryBuilder::new(
            "WITH asked AS MATERIALIZED (SELECT embedding, l2_normalize(embedding)::halfvec AS unit FROM (SELECT ",
        );
        query.push_bind(pgvector::Vector::from(self.embedding.to_vec()));
        query.push("::vector AS embedding) AS given), near AS MATERIALIZED (SELECT id FROM memories WHERE vector_dims(unit) = ");
        query.push(self.embedding.len());
        self.scope.push_to(&mut query);
        query
    }

    async fn read(
        &self,
        mut query: QueryBuilder<sqlx::Postgres>,
        connection: &mut PgConnection,
    ) -> Result<Vec<Memory>, StorageError> {
        // In the statement itself, since plans are made for it, and in few sizes, since they are kept.
        let near = (self.limit + SPARE).next_multiple_of(SPARE);
        query.push(format!(
            " LIMIT {near}) SELECT {COLUMNS}, 1 - (embedding <=> (SELECT embedding FROM asked)) AS score
              FROM near JOIN memories USING (id) ORDER BY score DESC, id LIMIT "
        ));
        query.push_bind(i64::from(self.limit));
        let read = |row: &PgRow| Ok(Memory { score: Some(row.try_get("score")?), ..Memory::from_row(row)? });
        Ok(query.build().fetch_all(connection).await?.iter().map(read).collect::<sqlx::Result<_>>()?)
    }
}
