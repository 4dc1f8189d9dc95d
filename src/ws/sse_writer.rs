//! The writing half of a stream of server-sent events (SSE), shared by all writers.
//!
//! The counterpart of [`Socket`](super::socket::Socket) for clients over HTTP: writers add events, and the HTTP
//! server takes them as the body of its answer, as fast as the client reads. A large frame is not copied: its bytes
//! are those of every other viewer, between a few bytes of its own.

use std::collections::VecDeque;
use std::fmt;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;

use super::frames;
use super::metrics::metrics;
use super::socket::Offer;
use crate::sync::{Mutex, Notify};
use relive_session::Revision;

/// Bytes of events that wait for the HTTP server. With more the client counts as busy: it is offered what its mode
/// prescribes once it has read some.
const EVENT_BYTES: usize = 16 * 1024;
/// Frames up to this size are copied, which costs less than writing them in three pieces.
const COPIED_BYTES: usize = 4 * 1024;
/// When a browser connects again after the end of a session, unless the page closes its `EventSource`.
const AFTER_END: Duration = Duration::from_hours(1);

/// Makes events of another protocol of a viewer's frames.
pub trait Translate: fmt::Debug + Send {
    /// What a frame, which is one of the protocol's as JSON, leads to.
    fn frame(&mut self, frame: &[u8]) -> Translated;
    /// The client has been shown all there is.
    fn caught_up(&mut self) -> Translated;
}

/// Events of another protocol.
#[derive(Debug, Default)]
pub struct Translated {
    /// The data of each, without line breaks.
    pub events: Vec<String>,
    /// Nothing follows: the stream ends.
    pub is_last: bool,
}

/// One client's event stream, for writing.
#[derive(Debug)]
pub(super) struct EventWriter {
    /// Locked to add an event or to take one; never across an await.
    inner: Mutex<Inner>,
    /// Wakes the stream's own task: a viewer can be advanced, or the stream is over.
    pub wake: Notify,
    /// What waited has been taken.
    room: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    translation: Option<Box<dyn Translate>>,
    waiting: VecDeque<Bytes>,
    bytes: usize,
    /// Something was refused since; the stream's task is woken when there is room.
    was_busy: bool,
    /// The HTTP server, which waits for an event.
    reader: Option<Waker>,
    /// Nothing is added any more.
    is_finished: bool,
    /// The client has left.
    is_gone: bool,
}

impl EventWriter {
    /// `translation`: into what frames are translated, unless they are sent as they are.
    pub fn new(translation: Option<Box<dyn Translate>>) -> Self {
        let inner = Inner { translation, ..Inner::default() };
        Self { inner: Mutex::new(inner), wake: Notify::new(), room: Notify::new() }
    }

    /// Adds a frame if the client can take one now.
    pub fn offer(&self, frame: &Bytes, resume: Option<Revision>) -> Offer {
        self.change(|inner| {
            if inner.is_over() {
                return Offer::Gone;
            }
            if inner.bytes >= EVENT_BYTES {
                inner.was_busy = true;
                return Offer::Busy;
            }
            inner.add(frame, resume);
            Offer::Taken
        })
    }

    /// Adds a frame for this client only. Writers of many wait for [`EventWriter::room`].
    pub fn send(&self, frame: &Bytes, resume: Option<Revision>) {
        self.change(|inner| {
            if !inner.is_over() {
                inner.add(frame, resume);
            }
        });
    }

    /// The client has been offered all there is.
    pub fn caught_up(&self) {
        self.change(|inner| {
            if !inner.is_over()
                && let Some(translation) = &mut inner.translation
            {
                let translated = translation.caught_up();
                inner.add_translated(translated);
            }
        });
    }

    /// A comment, for proxies and clients that end connections on which nothing comes.
    pub fn keep_alive(&self) {
        self.change(|inner| {
            if !inner.is_over() && inner.waiting.is_empty() {
                inner.push(Bytes::from_static(b":\n\n"));
            }
        });
    }

    /// Ends the stream, with an error. `retry`: when to connect again.
    pub fn finish(&self, error: &Bytes, retry: Option<Duration>) {
        self.change(|inner| {
            if inner.is_over() {
                return;
            }
            if let Some(retry) = retry {
                inner.push(format!("retry: {}\n\n", retry.as_millis()).into());
            }
            inner.add(error, None);
            inner.is_finished = true;
        });
    }

    /// The next bytes for the client; `None` at the end of the stream.
    pub fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut inner = self.inner.lock();
        let Some(next) = inner.waiting.pop_front() else {
            if inner.is_finished {
                return Poll::Ready(None);
            }
            inner.reader = Some(context.waker().clone());
            return Poll::Pending;
        };
        inner.bytes -= next.len();
        metrics().sent(next.len());
        let is_empty = inner.waiting.is_empty();
        let was_busy = is_empty && std::mem::take(&mut inner.was_busy);
        drop(inner);
        if is_empty {
            self.room.notify_one();
        }
        if was_busy {
            self.wake.notify_one();
        }
        Poll::Ready(Some(next))
    }

    /// The client has left.
    pub fn leave(&self) {
        self.inner.lock().is_gone = true;
        self.room.notify_one();
        self.wake.notify_one();
    }

    /// Whether nothing can be added any more.
    pub fn is_over(&self) -> bool {
        self.inner.lock().is_over()
    }

    /// Waits until the client has been sent what waits. For one task at a time.
    pub async fn room(&self) {
        loop {
            {
                let inner = self.inner.lock();
                if inner.waiting.is_empty() || inner.is_gone {
                    return;
                }
            }
            self.room.notified().await;
        }
    }

    /// Changes what waits; then wakes who waits for it.
    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.inner.lock();
        let was_over = inner.is_over();
        let result = change(&mut inner);
        let has_ended = inner.is_over() && !was_over;
        let reader = if has_ended || !inner.waiting.is_empty() { inner.reader.take() } else { None };
        drop(inner);
        if let Some(reader) = reader {
            reader.wake();
        }
        if has_ended {
            self.wake.notify_one();
        }
        result
    }
}

impl Inner {
    fn is_over(&self) -> bool {
        self.is_finished || self.is_gone
    }

    fn push(&mut self, bytes: Bytes) {
        self.bytes += bytes.len();
        self.waiting.push_back(bytes);
    }

    fn add(&mut self, frame: &Bytes, resume: Option<Revision>) {
        let json = frames::payload(frame);
        if let Some(translation) = &mut self.translation {
            let translated = translation.frame(&json);
            return self.add_translated(translated);
        }
        let kind = frames::kind(&json);
        let is_end = kind == "end";
        let mut head = format!("event: {kind}\n");
        if let Some(revision) = resume {
            head += &format!("id: {revision}\n");
        }
        if is_end {
            head += &format!("retry: {}\n", AFTER_END.as_millis());
        }
        head += "data: ";
        if json.len() <= COPIED_BYTES {
            self.push([head.as_bytes(), &json, b"\n\n"].concat().into());
        } else {
            self.push(head.into());
            self.push(json);
            self.push(Bytes::from_static(b"\n\n"));
        }
        self.is_finished = is_end;
    }

    fn add_translated(&mut self, Translated { events, is_last }: Translated) {
        for event in events {
            self.push(format!("data: {event}\n\n").into());
        }
        self.is_finished = is_last;
    }
}
