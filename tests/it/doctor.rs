//! `relive doctor`: a finding for each thing that would keep a server from working, with its remedy.

use relive::storage::MIGRATOR;
use serde_json::Value;

use crate::harness::{Database, NatsServer, Ran, ServerProcess, relive};

/// The findings by their names, and the exit status.
async fn examined(arguments: &[&str], variables: &[(&str, &str)]) -> (Vec<Value>, Option<i32>) {
    let arguments = [&["doctor", "--json", "--listen", "127.0.0.1:0"], arguments].concat();
    let ran = relive(&arguments, variables).await;
    let findings: Vec<Value> = serde_json::from_str(&ran.printed).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    assert!(!findings.is_empty());
    for finding in &findings {
        // Whatever is not all right says what to do.
        assert_eq!(finding["verdict"] == "ok", finding["remedy"].is_null(), "{finding}");
    }
    (findings, ran.code)
}

fn verdict<'a>(findings: &'a [Value], check: &str) -> (&'a str, &'a str) {
    let finding = findings.iter().find(|finding| finding["check"] == check);
    let finding = finding.unwrap_or_else(|| panic!("no {check} in {findings:#?}"));
    (finding["verdict"].as_str().expect("a verdict"), finding["detail"].as_str().expect("a detail"))
}

fn all_ok(findings: &[Value]) {
    for finding in findings {
        // How many files may be open, and how much room there is, depends on the machine.
        let is_of_machine = ["fileDescriptors", "diskSpace"].contains(&finding["check"].as_str().expect("a name"));
        assert!(finding["verdict"] == "ok" || is_of_machine, "{finding}");
    }
}

#[tokio::test]
async fn where_all_is_well_the_exit_status_is_0() {
    let url = Database::create().await.url();
    let (findings, code) = examined(&[], &[("DATABASE_URL", &url)]).await;
    all_ok(&findings);
    assert_eq!(code, Some(0));
    let newest = MIGRATOR.iter().map(|migration| migration.version).max().expect("a migration");
    assert_eq!(verdict(&findings, "migrations").1, format!("the schema is current ({newest})"));
    assert!(verdict(&findings, "requirements").1.contains("with pgvector 0."));
    for check in ["settings", "address", "permissions", "databaseConnections", "pooler", "clock", "writable"] {
        assert_eq!(verdict(&findings, check).0, "ok");
    }
    // For people, a line each.
    let Ran { code, printed, .. } = relive(&["doctor", "--listen", "127.0.0.1:0"], &[("DATABASE_URL", &url)]).await;
    assert_eq!(code, Some(0));
    assert!(printed.lines().any(|line| line.starts_with("ok    migrations ")), "{printed}");
}

#[tokio::test]
async fn an_embedded_database_is_started_for_it_and_one_that_runs_is_used() {
    let directory = tempfile::tempdir().expect("a directory");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o711);
    std::fs::set_permissions(directory.path(), open).expect("permissions");
    let data = directory.path().join("data").display().to_string();
    let arguments = ["--data-dir", data.as_str()];
    let (findings, code) = examined(&arguments, &[]).await;
    assert!(verdict(&findings, "database").1.contains("the first start makes it"));
    assert!(verdict(&findings, "postgresPrograms").0 == "ok" && code == Some(0));
    assert!(!directory.path().join("data").exists(), "nothing was made");

    let server = ServerProcess::start(&[("RELIVE_DATA_DIR", &data)]).await;
    let listen = server.address.to_string();
    let arguments_too = ["--data-dir", data.as_str(), "--listen", &listen];
    let ran = relive(&[&["doctor", "--json"][..], &arguments_too].concat(), &[]).await;
    let findings: Vec<Value> = serde_json::from_str(&ran.printed).expect("findings");
    all_ok(&findings);
    assert!(verdict(&findings, "address").1.contains("a relive is running"), "{findings:#?}");
    assert_eq!(server.terminate().await, Some(0));

    let (findings, code) = examined(&arguments, &[]).await;
    all_ok(&findings);
    assert_eq!(code, Some(0));
    assert_eq!(verdict(&findings, "migrations").0, "ok");
}

