//! Files whose checks are right, but that no server would have written.

use reqwest::Method;
use serde_json::{Value, json};

use super::{export, imported, lines, rows, run, sealed};
use crate::fork::{fork, id_of};
use crate::harness::{TestServer, problem};

/// Must be refused at this line, with this in the answer.
async fn refused(server: &TestServer, file: &[Value], code: &str, line: usize, part: &str) {
    let request = server.request(Method::POST, "/api/v1/sessions/import").body(sealed(file));
    let problem = problem(request, code).await;
    assert_eq!(problem["line"], line + 1, "{part}: {problem}");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(part)), "{part}: {problem}");
}

fn place(file: &[Value], is_it: impl Fn(&Value) -> bool) -> usize {
    file.iter().position(is_it).expect("such a line")
}

fn event(file: &[Value], kind: &str) -> usize {
    place(file, |line| line["event"]["type"] == kind)
}

fn kind(file: &[Value], kind: &str) -> usize {
    place(file, |line| line["type"] == kind)
}

type Change = (&'static str, fn(&mut Vec<Value>) -> usize, &'static str);

/// What is done to a file, where that is found, and what is said about it.
const CHANGES: &[Change] = &[
    (
        "bad_request",
        |file| {
            file[0]["format"] = "other".into();
            0
        },
        "format relive-session",
    ),
    (
        "bad_request",
        |file| {
            file[0]["version"] = 2.into();
            0
        },
        "version 2",
    ),
    (
        "bad_request",
        |file| {
            file[0]["session"]["id"] = "x".into();
            0
        },
        "no id",
    ),
    (
        "bad_request",
        |file| {
            file.remove(0);
            0
        },
        "header",
    ),
    (
        "bad_request",
        |file| {
            let header = file[0].clone();
            file.insert(1, header);
            1
        },
        "does not belong here",
    ),
    // The header and the events say different things: found when the events are over.
    (
        "bad_request",
        |file| {
            file[0]["session"]["status"] = "completed".into();
            kind(file, "message")
        },
        "do not lead",
    ),
    (
        "bad_request",
        |file| {
            file[0]["session"]["nodes"]["a"]["attempt"] = 2.into();
            kind(file, "message")
        },
        "do not lead",
    ),
    (
        "bad_request",
        |file| {
            file[0]["session"]["revision"] = 21.into();
            kind(file, "message")
        },
        "do not lead",
    ),
    (
        "bad_request",
        |file| {
            file[0]["graph"]["name"] = "x".into();
            kind(file, "message")
        },
        "graph",
    ),
    (
        "bad_request",
        |file| {
            let last = kind(file, "message") - 1;
            file.remove(last);
            last
        },
        "do not lead",
    ),
    (
        "bad_request",
        |file| {
            file.retain(|line| line["type"] != "event");
            1
        },
        "no events",
    ),
    // Density, order, times, the session.
    (
        "bad_request",
        |file| {
            file.remove(5);
            5
        },
        "expected revision 5, found 6",
    ),
    (
        "bad_request",
        |file| {
            file.swap(5, 6);
            5
        },
        "expected revision 5, found 6",
    ),
    (
        "bad_request",
        |file| {
            let again = file[5].clone();
            file.insert(5, again);
            6
        },
        "expected revision 6, found 5",
    ),
    (
        "bad_request",
        |file| {
            file[1]["revision"] = 2.into();
            1
        },
        "begins with",
    ),
    (
        "bad_request",
        |file| {
            file.remove(1);
            1
        },
        "begins with",
    ),
    (
        "bad_request",
        |file| {
            file[4]["revision"] = json!(-1);
            4
        },
        "invalid value",
    ),
    (
        "bad_request",
        |file| {
            file[4]["at"] = "2020-01-01T00:00:00Z".into();
            4
        },
        "earlier",
    ),
    (
        "bad_request",
        |file| {
            file[4]["at"] = "yesterday".into();
            4
        },
        "RFC 3339",
    ),
    (
        "bad_request",
        |file| {
            file[4]["sessionId"] = "0198c0de-0000-7000-8000-000000000001".into();
            4
        },
        "belongs to session",
    ),
    (
        "bad_request",
        |file| {
            file[1]["sessionId"] = "0198c0de-0000-7000-8000-000000000001".into();
            1
        },
        "another session",
    ),
    // Events that no command leads to.
    (
        "bad_request",
        |file| {
            let first = file[1]["event"].clone();
            file[4]["event"] = first;
            4
        },
        "is not valid in a session",
    ),
    (
        "bad_request",
        |file| {
            file[2]["event"] = json!({"type": "resumed"});
            2
        },
        "is not valid in a session",
    ),
    (
        "bad_request",
        |file| {
            file[3]["event"]["attempt"] = 7.into();
            3
        },
        "no command leads to this event in the state before it",
    ),
    (
        "bad_request",
        |file| {
            file[3]["event"]["nodeId"] = "nowhere".into();
            3
        },
        "unknown",
    ),
    (
        "bad_request",
        |file| {
            file[3]["event"]["status"] = "suspended".into();
            3
        },
        "cannot become suspended",
    ),
    (
        "bad_request",
        |file| {
            file[3]["event"]["progress"] = 1.5.into();
            3
        },
        "between 0 and 1",
    ),
    (
        "bad_request",
        |file| {
            file[3]["event"]["name"] = "a\0b".into();
            3
        },
        "NUL",
    ),
    (
        "too_large",
        |file| {
            file[3]["event"]["name"] = "x".repeat(1_025).into();
            3
        },
        "limit",
    ),
    (
        "too_large",
        |file| {
            let at = event(file, "contextSet");
            file[at]["event"]["value"] = "x".repeat(1_100_000).into();
            at
        },
        "the context data",
    ),
    (
        "bad_request",
        |file| {
            let at = event(file, "proposalSet");
            file[at]["event"]["proposal"] = json!({"a\0": 1});
            at
        },
        "NUL",
    ),
    (
        "bad_request",
        |file| {
            let at = event(file, "usageRecorded");
            file[at]["event"]["costUsd"] = json!(-1);
            at
        },
        "US dollars",
    ),
    (
        "bad_request",
        |file| {
            let at = event(file, "usageRecorded");
            file[at]["event"]["inputTokens"] = json!(2_000_000_000_000u64);
            at
        },
        "must not exceed",
    ),
    (
        "bad_request",
        |file| {
            let at = event(file, "signalled");
            file[at]["event"]["nodeId"] = "c".into();
            at
        },
        "neither running nor suspended",
    ),
    (
        "bad_request",
        |file| {
            file[4]["event"]["type"] = "invented".into();
            4
        },
        "unknown variant",
    ),
    (
        "bad_request",
        |file| {
            file[1]["event"]["graph"]["startNodeId"] = "nowhere".into();
            1
        },
        "graph",
    ),
    (
        "bad_request",
        |file| {
            file[1]["event"]["inputs"] = json!("\0");
            1
        },
        "NUL",
    ),
    // Messages.
    (
        "bad_request",
        |file| {
            let at = kind(file, "message");
            file.remove(at);
            at
        },
        "not the one that its event added",
    ),
    (
        "bad_request",
        |file| {
            let at = kind(file, "message");
            file.remove(at + 1);
            at + 1
        },
        "a message is missing",
    ),
    (
        "bad_request",
        |file| {
            let at = kind(file, "message");
            file.swap(at, at + 1);
            at
        },
        "not the one",
    ),
    (
        "bad_request",
        |file| {
            let at = kind(file, "message");
            let again = file[at].clone();
            file.insert(at, again);
            at + 1
        },
        "in the order",
    ),
    (
        "bad_request",
        |file| {
            let at = kind(file, "message");
            file[at]["revision"] = 3.into();
            at
        },
        "not the one",
    ),
    (
        "bad_request",
        |file| {
            let at = kind(file, "message");
            file[at]["message"]["role"] = "user".into();
            at
        },
        "not the one",
    ),
    (
        "bad_request",
        |file| {
            let at = kind(file, "message");
            file[at]["message"]["createdAt"] = "2020-01-01T00:00:00Z".into();
            at
        },
        "not the one",
    ),
    (
        "bad_request",
        |file| {
            let at = kind(file, "message");
            file[at]["message"]["id"] = "0198c0de-0000-7000-8000-000000000001".into();
            at
        },
        "not the one",
    ),
    (
        "bad_request",
        |file| {
            let at = kind(file, "message");
            file[at]["message"]["content"] = "\0".into();
            at
        },
        "NUL",
    ),
    (
        "bad_request",
        |file| {
            let at = kind(file, "message");
            file[at]["depth"] = 1.into();
            at
        },
        "said elsewhere",
    ),
    (
        "bad_request",
        |file| {
            let at = kind(file, "message");
            file[at]["message"]["sessionId"] = "0198c0de-0000-7000-8000-000000000001".into();
            at
        },
        "said elsewhere",
    ),
    (
        "too_large",
        |file| {
            let at = kind(file, "message");
            file[at]["message"]["content"] = "x".repeat(1024 * 1024 + 1).into();
            at
        },
        "content",
    ),
    // Memories.
    (
        "bad_request",
        |file| {
            let at = kind(file, "memory");
            file.swap(at, at + 1);
            at + 1
        },
        "by time and id",
    ),
    (
        "bad_request",
        |file| {
            let at = kind(file, "memory");
            let again = file[at].clone();
            file.insert(at, again);
            at + 1
        },
        "by time and id",
    ),
    (
        "bad_request",
        |file| {
            let at = kind(file, "memory");
            file[at]["memory"]["content"] = "\0".into();
            at
        },
        "NUL",
    ),
    (
        "bad_request",
        |file| {
            let at = kind(file, "memory");
            file[at]["memory"]["embedding"] = json!([0, 0, 0, 0, 0, 0, 0, 0]);
            at
        },
        "length",
    ),
    (
        "bad_request",
        |file| {
            let at = kind(file, "memory");
            file[at]["memory"]["embedding"] = json!(["x"]);
            at
        },
        "invalid type",
    ),
    (
        "bad_request",
        |file| {
            let at = kind(file, "memory");
            file[at]["memory"].as_object_mut().unwrap().remove("sessionId");
            at
        },
        "another session",
    ),
    // Sections and the end.
    (
        "bad_request",
        |file| {
            let (at, line) = (kind(file, "message"), file[5].clone());
            file.insert(at + 1, line);
            at + 1
        },
        "does not belong here",
    ),
    (
        "bad_request",
        |file| {
            let at = kind(file, "message");
            file.insert(
                at,
                json!({"type": "ancestor", "depth": 1, "sessionId": file[0]["session"]["id"], "revision": 1}),
            );
            at
        },
        "ancestor",
    ),
    (
        "bad_request",
        |file| {
            let at = kind(file, "message");
            file.insert(at, json!({"type": "output", "depth": 1, "revision": 1, "output": 1}));
            at
        },
        "no node has this output",
    ),
    (
        "bad_request",
        |file| {
            let at = kind(file, "message");
            file.insert(at, json!({"type": "usage", "nodeId": "a", "calls": 1, "inputTokens": 1, "outputTokens": 1, "costUsd": "1"}));
            at + 1
        },
        "usage before the fork",
    ),
    (
        "bad_request",
        |file| {
            file.pop();
            file.len()
        },
        "cut off",
    ),
    (
        "bad_request",
        |file| {
            let end = file.last().cloned().unwrap();
            file.push(end);
            file.len() - 1
        },
        "does not belong here",
    ),
];

