//! A replay on a client's connection: shows what a [`Player`] says is due.
//!
//! It runs in the connection's own task and, like a live viewer, has no queue: what the client
//! cannot take now stays in the journal. When it reaches the newest revision of a session that is
//! still running, a live viewer continues from what the client holds (`edge`).

mod edge;
mod report;
mod show;
mod steer;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::frames;
use super::gateway::Gateway;
use super::socket::Socket;
use super::viewer::MayRead;
use crate::hub::{Head, HubError, Subscription};
use crate::replay::{Next, Player, Point, ReplayError, ReplayOptions, Speed};
use relive_protocol::{CloseCode, ErrorCode, Mode};
use relive_session::{Revision, Session, SessionId, Texts};

pub(super) use steer::ReplayControl;

use edge::LiveEdge;
use report::Report;
use show::Shown;

/// Pages shown before the connection handles other events.
const TURN: usize = 4;
/// The least time between two checks of the newest revision of a running session.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// The pause before the journal is read again after an error.
const RETRY: Duration = Duration::from_millis(500);

/// What is to be replayed, and how.
#[derive(Clone, Debug)]
pub struct ReplayRequest {
    pub session_id: SessionId,
    pub mode: Mode,
    pub texts: Texts,
    pub min_interval: Duration,
    pub speed: Speed,
    pub from: Option<Point>,
    pub to: Option<Point>,
    pub skip_idle: Option<Duration>,
    pub paused: bool,
}

/// One client's replay.
pub(super) struct Replay {
    gateway: Gateway,
    socket: Arc<Socket>,
    request: ReplayRequest,
    /// Follows the session, for its newest revision and its deletion.
    subscription: Subscription,
    player: Player,
    /// The origin of wall time: the player is given the time since then.
    began: Instant,
    /// The state that the client was last sent; none in events mode.
    base: Option<Arc<Session>>,
    /// Messages and log lines up to this revision have been sent, or skipped.
    texts: Revision,
    /// Frames that the client could not take yet: a batch of events at most.
    pending: Option<Bytes>,
    /// The client was busy: it is sent the newest state that is due, not each.
    is_catching_up: bool,
    /// No state before this, if the client asked for a slower pace.
    not_before: Option<Instant>,
    edge: Option<LiveEdge>,
    /// The speed was changed while live: it is not live again until something was played from here.
    stays_behind: Option<Revision>,
    report: Report,
    due: Option<Instant>,
    next_check: Instant,
    closing: Option<CloseCode>,
    /// As for a live viewer.
    may_read: Option<MayRead>,
    _count: Count,
}

impl Replay {
    /// Opens a replay and shows its first state.
    ///
    /// # Errors
    ///
    /// Why the client's socket is closed.
    pub async fn open(
        gateway: Gateway,
        socket: Arc<Socket>,
        may_read: Option<MayRead>,
        request: ReplayRequest,
    ) -> Result<Self, (Bytes, CloseCode)> {
        let id = request.session_id;
        let refuse = |error: ReplayError| final_frame(id, error);
        let mut subscription = match gateway.hub.subscribe(id).await {
            Ok(subscription) => subscription,
            Err(HubError::NotFound) => return Err(refuse(ReplayError::Gone)),
            Err(error) => return Err((frames::hub_error(None, id, &error), CloseCode::Restarting)),
        };
        let options = ReplayOptions {
            speed: request.speed,
            from: request.from,
            to: request.to,
            skip_idle: request.skip_idle,
            folds: request.mode != Mode::Events,
            texts: request.texts,
        };
        let head = Arc::clone(subscription.head().session());
        let storage = gateway.storage.clone();
        let (player, first) = Player::open(storage, &head, options).await.map_err(refuse)?;
        let now = Instant::now();
        let mut replay = Self {
            gateway,
            socket,
            subscription,
            began: now,
            base: None,
            texts: if first.is_some() { player.revision() - 1 } else { player.revision() },
            pending: None,
            is_catching_up: false,
            not_before: None,
            edge: None,
            stays_behind: None,
            report: Report::new(player.range(), request.skip_idle),
            due: Some(now),
            next_check: now,
            closing: None,
            may_read,
            _count: Count::new(),
            request,
            player,
        };
        replay.send_first(first);
        if !replay.request.paused {
            replay.player.play(Duration::ZERO);
        }
        replay.report();
        Ok(replay)
    }

    /// When to continue this replay without a wake-up.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Waits until the session has changed, at most once per [`CHECK_INTERVAL`]. Cancel-safe.
    pub async fn session_changed(&mut self) {
        tokio::time::sleep_until(self.next_check).await;
        self.subscription.changed().await;
    }

