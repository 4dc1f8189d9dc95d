//! The writing half of a connection, shared by everyone who has something to say to the client.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::time::Instant;

use super::metrics::metrics;
use crate::sync::{Mutex, Notify, TcpStream};

/// A client that takes nothing for this long is disconnected (close code 4408).
pub(super) const STALL: Duration = Duration::from_secs(30);
/// Answers waiting for a client. A connection with more reads no further requests until the client
/// has taken some.
pub(super) const OUTBOX_BYTES: usize = 256 * 1024;

/// One client's TCP stream, for writing.
///
/// Whole WebSocket frames go in; they are written one after the other, whoever they come from.
#[derive(Debug)]
pub(super) struct Socket {
    tcp: TcpStream,
    /// Locked for the length of a non-blocking `write`, never across an await.
    outbox: Mutex<Outbox>,
    /// Wakes the connection's own task: there is something to flush, or a viewer needs attention.
    pub wake: Notify,
}

#[derive(Debug)]
struct Outbox {
    /// Accepted and not yet written. Shared frames are here only as the rest of one that was
    /// partly written: viewers do not queue.
    waiting: VecDeque<Bytes>,
    bytes: usize,
    /// The kernel took nothing; the connection's task waits until it does.
    blocked: bool,
    /// When the kernel last took something while something was waiting.
    progress: Instant,
    broken: bool,
}

/// What became of an offered frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// The client will get it.
    Taken,
    /// The client is still busy with earlier frames; this one was not kept.
    Busy,
    /// The connection is broken.
    Gone,
}

impl Socket {
    pub fn new(tcp: TcpStream) -> Self {
        let outbox =
            Outbox { waiting: VecDeque::new(), bytes: 0, blocked: false, progress: Instant::now(), broken: false };
        Self { tcp, outbox: Mutex::new(outbox), wake: Notify::new() }
    }

    pub fn tcp(&self) -> &TcpStream {
        &self.tcp
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
        match self.tcp.try_write(frame) {
            Ok(written) => {
                metrics().sent(written);
                if written < frame.len() {
                    outbox.buffer(frame.slice(written..));
                    self.wake.notify_one();
                }
                Offer::Taken
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                outbox.blocked = true;
                outbox.progress = Instant::now();
                self.wake.notify_one();
                Offer::Busy
            }
            Err(_) => {
                outbox.broken = true;
                self.wake.notify_one();
                Offer::Gone
            }
        }
    }

    /// Writes or keeps frames that are this client's alone: answers, errors, pings. Who sends many
    /// looks at [`Socket::waiting_bytes`] first.
    pub fn send(&self, frames: Bytes) {
        let mut outbox = self.outbox.lock();
        outbox.buffer(frames);
        self.drain(&mut outbox);
        if outbox.blocked || outbox.broken {
            self.wake.notify_one();
        }
    }

    /// Writes what is waiting, as far as the kernel takes it.
    pub fn flush(&self) {
        self.drain(&mut self.outbox.lock());
    }

    fn drain(&self, outbox: &mut Outbox) {
        outbox.blocked = false;
        while let Some(front) = outbox.waiting.front_mut() {
            match self.tcp.try_write(front) {
                Ok(written) => {
                    front.advance(written);
                    if front.is_empty() {
                        outbox.waiting.pop_front();
                    }
                    outbox.bytes -= written;
                    outbox.progress = Instant::now();
                    metrics().sent(written);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    outbox.blocked = true;
                    return;
                }
                Err(_) => {
                    outbox.broken = true;
                    return;
                }
            }
        }
    }

    /// Whether the connection's task should wait for the kernel to take more.
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

    /// When the client will have taken nothing for too long; `None` while nothing waits.
    pub fn stalls_at(&self) -> Option<Instant> {
        let outbox = self.outbox.lock();
        (outbox.blocked || !outbox.waiting.is_empty()).then(|| outbox.progress + STALL)
    }
}

impl Outbox {
    fn buffer(&mut self, frame: Bytes) {
        if self.waiting.is_empty() && !self.blocked {
            self.progress = Instant::now();
        }
        self.bytes += frame.len();
        self.waiting.push_back(frame);
    }
}