#[tokio::test]
async fn what_no_server_would_have_written_is_refused() {
    let server = TestServer::start().await;
    let id = run(&server).await;
    let file = lines(&export(&server, &id).await);
    assert_eq!(server.call(Method::DELETE, &format!("/api/v1/sessions/{id}"), None).await.0, 204);
    let before = rows(&server).await;
    for (code, change, part) in CHANGES {
        let mut changed = file.clone();
        let line = change(&mut changed);
        refused(&server, &changed, code, line, part).await;
    }
    assert_eq!(rows(&server).await, before, "something stayed");
    // The file itself, put together the same way, is taken: so it was the changes that were refused.
    assert_eq!(imported(&server, sealed(&file)).await, id);
}

/// What is done to the file of a fork.
const CHANGES_OF_A_FORK: &[Change] = &[
    (
        "bad_request",
        |file| {
            let at = kind(file, "ancestor");
            file.remove(at);
            at
        },
        "by their depth",
    ),
    (
        "bad_request",
        |file| {
            let at = kind(file, "ancestor");
            file[at]["revision"] = 14.into();
            at
        },
        "forked from",
    ),
    (
        "bad_request",
        |file| {
            let at = kind(file, "ancestor");
            file[at]["depth"] = 2.into();
            at
        },
        "by their depth",
    ),
    (
        "bad_request",
        |file| {
            let at = kind(file, "output");
            file.remove(at);
            at
        },
        "output from before the fork is missing",
    ),
    (
        "bad_request",
        |file| {
            let at = kind(file, "output");
            file[at]["output"] = "other".into();
            at
        },
        "no node has this output",
    ),
    (
        "bad_request",
        |file| {
            let at = kind(file, "output");
            let again = file[at].clone();
            file.insert(at, again);
            at + 1
        },
        "by depth and revision",
    ),
    (
        "bad_request",
        |file| {
            let at = kind(file, "usage");
            file.remove(at);
            kind(file, "message")
        },
        "usage before the fork",
    ),
    (
        "bad_request",
        |file| {
            let at = kind(file, "usage");
            file.swap(at, at + 1);
            at + 1
        },
        "by node, agent and model",
    ),
    (
        "bad_request",
        |file| {
            let at = kind(file, "usage");
            file[at]["costUsd"] = "0.3".into();
            kind(file, "message")
        },
        "usage before the fork",
    ),
    (
        "bad_request",
        |file| {
            let at = kind(file, "message");
            file[at]["depth"] = 3.into();
            at
        },
        "said elsewhere",
    ),
    (
        "bad_request",
        |file| {
            let at = kind(file, "message");
            file[at]["revision"] = 999.into();
            at
        },
        "said elsewhere",
    ),
    (
        "bad_request",
        |file| {
            let at = kind(file, "message");
            file.swap(at, at + 1);
            at + 1
        },
        "in the order",
    ),
    (
        "bad_request",
        |file| {
            file[1]["event"]["forked"]["state"]["nodes"][0]["node"]["id"] = "z".into();
            1
        },
        "those of the graph",
    ),
    (
        "bad_request",
        |file| {
            file[1]["event"]["forked"]["state"]["nodes"][0]["output"]["depth"] = 0.into();
            1
        },
        "ancestor",
    ),
    (
        "bad_request",
        |file| {
            file[1]["event"]["forked"]["state"]["nodes"][1]["node"]["error"] = "\0".into();
            1
        },
        "NUL",
    ),
    (
        "bad_request",
        |file| {
            let twice = file[1]["event"]["forked"]["state"]["nodes"][0].clone();
            file[1]["event"]["forked"]["state"]["nodes"][1] = twice;
            1
        },
        "different ids",
    ),
    (
        "bad_request",
        |file| {
            file[1]["event"]["forked"]["state"]["context"]["x"] = Value::Null;
            1
        },
        "keys and values",
    ),
    (
        "too_large",
        |file| {
            file[1]["event"]["forked"]["state"]["context"]["x"] = "x".repeat(1_100_000).into();
            1
        },
        "context",
    ),
    (
        "bad_request",
        |file| {
            file[1]["event"]["forked"]["state"]["signals"] = json!({"c": {"revision": 1, "payload": 1}});
            1
        },
        "suspended",
    ),
    (
        "bad_request",
        |file| {
            file[1]["event"]["forked"]["state"]["signals"]["b"]["revision"] = 0.into();
            1
        },
        "first event",
    ),
    (
        "bad_request",
        |file| {
            file[1]["event"]["forked"]["state"]["status"] = "completed".into();
            1
        },
        "status",
    ),
    (
        "bad_request",
        |file| {
            file[1]["event"]["forked"]["state"]["totalCostUsd"] = "-1".into();
            1
        },
        "negative",
    ),
    (
        "bad_request",
        |file| {
            file[1]["event"]["forked"]["state"]["totalTokens"] = 1.into();
            kind(file, "ancestor")
        },
        "do not lead",
    ),
];

