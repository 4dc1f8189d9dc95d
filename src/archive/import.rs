//! Importing a file: received, checked and spooled at the speed of the client, then stored at the speed of
//! the database.
//!
//! Lines are checked on threads for blocking work, since one may have 16 MiB. Only a file that is complete and
//! valid reaches the database, in one transaction whose duration does not depend on the client.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::checksum::RunningChecksum;
use super::error::{ImportError, ImportFault};
use super::limits::ImportLimits;
use super::lines::{LineReader, NumberedLine};
use super::rows;
use super::spool::{Spool, SpoolReader};
use super::validator::ImportValidator;
use super::writer::{Destination, ImportWriter};
use crate::storage::Storage;
use relive_protocol::{ARCHIVE_FORMAT, ArchiveCounts, ArchiveLine};
use relive_session::{Keyframe, ProjectId, Revision, Session, SessionId};

/// Files that are received at a time; each may take as much disk as [`ImportLimits::bytes`] says.
const RECEIVED_AT_A_TIME: usize = 8;
/// Files that are stored at a time; each holds a database connection.
const STORED_AT_A_TIME: usize = 2;

/// Imports files, a few at a time. A cheap handle.
#[derive(Clone, Debug)]
pub struct Imports {
    storage: Storage,
    limits: ImportLimits,
    receiving: Arc<Semaphore>,
    storing: Arc<Semaphore>,
}

impl Imports {
    #[must_use]
    pub fn new(storage: Storage, limits: ImportLimits) -> Self {
        let places = |number| Arc::new(Semaphore::new(number));
        Self { storage, limits, receiving: places(RECEIVED_AT_A_TIME), storing: places(STORED_AT_A_TIME) }
    }

    /// Receives and checks a whole file.
    ///
    /// # Errors
    ///
    /// The first fault.
    pub async fn receive<S, E>(&self, body: S) -> Result<ReceivedFile, ImportError>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
    {
        let Ok(place) = Arc::clone(&self.receiving).try_acquire_owned() else { return Err(ImportError::Busy) };
        let mut lines = LineReader::new(body, self.limits);
        let receiving = tokio::time::timeout(self.limits.whole, self.read_lines(&mut lines, place));
        receiving.await.unwrap_or(Err(ImportError::Stalled))
    }

    async fn read_lines<S, E>(
        &self,
        lines: &mut LineReader<S>,
        place: OwnedSemaphorePermit,
    ) -> Result<ReceivedFile, ImportError>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
    {
        let intake = Intake::new(self.limits.embedding_dimension, Some(Spool::new()?));
        Self::take_in(lines, intake).await?.finish(lines.number, place)
    }

    async fn take_in<S, E>(lines: &mut LineReader<S>, mut intake: Intake) -> Result<Intake, ImportError>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
    {
        let mut batch = lines.next_batch().await?;
        while !batch.is_empty() {
            let added = begin_blocking(move || intake.add_lines(batch));
            // A fault of these lines is told at once; one of what arrives meanwhile, after them.
            let next = async { Ok(lines.next_batch().await) };
            let (added, next) = tokio::try_join!(added, next)?;
            (intake, batch) = (added, next?);
        }
        Ok(intake)
    }

    /// Checks a whole file, as [`Imports::receive`] does, and keeps nothing of it.
    ///
    /// # Errors
    ///
    /// The first fault.
    pub(super) async fn check<S, E>(&self, body: S) -> Result<CheckedFile, ImportError>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
    {
        let mut lines = LineReader::new(body, self.limits);
        let intake = Intake::new(self.limits.embedding_dimension, None);
        let checking = tokio::time::timeout(self.limits.whole, Self::take_in(&mut lines, intake));
        let intake = checking.await.unwrap_or(Err(ImportError::Stalled))?;
        let (id, revision) = (intake.validator.id(), intake.whole(lines.number)?.revision);
        Ok(CheckedFile { id, revision, counts: intake.validator.counts() })
    }

