//! `relive watch` on a terminal, driven by keys through a pseudo-terminal.

use serde_json::json;

use crate::harness::{Socket, Terminal, TestServer, eventually};

const ENTER: &str = "\r";
const ESCAPE: &str = "\x1b";
const DOWN: &str = "\x1b[B";
const LEFT: &str = "\x1b[D";
const RIGHT: &str = "\x1b[C";
const HOME: &str = "\x1b[H";

fn graph() -> serde_json::Value {
    json!({"name": "Write a page", "startNodeId": "fetch", "nodes": {
        "fetch": {"id": "fetch", "type": "tool", "name": "Fetch it", "nextIds": ["draft", "check"]},
        "draft": {"id": "draft", "type": "agent", "name": "Draft 草稿", "nextIds": ["done"]},
        "check": {"id": "check", "type": "agent", "name": "Check\u{1b}[2J", "nextIds": ["done"]},
        "done": {"id": "done", "type": "end", "name": "Done"}
    }})
}

async fn running(server: &TestServer) -> String {
    let id = server.create(json!({"graph": graph()})).await;
    server.command(&id, json!({"type": "start"})).await;
    id
}

fn node(id: &str, status: &str) -> serde_json::Value {
    json!({"type": "setNodeStatus", "nodeId": id, "status": status})
}

#[tokio::test]
async fn the_list_is_live_and_opens_a_session() {
    let server = TestServer::start().await;
    let old = server.new_session().await;
    let mut terminal = Terminal::start(&["watch", "--server", &server.url("")]);
    terminal.line_with(&old).await;
    let new = running(&server).await;
    let line = terminal.line_with("▶ running").await;
    assert!(line.contains("Write a page") && line.contains("0/4"), "{line}");
    server.command(&new, node("fetch", "completed")).await;
    terminal.line_with("1/4").await;
    terminal.press(&format!("/{}", &old[..13]));
    terminal.until_gone("Write a page").await;
    terminal.press(ESCAPE);
    terminal.line_with("Write a page").await;
    terminal.press(&format!("{DOWN}{ENTER}"));
    terminal.line_with("pause/resume").await;
    terminal.line_with(&old).await;
    terminal.press(ESCAPE);
    terminal.line_with("sessions  2").await;
    terminal.press("q");
    assert_eq!(terminal.end().await, (Some(0), true));
}

#[tokio::test]
async fn a_session_shows_its_tree_its_messages_and_tokens_as_they_come() {
    let server = TestServer::start().await;
    let id = running(&server).await;
    server.command(&id, json!({"type": "addMessage", "nodeId": "fetch", "content": "said before"})).await;
    let terminal = Terminal::start(&["watch", &id, "--server", &server.url("")]);
    terminal.line_with("said before").await;
    // Branches stand further in, once the graph is known.
    terminal.line_with("   ○ Draft 草稿").await;
    terminal.line_with("Check [2J").await;
    server.command(&id, node("draft", "running")).await;
    let mut progress = node("draft", "running");
    progress["progress"] = json!(0.4);
    server.command(&id, progress).await;
    assert!(terminal.line_with("40 %").await.contains("▶ Draft"));
    let mut driver = Socket::open(server.address(), "/ws").await;
    let message = "01890000-0000-7000-8000-000000000001";
    for text in ["Once upon ", "a time"] {
        driver
            .send(json!({"type": "token", "sessionId": id, "nodeId": "draft", "messageId": message, "text": text}))
            .await;
    }
    terminal.line_with("Once upon a time▌").await;
    let finished =
        json!({"type": "addMessage", "messageId": message, "nodeId": "draft", "content": "Once upon a time. 完"});
    server.command(&id, finished).await;
    terminal.line_with("Once upon a time. 完").await;
    terminal.until_gone("▌").await;
    let mut failed = node("draft", "failed");
    failed["error"] = json!("no ink");
    server.command(&id, failed).await;
    terminal.line_with("✗ Draft").await;
    assert_eq!(terminal.text().matches("Once upon").count(), 1, "the finished text replaces what was written");
}

#[tokio::test]
async fn keys_steer_a_run_and_a_refusal_is_shown() {
    let server = TestServer::start().await;
    let id = server.create(json!({"graph": graph()})).await;
    let status = async |wanted: &str| server.get(&format!("/api/v1/sessions/{id}")).await.1["status"] == wanted;
    let mut terminal = Terminal::start(&["watch", &id, "--server", &server.url("")]);
    terminal.line_with("○ pending").await;
    terminal.press("p");
    terminal.line_with("illegal_transition").await;
    terminal.press("s");
    terminal.line_with("▶ running").await;
    terminal.press("p");
    terminal.line_with("‖ paused").await;
    assert!(status("paused").await);
    terminal.press("p");
    terminal.line_with("▶ running").await;
    terminal.press("cn");
    terminal.line_with("pause/resume").await;
    assert!(status("running").await, "'no' cancels nothing");
    terminal.press("c");
    terminal.line_with("Cancel this run? y/n").await;
    terminal.press("y");
    terminal.line_with("⊘ cancelled").await;
    eventually("the session is cancelled", async || status("cancelled").await).await;
    terminal.press("q");
    assert_eq!(terminal.end().await, (Some(130), true));
}

