//! Statistics of runs: the same as a plain look at all of them, whatever was added up by then.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use relive::storage::Storage;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tokio::process::Command;

use crate::access::support::{get, key, server as guarded, token};
use crate::harness::{DEADLINE, TestServer, eventually, node};

/// A run as it is stored, read without anything that statistics use.
#[derive(Clone, Debug)]
struct Run {
    ended: DateTime<Utc>,
    status: String,
    duration: Option<i64>,
    /// By each grouping: the keys, with the tokens and the cost that count there.
    keys: BTreeMap<&'static str, Vec<(String, i64, f64)>>,
}

/// The start and the key of a bucket.
type Place = (DateTime<Utc>, String);
/// Runs with the tokens and the cost that count in a bucket.
type Counted<'a> = Vec<(&'a Run, i64, f64)>;

type Row = (
    uuid::Uuid,
    Option<DateTime<Utc>>,
    DateTime<Utc>,
    String,
    i64,
    f64,
    Option<uuid::Uuid>,
    Option<uuid::Uuid>,
    Option<Vec<String>>,
);

async fn runs(storage: &Storage) -> Vec<Run> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT id, started_at, ended_at, status, total_tokens, total_cost_usd::float8, workflow_id, group_id, tags
         FROM sessions WHERE ended_at IS NOT NULL",
    )
    .fetch_all(storage.pool())
    .await
    .expect("sessions");
    let used: Vec<(uuid::Uuid, String, i64, f64)> = sqlx::query_as(
        "SELECT session_id, model, sum(input_tokens + output_tokens)::bigint, sum(cost_usd)::float8
         FROM session_usage GROUP BY 1, 2",
    )
    .fetch_all(storage.pool())
    .await
    .expect("usage");
    let mut by_model: BTreeMap<uuid::Uuid, Vec<(String, i64, f64)>> = BTreeMap::new();
    for (id, model, tokens, cost) in used {
        by_model.entry(id).or_default().push((model, tokens, cost));
    }
    let run = |(id, started, ended, status, tokens, cost, workflow, group, tags): Row| {
        let one = |key: Option<uuid::Uuid>| vec![(key.map(|id| id.to_string()).unwrap_or_default(), tokens, cost)];
        let tags = tags.filter(|tags| !tags.is_empty()).unwrap_or_else(|| vec![String::new()]);
        let models = by_model.get(&id).cloned().unwrap_or_else(|| one(None));
        let keys = BTreeMap::from([
            ("", one(None)),
            ("workflow", one(workflow)),
            ("group", one(group)),
            ("tag", tags.into_iter().map(|tag| (tag, tokens, cost)).collect()),
            ("model", models),
        ]);
        let duration = started.map(|started| (ended - started).num_milliseconds());
        Run { ended, status, duration, keys }
    };
    rows.into_iter().map(run).collect()
}

fn percentile(sorted: &[i64], part: f64) -> i64 {
    let rank = (part * sorted.len() as f64).ceil().max(1.0) as usize;
    sorted[rank - 1]
}

/// What the server has to answer.
fn plain(runs: &[Run], from: DateTime<Utc>, to: DateTime<Utc>, width: TimeDelta, group_by: &'static str) -> Vec<Value> {
    let mut groups: BTreeMap<Place, Counted<'_>> = BTreeMap::new();
    for run in runs.iter().filter(|run| run.ended >= from && run.ended < to) {
        for (key, tokens, cost) in &run.keys[group_by] {
            let start = run.ended.duration_trunc(width).expect("a time");
            groups.entry((start, key.clone())).or_default().push((run, *tokens, *cost));
        }
    }
    let bucket = |((start, key), runs): (Place, Counted<'_>)| {
        let count = |status: &str| runs.iter().filter(|(run, ..)| run.status == status).count();
        let mut durations: Vec<i64> = runs.iter().filter_map(|(run, ..)| run.duration).collect();
        durations.sort_unstable();
        let start: relive_session::Timestamp = start.into();
        let mut bucket = json!({
            "start": start,
            "runs": {"total": runs.len(), "completed": count("completed"), "failed": count("failed"),
                     "cancelled": count("cancelled")},
            "successRate": count("completed") as f64 / runs.len() as f64,
            "totalTokens": runs.iter().map(|(_, tokens, _)| tokens).sum::<i64>(),
            "totalCostUsd": runs.iter().map(|(.., cost)| cost).sum::<f64>(),
        });
        if !key.is_empty() {
            bucket["key"] = key.into();
        }
        if !durations.is_empty() {
            let at = |part| percentile(&durations, part);
            bucket["durationMs"] = json!({"p50": at(0.5), "p95": at(0.95), "p99": at(0.99)});
        }
        bucket
    };
    groups.into_iter().map(bucket).collect()
}

