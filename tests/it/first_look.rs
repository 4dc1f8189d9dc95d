//! What somebody sees who looks at a server's log, its metrics and its version for the first time.

use serde_json::json;

use crate::harness::{Database, Postgres, Ran, ServerProcess, TestServer, eventually, relive};

#[tokio::test]
async fn the_log_begins_with_what_the_server_is() {
    let url = Database::create().await.url();
    let log = tempfile::NamedTempFile::new().expect("a file");
    let settings = [("DATABASE_URL", url.as_str()), ("RELIVE_LOG", "info"), ("RELIVE_MAX_SOCKETS", "77")];
    let server = ServerProcess::start_logging(&settings, log.reopen().expect("the file")).await;
    let address = server.address;
    assert_eq!(server.terminate().await, Some(0));
    let text = std::fs::read_to_string(log.path()).expect("a log");
    let line = |start: &str| {
        let lines: Vec<&str> = text.lines().filter(|line| line.contains(start)).collect();
        let [line] = lines[..] else { panic!("{start}: {lines:?} in {text}") };
        line.to_owned()
    };
    assert!(line(": relive ").contains(env!("CARGO_PKG_VERSION")), "{text}");
    assert!(line("settings that are not the defaults").contains("max_sockets=77"), "{text}");
    assert!(line("settings that").contains("database_url=***") && !text.contains("postgres://"), "{text}");
    assert!(line("address: ").ends_with(&format!("http://{address}")), "{text}");
    line("data directory: none");
    let database = line("database: PostgreSQL at ");
    assert!(database.contains(", version ") && database.contains(", pgvector 0."), "{database}");
    line("authentication: not required on this address");
}

#[tokio::test]
async fn the_version_has_a_commit_and_a_day() {
    let Ran { code, printed, .. } = relive(&["--version"], &[]).await;
    assert_eq!(code, Some(0));
    let rest = printed.strip_prefix(&format!("relive {} (", env!("CARGO_PKG_VERSION"))).expect("the version");
    let (commit, day) = rest.trim_end().split_once(", built ").expect("a commit and a day");
    let commit = commit.strip_suffix("+dev").unwrap_or(commit);
    assert!(commit == "unknown" || (commit.len() >= 7 && commit.chars().all(|c| c.is_ascii_hexdigit())), "{commit}");
    let day = day.strip_suffix(')').expect("the end");
    assert!(chrono::NaiveDate::parse_from_str(day, "%Y-%m-%d").is_ok(), "{day}");
}

#[tokio::test]
async fn an_outage_of_the_database_is_two_lines_of_the_log() {
    let mut postgres = Postgres::start().await;
    let url = postgres.url("localhost", "sslmode=disable");
    let log = tempfile::NamedTempFile::new().expect("a file");
    let settings = [("DATABASE_URL", url.as_str()), ("RELIVE_LOG", "info"), ("RELIVE_ANSWER_WITHIN", "1")];
    let server = ServerProcess::start_logging(&settings, log.reopen().expect("the file")).await;
    let at = |path: &str| format!("http://{}{path}", server.address);
    let http = reqwest::Client::new();
    let made = http.post(at("/api/v1/sessions")).json(&json!({})).send().await.expect("an answer");
    let id = made.json::<serde_json::Value>().await.expect("JSON")["id"].as_str().expect("an id").to_owned();
    let command = async |command| {
        let sent = http.post(at(&format!("/api/v1/sessions/{id}/commands"))).json(&json!({"type": command})).send();
        sent.await.expect("an answer").status().as_u16()
    };
    assert_eq!(command("start").await, 200);
    let lines = || std::fs::read_to_string(log.path()).expect("a log").lines().map(str::to_owned).collect::<Vec<_>>();
    let before = lines().len();

    postgres.stop();
    // Commands, requests and everything that runs by itself find it away, again and again.
    for _ in 0..5 {
        assert_eq!(command("pause").await, 503);
        let ready = http.get(at("/readyz")).send().await.expect("an answer").status().as_u16();
        assert_eq!(ready, 503);
    }
    postgres.run(&[]).await;
    eventually("it takes commands again", async || command("pause").await == 200).await;
    assert_eq!(server.terminate().await, Some(0));

    let told: Vec<String> = lines().split_off(before);
    let about = |text: &str| told.iter().filter(|line| line.contains(text)).count();
    assert_eq!((about("the database is away"), about("the database is back")), (1, 1), "{told:#?}");
    let back = told.iter().find(|line| line.contains("the database is back")).expect("a line");
    assert!(back.contains("away_seconds="), "{back}");
    // A batch whose time ran out on the way, on a busy machine, is told as itself.
    let is_trouble = |line: &&String| line.contains(" WARN ") || line.contains("ERROR ");
    let troubles = told.iter().filter(is_trouble).filter(|line| !line.contains("after its deadline")).count();
    assert_eq!(troubles, 1, "{told:#?}");
}

#[tokio::test]
async fn the_metrics_say_what_was_built_and_what_the_pool_does() {
    let server = TestServer::start().await;
    server.running_session().await;
    let answer = server.request(reqwest::Method::GET, "/metrics").send().await.expect("an answer");
    let text = answer.text().await.expect("a text");
    let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
    let build = text.lines().find(|line| line.starts_with("relive_build_info{")).expect("a line");
    assert!(build.contains(&version) && build.contains("commit=\"") && build.ends_with("} 1"), "{build}");
    for name in [
        "relive_database_connections{state=\"used\"} ",
        "relive_database_wait_seconds_count ",
        "relive_commit_seconds_count ",
    ] {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {text}"));
        let value: f64 = line.rsplit(' ').next().expect("a value").parse().expect("a number");
        assert!(value >= 1.0, "{line}");
    }
}
