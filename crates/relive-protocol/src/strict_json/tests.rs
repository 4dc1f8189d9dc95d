use serde_json::json;

use super::*;

fn refused<T: FromClient + std::fmt::Debug>(body: serde_json::Value) -> String {
    T::read(&body.to_string()).expect_err("an unknown field").to_string()
}

#[test]
fn a_misspelled_field_is_named_with_its_place_and_the_nearest_name() {
    let start = json!({"type": "start"});
    let node = json!({"type": "setNodeStatus", "nodId": "a", "status": "running"});
    for (message, expected) in [
        (refused::<Commands>(node.clone()), "nodId: unknown field; did you mean nodeId?"),
        (refused::<Commands>(json!([start, start, node])), "[2].nodId: unknown field; did you mean nodeId?"),
        (
            refused::<Commands>(json!({"type": "addMessage", "nodeId": "a", "content": "c", "is_thinking": true})),
            "is_thinking: unknown field; did you mean isThinking?",
        ),
        (
            refused::<ClientFrame>(
                json!({"type": "command", "id": "1", "sessionId": "x", "commands": [{"type": "pause", "resaon": 1}]}),
            ),
            "commands[0].resaon: unknown field; known are leaseSeconds, type",
        ),
        (
            refused::<CreateSession>(json!({"graph": {"nodes": {"a": {"nextId": []}}}})),
            "graph.nodes.a.nextId: unknown field; did you mean nextIds?",
        ),
        (
            refused::<AgentFields>(json!({"name": "a", "persona": "p"})),
            "persona: unknown field; did you mean personaPrompt?",
        ),
        (refused::<GroupFields>(json!({"id": "a", "name": "g"})), "id: unknown field"),
    ] {
        assert!(message.starts_with(expected), "{message}");
    }
    let long = refused::<GroupFields>(json!({"x".repeat(100_000): 1}));
    assert!(long.len() < 300, "{long}");
}

#[test]
fn what_belongs_to_the_client_stays_free() {
    let agent = json!({"name": "a", "personaPrompt": "p", "modelConfig": {"modle": "m", "deep": {"x": [{}]}}, "capabilities": {"a": 1}});
    assert!(AgentFields::read(&agent.to_string()).is_ok());
    let graph = json!({"workflow_uuid": "w", "name": "g", "start_node_id": "a", "properties": {"budget": {"usd": 1}},
        "nodes": {"a": {"node_id": "a", "node_type": "x", "name": "A", "next_ids": [], "properties": {"prompt": {"any": 1}}}}});
    let session = json!({"graph": graph, "inputs": {"typ": 1}, "proposal": [{"x": 1}], "driver": "external"});
    assert!(CreateSession::read(&session.to_string()).is_ok());
    for command in [
        json!({"type": "complete", "outputs": {"x": 1}}),
        json!({"type": "setContext", "key": "k", "value": {"x": 1}}),
        json!({"type": "signal", "nodeId": "a", "payload": {"review": {"x": 1}}}),
        json!({"type": "addMemory", "content": "c", "metadata": {"x": {"y": 1}}, "embedding": [1, 2]}),
    ] {
        assert!(Commands::read(&command.to_string()).is_ok(), "{command}");
    }
}

#[test]
fn an_array_of_values_is_no_object_and_an_object_is_no_name() {
    let session = "01890a5d-ac96-774b-bcce-b302099a8057";
    for (message, expected) in [
        (refused::<Commands>(json!([["pause"]])), "[0]: an object is expected here, not an array"),
        (refused::<GroupFields>(json!(["g"])), "an object is expected here, not an array"),
        (refused::<Vec<TokenChunk>>(json!([["a", "m", "t"]])), "[0]: an object is expected here, not an array"),
        (
            refused::<CreateSession>(
                json!({"graph": {"name": "g", "startNodeId": "a", "nodes": {"a": ["a", "t", "A"]}}}),
            ),
            "graph.nodes.a: an object is expected here, not an array",
        ),
        (
            refused::<ControlRequest>(json!({"action": {"pause": null}})),
            "action: a text is expected here, not an object",
        ),
        (
            refused::<Commands>(json!({"type": "setNodeStatus", "nodeId": "a", "status": {"running": null}})),
            "status: a text is expected here, not an object",
        ),
        (refused::<ClientFrame>(json!(["ping"])), "an object is expected here, not an array"),
        (refused::<ClientFrame>(json!(["unsubscribe", session])), "an object is expected here, not an array"),
        (
            refused::<ClientFrame>(json!({"type": "command", "id": "1", "sessionId": session, "command": ["pause"]})),
            "command: an object is expected here, not an array",
        ),
    ] {
        assert_eq!(message, expected);
    }
}