    /// Stores an archived session again, under its own id, atomically, in place of its record.
    ///
    /// # Errors
    ///
    /// [`ImportError::Gone`] if there is no such record any more;
    /// [`Constraint`](crate::storage::StorageError::Constraint) if an id is taken.
    pub(super) async fn restore(
        &self,
        project: &ProjectId,
        received: ReceivedFile,
        file_name: &str,
    ) -> Result<Session, ImportError> {
        let _place = self.storing.acquire().await.map_err(|_| ImportError::Busy)?;
        let ReceivedFile { id, state, spool, .. } = received;
        self.write(project, id, &state, spool, Destination::Restored { file_name }).await.0
    }

    /// Stores what was received in a project, atomically; returns the session as stored.
    ///
    /// The session keeps its id if that is free, and no memory has the id of one of another project. Otherwise, and
    /// with `new_id`, it gets another, and so do its memories. With `key`, only one session is created under it.
    ///
    /// # Errors
    ///
    /// [`Constraint`](crate::storage::StorageError::Constraint) if a session was created under the key, or an id is taken.
    pub async fn store(
        &self,
        project: &ProjectId,
        received: ReceivedFile,
        new_id: bool,
        key: Option<&str>,
    ) -> Result<Session, ImportError> {
        let _place = self.storing.acquire().await.map_err(|_| ImportError::Busy)?;
        let ReceivedFile { id, state, mut spool, .. } = received;
        // Retried under other ids if the session's own is taken between the check and the commit, or that of a memory
        // belongs to another project.
        let (outcome, returned) = self.write(project, id, &state, spool, Destination::New { new_id, key }).await;
        if new_id || !outcome.as_ref().is_err_and(ImportError::wants_new_ids) {
            return outcome;
        }
        spool = returned.ok_or_else(|| io::Error::other("the spooled file is gone"))?.rewound()?;
        self.write(project, id, &state, spool, Destination::New { new_id: true, key }).await.0
    }

    /// Writes everything in one transaction; returns the spooled file if it could be read.
    async fn write(
        &self,
        project: &ProjectId,
        id: SessionId,
        state: &Session,
        spool: SpoolReader,
        to: Destination<'_>,
    ) -> (Result<Session, ImportError>, Option<SpoolReader>) {
        let dimension = self.limits.embedding_dimension;
        let writer = ImportWriter::new(&self.storage, project.clone(), dimension, id, to, state.is_released);
        let mut writer = match writer.await {
            Ok(writer) => writer,
            Err(error) => return (Err(error), Some(spool)),
        };
        let parse = |spool| begin_blocking(move || rows::parse(spool));
        let mut parsed = parse(spool);
        loop {
            let (spool, rows) = match parsed.await {
                Ok(parsed) => parsed,
                Err(error) => return (Err(error), None),
            };
            if rows.is_empty() {
                return (writer.commit(state).await, Some(spool));
            }
            // While these are written.
            parsed = parse(spool);
            for row in rows {
                if let Err(error) = writer.put(row).await {
                    return (Err(error), parsed.await.ok().map(|(spool, _)| spool));
                }
            }
        }
    }
}

/// Receives and checks a file in these pieces, without storing it: for `crate::fuzzing`.
pub(crate) async fn receive_only(pieces: Vec<Bytes>, limits: ImportLimits) -> Result<(String, Session), ImportError> {
    let body = futures_util::stream::iter(pieces.into_iter().map(Ok::<_, io::Error>));
    let mut lines = LineReader::new(body, limits);
    let mut intake = Intake::new(limits.embedding_dimension, Some(Spool::new()?));
    loop {
        let batch = lines.next_batch().await?;
        if batch.is_empty() {
            break;
        }
        intake = intake.add_lines(batch)?;
    }
    let place = Arc::new(Semaphore::new(1)).acquire_owned().await.map_err(|_| ImportError::Busy)?;
    let received = intake.finish(lines.number, place)?;
    // What was spooled of it is what will be stored.
    let (mut spool, mut rows) = rows::parse(received.spool)?;
    while !rows.is_empty() {
        (spool, rows) = rows::parse(spool)?;
    }
    Ok((received.sha256, received.state))
}

