//! A rule deletes very many events while drivers go on: what that does to their commands, and what becomes of the
//! tables.
//!
//! `DELETED_EVENTS` says how many (100,000); `make retention` deletes ten million, with an optimised build of the server.
//! The figures of docs/retention.md are what it prints.

use std::net::SocketAddr;
use std::time::Duration;

use relive::storage::cluster::{Cluster, ClusterOptions};
use reqwest::Client;
use serde_json::{Value, json};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, PgPool};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::archive_store::measured::turn;
use crate::harness::{ServerProcess, Socket};

/// Turns of an agent in each session; six events each, and three more.
const TURNS: u32 = 40;
const EVENTS_EACH: u64 = 6 * 40 + 3;
/// Sessions that are copied by one transaction.
const COPIED: u64 = 200;
/// From so many events on, tables are left to autovacuum as it is by default, which takes a while.
const LARGE: u64 = 1_000_000;
/// Drivers, each with a session of its own, and the time between two commands of one.
const DRIVERS: u64 = 8;
const PACE: Duration = Duration::from_millis(40);
/// What commands may take longer than twice what they take without a deletion, p99; beside other tests, which have the
/// machine busy, a bound that only a lock would exceed.
const SLACK: Duration = Duration::from_millis(100);
const SLACK_BESIDE_OTHERS: Duration = Duration::from_secs(15);
/// How long dead rows have to be few before autovacuum is taken to be done: PostgreSQL counts with a delay.
const SETTLED: Duration = Duration::from_secs(15);
/// The tables of a session, but for the first one.
const TABLES: [&str; 5] = ["session_events", "session_messages", "session_logs", "session_usage", "session_keyframes"];

/// PostgreSQL with `fsync`, in a directory of its own, and a server on it.
struct World {
    cluster: Cluster,
    pool: PgPool,
    server: ServerProcess,
    http: Client,
    _directory: TempDir,
}

