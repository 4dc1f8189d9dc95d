//! What concerns many sessions at once: deleting them, rules that delete them, and statistics.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Refused, Scoped};
use crate::access::Action;
use crate::storage::{
    Grouping, Page, RetentionRule, RetentionState, RunBucket, RunPeriod, SessionFilter, StorageError,
};

/// Sessions that one request counts at most.
const COUNTED: u32 = 100_000;
/// Sessions that are counted for whoever reads a list at most.
const SHOWN: u32 = 10_000;
/// Sessions that one request deletes at most, and how long it does so.
const DELETED: u64 = 10_000;
const DELETING: Duration = Duration::from_secs(20);
/// Sessions that are read and then deleted, one by one.
const BATCH: u32 = 20;
/// The pause after each batch, so that commits have the database's disk to themselves for a while.
const PAUSE: Duration = Duration::from_millis(5);

/// How many sessions a list has, counted up to a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListLength {
    pub count: u64,
    pub has_more: bool,
}

/// The result of deleting sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BulkDeletion {
    pub matched: u64,
    pub deleted: u64,
    pub has_more: bool,
}

impl Scoped {
    /// Counts the sessions of a list, up to 10,000: a list of millions takes no longer.
    ///
    /// # Errors
    ///
    /// As for the list itself.
    pub async fn count_listed(&self, filter: &SessionFilter) -> Result<ListLength, StorageError> {
        let counted = self.storage.count_sessions(filter, SHOWN + 1).await?;
        let limit = u64::from(SHOWN);
        Ok(ListLength { count: counted.min(limit), has_more: counted > limit })
    }

    /// Counts the sessions that [`Scoped::delete_matching`] would delete.
    ///
    /// # Errors
    ///
    /// [`Refused::Denied`].
    pub async fn count_matching(&self, filter: &SessionFilter) -> Result<BulkDeletion, Refused> {
        self.check(Action::DeleteSession)?;
        let counted = self.storage.count_sessions(filter, COUNTED + 1).await?;
        let limit = u64::from(COUNTED);
        Ok(BulkDeletion { matched: counted.min(limit), deleted: 0, has_more: counted > limit })
    }

    /// Counts sessions that a rule applies to, up to `limit`.
    ///
    /// # Errors
    ///
    /// [`Refused::Denied`].
    pub async fn count_ended(&self, filter: &SessionFilter, limit: u32) -> Result<u64, Refused> {
        self.check(Action::ManageRetention)?;
        Ok(self.storage.count_sessions(filter, limit).await?)
    }

    /// Deletes the sessions of a list, as [`Scoped::delete`] does each, up to a number and for some time. What does not
    /// belong to the list any more when its turn comes stays.
    ///
    /// # Errors
    ///
    /// [`Refused::Denied`], and those of the hub: some sessions may be deleted by then.
    pub async fn delete_matching(&self, filter: SessionFilter) -> Result<BulkDeletion, Refused> {
        self.check(Action::DeleteSession)?;
        let (began, filter) = (Instant::now(), Arc::new(filter));
        let (mut done, mut after) = (BulkDeletion::default(), None);
        loop {
            let Page { items, next } = self.storage.summaries(&filter, after, BATCH).await?;
            for summary in items {
                if done.matched == DELETED || began.elapsed() > DELETING {
                    return Ok(BulkDeletion { has_more: true, ..done });
                }
                done.matched += 1;
                done.deleted += u64::from(self.hub.delete_listed(summary, Arc::clone(&filter)).await?);
            }
            after = next;
            if after.is_none() {
                return Ok(done);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The rules by which ended sessions are deleted.
    ///
    /// # Errors
    ///
    /// [`Refused::Denied`].
    pub async fn retention(&self) -> Result<RetentionState, Refused> {
        self.check(Action::ManageRetention)?;
        Ok(self.storage.retention(self.project()).await?)
    }

    /// Replaces these rules.
    ///
    /// # Errors
    ///
    /// [`Refused::Denied`].
    pub async fn replace_retention(&self, rules: &[RetentionRule]) -> Result<RetentionState, Refused> {
        self.check(Action::ManageRetention)?;
        self.storage.replace_retention(self.project(), rules).await?;
        Ok(self.storage.retention(self.project()).await?)
    }

    /// Statistics of the project's runs, and whether all runs are counted yet.
    ///
    /// # Errors
    ///
    /// [`Refused::Denied`] if the caller may not read all sessions.
    pub async fn run_statistics(
        &self,
        period: &RunPeriod,
        grouping: Grouping,
        limit: u32,
    ) -> Result<(Vec<RunBucket>, bool), Refused> {
        self.check(Action::ReadSessions)?;
        // Asked first: what is counted meanwhile is then not missing without being said so.
        let is_complete = self.storage.has_counted_runs().await?;
        Ok((self.storage.run_statistics(self.project(), period, grouping, limit).await?, is_complete))
    }
}
