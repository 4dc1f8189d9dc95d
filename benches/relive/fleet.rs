//! Durable changes per second by the number of sessions, and how fast sessions are created.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::plain::Plain;
use super::support::{Server, Table};
use super::websocket::{self, Client};
use super::write::{self, NODES};

const TIME: Duration = Duration::from_secs(5);
/// Sessions that are created during the run, on this many connections.
const CREATED: usize = 50_000;
const CREATORS: usize = 32;
const DRIVERS: usize = 8;
const IN_FLIGHT: u64 = 1_000;
/// Commands for each of those sessions.
const CHANGES: usize = 4;

pub fn run(server: &Server, table: &mut Table) {
    for (number, target) in [(500, "at least 9x"), (5_000, "at least 8x")] {
        let sessions = server.sessions(number, NODES);
        let mut drivers = write::drivers_of(server, &sessions);
        let plain = Plain::new(server, &format!("plain{number}"), number);
        write::drive(&mut drivers, Duration::from_secs(2));
        let before = (server.cpu(), server.postgres_cpu());
        let measured = write::drive(&mut drivers, TIME);
        let cpu = (server.cpu() - before.0, server.postgres_cpu() - before.1);
        compare(table, &format!("durable changes, {number} sessions"), measured.per_second(), &plain, target);
        let micros = |time: Duration| time.as_secs_f64() * 1e6 / measured.count;
        table.note(format!(
            "CPU per change in {number} sessions: server {:.1} µs, PostgreSQL {:.1} µs",
            micros(cpu.0),
            micros(cpu.1)
        ));
    }
    created(server, table);
}

fn compare(table: &mut Table, name: &str, per_second: f64, plain: &Plain, target: &str) {
    let (best, clients) = plain.best();
    table.row(
        name,
        format!("{per_second:.0}/s"),
        format!("{best:.0}/s, one statement each, {clients} clients"),
        format!("{:.1}x", per_second / best),
        target,
    );
}

fn created(server: &Server, table: &mut Table) {
    let began = Instant::now();
    let sessions: Vec<Vec<String>> = on_threads(CREATORS, |_| create(server, CREATED / CREATORS));
    let per_second = CREATED as f64 / began.elapsed().as_secs_f64();
    compare(table, "sessions created over HTTP", per_second, &Plain::inserting(server, "inserts"), "at least 5x");
    let sessions = sessions.concat();
    let began = Instant::now();
    on_threads(DRIVERS, |number| {
        change(server, &sessions[number * sessions.len() / DRIVERS..][..sessions.len() / DRIVERS])
    });
    let per_second = (sessions.len() * CHANGES) as f64 / began.elapsed().as_secs_f64();
    let name = format!("durable changes, {CREATED} sessions just created");
    compare(table, &name, per_second, &Plain::new(server, "plain50000", CREATED), "at least 6x");
}

fn on_threads<T: Send>(number: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> = (0..number).map(|number| scope.spawn(move || work(number))).collect();
        running.into_iter().map(|thread| thread.join().expect("it ends well")).collect()
    })
}

/// Creates sessions on one connection, one after the other.
fn create(server: &Server, number: usize) -> Vec<String> {
    const BODY: &str = r#"{"graph":{"name":"bench","startNodeId":"n0","nodes":{"n0":{"id":"n0","type":"agent","name":"One","nextIds":["n1"]},"n1":{"id":"n1","type":"agent","name":"Two"}}}}"#;
    let mut stream = BufReader::new(TcpStream::connect(server.address).expect("connect"));
    stream.get_ref().set_nodelay(true).expect("nodelay");
    let request = format!(
        "POST /api/v1/sessions HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{BODY}",
        server.address,
        BODY.len()
    );
    let create = |_| {
        stream.get_mut().write_all(request.as_bytes()).expect("sent");
        let (mut length, mut line) = (0, String::new());
        while line != "\r\n" {
            line.clear();
            stream.read_line(&mut line).expect("a head");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).expect("a body");
        let session: serde_json::Value = serde_json::from_slice(&body).expect("a session");
        session["id"].as_str().expect("an id").to_owned()
    };
    (0..number).map(create).collect()
}

/// Starts each session and changes it a little, many at a time.
fn change(server: &Server, sessions: &[String]) {
    let mut client = Client::new(websocket::open_as(server.address, "/ws", server.key));
    let mut sent = 0;
    for step in 0..CHANGES {
        for session in sessions {
            let command = match step {
                0 => serde_json::json!({
                    "type": "command", "id": "s", "sessionId": session, "command": {"type": "start"},
                }),
                1 => websocket::set_status(1, session, 0, "running"),
                2 => websocket::set_status(2, session, 0, "completed"),
                _ => websocket::set_status(3, session, 1, "running"),
            };
            client.send_text(&command);
            sent += 1;
            client.wait_for_acks(u64::saturating_sub(sent, IN_FLIGHT));
        }
    }
    client.wait_for_acks(sent);
}
