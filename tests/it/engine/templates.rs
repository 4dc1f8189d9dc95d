//! What templates and graphs may take of the server, what they see, and how misspelled properties are named.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::support::{graph, output, start_with, until_ended};
use crate::harness::TestServer;

#[tokio::test]
async fn a_template_of_many_parts_is_refused_and_the_server_lives() {
    let server = TestServer::start().await;
    let many = |text: &str| text.repeat(20_000);
    for (name, template) in [
        ("minus", format!("{{{{ {}1 }}}}", many("-"))),
        ("not", format!("{{{{ {}1 }}}}", many("not "))),
        ("sum", format!("{{{{ {}1 }}}}", many("1+"))),
        ("attributes", format!("{{{{ inputs{} }}}}", many(".a"))),
        ("items", format!("{{{{ inputs{} }}}}", many("[0]"))),
        ("calls", format!("{{{{ inputs{} }}}}", many("()"))),
        ("filters", format!("{{{{ 'a'{} }}}}", many("|upper"))),
        ("elif", format!("{{% if 0 %}}{}{{% endif %}}", many("{% elif 0 %}"))),
        ("if else", format!("{{{{ {}1 }}}}", many("1 if 0 else "))),
    ] {
        let mut nodes = graph(&[("a", "end", json!({"output": template}), &[])]);
        let request = json!({"graph": nodes, "driver": "builtin"});
        let problem = server.refused(Method::POST, "/api/v1/sessions", Some(request), "invalid_graph").await;
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains("'a'") && detail.contains("output"), "{name}: {detail}");
        nodes["properties"] = json!({"driver": "builtin"});
        let request = json!({"name": "w", "graph": nodes});
        server.refused(Method::POST, "/api/v1/workflows", Some(request), "invalid_graph").await;
    }
    assert_eq!(server.get("/api/v1/sessions").await.0, 200);
}

#[tokio::test]
async fn a_greedy_template_fails_its_run_and_nothing_else() {
    let server = TestServer::start().await;
    let doubled = "{% set x = 'aaaaaaaaaa' %}".to_owned() + &"{% set x = x ~ x %}".repeat(40) + "{{ x|length }}";
    for (template, why) in [
        (json!("{{ (range(99999)|list)|join(proposal) }}"), "too long"),
        (json!("{{ proposal|replace('x', proposal) }}"), "too long"),
        (json!("{{ 'a\nb'|indent(4000000000) }}"), "too large"),
        (json!(doubled), "too long"),
        (json!(vec!["{% for a in range(66000) %}{% endfor %}"; 5_000]), "too many steps"),
    ] {
        let nodes = graph(&[("a", "end", json!({"output": template}), &[])]);
        let id = start_with(&server, json!({"graph": nodes, "proposal": "x".repeat(500_000)})).await;
        let session = until_ended(&server, &id).await;
        assert_eq!(session["status"], "failed", "{why}");
        let error = session["error"].as_str().expect("an error");
        assert!(error.contains("'a'") && error.contains(why), "{error}");
    }
}

#[tokio::test]
async fn a_node_that_has_not_run_is_not_defined() {
    let server = TestServer::start().await;
    let seen = json!({
        "b": "{{ nodes.b is defined }}", "output": "{{ nodes.b.output is defined }}",
        "deeper": "{{ nodes.b.output.x.y | default(0) }}", "a": "{{ nodes.a is defined }}",
    });
    let nodes = graph(&[
        ("a", "start", json!({"output": {"n": 1}}), &["look"]),
        ("look", "sequence", json!({"output": seen}), &["b"]),
        ("b", "sequence", json!({"output": {"x": 1}}), &["end"]),
        ("end", "end", json!({"output": "{{ nodes.b.output.x }}{{ nodes.b.output.y.z | default('-') }}"}), &[]),
    ]);
    let id = start_with(&server, json!({"graph": nodes})).await;
    assert_eq!(until_ended(&server, &id).await["status"], "completed");
    let expected = json!({"b": false, "output": false, "deeper": 0, "a": true});
    assert_eq!(output(&server, &id, "look").await, expected);
    assert_eq!(output(&server, &id, "end").await, "1-");
}

#[tokio::test]
async fn a_loop_that_is_entered_first_has_no_score_before_its_body_ran() {
    let server = TestServer::start().await;
    let nodes = graph(&[
        ("l", "loop", json!({"maxRounds": 2, "score": "{{ nodes.body.output.score }}"}), &["body", "end"]),
        ("body", "sequence", json!({"output": {"score": 7}}), &["l"]),
        ("end", "end", json!({}), &[]),
    ]);
    let id = start_with(&server, json!({"graph": nodes})).await;
    let session = until_ended(&server, &id).await;
    assert_eq!(session["status"], "completed", "{}", session["error"]);
    let history = session["contextData"]["score_history"].as_array().expect("scores");
    let scores: Vec<(&Value, &Value)> = history.iter().map(|one| (&one["round"], &one["score"])).collect();
    assert_eq!(scores, [(&json!(1), &json!(7.0)), (&json!(2), &json!(7.0))]);
}

#[tokio::test]
async fn a_misspelled_property_is_named_with_the_nearest_known_one() {
    let server = TestServer::start().await;
    let mut nodes = graph(&[("w", "delay", json!({"seconds": 1, "timeoutSecond": 5}), &[])]);
    let request = json!({"graph": nodes, "driver": "builtin"});
    let problem = server.refused(Method::POST, "/api/v1/sessions", Some(request), "invalid_graph").await;
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(detail.contains("'w'") && detail.contains("'timeoutSecond'"), "{detail}");
    assert!(detail.contains("'timeoutSeconds'"), "{detail}");
    nodes["properties"] = json!({"driver": "builtin"});
    server
        .refused(Method::POST, "/api/v1/workflows", Some(json!({"name": "w", "graph": nodes})), "invalid_graph")
        .await;
}

#[tokio::test]
async fn large_graphs_and_deeply_nested_loops_are_created_quickly() {
    let server = TestServer::start().await;
    let loops = |depth: usize| {
        let mut nodes = Map::new();
        for at in 0..depth {
            let mut next = vec![format!("n{}", at + 1)];
            next.extend(at.checked_sub(1).map(|outer| format!("n{outer}")));
            let id = format!("n{at}");
            nodes.insert(id.clone(), json!({"id": id, "type": "loop", "name": id, "nextIds": next}));
        }
        let (last, back) = (format!("n{depth}"), format!("n{}", depth - 1));
        nodes.insert(last.clone(), json!({"id": last, "type": "start", "name": last, "nextIds": [back]}));
        json!({"name": "g", "startNodeId": "n0", "nodes": nodes})
    };
    let chain: Map<String, Value> = (0..5_000)
        .map(|at| {
            let (id, next) = (format!("n{at}"), (at < 4_999).then(|| format!("n{}", at + 1)));
            let next: Vec<String> = next.into_iter().collect();
            (id.clone(), json!({"id": id, "type": "sequence", "name": id, "nextIds": next}))
        })
        .collect();
    for graph in [loops(1_500), json!({"name": "g", "startNodeId": "n0", "nodes": chain})] {
        let began = Instant::now();
        server.create(json!({"graph": graph, "driver": "builtin"})).await;
        // Without the bound this takes minutes where nothing is optimized.
        assert!(began.elapsed() < Duration::from_secs(40), "took {:?}", began.elapsed());
    }
    let request = json!({"graph": loops(4_500), "driver": "builtin"});
    server.refused(Method::POST, "/api/v1/sessions", Some(request), "invalid_graph").await;
}
