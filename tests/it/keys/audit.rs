//! The audit log.

use std::net::IpAddr;
use std::time::Duration;

use relive::access::{Access, AuditEntry, AuditedAction, Outcome, Role};
use relive::storage::AuditFilter;
use relive_session::ProjectId;

use super::{caller, default_project, key, server};
use crate::harness::{Database, eventually};

async fn entries(access: &Access, filter: AuditFilter) -> Vec<AuditEntry> {
    access.audit_entries(&default_project(), filter, 1_000).await.expect("entries").expect("a page")
}

async fn wait_for(access: &Access, number: usize) -> Vec<AuditEntry> {
    eventually("they are written", async || entries(access, AuditFilter::default()).await.len() >= number).await;
    entries(access, AuditFilter::default()).await
}

fn address(last: u8) -> Option<IpAddr> {
    Some([192, 0, 2, last].into())
}

#[tokio::test]
async fn entries_say_who_did_what_from_where() {
    let access = server(&Database::create().await).await;
    let made = key(&access, Role::Admin).await;
    let admin = caller(&access, made.text.reveal()).await;
    for (action, outcome) in
        [("createKey", Outcome::Allowed), ("deleteSession", Outcome::Failed), ("createKey", Outcome::Refused)]
    {
        let entry =
            AuditedAction::of(&admin, action, "/api/v1/x", outcome).from(address(1), Some("request-1".to_owned()));
        access.audit().reserve().expect("room").record(entry);
    }
    access.audit().refused(AuditedAction::unknown("listSessions", "/api/v1/sessions\0").from(address(2), None));
    let all = wait_for(&access, 4).await;
    let first = &all[0];
    assert_eq!(
        (first.actor.as_ref(), &*first.action, &*first.resource),
        (admin.actor.as_deref(), "createKey", "/api/v1/x")
    );
    assert_eq!((first.ip.as_deref(), first.request_id.as_deref()), (Some("192.0.2.1"), Some("request-1")));
    assert_eq!((first.outcome, first.project.as_deref(), first.repeated), (Outcome::Allowed, Some("default"), None));
    let last = &all[3];
    assert_eq!(
        (&last.actor, &last.project, last.outcome, &*last.resource),
        (&None, &None, Outcome::Refused, "/api/v1/sessions")
    );

    let after = |id| AuditFilter { after: Some(id), ..AuditFilter::default() };
    assert_eq!(entries(&access, after(all[1].id)).await, all[2..]);
    let newest = AuditFilter { newest_first: true, ..after(all[2].id) };
    assert_eq!(entries(&access, newest).await, [all[1].clone(), all[0].clone()]);
    let actions = AuditFilter { action: Some("createKey".to_owned()), ..AuditFilter::default() };
    assert_eq!(entries(&access, actions).await.len(), 2);
    let actors = AuditFilter { actor: Some(made.key.id.to_string()), ..AuditFilter::default() };
    assert_eq!(entries(&access, actors).await.len(), 3);
    let blue: ProjectId = "blue".parse().expect("an id");
    let of_blue = async |filter| access.audit_entries(&blue, filter, 10).await.expect("answered");
    assert_eq!(of_blue(AuditFilter::default()).await, Some(Vec::new()));
    // One of another project, or none at all, is no place to go on from.
    assert_eq!(of_blue(after(all[1].id)).await, None);
    let nowhere = access.audit_entries(&default_project(), after(uuid::Uuid::now_v7()), 10).await;
    assert_eq!(nowhere.expect("answered"), None);
}

#[tokio::test]
async fn nothing_is_changed_or_removed_except_by_retention() {
    let database = Database::create().await;
    let access = server(&database).await;
    let anybody = access.identify(None, None).await.expect("anybody");
    for _ in 0..1_200 {
        access.audit().reserve().expect("room").record(AuditedAction::of(
            &anybody,
            "createGroup",
            "/",
            Outcome::Allowed,
        ));
    }
    access.shutdown().await;
    let storage = database.storage();
    let pool = storage.pool();
    let number =
        async || -> i64 { sqlx::query_scalar("SELECT count(*) FROM audit_log").fetch_one(pool).await.expect("n") };
    assert_eq!(number().await, 1_200, "what was recorded is written before the server ends");
    for statement in [
        "UPDATE audit_log SET action = 'x'",
        "UPDATE audit_log SET action = 'x' WHERE false",
        "DELETE FROM audit_log",
        "DELETE FROM audit_log WHERE number = 1",
        "TRUNCATE audit_log",
        "SET LOCAL session_replication_role = replica; DELETE FROM audit_log",
        "DO $$ BEGIN DELETE FROM audit_log; END $$",
        "WITH gone AS (DELETE FROM audit_log RETURNING 1) SELECT count(*) FROM gone",
    ] {
        let mut transaction = pool.begin().await.expect("a transaction");
        let outcome = sqlx::raw_sql(statement).execute(&mut *transaction).await;
        let code =
            outcome.expect_err(statement).as_database_error().and_then(|error| error.code().map(|c| c.into_owned()));
        assert_eq!(code.as_deref(), Some("RL003"), "{statement}");
    }
    assert_eq!(number().await, 1_200);
    // Young ones among the newest thousand stay, whatever the settings say.
    assert!(!storage.prune_audit(Duration::ZERO, 0).await.expect("pruned"));
    assert_eq!(number().await, 1_000);
    assert!(!storage.prune_audit(Duration::from_secs(86_400 * 90), 1_000_000).await.expect("pruned"));
    assert_eq!(number().await, 1_000);
}

