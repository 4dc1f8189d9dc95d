//! How much an event takes in the database and in the archive: the figures of docs/archive.md.
//! `cargo test --test it archive_store::measured -- --nocapture` prints them.

use serde_json::{Value, json};
use sqlx::PgPool;

use super::{archive_all, server};

const SESSIONS: u32 = 100;
/// Each has six events.
const TURNS: u32 = 40;
const EVENTS: i64 = (SESSIONS * (TURNS * 6 + 3)) as i64;
const TABLES: [&str; 8] = [
    "session_events",
    "session_commands",
    "session_messages",
    "session_logs",
    "session_usage",
    "session_keyframes",
    "sessions",
    "session_labels",
];
const WORDS: &str = "the of a to in is that for it as with was on by at from this model answer run review draft node \
    report data table query result search paper figure error retry cost token price agent plan step check final open \
    source time second minute value number list next first second third part because however therefore while which \
    compare summary context question user system tool call output input schema field record history state change";

/// Sentences that repeat themselves no more than those of people.
fn text(seed: &mut u64, words: u32) -> String {
    let all: Vec<&str> = WORDS.split_whitespace().collect();
    let mut word = || {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Some words are frequent, and some are names or numbers.
        let number = (*seed >> 33) as usize;
        if number.is_multiple_of(7) {
            format!("{:x}", number % 65_536)
        } else {
            all[(number % 97 * (number % 89)) % all.len()].to_owned()
        }
    };
    (0..words).map(|_| word()).collect::<Vec<_>>().join(" ")
}

/// Six events of an agent.
pub fn turn(number: u32, seed: &mut u64) -> [Value; 6] {
    let node = format!("node-{}", number % 8);
    [
        json!({"type": "setNodeStatus", "nodeId": node, "status": "running", "input": {"question": text(seed, 20)}}),
        json!({"type": "addLog", "nodeId": node, "level": "info", "text": text(seed, 12)}),
        json!({"type": "addMessage", "nodeId": node, "role": "agent", "content": text(seed, 90), "tokenCount": 120}),
        json!({"type": "recordUsage", "nodeId": node, "model": "m-large", "inputTokens": *seed % 4_000, "outputTokens": 120, "costUsd": 0.004}),
        json!({"type": "setContext", "key": "round", "value": number}),
        json!({"type": "setNodeStatus", "nodeId": node, "status": "completed", "output": {"answer": text(seed, 40)}}),
    ]
}

async fn sizes(pool: &PgPool) -> Vec<i64> {
    let mut sizes = Vec::new();
    for table in TABLES {
        let sql = "SELECT pg_total_relation_size($1::regclass)";
        sizes.push(sqlx::query_scalar::<_, i64>(sql).bind(table).fetch_one(pool).await.expect("a size"));
    }
    sizes
}

#[tokio::test]
async fn the_archive_takes_a_fraction_of_what_the_database_did() {
    let (server, _directory) = server().await;
    let pool = server.database.storage();
    let pool = pool.pool();
    let empty = sizes(pool).await;
    let mut seed = 7;
    for number in 0..SESSIONS {
        let id = server.create(json!({"name": format!("run {number}"), "tags": ["measured"]})).await;
        let mut commands = vec![json!({"type": "start"})];
        for number in 0..TURNS {
            commands.extend(turn(number, &mut seed));
        }
        commands.push(json!({"type": "complete"}));
        // As an engine sends them: a few at a time.
        for some in commands.chunks(10) {
            server.command(&id, json!(some)).await;
        }
    }
    let full = sizes(pool).await;
    let events: i64 = sqlx::query_scalar("SELECT count(*) FROM session_events").fetch_one(pool).await.expect("a count");
    assert_eq!(events, EVENTS);
    let mut database = 0;
    for ((table, before), after) in TABLES.iter().zip(&empty).zip(&full) {
        eprintln!("{table}: {} bytes per event", (after - before) / EVENTS);
        database += after - before;
    }
    // A request archives for 20 s at most.
    while archive_all(&server).await["hasMore"] == true {}
    let archived: i64 =
        sqlx::query_scalar("SELECT count(*) FROM archived_sessions").fetch_one(pool).await.expect("a count");
    assert_eq!(archived, i64::from(SESSIONS));
    let (files, records): (i64, i64) = sqlx::query_as(
        "SELECT sum(file_bytes)::bigint, pg_total_relation_size('archived_sessions') FROM archived_sessions",
    )
    .fetch_one(pool)
    .await
    .expect("sizes");
    eprintln!("database: {} bytes per event in all", database / EVENTS);
    eprintln!(
        "archive: {} bytes per event; {} per session in the database",
        files / EVENTS,
        records / i64::from(SESSIONS)
    );
    assert!(files * 4 < database, "{files} of {database}");
}
