//! The audit log: who did what to what, from where.
//!
//! Entries go into a bounded queue and are written in batches, in the background. A change takes its place in
//! the queue before it is carried out ([`Audit::reserve`]), so nothing is done that could not be recorded: while
//! the queue is full, because the database is away, changes are answered with `unavailable`. Refusals are recorded
//! as far as there is room, at most [`REFUSALS`] a minute and address; further ones are counted, and stand
//! together in one entry.

mod refusals;

use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;
use relive_backoff::Backoff;
use relive_session::{Actor, ProjectId, Timestamp, ambient};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use uuid::Uuid;

use self::refusals::Refusals;
use super::Caller;
use crate::storage::{AuditRecord, AuditRow, Storage, StorageError};

/// The maximum number of entries that wait to be written.
const QUEUED: usize = 10_000;
/// The part of the queue that refusals leave free.
const RESERVED: usize = 5_000;
/// Entries written with one statement.
const BATCH: usize = 500;
/// How long an entry waits for others.
const GATHER: Duration = Duration::from_millis(200);
/// How often refusals that came too fast are written, with their number.
const SUMMARY: Duration = Duration::from_mins(1);
/// Refusals of one address that are recorded one by one in a minute.
pub const REFUSALS: u32 = 20;
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(5);
/// The maximum number of characters of a resource, and of the id of a request.
const TEXT: usize = 512;

/// How long the log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditSettings {
    /// An entry that is older is removed.
    pub age: Duration,
    /// The newest entries that are kept.
    pub rows: i64,
}

impl Default for AuditSettings {
    fn default() -> Self {
        Self { age: Duration::from_hours(90 * 24), rows: 1_000_000 }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was carried out.
    Allowed,
    /// The caller may not do it, or is not known.
    Refused,
    /// It was allowed and not carried out, for another reason.
    Failed,
}

impl Outcome {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Allowed, Self::Refused, Self::Failed].into_iter().find(|outcome| outcome.as_str() == text)
    }
}

/// What is recorded of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditedAction {
    /// `None`: the project is not known, for the sender is not.
    pub project: Option<ProjectId>,
    pub actor: Option<Actor>,
    /// What was asked for, such as the `operationId` of the route.
    pub action: &'static str,
    /// What it concerns, such as the path without its query.
    pub resource: String,
    pub ip: Option<IpAddr>,
    pub request_id: Option<String>,
    pub outcome: Outcome,
}

impl AuditedAction {
    /// An entry of a caller.
    #[must_use]
    pub fn of(caller: &Caller, action: &'static str, resource: impl Into<String>, outcome: Outcome) -> Self {
        Self {
            project: Some(caller.project.clone()),
            actor: caller.actor.as_deref().cloned(),
            action,
            resource: resource.into(),
            ip: None,
            request_id: None,
            outcome,
        }
    }

    /// An entry of somebody who is not known.
    #[must_use]
    pub fn unknown(action: &'static str, resource: impl Into<String>) -> Self {
        let outcome = Outcome::Refused;
        Self { project: None, actor: None, action, resource: resource.into(), ip: None, request_id: None, outcome }
    }

    /// An entry of the command line, which works on the database itself.
    #[must_use]
    pub fn of_command_line(project: ProjectId, action: &'static str, resource: impl Into<String>) -> Self {
        let (project, outcome) = (Some(project), Outcome::Allowed);
        Self { project, actor: None, action, resource: resource.into(), ip: None, request_id: None, outcome }
    }

    /// With where it came from.
    #[must_use]
    pub fn from(self, ip: Option<IpAddr>, request_id: Option<String>) -> Self {
        Self { ip, request_id, ..self }
    }

    fn row(self, at: Timestamp, repeated: u64) -> AuditRow {
        AuditRow {
            id: ambient::uuid(),
            at,
            project: self.project,
            actor: self.actor,
            action: self.action.to_owned(),
            resource: bounded(self.resource),
            ip: self.ip.map(|ip| ip.to_canonical().to_string()),
            request_id: self.request_id.map(bounded),
            outcome: self.outcome.as_str(),
            repeated: i64::try_from(repeated).unwrap_or(i64::MAX),
        }
    }
}

/// Records what was done on the database itself, without a server.
///
/// # Errors
///
/// If the database does not take it.
pub async fn record(storage: &Storage, entry: AuditedAction) -> Result<(), StorageError> {
    storage.append_audit(&[entry.row(Timestamp::now(), 1)]).await
}

/// A text from outside: short, and such as PostgreSQL takes.
fn bounded(text: String) -> String {
    let is_fine = text.len() <= TEXT && !text.contains('\0');
    if is_fine { text } else { text.chars().filter(|c| *c != '\0').take(TEXT).collect() }
}

/// An entry as `GET /audit` gives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    pub id: Uuid,
    pub at: Timestamp,
    /// Absent: a request that was refused before its project was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Absent: nobody, since access control was off, or the sender was not known, or the command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
    pub action: String,
    pub resource: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    pub outcome: Outcome,
    /// Of refusals that came too fast to be recorded one by one: the number that this entry stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeated: Option<u64>,
}