#[tokio::test]
async fn old_entries_are_removed_by_age() {
    let database = Database::create().await;
    let storage = database.storage();
    let insert = "INSERT INTO audit_log (id, at, action, resource, outcome)
                  SELECT gen_random_uuid(), now() - make_interval(days => day), 'x', '/', 'allowed'
                  FROM generate_series(10, 1, -1) AS day";
    sqlx::query(insert).execute(storage.pool()).await.expect("inserted");
    storage.prune_audit(Duration::from_secs(86_400 * 5), 1_000_000).await.expect("pruned");
    let oldest: f64 = sqlx::query_scalar("SELECT (extract(epoch FROM now() - min(at)) / 86400)::float8 FROM audit_log")
        .fetch_one(storage.pool())
        .await
        .expect("a number");
    assert!((4.9..5.1).contains(&oldest) || (3.9..4.1).contains(&oldest), "{oldest}");
}

#[tokio::test]
async fn a_project_pushes_out_what_it_did_itself() {
    let database = Database::create().await;
    let storage = database.storage();
    let insert = "INSERT INTO audit_log (id, at, project_id, action, resource, outcome)
                  SELECT gen_random_uuid(), now(), project, 'x', '/', 'allowed'
                  FROM (VALUES (1, 'quiet', 100), (2, NULL, 200), (3, 'loud', 1500)) AS of (turn, project, rows),
                      generate_series(1, rows) ORDER BY turn";
    sqlx::query(insert).execute(storage.pool()).await.expect("inserted");
    storage.prune_audit(Duration::from_secs(86_400), 1_000).await.expect("pruned");
    let left: Vec<(Option<String>, i64)> =
        sqlx::query_as("SELECT project_id, count(*) FROM audit_log GROUP BY project_id ORDER BY 1")
            .fetch_all(storage.pool())
            .await
            .expect("numbers");
    assert_eq!(left, [(Some("loud".to_owned()), 700), (Some("quiet".to_owned()), 100), (None, 200)]);
}

#[tokio::test]
async fn a_batch_that_is_written_again_is_there_once() {
    let database = Database::create().await;
    let storage = database.storage();
    let row = relive::storage::AuditRow {
        id: uuid::Uuid::now_v7(),
        at: relive_session::Timestamp::now(),
        project: Some(default_project()),
        actor: None,
        action: "x".to_owned(),
        resource: "/".to_owned(),
        ip: None,
        request_id: None,
        outcome: "allowed",
        repeated: 1,
    };
    for _ in 0..2 {
        storage.append_audit(std::slice::from_ref(&row)).await.expect("written");
    }
    let read = storage.audit(&default_project(), &AuditFilter::default(), 10).await.expect("rows").expect("a page");
    assert_eq!(read.len(), 1);
}

#[tokio::test]
async fn refusals_of_one_address_do_not_fill_the_log() {
    let access = server(&Database::create().await).await;
    for _ in 0..10_000 {
        access.audit().refused(AuditedAction::unknown("listSessions", "/").from(address(1), None));
    }
    access.audit().refused(AuditedAction::unknown("listSessions", "/").from(address(2), None));
    let reader = access.clone();
    access.shutdown().await;
    let all = entries(&reader, AuditFilter::default()).await;
    let of = |ip: &str| {
        all.iter().filter(|entry| entry.ip.as_deref() == Some(ip)).map(|entry| entry.repeated).collect::<Vec<_>>()
    };
    assert_eq!(of("192.0.2.2"), [None]);
    let mut first = of("192.0.2.1");
    first.sort_unstable();
    assert_eq!((first.len(), first[20]), (21, Some(9_980)));
}

#[tokio::test]
async fn a_change_waits_for_room_while_the_log_cannot_be_written() {
    let database = Database::create().await;
    let access = server(&database).await;
    let storage = database.storage();
    let mut lock = storage.pool().begin().await.expect("a transaction");
    sqlx::query("LOCK TABLE audit_log").execute(&mut *lock).await.expect("locked");
    let anybody = access.identify(None, None).await.expect("anybody");
    let mut recorded = 0;
    // A batch may be on its way besides what is queued.
    while let Ok(slot) = access.audit().reserve() {
        slot.record(AuditedAction::of(&anybody, "createGroup", "/", Outcome::Allowed));
        recorded += 1;
        assert!(recorded <= 11_000, "the queue has no limit");
        tokio::task::yield_now().await;
    }
    assert!(recorded >= 10_000, "{recorded}");
    access.audit().refused(AuditedAction::unknown("listSessions", "/").from(address(1), None));
    lock.rollback().await.expect("unlocked");
    eventually("there is room again", async || access.audit().reserve().is_ok()).await;
    let reader = access.clone();
    access.shutdown().await;
    let written: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_log WHERE outcome = 'allowed'")
        .fetch_one(storage.pool())
        .await
        .expect("a number");
    assert_eq!(written, recorded);
    let refused = AuditFilter { action: Some("listSessions".to_owned()), ..AuditFilter::default() };
    assert_eq!(entries(&reader, refused).await.len(), 1, "it was counted, and is told with the others");
}
