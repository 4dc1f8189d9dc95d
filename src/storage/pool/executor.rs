//! The pool as an executor of `sqlx`: a connection for each statement, and a limit for it.

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use sqlx::postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo, Postgres};
use sqlx::{Describe, Either, Execute, Executor, SqlStr};
use tokio::sync::mpsc;

use super::Pool;

type Step = Either<PgQueryResult, PgRow>;
/// Steps that are passed on together, if the driver has them at hand.
type Steps = Vec<sqlx::Result<Step>>;

/// A step is quick, and passing it on takes about as long. Events have up to a mebibyte, so few are held.
const STEPS: usize = 16;

impl Pool {
    /// Passes on what a statement returns. The limit is for what comes next: a slow reader of a long result is not cut
    /// off.
    async fn drive<'q, E>(&self, query: E, steps: &mpsc::Sender<Steps>) -> sqlx::Result<()>
    where
        E: 'q + Execute<'q, Postgres>,
    {
        let link = &self.inner.link;
        let mut connection = self.acquire().await?;
        let Some(live) = &mut connection.live else { return Err(sqlx::Error::WorkerCrashed) };
        connection.is_clean = false;
        let mut rows = live.connection.fetch_many(query).ready_chunks(STEPS);
        let outcome = loop {
            let mut next = match link.watched(self.limit, async { Ok(rows.next().await) }).await {
                Ok(Some(next)) => next,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            // Nothing follows an error.
            let error = next.pop_if(|last| last.is_err()).and_then(Result::err);
            if !next.is_empty() && steps.send(next).await.is_err() {
                return Ok(());
            }
            if let Some(error) = error {
                break Err(error);
            }
        };
        drop(rows);
        connection.conclude(outcome.as_ref().err());
        outcome
    }
}

impl<'c> Executor<'c> for &'c Pool {
    type Database = Postgres;

    fn execute<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<PgQueryResult>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        Box::pin(async move {
            let mut connection = self.acquire().await?;
            connection.run(self.limit, async move |connection| connection.execute(query).await).await
        })
    }

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Step>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let (sender, mut receiver) = mpsc::channel(1);
        let driver = async move {
            if let Err(error) = self.drive(query, &sender).await {
                // The receiver is gone if the stream was dropped.
                let _ = sender.send(vec![Err(error)]).await;
            }
        };
        let driver = stream::once(driver).filter_map(|()| std::future::ready(None));
        let rows = stream::poll_fn(move |context| receiver.poll_recv(context)).flat_map(stream::iter);
        Box::pin(stream::select(rows, driver))
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<PgRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        Box::pin(async move {
            let mut connection = self.acquire().await?;
            connection.run(self.limit, async move |connection| connection.fetch_optional(query).await).await
        })
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, sqlx::Result<PgStatement>>
    where
        'c: 'e,
    {
        Box::pin(async move {
            let mut connection = self.acquire().await?;
            connection.run(self.limit, async move |connection| connection.prepare_with(sql, parameters).await).await
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, sqlx::Result<Describe<Postgres>>>
    where
        'c: 'e,
    {
        Box::pin(async move {
            let mut connection = self.acquire().await?;
            connection.run(self.limit, async move |connection| connection.describe(sql).await).await
        })
    }
}