    /// Shows what is due; returns the code to close with if the replay cannot continue.
    pub async fn serve(&mut self) -> Option<CloseCode> {
        if self.closing.is_some() {
            return self.closing;
        }
        self.due = None;
        match self.advance().await {
            Ok(Some(time)) => self.wake_at(time),
            Ok(None) => {}
            Err(error) => self.fail(error),
        }
        self.report_if_due();
        self.closing
    }

    /// Shows what is due; returns when to continue, unless that depends on the client or the session.
    async fn advance(&mut self) -> Result<Option<Instant>, ReplayError> {
        self.refresh().await?;
        for _ in 0..TURN {
            if self.edge.is_some() {
                return self.follow_live().await;
            }
            if self.socket.is_blocked() || !self.flush_pending() {
                return Ok(None);
            }
            match self.show_due()? {
                Shown::All => {}
                Shown::Some => break,
                Shown::Blocked => return Ok(None),
                Shown::HeldBack(until) => return Ok(Some(until)),
            }
            match self.player.next(self.wall()) {
                Next::Due => {}
                Next::At(wall) => return Ok(Some(self.instant(wall))),
                Next::Unread => self.player.read_ahead().await?,
                Next::AtLast => return self.arrive().await,
                Next::Paused => return Ok(None),
            }
        }
        Ok(Some(Instant::now()))
    }

    /// Updates the end of the range to the session's newest revision.
    async fn refresh(&mut self) -> Result<(), ReplayError> {
        self.next_check = Instant::now() + CHECK_INTERVAL;
        match self.subscription.head() {
            Head::Deleted(_) => Err(ReplayError::Gone),
            Head::At(publication) if self.is_forbidden(publication.session()) => Err(ReplayError::Forbidden),
            Head::At(publication) => self.player.grow(publication.session()).await.map(drop),
        }
    }

    fn is_forbidden(&self, session: &Session) -> bool {
        self.may_read.as_ref().is_some_and(|MayRead(may_read)| !may_read(session))
    }

    /// Checks `may_read` from now on.
    pub fn restrict(&mut self, may_read: Option<MayRead>) {
        if let Some(edge) = &self.edge {
            edge.viewer.restrict(may_read.clone());
        }
        self.may_read = may_read;
    }

    /// The last available revision was shown.
    async fn arrive(&mut self) -> Result<Option<Instant>, ReplayError> {
        if self.player.is_at_end() {
            let head = Arc::clone(self.subscription.head().session());
            let status = self.player.status(&head).await?;
            self.player.pause(self.wall());
            self.socket.send(frames::end_of(self.request.session_id, status, self.player.revision()));
            self.report();
            return Ok(None);
        }
        let waits = self.player.range().to.is_some() || self.stays_behind == Some(self.player.revision());
        if waits { Ok(None) } else { self.go_live().await }
    }

    /// Transient errors are retried; others end the replay.
    fn fail(&mut self, error: ReplayError) {
        match error {
            ReplayError::Storage(error) if error.is_transient() => self.wake_at(Instant::now() + RETRY),
            error => {
                let (frame, code) = final_frame(self.request.session_id, error);
                self.socket.send(frame);
                self.closing = Some(code);
            }
        }
    }

    fn wall(&self) -> Duration {
        self.began.elapsed()
    }

    /// The instant of a wall time; saturates.
    fn instant(&self, wall: Duration) -> Instant {
        const FAR: Duration = Duration::from_hours(24);
        self.began.checked_add(wall).unwrap_or_else(|| Instant::now() + FAR)
    }

    fn wake_at(&mut self, time: Instant) {
        self.due = Some(self.due.map_or(time, |due| due.min(time)));
    }
}

/// The error text and close code for a client whose replay cannot continue.
fn final_frame(id: SessionId, error: ReplayError) -> (Bytes, CloseCode) {
    match error {
        ReplayError::EmptyRange => {
            let frame = frames::error_frame(None, Some(id.into()), ErrorCode::BadRequest, &error.to_string());
            (frame, CloseCode::NotThisProtocol)
        }
        ReplayError::Forbidden => {
            let frame = frames::error_frame(None, Some(id.into()), ErrorCode::Forbidden, &error.to_string());
            (frame, CloseCode::Forbidden)
        }
        ReplayError::Gone => (frames::hub_error(None, id, &HubError::NotFound), CloseCode::NoSuchSession),
        ReplayError::Storage(error) => (frames::hub_error(None, id, &error.into()), CloseCode::Restarting),
    }
}

/// Counts a replay for as long as it lives.
struct Count;

impl Count {
    fn new() -> Self {
        metrics::gauge!("relive_replays").increment(1);
        Self
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        metrics::gauge!("relive_replays").decrement(1);
    }
}