#[tokio::test]
async fn reviews_are_answered_by_keys_after_a_question() {
    let server = TestServer::start().await;
    let id = running(&server).await;
    let mut terminal = Terminal::start(&["watch", &id, "--server", &server.url("")]);
    terminal.line_with("▶ running").await;
    terminal.press("a");
    terminal.line_with("no node waits for a review").await;
    for (keys, name, action) in [("a", "Approve", "approve"), ("d", "Reject", "reject")] {
        server.command(&id, node("fetch", "running")).await;
        server.command(&id, node("fetch", "suspended")).await;
        terminal.line_with("◆ Fetch it").await;
        let before = server.events(&id).await.len();
        terminal.press(keys);
        terminal.line_with(&format!("{name} 'Fetch it'? y/n")).await;
        terminal.press("n");
        terminal.line_with("pause/resume").await;
        assert_eq!(server.events(&id).await.len(), before, "'no' answers nothing");
        terminal.press(keys);
        terminal.line_with("y/n").await;
        terminal.press("y");
        let answered = async || {
            let events = server.events(&id).await;
            events[before..].iter().any(|it| it["event"]["payload"]["review"]["action"] == action)
        };
        eventually("the review is answered", answered).await;
    }
    terminal.press("q");
    assert!(terminal.end().await.1);
}

#[tokio::test]
async fn a_run_is_relived_by_keys_and_what_was_said_comes_with_it() {
    let server = TestServer::start().await;
    let id = running(&server).await;
    server.command(&id, node("fetch", "running")).await;
    server.command(&id, json!({"type": "addMessage", "nodeId": "fetch", "content": "found it"})).await;
    server.command(&id, node("fetch", "completed")).await;
    let mut terminal = Terminal::start(&["watch", &id, "--server", &server.url("")]);
    terminal.line_with("✓ Fetch it").await;
    terminal.line_with("found it").await;
    terminal.press("r");
    terminal.line_with("‖ paused").await;
    terminal.line_with("revision 1 of 5").await;
    terminal.until_gone("found it").await;
    terminal.line_with("○ Fetch it").await;
    for (revision, shown) in [(2, "○ Fetch it"), (3, "▶ Fetch it"), (4, "found it"), (5, "✓ Fetch it")] {
        terminal.press(RIGHT);
        terminal.line_with(&format!("revision {revision} of 5")).await;
        terminal.line_with(shown).await;
    }
    terminal.press(LEFT);
    terminal.line_with("revision 4 of 5").await;
    terminal.line_with("▶ Fetch it").await;
    terminal.press("+");
    terminal.line_with("2×").await;
    terminal.press(HOME);
    terminal.line_with("revision 1 of 5").await;
    server.command(&id, node("draft", "running")).await;
    terminal.press("l");
    terminal.line_with("▶ Draft").await;
    terminal.press("q");
    assert_eq!(terminal.end().await, (Some(0), true));
}

#[tokio::test]
async fn a_lost_server_is_told_and_found_again() {
    let server = TestServer::start().await;
    let (id, address) = (running(&server).await, server.address());
    let terminal = Terminal::start(&["watch", &id, "--server", &server.url("")]);
    terminal.line_with("○ Fetch it").await;
    let database = server.stop().await;
    terminal.line_with("connection lost").await;
    terminal.line_with("○ Fetch it").await;
    let server = TestServer::start_on(database, |config| config.listen = address.into()).await;
    server.command(&id, node("fetch", "running")).await;
    terminal.line_with("▶ Fetch it").await;
    terminal.until_gone("connection lost").await;
}

#[tokio::test]
async fn an_unknown_session_and_plain_lines_leave_the_screen_alone() {
    let server = TestServer::start().await;
    let unknown = "01890000-0000-7000-8000-000000000009";
    let terminal = Terminal::start(&["watch", unknown, "--server", &server.url("")]);
    terminal.line_with("not_found").await;
    assert_eq!(terminal.end().await, (Some(1), true));
    let id = running(&server).await;
    let terminal = Terminal::start(&["watch", &id, "--plain", "--server", &server.url("")]);
    terminal.line_with("running    session").await;
    server.command(&id, json!({"type": "fail", "error": "no luck"})).await;
    terminal.line_with("no luck").await;
    assert_eq!(terminal.end().await, (Some(1), true));
}

fn step(id: &str, status: &str, parent: &str) -> serde_json::Value {
    json!({"type": "setNodeStatus", "nodeId": id, "status": status, "parentNodeId": parent})
}

fn log(node: &str, level: &str, text: &str) -> serde_json::Value {
    json!({"type": "addLog", "nodeId": node, "level": level, "text": text})
}

