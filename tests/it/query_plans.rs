//! `GET /sessions` on a table of a million sessions: how the database answers each filter.
//!
//! A filter passes when its plan reads no table from end to end, and no part of it more than a small
//! share of the rows. Rows are counted, and not milliseconds, so the machine does not matter.

use relive::storage::{MetadataFilter, PageCursor, SessionFilter, SessionText, Storage, Visible};
use relive_session::{NodeStatus, SessionStatus, Timestamp};
use serde_json::Value;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use crate::harness::Database;

const LIMIT: u32 = 50;
/// Rows that all parts of a plan together may read: a twentieth of the table. A search for a text looks
/// through 10,000 errors, the graphs of 4,000 sessions, and the names and tags of 10,000, and what PostgreSQL finds in an index and then
/// in the table counts twice; what it finds in two indexes first, three times.
const ROWS: u64 = 50_000;

/// One session a second, the newest last. Compact rows, and none of the triggers of foreign keys: the table has to be there in seconds.
/// Group 1 and workflow 1 have a third of all sessions, the others few each; workflow 40 had its
/// sessions long ago. The last thousand are live.
const FILL: &str = r#"
    SET session_replication_role = replica;
    INSERT INTO sessions (id, group_id, workflow_id, workflow_name, status, driver, node_statuses, revision,
        error, parent_id, is_stalled, parent_session_id, name, tags, metadata, started_at, ended_at, created_at, updated_at, updated_about, ended_nodes)
    SELECT uuid('0190' || lpad(to_hex(n), 8, '0') || '70008000000000000000'),
        id(CASE WHEN n % 3 = 0 THEN 1 ELSE 2 + n % 1000 END),
        id(CASE WHEN n < 20000 THEN 40 WHEN n % 3 = 0 THEN 1 WHEN n % 3 = 1 THEN 2 + n / 3 % 30 END),
        CASE WHEN n < 20000 THEN 'Billing of old' WHEN n % 3 = 0 THEN 'Nightly deploy'
            WHEN n % 3 = 1 THEN 'Flow ' || (2 + n / 3 % 30) ELSE 'Ad hoc ' || n END,
        CASE WHEN n > 999000 THEN (ARRAY['running', 'paused', 'pending'])[1 + n % 3]
            WHEN n % 50 = 0 THEN 'failed' WHEN n BETWEEN 1000 AND 3000 THEN 'cancelled' ELSE 'completed' END,
        'external',
        statuses,
        5,
        CASE WHEN n = 900000 THEN 'a singular mishap' WHEN n % 50 = 0 AND n <= 999000 THEN 'connection refused' END,
        CASE WHEN n % 5000 = 0 THEN id(n) END,
        n BETWEEN 40000 AND 40100,
        CASE WHEN n > 20000 THEN id(CASE WHEN n % 3 = 0 THEN 1 WHEN n < 21000 THEN 2 ELSE 3 + n % 1000 END) END,
        CASE WHEN n = 995000 THEN 'A singular run' WHEN n % 1000 = 0 THEN 'Run ' || n END,
        CASE WHEN n < 20000 THEN '{old}' WHEN n % 20000 = 8 THEN '{nightly,rare}' WHEN n % 2 = 0 THEN '{nightly}' END::text[],
        CASE WHEN n < 20000 THEN '{"tenant": "gone"}' WHEN n % 10 = 0 THEN jsonb_build_object('customer', n / 10 % 1000) END::jsonb,
        at - CASE WHEN n % 5000 = 0 THEN interval '1 day' ELSE interval '0' END,
        CASE WHEN n <= 999000 THEN at + interval '20 seconds' END, at - interval '1 second', at + interval '20 seconds',
        at + interval '20 seconds' - n % 10 * interval '1 minute', CASE WHEN n <= 999000 THEN hashes END
    FROM generate_series(1, 1000000) AS n, LATERAL (SELECT timestamptz '2025-01-01Z' + n * interval '1 second') AS t (at),
        (SELECT kind, statuses, relive_node_hashes(statuses) AS hashes FROM (VALUES
            (1, '{"a": "completed", "rare": "failed"}'::jsonb), (2, '{"a": "running"}'), (3, '{"a": "failed"}'),
            (4, '{"a": "completed"}')) AS kinds (kind, statuses) OFFSET 0) AS nodes
    WHERE kind = CASE WHEN n % 20000 = 7 THEN 1 WHEN n > 999000 THEN 2 WHEN n % 50 = 0 THEN 3 ELSE 4 END;
    INSERT INTO session_labels SELECT relive_label('default', 'tag', tag), created_at, id
        FROM sessions, unnest(tags) AS tag;
    INSERT INTO session_labels SELECT relive_metadata_label('default', key, value), created_at, id
        FROM sessions, jsonb_each(metadata);
    INSERT INTO session_labels SELECT relive_label('default', 'name', name), created_at, id
        FROM sessions WHERE name IS NOT NULL;
    INSERT INTO session_labels SELECT relive_label('default', 'named', ''), created_at, id
        FROM sessions WHERE name IS NOT NULL OR tags IS NOT NULL;
    INSERT INTO session_labels SELECT relive_label('default', 'parent', parent_session_id::text), created_at, id
        FROM sessions WHERE parent_session_id IS NOT NULL;
    INSERT INTO workflow_names SELECT DISTINCT workflow_id, workflow_name FROM sessions WHERE workflow_id IS NOT NULL;
    SET session_replication_role = DEFAULT;
