//! What a replay costs, by length of the run: the first frame, a seek, and everything at full speed.
//! Neither the first frame nor a seek may cost more because the run is longer.

use std::time::{Duration, Instant};

use futures_util::TryStreamExt as _;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection as _, Row as _};

use super::support::{Server, Table, median};
use super::websocket::{self, Client};

const LONG: u64 = 100_000;
const SHORT: u64 = 100;
const NODES: usize = 20;
/// Commands in one request, as many as the server takes.
const BATCH: u64 = 1_000;
const OPENINGS: usize = 25;
const SEEKS: usize = 200;
const ROUNDS: usize = 5;

pub fn run(server: &Server, table: &mut Table) {
    let (short, long) = (recorded(server, SHORT), recorded(server, LONG));
    for mode in ["snapshot", "events"] {
        let (mut of_short, mut of_long) = (Vec::new(), Vec::new());
        for _ in 0..OPENINGS {
            of_short.push(first_frame(server, &short, mode));
            of_long.push(first_frame(server, &long, mode));
        }
        compare(table, &format!("replay: first frame, {mode} mode"), &mut of_short, &mut of_long);
    }
    let (mut of_short, mut of_long) = (Vec::new(), Vec::new());
    let (mut short_replay, mut long_replay) = (paused(server, &short), paused(server, &long));
    for n in 0..SEEKS as u64 {
        of_short.push(seek(&mut short_replay, SHORT / 2 + n % 2));
        // All over the way from one stored state to the next.
        of_long.push(seek(&mut long_replay, LONG / 2 + n * 37 % 256));
    }
    compare(table, "replay: seek to the middle", &mut of_short, &mut of_long);
    drop((short_replay, long_replay));
    full_speed(server, table, &long);
}

fn compare(table: &mut Table, name: &str, of_short: &mut [Duration], of_long: &mut [Duration]) {
    let (short, long) = (median(of_short), median(of_long));
    table.row(
        &format!("{name}, of {LONG} events"),
        format!("{long:.2?}"),
        format!("{short:.2?}, of {SHORT}"),
        format!("{:.2}x", long.as_secs_f64() / short.as_secs_f64()),
        "at most 5x",
    );
}

/// A session of so many events that has ended.
fn recorded(server: &Server, events: u64) -> String {
    let session = server.session(NODES);
    let path = format!("/api/v1/sessions/{session}/commands");
    let change = |n: u64| {
        let (node, status) = (n / 2 * 7 % NODES as u64, if n.is_multiple_of(2) { "running" } else { "completed" });
        json!({"type": "setNodeStatus", "nodeId": format!("n{node}"), "status": status})
    };
    // Besides: created, started, cancelled.
    let mut made = 0;
    while made < events - 3 {
        let count = BATCH.min(events - 3 - made);
        server.post(&path, &json!((made..made + count).map(change).collect::<Vec<Value>>()));
        made += count;
    }
    let receipt = server.post(&path, &json!({"type": "cancel"}));
    assert_eq!(receipt["revision"], events);
    session
}

fn open(server: &Server, session: &str, query: &str) -> Client {
    Client::new(websocket::open(server.address, &format!("/ws/sessions/{session}/replay?{query}")))
}

/// From the end of the handshake to the first frame.
fn first_frame(server: &Server, session: &str, mode: &str) -> Duration {
    let mut replay = open(server, session, &format!("paused=true&mode={mode}"));
    let started = Instant::now();
    replay.wait_for_states(1);
    let took = started.elapsed();
    // The position, and a second report after the idle gaps were computed: then nothing is left running.
    replay.wait_for_states(3);
    took
}

fn paused(server: &Server, session: &str) -> Client {
    let mut replay = open(server, session, "paused=true");
    replay.wait_for_states(3);
    replay
}

fn seek(replay: &mut Client, revision: u64) -> Duration {
    let mut frame = Vec::new();
    websocket::push_frame(&mut frame, &json!({"type": "replay", "action": "seek", "revision": revision}));
    let states = replay.frames.states;
    let started = Instant::now();
    replay.send(&frame);
    replay.wait_for_states(states + 1);
    let took = started.elapsed();
    replay.wait_for_states(states + 2);
    took
}

fn full_speed(server: &Server, table: &mut Table, session: &str) {
    let (mut replays, mut selects, mut ratios, mut snapshots) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        replays.push(replay_all(server, session, "events"));
        selects.push(server.runtime.block_on(select_all(server, session)));
        ratios.push(replays[replays.len() - 1] / selects[selects.len() - 1]);
        snapshots.push(replay_all(server, session, "delta"));
    }
    table.row(
        "replay at full speed, events mode",
        format!("{:.0} events/s", median(&mut replays)),
        format!("{:.0} rows/s, a bare SELECT", median(&mut selects)),
        format!("{:.2}x", median(&mut ratios)),
        "-",
    );
    table.note(format!(
        "replay at full speed, delta mode, a graph of {NODES} nodes: {:.0} states/s, one after the other",
        median(&mut snapshots)
    ));
}

/// Events in a second, from the handshake to the last.
fn replay_all(server: &Server, session: &str, mode: &str) -> f64 {
    let started = Instant::now();
    let mut replay = open(server, session, &format!("speed=max&mode={mode}"));
    // Frames that say where the replay stands count too; there are five of them in a second.
    replay.wait_for_states(LONG);
    LONG as f64 / started.elapsed().as_secs_f64()
}

/// Rows in a second, as one statement, read and let go.
async fn select_all(server: &Server, session: &str) -> f64 {
    let options = PgConnectOptions::new_without_pgpass().socket(server.postgres_socket()).username("postgres");
    let mut connection = PgConnection::connect_with(&options.database("relive")).await.expect("connect");
    let id: uuid::Uuid = session.parse().expect("an id");
    let started = Instant::now();
    let select = "SELECT revision, at, event::text FROM session_events WHERE session_id = $1 ORDER BY revision";
    let mut rows = sqlx::query(select).bind(id).fetch(&mut connection);
    let (mut count, mut bytes) = (0, 0);
    while let Some(row) = rows.try_next().await.expect("rows") {
        let _: (i64, chrono::DateTime<chrono::Utc>) = (row.get(0), row.get(1));
        bytes += row.get::<&str, _>(2).len();
        count += 1;
    }
    assert_eq!((count, bytes > 0), (LONG, true));
    LONG as f64 / started.elapsed().as_secs_f64()
}
