//! The commands of the README and of the pages for users, carried out in their order against a server.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use super::markdown::{Document, root};
use crate::harness::{DEADLINE, MailServer, Socket, TestServer, eventually};

/// The address that the README's commands go to.
const ADDRESS: &str = "localhost:7400";

/// A command with the lines that belong to it.
#[derive(Debug)]
struct Step {
    text: String,
    line: usize,
}

/// The indented lines outside of fenced blocks, joined where a quotation goes on.
fn steps(page: &Document) -> Vec<Step> {
    let (mut steps, mut open, mut is_fenced) = (Vec::new(), None::<Step>, false);
    for (index, line) in page.text.lines().enumerate() {
        is_fenced ^= line.starts_with("```");
        if is_fenced {
            continue;
        }
        let Some(line) = line.strip_prefix("    ") else { continue };
        match &mut open {
            Some(step) => {
                step.text.push('\n');
                step.text.push_str(line);
            }
            None => open = Some(Step { text: line.to_owned(), line: index + 1 }),
        }
        let is_whole = |step: &Step| step.text.matches('\'').count().is_multiple_of(2);
        if open.as_ref().is_some_and(is_whole) {
            steps.extend(open.take());
        }
    }
    steps
}

struct Reader {
    page: &'static str,
    server: TestServer,
    directory: tempfile::TempDir,
    /// Written ids such as `01a2…`, and what they are here.
    ids: Vec<(String, String)>,
    /// `$ID`.
    id: String,
    /// The `id` of the last answer that had one.
    answered: String,
    replay: Option<Socket>,
    carried_out: usize,
}

impl Reader {
    async fn step(&mut self, step: &Step) {
        let place = format!("{}:{}: {}", self.page, step.line, step.text);
        let text = &*step.text;
        if text.starts_with("# {\"id\":\"") || text.starts_with("ID=") {
            let written = text.trim_start_matches("# {\"id\":\"").trim_start_matches("ID=");
            let written = written.split('"').next().expect("an id").to_owned();
            if !self.ids.iter().any(|(known, _)| *known == written) {
                self.ids.push((written.clone(), self.answered.clone()));
            }
            if text.starts_with("ID=") {
                let known = self.ids.iter().find(|(known, _)| *known == written);
                self.id = known.expect("an id").1.clone();
            }
        } else if let Some(address) = text.strip_prefix("curl -N ") {
            self.stream(address, &place).await;
        } else if text.starts_with("curl ") {
            self.curl(text, &place).await;
        } else if ["serve", "keys", "statistics"].iter().any(|of| text.starts_with(&format!("relive {of}"))) {
            // These are for a server of its own, or its database. Other tests start such servers.
            return;
        } else if text.starts_with("relive ") {
            let command = text.replace("relive ", &format!("{} ", env!("CARGO_BIN_EXE_relive")));
            self.shell(&command, self.directory.path(), &place).await;
        } else if text.starts_with("websocat ") && text.contains("$ID") {
            let path = text.split(ADDRESS_OF_SOCKETS).nth(1).expect("an address").trim_end_matches('"');
            let mut socket = self.server.socket(&path.replace("$ID", &self.id)).await;
            assert_eq!(socket.frame().await["type"], "snapshot", "{place}");
            self.replay = Some(socket);
        } else if text.starts_with("{\"type\":\"replay\"") {
            let replay = self.replay.as_mut().expect("a replay");
            replay.send(serde_json::from_str(text).expect("JSON")).await;
            let answer = replay.until(|frame| frame["type"] == "replayState" || frame["type"] == "error").await;
            assert_eq!(answer["type"], "replayState", "{place}: {answer}");
        } else {
            return;
        }
        self.carried_out += 1;
    }

    /// A stream that does not end: its first event.
    async fn stream(&self, address: &str, place: &str) {
        let path = address.trim_matches('\'').split(":7400").nth(1).expect("an address");
        let path = path.replace("{id}", &self.server.new_session().await);
        let event = self.server.stream(&path).await.event().await;
        assert!(event.data["type"].is_string(), "{place}");
    }

