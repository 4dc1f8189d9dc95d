//! Many sockets read by one thread: the other end of a fan-out, be it the server's or a bare loop's.

use std::io::{ErrorKind, Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::websocket::{DEADLINE, Frames, PONG};

/// Reads until dropped, and says when the last socket has what was expected.
pub struct Readers {
    /// State frames that all sockets together have when everyone has its own.
    expected: Arc<AtomicU64>,
    complete: mpsc::Receiver<Instant>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Readers {
    /// Takes sockets of which each will be sent one state frame a round.
    pub fn new(sockets: Vec<std::net::TcpStream>) -> Self {
        let expected = Arc::new(AtomicU64::new(sockets.len() as u64));
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, complete) = mpsc::channel();
        let (wanted, stopped) = (Arc::clone(&expected), Arc::clone(&stop));
        let thread = std::thread::spawn(move || read(sockets, &wanted, &stopped, &sender));
        Self { expected, complete, stop, thread: Some(thread) }
    }

    /// Waits until every socket has the frame of this round; returns when the last one had it. The
    /// next round begins with this.
    pub fn complete(&self, sockets: usize) -> Instant {
        let complete = self.complete.recv_timeout(DEADLINE).expect("every viewer gets its frame");
        self.expected.fetch_add(sockets as u64, Ordering::Relaxed);
        complete
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn read(sockets: Vec<std::net::TcpStream>, expected: &AtomicU64, stop: &AtomicBool, complete: &mpsc::Sender<Instant>) {
    let mut poll = Poll::new().expect("poll");
    let mut sockets: Vec<(TcpStream, Frames)> = sockets
        .into_iter()
        .enumerate()
        .map(|(index, socket)| {
            socket.set_nonblocking(true).expect("non-blocking");
            let mut socket = TcpStream::from_std(socket);
            poll.registry().register(&mut socket, Token(index), Interest::READABLE).expect("register");
            (socket, Frames::default())
        })
        .collect();
    let mut events = Events::with_capacity(1_024);
    let mut buffer = vec![0; 64 * 1024];
    let mut total = 0;
    while !stop.load(Ordering::Relaxed) {
        match poll.poll(&mut events, Some(Duration::from_millis(50))) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled.expect("poll"),
        }
        for event in &events {
            let (socket, frames) = &mut sockets[event.token().0];
            let before = frames.states;
            loop {
                match socket.read(&mut buffer) {
                    Ok(0) => panic!("a viewer lost its connection"),
                    Ok(read) => {
                        frames.feed(&buffer[..read]);
                        // Less than asked for: the socket is empty.
                        if read < buffer.len() {
                            break;
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("a viewer cannot read: {error}"),
                }
            }
            for _ in 0..std::mem::take(&mut frames.pings) {
                let _ = socket.write(&PONG);
            }
            total += frames.states - before;
            if frames.states > before && total == expected.load(Ordering::Relaxed) {
                let _ = complete.send(Instant::now());
            }
        }
    }
}