impl World {
    async fn start() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().expect("a directory");
        // PostgreSQL's user has to pass through it.
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o711)).expect("permissions");
        let data_dir = directory.path().join("data");
        let cluster = Cluster::start(ClusterOptions { data_dir, postgres_bin: None, durable: true });
        let cluster = cluster.await.expect("PostgreSQL starts");
        let options = cluster.connect_options();
        let (sockets, port) = (options.get_socket().expect("a Unix socket").display(), options.get_port());
        let url = format!("postgres://postgres@localhost/relive?host={sockets}&port={port}");
        let settings = [("DATABASE_URL", url.as_str()), ("RELIVE_EMBEDDING_DIM", "8")];
        let server = ServerProcess::start(&settings).await;
        let pool = PgPoolOptions::new().max_connections(2).connect_with(options).await.expect("connected");
        Self { cluster, pool, server, http: Client::new(), _directory: directory }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Value {
        let answer = request.send().await.expect("an answer");
        let status = answer.status();
        let body = answer.json().await.expect("JSON");
        assert!(status.is_success(), "{status}: {body}");
        body
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/api/v1/{path}", self.server.address)
    }

    async fn create(&self, body: Value) -> String {
        let made = self.send(self.http.post(self.url("sessions")).json(&body)).await;
        let id = made["id"].as_str().expect("an id").to_owned();
        self.commands(&id, &[json!({"type": "start"})]).await;
        id
    }

    async fn commands(&self, session: &str, commands: &[Value]) {
        self.send(self.http.post(self.url(&format!("sessions/{session}/commands"))).json(&commands)).await;
    }

    /// A session that has ended, which is copied.
    async fn template(&self) -> String {
        let id = self.create(json!({"name": "an old run", "tags": ["old"]})).await;
        let (mut commands, mut seed) = (Vec::new(), 7);
        for number in 0..TURNS {
            commands.extend(turn(number, &mut seed));
        }
        commands.push(json!({"type": "complete"}));
        for some in commands.chunks(10) {
            self.commands(&id, some).await;
        }
        id
    }

    /// Copies of a session, as if they had ended ten days before it.
    async fn fill(&self, template: &str, sessions: u64) {
        let mut statements = String::new();
        for (table, key) in [("sessions", "id")].into_iter().chain(TABLES.map(|table| (table, "session_id"))) {
            let columns: Vec<String> = sqlx::query_scalar(
                "SELECT attname::text FROM pg_attribute
                 WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attname <> $2",
            )
            .bind(table)
            .bind(key)
            .fetch_all(&self.pool)
            .await
            .expect("columns");
            let earlier = |column: &String| match column.as_str() {
                "created_at" | "started_at" | "ended_at" | "updated_at" if table == "sessions" => {
                    format!("t.{column} - interval '10 days'")
                }
                _ => format!("t.{column}"),
            };
            let values: Vec<String> = columns.iter().map(earlier).collect();
            statements += &format!(
                "INSERT INTO {table} ({key}, {}) SELECT made.id, {} FROM made, {table} AS t WHERE t.{key} = '{template}';\n",
                columns.join(", "),
                values.join(", ")
            );
        }
        let mut left = sessions;
        while left > 0 {
            let number = left.min(COPIED);
            let sql = format!(
                "BEGIN; CREATE TEMPORARY TABLE made ON COMMIT DROP AS
                     SELECT uuidv7(interval '-10 days') AS id FROM generate_series(1, {number});
                 {statements} COMMIT;"
            );
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.pool).await.expect("copied");
            left -= number;
        }
    }

    /// Bytes of the journal, and of all tables of sessions, with their indexes.
    async fn sizes(&self) -> (i64, i64) {
        let sql = "SELECT pg_total_relation_size('session_events'), sum(pg_total_relation_size(oid))::bigint
            FROM pg_class WHERE relkind = 'r' AND relname IN ('sessions', 'session_events', 'session_messages',
                'session_logs', 'session_usage', 'session_keyframes', 'session_labels')";
        sqlx::query_as(sql).fetch_one(&self.pool).await.expect("sizes")
    }

    async fn events(&self) -> u64 {
        let count: i64 =
            sqlx::query_scalar("SELECT count(*) FROM session_events").fetch_one(&self.pool).await.expect("a count");
        count.unsigned_abs()
    }

    /// Deletes by a rule, and waits until so many sessions are gone.
    async fn delete(&self, sessions: u64) {
        let rules = json!({"rules": [{"tag": "old", "olderThanDays": 5}]});
        self.send(self.http.put(self.url("retention")).json(&rules)).await;
        let (mut removed, mut moved) = (0, Instant::now());
        while removed < sessions {
            sleep(Duration::from_millis(200)).await;
            let now = self.send(self.http.get(self.url("retention"))).await["removed"].as_u64().expect("a number");
            if now > removed {
                (removed, moved) = (now, Instant::now());
            }
            assert!(moved.elapsed() < Duration::from_secs(60), "only {removed} of {sessions} are removed");
        }
        assert_eq!(removed, sessions);
        // What is copied from now on stays.
        self.send(self.http.put(self.url("retention")).json(&json!({"rules": []}))).await;
    }

    /// Waits until autovacuum has done its work, or does it.
    async fn vacuum(&self, is_large: bool) {
        if !is_large {
            // Pages of an index that one has emptied can be used again after the next.
            for _ in 0..2 {
                sqlx::query("VACUUM").execute(&self.pool).await.expect("vacuumed");
            }
            return;
        }
        // By its default settings, it begins beyond this.
        let sql = "SELECT bool_and(n_dead_tup <= 50 + 0.2 * n_live_tup) AND bool_or(last_autovacuum IS NOT NULL)
            FROM pg_stat_user_tables WHERE relname LIKE 'session%'";
        let (began, mut since) = (Instant::now(), Instant::now());
        while since.elapsed() < SETTLED {
            let is_done: bool = sqlx::query_scalar(sql).fetch_one(&self.pool).await.expect("an answer");
            if !is_done {
                since = Instant::now();
            }
            assert!(began.elapsed() < Duration::from_mins(15), "autovacuum does not come to an end");
            sleep(Duration::from_millis(500)).await;
        }
    }

    /// How long each command took that drivers sent while some work was done.
    async fn beside<T>(&self, drivers: &[String], work: impl Future<Output = T>) -> (T, Vec<Duration>) {
        let (stop, mut driving) = (CancellationToken::new(), JoinSet::new());
        for session in drivers {
            driving.spawn(drive(self.server.address, session.clone(), stop.clone()));
        }
        let done = work.await;
        stop.cancel();
        let mut took = driving.join_all().await.concat();
        took.sort_unstable();
        (done, took)
    }
}