async fn statistics(server: &TestServer, query: &str) -> Value {
    let (status, answer) = server.get(&format!("/api/v1/statistics?{query}")).await;
    assert_eq!(status, 200, "{query}: {answer}");
    answer
}

/// Compares every kind of answer about these days.
async fn assert_equal(server: &TestServer, runs: &[Run], what: &str) {
    let time = |text: &str| text.parse::<DateTime<Utc>>().expect("a time");
    let (first, last) = (time("2026-02-27T00:00:00Z"), time("2026-03-02T00:00:00Z"));
    let inside = (time("2026-02-27T11:23:45.678Z"), time("2026-02-28T21:00:00.001Z"));
    for (name, width, periods) in [
        ("minute", TimeDelta::minutes(1), vec![(time("2026-02-28T00:00:30Z"), time("2026-03-01T00:00:00Z"))]),
        ("hour", TimeDelta::hours(1), vec![(first, last), inside]),
        ("day", TimeDelta::hours(24), vec![(first, last), inside, (inside.0, inside.0)]),
    ] {
        for (from, to) in periods {
            for group_by in ["", "workflow", "group", "tag", "model"] {
                let stamp = |time: DateTime<Utc>| relive_session::Timestamp::from(time).to_string();
                let mut query = format!("bucket={name}&from={}&to={}", stamp(from), stamp(to));
                if !group_by.is_empty() {
                    query += &format!("&groupBy={group_by}");
                }
                let answer = statistics(server, &query).await;
                let expected = plain(runs, from, to, width, group_by);
                let buckets = answer["buckets"].as_array().expect("buckets");
                for (bucket, expected) in buckets.iter().zip(&expected) {
                    assert_eq!(bucket, expected, "{what}: {query}");
                }
                assert_eq!(buckets.len(), expected.len(), "{what}: {query}");
                assert!(from == to || !buckets.is_empty(), "{what}: {query} has none");
            }
        }
    }
}

/// 3,000 sessions that ended within three days, some without a start, with tags, models, groups and workflows.
const FILL: &str = r#"
    INSERT INTO groups (id, name, created_at, updated_at) VALUES (lpad('a', 32, '0')::uuid, 'g', now(), now());
    INSERT INTO workflows (id, name, graph, created_at, updated_at)
        SELECT lpad('b' || n, 32, '0')::uuid, 'w', '{}', now(), now() FROM generate_series(1, 3) AS n;
    INSERT INTO sessions (id, status, driver, revision, group_id, workflow_id, tags, labels_revision, total_tokens,
        total_cost_usd, started_at, ended_at, created_at, updated_at)
    SELECT lpad(to_hex(n), 32, '0')::uuid, (ARRAY['completed', 'completed', 'failed', 'cancelled'])[1 + n % 4], 'external', 3,
        CASE WHEN n % 2 = 0 THEN lpad('a', 32, '0')::uuid END,
        CASE WHEN n % 4 > 0 THEN lpad('b' || n % 4, 32, '0')::uuid END,
        (ARRAY[NULL, '{nightly}', '{nightly,"with, comma"}'])[1 + n % 3]::text[], 1, n % 17, (n % 9) * 0.25,
        CASE WHEN n % 11 > 0 THEN ended - (n * 7919 % 100000) * interval '1 millisecond' END, ended, ended, ended
    FROM generate_series(1, 3000) AS n,
        LATERAL (SELECT timestamptz '2026-02-27Z' + (n * 104729 % 259200000) * interval '1 millisecond') AS t (ended);
    INSERT INTO session_usage (session_id, node_id, agent_id, model, calls, input_tokens, output_tokens, cost_usd)
    SELECT id, 'n' || m, '', (ARRAY['gpt', 'other', ''])[1 + m % 3], 1, total_tokens, m, m * 0.5
    FROM sessions, generate_series(1, 4) AS m WHERE revision = 3 AND total_tokens % 5 > 0;
"#;

async fn fill(storage: &Storage, sql: &'static str) {
    // One transaction, as runs are stored.
    sqlx::raw_sql(AssertSqlSafe(format!("BEGIN; {sql} COMMIT;"))).execute(storage.pool()).await.expect("filled");
}

