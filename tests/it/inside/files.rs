//! Log lines and tool calls in forks, in files, and after a deletion.

use reqwest::Method;
use serde_json::{Value, json};

use super::{log, logs, texts};
use crate::archive::{export, imported, lines, rows, sealed};
use crate::fork::{count, fork, id_of, messages};
use crate::harness::{TestServer, problem};

async fn write(server: &TestServer, id: &str, text: &str) {
    let calls = json!([{"id": text, "name": "t", "arguments": {"n": 1}}]);
    let commands = json!([
        {"type": "addLog", "nodeId": "a", "level": "warn", "text": text, "attributes": {"of": text}},
        {"type": "addMessage", "nodeId": "a", "content": "", "toolCalls": calls, "contentType": "text/plain"},
        {"type": "addMessage", "nodeId": "a", "content": "", "role": "tool", "toolCallId": text},
    ]);
    server.command(id, commands).await;
}

/// Three sessions in a line, each with something before and after it is forked.
async fn line(server: &TestServer) -> [String; 3] {
    let first = server.running_session().await;
    write(server, &first, "one").await;
    let second = id_of(&fork(server, &first, 5).await);
    write(server, &first, "not for the fork").await;
    write(server, &second, "two").await;
    let third = id_of(&fork(server, &second, 4).await);
    write(server, &second, "not for the fork").await;
    write(server, &third, "three").await;
    [first, second, third]
}

/// What is shown of a session's texts.
async fn shown(server: &TestServer, id: &str) -> (Vec<Value>, Vec<Value>) {
    (logs(server, id, "", 2).await, messages(server, id, "", 2).await)
}

#[tokio::test]
async fn a_fork_shows_the_lines_of_its_ancestors_also_when_those_are_gone() {
    let server = TestServer::start().await;
    let [first, second, third] = line(&server).await;
    let before = shown(&server, &third).await;
    assert_eq!(texts(&before.0), ["one", "two", "three"]);
    assert_eq!(before.0[0]["sessionId"], json!(first));
    assert_eq!(before.1.len(), 6);
    let newest = logs(&server, &third, "&order=desc&level=warn&text=o", 1).await;
    assert_eq!(texts(&newest), ["two", "one"]);
    let own = logs(&server, &third, "&after=1", 9).await;
    assert_eq!(texts(&own), ["three"], "a revision is one of the session itself");
    for id in [&first, &second] {
        let (status, _) = server.call(Method::DELETE, &format!("/api/v1/sessions/{id}"), None).await;
        assert_eq!(status, 204);
        assert_eq!(shown(&server, &third).await, before);
        assert_eq!(texts(&logs(&server, &third, "&order=desc&level=warn&text=o", 1).await), ["two", "one"]);
    }
    assert_eq!((count(&server, "ancestor_logs").await, count(&server, "session_logs").await), (2, 1));
    server.call(Method::DELETE, &format!("/api/v1/sessions/{third}"), None).await;
    assert_eq!((count(&server, "ancestor_logs").await, count(&server, "session_logs").await), (0, 0));
}

#[tokio::test]
async fn files_hold_lines_and_tool_calls() {
    let (here, there) = (TestServer::start().await, TestServer::start().await);
    let [.., third] = line(&here).await;
    for log_only in [false, true] {
        let id = if log_only {
            let id = here.running_session().await;
            here.command(&id, log("a", "info", "alone")).await;
            id
        } else {
            third.clone()
        };
        let file = export(&here, &id).await;
        let last = lines(&file).last().expect("an end").clone();
        assert_eq!(last["counts"]["logs"], if log_only { 1 } else { 3 });
        assert_eq!(lines(&file)[0]["counts"], last["counts"]);
        let copy = imported(&there, file.clone()).await;
        assert_eq!(copy, id);
        assert_eq!(shown(&there, &id).await, shown(&here, &id).await);
        let again = lines(&export(&there, &id).await);
        assert_eq!(again[1..again.len() - 1], lines(&file)[1..again.len() - 1], "it comes back as it was");
        let renamed = imported(&there, file).await;
        let (logs, messages) = shown(&there, &renamed).await;
        let (before, said) = shown(&here, &id).await;
        assert_eq!((texts(&logs), messages.len()), (texts(&before), said.len()));
    }
}

/// What is done to a file, where that is found, and what is said about it.
type Change<'a> = (&'a dyn Fn(&mut Vec<Value>) -> usize, &'a str);

#[tokio::test]
async fn lines_that_no_server_would_have_written_are_refused() {
    let server = TestServer::start().await;
    let [.., third] = line(&server).await;
    let file = lines(&export(&server, &third).await);
    let first = file.iter().position(|line| line["type"] == "log").expect("a log line");
    let own = file.iter().rposition(|line| line["type"] == "log").expect("one of its own");
    let event = file.iter().rposition(|line| line["event"]["type"] == "logAdded").expect("its event");
    let before = rows(&server).await;
    let changes: [Change<'_>; 9] = [
        (
            &|file| {
                file[own]["log"]["level"] = "error".into();
                own
            },
            "not the one that its event added",
        ),
        (
            &|file| {
                file[own]["log"]["at"] = "2020-01-01T00:00:00.000Z".into();
                own
            },
            "not the one that its event added",
        ),
        (
            &|file| {
                file[own]["log"]["nodeId"] = "z".into();
                own
            },
            "not the one that its event added",
        ),
        (
            &|file| {
                file[own]["log"]["attributes"] = json!({"x": {}});
                own
            },
            "flat",
        ),
        (
            &|file| {
                file.swap(first, first + 1);
                first + 1
            },
            "in the order in which they were recorded",
        ),
        (
            &|file| {
                file.remove(own);
                own
            },
            "a log line is missing",
        ),
        (
            &|file| {
                file[first]["log"]["sessionId"] = file[own]["log"]["sessionId"].clone();
                first
            },
            "written elsewhere",
        ),
        (
            &|file| {
                file[first]["log"]["revision"] = 99.into();
                first
            },
            "written elsewhere",
        ),
        (
            &|file| {
                let line = file.remove(own);
                file.insert(event, line);
                event
            },
            "event",
        ),
    ];
    for (change, part) in changes {
        let mut changed = file.clone();
        let at = change(&mut changed);
        let request = server.request(Method::POST, "/api/v1/sessions/import").body(sealed(&changed));
        let problem = problem(request, "bad_request").await;
        assert_eq!(problem["line"], at + 1, "{part}: {problem}");
        assert!(
            part == "event" || problem["detail"].as_str().is_some_and(|said| said.contains(part)),
            "{part}: {problem}"
        );
    }
    assert_eq!(rows(&server).await, before, "something stayed");
}