/// Sends commands at its pace, and measures each from when it was due: one that waits behind another is late as well.
async fn drive(address: SocketAddr, session: String, stop: CancellationToken) -> Vec<Duration> {
    let mut socket = Socket::open(address, "/ws").await;
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut took = Vec::new();
    while !stop.is_cancelled() {
        let due = pace.tick().await;
        // Never the value that is held: that would not be written.
        let value = due.elapsed().as_nanos().to_string() + &took.len().to_string();
        let command = json!({"type": "setContext", "key": "k", "value": value});
        socket.send(json!({"type": "command", "id": "c", "sessionId": session, "command": command})).await;
        assert_eq!(socket.frame().await["type"], "ack");
        took.push(due.elapsed());
    }
    took
}

/// The time within which that share of the commands was answered.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let place = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(place).copied().expect("commands were sent")
}

fn print(name: &str, sorted: &[Duration]) {
    let (half, most, all) = (percentile(sorted, 50), percentile(sorted, 99), percentile(sorted, 100));
    println!("{name}: {} commands, p50 {half:.1?}, p99 {most:.1?}, longest {all:.1?}", sorted.len());
}

fn mebibytes((journal, all): (i64, i64)) -> String {
    format!("journal {} MiB, all tables of sessions {} MiB", journal >> 20, all >> 20)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_go_on_and_tables_do_not_grow_while_a_rule_deletes() {
    let wanted = std::env::var("DELETED_EVENTS").map_or(100_000, |number| number.parse().expect("a number"));
    let (sessions, is_large) = (wanted / EVENTS_EACH + 1, wanted >= LARGE);
    let world = World::start().await;
    let template = world.template().await;
    let mut drivers = Vec::new();
    for _ in 0..DRIVERS {
        drivers.push(world.create(json!({})).await);
    }
    let before = world.events().await;
    let began = Instant::now();
    world.fill(&template, sessions).await;
    let filled = world.events().await - before;
    assert_eq!(filled, sessions * EVENTS_EACH);
    sqlx::query("ANALYZE").execute(&world.pool).await.expect("analysed");
    let full = world.sizes().await;
    println!("{filled} events of {sessions} sessions in {:.0?}: {}", began.elapsed(), mebibytes(full));

    let alone = Duration::from_secs(if is_large { 60 } else { 5 });
    let ((), without) = world.beside(&drivers, sleep(alone)).await;
    print("without a deletion", &without);
    let began = Instant::now();
    let ((), with) = world.beside(&drivers, world.delete(sessions)).await;
    let took = began.elapsed();
    print("while a rule deletes", &with);
    println!("deleted in {took:.0?}: {:.0} events a second", filled as f64 / took.as_secs_f64());

    let began = Instant::now();
    world.vacuum(is_large).await;
    let vacuumed = world.sizes().await;
    println!("vacuumed after {:.0?}: {}", began.elapsed(), mebibytes(vacuumed));
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM sessions").fetch_one(&world.pool).await.expect("a count");
    assert_eq!(left.unsigned_abs(), DRIVERS + 1, "what is not old stays");
    world.fill(&template, sessions).await;
    let again = world.sizes().await;
    println!("filled again with as many: {}", mebibytes(again));

    let slack = if is_large { SLACK } else { SLACK_BESIDE_OTHERS };
    let (p99, bound) = (percentile(&with, 99), percentile(&without, 99) * 2 + slack);
    assert!(p99 <= bound, "p99 {p99:.1?}, more than {bound:.1?}");
    // What was deleted is used again, but for a fifth.
    assert!(again.1 * 5 <= full.1 * 6, "{} after {}", mebibytes(again), mebibytes(full));
    world.pool.close().await;
    assert_eq!(world.server.terminate().await, Some(0));
    world.cluster.stop().await.expect("PostgreSQL stops");
}