async fn counted(storage: &Storage, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(storage.pool()).await.expect("a number")
}

const NOT_ADDED_UP: &str = "SELECT (SELECT count(*) FROM statistics_changes) + (SELECT count(*) FROM statistics_stale WHERE bucket < '2026-03-10')";

async fn rebuild(server: &TestServer, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relive"));
    command
        .args(["statistics", "rebuild"])
        .args(arguments)
        .env("DATABASE_URL", server.database.url())
        .kill_on_drop(true);
    let ended = tokio::time::timeout(DEADLINE * 3, command.output()).await.expect("ends in time").expect("relive");
    let said = String::from_utf8(ended.stderr).expect("a text");
    assert!(ended.status.success() && ended.stdout.is_empty(), "{said}");
    said
}

#[tokio::test]
async fn every_figure_equals_a_plain_look_at_all_runs() {
    let server = TestServer::start().await;
    let storage = server.database.storage();
    fill(&storage, FILL).await;
    let all = runs(&storage).await;
    assert_equal(&server, &all, "not added up").await;
    while storage.note_stale_statistics().await.expect("noted") {}
    assert_equal(&server, &all, "noted").await;
    let is_done = async || counted(&storage, NOT_ADDED_UP).await == 0;
    eventually("all is added up", is_done).await;
    assert!(counted(&storage, "SELECT count(*) FROM run_statistics").await > 300);
    assert_equal(&server, &all, "added up").await;

    // Late usage, other tags, another end, and a deletion.
    let changes = "
        UPDATE sessions SET tags = '{late}', labels_revision = 4, total_tokens = total_tokens + 5, revision = 4
            WHERE total_tokens = 16;
        DELETE FROM session_usage WHERE model = 'other' AND input_tokens = 7;
        UPDATE sessions SET revision = 4 WHERE total_tokens = 7;";
    fill(&storage, changes).await;
    let changed = runs(&storage).await;
    assert_equal(&server, &changed, "changed").await;
    eventually("the changes are added up", is_done).await;
    assert_equal(&server, &changed, "changes added up").await;
    let deleted = "DELETE FROM sessions WHERE total_tokens = 3;";
    fill(&storage, deleted).await;
    assert_equal(&server, &changed, "deleted sessions count on").await;

    // What the server keeps is what a new count of everything says, and that repairs what others have done.
    rebuild(&server, &[]).await;
    assert_equal(&server, &changed, "rebuilt").await;
    fill(
        &storage,
        "UPDATE run_statistics SET completed = completed + 1; DELETE FROM ended_runs WHERE total_tokens = 4;",
    )
    .await;
    rebuild(&server, &[]).await;
    assert_equal(&server, &changed, "repaired").await;
    let said = rebuild(&server, &["--forget-deleted"]).await;
    assert!(said.contains("runs of deleted sessions are not counted any more"), "{said}");
    assert_equal(&server, &runs(&storage).await, "only of sessions that are there").await;
}

#[tokio::test]
async fn runs_of_before_are_counted_when_the_server_starts() {
    let server = TestServer::start().await;
    let storage = server.database.storage();
    eventually("nothing is left to count", async || statistics(&server, "").await["complete"] == true).await;
    let database = server.stop().await;
    fill(
        &storage,
        "SET LOCAL session_replication_role = replica; DELETE FROM settings WHERE name = 'statistics_counted';",
    )
    .await;
    let quietly = format!("SET LOCAL session_replication_role = replica; {FILL}");
    sqlx::raw_sql(AssertSqlSafe(format!("BEGIN; {quietly} COMMIT;"))).execute(storage.pool()).await.expect("filled");
    assert_eq!(counted(&storage, "SELECT count(*) FROM ended_runs").await, 0);
    // A commit comes first to one of them.
    fill(&storage, "UPDATE sessions SET total_tokens = 1000 WHERE total_tokens = 16;").await;
    let [one, other] =
        [TestServer::start_on(database.clone(), |_| {}).await, TestServer::start_on(database, |_| {}).await];
    eventually("all are counted", async || statistics(&other, "").await["complete"] == true).await;
    assert_equal(&one, &runs(&storage).await, "counted later").await;
}

