//! Databases of every earlier schema, with data in them, brought up to date, taken back, and brought up
//! again: every row is kept, and every function and trigger is the same as in a new database.

use std::collections::BTreeMap;

use relive::storage::{MIGRATOR, Storage};
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgPool};

use crate::harness::{Database, eventually};

/// Rows as each version of the schema had them: inserted at the version named, into the tables that it
/// brought or changed. Whoever adds a migration that makes or changes a table adds rows for it here.
const ROWS: &[(i64, &str)] = &[
    (
        1,
        "INSERT INTO groups (id, name, icon, system_prompt, default_agent_ids, created_at, updated_at) VALUES
            ('00000000-0000-7000-8000-000000000001', 'Ümlaut 日本', '🌱', 'be brief', '{00000000-0000-7000-8000-0000000000a1}', now(), now()),
            ('00000000-0000-7000-8000-000000000002', '', NULL, NULL, NULL, '2020-02-29T00:00:00Z', now());
         INSERT INTO agents (id, name, persona_prompt, model_config, capabilities, created_at, updated_at) VALUES
            ('00000000-0000-7000-8000-0000000000a1', 'Ada', 'You are Ada', '{\"model\": \"m\", \"temperature\": 0.5}', '[\"search\"]', now(), now());
         INSERT INTO workflows (id, group_id, name, graph, created_at, updated_at) VALUES
            ('00000000-0000-7000-8000-0000000000f1', '00000000-0000-7000-8000-000000000001', 'Nightly',
             '{\"name\":\"Nightly\",\"nodes\":{\"a\":{\"id\":\"a\",\"type\":\"t\",\"name\":\"A\"}},\"startNodeId\":\"a\"}', now(), now())",
    ),
    (
        2,
        "INSERT INTO sessions (id, group_id, workflow_id, workflow_name, status, driver, proposal, inputs, outputs,
                node_statuses, node_counts, revision, total_tokens, total_cost_usd, error, creation_key, started_at,
                ended_at, created_at, updated_at) VALUES
            ('00000000-0000-7000-8000-000000000051', '00000000-0000-7000-8000-000000000001',
             '00000000-0000-7000-8000-0000000000f1', 'Nightly', 'completed', 'external', '\"p\"', '{\"a\": [1, null]}', '{\"b\": 2}',
             '{\"a\": \"completed\"}', '{\"pending\":0,\"running\":0,\"completed\":1,\"failed\":0,\"skipped\":0,\"suspended\":0}', 5, 12, 0.000123, NULL, 'key 1', now(), now(), now(), now()),
            ('00000000-0000-7000-8000-000000000052', NULL, NULL, NULL, 'running', 'builtin', NULL, NULL, NULL,
             '{}', '{\"pending\":0,\"running\":0,\"completed\":0,\"failed\":0,\"skipped\":0,\"suspended\":0}', 2, 0, 0, NULL, NULL, now(), NULL, now(), now()),
            ('00000000-0000-7000-8000-000000000053', NULL, NULL, 'unnamed', 'failed', 'external', NULL, NULL, NULL,
             '{}', '{\"pending\":0,\"running\":0,\"completed\":0,\"failed\":0,\"skipped\":0,\"suspended\":0}', 2, 0, 0, 'it broke', NULL, now(), now(), now(), now());
         INSERT INTO session_events (session_id, revision, at, batch, event) VALUES
            ('00000000-0000-7000-8000-000000000051', 1, now(), 0, '{\"type\":\"created\",\"driver\":\"external\"}'),
            ('00000000-0000-7000-8000-000000000051', 2, now(), 4711, '{\"type\":\"started\"}'),
            ('00000000-0000-7000-8000-000000000051', 3, now(), 4711, '{\"type\":\"nodeStatusChanged\",\"nodeId\":\"a\",\"status\":\"running\",\"attempt\":1}'),
            ('00000000-0000-7000-8000-000000000051', 4, now(), 4712, '{\"type\":\"nodeStatusChanged\",\"nodeId\":\"a\",\"status\":\"completed\",\"attempt\":1,\"output\":{\"x\":1.50}}'),
            ('00000000-0000-7000-8000-000000000051', 5, now(), 4712, '{\"type\":\"completed\"}');
         INSERT INTO session_commands (session_id, command_id, revision) VALUES
            ('00000000-0000-7000-8000-000000000051', 'c1', 4);
         INSERT INTO session_usage (session_id, node_id, agent_id, model, calls, input_tokens, output_tokens, cost_usd) VALUES
            ('00000000-0000-7000-8000-000000000051', 'a', '', 'm', 1, 10, 2, 0.000123)",
    ),
    (
        3,
        "INSERT INTO session_messages (id, session_id, revision, node_id, agent_id, agent_name, role, content,
                token_count, is_thinking, created_at) VALUES
            ('00000000-0000-7000-8000-0000000000e1', '00000000-0000-7000-8000-000000000051', 3, 'a', 'x', 'Ada', 'agent', 'Hello 日本', 2, false, now());
         INSERT INTO memories (id, group_id, agent_id, session_id, content, embedding, metadata, created_at) VALUES
            ('00000000-0000-7000-8000-0000000000d1', '00000000-0000-7000-8000-000000000001', 'x',
             '00000000-0000-7000-8000-000000000051', 'prefers short sentences', '[1,0,0,0,0,0,0,0]', '{\"k\": true}', now()),
            ('00000000-0000-7000-8000-0000000000d2', NULL, NULL, NULL, '東京タワー', NULL, NULL, now())",
    ),
    (
        5,
        "INSERT INTO ancestors (id, session_id) VALUES
            ('00000000-0000-7000-8000-0000000000c1', '00000000-0000-7000-8000-0000000000c0');
         INSERT INTO session_lineage (session_id, depth, ancestor_id, revision) VALUES
            ('00000000-0000-7000-8000-000000000052', 1, '00000000-0000-7000-8000-0000000000c1', 1);
         INSERT INTO ancestor_messages (ancestor_id, revision, id, node_id, role, content, token_count, is_thinking, created_at) VALUES
            ('00000000-0000-7000-8000-0000000000c1', 1, '00000000-0000-7000-8000-0000000000e2', 'a', 'user', 'before', 0, false, now());
         INSERT INTO ancestor_outputs (ancestor_id, revision, output) VALUES
            ('00000000-0000-7000-8000-0000000000c1', 1, '{\"z\":1.0}')",
    ),
    (
        6,
        "INSERT INTO session_leases (session_id, holder, expires_at, parked_revision, wake_at) VALUES
            ('00000000-0000-7000-8000-000000000052', NULL, now(), 2, now())",
    ),
    (
        16,
        "INSERT INTO session_messages (id, session_id, revision, node_id, role, content, created_at, tool_calls,
                tool_call_id, content_type) VALUES
            ('m', '00000000-0000-7000-8000-000000000051', 4, 'a', 'tool', '[]', now(), '[{\"id\":\"c\",\"name\":\"t\",\"arguments\":{}}]', 'c', 'application/json');
         INSERT INTO session_logs (session_id, revision, node_id, level, text, at, attributes) VALUES
            ('00000000-0000-7000-8000-000000000051', 4, 'a', 3, 'it broke 日本', now(), '{\"n\":1.0}');
         INSERT INTO ancestor_logs (ancestor_id, revision, node_id, level, text, at) VALUES
            ('00000000-0000-7000-8000-0000000000c1', 1, 'a', 0, 'before', now())",
    ),
    (
        25,
        "INSERT INTO webhooks (id, project_id, url, types, tag, secret, enabled, disabled_reason, created_at, updated_at) VALUES
            ('00000000-0000-7000-8000-0000000000b1', 'default', 'https://example.org', '{node.failed}', 'ä', '\\x01', false, 'gone', now(), now());
         INSERT INTO webhook_deliveries (id, webhook_id, type, session_id, revision, event_at, body, status, attempts, error, created_at) VALUES
            ('00000000-0000-7000-8000-0000000000b2', '00000000-0000-7000-8000-0000000000b1', 'node.failed',
             '00000000-0000-7000-8000-000000000051', 4, now(), '{\"é\":1}', 'failed', 10, 'no answer in time', now());
         INSERT INTO webhook_outbox (at, session_id, revision, project_id, type, node_id) VALUES
            (now(), '00000000-0000-7000-8000-000000000052', 2, 'default', 'node.failed', 'a')",
    ),
    (
        26,
        "INSERT INTO schedules (id, project_id, workflow_id, name, cron, timezone, inputs, overlap, enabled, catch_up_seconds,
                created_at, updated_at, last_at, last_outcome, last_session_id) VALUES
            ('00000000-0000-7000-8000-0000000000b3', 'default', '00000000-0000-7000-8000-0000000000f1', 'Nächtlich', '@daily',
             'UTC', '[1]', 'skip', false, 60, now(), now(), now(), 'started', '00000000-0000-7000-8000-000000000051');
         INSERT INTO schedule_runs (schedule_id, at, session_id) VALUES
            ('00000000-0000-7000-8000-0000000000b3', now(), '00000000-0000-7000-8000-000000000051')",
    ),
    (
        28,
        "INSERT INTO ended_runs VALUES
            ('00000000-0000-7000-8000-0000000000c0', 'default', now(), 'failed', 12, 3, 0.5, NULL, NULL, '{日本}', '{m}', '{3}', '{0.5}');
         INSERT INTO run_statistics VALUES ('default', 'hour', 'all', now(), '', 1, 0, 0, '{1,2,3}', 4, 0.25);
         INSERT INTO statistics_changes VALUES ('default', now());
         INSERT INTO statistics_stale VALUES ('default', 'day', now())",
    ),
    (
        29,
        "INSERT INTO retention (project_id, applied_at, removed) VALUES ('default', now(), 7);
         INSERT INTO retention_rules (project_id, rule, position, removed) VALUES
            ('default', '{\"tag\": \"日本\", \"olderThanDays\": 0.5}', 0, 7)",
    ),
    (
        30,
        "INSERT INTO alerts (id, project_id, name, condition, tag, webhook_ids, emails, enabled, created_at, updated_at, raised_at, number) VALUES
            ('00000000-0000-7000-8000-0000000000b4', 'default', 'Nächtlich', '{\"type\": \"budget\", \"usdPerDay\": 0.5}', '日本',
             '{00000000-0000-7000-8000-0000000000b1}', '{ada@example.org}', false, now(), now(), now(), 1);
         INSERT INTO alert_events (alert_id, number, type, at, condition, observed) VALUES
            ('00000000-0000-7000-8000-0000000000b4', 1, 'raised', now(), '{\"type\": \"budget\", \"usdPerDay\": 0.5}',
             '{\"type\": \"budget\", \"day\": \"2026-01-01\", \"costUsd\": 1}');
         INSERT INTO alert_emails (id, alert_id, number, recipient, subject, body, status, attempts, error, created_at) VALUES
            ('00000000-0000-7000-8000-0000000000b5', '00000000-0000-7000-8000-0000000000b4', 1, 'ada@example.org', 'Raised: Nächtlich',
             'Zeile', 'failed', 10, 'no answer in time', now())",
    ),
    (
        31,
        "INSERT INTO archived_sessions (id, project_id, status, node_statuses, node_counts, revision, total_tokens,
                total_cost_usd, ended_at, created_at, updated_at, updated_about, incarnation, tags, file_name, file_bytes,
                file_sha256, events, messages, logs, memories) VALUES
            ('00000000-0000-7000-8000-0000000000d1', 'default', 'completed', '{\"ä\":\"failed\"}', '{}', 3, 4, 0.5, now(), now(),
             now(), now(), 5, '{日本}', 'default/2026-11/x.ndjson.zst', 6, '00', 3, 1, 2, 0);
         INSERT INTO archive_files (name, session_id, due_at) VALUES
            ('default/2026-11/y.ndjson.zst', '00000000-0000-7000-8000-000000000051', now() + interval '1 day');
         INSERT INTO restored_sessions (session_id) VALUES ('00000000-0000-7000-8000-000000000052')",
    ),
    (
        32,
        "INSERT INTO webhooks (id, project_id, url, types, secret, enabled, created_at, updated_at, previous_secrets,
                previous_secrets_until) VALUES
            ('00000000-0000-7000-8000-0000000000b6', 'default', 'https://example.org', '{node.failed}', '\\x02', false, now(),
             now(), ARRAY['\\x01'::bytea], '{2030-01-01T00:00:00Z}')",
    ),
];

