//! Many sockets read by one thread: the other end of a fan-out, be it the server's or a bare loop's.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::websocket::{DEADLINE, Frames, PONG};

/// What a socket has received so far, in whatever is counted.
type Measure = Box<dyn Fn(&Frames) -> u64 + Send>;

/// Reads until dropped, and says when the last socket has what was expected.
pub struct Readers {
    /// What all sockets together have received when everyone has its own.
    expected: Arc<AtomicU64>,
    complete: mpsc::Receiver<Instant>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Readers {
    /// Takes sockets of which each will be sent one state frame a round.
    pub fn new(sockets: Vec<std::net::TcpStream>) -> Self {
        let first = sockets.len() as u64;
        Self::counting(sockets, first, Box::new(|frames| frames.states))
    }

    /// As [`Readers::new`], of streams of server-sent events.
    pub fn of_events(streams: Vec<std::net::TcpStream>) -> Self {
        let first = streams.len() as u64;
        Self::start(streams, first, Box::new(|frames| frames.states), Frames::of_events)
    }

    /// Takes sockets that together will have received `first` at the end of the first round.
    pub fn counting(sockets: Vec<std::net::TcpStream>, first: u64, measure: Measure) -> Self {
        Self::start(sockets, first, measure, Frames::default)
    }

    fn start(sockets: Vec<std::net::TcpStream>, first: u64, measure: Measure, frames: fn() -> Frames) -> Self {
        let expected = Arc::new(AtomicU64::new(first));
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, complete) = mpsc::channel();
        let (wanted, stopped) = (Arc::clone(&expected), Arc::clone(&stop));
        let thread = std::thread::spawn(move || read(sockets, frames, &measure, &wanted, &stopped, &sender));
        Self { expected, complete, stop, thread: Some(thread) }
    }

    /// Waits until every socket has what this round brings; returns when the last one had it. The
    /// next round begins with this, and brings `next` to all sockets together.
    pub fn complete(&self, next: usize) -> Instant {
        let complete = self.complete.recv_timeout(DEADLINE).expect("every viewer gets its frames");
        self.expected.fetch_add(next as u64, Ordering::Relaxed);
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

fn read(
    sockets: Vec<std::net::TcpStream>,
    new_frames: fn() -> Frames,
    measure: &Measure,
    expected: &AtomicU64,
    stop: &AtomicBool,
    complete: &mpsc::Sender<Instant>,
) {
    let mut poll = Poll::new().expect("poll");
    let mut sockets: Vec<(TcpStream, Frames)> = sockets
        .into_iter()
        .enumerate()
        .map(|(index, socket)| {
            socket.set_nonblocking(true).expect("non-blocking");
            let mut socket = TcpStream::from_std(socket);
            poll.registry().register(&mut socket, Token(index), Interest::READABLE).expect("register");
            (socket, new_frames())
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
            let before = measure(frames);
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
            let received = measure(frames) - before;
            total += received;
            if received > 0 && total == expected.load(Ordering::Relaxed) {
                let _ = complete.send(Instant::now());
            }
        }
    }
}

/// Loopback connections, tuned as the server tunes its own: the writing ends, and the reading ends.
pub fn pairs(count: usize) -> (Vec<std::net::TcpStream>, Vec<std::net::TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let address = listener.local_addr().expect("an address");
    let pair = |_| {
        let reader = std::net::TcpStream::connect(address).expect("connect");
        let (writer, _) = listener.accept().expect("accept");
        writer.set_nodelay(true).expect("nodelay");
        (writer, reader)
    };
    (0..count).map(pair).unzip()
}
