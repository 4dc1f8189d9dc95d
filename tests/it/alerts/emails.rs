//! E-mails: what is in them, when they are sent again, and when not any more.

use serde_json::{Value, json};

use super::{age, alert, becomes, changes, events, mailing, mailing_server, on_failure, run};
use crate::harness::{MailServer, Taken, TestServer, eventually};

fn to(emails: &[&str]) -> Value {
    on_failure(json!({"notify": {"emails": emails}}))
}

/// The e-mails of the first event of an alert.
async fn of_first(server: &TestServer, alert: &str) -> Vec<Value> {
    let events = events(server, alert).await;
    events.last().map_or_else(Vec::new, |event| event["emails"].as_array().expect("e-mails").clone())
}

/// Waits until the first event has been told, or given up, like this.
async fn until(server: &TestServer, alert: &str, expected: &[Value]) {
    eventually(&format!("{expected:?}"), async || of_first(server, alert).await == expected).await;
}

/// Makes what is to be sent again due now, as if the time had passed.
async fn let_time_pass(server: &TestServer) {
    let sql = "UPDATE alert_emails SET next_attempt_at = now() WHERE status = 'pending' AND next_attempt_at > now()";
    sqlx::query(sql).execute(server.database.storage().pool()).await.expect("due");
}

#[tokio::test]
async fn everybody_is_sent_one_e_mail_for_each_change() {
    let mail = MailServer::start().await;
    let server = mailing_server(&mail).await;
    let notify = json!({"emails": ["ada@example.org", "bob@example.org"]});
    let request = json!({"name": "Nächtlich", "condition": {"type": "failures", "count": 2, "withinMinutes": 10},
                         "filter": {"tag": "nightly"}, "notify": notify});
    let alert = alert(&server, request).await;
    run(&server, json!({"tags": ["nightly"]}), "fail").await;
    let session = run(&server, json!({"tags": ["nightly"]}), "fail").await;
    becomes(&server, &alert, "raised").await;
    mail.wait_for(2).await;
    age(&server.database, "11 minutes").await;
    becomes(&server, &alert, "resolved").await;
    let mails = mail.wait_for(4).await;
    let mut told: Vec<(String, String)> = mails.iter().map(|mail| (mail.to.concat(), mail.header("Subject"))).collect();
    told.sort();
    let subject = |word: &str| format!("[Relive] {word}: =?utf-8?b?TsOkY2h0bGljaA==?=");
    let expected = [
        ("ada@example.org", subject("Raised")),
        ("ada@example.org", subject("Resolved")),
        ("bob@example.org", subject("Raised")),
        ("bob@example.org", subject("Resolved")),
    ];
    assert_eq!(told, expected.map(|(to, subject)| (to.to_owned(), subject)));
    let first = &mails[0];
    assert_eq!((first.from.as_str(), first.header("From").as_str()), ("relive@example.org", super::FROM));
    assert_eq!(first.header("To"), first.to.concat());
    assert_eq!(first.header("Auto-Submitted"), "auto-generated");
    let body = first.body();
    for part in ["2 failed runs within the last 10 minutes", &session, "tag nightly", &alert, "project default"] {
        assert!(body.contains(part), "{part}: {body}");
    }
    let ids: std::collections::HashSet<String> = mails.iter().map(crate::harness::Mail::id).collect();
    assert_eq!(ids.len(), 4);
    let delivered = |to: &str| json!({"to": to, "status": "delivered", "attempts": 1});
    until(&server, &alert, &[delivered("ada@example.org"), delivered("bob@example.org")]).await;
    assert_eq!(changes(&server, &alert).await, ["raised", "resolved"]);
    assert_eq!(mail.mails().len(), 4);
}

#[tokio::test]
async fn one_that_is_not_taken_is_sent_again_with_the_same_id_and_what_follows_waits() {
    let mail = MailServer::deciding(|_, number| if number < 2 { Taken::Refused(451) } else { Taken::Yes }).await;
    let server = mailing_server(&mail).await;
    let alert = alert(&server, to(&["ada@example.org"])).await;
    run(&server, json!({}), "fail").await;
    becomes(&server, &alert, "raised").await;
    mail.wait_for(1).await;
    let has_failed = async || of_first(&server, &alert).await.iter().any(|email| email["error"].is_string());
    eventually("the attempt is recorded", has_failed).await;
    let [email] = &of_first(&server, &alert).await[..] else { panic!("one e-mail") };
    assert_eq!((&email["status"], &email["error"]), (&json!("pending"), &json!("transient error (451): not this one")));
    let sql = "SELECT next_attempt_at - last_attempt_at >= interval '5 seconds' FROM alert_emails";
    let waits: bool = sqlx::query_scalar(sql).fetch_one(server.database.storage().pool()).await.expect("a time");
    assert!(waits, "as a webhook would be");
    age(&server.database, "11 minutes").await;
    becomes(&server, &alert, "resolved").await;
    let all_are_sent = async || {
        let_time_pass(&server).await;
        mail.mails().len() >= 4
    };
    eventually("all are sent", all_are_sent).await;
    let mails = mail.mails();
    let ids: Vec<String> = mails.iter().map(crate::harness::Mail::id).collect();
    assert_eq!((&ids[0], &ids[1]), (&ids[1], &ids[2]));
    assert_ne!(ids[2], ids[3]);
    assert_eq!(mails[0].text, mails[2].text, "the same at every attempt");
    assert!(mails[2].header("Subject").contains("Raised") && mails[3].header("Subject").contains("Resolved"));
    until(&server, &alert, &[json!({"to": "ada@example.org", "status": "delivered", "attempts": 3})]).await;
}

