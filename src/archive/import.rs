//! Taking a file in.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::Semaphore;

use super::checker::Checker;
use super::error::{ImportError, Wrong};
use super::lines::Lines;
use super::seal::Seal;
use super::target::Target;
use crate::protocol::ArchiveLine;
use crate::session::Session;
use crate::storage::Storage;

/// Imports at a time. Each holds a database connection, and its client decides for how long.
const AT_A_TIME: usize = 2;
/// How long a client that sent something wrong is listened to, so that it hears why.
const LINGER: Duration = Duration::from_secs(10);

/// What an import may take.
#[derive(Clone, Copy, Debug)]
pub struct ImportLimits {
    /// Bytes of a file (4 GiB).
    pub bytes: u64,
    /// How long a client may send nothing (30 s).
    pub stall: Duration,
    /// How long it may take in all (an hour).
    pub whole: Duration,
    /// How many numbers an embedding has here (1,536). Others are left out, and made anew.
    pub embedding_dimension: u32,
}

impl Default for ImportLimits {
    fn default() -> Self {
        Self {
            bytes: 4 << 30,
            stall: Duration::from_secs(30),
            whole: Duration::from_hours(1),
            embedding_dimension: 1_536,
        }
    }
}

/// Takes files in, a few at a time. A cheap handle.
#[derive(Clone, Debug)]
pub struct Imports {
    storage: Storage,
    limits: ImportLimits,
    places: Arc<Semaphore>,
}

impl Imports {
    #[must_use]
    pub fn new(storage: Storage, limits: ImportLimits) -> Self {
        Self { storage, limits, places: Arc::new(Semaphore::new(AT_A_TIME)) }
    }

    /// Takes a file in whole, or not at all; returns the session as it is stored.
    ///
    /// The session keeps its id if that is free. Otherwise, and with `new_id`, it gets another, and so
    /// do its messages and memories.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong.
    pub async fn import<S, E>(&self, body: S, new_id: bool) -> Result<Session, ImportError>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
    {
        let Ok(_place) = self.places.try_acquire() else { return Err(ImportError::Busy) };
        let mut lines = Lines::new(body, self.limits);
        let reading = tokio::time::timeout(self.limits.whole, self.read(&mut lines, new_id));
        let outcome = reading.await.unwrap_or(Err(ImportError::Stalled));
        if outcome.is_err() {
            lines.linger(LINGER).await;
        }
        outcome
    }

    async fn read<S, E>(&self, lines: &mut Lines<S>, new_id: bool) -> Result<Session, ImportError>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
    {
        let mut seal = Seal::default();
        let mut checker = Checker::new(self.limits.embedding_dimension);
        let mut target: Option<Target> = None;
        while let Some(mut text) = lines.next().await? {
            let number = lines.number;
            let before = seal.sha256();
            if !seal.open(&mut text) {
                return Err(Wrong::Altered.at(number));
            }
            let mut line: ArchiveLine = serde_json::from_slice(&text).map_err(|error| Wrong::Json(error).at(number))?;
            checker.take(&mut line, &before).map_err(|wrong| wrong.at(number))?;
            let target = match &mut target {
                Some(target) => target,
                None => target.insert(Target::new(&self.storage, checker.id(), new_id).await?),
            };
            target.put(line, number, text.len(), checker.state()).await?;
        }
        match (checker.is_done(), target, checker.state()) {
            (true, Some(target), Some(state)) => target.commit(state).await,
            _ => Err(Wrong::CutOff.at(lines.number)),
        }
    }
}