#[tokio::test]
async fn what_fails_is_named_and_the_exit_status_is_1() {
    let database = Database::create().await;
    let url = database.url();
    // Another program listens there.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = listener.local_addr().expect("an address").to_string();
    let ran = relive(&["doctor", "--json", "--listen", &taken], &[("DATABASE_URL", &url)]).await;
    let findings: Vec<Value> = serde_json::from_str(&ran.printed).expect("findings");
    assert_eq!((verdict(&findings, "address").0, ran.code), ("fail", Some(1)));
    drop(listener);

    // Nobody listens there.
    let gone = format!("postgres://relive:secret@{taken}/relive");
    let (findings, code) = examined(&[], &[("DATABASE_URL", &gone)]).await;
    assert_eq!((verdict(&findings, "database").0, code), ("fail", Some(1)));
    assert!(!verdict(&findings, "database").1.contains("secret"));

    let missing = url.replace(database.name(), "no_such_database");
    let (findings, _) = examined(&[], &[("DATABASE_URL", &missing)]).await;
    let remedy = findings.iter().find(|finding| finding["check"] == "database").expect("a finding")["remedy"].clone();
    assert!(remedy.as_str().is_some_and(|remedy| remedy.contains("CREATE DATABASE")), "{remedy}");

    // Settings that do not go together, services that do not answer, a variable that does not exist.
    let variables = [
        ("DATABASE_URL", url.as_str()),
        ("RELIVE_OIDC_CLIENT_ID", "relive"),
        ("RELIVE_LLM_URL", "http://127.0.0.1:9/v1"),
        ("RELIVE_LLM_MODEL", "m"),
        ("RELIVE_NATS_URL", "nats://127.0.0.1:9"),
        ("RELIVE_MAXSOCKETS", "5"),
    ];
    let (findings, code) = examined(&[], &variables).await;
    assert_eq!(code, Some(1));
    for (check, expected) in [("settings", "fail"), ("llmEndpoint", "fail"), ("nats", "warn"), ("variables", "warn")] {
        assert_eq!(verdict(&findings, check).0, expected, "{check}");
    }
}

#[tokio::test]
async fn a_role_without_rights_and_a_schema_of_another_version_are_found() {
    let database = Database::create().await;
    let storage = database.storage();
    let role = format!("poor_{}", database.name());
    let sql = |text: String| sqlx::raw_sql(sqlx::AssertSqlSafe(text));
    let make = format!("CREATE ROLE {role} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}");
    sql(make).execute(storage.pool()).await.expect("a role");
    let url = database.url().replace("postgres://postgres@", &format!("postgres://{role}@"));
    let (findings, code) = examined(&[], &[("DATABASE_URL", &url)]).await;
    let (found, detail) = verdict(&findings, "permissions");
    assert!(found == "fail" && detail.contains(&role) && detail.contains("tables (") && code == Some(1), "{detail}");
    sql(format!("DROP OWNED BY {role}; DROP ROLE {role}")).execute(storage.pool()).await.expect("gone");

    let newer =
        "UPDATE _sqlx_migrations SET version = 9999 WHERE version = (SELECT max(version) FROM _sqlx_migrations)";
    sql(newer.to_owned()).execute(storage.pool()).await.expect("newer");
    let (findings, code) = examined(&[], &[("DATABASE_URL", &database.url())]).await;
    assert!(verdict(&findings, "migrations").1.contains("newer relive") && code == Some(1), "{findings:#?}");

    let empty = Database::empty().await.url();
    let (findings, code) = examined(&[], &[("DATABASE_URL", &empty)]).await;
    assert!(verdict(&findings, "migrations").1.contains("the database is empty") && code == Some(0), "{findings:#?}");
}

#[tokio::test]
async fn nats_that_answers_is_named_with_its_version() {
    let Some(nats) = NatsServer::start().await else { return };
    let url = Database::create().await.url();
    let address = nats.url();
    let (findings, code) = examined(&[], &[("DATABASE_URL", &url), ("RELIVE_NATS_URL", &address)]).await;
    assert_eq!(code, Some(0));
    let (found, detail) = verdict(&findings, "nats");
    assert!(found == "ok" && detail.starts_with("nats-server ") && detail.ends_with(" answers"), "{detail}");
}
