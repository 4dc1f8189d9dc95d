//! Applies the rules by which ended sessions are deleted or archived: one server at a time for each project, in small batches.
//!
//! A session is deleted as by a request: in a transaction of its own, which holds no lock that a commit of another
//! session waits for, and its viewers, lists and other servers are told.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::access::{Access, AuditedAction, Outcome};
use crate::archive::Archive;
use crate::hub::{Hub, HubError};
use crate::storage::{Page, PageCursor, RetentionAction, RetentionClaim, RetentionRule, SessionFilter, Storage};
use relive_session::SessionSummary;

/// How often it is looked whether rules are due.
const POLL: Duration = Duration::from_secs(2);
/// How often rules are applied.
const AGAIN: Duration = Duration::from_mins(1);
/// How long a server may be silent before another one applies the rules.
const CLAIM: Duration = Duration::from_secs(30);
/// Sessions that are read and deleted before a pause.
const BATCH: u32 = 20;
/// The pause is as long as the batch took, and at least this.
const PAUSE: Duration = Duration::from_millis(50);

/// After how long the claim is renewed, at the latest after the session at hand.
const NOTED: Duration = Duration::from_secs(5);

/// How far a batch got.
enum Removal {
    All,
    /// The next one begins after this.
    Until(PageCursor),
    /// The archive cannot be used now.
    NoArchive,
}

/// Deletes and archives what the rules of the projects say.
pub struct Retention {
    pub hub: Hub,
    pub storage: Storage,
    pub access: Access,
    pub archive: Archive,
    pub stop: CancellationToken,
}

impl Retention {
    /// Applies rules until the server stops, and finishes the batch that has begun.
    pub async fn run(self) {
        let mut pause = POLL;
        while self.stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
            pause = match self.apply_next().await {
                // Another project may be due.
                Ok(true) => Duration::ZERO,
                Ok(false) => POLL,
                Err(error) => {
                    tracing::debug!(%error, "the rules of retention could not be applied");
                    POLL
                }
            };
        }
    }

    /// Applies the rules of a project that is due; returns whether there was one.
    async fn apply_next(&self) -> Result<bool, HubError> {
        let Some(claim) = self.storage.claim_retention(CLAIM).await? else { return Ok(false) };
        let mut removed = 0;
        let outcome = self.apply(&claim, &mut removed).await;
        if removed > 0 {
            self.record(&claim, removed);
        }
        outcome.map(|()| true)
    }

    async fn apply(&self, claim: &RetentionClaim, removed: &mut u64) -> Result<(), HubError> {
        for stored in self.storage.retention_rules(&claim.project_id).await? {
            let rule = stored.rule;
            let restored = self.archive.restored();
            let Some(filter) = rule.filter(claim.project_id.clone(), claim.now, restored) else { continue };
            if matches!(rule.action, RetentionAction::Archive(_)) && !self.archive.is_configured() {
                // Another server may have one. It is no reason to delete.
                tracing::warn!(project = %claim.project_id, "a rule archives sessions, and this server has no archive");
                continue;
            }
            if !self.apply_rule(claim, &rule, Arc::new(filter), removed).await? {
                return Ok(());
            }
        }
        Ok(self.storage.end_retention(claim, AGAIN).await?)
    }

    /// False if the rules are others by now, or the server stops.
    async fn apply_rule(
        &self,
        claim: &RetentionClaim,
        rule: &RetentionRule,
        filter: Arc<SessionFilter>,
        removed: &mut u64,
    ) -> Result<bool, HubError> {
        let mut after = None;
        loop {
            let began = Instant::now();
            let Page { items, next } = self.storage.summaries(&filter, after, BATCH).await?;
            let mut gone = 0;
            let outcome = self.remove(items, rule, &filter, &mut gone, began).await;
            *removed += gone;
            metrics::counter!("relive_retention_removed_total").increment(gone);
            if !self.storage.note_removed(claim, rule, gone, CLAIM).await? {
                return Ok(false);
            }
            let rest = match outcome? {
                Removal::All => next,
                Removal::Until(cursor) => Some(cursor),
                Removal::NoArchive => None,
            };
            after = rest;
            if after.is_none() {
                return Ok(true);
            }
            let pause = tokio::time::sleep(began.elapsed().max(PAUSE));
            if self.stop.run_until_cancelled(pause).await.is_none() {
                return Ok(false);
            }
        }
    }

    /// Deletes or archives these sessions. What was removed is counted, also if not all was.
    async fn remove(
        &self,
        sessions: Vec<SessionSummary>,
        rule: &RetentionRule,
        filter: &Arc<SessionFilter>,
        removed: &mut u64,
        began: Instant,
    ) -> Result<Removal, HubError> {
        for summary in sessions {
            let cursor = PageCursor { created_at: summary.created_at, id: summary.id.0 };
            if matches!(rule.action, RetentionAction::Delete(_)) {
                *removed += u64::from(self.hub.delete_listed(summary, Arc::clone(filter)).await?);
                continue;
            }
            let id = summary.id;
            match self.archive.archive_listed(summary, Arc::clone(filter)).await {
                Ok(is_archived) => *removed += u64::from(is_archived),
                Err(error) if error.is_about_the_session() => {
                    tracing::warn!(%error, session_id = %id, "a session could not be archived");
                }
                Err(error) => {
                    // Other rules do not need the archive.
                    tracing::warn!(%error, source = error.source(), "sessions could not be archived");
                    return Ok(Removal::NoArchive);
                }
            }
            // A file may take long, and the claim on the rules is not to end meanwhile.
            if began.elapsed() > NOTED {
                return Ok(Removal::Until(cursor));
            }
        }
        Ok(Removal::All)
    }

    fn record(&self, claim: &RetentionClaim, removed: u64) {
        tracing::info!(project = %claim.project_id, removed, "sessions were removed by the rules of retention");
        let entry = AuditedAction {
            project: Some(claim.project_id.clone()),
            actor: None,
            action: "apply_retention",
            resource: format!("/api/v1/retention: {removed} sessions"),
            ip: None,
            request_id: None,
            outcome: Outcome::Allowed,
        };
        match self.access.audit().reserve() {
            Ok(slot) => slot.record(entry),
            Err(error) => tracing::warn!(%error, "what the rules of retention removed is not in the audit log"),
        }
    }
}
