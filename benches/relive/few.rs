//! Few commands in flight, which is the usual fleet: each client waits for the answer before it sends the next.

use std::time::{Duration, Instant};

use super::plain::Plain;
use super::support::{Server, Table, millis};
use super::websocket::{self, Client};
use super::write::NODES;

const SESSIONS: usize = 500;
const TIME: Duration = Duration::from_secs(4);

pub fn run(server: &Server, table: &mut Table) {
    let sessions = server.sessions(SESSIONS, NODES);
    let plain = Plain::new(server, "plain", SESSIONS);
    let (lone, lone_update) = (clients(server, &sessions, 1), plain.updates_per_second(1));
    table.row(
        "a lone command, until its answer (p50)",
        format!("{:.2} ms", millis(lone.at(0.5))),
        format!("{:.2} ms, one plain UPDATE", 1e3 / lone_update),
        format!("{:.1}x", millis(lone.at(0.5)) * lone_update / 1e3),
        "at most 1.4x",
    );
    for (number, target) in [(50, "at least 4x"), (400, "at least 6x")] {
        let before = (server.cpu(), server.postgres_cpu());
        let measured = clients(server, &sessions, number);
        let cpu = (server.cpu() - before.0, server.postgres_cpu() - before.1);
        // PostgreSQL takes 100 connections.
        let connections = number.min(64);
        let updates = plain.updates_per_second(u32::try_from(connections).expect("few"));
        table.row(
            &format!("{number} commands in flight over {SESSIONS} sessions"),
            format!("{:.0}/s", measured.per_second()),
            format!("{updates:.0}/s, one UPDATE each, {connections} clients"),
            format!("{:.1}x", measured.per_second() / updates),
            target,
        );
        table.row(
            "... until the answer: p50, p99",
            format!("{:.1} ms, {:.1} ms", millis(measured.at(0.5)), millis(measured.at(0.99))),
            format!("{:.2} ms, a lone command", millis(lone.at(0.5))),
            format!("p99 {:.1}x", millis(measured.at(0.99)) / millis(lone.at(0.5))),
            if number == 50 { "p99 at most 3x" } else { "-" },
        );
        let micros = |time: Duration| time.as_secs_f64() * 1e6 / measured.times.len() as f64;
        table.note(format!(
            "CPU per change with {number} in flight: server {:.1} µs, PostgreSQL {:.1} µs",
            micros(cpu.0),
            micros(cpu.1)
        ));
    }
}

/// How long each answer took, in order.
pub struct Times {
    times: Vec<Duration>,
    took: Duration,
}

impl Times {
    pub fn per_second(&self) -> f64 {
        self.times.len() as f64 / self.took.as_secs_f64()
    }

    pub fn at(&self, share: f64) -> Duration {
        self.times[((self.times.len() - 1) as f64 * share) as usize]
    }
}

/// Clients with a command in flight each, over sessions of their own.
pub fn clients(server: &Server, sessions: &[String], number: usize) -> Times {
    let own = sessions.len() / number.min(sessions.len());
    let began = Instant::now();
    let run = |number: usize| {
        let mut client = Client::new(websocket::open_as(server.address, "/ws", server.key));
        let sessions: Vec<&String> = sessions.iter().cycle().skip(number * own).take(own.max(1)).collect();
        let mut times = Vec::new();
        for round in 0.. {
            let status = ["running", "completed"][round / NODES % 2];
            for session in &sessions {
                if began.elapsed() > TIME {
                    return times;
                }
                let mut frame = Vec::new();
                websocket::push_frame(&mut frame, &websocket::set_status(1, session, round % NODES, status));
                let sent = Instant::now();
                client.send(&frame);
                client.wait_for_acks(times.len() as u64 + 1);
                times.push(sent.elapsed());
            }
        }
        times
    };
    let mut times: Vec<Duration> = std::thread::scope(|scope| {
        let run = &run;
        let spawn = |number| {
            let small = std::thread::Builder::new().stack_size(256 * 1024);
            small.spawn_scoped(scope, move || run(number)).expect("a thread")
        };
        let running: Vec<_> = (0..number).map(spawn).collect();
        running.into_iter().flat_map(|client| client.join().expect("the client ends well")).collect()
    });
    let took = began.elapsed();
    times.sort_unstable();
    Times { times, took }
}
