//! By vector: order, scores, scopes.

use serde_json::json;

use super::{contents, scores, towards};
use crate::harness::TestServer;

fn near(actual: f64, expected: f64) -> bool {
    (actual - expected).abs() < 1e-6
}

#[tokio::test]
async fn the_nearest_come_first_with_the_cosine_as_score() {
    let server = TestServer::start().await;
    for (content, embedding) in
        [("opposite", towards(-1.0, 0.0)), ("half", towards(1.0, 1.0)), ("same", towards(3.0, 0.0))]
    {
        server.remember(json!({"content": content, "embedding": embedding})).await;
    }
    let found = server.recall(json!({"embedding": towards(1.0, 0.0)})).await;
    assert_eq!(found["method"], "vector");
    assert_eq!(contents(&found), ["same", "half", "opposite"]);
    let scores = scores(&found);
    assert!(near(scores[0], 1.0) && near(scores[1], 0.5_f64.sqrt()) && near(scores[2], -1.0), "{scores:?}");
    assert!(found["memories"][0].get("embedding").is_none(), "lists do not carry vectors: {found}");
    let found = server.recall(json!({"embedding": towards(1.0, 0.0), "limit": 2})).await;
    assert_eq!(contents(&found), ["same", "half"]);
    let found = server.recall(json!({"embedding": towards(1.0, 0.0), "minScore": 0.5})).await;
    assert_eq!(contents(&found), ["same", "half"]);
    let found = server.recall(json!({"embedding": towards(1.0, 0.0), "minScore": 0.99, "limit": 3})).await;
    assert_eq!(contents(&found), ["same"]);
}

#[tokio::test]
async fn a_scope_holds_what_meets_all_its_conditions() {
    let server = TestServer::start().await;
    let (one, other) = (server.new_group().await, server.new_group().await);
    let session = server.create(json!({"groupId": one})).await;
    server.command(&session, json!({"type": "start"})).await;
    let command = |content, agent| json!({"type": "addMemory", "agentId": agent, "content": content, "embedding": towards(1.0, 0.0)});
    server.command(&session, json!([command("run ada", "ada"), command("run bob", "bob")])).await;
    let memory = |content, agent, group: &str| json!({"content": content, "agentId": agent, "groupId": group, "embedding": towards(0.9, 0.1)});
    server.remember(memory("one ada", "ada", &one)).await;
    server.remember(memory("other ada", "ada", &other)).await;
    for (scope, expected) in [
        (json!({}), vec!["one ada", "other ada", "run ada", "run bob"]),
        (json!({"groupId": one}), vec!["one ada", "run ada", "run bob"]),
        (json!({"groupId": other}), vec!["other ada"]),
        (json!({"agentId": "ada"}), vec!["one ada", "other ada", "run ada"]),
        (json!({"sessionId": session}), vec!["run ada", "run bob"]),
        (json!({"groupId": one, "agentId": "ada"}), vec!["one ada", "run ada"]),
        (json!({"groupId": other, "sessionId": session}), vec![]),
        (json!({"agentId": "nobody"}), vec![]),
    ] {
        for asked in [json!({"embedding": towards(1.0, 0.0)}), json!({"text": "ada bob"})] {
            let mut request = scope.clone();
            request.as_object_mut().expect("an object").extend(asked.as_object().expect("an object").clone());
            let found = server.recall(request).await;
            let mut contents = contents(&found);
            contents.sort_unstable();
            assert_eq!(contents, expected, "{scope} {asked}");
        }
    }
}

#[tokio::test]
async fn a_run_lists_its_memories_by_time_and_by_likeness() {
    let server = TestServer::start().await;
    let session = server.running_session().await;
    for n in 0..5 {
        let agent = if n % 2 == 0 { "even" } else { "odd" };
        let content = format!("memory {n}");
        server.command(&session, json!({"type": "addMemory", "content": content, "agentId": agent})).await;
    }
    let path = format!("/api/v1/sessions/{session}/memories");
    let (_, all) = server.get(&path).await;
    assert_eq!(contents(&all), ["memory 0", "memory 1", "memory 2", "memory 3", "memory 4"]);
    assert!(all.get("nextAfter").is_none() && all.get("method").is_none(), "{all}");
    assert_eq!((&all["memories"][0]["embedded"], &all["memories"][0]["sessionId"]), (&json!(false), &json!(session)));
    let (_, odd) = server.get(&format!("{path}?agentId=odd")).await;
    assert_eq!(contents(&odd), ["memory 1", "memory 3"]);

    let mut paged = Vec::new();
    let mut after = String::new();
    loop {
        let (_, page) = server.get(&format!("{path}?order=time&limit=2{after}")).await;
        paged.extend(contents(&page).into_iter().map(str::to_owned));
        let Some(next) = page["nextAfter"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(paged, contents(&all));

    let (_, alike) = server.get(&format!("{path}?text=memory%203&limit=1")).await;
    assert_eq!((contents(&alike), &alike["method"]), (vec!["memory 3"], &json!("text")));
    let (_, alike) = server.get(&format!("{path}?order=similarity&text=memory%203&minScore=0.9")).await;
    assert_eq!(contents(&alike), ["memory 3"]);
}