/// Of 30 steps the fourth has failed.
async fn with_many_steps(server: &TestServer) -> String {
    let id = server.running_session().await;
    let steps = (0..30).map(|n| step(&format!("s{n:02}"), if n == 3 { "failed" } else { "completed" }, "p"));
    let commands = [node("p", "running")].into_iter().chain(steps).collect();
    server.command(&id, serde_json::Value::Array(commands)).await;
    id
}

#[tokio::test]
async fn steps_stand_below_their_node_as_they_come() {
    let server = TestServer::start().await;
    let id = running(&server).await;
    server.command(&id, json!([node("fetch", "running"), step("dns", "running", "fetch")])).await;
    let terminal = Terminal::start(&["watch", &id, "--server", &server.url("")]);
    terminal.line_with(" ▶ Fetch it").await;
    terminal.line_with("   ▶ dns").await;
    let mut deep = step("query", "failed", "dns");
    deep["name"] = json!("Query\u{1b}[2J\u{202e}");
    server.command(&id, deep).await;
    terminal.line_with("     ✗ Query [2J").await;
    let text = terminal.text();
    let place = |name: &str| text.find(name).unwrap_or_else(|| panic!("no {name}:\n{text}"));
    assert!(place("Fetch it") < place("dns") && place("dns") < place("Query") && place("Query") < place("Draft"));
}

#[tokio::test]
async fn many_steps_are_folded_until_they_are_asked_for() {
    let server = TestServer::start().await;
    let id = with_many_steps(&server).await;
    let mut terminal = Terminal::start(&["watch", &id, "--server", &server.url("")]);
    terminal.line_with("⋯ 22 more steps").await;
    let text = terminal.text();
    assert!(text.contains("✗ s03") && text.contains("✓ s29") && !text.contains("s10"), "{text}");
    server.command(&id, step("s10", "running", "p")).await;
    terminal.line_with("▶ s10").await;
    terminal.until_gone("s23").await;
    terminal.press(&format!("{DOWN}{ENTER}"));
    terminal.line_with("✓ s11").await;
    assert!(!terminal.text().contains("more steps"));
    terminal.press(&format!("{HOME}{ENTER}"));
    terminal.line_with("⋯ 22 more steps").await;
}

#[tokio::test]
async fn the_newest_log_lines_are_shown_and_come_live() {
    let server = TestServer::start().await;
    let id = running(&server).await;
    let before = (0..300).map(|n| log("fetch", "debug", &format!("line {n:03}"))).collect();
    server.command(&id, serde_json::Value::Array(before)).await;
    let mut terminal = Terminal::start(&["watch", &id, "--server", &server.url("")]);
    assert!(terminal.line_with("line 299").await.contains("debug  Fetch it"));
    let text = terminal.text();
    assert!(text.contains("line 294") && !text.contains("line 293"), "{text}");
    server.command(&id, log("draft", "error", "\u{1b}[2J\u{1b}]0;t\u{7}no ink\r\nat 3")).await;
    let line = terminal.line_with("no ink").await;
    assert!(line.contains("error  Draft 草稿   [2J ]0;t no ink  at 3"), "{line}");
    terminal.line_with("line 299").await;
    terminal.until_gone("line 294").await;
    // Only those of the selected node, and none that came after the shown state.
    terminal.press("m");
    terminal.until_gone("no ink").await;
    terminal.press("m");
    terminal.line_with("no ink").await;
    terminal.press("r");
    terminal.line_with("revision 1 of").await;
    terminal.until_gone("line 299").await;
    terminal.press("l");
    terminal.line_with("no ink").await;
}

#[tokio::test]
async fn plain_lines_show_steps_and_log_lines() {
    let server = TestServer::start().await;
    let id = with_many_steps(&server).await;
    let earlier = (0..12).map(|n| log("p", "info", &format!("earlier {n:02}"))).collect();
    server.command(&id, serde_json::Value::Array(earlier)).await;
    let terminal = Terminal::start(&["watch", &id, "--plain", "--server", &server.url("")]);
    terminal.line_with("running    p").await;
    terminal.line_with("  22 more steps").await;
    terminal.line_with("failed       s03").await;
    terminal.line_with("info       p  earlier 11").await;
    let text = terminal.text();
    assert!(text.contains("earlier 02") && !text.contains("earlier 01"), "{text}");
    server.command(&id, node("q", "running")).await;
    let steps = (0..20).map(|n| step(&format!("q{n:02}"), if n == 15 { "failed" } else { "running" }, "q")).collect();
    server.command(&id, serde_json::Value::Array(steps)).await;
    terminal.line_with("failed       q15").await;
    server.command(&id, log("q", "warn", "\u{1b}[2J\u{9b}31mhot")).await;
    terminal.line_with("warn       q   [2J 31mhot").await;
    server.command(&id, node("q", "completed")).await;
    assert!(terminal.line_with("completed  q").await.contains("20 steps"));
    let text = terminal.text();
    assert!(text.contains("running      q07") && !text.contains("q08") && !text.contains("q19"), "{text}");
    server.command(&id, json!({"type": "fail", "error": "no luck"})).await;
    terminal.line_with("no luck").await;
    assert_eq!(terminal.end().await, (Some(1), true));
}
