//! How long the upgrade of a large database stops others: the schema of the version before access control, with
//! a million sessions, is brought up to date while somebody writes to it. `SESSIONS=n` says how many (1,000,000).

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use relive::storage::{MIGRATOR, Storage};
use sqlx::{AssertSqlSafe, PgPool};

use super::support::{Server, Table, millis};

/// The last version without projects.
const BEFORE: i64 = 11;
const EVENTS_EACH: u32 = 3;
/// Sessions that are inserted by one statement.
const BATCH: u32 = 50_000;

pub fn run(server: &Server, table: &mut Table) {
    let sessions: u32 = std::env::var("SESSIONS").map_or(1_000_000, |number| number.parse().expect("a number"));
    let storage = server.database("upgrade");
    let (alone, beside, took, rebuilt) = server.runtime.block_on(async {
        let pool = storage.pool();
        MIGRATOR.undo(pool, BEFORE).await.expect("the version before");
        fill(pool, sessions).await;
        let (alone, ()) = longest_write(pool, tokio::time::sleep(Duration::from_secs(5))).await;
        let began = Instant::now();
        // A server that starts: it migrates, and builds the indexes of lists in the background.
        let (beside, took) = longest_write(pool, async {
            storage.migrate(8).await.expect("migrated");
            let took = began.elapsed();
            indexes_are_built(&storage).await;
            took
        })
        .await;
        (alone, beside, took, began.elapsed())
    });
    table.row(
        &format!("the longest write while {sessions} sessions are migrated"),
        format!("{:.0} ms", millis(beside)),
        format!("{:.0} ms before", millis(alone)),
        String::new(),
        "at most 1000 ms",
    );
    table.note(format!(
        "migrating {sessions} sessions with {EVENTS_EACH} events each took {took:.2?}, with the indexes of lists {rebuilt:.0?}"
    ));
}

async fn execute(pool: &PgPool, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(pool).await.expect("executed");
}

async fn fill(pool: &PgPool, sessions: u32) {
    let group = "INSERT INTO groups (id, name, created_at, updated_at)
        SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'Group ' || n, now(), now()
        FROM generate_series(0, 99) AS n";
    execute(pool, group.to_owned()).await;
    for first in (0..sessions).step_by(usize::try_from(BATCH).expect("small")) {
        let last = (first + BATCH).min(sessions) - 1;
        execute(
            pool,
            format!(
                r#"WITH made AS (
                    INSERT INTO sessions (id, group_id, status, driver, node_statuses, node_counts, revision, started_at,
                        ended_at, created_at, updated_at)
                    SELECT gen_random_uuid(), ('00000000-0000-7000-8000-' || lpad((n % 100)::text, 12, '0'))::uuid,
                        'completed', 'external', '{{"a": "completed", "b": "completed"}}', '{{"completed": 2}}',
                        {EVENTS_EACH}, at, at, at, at
                    FROM generate_series({first}, {last}) AS n,
                        LATERAL (SELECT timestamptz '2025-01-01Z' + n * interval '10 seconds' AS at) AS t
                    RETURNING id, created_at)
                INSERT INTO session_events (session_id, revision, at, batch, event)
                SELECT id, revision, created_at, 0, '{{"type": "started"}}'
                FROM made, generate_series(1, {EVENTS_EACH}) AS revision"#
            ),
        )
        .await;
    }
    execute(pool, "ANALYZE".to_owned()).await;
}

/// The longest that a write took while some work was done: one row after the other, of the table that is
/// migrated, and of the journal.
async fn longest_write<T>(pool: &PgPool, work: impl Future<Output = T>) -> (Duration, T) {
    let (pool, is_over) = (pool.clone(), std::sync::Arc::new(AtomicBool::new(false)));
    let writing = tokio::spawn({
        let is_over = is_over.clone();
        async move {
            let id: uuid::Uuid =
                sqlx::query_scalar("SELECT id FROM sessions LIMIT 1").fetch_one(&pool).await.expect("a session");
            let (mut longest, mut revision) = (Duration::ZERO, next_revision(&pool, id).await);
            while !is_over.load(Ordering::Relaxed) {
                let began = Instant::now();
                let write =
                    "WITH session AS (UPDATE sessions SET updated_at = clock_timestamp() WHERE id = $1 RETURNING id)
                    INSERT INTO session_events (session_id, revision, at, batch, event)
                    SELECT id, $2, now(), 0, '{}' FROM session";
                sqlx::query(write).bind(id).bind(revision).execute(&pool).await.expect("written");
                longest = longest.max(began.elapsed());
                revision += 1;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            longest
        }
    });
    let done = work.await;
    is_over.store(true, Ordering::Relaxed);
    (writing.await.expect("no panic"), done)
}

async fn next_revision(pool: &PgPool, id: uuid::Uuid) -> i64 {
    let sql = "SELECT max(revision) + 1 FROM session_events WHERE session_id = $1";
    sqlx::query_scalar(sql).bind(id).fetch_one(pool).await.expect("a number")
}

/// Waits until the indexes of lists begin with the project.
async fn indexes_are_built(storage: &Storage) {
    let left = "SELECT count(*) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
        WHERE indrelid = 'sessions'::regclass AND relname LIKE 'idx_sessions_%' AND indisvalid
            AND pg_get_indexdef(indexrelid) LIKE '%(project_id%'";
    let deadline = Instant::now() + Duration::from_secs(1_800);
    loop {
        let built: i64 = sqlx::query_scalar(left).fetch_one(storage.pool()).await.expect("a number");
        if built >= 8 {
            return;
        }
        assert!(Instant::now() < deadline, "the indexes of lists are not built: {built} of 8");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