#[tokio::test]
async fn a_refused_recipient_is_given_up_and_the_others_are_told() {
    let mail = MailServer::deciding(|recipient, _| match recipient {
        "gone@example.org" => Taken::RecipientRefused(550),
        _ => Taken::Yes,
    })
    .await;
    let server = mailing_server(&mail).await;
    let alert = alert(&server, to(&["gone@example.org", "ada@example.org"])).await;
    run(&server, json!({}), "fail").await;
    becomes(&server, &alert, "raised").await;
    let expected = [
        json!({"to": "ada@example.org", "status": "delivered", "attempts": 1}),
        json!({"to": "gone@example.org", "status": "failed", "attempts": 1,
               "error": "permanent error (550): no such mailbox"}),
    ];
    until(&server, &alert, &expected).await;
    assert_eq!(mail.mails().len(), 1);
}

#[tokio::test]
async fn the_tenth_attempt_is_the_last() {
    let mail = MailServer::deciding(|_, _| Taken::Refused(451)).await;
    let server = mailing_server(&mail).await;
    let alert = alert(&server, to(&["ada@example.org"])).await;
    run(&server, json!({}), "fail").await;
    becomes(&server, &alert, "raised").await;
    let is_given_up = async || {
        let_time_pass(&server).await;
        of_first(&server, &alert).await.iter().all(|email| email["status"] == "failed")
    };
    mail.wait_for(1).await;
    let given_up = tokio::time::timeout(std::time::Duration::from_secs(60), async {
        while !is_given_up().await {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    assert!(given_up.await.is_ok(), "{:?}", of_first(&server, &alert).await);
    assert_eq!(of_first(&server, &alert).await[0]["attempts"], 10);
    assert_eq!(mail.mails().len(), 10);
}

#[tokio::test]
async fn the_name_and_the_password_of_the_server_are_used_and_not_shown() {
    let mail = MailServer::with_login("me:pass word").await;
    let address = mail.url().replace("smtp://", "");
    let server = TestServer::start_with(mailing(format!("smtp://me:pass%20word@{address}"))).await;
    let alert_id = alert(&server, to(&["ada@example.org"])).await;
    run(&server, json!({}), "fail").await;
    becomes(&server, &alert_id, "raised").await;
    let mails = mail.wait_for(1).await;
    assert_eq!(mails[0].login.as_deref(), Some("me:pass word"));
    let database = server.stop().await;

    let wrong = TestServer::start_on(database, mailing(format!("smtp://me:wrong%20word@{address}"))).await;
    let other = alert(&wrong, to(&["bob@example.org"])).await;
    becomes(&wrong, &other, "raised").await;
    let has_failed = async || of_first(&wrong, &other).await.iter().any(|email| email["error"].is_string());
    eventually("it has failed", has_failed).await;
    let [email] = &of_first(&wrong, &other).await[..] else { panic!("one e-mail") };
    assert_eq!(email["status"], "pending", "the settings may be mended");
    let error = email["error"].as_str().expect("an error");
    assert!(error.contains("535") && !error.contains("wrong word"), "{error}");
}

/// Another server may have the settings.
#[tokio::test]
async fn e_mails_wait_for_a_server_that_can_send_them() {
    let mail = MailServer::start().await;
    let server = mailing_server(&mail).await;
    let alert = alert(&server, to(&["ada@example.org"])).await;
    let without = TestServer::start_on(server.stop().await, super::open).await;
    run(&without, json!({}), "fail").await;
    becomes(&without, &alert, "raised").await;
    assert_eq!(
        of_first(&without, &alert).await,
        [json!({"to": "ada@example.org", "status": "pending", "attempts": 0})]
    );
    let with = TestServer::start_on(without.stop().await, mailing(mail.url())).await;
    mail.wait_for(1).await;
    until(&with, &alert, &[json!({"to": "ada@example.org", "status": "delivered", "attempts": 1})]).await;
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused_at_the_start_without_their_password() {
    let database = crate::harness::Database::create().await;
    for (url, from, word) in [
        ("smtp://me:pass-word@mail.example.org?tls=no", super::FROM, "tls"),
        ("me:pass-word@mail.example.org", super::FROM, "RELIVE_SMTP_URL"),
        ("smtp://me:pass-word@mail.example.org", "nobody", "RELIVE_SMTP_FROM"),
    ] {
        let mut config = crate::harness::config(&database);
        config.email.smtp_url = Some(url.to_owned().into());
        config.email.smtp_from = Some(from.to_owned());
        let listener = relive::server::listen(&config).await.expect("listen");
        let error = relive::server::Server::prepare(listener, &config).await.expect_err("refused");
        let (shown, debugged) = (error.to_string(), format!("{error:?} {config:?}"));
        assert!(shown.contains(word) && !shown.contains("pass-word") && !debugged.contains("pass-word"), "{shown}");
    }
}