impl AuditEntry {
    pub(super) fn of(record: AuditRecord) -> Self {
        Self {
            id: record.id,
            at: record.at,
            project: record.project,
            actor: record.actor,
            action: record.action,
            resource: record.resource,
            ip: record.ip,
            request_id: record.request_id,
            outcome: Outcome::parse(&record.outcome).unwrap_or(Outcome::Failed),
            repeated: u64::try_from(record.repeated).ok().filter(|repeated| *repeated > 1),
        }
    }
}

/// The queue is full: the database does not take what is to be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit log cannot be written now")]
pub struct AuditFull;

/// The place of an entry in the queue.
#[must_use]
pub struct AuditSlot(mpsc::OwnedPermit<AuditRow>);

impl AuditSlot {
    /// Records the entry, with the time of now.
    pub fn record(self, entry: AuditedAction) {
        self.0.send(entry.row(Timestamp::now(), 1));
    }
}

/// Takes entries.
pub struct Audit {
    queue: mpsc::Sender<AuditRow>,
    refusals: Mutex<Refusals>,
}

impl Audit {
    /// The queue, and its other end for [`write()`].
    pub(super) fn new() -> (Self, mpsc::Receiver<AuditRow>) {
        let (queue, rows) = mpsc::channel(QUEUED);
        (Self { queue, refusals: Mutex::default() }, rows)
    }

    /// Takes a place in the queue, for a change that is about to be carried out. Dropping it records nothing.
    ///
    /// # Errors
    ///
    /// If the queue is full: the change is not to be carried out.
    pub fn reserve(&self) -> Result<AuditSlot, AuditFull> {
        self.queue.clone().try_reserve_owned().map(AuditSlot).map_err(|_| AuditFull)
    }

    /// Records a refusal, or counts it if there were too many lately.
    pub fn refused(&self, entry: AuditedAction) {
        let has_room = self.queue.capacity() > RESERVED;
        let alone = self.refusals.lock().admit(entry, has_room);
        if let Some(entry) = alone {
            // Others may have taken the room meanwhile; then it is lost, as the metric says.
            if self.queue.try_send(entry.row(Timestamp::now(), 1)).is_err() {
                metrics::counter!("relive_audit_lost_total").increment(1);
            }
        }
    }

    /// Records the refusals that were counted.
    pub(super) fn summarise(&self) {
        for (entry, number) in self.refusals.lock().take() {
            if self.queue.try_send(entry.row(Timestamp::now(), number)).is_err() {
                metrics::counter!("relive_audit_lost_total").increment(number);
            }
        }
    }
}

/// Writes entries until all senders are gone, or after `stop` until what has arrived by then is written.
pub(super) async fn write(storage: Storage, mut rows: mpsc::Receiver<AuditRow>, stop: CancellationToken) {
    let mut batch = Vec::new();
    loop {
        let received = tokio::select! {
            biased;
            received = rows.recv_many(&mut batch, BATCH) => received,
            // A request that has not ended holds a place, and may hold it for long: it is not waited for.
            () = stop.cancelled() => 0,
        };
        if received == 0 && rows.is_empty() {
            return;
        }
        if batch.len() < BATCH {
            let _ = stop.run_until_cancelled(tokio::time::sleep(GATHER)).await;
            while batch.len() < BATCH
                && let Ok(row) = rows.try_recv()
            {
                batch.push(row);
            }
        }
        write_batch(&storage, &batch, &stop).await;
        batch.clear();
    }
}

/// Retries until the batch is written; after `stop` once.
async fn write_batch(storage: &Storage, batch: &[AuditRow], stop: &CancellationToken) {
    let mut backoff = Backoff::new(FIRST_RETRY, LAST_RETRY);
    loop {
        let was_stopping = stop.is_cancelled();
        let Err(error) = storage.append_audit(batch).await else { return };
        if was_stopping || !error.is_transient() {
            let lost = u64::try_from(batch.len()).unwrap_or(u64::MAX);
            metrics::counter!("relive_audit_lost_total").increment(lost);
            tracing::error!(%error, lost, "entries of the audit log could not be written");
            return;
        }
        tracing::debug!(%error, "the audit log could not be written yet");
        let _ = stop.run_until_cancelled(tokio::time::sleep(backoff.next_wait())).await;
    }
}

/// Has the refusals written that were counted, once a minute until `stop`.
pub(super) async fn summarise(audit: &Audit, stop: &CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(SUMMARY)).await.is_some() {
        audit.summarise();
    }
}

/// Removes old entries of the log until none is left; one small batch after the other.
pub(super) async fn prune(storage: &Storage, settings: AuditSettings) {
    /// The pause between two batches, which keeps the load low.
    const PAUSE: Duration = Duration::from_millis(200);
    loop {
        match storage.prune_audit(settings.age, settings.rows).await {
            Ok(true) => tokio::time::sleep(PAUSE).await,
            Ok(false) => return,
            Err(error) => return tracing::debug!(%error, "old entries of the audit log could not be removed"),
        }
    }
}
