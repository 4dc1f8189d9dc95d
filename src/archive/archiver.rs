//! Moves sessions that have ended from the database to files, and back.
//!
//! ```text
//! archive: claim ─▶ export ─▶ zstd ─▶ file ─▶ read back, checked as an import ─▶ one transaction: record, delete
//! restore: file ─▶ checked as an import ─▶ one transaction: session, record removed ─▶ file removed
//! ```
//!
//! Nothing is held in the database while a file is written. The claim is a row with the name of the file and a time,
//! which is moved on; a file whose time has passed was left by a crash, and any server removes it. The transaction at
//! the end finds out whether the session is still the one that was written, and is the only thing that deletes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt as _};
use uuid::Uuid;

use super::error::ImportError;
use super::export::export;
use super::import::Imports;
use super::packing::{Fingerprint, Packer, UnpackError, unpack};
use super::place::{ArchivePlace, PlaceError, PlaceOptions};
use crate::hub::{Hub, HubError};
use crate::storage::{ArchiveClaim, ArchivedRow, SessionFilter, SessionVersion, Storage, StorageError, StoredFile};
use relive_session::{Session, SessionSummary};

/// How long a server may be silent before another archives the session.
const CLAIM: Duration = Duration::from_mins(1);
/// How often the claim is renewed.
const RENEWED: Duration = Duration::from_secs(15);
/// After how long a session is tried again whose export no import would take.
const AGAIN: Duration = Duration::from_hours(1);
/// Files that are removed at a time, and for how long other servers leave them alone.
const STRAY: u32 = 20;
const REMOVING: Duration = Duration::from_mins(1);