#[tokio::test]
async fn a_run_counts_as_soon_as_its_end_is_answered_on_every_server() {
    let server = TestServer::start().await;
    let second = TestServer::start_on(server.database.clone(), |_| {}).await;
    let mut ended = 0;
    for end in ["complete", "fail", "cancel", "stop"] {
        let id = server.create(json!({"tags": [end]})).await;
        let error = (end == "fail").then_some("no");
        server.command(&id, json!([{"type": "start"}, node("n", "running"), node("n", "completed")])).await;
        assert_eq!(total(&second, "").await["total"], ended);
        let mut command = json!({"type": end});
        if let Some(error) = error {
            command["error"] = error.into();
        }
        server.command(&id, command).await;
        ended += 1;
        assert_eq!(total(&second, "").await["total"], ended, "{end}");
        // Taken for a while after the end.
        let usage = json!({"type": "recordUsage", "nodeId": "n", "inputTokens": 40, "outputTokens": 2, "costUsd": 0.25, "model": end});
        server.command(&id, json!([usage, {"type": "setLabels", "tags": ["late"]}])).await;
        let late = statistics(&second, "groupBy=tag").await;
        let [bucket] = &late["buckets"].as_array().expect("buckets")[..] else { panic!("{late}") };
        assert_eq!((&bucket["key"], &bucket["totalTokens"]), (&json!("late"), &json!(42 * ended)), "{late}");
        assert_eq!(bucket["totalCostUsd"].as_f64(), Some(0.25 * f64::from(ended)));
        let by_model = statistics(&second, "groupBy=model").await;
        assert_eq!(by_model["buckets"].as_array().map(Vec::len), Some(ended as usize), "{by_model}");
    }
    let all = total(&server, "&bucket=day").await;
    assert_eq!(all, json!({"total": 4, "completed": 1, "failed": 2, "cancelled": 1}));
    let path = format!(
        "/api/v1/sessions/{}",
        server.get("/api/v1/sessions").await.1["sessions"][0]["id"].as_str().expect("an id")
    );
    assert_eq!(server.call(Method::DELETE, &path, None).await.0, 204);
    assert_eq!(total(&server, "").await, all, "a deleted run was a run");
}

/// The runs of all buckets.
async fn total(server: &TestServer, query: &str) -> Value {
    let answer = statistics(server, &format!("groupBy=workflow{query}")).await;
    let mut sums = json!({"total": 0, "completed": 0, "failed": 0, "cancelled": 0});
    for bucket in answer["buckets"].as_array().expect("buckets") {
        for (name, sum) in sums.as_object_mut().expect("sums") {
            *sum = (sum.as_u64().expect("a number") + bucket["runs"][name].as_u64().expect("a number")).into();
        }
    }
    sums
}

#[tokio::test]
async fn no_run_is_missed_or_counted_twice_while_they_are_added_up() {
    let server = TestServer::start().await;
    let storage = server.database.storage();
    let writing = tokio::spawn({
        let storage = storage.clone();
        async move {
            for n in 0..150 {
                sqlx::query(
                    "INSERT INTO sessions (id, status, driver, revision, ended_at, created_at, updated_at)
                     SELECT gen_random_uuid(), 'completed', 'external', 3, ended, ended, ended
                     FROM (SELECT timestamptz '2026-01-01Z' + ($1 % 50) * interval '1 hour' AS ended) AS t",
                )
                .bind(n)
                .execute(storage.pool())
                .await
                .expect("a session");
            }
        }
    });
    let adding = tokio::spawn({
        let storage = storage.clone();
        async move {
            loop {
                storage.note_stale_statistics().await.expect("noted");
                let _ = storage.add_up_statistics().await.expect("added up");
            }
        }
    });
    let sum = async || {
        let answer = statistics(&server, "from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z").await;
        let runs = answer["buckets"].as_array().expect("buckets").iter().map(|bucket| bucket["runs"]["total"].as_i64());
        runs.map(|number| number.expect("a number")).sum::<i64>()
    };
    let is_over = async || {
        let before = counted(&storage, "SELECT count(*) FROM sessions").await;
        let found = sum().await;
        let after = counted(&storage, "SELECT count(*) FROM sessions").await;
        assert!(before <= found && found <= after, "{before} to {after} sessions, and {found} counted");
        before == 150
    };
    eventually("all are stored", is_over).await;
    writing.await.expect("written");
    adding.abort();
    assert_eq!(sum().await, 150);
}

