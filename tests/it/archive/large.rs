//! A long session, and large lines.

use serde_json::{Value, json};

use super::{export, imported, lines};
use crate::fork::{messages, said};
use crate::harness::{TestServer, context, node};

#[tokio::test]
async fn twenty_thousand_events_go_round() {
    let server = TestServer::start().await;
    let there = TestServer::start().await;
    let id = server.running_session().await;
    for round in 0..20 {
        let commands: Vec<Value> = (0..1_000)
            .map(|n| match n % 10 {
                0 => said(&format!("n{}", n % 70), &format!("{round}-{n}")),
                1 => json!({"type": "recordUsage", "nodeId": "n0", "model": format!("m{}", n % 3), "inputTokens": n, "outputTokens": 1, "costUsd": 0.001}),
                2 => node(&format!("n{}", n % 70), "running"),
                3 => node(&format!("n{}", (n - 1) % 70), if n % 20 == 3 { "completed" } else { "failed" }),
                _ => context(&format!("k{}", n % 7), json!([round, n])),
            })
            .collect();
        server.command(&id, Value::Array(commands)).await;
    }
    let file = export(&server, &id).await;
    let copy = imported(&there, file.clone()).await;
    assert_eq!(copy, id);
    let revision = server.session(&id).await["revision"].as_u64().expect("a revision");
    assert!(revision > 20_000, "{revision}");
    assert_eq!(there.session(&id).await, server.session(&id).await);
    for revision in [1, 2, 255, 256, 257, 9_999, 10_000, revision - 1] {
        let moment = format!("{id}?revision={revision}");
        assert_eq!(there.session(&moment).await, server.session(&moment).await);
    }
    assert_eq!(there.events(&id).await, server.events(&id).await);
    assert_eq!(messages(&there, &id, "", 1_000).await, messages(&server, &id, "", 1_000).await);
    let usage = |server: &TestServer| {
        let request = server.request(reqwest::Method::GET, &format!("/api/v1/sessions/{id}/usage"));
        async { crate::harness::answer(request).await.1 }
    };
    assert_eq!(usage(&there).await, usage(&server).await);
    // Keyframes came along: looking back does not begin at the beginning.
    let keyframes = super::rows(&there).await[3];
    assert!(keyframes >= 70, "{keyframes}");
}

#[tokio::test]
async fn large_outputs_and_texts_go_round_page_by_page() {
    let server = TestServer::start().await;
    let there = TestServer::start().await;
    let id = server.running_session().await;
    for n in 0..12 {
        let text = format!("{n}").repeat(if n % 3 == 0 { 400_000 } else { 10 });
        server
            .command(
                &id,
                json!({"type": "setNodeStatus", "nodeId": format!("n{n}"), "status": "completed", "output": text}),
            )
            .await;
        server.command(&id, said("n0", &text)).await;
        server.command(&id, json!({"type": "addMemory", "content": text})).await;
    }
    let file = export(&server, &id).await;
    assert_eq!(lines(&file).len(), 1 + 38 + 12 + 12 + 1);
    imported(&there, file).await;
    assert_eq!(there.events(&id).await, server.events(&id).await);
    assert_eq!(messages(&there, &id, "", 5).await, messages(&server, &id, "", 5).await);
}

/// The state of the largest graph, with long texts in it, is one line.
#[tokio::test]
async fn a_graph_of_ten_thousand_nodes_goes_round() {
    let server = TestServer::start().await;
    let there = TestServer::start().await;
    let ids: Vec<String> = (0..10_000).map(|n| format!("n{n}")).collect();
    let nodes: serde_json::Map<String, Value> = ids
        .iter()
        .enumerate()
        .map(|(n, id)| {
            (
                id.clone(),
                json!({"id": id, "type": "t", "name": id, "nextIds": ids.get(n + 1).into_iter().collect::<Vec<_>>()}),
            )
        })
        .collect();
    let id = server.create(json!({"graph": {"name": "g", "startNodeId": "n0", "nodes": nodes}})).await;
    server.command(&id, json!({"type": "start"})).await;
    server.command(&id, node("n7", "running")).await;
    let made = crate::fork::fork(&server, &id, 3).await;
    for id in [id, crate::fork::id_of(&made)] {
        imported(&there, export(&server, &id).await).await;
        assert_eq!(there.session(&id).await, server.session(&id).await);
    }
}
