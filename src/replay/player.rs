//! Plays a stored session: reads ahead in bounded pages, folds, and says what is due.

use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;

use super::{Playhead, Point, Range, Speed};
use crate::storage::{PageBounds, Storage, StorageError, StoredEvent};
use relive_session::{ApplyError, Revision, Session, SessionId, SessionStatus, Texts, Timestamp};

/// Events in the first page after opening or seeking; each further one has twice as many.
const FIRST_PAGE: u32 = 32;
/// Events in a page at most.
const PAGE: u32 = 512;
/// Bytes of events and messages in a page, unless a single event has more.
const PAGE_BYTES: u32 = 512 * 1024;

/// The range of a replay and its options.
#[derive(Clone, Copy, Debug)]
pub struct ReplayOptions {
    pub speed: Speed,
    pub from: Option<Point>,
    pub to: Option<Point>,
    pub skip_idle: Option<Duration>,
    /// Whether states are folded, or only events passed on.
    pub folds: bool,
    /// Which texts come with the events that added them.
    pub texts: Texts,
}

/// Why a replay cannot continue.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("`to` lies before `from`")]
    EmptyRange,
    /// Events are missing: the session was deleted.
    #[error("there is no such session")]
    Gone,
    #[error("this session may not be read any more")]
    Forbidden,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<ApplyError> for ReplayError {
    fn from(error: ApplyError) -> Self {
        Self::Storage(error.into())
    }
}

/// The next step of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The next event is due: [`Player::advance`].
    Due,
    /// The next event is due at this wall time.
    At(Duration),
    /// More has to be read: [`Player::read_ahead`].
    Unread,
    /// The last available revision is shown.
    AtLast,
    Paused,
}

/// A replay of one session. It holds no database connection except while it reads, and at most two
/// pages.
#[derive(Debug)]
pub struct Player {
    storage: Storage,
    session_id: SessionId,
    options: ReplayOptions,
    range: Range,
    playhead: Playhead<StoredEvent>,
    /// The state at the shown revision, if states are wanted.
    state: Option<Session>,
    /// Events in the next page.
    page: u32,
    /// Whether the last page had all of its events, so that none of them was left out for its bytes, and no texts.
    was_small: bool,
    /// The page after those held, being read while they are shown; only at full speed, where showing does not
    /// wait for time to pass.
    ahead: Option<AbortOnDropHandle<Result<Vec<StoredEvent>, StorageError>>>,
}

impl Player {
    /// Opens a session whose newest state is `head`, paused at the beginning of the range.
    ///
    /// In a replay that folds, the first state is [`Player::state`]; in another, the first event is returned
    /// with the player.
    ///
    /// # Errors
    ///
    /// If there is nothing to replay, or it cannot be read.
    pub async fn open(
        storage: Storage,
        head: &Session,
        options: ReplayOptions,
    ) -> Result<(Self, Option<StoredEvent>), ReplayError> {
        let session_id = head.id;
        let first = match options.from {
            Some(from) => from.revision(&storage, session_id).await?.min(head.revision),
            None => 1,
        };
        let to = match options.to {
            Some(to) => Some(to.revision(&storage, session_id).await?),
            None => None,
        };
        if to.is_some_and(|to| to < first) {
            return Err(ReplayError::EmptyRange);
        }
        let (state, event) = if options.folds {
            (Some(storage.session_at(session_id, first).await?.ok_or(ReplayError::Gone)?), None)
        } else {
            let bounds = PageBounds { rows: 1, bytes: PAGE_BYTES };
            let page =
                storage.journal(session_id).after(first - 1).up_to(first).stored_page(bounds, options.texts).await?;
            (None, Some(page.into_iter().next().ok_or(ReplayError::Gone)?))
        };
        let start_at = match (&state, &event) {
            (Some(state), _) => state.updated_at,
            (None, Some(event)) => event.at,
            (None, None) => head.updated_at,
        };
        let range = Range { first, start_at, last: first, end_at: start_at, to, is_complete: false };
        let mut playhead = Playhead::new(options.speed, options.skip_idle, first, start_at);
        if let Some(Point::Time(time)) = options.from {
            playhead.jump(Duration::ZERO, first, start_at, Some(time));
        }
        let mut player = Self {
            storage,
            session_id,
            options,
            range,
            playhead,
            state,
            page: FIRST_PAGE,
            was_small: false,
            ahead: None,
        };
        player.grow(head).await?;
        Ok((player, event))
    }

    #[must_use]
    pub fn range(&self) -> &Range {
        &self.range
    }

    #[must_use]
    pub fn playhead(&self) -> &Playhead<StoredEvent> {
        &self.playhead
    }

    #[must_use]
    pub fn options(&self) -> &ReplayOptions {
        &self.options
    }

    /// The state at the shown revision, if this replay folds.
    #[must_use]
    pub fn state(&self) -> Option<&Session> {
        self.state.as_ref()
    }

    #[must_use]
    pub fn revision(&self) -> Revision {
        self.playhead.shown().revision
    }

