//! Each condition, by runs that are reported like any other.

use chrono::{DateTime, Utc};
use relive::storage::{AlertTransition, DueAlert, Storage};
use relive_session::{AlertChange, AlertFilter, ProjectId, Timestamp};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::{age, alert, becomes, changes, events, looked_at, on_failure, run, server, status};
use crate::harness::{TestServer, eventually, node};

#[tokio::test]
async fn so_many_failures_within_the_time_raise_an_alert_once_until_they_are_older() {
    let server = server().await;
    let condition = json!({"type": "failures", "count": 3, "withinMinutes": 10});
    let alert = alert(&server, json!({"name": "Nightly fails", "condition": condition})).await;
    run(&server, json!({}), "complete").await;
    run(&server, json!({}), "cancel").await;
    run(&server, json!({}), "fail").await;
    run(&server, json!({}), "fail").await;
    looked_at(&server).await;
    assert_eq!(status(&server, &alert).await, "resolved", "two are not three");

    let last = run(&server, json!({}), "fail").await;
    becomes(&server, &alert, "raised").await;
    run(&server, json!({}), "fail").await;
    looked_at(&server).await;
    let [raised] = &events(&server, &alert).await[..] else { panic!("one event") };
    assert_eq!((&raised["number"], &raised["type"], &raised["condition"]), (&json!(1), &json!("raised"), &condition));
    assert_eq!(raised["observed"], json!({"type": "failures", "count": 3, "sessionId": last}));
    let (_, shown) = server.get(&format!("/api/v1/alerts/{alert}")).await;
    assert_eq!(shown["raisedAt"], raised["at"]);

    age(&server.database, "9 minutes").await;
    looked_at(&server).await;
    assert_eq!(status(&server, &alert).await, "raised");
    age(&server.database, "2 minutes").await;
    becomes(&server, &alert, "resolved").await;
    let resolved = &events(&server, &alert).await[0];
    assert_eq!(resolved["observed"], json!({"type": "failures", "count": 0}));
    let (_, shown) = server.get(&format!("/api/v1/alerts/{alert}")).await;
    assert_eq!(shown["raisedAt"], Value::Null);

    for _ in 0..3 {
        run(&server, json!({}), "fail").await;
    }
    becomes(&server, &alert, "raised").await;
    assert_eq!(changes(&server, &alert).await, ["raised", "resolved", "raised"]);
}

/// Makes a run that goes on older, as if the time had passed.
async fn began_before(storage: &Storage, session: &str, seconds: f64) {
    let sql = "UPDATE sessions SET started_at = started_at - make_interval(secs => $2) WHERE id = $1";
    let id: uuid::Uuid = session.parse().expect("an id");
    sqlx::query(sql).bind(id).bind(seconds).execute(storage.pool()).await.expect("older");
}

#[tokio::test]
async fn a_run_that_goes_on_for_longer_than_others_raises_an_alert_until_it_ends() {
    let server = server().await;
    let storage = server.database.storage();
    let condition = json!({"type": "slowRun", "factor": 2, "minimumRuns": 100});
    let alert = alert(&server, json!({"name": "It hangs", "condition": condition})).await;
    for _ in 0..99 {
        run(&server, json!({}), "complete").await;
    }
    // Of a hundred runs, the 99th percentile by rank is the second longest.
    sqlx::query("UPDATE ended_runs SET duration_ms = 100000").execute(storage.pool()).await.expect("a hundred seconds");
    let failed = run(&server, json!({}), "fail").await;
    let slow = server.running_session().await;
    began_before(&storage, &slow, 3_600.0).await;
    looked_at(&server).await;
    assert_eq!(status(&server, &alert).await, "resolved", "99 were completed, not 100: {failed} does not count");

    run(&server, json!({}), "complete").await;
    becomes(&server, &alert, "raised").await;
    let observed = events(&server, &alert).await[0]["observed"].clone();
    assert_eq!(
        (&observed["sessionId"], &observed["p99Ms"], &observed["runs"]),
        (&json!(slow), &json!(100_000), &json!(100))
    );
    let running = observed["runningMs"].as_u64().expect("a time");
    assert!((3_600_000..3_700_000).contains(&running), "{observed}");

    server.command(&slow, json!({"type": "complete"})).await;
    becomes(&server, &alert, "resolved").await;
    let observed = events(&server, &alert).await[0]["observed"].clone();
    assert_eq!((&observed["sessionId"], &observed["runs"]), (&Value::Null, &json!(101)));

    // Longer than the percentile, and not twice as long. One that nobody has started does not go on.
    let other = server.running_session().await;
    server.new_session().await;
    began_before(&storage, &other, 150.0).await;
    looked_at(&server).await;
    assert_eq!(status(&server, &alert).await, "resolved");
    began_before(&storage, &other, 60.0).await;
    becomes(&server, &alert, "raised").await;
    assert_eq!(changes(&server, &alert).await, ["raised", "resolved", "raised"]);
}

