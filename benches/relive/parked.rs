//! What an idle server costs beside many sessions, and runs of the built-in engine that wait. `SESSIONS=n` says how
//! many sessions (300,000).

use std::time::Duration;

use super::support::{Server, Table};

const PARKED: u32 = 100_000;
const TIME: Duration = Duration::from_secs(10);

pub fn run(server: &Server, table: &mut Table) {
    let sessions: u32 = std::env::var("SESSIONS").map_or(300_000, |number| number.parse().expect("a number"));
    let empty = idle(server);
    let fill = format!(
        "SET session_replication_role = replica;
        INSERT INTO sessions (id, status, driver, revision, node_statuses, created_at, updated_at, ended_at)
            SELECT ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid,
                CASE WHEN n <= {PARKED} THEN 'running' ELSE 'completed' END,
                CASE WHEN n <= {PARKED} THEN 'builtin' ELSE 'external' END,
                5, '{{\"r\": \"suspended\"}}', at, at, CASE WHEN n > {PARKED} THEN at END
            FROM generate_series(1, {sessions}) AS n, LATERAL (SELECT timestamptz '2025-01-01Z' + n * interval '1 s') AS t (at);
        INSERT INTO session_leases (session_id, expires_at, parked_revision, wake_at)
            SELECT id, created_at, 5, CASE WHEN random() < 0.5 THEN now() + interval '1 day' END
            FROM sessions WHERE driver = 'builtin';
        SET session_replication_role = DEFAULT"
    );
    let storage = server.own_database();
    let filled = async {
        for sql in [&fill, "VACUUM ANALYZE sessions, session_leases"] {
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(storage.pool()).await.expect("filled");
        }
        while storage.correct_parked().await.expect("marked") {}
        sqlx::raw_sql("VACUUM ANALYZE sessions").execute(storage.pool()).await.expect("vacuumed");
    };
    server.runtime.block_on(filled);
    let full = idle(server);
    table.row(
        &format!("CPU of an idle server and its PostgreSQL, {PARKED} parked runs among {sessions} sessions"),
        format!("{:.1} ms each second", full.as_secs_f64() * 1e3),
        format!("{:.1} ms with none", empty.as_secs_f64() * 1e3),
        String::new(),
        "next to nothing",
    );
}

/// CPU of both in a second.
fn idle(server: &Server) -> Duration {
    std::thread::sleep(Duration::from_secs(3));
    let before = server.cpu() + server.postgres_cpu();
    std::thread::sleep(TIME);
    (server.cpu() + server.postgres_cpu() - before).div_f64(TIME.as_secs_f64())
}