/// By table: its rows as objects, sorted; without `settings`, where a server notes how it has set itself up, and
/// without what follows from other columns, which the server corrects, as it adds to statistics the runs from before.
type Rows = BTreeMap<String, Vec<Value>>;

async fn rows(pool: &PgPool) -> Rows {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT table_name::text FROM information_schema.tables
         WHERE table_schema = 'public' AND table_name NOT IN ('_sqlx_migrations', 'settings')
            AND table_name NOT IN ('ended_runs', 'ended_runs_by', 'run_statistics', 'statistics_changes', 'statistics_stale')
         ORDER BY 1",
    )
    .fetch_all(pool)
    .await
    .expect("tables");
    let mut found = Rows::new();
    for table in tables {
        let sql = format!(
            "SELECT shown FROM {table} AS t, LATERAL (
                SELECT to_jsonb(t) - '{{updated_about, ended_nodes, is_parked}}'::text[] AS shown) AS s
             ORDER BY shown::text"
        );
        let rows = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(pool).await.expect("rows");
        found.insert(table, rows);
    }
    found
}

/// Functions and triggers, as PostgreSQL describes them.
async fn code(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT pg_get_functiondef(p.oid) FROM pg_proc AS p
            WHERE pronamespace = 'public'::regnamespace
              AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e')
         UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
         ORDER BY 1",
    )
    .fetch_all(pool)
    .await
    .expect("functions and triggers")
}

