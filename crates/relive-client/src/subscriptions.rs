//! The subscriptions of a client, over its one connection.
//!
//! Each subscription has a queue of fixed length. When its reader falls behind and the queue is full, the
//! client stops reading *that session*: it unsubscribes, and subscribes again with `after` once half of
//! the queue is free. The socket itself is always read, so acknowledgements and other sessions never wait
//! behind a slow reader, and memory stays bounded; the events in between come from the server's journal.

use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::cursor::{FrameVerdict, ResumeCursor};
use super::{ClientError, Options};
use relive_backoff::Backoff;
use relive_protocol::{ClientFrame, ServerFrame, Subscribe};
use relive_session::SessionId;

/// The reader's end of a subscription's queue. Dropping it ends the subscription.
#[derive(Debug)]
pub(super) struct Frames {
    queue: mpsc::Receiver<ServerFrame>,
    fate: Arc<OnceLock<ClientError>>,
    reported: bool,
    _unsubscribe: DropGuard,
}

impl Frames {
    /// The next frame; the error that ends the subscription, once; `None` after that.
    pub(super) async fn next(&mut self) -> Option<Result<ServerFrame, ClientError>> {
        if let Some(frame) = self.queue.recv().await {
            return Some(Ok(frame));
        }
        let fate = self.fate.get().filter(|_| !self.reported).cloned();
        self.reported = true;
        fate.map(Err)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    /// A `subscribe` is on its way; frames that arrive before its answer belong to an earlier one.
    Requested,
    Flowing,
    /// Unsubscribed until the reader has caught up.
    Full,
    /// Unsubscribed until this time, after an error.
    BackingOff(Instant),
}

struct Subscribed {
    /// Distinguishes this subscription from an earlier one of the same session.
    serial: u64,
    cursor: ResumeCursor,
    queue: mpsc::Sender<ServerFrame>,
    fate: Arc<OnceLock<ClientError>>,
    flow: Flow,
    backoff: Backoff,
}

impl Subscribed {
    fn due(&self) -> Option<Instant> {
        match self.flow {
            Flow::BackingOff(due) => Some(due),
            _ => None,
        }
    }
}

/// Actions of a reader.
pub(super) enum Notice {
    Left(SessionId, u64),
    CaughtUp(SessionId, u64),
}

pub(super) struct Subscriptions {
    entries: HashMap<SessionId, Subscribed>,
    /// At least every session whose flow is [`Flow::BackingOff`].
    backing_off: HashSet<SessionId>,
    notices: FuturesUnordered<Pin<Box<dyn Future<Output = Notice> + Send>>>,
    next_serial: u64,
    queue: usize,
    backoff: Backoff,
}

impl Subscriptions {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            entries: HashMap::new(),
            backing_off: HashSet::new(),
            notices: FuturesUnordered::new(),
            next_serial: 1,
            queue: options.queue.max(2),
            backoff: Backoff::with_full_jitter(options.backoff_first, options.backoff_most),
        }
    }

    /// Adds a subscription and returns the frame to send.
    pub(super) fn add(
        &mut self,
        wanted: Subscribe,
        reply: oneshot::Sender<Result<Frames, ClientError>>,
    ) -> Option<ClientFrame> {
        let session_id = wanted.session_id;
        if self.entries.contains_key(&session_id) {
            let _ = reply.send(Err(ClientError::AlreadySubscribed(session_id)));
            return None;
        }
        let (queue, received) = mpsc::channel(self.queue);
        let (fate, left, serial) = (Arc::new(OnceLock::new()), CancellationToken::new(), self.next_serial);
        let watched = left.clone();
        self.notices.push(Box::pin(async move {
            watched.cancelled().await;
            Notice::Left(session_id, serial)
        }));
        let frames =
            Frames { queue: received, fate: Arc::clone(&fate), reported: false, _unsubscribe: left.drop_guard() };
        let frame = ClientFrame::Subscribe(wanted.clone());
        let entry = Subscribed {
            serial,
            cursor: ResumeCursor::new(wanted),
            queue,
            fate,
            flow: Flow::Requested,
            backoff: self.backoff,
        };
        self.entries.insert(session_id, entry);
        self.next_serial += 1;
        // If the receiver is gone, the dropped queue is noticed.
        let _ = reply.send(Ok(frames));
        Some(frame)
    }

    /// Everything to subscribe to on a new connection.
    pub(super) fn all(&mut self) -> Vec<ClientFrame> {
        let flowing = self.entries.values_mut().filter(|entry| matches!(entry.flow, Flow::Requested | Flow::Flowing));
        flowing
            .map(|entry| {
                entry.flow = Flow::Requested;
                ClientFrame::Subscribe(entry.cursor.resume())
            })
            .collect()
    }

    /// Shows a frame to the reader, and returns what to send in reply.
    pub(super) fn handle_frame(&mut self, session_id: SessionId, frame: ServerFrame) -> Option<ClientFrame> {
        let entry = self.entries.get_mut(&session_id)?;
        if matches!(frame, ServerFrame::Subscribed { .. }) && entry.flow == Flow::Requested {
            entry.flow = Flow::Flowing;
            return None;
        }
        if entry.flow != Flow::Flowing {
            return None;
        }
        match entry.cursor.judge(&frame) {
            FrameVerdict::Ignore => None,
            FrameVerdict::Resync => Some(self.back_off(session_id)),
            FrameVerdict::Deliver => self.deliver(session_id, frame),
        }
    }

    fn deliver(&mut self, session_id: SessionId, frame: ServerFrame) -> Option<ClientFrame> {
        let entry = self.entries.get_mut(&session_id)?;
        let mut moved = entry.cursor.clone();
        moved.advance(&frame);
        let is_end = matches!(frame, ServerFrame::End { .. });
        match entry.queue.try_send(frame) {
            Ok(()) => {
                entry.cursor = moved;
                entry.backoff.reset();
                if is_end {
                    self.entries.remove(&session_id);
                }
                None
            }
            Err(TrySendError::Full(_)) => {
                entry.flow = Flow::Full;
                let (queue, serial) = (entry.queue.clone(), entry.serial);
                let half = queue.max_capacity() / 2;
                self.notices.push(Box::pin(async move {
                    // An error means that the reader is gone, which is noticed elsewhere.
                    drop(queue.reserve_many(half).await);
                    Notice::CaughtUp(session_id, serial)
                }));
                Some(ClientFrame::Unsubscribe { session_id })
            }
            // The reader is gone, which `Notice::Left` reports.
            Err(TrySendError::Closed(_)) => None,
        }
    }

    /// Unsubscribes, and subscribes again after a backoff.
    fn back_off(&mut self, session_id: SessionId) -> ClientFrame {
        if let Some(entry) = self.entries.get_mut(&session_id) {
            entry.flow = Flow::BackingOff(Instant::now() + entry.backoff.next_wait());
            self.backing_off.insert(session_id);
        }
        ClientFrame::Unsubscribe { session_id }
    }

    /// The server refused a subscription, or ended it.
    pub(super) fn refused(
        &mut self,
        session_id: SessionId,
        error: ClientError,
        retryable: bool,
    ) -> Option<ClientFrame> {
        if retryable {
            return self.entries.contains_key(&session_id).then(|| self.back_off(session_id));
        }
        if let Some(entry) = self.entries.remove(&session_id) {
            let _ = entry.fate.set(error);
        }
        None
    }

    /// The next action of a reader. Never completes while there is none.
    pub(super) async fn notice(&mut self) -> Notice {
        match self.notices.next().await {
            Some(notice) => notice,
            None => std::future::pending().await,
        }
    }

    pub(super) fn handle(&mut self, notice: &Notice) -> Option<ClientFrame> {
        let (Notice::Left(session_id, serial) | Notice::CaughtUp(session_id, serial)) = notice;
        let entry = self.entries.get_mut(session_id).filter(|entry| entry.serial == *serial)?;
        match notice {
            Notice::CaughtUp(..) if entry.flow == Flow::Full => {
                entry.flow = Flow::Requested;
                Some(ClientFrame::Subscribe(entry.cursor.resume()))
            }
            Notice::CaughtUp(..) => None,
            Notice::Left(..) => {
                self.entries.remove(session_id);
                Some(ClientFrame::Unsubscribe { session_id: *session_id })
            }
        }
    }

    /// When the next backoff of a subscription ends. Called after every frame, so it looks only at the few that
    /// have one.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.backing_off.iter().filter_map(|id| self.entries.get(id)).filter_map(Subscribed::due).min()
    }

    /// The frames of the subscriptions whose backoff has ended.
    pub(super) fn due(&mut self, now: Instant) -> Vec<ClientFrame> {
        let (entries, mut frames) = (&mut self.entries, Vec::new());
        self.backing_off.retain(|session_id| {
            let Some(entry) = entries.get_mut(session_id) else { return false };
            let Some(due) = entry.due() else { return false };
            if due <= now {
                entry.flow = Flow::Requested;
                frames.push(ClientFrame::Subscribe(entry.cursor.resume()));
            }
            due > now
        });
        frames
    }

    pub(super) fn fail(&mut self, fate: &ClientError) {
        for (_, entry) in std::mem::take(&mut self.entries) {
            let _ = entry.fate.set(fate.clone());
        }
        // They keep queues open.
        self.notices.clear();
    }
}
