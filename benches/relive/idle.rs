//! What connections that are idle or slow cost a client that behaves: a third says nothing, a third never ends
//! its head, a third never ends its body. `CONNECTIONS=n` says how many (10,000).

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::support::{Server, Table, millis};

const REQUESTS: usize = 4_000;
/// Each slow client sends a byte this often.
const DRIBBLE: Duration = Duration::from_secs(5);

pub fn run(server: &Server, table: &mut Table) {
    let connections = std::env::var("CONNECTIONS").map_or(10_000, |number| number.parse().expect("a number"));
    let path = format!("/api/v1/sessions/{}", server.session(10));
    // What the first requests load is loaded then.
    latencies(server.address, &path);
    let before = latencies(server.address, &path);
    let held: Vec<TcpStream> = (0..connections).map(|number| begin(server.address, number)).collect();
    let is_over = AtomicBool::new(false);
    let (beside, open) = std::thread::scope(|scope| {
        scope.spawn(|| dribble(&held, &is_over));
        let beside = latencies(server.address, &path);
        is_over.store(true, Ordering::Relaxed);
        (beside, held.iter().filter(|socket| is_open(socket)).count())
    });
    drop(held);
    let after = latencies(server.address, &path);
    for (name, share) in [("median", 50), ("p99", 99)] {
        let alone = (percentile(&before, share) + percentile(&after, share)) / 2;
        let beside = percentile(&beside, share);
        table.row(
            &format!("a request beside {connections} idle or slow connections, {name}"),
            format!("{:.3} ms", millis(beside)),
            format!("{:.3} ms alone", millis(alone)),
            format!("{:.2}", beside.as_secs_f64() / alone.as_secs_f64()),
            "at most 1.2",
        );
    }
    table.note(format!("of {connections} idle or slow connections, {open} were still open at the end"));
}

/// A connection that begins like others and does not go on.
fn begin(address: SocketAddr, number: usize) -> TcpStream {
    let mut socket = TcpStream::connect(address).expect("connect");
    let begun: &[u8] = match number % 3 {
        0 => b"",
        1 => b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ",
        _ => b"POST /api/v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n{\"name\":\"",
    };
    // The server may have closed it to make room.
    let _ = socket.write_all(begun);
    socket.set_nonblocking(true).expect("non-blocking");
    socket
}

fn dribble(sockets: &[TcpStream], is_over: &AtomicBool) {
    let pause = DRIBBLE / u32::try_from(sockets.len()).expect("few") * 10;
    for (number, mut socket) in (0..).zip(sockets.iter().cycle()) {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        if !(number % sockets.len()).is_multiple_of(3) {
            let _ = socket.write(b"x");
        }
        if number.is_multiple_of(10) {
            std::thread::sleep(pause);
        }
    }
}

fn is_open(mut socket: &TcpStream) -> bool {
    socket.read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// The times of requests one after the other on one connection, in order of length.
fn latencies(address: SocketAddr, path: &str) -> Vec<Duration> {
    let mut socket = TcpStream::connect(address).expect("connect");
    socket.set_nodelay(true).expect("no delay");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut buffer = [0; 64 * 1024];
    let mut times = Vec::with_capacity(REQUESTS);
    for _ in 0..REQUESTS {
        let started = Instant::now();
        socket.write_all(request.as_bytes()).expect("sent");
        let mut read = 0;
        while !is_whole(&buffer[..read]) {
            match socket.read(&mut buffer[read..]).expect("an answer") {
                0 => panic!("the server closed the connection"),
                more => read += more,
            }
        }
        times.push(started.elapsed());
    }
    times.sort();
    times
}

/// Whether an answer with its body has arrived.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200"), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    answer.len() >= end + 4 + length.parse::<usize>().expect("a number")
}

fn percentile(sorted: &[Duration], share: usize) -> Duration {
    sorted[(sorted.len() * share / 100).min(sorted.len() - 1)]
}
