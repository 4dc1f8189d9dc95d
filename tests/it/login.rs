//! Keys and access tokens on the command line: `relive login`, `RELIVE_TOKEN`, and the commands that use them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

use crate::harness::{DEADLINE, Terminal, TestServer, answer, eventually};

const ROOT: &str = "root-key-of-the-command-line-tests-0123456789";

/// A server that asks for a key, and a place for what is stored on this machine.
struct Guarded {
    server: TestServer,
    config: TempDir,
}

/// What a program has said, and how it ended.
struct Said {
    status: Option<i32>,
    out: String,
    error: String,
}

impl Guarded {
    async fn start() -> Self {
        let server = TestServer::start_with(|config| config.access.root_key = Some(ROOT.to_owned().into())).await;
        Self { server, config: tempfile::tempdir().expect("a directory") }
    }

    /// As root.
    async fn post(&self, path: &str, body: Value) -> Value {
        let request = self.server.request(Method::POST, path).bearer_auth(ROOT).json(&body);
        let (status, body) = answer(request).await;
        assert!(status.is_success(), "{path}: {body}");
        body
    }

    async fn key(&self, role: &str) -> String {
        let made = self.post("/api/v1/keys", json!({"name": format!("the {role}"), "role": role})).await;
        made["key"].as_str().expect("a key").to_owned()
    }

    async fn session(&self) -> String {
        self.post("/api/v1/sessions", json!({})).await["id"].as_str().expect("an id").to_owned()
    }

