//! What is bounded, and what happens at the bound.

use relive_session::{AlertFilter, ProjectId, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};

use super::{age, alert, becomes, on_failure, run, server};
use crate::harness::{Database, eventually};

#[tokio::test]
async fn a_project_has_a_hundred_alerts_at_most_and_lists_them_by_pages() {
    let server = server().await;
    for _ in 0..100 {
        alert(&server, on_failure(json!({}))).await;
    }
    server.refused(Method::POST, "/api/v1/alerts", Some(on_failure(json!({}))), "conflict").await;
    let (_, first) = server.get("/api/v1/alerts?limit=60").await;
    let cursor = first["nextCursor"].as_str().expect("a cursor");
    let (_, second) = server.get(&format!("/api/v1/alerts?limit=60&cursor={cursor}")).await;
    let number = |page: &Value| page["alerts"].as_array().expect("alerts").len();
    assert_eq!((number(&first), number(&second)), (60, 40));
    assert!(second["nextCursor"].is_null());
}

#[tokio::test]
async fn the_last_thousand_events_are_kept_and_listed_by_pages() {
    let server = server().await;
    let alert = alert(&server, on_failure(json!({}))).await;
    run(&server, json!({}), "fail").await;
    becomes(&server, &alert, "raised").await;
    let storage = server.database.storage();
    // As if it had been raised and resolved many times.
    sqlx::raw_sql(
        "INSERT INTO alert_events SELECT alert_id, n, CASE n % 2 WHEN 1 THEN 'raised' ELSE 'resolved' END,
             at + n * interval '1 second', condition, observed FROM alert_events, generate_series(2, 1001) AS n;
         UPDATE alerts SET number = 1001",
    )
    .execute(storage.pool())
    .await
    .expect("events");
    age(&server.database, "11 minutes").await;
    becomes(&server, &alert, "resolved").await;
    let (mut numbers, mut cursor) = (Vec::new(), String::new());
    loop {
        let (_, page) = server.get(&format!("/api/v1/alerts/{alert}/events?limit=150{cursor}")).await;
        let events = page["events"].as_array().expect("events");
        numbers.extend(events.iter().map(|event| event["number"].as_u64().expect("a number")));
        let Some(next) = page["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(numbers, (3..=1_002).rev().collect::<Vec<u64>>());
}

/// What looks read of a project with many runs. Rows are counted, and not milliseconds.
#[tokio::test]
async fn a_look_reads_by_indexes_and_no_more_than_it_says() {
    let database = Database::create().await;
    let tester = database.storage();
    sqlx::raw_sql(
        "INSERT INTO ended_runs
         SELECT gen_random_uuid(), CASE WHEN n % 2 = 0 THEN 'default' ELSE 'other' END,
             now() - n * interval '1 second', CASE WHEN n % 100 = 0 THEN 'failed' ELSE 'completed' END, n, 1, 0.01
         FROM generate_series(1, 300000) AS n;
         ANALYZE ended_runs",
    )
    .execute(tester.pool())
    .await
    .expect("runs");
    let number =
        async |sql: &'static str| sqlx::query_scalar::<_, i64>(sql).fetch_one(tester.pool()).await.expect("a number");
    let read_from_end_to_end = "SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'ended_runs'";
    let by_time = "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'idx_ended_runs_time'";
    let failed = "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'idx_ended_runs_failed'";
    let before = (number(read_from_end_to_end).await, number(by_time).await, number(failed).await);

    let storage = database.storage();
    let (project, filter) = (ProjectId::default(), AlertFilter::default());
    let fields = serde_json::from_value(on_failure(json!({}))).expect("fields");
    storage.create_alert(&project, uuid::Uuid::now_v7(), &fields, Timestamp::now()).await.expect("an alert");
    let [due] = &storage.claim_due_alerts(10).await.expect("claimed")[..] else { panic!("one alert") };
    // Of the last 6,000 seconds, every hundredth run has failed.
    let found = storage.failed_runs(&project, &filter, 100).await.expect("counted");
    assert!((59..=60).contains(&found.count), "{found:?}");
    let usual = storage.find_usual_runs(due).await.expect("compared");
    assert_eq!(usual.runs, 10_000);
    let hour = due.now.before(std::time::Duration::from_secs(3_600)).expect("a time");
    storage.spent_since(&project, &filter, hour).await.expect("added up");

    eventually("the reads are counted", async || number(failed).await > before.2).await;
    assert_eq!(number(read_from_end_to_end).await, before.0, "a whole table was read");
    assert!((59..=60).contains(&(number(failed).await - before.2)));
    let read = number(by_time).await - before.1;
    // The last 10,000 that were completed with the failed ones in between, and what has ended in two hours at most.
    assert!((10_000..=14_000).contains(&read), "{read} rows were read");
}