/// Why a session was not archived or restored, or a file not read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("this server has no archive; set RELIVE_ARCHIVE")]
    None,
    #[error("the archive cannot be reached")]
    Away(#[source] object_store::Error),
    #[error("the archive cannot be written to")]
    Write(#[source] io::Error),
    #[error("the file of this session is missing in the archive")]
    Missing,
    #[error("the file of this session in the archive is not the one that was written")]
    Damaged,
    /// Restored or deleted meanwhile.
    #[error("the session is not in the archive any more")]
    Gone,
    /// Another server took it, since this one was silent for too long.
    #[error("the claim on the session was lost")]
    ClaimLost,
    #[error(transparent)]
    Import(ImportError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Hub(#[from] HubError),
}

impl From<object_store::Error> for ArchiveError {
    fn from(error: object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { .. } => Self::Missing,
            error => Self::Away(error),
        }
    }
}

impl ArchiveError {
    /// Whether it is about this one session, so that others may do better.
    #[must_use]
    pub fn is_about_the_session(&self) -> bool {
        match self {
            Self::Import(error) => !matches!(
                error,
                ImportError::Spool(_) | ImportError::Busy | ImportError::Storage(_) | ImportError::Interrupted
            ),
            Self::Missing | Self::Damaged | Self::Gone | Self::ClaimLost => true,
            Self::Storage(error) => matches!(
                error,
                StorageError::SessionGone
                    | StorageError::Damaged(_)
                    | StorageError::Event(_)
                    | StorageError::Keyframe(_)
            ),
            Self::None | Self::Away(_) | Self::Write(_) | Self::Hub(_) => false,
        }
    }
}

/// The archive. A cheap handle.
#[derive(Clone, Debug)]
pub struct Archive {
    storage: Storage,
    hub: Hub,
    imports: Imports,
    /// `None`: not configured.
    place: Option<ArchivePlace>,
    restored: Duration,
}

impl Archive {
    /// `restored`: how long rules leave a session alone that came back.
    ///
    /// # Errors
    ///
    /// If the place cannot be used.
    pub fn new(
        storage: Storage,
        hub: Hub,
        imports: Imports,
        place: Option<&PlaceOptions>,
        restored: Duration,
    ) -> Result<Self, PlaceError> {
        Ok(Self { storage, hub, imports, place: place.map(ArchivePlace::open).transpose()?, restored })
    }

    /// Whether this server has one.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        self.place.is_some()
    }

    /// How long rules leave a session alone that came back.
    #[must_use]
    pub fn restored(&self) -> Duration {
        self.restored
    }

    fn place(&self) -> Result<&ArchivePlace, ArchiveError> {
        self.place.as_ref().ok_or(ArchiveError::None)
    }

    /// Archives a session that was found in a list, if it still is in it and has ended; returns whether it was.
    ///
    /// # Errors
    ///
    /// Why not. If the database went away at the end, it may have been archived all the same.
    pub async fn archive_listed(
        &self,
        summary: SessionSummary,
        list: Arc<SessionFilter>,
    ) -> Result<bool, ArchiveError> {
        let archive = self.clone();
        // A caller that goes away leaves nothing half done.
        let work = async move { Ok::<_, HubError>(Box::pin(archive.archive_claimed(summary, &list)).await) };
        self.hub.run_to_completion(work).await?
    }

    async fn archive_claimed(&self, summary: SessionSummary, list: &Arc<SessionFilter>) -> Result<bool, ArchiveError> {
        self.place()?;
        let name = file_name(&summary);
        let Some(claim) = self.storage.claim_archiving(summary.id, name, CLAIM).await? else { return Ok(false) };
        let written = tokio::select! {
            written = Box::pin(self.write(&summary, &claim)) => written,
            lost = self.keep(&claim) => Err(lost),
        };
        match written {
            Ok(Some(file)) => Box::pin(self.finish(summary, claim, list, file)).await,
            Ok(None) => {
                self.give_up(&claim).await;
                Ok(false)
            }
            Err(error) => {
                metrics::counter!("relive_archive_failures_total", "operation" => "write").increment(1);
                if error.is_about_the_session() {
                    // The claim stays, so that it is not tried again every minute; the file goes when it ends.
                    self.storage.keep_archiving(&claim, AGAIN).await?;
                } else {
                    self.give_up(&claim).await;
                }
                Err(error)
            }
        }
    }

    /// Records the file and deletes the session.
    async fn finish(
        &self,
        summary: SessionSummary,
        claim: ArchiveClaim,
        list: &Arc<SessionFilter>,
        file: StoredFile,
    ) -> Result<bool, ArchiveError> {
        let (storage, list, bytes) = (self.storage.clone(), Arc::clone(list), file.bytes);
        let (version, held) = (version(&summary), claim.clone());
        let removal = async move { storage.archive_session(&held, version, &list, &file).await };
        // After an error it is not known whether the file is recorded: it stays until the claim ends.
        let is_archived = self.hub.delete_by(summary, removal).await?;
        if is_archived {
            metrics::counter!("relive_archive_sessions_total").increment(1);
            metrics::counter!("relive_archive_bytes_total").increment(bytes);
        } else {
            self.give_up(&claim).await;
        }
        Ok(is_archived)
    }

    /// Renews a claim; returns why it could not.
    async fn keep(&self, claim: &ArchiveClaim) -> ArchiveError {
        loop {
            tokio::time::sleep(RENEWED).await;
            match self.storage.keep_archiving(claim, CLAIM).await {
                Ok(true) => {}
                Ok(false) => return ArchiveError::ClaimLost,
                // The next time may do, and the end of it finds out whether the claim is held.
                Err(error) => tracing::debug!(%error, "a claim on a session to be archived could not be renewed"),
            }
        }
    }

    async fn give_up(&self, claim: &ArchiveClaim) {
        let given_up = self.storage.give_up_archiving(claim).await;
        if given_up.is_ok() {
            self.remove_file(&claim.file_name).await;
        }
    }

    /// Writes and checks a session's file; `None` if the session is not the one of the summary any more.
    async fn write(&self, summary: &SessionSummary, claim: &ArchiveClaim) -> Result<Option<StoredFile>, ArchiveError> {
        let Some(session) = self.storage.session(summary.id).await? else { return Ok(None) };
        if SessionVersion::of(&session) != version(summary) || !session.status.is_ended() {
            return Ok(None);
        }
        let written = match self.write_file(&claim.file_name, Arc::new(session)).await {
            Err(ArchiveError::Storage(StorageError::SessionGone)) => return Ok(None),
            written => written?,
        };
        // What no import would take must not be all that is left.
        let lines = self.lines(&claim.file_name, written.clone()).await?;
        let checked = self.imports.check(lines.stream).await.map_err(|error| lines.cause.explain(error))?;
        if (checked.id, checked.revision) != (summary.id, summary.revision) {
            return Err(ArchiveError::Damaged);
        }
        let relive_protocol::ArchiveCounts { events, messages, logs, memories } = checked.counts;
        let Fingerprint { bytes, sha256 } = written;
        Ok(Some(StoredFile { name: claim.file_name.clone(), bytes, sha256, events, messages, logs, memories }))
    }

    async fn write_file(&self, name: &str, session: Arc<Session>) -> Result<Fingerprint, ArchiveError> {
        let mut upload = self.place()?.begin(name);
        let written = async {
            let mut packer = Packer::new().map_err(ArchiveError::Write)?;
            let mut lines = Box::pin(export(self.storage.clone(), session));
            while let Some(piece) = lines.try_next().await? {
                let packed;
                (packer, packed) = blocking(move || packer.add(&piece).map(|packed| (packer, packed))).await?;
                upload.add(packed).await.map_err(ArchiveError::Away)?;
            }
            let (rest, fingerprint) = blocking(move || packer.finish()).await?;
            upload.add(rest).await.map_err(ArchiveError::Away)?;
            Ok(fingerprint)
        };
        match written.await {
            Ok(fingerprint) => {
                upload.finish().await.map_err(ArchiveError::Write)?;
                Ok(fingerprint)
            }
            Err(error) => {
                upload.abort().await;
                Err(error)
            }
        }
    }

    /// The lines of a file. The last of them come only if the file is the one that was written.
    async fn lines(&self, name: &str, expected: Fingerprint) -> Result<Lines<impl PackedLines + use<>>, ArchiveError> {
        let (bytes, file) = self.place()?.read(name).await?;
        if bytes != expected.bytes {
            return Err(ArchiveError::Damaged);
        }
        let cause = Cause::default();
        let noted = cause.clone();
        let stream = unpack(file, expected).map_err(ArchiveError::Write)?;
        let stream = stream.inspect_err(move |error| noted.note(error)).map_err(io::Error::other);
        Ok(Lines { stream: Box::pin(stream), cause })
    }

    /// The lines of an archived session, as they were exported.
    ///
    /// # Errors
    ///
    /// If the file cannot be read. If it turns out to be damaged later, the stream ends with an error, before its last
    /// line.
    pub async fn export(
        &self,
        row: &ArchivedRow,
    ) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + 'static + use<>, ArchiveError> {
        let lines = self.lines(&row.file.name, fingerprint(&row.file)).await.inspect_err(failed_to_read)?;
        Ok(lines.stream)
    }

    /// Brings an archived session back under its own id, and removes its file.
    ///
    /// # Errors
    ///
    /// Why it stays in the archive.
    pub async fn restore(&self, row: ArchivedRow) -> Result<Session, ArchiveError> {
        let restored = self.read_back(&row).await.inspect_err(failed_to_read)?;
        metrics::counter!("relive_archive_restored_total").increment(1);
        self.hub.appeared(restored.id, restored.parent());
        self.remove_file(&row.file.name).await;
        Ok(restored)
    }

    async fn read_back(&self, row: &ArchivedRow) -> Result<Session, ArchiveError> {
        let lines = self.lines(&row.file.name, fingerprint(&row.file)).await?;
        let received = self.imports.receive(lines.stream).await.map_err(|error| lines.cause.explain(error))?;
        if received.id() != row.summary.id || received.revision() != row.summary.revision {
            return Err(ArchiveError::Damaged);
        }
        match self.imports.restore(&row.summary.project_id, received, &row.file.name).await {
            Err(ImportError::Gone) => Err(ArchiveError::Gone),
            outcome => outcome.map_err(ArchiveError::Import),
        }
    }

    /// Deletes an archived session for good; false if it is not in the archive any more.
    ///
    /// # Errors
    ///
    /// If the database is away.
    pub async fn delete(&self, row: &ArchivedRow) -> Result<bool, ArchiveError> {
        let is_deleted = self.storage.delete_archived(&row.summary.project_id, row.summary.id).await?;
        if is_deleted {
            self.remove_file(&row.file.name).await;
        }
        Ok(is_deleted)
    }

    /// Removes a file of which no record is left. If that fails, it is tried again later.
    async fn remove_file(&self, name: &str) {
        let Ok(place) = self.place() else { return };
        let removed = place.remove(name).await.map_err(ArchiveError::from);
        let outcome = match removed {
            Ok(()) => self.storage.forget_stray_file(name).await.map_err(ArchiveError::from),
            failed => failed,
        };
        if let Err(error) = outcome {
            metrics::counter!("relive_archive_failures_total", "operation" => "remove").increment(1);
            tracing::debug!(%error, name, "a file of the archive could not be removed yet");
        }
    }

    /// Removes files of which no record is left: of deleted sessions and projects, and what a crash has left. Returns
    /// whether there may be more.
    ///
    /// # Errors
    ///
    /// If the database is away.
    pub async fn remove_strays(&self) -> Result<bool, ArchiveError> {
        self.place()?;
        let names = self.storage.take_stray_files(STRAY, REMOVING).await?;
        for name in &names {
            self.remove_file(name).await;
        }
        Ok(names.len() == STRAY as usize)
    }
}

