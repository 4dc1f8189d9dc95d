//! What access control costs: the same work on two servers, one of which requires a key.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::support::{Server, Table, median};
use super::write;

const KEY: &str = "a root key for the benchmark, 32 characters";
/// Many short ones: what else the machine does, and checkpoints of the two databases, meet both servers alike.
const WRITE_ROUNDS: usize = 21;
const TIME: Duration = Duration::from_millis(750);
const ROUNDS: usize = 5;
/// Requests of a round.
const REQUESTS: usize = 2_000;

pub fn run(open: &Server, table: &mut Table) {
    let guarded = Server::start_with(Some(KEY));
    let mut drivers = [write::drivers(open), write::drivers(&guarded)];
    for drivers in &mut drivers {
        write::drive(drivers, Duration::from_secs(1));
    }
    let mut rates = [Vec::new(), Vec::new()];
    let mut ratios = Vec::new();
    let servers = [open, &guarded];
    // Of the server and of its PostgreSQL, in microseconds for each change: they move less than rates on a machine
    // that does other things too.
    let mut cpu = [[0.0; 2]; 2];
    let mut changes = [0.0; 2];
    for round in 0..WRITE_ROUNDS {
        // Each is the first every other time.
        for number in [round % 2, (round + 1) % 2] {
            let used = || [servers[number].cpu(), servers[number].postgres_cpu()];
            let before = used();
            let measured = write::drive(&mut drivers[number], TIME);
            for (sum, (after, before)) in cpu[number].iter_mut().zip(used().into_iter().zip(before)) {
                *sum += (after - before).as_secs_f64() * 1e6;
            }
            changes[number] += measured.count;
            rates[number].push(measured.per_second());
        }
        ratios.push(rates[1][round] / rates[0][round]);
    }
    let [without, with] = rates.map(|mut rates| median(&mut rates));
    table.row(
        "durable node changes with a key",
        format!("{with:.0}/s"),
        format!("{without:.0}/s without access control"),
        format!("{:.3}x", median(&mut ratios)),
        "at least 0.97x",
    );
    let each = |number: usize, part: usize| cpu[number][part] / changes[number];
    table.note(format!(
        "CPU per durable change: server {:.1} µs with a key, {:.1} µs without; PostgreSQL {:.1} µs and {:.1} µs",
        each(1, 0),
        each(0, 0),
        each(1, 1),
        each(0, 1)
    ));
    let mut clients = [Client::new(open), Client::new(&guarded)];
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (client, times) in clients.iter_mut().zip(&mut times) {
            times.push(client.request_micros());
        }
    }
    let [without, with] = times.map(|mut times| median(&mut times));
    table.row(
        "a request with a key",
        format!("{with:.0} µs"),
        format!("{without:.0} µs without access control"),
        format!("{:+.0} µs", with - without),
        "at most 50 µs more",
    );
}

/// One connection that asks for the same session again and again.
struct Client {
    stream: TcpStream,
    request: Vec<u8>,
}

impl Client {
    fn new(server: &Server) -> Self {
        let session = server.session(1);
        let authorization = server.key.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
        let request =
            format!("GET /api/v1/sessions/{session} HTTP/1.1\r\nHost: {}\r\n{authorization}\r\n", server.address);
        let stream = TcpStream::connect(server.address).expect("connect");
        stream.set_nodelay(true).expect("nodelay");
        Self { stream, request: request.into_bytes() }
    }

    /// The median time of a request, in microseconds.
    fn request_micros(&mut self) -> f64 {
        let mut times: Vec<f64> = (0..REQUESTS).map(|_| self.ask()).collect();
        median(&mut times)
    }

    fn ask(&mut self) -> f64 {
        let began = Instant::now();
        self.stream.write_all(&self.request).expect("sent");
        let mut buffer = [0; 16 * 1024];
        let mut held = Vec::new();
        loop {
            let read = self.stream.read(&mut buffer).expect("an answer");
            assert!(read > 0, "the server has hung up");
            held.extend_from_slice(&buffer[..read]);
            if is_whole(&held) {
                return began.elapsed().as_secs_f64() * 1e6;
            }
        }
    }
}

/// Whether an answer with a `content-length` has come whole.
fn is_whole(held: &[u8]) -> bool {
    let text = String::from_utf8_lossy(held);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    body.len() >= length.parse().expect("a number")
}