#[tokio::test]
async fn periods_are_bounded() {
    let server = TestServer::start().await;
    let storage = server.database.storage();
    for query in [
        "from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
        "from=2026-01-01T00:00:00Z&to=2026-01-03T00:00:00Z&bucket=minute",
        "from=2026-01-01T00:00:00Z&to=2026-06-01T00:00:00Z&bucket=hour",
        "from=0001-01-01T00:00:00Z&to=9999-01-01T00:00:00Z&bucket=day",
        "bucket=week",
        "groupBy=session",
        "groupby=tag",
        "from=yesterday",
    ] {
        server.refused(Method::GET, &format!("/api/v1/statistics?{query}"), None, "bad_request").await;
    }
    for query in [
        "from=0001-01-01T00:00:00Z&to=0001-01-02T00:00:00Z",
        "to=0000-01-01T00:00:00Z",
        "from=9999-12-31T00:00:00Z&to=9999-12-31T23:59:59.999Z&bucket=day",
    ] {
        assert_eq!(statistics(&server, query).await["buckets"], json!([]));
    }
    fill(
        &storage,
        "INSERT INTO ended_runs (session_id, project_id, ended_at, status, total_tokens, total_cost_usd, tags)
         SELECT gen_random_uuid(), 'default', '2026-01-01Z', 'completed', 9223372036854775807, 1e15, ARRAY['tag' || n]
         FROM generate_series(1, 20001) AS n;
         INSERT INTO statistics_changes VALUES ('default', '2026-01-01Z');",
    )
    .await;
    let period = "/api/v1/statistics?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z";
    server.refused(Method::GET, &format!("{period}&groupBy=tag"), None, "too_large").await;
    let (_, answer) = server.get(period).await;
    assert_eq!(answer["buckets"][0]["totalTokens"], json!(9_007_199_254_740_991_u64), "{answer}");
}

#[tokio::test]
async fn statistics_are_of_a_project_and_for_whoever_reads_all_of_it() {
    let server = guarded().await;
    let viewer = key(&server, "viewer", "default").await;
    let admin = key(&server, "admin", "default").await;
    assert_eq!(get(&server, &viewer, "/api/v1/statistics").await.0, 200);
    let all = token(&server, &admin, &["read:sessions"]).await;
    assert_eq!(get(&server, &all, "/api/v1/statistics").await.0, 200);
    for scope in ["read:tags:x", "read:sessions:0198c0de-0000-7000-8000-000000000001"] {
        let some = token(&server, &admin, &[scope]).await;
        assert_eq!(get(&server, &some, "/api/v1/statistics").await.0, 403, "{scope}");
    }
    let storage = server.database.storage();
    fill(
        &storage,
        "INSERT INTO ended_runs (session_id, project_id, ended_at, status, total_tokens, total_cost_usd)
         VALUES (gen_random_uuid(), 'other', now(), 'completed', 1, 1);",
    )
    .await;
    assert_eq!(get(&server, &viewer, "/api/v1/statistics?bucket=day").await.1["buckets"], json!([]));
}

#[tokio::test]
async fn what_deleted_projects_have_left_is_forgotten() {
    let server = TestServer::start().await;
    let storage = server.database.storage();
    fill(
        &storage,
        "INSERT INTO projects (id, name, created_at, updated_at, deleted_at) VALUES ('gone', 'g', now(), now(), now());
         INSERT INTO ended_runs (session_id, project_id, ended_at, status, total_tokens, total_cost_usd)
         SELECT gen_random_uuid(), project, '2026-01-01Z', 'completed', 1, 1
         FROM generate_series(1, 1100), unnest(ARRAY['gone', 'default']) AS project;
         INSERT INTO statistics_changes SELECT DISTINCT project_id, ended_at FROM ended_runs;",
    )
    .await;
    while storage.forget_statistics_of_deleted_projects().await.expect("forgotten") {}
    let left = "SELECT count(DISTINCT project_id) FROM ended_runs";
    assert_eq!(counted(&storage, left).await, 1);
    assert_eq!(counted(&storage, "SELECT count(*) FROM ended_runs").await, 1_100);
}

#[tokio::test]
async fn a_change_of_a_run_that_goes_on_writes_nothing_for_statistics() {
    let server = TestServer::start().await;
    let id = server.running_session().await;
    let storage = server.database.storage();
    let names: BTreeSet<String> = ["ended_runs", "statistics_changes"].map(str::to_owned).into();
    server.command(&id, json!([node("n", "running"), {"type": "setLabels", "tags": ["t"]}])).await;
    for name in names {
        let sql = format!("SELECT pg_relation_size('{name}')");
        let size: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(storage.pool()).await.expect("a size");
        assert_eq!(size, 0, "{name}");
    }
}