/// That each row is still there with every column it had; later versions may add columns and tables.
fn assert_kept(before: &Rows, after: &Rows, version: i64) {
    for (table, held) in before {
        let now = after.get(table).unwrap_or_else(|| panic!("{table} of version {version} is gone"));
        for row in held {
            let has_it = |other: &&Value| {
                let (Value::Object(row), Value::Object(other)) = (row, other) else { return false };
                row.iter().all(|(column, value)| other.get(column).is_none_or(|kept| kept == value))
            };
            assert!(now.iter().any(|other| has_it(&other)), "{table} of version {version} has lost {row}: {now:?}");
        }
        assert_eq!(held.len(), now.len(), "{table} of version {version}");
    }
}

async fn empty(database: &Database) -> Storage {
    let storage = database.storage();
    MIGRATOR.undo(storage.pool(), 0).await.expect("all the way down");
    storage
}

#[tokio::test]
async fn a_database_of_every_version_keeps_its_rows_up_and_down_and_up_again() {
    let new = Database::create().await;
    let expected = code(new.storage().pool()).await;
    assert!(expected.len() > 4, "{expected:?}");
    let mut versions: Vec<i64> = MIGRATOR.iter().map(|migration| migration.version).collect();
    versions.dedup();
    for version in versions {
        let database = Database::create().await;
        let storage = empty(&database).await;
        let pool = storage.pool();
        for (since, sql) in ROWS.iter().filter(|(since, _)| *since <= version) {
            MIGRATOR.run_to(*since, pool).await.expect("up to where the rows belong");
            sqlx::raw_sql(AssertSqlSafe(*sql)).execute(pool).await.expect("rows");
        }
        MIGRATOR.run_to(version, pool).await.expect("up to this version");
        let old = rows(pool).await;

        storage.migrate(8).await.expect("up to date");
        let newest = rows(pool).await;
        assert_kept(&old, &newest, version);
        assert_eq!(code(pool).await, expected, "from version {version}");

        MIGRATOR.undo(pool, version).await.expect("back down");
        assert_eq!(rows(pool).await, old, "down to version {version}");
        storage.migrate(8).await.expect("up again");
        assert_kept(&old, &rows(pool).await, version);
        assert_eq!(code(pool).await, expected, "from version {version}, the second time");
        storage.close().await;
    }
}