    fn command(&self, arguments: &[&str], token: Option<&str>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_relive"));
        command.args(arguments).env("RELIVE_SERVER", self.server.url("")).env("XDG_CONFIG_HOME", self.config.path());
        command.env_remove("RELIVE_TOKEN").env_remove("RELIVE_TOKEN_FILE").kill_on_drop(true);
        if let Some(token) = token {
            command.env("RELIVE_TOKEN", token);
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    async fn relive(&self, arguments: &[&str], input: &str, token: Option<&str>) -> Said {
        let mut child = self.command(arguments, token).stdin(Stdio::piped()).spawn().expect("relive");
        let mut stdin = child.stdin.take().expect("stdin");
        // A program that has seen enough need not read the rest.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let output = tokio::time::timeout(DEADLINE, child.wait_with_output()).await.expect("in time").expect("an end");
        let text = |bytes| String::from_utf8(bytes).expect("a text");
        Said { status: output.status.code(), out: text(output.stdout), error: text(output.stderr) }
    }

    fn stored(&self) -> PathBuf {
        self.config.path().join("relive/credentials.toml")
    }
}

fn graph() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("graph.json");
    let node = json!({"id": "a", "type": "command", "name": "a", "properties": {"command": "true"}, "nextIds": []});
    std::fs::write(&file, json!({"name": "g", "startNodeId": "a", "nodes": {"a": node}}).to_string()).expect("a file");
    (directory, file)
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path")
}

#[tokio::test]
async fn login_keeps_a_valid_key_for_the_commands_and_logout_removes_it() {
    let guarded = Guarded::start().await;
    let key = guarded.key("admin").await;
    let (directory, file) = graph();

    let said = guarded.relive(&["login"], &format!("{key}\nmore\n"), None).await;
    assert_eq!((said.status, &*said.out), (Some(0), ""), "{}", said.error);
    for part in ["the admin", "(admin, project default)", &guarded.server.url(""), "credentials.toml"] {
        assert!(said.error.contains(part), "{}", said.error);
    }
    assert!(!said.error.contains(&key));
    let mode = std::fs::metadata(guarded.stored()).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let ran = guarded.relive(&["run", path(&file)], "", None).await;
    assert_eq!(ran.status, Some(0), "{}", ran.error);
    let id = ran.out.lines().find_map(|line| line.strip_prefix("session ")).expect("an id").trim();
    let watched = guarded.relive(&["watch", id], "", None).await;
    assert_eq!(watched.status, Some(0), "{}", watched.error);
    let exported = directory.path().join("run.ndjson");
    let done = guarded.relive(&["export", id, "--output", path(&exported)], "", None).await;
    assert_eq!(done.status, Some(0), "{}", done.error);
    let done = guarded.relive(&["import", "--new-id", path(&exported)], "", None).await;
    assert_eq!(done.status, Some(0), "{}", done.error);

    let said = guarded.relive(&["logout"], "", None).await;
    assert_eq!(said.status, Some(0), "{}", said.error);
    assert!(!std::fs::read_to_string(guarded.stored()).expect("a file").contains(&key));
    assert_eq!(guarded.relive(&["watch", id], "", None).await.status, Some(1));
}

#[tokio::test]
async fn a_key_that_is_not_valid_is_not_stored() {
    let guarded = Guarded::start().await;
    for (input, reason) in [
        ("rlv_nothing", "does not accept this key or token; nothing was stored"),
        ("\n", "the input has no key or access token"),
        ("two words", "the input has is not a key"),
    ] {
        let said = guarded.relive(&["login"], input, None).await;
        assert_eq!(said.status, Some(1));
        assert!(said.error.contains(reason), "{}", said.error);
        assert!(!guarded.stored().exists());
    }
}

#[tokio::test]
async fn what_is_missing_is_said_with_what_to_do() {
    let guarded = Guarded::start().await;
    let (_directory, file) = graph();
    let (viewer, id) = (guarded.key("viewer").await, guarded.session().await);
    let login = format!("relive login --server {}", guarded.server.url(""));
    let file = path(&file);
    for arguments in [&["run", file][..], &["watch"], &["watch", &id], &["export", &id], &["import", file]] {
        let said = guarded.relive(arguments, "", None).await;
        assert_eq!(said.status, Some(1), "{arguments:?}: {}", said.error);
        for part in ["unauthorized", &login, "RELIVE_TOKEN"] {
            assert!(said.error.contains(part), "{arguments:?}: {}", said.error);
        }
        let said = guarded.relive(arguments, "", Some("rlv_old")).await;
        assert!(said.error.contains("the server refuses what RELIVE_TOKEN has"), "{arguments:?}: {}", said.error);
        assert!(!said.error.contains("rlv_old"), "{}", said.error);
    }
    let said = guarded.relive(&["import", file], "", Some(&viewer)).await;
    assert_eq!(said.status, Some(1), "{}", said.error);
    assert!(
        said.error.contains("needs the role admin") && said.error.contains("a key that allows it"),
        "{}",
        said.error
    );
    guarded.relive(&["login"], &viewer, None).await;
    let said = guarded.relive(&["run", file], "", None).await;
    assert_eq!(said.status, Some(1), "{}", said.error);
    assert!(said.error.contains("sign in with a key that allows it"), "{}", said.error);
    // The variable goes before what is stored.
    let engine = guarded.key("engine").await;
    let said = guarded.relive(&["run", file], "", Some(&engine)).await;
    assert_eq!(said.status, Some(0), "{}", said.error);
}

#[tokio::test]
async fn a_token_in_a_file_is_read_again_when_it_has_expired() {
    let guarded = Guarded::start().await;
    let id = guarded.session().await;
    let token = async |seconds: u32| {
        let scopes = [format!("read:sessions:{id}")];
        let given = guarded.post("/api/v1/tokens", json!({"scopes": scopes, "expiresInSeconds": seconds})).await;
        given["token"].as_str().expect("a token").to_owned()
    };
    let file = guarded.config.path().join("token");
    let short = token(8).await;
    std::fs::write(&file, &short).expect("a file");
    let mut child = guarded
        .command(&["watch", &id, "--token-file", path(&file)], None)
        .stdin(Stdio::null())
        .spawn()
        .expect("relive");
    let mut lines = BufReader::new(child.stdout.take().expect("stdout")).lines();
    let mut line_with = async |text: &str| {
        let reading = async {
            while let Some(line) = lines.next_line().await.expect("a line") {
                if line.contains(text) {
                    return;
                }
            }
            panic!("no line with '{text}'");
        };
        tokio::time::timeout(DEADLINE, reading).await.unwrap_or_else(|_| panic!("no line with '{text}' in time"));
    };
    line_with("pending    session").await;
    std::fs::write(&file, token(600).await).expect("a file");
    // Its socket is closed when the first token expires, and comes back with the second.
    let has_expired = async || {
        let request = guarded.server.request(Method::GET, "/api/v1/me").bearer_auth(&short);
        request.send().await.expect("an answer").status() == 401
    };
    eventually("the token has expired", has_expired).await;
    let command = json!({"type": "start"});
    guarded.post(&format!("/api/v1/sessions/{id}/commands"), command).await;
    line_with("running    session").await;
    guarded.post(&format!("/api/v1/sessions/{id}/commands"), json!({"type": "complete"})).await;
    let status = tokio::time::timeout(DEADLINE, child.wait()).await.expect("in time").expect("a status");
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn on_a_terminal_the_key_is_not_shown() {
    let guarded = Guarded::start().await;
    let key = guarded.key("viewer").await;
    let config = path(guarded.config.path()).to_owned();
    let url = guarded.server.url("");
    let mut terminal = Terminal::start_with(&["login", "--server", &url], &[("XDG_CONFIG_HOME", &config)]);
    terminal.line_with("Key or access token for").await;
    terminal.press(&format!("{key}\r"));
    terminal.line_with("signed in to").await;
    assert!(!terminal.text().contains(&key[..12]), "{}", terminal.text());
    assert_eq!(terminal.end().await.0, Some(0));
    assert!(std::fs::read_to_string(guarded.stored()).expect("a file").contains(&key));
}

#[tokio::test]
async fn whether_there_is_a_provider_is_said_to_anybody() {
    let guarded = Guarded::start().await;
    assert_eq!(guarded.server.get("/api/v1/sign-in").await, (reqwest::StatusCode::OK, json!({"provider": false})));
    let server = TestServer::start_with(|config| {
        config.access.oidc.oidc_issuer = Some("http://127.0.0.1:9/".to_owned());
        config.access.oidc.oidc_client_id = Some("relive".to_owned());
    });
    assert_eq!(server.await.get("/api/v1/sign-in").await, (reqwest::StatusCode::OK, json!({"provider": true})));
}