    #[must_use]
    pub fn at(&self, wall: Duration) -> Timestamp {
        self.playhead.at(wall, self.range.end_at)
    }

    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.range.is_complete && self.revision() == self.range.last
    }

    /// Updates the end of the range to the session's newest state; true if the range has grown or was completed.
    ///
    /// # Errors
    ///
    /// If the time of `to` cannot be read.
    pub async fn grow(&mut self, head: &Session) -> Result<bool, ReplayError> {
        let held = self.range;
        let (last, is_complete) = match held.to {
            Some(to) if to <= head.revision => (to, true),
            _ => (head.revision, head.status.is_ended()),
        };
        if held.is_complete || (last <= held.last && !is_complete) {
            return Ok(false);
        }
        let end_at = match last {
            last if last == held.last => held.end_at,
            last if last == head.revision => head.updated_at,
            last => self.time_of(last).await?,
        };
        self.range = Range { last, end_at, is_complete, ..held };
        Ok(true)
    }

    /// The next step at wall time `wall`.
    #[must_use]
    pub fn next(&self, wall: Duration) -> Next {
        if !self.playhead.pace().is_playing() {
            return Next::Paused;
        }
        let Some(next) = self.playhead.next() else {
            return if self.revision() < self.range.last { Next::Unread } else { Next::AtLast };
        };
        match self.playhead.pace().reaches(next.due) {
            Some(due) if !self.playhead.is_next_due(wall) => Next::At(due),
            _ => Next::Due,
        }
    }

    /// Reads the next page.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or does not exist any more.
    pub async fn read_ahead(&mut self) -> Result<(), ReplayError> {
        let (after, last) = (self.playhead.newest().revision, self.range.last);
        let begun = match self.ahead.take() {
            // If the task has failed, the page is read again.
            Some(page) => page.await.ok(),
            None => None,
        };
        let page = match begun {
            Some(page) => page?,
            None => self.page_after(after).await?,
        };
        if page.is_empty() && after < last {
            return Err(ReplayError::Gone);
        }
        self.was_small = page.len() >= self.page as usize && page.iter().all(|event| event.text.is_none());
        self.page = (self.page * 2).min(PAGE);
        for event in page {
            self.playhead.push(event.revision, event.at, event);
        }
        let newest = self.playhead.newest().revision;
        if self.playhead.pace().speed() == Speed::Max && newest < last {
            self.ahead = Some(AbortOnDropHandle::new(tokio::spawn(self.page_after(newest))));
        }
        Ok(())
    }

    fn page_after(
        &self,
        after: Revision,
    ) -> impl Future<Output = Result<Vec<StoredEvent>, StorageError>> + Send + 'static {
        let (storage, session_id, last) = (self.storage.clone(), self.session_id, self.range.last);
        let bounds = PageBounds { rows: self.page, bytes: PAGE_BYTES };
        let texts = self.options.texts;
        // What is read in vain then is at most one page for each that was not.
        let is_small = self.was_small;
        async move {
            let journal = storage.journal(session_id).after(after).up_to(last);
            if is_small { journal.small_page(bounds, texts).await } else { journal.stored_page(bounds, texts).await }
        }
    }

    /// Advances to the next event that was read, due or not.
    ///
    /// # Errors
    ///
    /// If the history is damaged.
    pub fn advance(&mut self) -> Result<Option<StoredEvent>, ReplayError> {
        let event = self.playhead.pop();
        self.fold(event)
    }

    /// Pauses, and advances to the next event; `None` at the last.
    ///
    /// # Errors
    ///
    /// As for [`Player::read_ahead`] and [`Player::advance`].
    pub async fn step(&mut self, wall: Duration) -> Result<Option<StoredEvent>, ReplayError> {
        if self.playhead.next().is_none() && self.revision() < self.range.last {
            self.read_ahead().await?;
        }
        let event = self.playhead.step(wall);
        self.fold(event)
    }

    fn fold(&mut self, event: Option<StoredEvent>) -> Result<Option<StoredEvent>, ReplayError> {
        if let (Some(state), Some(stored)) = (&mut self.state, &event) {
            state.apply(&stored.recorded(self.session_id)?)?;
        }
        Ok(event)
    }

    /// Seeks to a position in the range, or to the nearer end; returns the state there. Costs one
    /// keyframe and the events after it.
    ///
    /// # Errors
    ///
    /// If the state cannot be read; the position is unchanged then.
    pub async fn seek(&mut self, wall: Duration, to: Point) -> Result<Session, ReplayError> {
        let revision = self.range.clamp(to.revision(&self.storage, self.session_id).await?);
        let state = self.storage.session_at(self.session_id, revision).await?.ok_or(ReplayError::Gone)?;
        let sought = match to {
            Point::Time(time) => Some(time.min(self.range.end_at)),
            Point::Revision(_) => None,
        };
        self.go_on_from(wall, revision, state.updated_at, sought, Some(state.clone()));
        Ok(state)
    }

    /// Sets the position to a revision that the viewer was shown live.
    pub fn go_on_from(
        &mut self,
        wall: Duration,
        revision: Revision,
        at: Timestamp,
        sought: Option<Timestamp>,
        state: Option<Session>,
    ) {
        self.playhead.jump(wall, revision, at, sought);
        self.state = state.filter(|_| self.options.folds);
        self.page = FIRST_PAGE;
        self.was_small = false;
        self.ahead = None;
    }

    /// The session's status at the shown revision; `head` is its newest state.
    ///
    /// # Errors
    ///
    /// If it has to be read and cannot be.
    pub async fn status(&self, head: &Session) -> Result<SessionStatus, ReplayError> {
        match &self.state {
            Some(state) => Ok(state.status),
            None if head.revision == self.revision() => Ok(head.status),
            None => {
                Ok(self.storage.session_at(self.session_id, self.revision()).await?.ok_or(ReplayError::Gone)?.status)
            }
        }
    }

    /// When a revision was recorded.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub async fn time_of(&self, revision: Revision) -> Result<Timestamp, ReplayError> {
        self.storage.time_of(self.session_id, revision).await?.ok_or(ReplayError::Gone)
    }

    pub fn play(&mut self, wall: Duration) {
        self.playhead.play(wall);
    }

    pub fn pause(&mut self, wall: Duration) {
        self.playhead.pause(wall);
    }

    pub fn set_speed(&mut self, wall: Duration, speed: Speed) {
        self.playhead.set_speed(wall, speed);
    }
}
