//! Durable node changes per second, end to end over WebSocket: each change is a command of its own,
//! committed with `fsync` and acknowledged.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::plain::{Ceiling, Plain};
use super::support::{Server, Table, median};
use super::websocket::{self, Client};

const DRIVERS: usize = 8;
/// Sessions of one driver.
const SESSIONS: usize = 4;
/// Commands one driver has in flight; the server takes up to 1,024 from a connection.
const IN_FLIGHT: usize = 1_000;
/// Nodes of each session's graph.
pub const NODES: usize = 20;
const ROUNDS: usize = 3;
const SERVER_TIME: Duration = Duration::from_secs(5);

pub fn run(server: &Server, table: &mut Table) {
    let mut drivers = drivers(server);
    let plain = Plain::new(server, "plain", 1_000);
    let mut ceiling = Ceiling::new(server);
    drive(&mut drivers, Duration::from_secs(2));

    let (mut changes, mut updates, mut rows, mut ratios) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut best_clients = 0;
    let (mut cpu, mut postgres_cpu, mut count) = (Duration::ZERO, Duration::ZERO, 0.0);
    for _ in 0..ROUNDS {
        let before = (server.cpu(), server.postgres_cpu());
        let measured = drive(&mut drivers, SERVER_TIME);
        cpu += server.cpu() - before.0;
        postgres_cpu += server.postgres_cpu() - before.1;
        count += measured.count;
        changes.push(measured.per_second());
        let (best, clients) = plain.best();
        best_clients = clients;
        updates.push(best);
        rows.push(ceiling.rows_per_second(server));
        ratios.push(changes[changes.len() - 1] / best);
        eprintln!(
            "  {:.0} changes/s, {best:.0} plain updates/s, {:.0} rows/s",
            measured.per_second(),
            rows[rows.len() - 1]
        );
    }
    let (changes, updates, rows) = (median(&mut changes), median(&mut updates), median(&mut rows));
    table.row(
        "durable node changes over WebSocket",
        format!("{changes:.0}/s"),
        format!("{updates:.0}/s, one UPDATE each, {best_clients} clients"),
        format!("{:.1}x", median(&mut ratios)),
        "at least 12x",
    );
    table.row(
        "... against the batch statement alone",
        format!("{changes:.0}/s"),
        format!("{rows:.0}/s, no server in front"),
        format!("{:.2}x", changes / rows),
        "-",
    );
    let micros = |time: Duration| time.as_secs_f64() * 1e6 / count;
    table.note(format!(
        "CPU per durable change: server {:.1} µs, PostgreSQL {:.1} µs; {DRIVERS} drivers of {SESSIONS} sessions \
         with {IN_FLIGHT} commands in flight each",
        micros(cpu),
        micros(postgres_cpu),
    ));
}

/// The drivers of this part, for others.
pub fn drivers(server: &Server) -> Vec<Driver> {
    (0..DRIVERS)
        .map(|_| {
            let sessions: Vec<String> = (0..SESSIONS).map(|_| server.session(NODES)).collect();
            Driver::new(server, &sessions)
        })
        .collect()
}

/// Drivers that share these sessions.
pub fn drivers_of(server: &Server, sessions: &[String]) -> Vec<Driver> {
    sessions.chunks(sessions.len().div_ceil(DRIVERS)).map(|own| Driver::new(server, own)).collect()
}

pub struct Measured {
    pub count: f64,
    seconds: f64,
}

impl Measured {
    pub fn per_second(&self) -> f64 {
        self.count / self.seconds
    }
}

/// Lets all drivers work for `time`, and until all they sent is answered.
pub fn drive(drivers: &mut [Driver], time: Duration) -> Measured {
    let started = Instant::now();
    let count: u64 = std::thread::scope(|scope| {
        let running: Vec<_> = drivers.iter_mut().map(|driver| scope.spawn(|| driver.run(started + time))).collect();
        running.into_iter().map(|driver| driver.join().expect("the driver ends well")).sum()
    });
    Measured { count: count as f64, seconds: started.elapsed().as_secs_f64() }
}

/// One connection with commands for several sessions in turn, encoded beforehand: every node starts,
/// then every node completes, and so on.
pub struct Driver {
    address: SocketAddr,
    key: Option<&'static str>,
    cycle: Vec<u8>,
    /// Where each frame of the cycle begins, and where the last one ends.
    starts: Vec<usize>,
    next: usize,
}

impl Driver {
    fn new(server: &Server, sessions: &[String]) -> Self {
        let (mut cycle, mut starts) = (Vec::new(), vec![0]);
        // Long enough that no two commands in flight carry the same id.
        while starts.len() <= IN_FLIGHT {
            for status in ["running", "completed"] {
                for node in 0..NODES {
                    for session in sessions {
                        let command = websocket::set_status(starts.len(), session, node, status);
                        websocket::push_frame(&mut cycle, &command);
                        starts.push(cycle.len());
                    }
                }
            }
        }
        Self { address: server.address, key: server.key, cycle, starts, next: 0 }
    }

    /// Returns how many commands were acknowledged. On a connection of its own each time: nobody
    /// answers the server's pings while the baselines are measured.
    fn run(&mut self, deadline: Instant) -> u64 {
        let mut client = Client::new(websocket::open_as(self.address, "/ws", self.key));
        let mut sent = 0;
        while Instant::now() < deadline {
            let room = IN_FLIGHT - usize::try_from(sent - client.frames.acks).expect("a small number");
            sent += self.send(&mut client, room);
            client.read();
        }
        client.wait_for_acks(sent);
        sent
    }

    fn send(&mut self, client: &mut Client, count: usize) -> u64 {
        let last = self.starts.len() - 1;
        let end = (self.next + count).min(last);
        client.send(&self.cycle[self.starts[self.next]..self.starts[end]]);
        let sent = end - self.next;
        self.next = end % last;
        sent as u64
    }
}