#[tokio::test]
async fn the_percentile_is_by_rank_and_kept_for_a_while() {
    let server = server().await;
    let storage = server.database.storage();
    for n in 1..=200 {
        let sql =
            "INSERT INTO ended_runs VALUES ($1, 'default', now() - make_interval(secs => $2), 'completed', $3, 0, 0)";
        let insert = sqlx::query(sql).bind(uuid::Uuid::now_v7()).bind(f64::from(n)).bind(i64::from(n) * 1_000);
        insert.execute(storage.pool()).await.expect("a run");
    }
    let condition = json!({"type": "slowRun", "minimumRuns": 200});
    let id = alert(&server, json!({"name": "It hangs", "condition": condition})).await;
    let compared = async || {
        let sql = "SELECT p99_ms, runs FROM alerts WHERE compared_at IS NOT NULL AND id = $1";
        let id: uuid::Uuid = id.parse().expect("an id");
        sqlx::query_as::<_, (i64, i64)>(sql).bind(id).fetch_optional(storage.pool()).await.expect("an answer")
    };
    eventually("runs are compared", async || compared().await.is_some()).await;
    assert_eq!(compared().await, Some((198_000, 200)));
    // Another look does not read them all again.
    sqlx::query("DELETE FROM ended_runs").execute(storage.pool()).await.expect("gone");
    let sql = "UPDATE alerts SET due_at = now()";
    for _ in 0..2 {
        sqlx::query(sql).execute(storage.pool()).await.expect("due");
        let due = "SELECT count(*) FROM alerts WHERE due_at <= now()";
        eventually("it is looked at", async || {
            sqlx::query_scalar::<_, i64>(due).fetch_one(storage.pool()).await.expect("a count") == 0
        })
        .await;
    }
    assert_eq!(compared().await, Some((198_000, 200)));
    let aged = "UPDATE alerts SET compared_at = now() - interval '6 minutes', due_at = now()";
    sqlx::query(aged).execute(storage.pool()).await.expect("aged");
    let empty = "SELECT runs FROM alerts";
    eventually("they are compared anew", async || {
        sqlx::query_scalar::<_, i64>(empty).fetch_one(storage.pool()).await.expect("a number") == 0
    })
    .await;
}

fn usage(usd: f64) -> Value {
    json!({"type": "recordUsage", "nodeId": "n", "model": "m", "inputTokens": 1, "outputTokens": 1, "costUsd": usd})
}