/// Begins work that would block a thread that serves requests for too long; the future is its outcome.
fn begin_blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ImportError> + Send + 'static,
) -> impl Future<Output = Result<T, ImportError>> {
    let working = tokio::task::spawn_blocking(work);
    async { working.await.unwrap_or_else(|error| Err(io::Error::other(error).into())) }
}

/// A file that is complete and valid.
pub struct ReceivedFile {
    /// The SHA-256 of its lines, as its last line has it.
    pub sha256: String,
    /// The session's id in the file.
    id: SessionId,
    /// The state after its events.
    state: Session,
    spool: SpoolReader,
    _place: OwnedSemaphorePermit,
}

/// What a file that is complete and valid has.
pub(super) struct CheckedFile {
    pub id: SessionId,
    pub revision: Revision,
    pub counts: ArchiveCounts,
}

impl ReceivedFile {
    pub(super) fn id(&self) -> SessionId {
        self.id
    }

    pub(super) fn revision(&self) -> Revision {
        self.state.revision
    }

    /// Whether its session has not ended.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !self.state.status.is_ended()
    }
}

/// A file that is being received.
struct Intake {
    checksum: RunningChecksum,
    validator: ImportValidator,
    /// `None`: it is only checked.
    spool: Option<Spool>,
}

impl Intake {
    fn new(embedding_dimension: u32, spool: Option<Spool>) -> Self {
        let validator = ImportValidator::new(embedding_dimension);
        Self { checksum: RunningChecksum::default(), validator, spool }
    }

    fn add_lines(mut self, lines: Vec<NumberedLine>) -> Result<Self, ImportError> {
        for NumberedLine { number, mut text } in lines {
            let before = self.checksum.clone();
            if !self.checksum.open(&mut text) {
                let is_another_file = number == 1 && !is_header(&text);
                let fault = if is_another_file { ImportFault::NoHeader } else { ImportFault::Altered };
                return Err(fault.at(number));
            }
            let line: ArchiveLine =
                serde_json::from_slice(&text).map_err(|error| ImportFault::Json(error).at(number))?;
            self.validator.check_line(&line, &before).map_err(|fault| fault.at(number))?;
            let Some(spool) = &mut self.spool else { continue };
            spool.line(number, &text)?;
            if matches!(line, ArchiveLine::Event(_)) {
                self.keep_keyframe()?;
            }
        }
        Ok(self)
    }

    fn keep_keyframe(&mut self) -> Result<(), ImportError> {
        let (Some(state), Some(spool)) = (self.validator.state(), &mut self.spool) else { return Ok(()) };
        if !Keyframe::is_due(state.revision - 1, state) {
            return Ok(());
        }
        let json = serde_json::to_vec(&Keyframe::of(state)).map_err(io::Error::other)?;
        Ok(spool.keyframe(state.revision, &json)?)
    }

    /// The state after all events, if the file is complete.
    fn whole(&self, lines: u64) -> Result<&Session, ImportError> {
        match (self.validator.is_done(), self.validator.state()) {
            (true, Some(state)) => Ok(state),
            _ => Err(ImportFault::CutOff.at(lines)),
        }
    }

    fn finish(self, lines: u64, place: OwnedSemaphorePermit) -> Result<ReceivedFile, ImportError> {
        let (id, state) = (self.validator.id(), self.whole(lines)?.clone());
        let spool = self.spool.ok_or_else(|| io::Error::other("the file was not kept"))?.into_reader()?;
        Ok(ReceivedFile { sha256: self.checksum.sha256(), id, state, spool, _place: place })
    }
}

/// Whether a first line claims to be of this format.
fn is_header(line: &[u8]) -> bool {
    line.windows(ARCHIVE_FORMAT.len()).any(|part| part == ARCHIVE_FORMAT.as_bytes())
}