"#;

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn second(n: i64) -> Timestamp {
    Timestamp::from_millis((1_735_689_600 + n) * 1_000).expect("a time")
}

/// A database with the million; indexes are made afterwards, which is several times faster.
async fn database() -> (Database, Storage) {
    let database = Database::create().await;
    let storage = database.storage();
    let mut connection = storage.pool().acquire().await.expect("a connection");
    let indexes: Vec<(String, String)> = sqlx::query_as(
        "SELECT indexname, indexdef FROM pg_indexes
         WHERE schemaname = 'public' AND tablename = 'sessions' AND indexname LIKE 'idx_%'",
    )
    .fetch_all(&mut *connection)
    .await
    .expect("indexes");
    let drop: String = indexes.iter().map(|(name, _)| format!("DROP INDEX {name};")).collect();
    let create: String = indexes.iter().map(|(_, definition)| format!("{definition};")).collect();
    let id = "CREATE FUNCTION id(n int) RETURNS uuid IMMUTABLE RETURN lpad(to_hex(n), 32, '0')::uuid;";
    for sql in
        [id, &drop, FILL, "SET maintenance_work_mem = '128MB';", &create, "VACUUM ANALYZE sessions, session_labels"]
    {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection).await.expect(sql);
    }
    std::mem::drop(connection);
    (database, storage)
}

/// What a plan reads: rows of all scans together, and the tables it reads from end to end.
#[derive(Debug, Default)]
pub struct Reads {
    pub rows: u64,
    pub whole_tables: Vec<String>,
}

impl Reads {
    pub fn add(&mut self, node: &Value) {
        let kind = node["Node Type"].as_str().unwrap_or_default();
        if node["Relation Name"].is_string() || node["Index Name"].is_string() {
            let number = |name: &str| node[name].as_f64().unwrap_or_default();
            let removed = number("Rows Removed by Filter") + number("Rows Removed by Index Recheck");
            self.rows += ((number("Actual Rows") + removed) * number("Actual Loops")) as u64;
        }
        // Workflows are few.
        if kind.ends_with("Seq Scan") && node["Relation Name"] != "workflow_names" {
            self.whole_tables.push(node["Relation Name"].to_string());
        }
        node["Plans"].as_array().into_iter().flatten().for_each(|child| self.add(child));
    }
}

/// What is wrong with how a filter is answered, if anything is. A page must have something on it.
async fn problem(storage: &Storage, filter: &SessionFilter, after: Option<PageCursor>) -> Option<String> {
    let plan = storage.explain_summaries(filter, after, LIMIT).await.expect("a plan");
    let mut reads = Reads::default();
    reads.add(&plan[0]["Plan"]);
    let is_empty = plan[0]["Plan"]["Actual Rows"].as_f64() == Some(0.0);
    let is_wrong = is_empty || reads.rows > ROWS || !reads.whole_tables.is_empty();
    is_wrong.then(|| format!("{filter:?} from {after:?}: {reads:?}\n{plan:#}"))
}

