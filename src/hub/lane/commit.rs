//! Writing one batch, and finding out the outcome of one whose answer was lost.

use std::time::Duration;

use tokio::time::Instant;

use super::{FIRST_RETRY, LAST_RETRY, LOOKUP_TIMEOUT, Lane};
use crate::hub::batch_plan::{BatchPlan, StatesAfter};
use crate::hub::pending_command::{PendingCommand, UnknownWrite};
use crate::spans::{Span, SpanKind};
use crate::storage::{Batch, StorageError};
use relive_backoff::Backoff;

/// How long a batch may take before the database counts as away: longer than the database's own limit for a
/// statement, whose error is an answer.
const COMMIT: Duration = Duration::from_secs(6);

impl Lane {
    /// Writes one batch, and returns the states that it led to. Returns only when it is known whether the batch was
    /// written.
    pub(super) async fn write(&mut self, entries: &mut [PendingCommand]) -> Result<StatesAfter, StorageError> {
        // The wait is over.
        entries.iter_mut().for_each(|entry| entry.waiting = None);
        let id = self.next_batch;
        self.next_batch += 1;
        let outcome = self.write_as(id, entries).await;
        if matches!(outcome, Err(StorageError::Unavailable(_) | StorageError::TimedOut)) {
            // Not written when it was looked up; but a statement that is still in transit may write it later.
            for entry in entries {
                if let Some((first, last)) = entry.decision.revisions() {
                    entry.attempts.push(UnknownWrite { batch: id, first, last });
                }
            }
        }
        outcome
    }

    async fn write_as(&mut self, id: i64, entries: &[PendingCommand]) -> Result<StatesAfter, StorageError> {
        let plan = BatchPlan::of(entries);
        if !plan.are_dense() {
            tracing::error!("a batch does not follow the committed state; its commands are decided again");
            return Err(StorageError::Fenced);
        }
        let batch = plan.batch(id, entries);
        if batch.projections.is_empty() {
            return Ok(StatesAfter::new());
        }
        let commits = spans_of(entries, &batch);
        let started = Instant::now();
        let outcome = match self.try_write(&batch).await {
            Err(error @ (StorageError::Unavailable(_) | StorageError::TimedOut)) => {
                self.find_outcome(&batch, entries, error).await
            }
            known => known,
        };
        match &outcome {
            Err(StorageError::Unavailable(_) | StorageError::TimedOut) => {}
            // One of the two clocks has been set: a new writer compares them again.
            Err(StorageError::TooLate) => self.writer = None,
            _ => drop(self.healthy.send_if_modified(|healthy| !std::mem::replace(healthy, true))),
        }
        if let Err(error) = &outcome {
            fail(commits, error);
        }
        metrics::histogram!("relive_commit_seconds").record(started.elapsed().as_secs_f64());
        metrics::histogram!("relive_commit_events").record(batch.events.len() as f64);
        drop(batch);
        outcome.map(|()| plan.into_states())
    }

    async fn try_write(&mut self, batch: &Batch<'_>) -> Result<(), StorageError> {
        let writing = async {
            let writer = match &mut self.writer {
                Some(writer) => writer,
                None => self.writer.insert(self.store.writer().await?),
            };
            writer.write(batch).await
        };
        // A database that neither answers nor disconnects counts as away.
        tokio::time::timeout(COMMIT, writing).await.unwrap_or(Err(StorageError::TimedOut))
    }

    /// Whether a batch was written whose answer was lost. Waits for the database, unless the server stops
    /// and no caller waits for an answer any more.
    async fn find_outcome(
        &mut self,
        batch: &Batch<'_>,
        entries: &[PendingCommand],
        lost: StorageError,
    ) -> Result<(), StorageError> {
        lost.log("it is unknown whether a batch was written");
        self.writer = None;
        self.healthy.send_replace(false);
        let mut backoff = Backoff::new(FIRST_RETRY, LAST_RETRY);
        loop {
            let look = tokio::time::timeout(LOOKUP_TIMEOUT, self.store.has_batch(batch)).await;
            match look.unwrap_or(Err(StorageError::TimedOut)) {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(lost),
                Err(error) => tracing::debug!(%error, "the batch cannot be looked up"),
            }
            if self.stop.is_cancelled() && !entries.iter().any(|entry| entry.slot.is_open()) {
                return Err(lost);
            }
            tokio::time::sleep(backoff.next_wait()).await;
        }
    }
}

/// The commit as a span of every trace that has a command in the batch, so that each trace is whole.
fn spans_of(entries: &[PendingCommand], batch: &Batch<'_>) -> Vec<Span> {
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let traced = entries.iter().filter_map(|entry| entry.submission.span.as_ref());
    let begun = traced.map(|span| {
        span.child_of_kind(SpanKind::Client, "commit".into())
            .with("db.system.name", "postgresql")
            .with("relive.batch.commands", number(entries.len()))
            .with("relive.batch.sessions", number(batch.projections.len()))
            .with("relive.batch.events", number(batch.events.len()))
    });
    begun.collect()
}

fn fail(commits: Vec<Span>, error: &StorageError) {
    let kind = match error {
        StorageError::Fenced => "fenced",
        StorageError::Unavailable(_) | StorageError::TimedOut => "unavailable",
        _ => "database",
    };
    commits.into_iter().for_each(|mut commit| commit.fail(kind));
}