/// Names of files are used once: nothing that a slow server does later can change the file of another attempt. In a
/// folder for each project and month, so that none gets too full.
fn file_name(summary: &SessionSummary) -> String {
    let SessionSummary { id, project_id, created_at, .. } = summary;
    let month = created_at.as_datetime().format("%Y-%m");
    let attempt = Uuid::new_v4().simple().to_string();
    format!("{project_id}/{month}/{id}.{}.ndjson.zst", &attempt[..12])
}

fn version(summary: &SessionSummary) -> SessionVersion {
    SessionVersion { identity: summary.identity(), revision: summary.revision }
}

fn fingerprint(file: &StoredFile) -> Fingerprint {
    Fingerprint { bytes: file.bytes, sha256: file.sha256.clone() }
}

fn failed_to_read(error: &ArchiveError) {
    if !matches!(error, ArchiveError::None | ArchiveError::Gone) {
        metrics::counter!("relive_archive_failures_total", "operation" => "read").increment(1);
    }
}

/// Work that would block a thread that serves requests for too long.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, ArchiveError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(ArchiveError::Write)
}

/// The lines of a file, unpacked.
trait PackedLines: Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static {}

impl<S: Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static> PackedLines for S {}

struct Lines<S> {
    stream: S,
    cause: Cause,
}