#[tokio::test]
async fn nor_is_a_fork_that_no_server_would_have_made() {
    let server = TestServer::start().await;
    let id = run(&server).await;
    // Revision 18 holds an undelivered signal.
    let second = id_of(&fork(&server, &id, 18).await);
    server.command(&second, crate::fork::said("a", "in the second")).await;
    let third = id_of(&fork(&server, &second, 2).await);
    let file = lines(&export(&server, &third).await);
    sqlx::query("DELETE FROM sessions").execute(server.database.storage().pool()).await.expect("deleted");
    let before = rows(&server).await;
    assert!(before.iter().all(|rows| *rows == 0), "{before:?}");
    for (code, change, part) in CHANGES_OF_A_FORK {
        let mut changed = file.clone();
        let line = change(&mut changed);
        refused(&server, &changed, code, line, part).await;
    }
    assert_eq!(rows(&server).await, before, "something stayed");
    assert_eq!(imported(&server, sealed(&file)).await, third);
}

#[tokio::test]
async fn an_id_that_somebody_else_has_is_named() {
    let server = TestServer::start().await;
    let id = run(&server).await;
    let file = lines(&export(&server, &id).await);
    let mut other = file.clone();
    let memory = kind(&file, "memory");
    // Another session, with the messages and memories of this one. Ids of messages count for a session.
    let names = [(id.as_str(), "0198c0de-0000-7000-8000-000000000001")];
    other.iter_mut().for_each(|line| *line = super::renamed(line, &names));
    let before = rows(&server).await;
    refused(&server, &other, "conflict", memory, "is taken").await;
    assert_eq!(rows(&server).await, before);
    let request = server.request(Method::POST, "/api/v1/sessions/import?newId=true").body(sealed(&other));
    let (status, session) = crate::harness::answer(request).await;
    assert_eq!(status, 201, "{session}");
}