#[test]
fn what_is_written_back_may_have_what_was_read() {
    let group = json!({"id": "x", "name": "g", "createdAt": "t", "updatedAt": "t"}).to_string();
    assert!(GroupFields::read_replacement(&group).is_ok());
    assert!(GroupFields::read(&group).is_err());
}

#[test]
fn what_is_wrong_otherwise_says_which_command_it_is() {
    let error = Commands::read(r#"[{"type":"start"},{"type":"fail"}]"#).expect_err("no error text").to_string();
    assert_eq!(error, "[1]: missing field `error`");
    assert!(Commands::read("[{").is_err());
    let chunks = r#"[{"nodeId":"a","messageId":"m","text":"t"},{"nodeId":"a","messageId":"m"}]"#;
    let error = <Vec<TokenChunk>>::read(chunks).expect_err("no text").to_string();
    assert!(error.starts_with("[1]: missing field `text`"), "{error}");
}

#[test]
fn a_frame_says_which_of_its_commands_is_wrong() {
    let session = "01890a5d-ac96-774b-bcce-b302099a8057";
    let start = json!({"type": "start"});
    let frame = |commands: serde_json::Value| {
        refused::<ClientFrame>(json!({"type": "command", "id": "1", "sessionId": session, "commands": commands}))
    };
    for (commands, expected) in [
        (json!([start, {"type": "fail"}]), "commands[1]: missing field `error`"),
        (json!([start, start, {"type": "dance"}]), "commands[2]: unknown variant `dance`"),
        (json!([{"type": "setNodeStatus", "nodeId": "a", "status": "lost"}]), "commands[0]: unknown variant `lost`"),
        (json!([start, 5]), "commands[1]: invalid type: integer `5`"),
        (json!([start, {"typ": "start"}]), "commands[1].typ: unknown field; did you mean type?"),
        (json!([start, {"type": "start", "leaseSeconds": 4}]), "commands[1]: leaseSeconds must lie between 5 and 3600"),
    ] {
        let message = frame(commands);
        assert!(message.starts_with(expected), "{message}");
    }
    // What is wrong elsewhere is not said of the commands.
    let message = refused::<ClientFrame>(json!({"type": "command", "sessionId": session, "commands": [start]}));
    assert_eq!(message, "missing field `id`");
}

#[test]
fn an_array_inside_of_a_body_is_named_with_the_index() {
    for (message, expected) in [
        (
            refused::<WriteWebhook>(
                json!({"url": "https://a.example", "types": ["session.created", "session.crated"]}),
            ),
            "types[1]: unknown variant `session.crated`",
        ),
        (
            refused::<Retention>(json!({"rules": [{"olderThanDays": 1}, {"olderThanDays": "x"}]})),
            "rules[1].olderThanDays: invalid type: string",
        ),
        (refused::<CreateToken>(json!({"scopes": ["read:sessions", 5]})), "scopes[1]: invalid type: integer `5`"),
        (refused::<CreateSession>(json!({"tags": "a"})), "invalid type: string \"a\""),
        (refused::<Commands>(json!({"typ": "pause"})), "typ: unknown field; did you mean type?"),
        (
            refused::<LeasedCommands>(json!([{"type": "pause"}, {"type": "pause", "leaseSeconds": 3_601}])),
            "[1]: leaseSeconds",
        ),
    ] {
        assert!(message.starts_with(expected), "{message}");
    }
    // Each of several has to be possible, although the longest counts.
    let both = r#"[{"type":"pause","leaseSeconds":30},{"type":"resume","leaseSeconds":3}]"#;
    assert!(LeasedCommands::read(both).is_err());
    assert_eq!(LeasedCommands::read(&both.replace('3', "9")).expect("possible").lease_seconds, Some(90));
}

#[test]
fn nearest_names_are_near() {
    let known = ["model", "nodeId", "outputTokens"];
    let near = |name| nearest(name, known.into_iter());
    assert_eq!(near("modle"), Some("model"));
    assert_eq!(near("node_id"), Some("nodeId"));
    assert_eq!(near("NODEID"), Some("nodeId"));
    assert_eq!(near("output_token"), Some("outputTokens"));
    assert_eq!(near("output"), Some("outputTokens"));
    assert_eq!(near("metadata"), None);
    assert_eq!(near(""), None);
}