/// Whether lines ended because the file is damaged, which those who read them do not say.
#[derive(Clone, Debug, Default)]
struct Cause(Arc<AtomicBool>);

impl Cause {
    fn note(&self, error: &UnpackError) {
        if matches!(error, UnpackError::Damaged) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    fn explain(&self, error: ImportError) -> ArchiveError {
        match error {
            ImportError::Interrupted if self.0.load(Ordering::Relaxed) => ArchiveError::Damaged,
            error => ArchiveError::Import(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_concerns_one_session_does_not_stop_the_others() {
        for error in [ArchiveError::Damaged, ArchiveError::Import(ImportError::TooLarge(1)), ArchiveError::Missing] {
            assert!(error.is_about_the_session(), "{error}");
        }
        let full = ArchiveError::Write(io::Error::other("no space left"));
        for error in [full, ArchiveError::None, ArchiveError::Storage(StorageError::TimedOut)] {
            assert!(!error.is_about_the_session(), "{error}");
        }
    }

    #[test]
    fn restored_sessions_have_a_time_of_their_own() {
        let now = relive_session::Timestamp::now();
        let (day, rule) = (
            Duration::from_hours(24),
            crate::storage::RetentionRule {
                statuses: Vec::new(),
                workflow_id: None,
                group_id: None,
                tag: None,
                action: crate::storage::RetentionAction::Archive(30.0),
            },
        );
        let filter = rule.filter(relive_session::ProjectId::default(), now, day).expect("a filter");
        assert_eq!((filter.ended_before, filter.not_restored_after), (now.before(30 * day), now.before(day)));
        let stored = serde_json::to_value(&rule).expect("JSON");
        assert_eq!(stored, serde_json::json!({"archiveAfterDays": 30.0}));
        assert_eq!(serde_json::from_value::<crate::storage::RetentionRule>(stored).expect("a rule"), rule);
    }
}