    async fn curl(&mut self, text: &str, place: &str) {
        if text.contains("/review") {
            let path = format!("/api/v1/sessions/{}", self.id);
            eventually("somebody is asked", || async {
                self.server.get(&path).await.1["activeNodeIds"] == serde_json::json!(["review"])
            })
            .await;
        }
        let command = text.replacen("curl ", "curl -sS -w '\\n%{http_code}' ", 1);
        let said = self.shell(&command, root(), place).await;
        let (body, status) = said.rsplit_once('\n').expect("a status");
        assert!(status.starts_with('2'), "{place}: {status} {body}");
        if let Ok(Value::Object(answer)) = serde_json::from_str(body)
            && let Some(id) = answer.get("id").and_then(Value::as_str)
        {
            id.clone_into(&mut self.answered);
        }
    }

    async fn shell(&self, command: &str, directory: &Path, place: &str) -> String {
        let address = self.server.address().to_string();
        let mut command = command.replace(ADDRESS, &address);
        for (written, id) in &self.ids {
            command = command.replace(&**written, id);
        }
        let mut shell = Command::new("sh");
        shell.args(["-c", &command]).current_dir(directory).env("ID", &self.id);
        shell.env("RELIVE_SERVER", format!("http://{address}")).stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(DEADLINE, shell.output()).await.expect("in time").expect("a shell");
        let problem = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{place}: {problem}");
        String::from_utf8(output.stdout).expect("a text")
    }
}

/// Where the addresses of sockets begin.
const ADDRESS_OF_SOCKETS: &str = "ws://127.0.0.1:7400";

/// Carries out a page; at least so many of its lines have to be commands.
async fn carry_out(page: &'static str, least: usize) {
    carry_out_on(TestServer::start().await, page, least).await;
}

async fn carry_out_on(server: TestServer, page: &'static str, least: usize) {
    let directory = tempfile::tempdir().expect("a directory");
    std::os::unix::fs::symlink(root().join("examples"), directory.path().join("examples")).expect("a link");
    let (id, answered) = (String::new(), String::new());
    let mut reader = Reader { page, server, directory, ids: Vec::new(), id, answered, replay: None, carried_out: 0 };
    for step in steps(&Document::read(page)) {
        reader.step(&step).await;
    }
    assert!(reader.carried_out >= least, "only {} commands were found in {page}", reader.carried_out);
    if reader.id.is_empty() {
        return;
    }
    let path = format!("/api/v1/sessions/{}", reader.id);
    eventually("the last run ends", || async { reader.server.get(&path).await.1["status"] == "completed" }).await;
}

#[tokio::test]
async fn the_commands_of_the_readme_do_what_it_says() {
    carry_out("README.md", 8).await;
}

#[tokio::test]
async fn the_commands_for_watching_do_what_the_page_says() {
    carry_out("docs/watch.md", 18).await;
}

#[tokio::test]
async fn the_commands_for_reporting_do_what_the_page_says() {
    carry_out("docs/report-http.md", 15).await;
}

#[tokio::test]
async fn the_commands_for_graphs_do_what_the_page_says() {
    carry_out("docs/run-graphs.md", 6).await;
}

#[tokio::test]
async fn the_commands_for_event_streams_do_what_the_page_says() {
    carry_out("docs/event-streams.md", 1).await;
}

#[tokio::test]
async fn the_commands_for_schedules_do_what_the_page_says() {
    carry_out("docs/schedules.md", 3).await;
}

#[tokio::test]
async fn the_commands_for_deleting_do_what_the_page_says() {
    carry_out("docs/retention.md", 3).await;
}

#[tokio::test]
async fn the_commands_for_archiving_do_what_the_page_says() {
    let directory = tempfile::tempdir().expect("a directory");
    let archive = directory.path().to_str().expect("a path").to_owned();
    let server = TestServer::start_with(|config| config.archive.archive = Some(archive));
    carry_out_on(server.await, "docs/archive.md", 4).await;
}

#[tokio::test]
async fn the_command_for_statistics_does_what_the_page_says() {
    carry_out("docs/statistics.md", 1).await;
}

#[tokio::test]
async fn the_commands_for_traces_do_what_the_page_says() {
    carry_out("docs/traces.md", 3).await;
}

#[tokio::test]
async fn the_commands_for_alerts_do_what_the_page_says() {
    let mail = MailServer::start().await;
    let server = TestServer::start_with(|config| {
        config.email.smtp_url = Some(mail.url().into());
        config.email.smtp_from = Some("relive@example.org".to_owned());
    });
    carry_out_on(server.await, "docs/alerts.md", 6).await;
}
