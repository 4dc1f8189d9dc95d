//! The writing half of a connection, shared by all writers.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::time::Instant;

use super::metrics::metrics;
use super::transport::Transport;
use crate::sync::{Mutex, Notify};

/// A client that reads nothing for this long is disconnected (close code 4408).
pub(super) const STALL: Duration = Duration::from_secs(30);
/// Bytes of answers waiting for a client. A connection with more reads no further requests until the client
/// has read some.
pub(super) const OUTBOX_BYTES: usize = 256 * 1024;

/// One client's stream, for writing.
///
/// Accepts whole WebSocket frames from several writers, and writes them one after the other.
#[derive(Debug)]
pub(super) struct Socket {
    stream: Transport,
    /// Locked for the length of a non-blocking `write`, never across an await.
    outbox: Mutex<Outbox>,
    /// Wakes the connection's own task: there is something to flush, or a viewer to advance.
    pub wake: Notify,
}

#[derive(Debug)]
struct Outbox {
    /// Accepted and not yet written. A shared frame is here only if it was partly written: frames for viewers
    /// are not queued.
    waiting: VecDeque<Bytes>,
    bytes: usize,
    /// The kernel's buffer is full; the connection's task waits until it is not.
    blocked: bool,
    /// When the kernel last accepted bytes while something was waiting.
    progress: Instant,
    broken: bool,
}

/// The result of offering a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// Accepted.
    Taken,
    /// The client is still busy with earlier frames; this one was dropped.
    Busy,
    /// The connection is broken.
    Gone,
}

impl Socket {
    pub fn new(stream: Transport) -> Self {
        let outbox =
            Outbox { waiting: VecDeque::new(), bytes: 0, blocked: false, progress: Instant::now(), broken: false };
        Self { stream, outbox: Mutex::new(outbox), wake: Notify::new() }
    }

    pub fn stream(&self) -> &Transport {
        &self.stream
    }

    /// Writes a shared frame if the client can take one now. Never waits, never queues.
    pub fn offer(&self, frame: &Bytes) -> Offer {
        let mut outbox = self.outbox.lock();
        if outbox.broken {
            return Offer::Gone;
        }
        if outbox.blocked || !outbox.waiting.is_empty() {
            return Offer::Busy;
        }
        match self.stream.try_write(frame) {
            Ok(written) => {
                metrics().sent(written);
                if written < frame.len() {
                    outbox.buffer(frame.slice(written..));
                    self.wake.notify_one();
                } else if let Err(error) = self.stream.try_flush() {
                    outbox.progress = Instant::now();
                    outbox.stop(&error);
                    self.wake.notify_one();
                }
                Offer::Taken
            }
            Err(error) => {
                outbox.progress = Instant::now();
                outbox.stop(&error);
                self.wake.notify_one();
                if outbox.broken { Offer::Gone } else { Offer::Busy }
            }
        }
    }

    /// Writes or queues frames for this client only: answers, errors, pings. Writers of many frames check
    /// [`Socket::waiting_bytes`] first.
    pub fn send(&self, frames: Bytes) {
        let mut outbox = self.outbox.lock();
        outbox.buffer(frames);
        self.drain(&mut outbox);
        if outbox.blocked || outbox.broken {
            self.wake.notify_one();
        }
    }

    /// Writes what is waiting, as far as the kernel accepts it.
    pub fn flush(&self) {
        self.drain(&mut self.outbox.lock());
    }

    fn drain(&self, outbox: &mut Outbox) {
        outbox.blocked = false;
        while let Some(front) = outbox.waiting.front_mut() {
            match self.stream.try_write(front) {
                Ok(written) => {
                    front.advance(written);
                    if front.is_empty() {
                        outbox.waiting.pop_front();
                    }
                    outbox.bytes -= written;
                    outbox.progress = Instant::now();
                    metrics().sent(written);
                }
                Err(error) => return outbox.stop(&error),
            }
        }
        if let Err(error) = self.stream.try_flush() {
            outbox.stop(&error);
        }
    }

    /// Whether the connection's task should wait for room in the kernel's buffer.
    pub fn is_blocked(&self) -> bool {
        let outbox = self.outbox.lock();
        outbox.blocked || !outbox.waiting.is_empty()
    }

    pub fn is_broken(&self) -> bool {
        self.outbox.lock().broken
    }

    pub fn waiting_bytes(&self) -> usize {
        self.outbox.lock().bytes
    }

    /// The deadline at which the client has read nothing for too long; `None` while nothing waits.
    pub fn stalls_at(&self) -> Option<Instant> {
        let outbox = self.outbox.lock();
        (outbox.blocked || !outbox.waiting.is_empty()).then(|| outbox.progress + STALL)
    }
}

impl Outbox {
    /// The kernel has accepted less than it was given.
    fn stop(&mut self, error: &io::Error) {
        if error.kind() == ErrorKind::WouldBlock {
            self.blocked = true;
        } else {
            self.broken = true;
        }
    }

    fn buffer(&mut self, frame: Bytes) {
        if self.waiting.is_empty() && !self.blocked {
            self.progress = Instant::now();
        }
        self.bytes += frame.len();
        self.waiting.push_back(frame);
    }
}