#[tokio::test]
async fn what_runs_cost_on_a_day_raises_an_alert_while_they_go_on_and_until_the_day_is_over() {
    let server = server().await;
    let condition = json!({"type": "budget", "usdPerDay": 1.5});
    let alert = alert(&server, json!({"name": "Too dear", "condition": condition})).await;
    let ended = server.create(json!({})).await;
    let commands =
        json!([{"type": "start"}, node("n", "running"), usage(1.0), node("n", "completed"), {"type": "complete"}]);
    server.command(&ended, commands).await;
    let live = server.create(json!({})).await;
    server.command(&live, json!([{"type": "start"}, node("n", "running"), usage(0.5)])).await;
    looked_at(&server).await;
    assert_eq!(status(&server, &alert).await, "resolved", "1.5 is not more than 1.5");

    server.command(&live, usage(0.001)).await;
    becomes(&server, &alert, "raised").await;
    let raised = &events(&server, &alert).await[0];
    let day = raised["at"].as_str().expect("a time")[..10].to_owned();
    assert_eq!(raised["observed"], json!({"type": "budget", "day": day, "costUsd": 1.501}));
    server.command(&live, json!([node("n", "completed"), {"type": "complete"}])).await;
    looked_at(&server).await;
    assert_eq!(changes(&server, &alert).await, ["raised"]);

    age(&server.database, "24 hours").await;
    becomes(&server, &alert, "resolved").await;
    assert_eq!(events(&server, &alert).await[0]["observed"]["costUsd"], 0.0);
}

/// A day long ago, of which statistics have some hours added up, and others not.
#[tokio::test]
async fn the_cost_of_a_day_is_that_of_a_plain_sum_whatever_was_added_up() {
    let server = server().await;
    let storage = server.database.storage();
    let day: DateTime<Utc> = "2026-03-01T00:00:00Z".parse().expect("a time");
    let (workflow, group) = (uuid::Uuid::now_v7(), uuid::Uuid::now_v7());
    for n in 0..300_i32 {
        sqlx::query(
            "WITH run AS (
                 INSERT INTO ended_runs VALUES ($1, $2, $3, 'completed', 1, 0, $4, $5, $6, $7)
                 RETURNING project_id, ended_at
             ) INSERT INTO statistics_changes SELECT * FROM run",
        )
        .bind(uuid::Uuid::now_v7())
        .bind(if n % 7 == 0 { "other" } else { "default" })
        .bind(day + chrono::TimeDelta::minutes(i64::from(n) * 6 - 60))
        .bind(Decimal::new(i64::from(n), 2))
        .bind((n % 2 == 0).then_some(workflow))
        .bind((n % 3 == 0).then_some(group))
        .bind((n % 5 == 0).then(|| vec!["a".to_owned(), "b".to_owned()]))
        .execute(storage.pool())
        .await
        .expect("a run");
    }
    let project = ProjectId::default();
    let filter =
        |workflow_id, group_id, tag: Option<&str>| AlertFilter { workflow_id, group_id, tag: tag.map(str::to_owned) };
    let filters = [
        filter(None, None, None),
        filter(Some(workflow), None, None),
        filter(None, Some(group), None),
        filter(None, None, Some("b")),
        filter(Some(workflow), Some(group), None),
        filter(Some(workflow), Some(group), Some("a")),
    ];
    let compare = async |what: &str| {
        for filter in &filters {
            let expected: Decimal = sqlx::query_scalar(
                "SELECT sum(total_cost_usd) FROM ended_runs WHERE project_id = 'default' AND ended_at >= $1
                     AND ($2::uuid IS NULL OR workflow_id = $2) AND ($3::uuid IS NULL OR group_id = $3)
                     AND ($4::text IS NULL OR $4 = ANY (tags))",
            )
            .bind(day)
            .bind(filter.workflow_id)
            .bind(filter.group_id)
            .bind(filter.tag.as_deref())
            .fetch_one(storage.pool())
            .await
            .expect("a sum");
            let spent = storage.spent_since(&project, filter, Timestamp::from(day)).await.expect("a sum");
            assert_eq!(spent, expected, "{what}: {filter:?}");
            assert!(!expected.is_zero());
        }
    };
    compare("whatever the server has added up by now").await;
    let waiting = "SELECT (SELECT count(*) FROM statistics_changes) + (SELECT count(*) FROM statistics_stale
        WHERE bucket < now() - interval '2 days')";
    let is_added_up =
        async || sqlx::query_scalar::<_, i64>(waiting).fetch_one(storage.pool()).await.expect("a count") == 0;
    eventually("the hours are added up", is_added_up).await;
    compare("all added up").await;
    let change = "WITH changed AS (UPDATE ended_runs SET total_cost_usd = total_cost_usd + 1
            WHERE extract(hour FROM ended_at AT TIME ZONE 'UTC') % 3 = 0 RETURNING project_id, ended_at)
        INSERT INTO statistics_changes SELECT * FROM changed";
    sqlx::query(change).execute(storage.pool()).await.expect("changed");
    compare("some of it outdated").await;
}

