//! How the server takes its settings, and what it says of those that make no sense.

use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

use crate::harness::{DEADLINE, Database, ServerProcess};

/// A server that is expected to refuse its settings; gives the exit code and what it said.
async fn refused(arguments: &[&str], settings: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relive"));
    command.arg("serve").args(arguments).env("RELIVE_LISTEN", "127.0.0.1:0").env_remove("DATABASE_URL");
    command.envs(settings.iter().copied()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let ended = tokio::time::timeout(DEADLINE, command.output()).await;
    let Output { status, stderr, .. } = ended.unwrap_or_else(|_| panic!("runs: {settings:?}")).expect("relive");
    (status.code(), String::from_utf8(stderr).expect("a text"))
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused_with_the_reason() {
    for (name, value, code, reason) in [
        ("RELIVE_LOG", "loud", 2, "`loud` is not a level"),
        ("RELIVE_LOG", "relive=loud", 2, "RELIVE_LOG|--log"),
        ("RELIVE_LOG_FORMAT", "xml", 2, "possible values: text, json"),
        ("RELIVE_LISTEN", "localhost", 2, "the port is missing"),
        ("RELIVE_TOOL_ALLOW_PRIVATE", "maybe", 2, "maybe"),
        ("DATABASE_URL", "mysql://root:secret@localhost/x", 1, "postgres://"),
        ("DATABASE_URL", "localhost/x", 1, "postgres://"),
        ("RELIVE_ALLOW_ORIGIN", "*", 1, "every web page"),
        ("RELIVE_ALLOW_ORIGIN", "https://a.example,b.example", 1, "`b.example` has no scheme"),
        ("RELIVE_ANSWER_WITHIN", "0.2", 2, "from 1 to 3600"),
        ("RELIVE_LLM_URL", "foo", 1, "RELIVE_LLM_URL"),
        ("RELIVE_OIDC_CLIENT_ID", "relive", 1, "--oidc-issuer (RELIVE_OIDC_ISSUER)"),
        ("RELIVE_OIDC_ISSUER", "https://id.example", 1, "--oidc-client-id (RELIVE_OIDC_CLIENT_ID)"),
    ] {
        let (status, said) = refused(&[], &[(name, value)]).await;
        assert_eq!(status, Some(code), "{name}={value}: {said}");
        assert!(reason.split('|').any(|reason| said.contains(reason)), "{name}={value}: {said}");
        assert!(!said.contains("secret") && !said.contains("panicked"), "{said}");
    }
}

#[tokio::test]
async fn settings_are_checked_before_anything_is_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    let data_dir = ["--data-dir", data.to_str().expect("a path")];
    for (wrong, reason) in [
        (&["--oidc-issuer", "https://id.example"][..], "--oidc-client-id"),
        (&["--oidc-client-secret", "x"], "--oidc-issuer"),
        (&["--oidc-issuer", "http://id.example", "--oidc-client-id", "relive"], "is not an https address"),
        (&["--base-path", "relive"], "--base-path"),
        (&["--tls-cert", "/nowhere"], "tls"),
        (&["--frame-ancestors", "portal"], "portal"),
        (&["--embeddings-url", "foo", "--embeddings-model", "m"], "RELIVE_EMBEDDINGS_URL"),
        (&["--model-prices", "/nowhere"], "/nowhere"),
    ] {
        let (status, said) = refused(&[&data_dir, wrong].concat(), &[]).await;
        assert!(status == Some(1) && said.contains(reason), "{wrong:?}: {said}");
        assert!(!data.exists(), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_named_with_the_reason() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("file");
    std::fs::write(&file, "").expect("a file");
    let (status, said) = refused(&["--data-dir", file.join("data").to_str().expect("a path")], &[]).await;
    assert_eq!(status, Some(1));
    assert!(said.contains("cannot create") && said.contains("(os error"), "{said}");
}

#[tokio::test]
async fn empty_variables_count_as_not_set_and_flags_take_the_usual_words() {
    let database = Database::create().await;
    let url = database.url();
    let empty =
        ["RELIVE_DATA_DIR", "RELIVE_EMBEDDING_DIM", "RELIVE_LLM_URL", "RELIVE_ALLOW_ORIGIN", "RELIVE_LOG_FORMAT"];
    let mut settings: Vec<(&str, &str)> = empty.iter().map(|name| (*name, "")).collect();
    settings.push(("RELIVE_TOOL_HOSTS", " "));
    settings.push(("DATABASE_URL", &url));
    for (private, anonymous) in [("1", "off"), ("0", "yes"), ("YES", "no"), ("On", ""), ("true", "false")] {
        settings.extend([("RELIVE_TOOL_ALLOW_PRIVATE", private), ("RELIVE_ALLOW_ANONYMOUS", anonymous)]);
        let server = ServerProcess::start(&settings).await;
        assert_eq!(server.terminate().await, Some(0));
    }
}

#[tokio::test]
async fn a_name_is_looked_up_and_a_misspelled_variable_is_named() {
    let url = Database::create().await.url();
    let mut command = Command::new(env!("CARGO_BIN_EXE_relive"));
    command.args(["serve", "--listen", "localhost:0"]).env("DATABASE_URL", url).env("RELIVE_LOG", "warn");
    command.env("RELIVE_DATADIR", "x").env("RELIVE_SESSION_ID", "x");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true).spawn().expect("relive");
    let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(child.stderr.take().expect("stderr")));
    let reading = async {
        while let Some(line) = lines.next_line().await.expect("a line") {
            assert!(!line.contains("RELIVE_SESSION_ID"), "{line}");
            if line.contains("RELIVE_DATADIR") {
                return line;
            }
        }
        panic!("the variable was not named");
    };
    let line = tokio::time::timeout(DEADLINE + Duration::from_secs(1), reading).await.expect("in time");
    assert!(line.contains("did you mean RELIVE_DATA_DIR?"), "{line}");
}
