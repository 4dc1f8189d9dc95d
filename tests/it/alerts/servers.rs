//! Several servers on one database tell of every change once.

use serde_json::json;

use super::{age, alert, changes, mailing, on_failure, run, status};
use crate::harness::{MailServer, Receiver, TestServer, eventually};
use crate::webhooks::hook;

#[tokio::test]
async fn two_servers_tell_of_every_change_once() {
    let mail = MailServer::start().await;
    let first = TestServer::start_with(mailing(mail.url())).await;
    let second = TestServer::start_on(first.database.clone(), mailing(mail.url())).await;
    let receiver = Receiver::start().await;
    hook(&first, json!({"url": receiver.url(), "types": ["alert.raised", "alert.resolved"]})).await;
    let mut alerts = Vec::new();
    for n in 0..10 {
        let notify = json!({"emails": [format!("a{n}@example.org")]});
        alerts.push(alert(&first, on_failure(json!({"name": format!("alert {n}"), "notify": notify}))).await);
    }
    run(&second, json!({}), "fail").await;
    let storage = first.database.storage();
    // Both look all the time.
    let all_are = async |expected: &str| {
        sqlx::query("UPDATE alerts SET due_at = now()").execute(storage.pool()).await.expect("due");
        for alert in &alerts {
            if status(&first, alert).await != expected {
                return false;
            }
        }
        true
    };
    eventually("all are raised", async || all_are("raised").await).await;
    age(&first.database, "11 minutes").await;
    eventually("all are resolved", async || all_are("resolved").await).await;
    let mails = mail.wait_for(20).await;
    let received = receiver.wait_for(20).await;
    super::looked_at(&first).await;
    for alert in &alerts {
        assert_eq!(changes(&second, alert).await, ["raised", "resolved"]);
    }
    let distinct = |ids: Vec<String>| ids.into_iter().collect::<std::collections::HashSet<_>>().len();
    assert_eq!((mails.len(), distinct(mails.iter().map(crate::harness::Mail::id).collect())), (20, 20));
    assert_eq!((received.len(), distinct(received.into_iter().map(|one| one.id).collect())), (20, 20));
    assert_eq!((mail.mails().len(), receiver.count()), (20, 20), "and nothing else");
}