/// A server of this version works with what an earlier one stored.
#[tokio::test]
async fn a_server_shows_what_earlier_versions_stored() {
    let database = Database::create().await;
    let storage = empty(&database).await;
    for (since, sql) in ROWS {
        MIGRATOR.run_to(*since, storage.pool()).await.expect("up to where the rows belong");
        sqlx::raw_sql(AssertSqlSafe(*sql)).execute(storage.pool()).await.expect("rows");
    }
    storage.close().await;
    let server = crate::harness::TestServer::start_on(database, |_| {}).await;
    let session = server.session("00000000-0000-7000-8000-000000000051").await;
    assert_eq!((&session["status"], &session["revision"]), (&Value::from("completed"), &Value::from(5)));
    let node = server.get("/api/v1/sessions/00000000-0000-7000-8000-000000000051/nodes/a").await.1;
    assert_eq!(node["output"]["x"], 1.5);
    let messages = server.get("/api/v1/sessions/00000000-0000-7000-8000-000000000051/messages").await.1;
    assert_eq!(messages["messages"][0]["content"], "Hello 日本");
    let list = server.get("/api/v1/sessions").await.1;
    assert_eq!(list["sessions"].as_array().map(Vec::len), Some(3));
}

/// The next version's server has migrated, and the one before goes on: what it does not know of is in every table.
#[tokio::test]
async fn a_server_goes_on_while_the_next_version_expands_the_schema() {
    let server = crate::harness::TestServer::start().await;
    let before = server.running_session().await;
    let work = async |id: &str, round: u32| {
        let said = serde_json::json!([
            {"type": "setNodeStatus", "nodeId": "n", "status": "running", "progress": f64::from(round) / 100.0},
            {"type": "addMessage", "nodeId": "n", "content": format!("{round}")},
            {"type": "addLog", "nodeId": "n", "level": "info", "text": format!("{round}")},
            {"type": "addMemory", "content": format!("{round}")},
            {"type": "recordUsage", "nodeId": "n", "model": "m", "inputTokens": 1, "outputTokens": 1},
        ]);
        server.command(id, said).await;
        for path in ["", "/events", "/messages", "/logs", "/nodes/n", "/usage"] {
            let (status, body) = server.get(&format!("/api/v1/sessions/{id}{path}")).await;
            assert!(status.is_success(), "{path}: {body}");
        }
        let (status, list) = server.get("/api/v1/sessions?nodeId=n&nodeStatus=running").await;
        assert!(status.is_success(), "{list}");
    };
    work(&before, 1).await;

    let storage = server.database.storage();
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> '_sqlx_migrations'",
    )
    .fetch_all(storage.pool())
    .await
    .expect("tables");
    assert!(tables.len() > 25, "{tables:?}");
    let expanding = async {
        for (number, table) in tables.iter().enumerate() {
            let sql = format!(
                "ALTER TABLE {table} ADD COLUMN of_the_next_version text, ADD COLUMN next_number bigint NOT NULL DEFAULT {number}"
            );
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(storage.pool()).await.expect("a column more");
        }
        let sql = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                   VALUES (999999, 'of the next version', true, '', 0)";
        sqlx::raw_sql(sql).execute(storage.pool()).await.expect("migrated");
    };
    let writing = async {
        for round in 2..12 {
            work(&before, round).await;
        }
    };
    tokio::join!(expanding, writing);

    work(&before, 20).await;
    let after = server.running_session().await;
    work(&after, 21).await;
    for id in [&before, &after] {
        server.command(id, serde_json::json!({"type": "setNodeStatus", "nodeId": "n", "status": "completed"})).await;
        server.command(id, serde_json::json!({"type": "complete"})).await;
        let (status, fork) =
            server.post(&format!("/api/v1/sessions/{id}/fork"), serde_json::json!({"revision": 3})).await;
        assert!(status.is_success(), "{fork}");
        let events = server.events(id).await;
        let revisions: Vec<u64> = events.iter().filter_map(|event| event["revision"].as_u64()).collect();
        assert_eq!(revisions, (1..=events.len() as u64).collect::<Vec<_>>());
    }
    let (status, deleted) = server.call(reqwest::Method::DELETE, &format!("/api/v1/sessions/{before}"), None).await;
    assert!(status.is_success(), "{deleted}");

    // To start again it would have to know the migration: it says so, and changes nothing.
    let url = server.database.url();
    let again = crate::harness::relive(
        &["serve", "--listen", "127.0.0.1:0"],
        &[("DATABASE_URL", &url), ("RELIVE_EMBEDDING_DIM", "8")],
    )
    .await;
    assert!(again.code == Some(1) && again.said.contains("999999"), "{again:?}");
}

/// A writer that has one table, and needs another that a migration changes before the first.
#[tokio::test]
async fn a_migration_gives_way_to_writers_instead_of_a_deadlock() {
    let storage = Database::create().await.storage();
    let pool = storage.pool();
    MIGRATOR.undo(pool, 11).await.expect("the version before projects");
    let mut writer = pool.begin().await.expect("a transaction");
    let lock = |table: &str| sqlx::query(AssertSqlSafe(format!("LOCK TABLE {table} IN ROW EXCLUSIVE MODE")));
    lock("session_events").execute(&mut *writer).await.expect("locked");
    let migrating = tokio::spawn({
        let storage = storage.clone();
        async move { storage.migrate(8).await }
    });
    let waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'session_events'::regclass AND NOT granted)";
    eventually("the migration waits for the writer", async || {
        sqlx::query_scalar(waits).fetch_one(pool).await.expect("an answer")
    })
    .await;
    lock("groups").execute(&mut *writer).await.expect("no deadlock");
    writer.commit().await.expect("committed");
    migrating.await.expect("no panic").expect("migrated");
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM sessions WHERE project_id <> 'default'")
        .fetch_one(pool)
        .await
        .expect("the new column");
    assert_eq!(left, 0);
}