/// Every filter, and the index it cannot do without where that is one of its own.
fn filters() -> Vec<(Option<&'static str>, SessionFilter)> {
    use SessionStatus::{Cancelled, Completed, Failed, Paused, Running};
    let all = SessionFilter::default;
    let text = |text: &str| SessionFilter { text: SessionText::new(text), ..all() };
    let node = |id: &str, status| SessionFilter { node: Some((id.into(), status)), ..all() };
    let statuses = |statuses: &[SessionStatus]| SessionFilter { statuses: statuses.to_vec(), ..all() };
    let tags = |tags: &[&str]| tags.iter().map(ToString::to_string).collect::<Vec<_>>();
    let tagged = |names: &[&str]| SessionFilter { tags: tags(names), ..all() };
    let entry = |key: &str, value: &str| vec![MetadataFilter::new(key.to_owned(), value.to_owned())];
    let seen = |names: &[&str]| SessionFilter {
        visible: Visible::Some { sessions: Vec::new(), groups: vec![id(700)], tags: tags(names) },
        ..all()
    };
    let labels = Some("session_labels_pkey");
    let parent = |n| Some(relive_session::SessionId(id(n)));
    let (early, middle, late) = (Some(second(10_000)), Some(second(500_000)), Some(second(999_990)));
    vec![
        (None, SessionFilter { group_id: Some(id(1)), ..all() }),
        (Some("idx_sessions_group"), SessionFilter { group_id: Some(id(700)), ..all() }),
        (None, SessionFilter { workflow_id: Some(id(1)), ..all() }),
        (Some("idx_sessions_workflow"), SessionFilter { workflow_id: Some(id(40)), ..all() }),
        (None, SessionFilter { group_id: Some(id(1)), workflow_id: Some(id(1)), ..all() }),
        (None, SessionFilter { group_id: Some(id(700)), statuses: vec![Completed], ..all() }),
        (None, statuses(&[Running])),
        (None, statuses(&[Completed])),
        (Some("idx_sessions_status"), statuses(&[Cancelled])),
        (Some("idx_sessions_status"), statuses(&[Running, Cancelled])),
        (None, statuses(&[Running, Paused])),
        (None, statuses(&[Completed, Failed, Cancelled])),
        (None, node("a", NodeStatus::Completed)),
        (None, node("a", NodeStatus::Failed)),
        (None, node("a", NodeStatus::Running)),
        (Some("idx_sessions_ended_node_statuses"), node("rare", NodeStatus::Failed)),
        (None, SessionFilter { started_after: middle, ..all() }),
        (None, SessionFilter { started_after: late, ..all() }),
        (None, SessionFilter { started_before: early, ..all() }),
        (Some("idx_sessions_forks"), SessionFilter { started_before: middle, ..all() }),
        (None, SessionFilter { started_after: early, started_before: middle, ..all() }),
        (None, SessionFilter { ended_after: middle, ..all() }),
        (None, SessionFilter { ended_before: middle, ..all() }),
        (None, SessionFilter { ended_after: early, ended_before: middle, statuses: vec![Completed, Failed], ..all() }),
        (None, SessionFilter { updated_after: middle, ..all() }),
        (Some("idx_sessions_updated"), SessionFilter { updated_after: late, ..all() }),
        (None, text("DEPLOY")),
        (Some("idx_sessions_workflow"), text("of old")),
        (Some("idx_sessions_errors"), text("refused")),
        (None, text("hoc 99")),
        (None, SessionFilter { statuses: vec![Failed], ..text("hoc 99") }),
        (None, text("0190000D-bba0")),
        (None, text("0190000d-bba0-7000-8000-000000000000")),
        (None, SessionFilter { group_id: Some(id(1)), ..text("deploy") }),
        (Some("idx_sessions_created"), all()),
        (None, tagged(&["nightly"])),
        (None, tagged(&["rare", "nightly"])),
        (None, tagged(&["nightly", "rare"])),
        (None, SessionFilter { statuses: vec![Failed], ..tagged(&["nightly"]) }),
        (None, SessionFilter { started_before: middle, ..tagged(&["old"]) }),
        (None, SessionFilter { metadata: entry("customer", "7"), ..all() }),
        (None, SessionFilter { metadata: entry("customer", "7"), ..tagged(&["nightly"]) }),
        (None, SessionFilter { name: Some("Run 5000".to_owned()), ..all() }),
        (None, seen(&["nightly"])),
        (None, text("singular run")),
        (None, SessionFilter { group_id: Some(id(1)), ..text("run 99") }),
        (Some("idx_sessions_stalled"), SessionFilter { is_stalled: Some(true), ..all() }),
        (None, SessionFilter { parent_session_id: parent(1), ..all() }),
        (None, SessionFilter { parent_session_id: parent(700), ..all() }),
        (None, SessionFilter { parent_session_id: parent(1), ..tagged(&["nightly"]) }),
        (None, SessionFilter { parent_session_id: parent(1), statuses: vec![Failed], ..all() }),
        (Some("idx_sessions_roots"), SessionFilter { is_root: true, ..all() }),
        (None, SessionFilter { is_root: true, ..tagged(&["old"]) }),
        (labels, SessionFilter { parent_session_id: parent(2), ..all() }),
        (labels, tagged(&["old"])),
        (labels, SessionFilter { metadata: entry("tenant", "gone"), ..all() }),
        (labels, seen(&["old", "rare"])),
    ]
}

#[tokio::test]
async fn a_page_of_a_million_sessions_is_read_from_indexes_whatever_the_filter() {
    let (_database, storage) = database().await;
    let mut problems = Vec::new();
    for (_, filter) in filters() {
        problems.extend(problem(&storage, &filter, None).await);
    }
    for n in [999_500, 700_000, 5_000] {
        let cursor = Some(PageCursor { created_at: second(n), id: Uuid::max() });
        problems.extend(problem(&storage, &SessionFilter::default(), cursor).await);
        let group = SessionFilter { group_id: Some(id(1)), ..SessionFilter::default() };
        problems.extend(problem(&storage, &group, cursor).await);
        let tagged = SessionFilter { tags: vec!["nightly".to_owned()], ..SessionFilter::default() };
        if n > 5_000 {
            problems.extend(problem(&storage, &tagged, cursor).await);
        }
    }
    assert!(problems.is_empty(), "{} filters: {}", problems.len(), problems.join("\n"));

    // And without its index, each of these is not.
    for (index, filter) in filters() {
        let Some(index) = index else { continue };
        let sql = if index.ends_with("_pkey") {
            format!("ALTER TABLE session_labels DROP CONSTRAINT IF EXISTS {index}")
        } else {
            format!("DROP INDEX IF EXISTS {index}")
        };
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(storage.pool()).await.expect("dropped");
        assert!(problem(&storage, &filter, None).await.is_some(), "{index} is not needed for {filter:?}");
    }
}