#[tokio::test]
async fn one_that_is_disabled_is_not_raised_and_resolved_if_it_was() {
    let server = server().await;
    let alert = alert(&server, on_failure(json!({"enabled": false}))).await;
    run(&server, json!({}), "fail").await;
    looked_at(&server).await;
    assert_eq!(status(&server, &alert).await, "resolved");
    let path = format!("/api/v1/alerts/{alert}");
    let set = async |change: Value| {
        let (status, changed) = server.call(reqwest::Method::PATCH, &path, Some(change)).await;
        assert_eq!(status, reqwest::StatusCode::OK, "{changed}");
    };
    set(json!({"enabled": true})).await;
    becomes(&server, &alert, "raised").await;
    set(json!({"enabled": false})).await;
    becomes(&server, &alert, "resolved").await;
    assert_eq!(events(&server, &alert).await[0]["observed"], Value::Null);
    let due: Option<DateTime<Utc>> = sqlx::query_scalar("SELECT due_at FROM alerts")
        .fetch_one(server.database.storage().pool())
        .await
        .expect("an alert");
    assert_eq!(due, None, "nobody looks at it any more");

    set(json!({"enabled": true})).await;
    becomes(&server, &alert, "raised").await;
    // Another condition, which does not hold.
    set(json!({"condition": {"type": "failures", "count": 2, "withinMinutes": 10}})).await;
    becomes(&server, &alert, "resolved").await;
    assert_eq!(changes(&server, &alert).await, ["raised", "resolved", "raised", "resolved"]);
}

/// Claims the one alert, whoever else looks for it.
async fn claimed(storage: &Storage) -> DueAlert {
    loop {
        sqlx::query("UPDATE alerts SET due_at = now()").execute(storage.pool()).await.expect("due");
        if let Some(due) = storage.claim_due_alerts(1).await.expect("claimed").into_iter().next() {
            return due;
        }
    }
}

/// What is found for fields that were changed meanwhile does not count, nor what another server has found before.
#[tokio::test]
async fn a_look_at_what_was_changed_meanwhile_is_in_vain() {
    let server = TestServer::start().await;
    let storage = server.database.storage();
    let alert = alert(&server, on_failure(json!({}))).await;
    let new =
        AlertTransition { change: AlertChange::Raised, observed: None, body: "{}".to_owned(), emails: Vec::new() };
    let due = claimed(&storage).await;
    assert!(storage.claim_due_alerts(1).await.expect("claimed").is_empty(), "nobody else is given it");
    let path = format!("/api/v1/alerts/{alert}");
    let (status, _) = server.call(reqwest::Method::PATCH, &path, Some(json!({"name": "Another"}))).await;
    assert_eq!(status, 200);
    assert!(!storage.record_transition(&due, &new).await.expect("asked"), "it was changed");
    assert_eq!(changes(&server, &alert).await, [""; 0]);

    let due = claimed(&storage).await;
    assert!(storage.record_transition(&due, &new).await.expect("asked"));
    assert!(!storage.record_transition(&due, &new).await.expect("asked"), "somebody has raised it");
    assert_eq!(changes(&server, &alert).await[0], "raised");
}
