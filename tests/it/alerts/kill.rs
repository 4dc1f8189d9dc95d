//! `kill -9` of the server while it sends e-mails: none is lost, and one may come again with the same id.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::Client;
use serde_json::{Value, json};

use crate::harness::{Database, MailServer, ServerProcess, Taken, TlsFiles, eventually};

const ALERTS: usize = 12;

async fn start(database: &Database, more: &[(&str, &str)]) -> ServerProcess {
    let url = database.url();
    let mut settings =
        vec![("DATABASE_URL", url.as_str()), ("RELIVE_EMBEDDING_DIM", "8"), ("RELIVE_SMTP_FROM", "relive@example.org")];
    settings.extend_from_slice(more);
    ServerProcess::start(&settings).await
}

async fn post(http: &Client, server: &ServerProcess, path: &str, body: Value) -> Value {
    let url = format!("http://{}/api/v1/{path}", server.address);
    let answer = http.post(url).json(&body).send().await.expect("an answer");
    assert!(answer.status().is_success(), "{}", answer.status());
    answer.json().await.expect("JSON")
}

async fn fail(http: &Client, server: &ServerProcess) {
    let session = post(http, server, "sessions", json!({})).await["id"].as_str().expect("an id").to_owned();
    let commands = json!([{"type": "start"}, {"type": "fail", "error": "it broke"}]);
    post(http, server, &format!("sessions/{session}/commands"), commands).await;
}

async fn make_alerts(http: &Client, server: &ServerProcess) {
    for n in 0..ALERTS {
        let condition = json!({"type": "failures", "count": 1, "withinMinutes": 10});
        let notify = json!({"emails": [format!("a{n}@example.org")]});
        post(http, server, "alerts", json!({"name": format!("alert {n}"), "condition": condition, "notify": notify}))
            .await;
    }
}

/// Makes what the killed server has left claimed due, as if the time had passed.
async fn claims_pass(database: &Database) {
    let storage = database.storage();
    for sql in
        ["UPDATE alert_emails SET next_attempt_at = now() WHERE status = 'pending'", "UPDATE alerts SET due_at = now()"]
    {
        sqlx::query(sql).execute(storage.pool()).await.expect("due");
    }
}

#[tokio::test]
async fn a_server_that_is_killed_while_it_sends_loses_no_e_mail() {
    let database = Database::create().await;
    // The first ones have come, and the server never learns of it.
    let is_silent = Arc::new(AtomicBool::new(true));
    let silent = Arc::clone(&is_silent);
    let mail =
        MailServer::deciding(
            move |_, number| {
                if number >= 2 && silent.load(Ordering::Relaxed) { Taken::Silent } else { Taken::Yes }
            },
        )
        .await;
    let smtp = mail.url();
    let http = Client::new();
    let server = start(&database, &[("RELIVE_SMTP_URL", smtp.as_str())]).await;
    make_alerts(&http, &server).await;
    fail(&http, &server).await;
    // Two were taken, and another one is in flight.
    mail.wait_for(3).await;
    server.kill().await;
    let before = mail.mails().len();
    assert!(before < ALERTS, "all were sent before the server was killed");
    is_silent.store(false, Ordering::Relaxed);
    claims_pass(&database).await;
    let server = start(&database, &[("RELIVE_SMTP_URL", smtp.as_str())]).await;
    let recipients = || mail.mails().into_iter().map(|mail| mail.to.concat()).collect::<BTreeSet<_>>();
    eventually("everybody is told", async || recipients().len() == ALERTS).await;
    let pending = "SELECT count(*) FROM alert_emails WHERE status <> 'delivered'";
    let storage = database.storage();
    eventually("it is known", async || {
        sqlx::query_scalar::<_, i64>(pending).fetch_one(storage.pool()).await.expect("a count") == 0
    })
    .await;
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for mail in mail.mails() {
        texts.entry(mail.id()).or_default().push(mail.text);
    }
    assert_eq!(texts.len(), ALERTS, "one id for each");
    let again = texts.values().filter(|texts| texts.len() > 1).count();
    assert!((1..=before).contains(&again), "{again} were sent again, of {before}");
    for texts in texts.values() {
        assert!(texts.len() <= 2 && texts.iter().all(|text| text == &texts[0]), "the same id means the same");
    }
    let raised: i64 =
        sqlx::query_scalar("SELECT count(*) FROM alert_events").fetch_one(storage.pool()).await.expect("a count");
    assert_eq!(usize::try_from(raised), Ok(ALERTS), "each was raised once");
    server.kill().await;
}

/// With the authority's certificate among those of the system, and without.
#[tokio::test]
async fn a_certificate_is_checked() {
    let files = TlsFiles::create();
    let mail = MailServer::with_tls(&files).await;
    let smtp = format!("smtps://localhost:{}", mail.port());
    let root = files.root();
    let root = root.to_str().expect("a path");
    let other = TlsFiles::create();
    let other = other.root();
    let database = Database::create().await;
    let http = Client::new();
    let server =
        start(&database, &[("RELIVE_SMTP_URL", smtp.as_str()), ("SSL_CERT_FILE", other.to_str().expect("a path"))])
            .await;
    let condition = json!({"type": "failures", "count": 1, "withinMinutes": 10});
    let notify = json!({"emails": ["ada@example.org"]});
    post(&http, &server, "alerts", json!({"name": "a", "condition": condition, "notify": notify})).await;
    fail(&http, &server).await;
    let storage = database.storage();
    let error = async || {
        let sql = "SELECT error FROM alert_emails WHERE error IS NOT NULL";
        sqlx::query_scalar::<_, String>(sql).fetch_optional(storage.pool()).await.expect("an answer")
    };
    eventually("it has failed", async || error().await.is_some()).await;
    let said = error().await.expect("an error").to_lowercase();
    assert!(said.contains("certificate"), "{said}");
    assert!(mail.mails().is_empty());
    server.kill().await;

    claims_pass(&database).await;
    let server = start(&database, &[("RELIVE_SMTP_URL", smtp.as_str()), ("SSL_CERT_FILE", root)]).await;
    let mails = mail.wait_for(1).await;
    assert_eq!(mails[0].to, ["ada@example.org"]);
    server.kill().await;
}
