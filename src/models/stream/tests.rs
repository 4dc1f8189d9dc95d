//! Answers as endpoints send them, and what they count as.

use serde_json::json;

use super::*;

/// Text, thinking, and how it ended.
type Heard = (String, String, Result<ModelReply, ChatError>);

fn heard_from(pieces: &[&[u8]], ending: &BodyEnd, secrets: &Secrets) -> Heard {
    let (mut text, mut thinking) = (String::new(), String::new());
    let mut sink = |piece: Piece<'_>| match piece {
        Piece::Text(more) => text.push_str(more),
        Piece::Thinking(more) => thinking.push_str(more),
        Piece::Again { .. } => unreachable!(),
    };
    let mut stream = ChatStream::new(secrets);
    let mut taken = Ok(());
    for piece in pieces {
        if taken.is_ok() && !stream.is_done() {
            taken = stream.push(piece, &mut sink);
        }
    }
    let reply = taken.and_then(|()| stream.finish(ending.clone(), &mut sink));
    (text, thinking, reply)
}

fn heard(body: &str) -> Heard {
    heard_from(&[body.as_bytes()], &BodyEnd::Closed, &Secrets::default())
}

fn sse(events: &[Value]) -> String {
    events.iter().fold(String::new(), |body, event| body + &format!("data: {event}\n\n"))
}

fn says(text: &str) -> Value {
    json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]})
}

fn stop() -> Value {
    json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
}

fn choice(choice: Value) -> Value {
    json!({"choices": [choice]})
}

#[test]
fn pieces_come_out_wherever_the_bytes_are_cut() {
    let body = concat!(
        ": a comment\r\n\r\nevent: x\n",
        "data: {\"model\":\"m-1\",\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"}}]}\r\n\r\n",
        "data: {\"choices\":[{\"delta\":{\"reasoning\":\"…\"}}]}\n\n",
        "data:{\"choices\":[{\"delta\":{\"content\":\"Grüße\"}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"!\"},\"finish_reason\":\"stop\"}]}\n\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n"
    )
    .as_bytes();
    for at in 0..body.len() {
        let (one, two) = body.split_at(at);
        let (text, thinking, reply) = heard_from(&[one, two], &BodyEnd::Closed, &Secrets::default());
        let expected = ModelReply {
            model: "m-1".into(),
            usage: Some(ModelUsage { input_tokens: 3, output_tokens: 2 }),
            finish_reason: Some("stop".into()),
            ..ModelReply::default()
        };
        assert_eq!((text.as_str(), thinking.as_str(), reply), ("Grüße!", "hm…", Ok(expected)), "cut at {at}");
    }
}

#[test]
fn what_nobody_needs_fails_no_answer() {
    let hello = || says("Hello");
    let mut odd = hello();
    odd["choices"][0]["logprobs"] = json!({"content": [{"token": 7, "logprob": null}]});
    (odd["id"], odd["created"], odd["object"]) = (json!(null), json!("now"), json!(7));
    let whole = |message: Value| choice(json!({"message": message, "finish_reason": "stop"})).to_string();
    let ended = |events: &[Value]| sse(events) + &sse(&[stop()]);
    let with_done = |events: &[Value]| sse(events) + "data: [DONE]\n\n";
    let delta = |delta: Value| choice(json!({"index": 0, "delta": delta}));
    for (name, body) in [
        ("plain", ended(&[hello()])),
        ("choices null", ended(&[hello(), json!({"choices": null, "usage": {"prompt_tokens": 3}})])),
        ("data null", format!("data: null\n\n{}", ended(&[hello()]))),
        ("odd fields", ended(&[odd])),
        ("logprobs that are no JSON", ended(&[hello()]).replace("null", "-Infinity")),
        ("usage null", ended(&[hello(), json!({"choices": [], "usage": null})])),
        ("error null", ended(&[json!({"error": null, "choices": []}), hello()])),
        ("role null", ended(&[delta(json!({"role": null, "content": "Hello", "tool_calls": null}))])),
        ("content null", ended(&[hello(), delta(json!({"content": null}))])),
        ("index as a text", ended(&[choice(json!({"index": "0", "delta": {"content": "Hello"}}))])),
        ("index missing", ended(&[choice(json!({"delta": {"content": "Hello"}}))])),
        (
            "another choice beside",
            ended(&[hello(), choice(json!({"index": 1, "delta": {"content": "Hi"}, "finish_reason": "stop"}))]),
        ),
        ("parts", ended(&[delta(json!({"content": [{"type": "text", "text": "Hello"}]}))])),
        (
            "message beside delta",
            ended(&[
                choice(json!({"delta": {"content": "Hello"}, "message": {"content": "Hello"}})),
                choice(json!({"delta": {}, "message": {"content": "Hello"}, "finish_reason": "stop"})),
            ]),
        ),
        (
            "message alone, which grows",
            with_done(&[
                choice(json!({"message": {"content": "Hel"}})),
                choice(json!({"message": {"content": "Hello"}})),
                choice(json!({"message": {"content": "Hello"}, "finish_reason": "stop"})),
            ]),
        ),
        (
            "message alone, in pieces",
            with_done(&[choice(json!({"message": {"content": "Hel"}})), choice(json!({"message": {"content": "lo"}}))]),
        ),
        ("only [DONE] at the end", with_done(&[hello()])),
        ("[DONE] without a line end", sse(&[hello()]) + "data: [DONE]"),
        ("no line end", ended(&[hello()]).trim_end().to_owned()),
        ("more after the end", with_done(&[hello()]) + "data: {\"error\":\"late\"}\n\n"),
        ("without blank lines", ended(&[hello()]).replace("\n\n", "\n")),
        ("carriage returns", ended(&[hello()]).replace('\n', "\r")),
        ("a byte order mark", format!("\u{feff}{}", ended(&[hello()]))),
        ("ids and keep-alives", format!(": ping\n\nid: 3\nretry: 10\n{}", ended(&[hello()]))),
        ("one value", whole(json!({"role": "assistant", "content": "Hello"}))),
        ("one value with a mark", format!("\u{feff}\n {}", whole(json!({"content": "Hello"})))),
        ("one value without a reason", choice(json!({"message": {"content": "Hello"}})).to_string()),
        ("a list of events", json!([hello(), stop()]).to_string()),
        ("a value a line", format!("{}\n{}\n", hello(), stop())),
        (
            "an event over lines",
            format!("data: {}\n\n", serde_json::to_string_pretty(&hello()).unwrap().replace('\n', "\ndata: "))
                + &sse(&[stop()]),
        ),
        ("an older completion", choice(json!({"text": "Hello", "finish_reason": "stop"})).to_string()),
        ("reason as an object", sse(&[hello(), choice(json!({"delta": {}, "finish_reason": {"type": "stop"}}))])),
        ("NUL", ended(&[says("Hel\0lo")])),
    ] {
        let (text, thinking, reply) = heard(&body);
        assert_eq!((text.as_str(), thinking.as_str()), ("Hello", ""), "{name}: {body}");
        assert!(reply.is_ok(), "{name}: {reply:?}");
    }
}

#[test]
fn thinking_is_heard_once() {
    let delta = |delta: Value| choice(json!({"delta": delta}));
    for (name, event) in [
        ("twice", delta(json!({"reasoning": "hm", "reasoning_content": "hm"}))),
        ("in details as well", delta(json!({"reasoning": "hm", "reasoning_details": [{"text": "hm"}]}))),
        ("as a part", delta(json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}))),
    ] {
        let (text, thinking, reply) = heard(&sse(&[event, says("Hello"), stop()]));
        assert_eq!((text.as_str(), thinking.as_str(), reply.is_ok()), ("Hello", "hm", true), "{name}");
    }
}

#[test]
fn usage_is_read_however_it_is_written() {
    let of = |event: Value| {
        let used = heard(&sse(&[says("a"), stop(), event])).2.expect("an answer").usage;
        used.map(|usage| (usage.input_tokens, usage.output_tokens))
    };
    let with = |usage: Value| json!({"choices": [], "usage": usage});
    for (event, expected) in [
        (with(json!({"prompt_tokens": 3, "completion_tokens": 2})), Some((3, 2))),
        (with(json!({"prompt_tokens": 3.0, "completion_tokens": 2.4})), Some((3, 2))),
        (with(json!({"prompt_tokens": "3", "completion_tokens": "2"})), Some((3, 2))),
        (with(json!({"prompt_tokens": null, "completion_tokens": 2})), Some((0, 2))),
        (with(json!({"prompt_tokens": null, "completion_tokens": 2, "total_tokens": 5})), Some((3, 2))),
        (with(json!({"input_tokens": 3, "output_tokens": 2})), Some((3, 2))),
        (with(json!({"prompt_tokens": -1, "completion_tokens": 1e300})), None),
        (with(json!({})), None),
        (with(json!([1])), None),
        (json!({"choices": [], "x_groq": {"usage": {"prompt_tokens": 3, "completion_tokens": 2}}}), Some((3, 2))),
        (choice(json!({"delta": {}, "usage": {"prompt_tokens": 3, "completion_tokens": 2}})), Some((3, 2))),
    ] {
        assert_eq!(of(event.clone()), expected, "{event}");
    }
    // The last that says something counts.
    let growing: Vec<Value> = (1..4).map(|n| with(json!({"prompt_tokens": 3, "completion_tokens": n}))).collect();
    let events = [&[says("a")][..], &growing, &[stop(), with(json!(null))]].concat();
    assert_eq!(
        heard(&sse(&events)).2.expect("an answer").usage,
        Some(ModelUsage { input_tokens: 3, output_tokens: 3 })
    );
}

#[test]
fn no_answer_is_not_an_empty_one() {
    let unreached = |words: &str| ChatError::NoAnswer(words.to_owned());
    let said = |words: &str| ChatError::Said { words: words.to_owned(), by_endpoint: false };
    let cut = |reason: Value| choice(json!({"delta": {"content": "Hel"}, "finish_reason": reason}));
    for (name, body, expected) in [
        ("nothing", String::new(), unreached("")),
        ("an empty object", "{}".to_owned(), unreached("")),
        ("null", "null".to_owned(), unreached("")),
        ("no choices", json!({"choices": []}).to_string(), unreached("")),
        ("no message", choice(json!({"finish_reason": "stop"})).to_string(), unreached("")),
        ("an empty message", choice(json!({"message": {"content": null}})).to_string(), unreached("")),
        ("only [DONE]", "data: [DONE]\n\n".to_owned(), unreached("[DONE]")),
        ("a page", "<!doctype html><title>Sign in</title>".to_owned(), unreached("Sign in")),
        ("a text", "upstream connect error".to_owned(), unreached("upstream connect error")),
        ("a page as an event", "data: <html>\n\n".to_owned(), unreached("an HTML page")),
        ("a text as an event", "data: Internal error\n\n".to_owned(), unreached("Internal error")),
        ("an error", json!({"error": {"message": "no such model"}}).to_string(), said("no such model")),
        ("an error as a text", json!({"error": "no such model"}).to_string(), said("no such model")),
        ("detail", json!({"detail": "Not authenticated"}).to_string(), said("Not authenticated")),
        ("an object of errors", json!({"object": "error", "message": "no"}).to_string(), said("no")),
        ("a vendor's", json!({"base_resp": {"status_code": 1004, "status_msg": "no"}}).to_string(), said("no")),
        ("an error in the stream", sse(&[says("Hel"), json!({"error": "too long"})]), said("too long")),
        (
            "an event of errors",
            "event: error\ndata: {\"code\":\"1302\",\"message\":\"wait\"}\n\ndata: [DONE]\n\n".to_owned(),
            said("wait"),
        ),
        ("an event of errors without JSON", "event: error\ndata: no\n\n".to_owned(), said("no")),
        ("cut off", sse(&[says("Hel")]), ChatError::BrokeOff),
        ("cut off in an event", sse(&[says("Hel")]) + "data: {\"choices\":[{\"de", ChatError::BrokeOff),
        ("cut off, reason empty", sse(&[cut(json!(""))]), ChatError::BrokeOff),
        ("cut off, reason a text of null", sse(&[cut(json!("null"))]), ChatError::BrokeOff),
        ("cut off in one value", "{\"choices\":[{\"message\":{\"content\":\"Hel".to_owned(), unreached("")),
        ("calls that never came", sse(&[choice(json!({"delta": {}, "finish_reason": "tool_calls"}))]), unreached("")),
        (
            "filtered",
            sse(&[says(""), choice(json!({"delta": {}, "finish_reason": "content_filter"}))]),
            ChatError::Filtered,
        ),
    ] {
        let reply = heard(&body).2;
        match (&reply, &expected) {
            // What else is in the words of a body that is no error does not matter.
            (Err(ChatError::NoAnswer(_)), ChatError::NoAnswer(words)) if words.is_empty() => {}
            _ => assert_eq!(reply, Err(expected), "{name}: {body}"),
        }
    }
    let broken = heard("data: {\"choices\": [}\n\n").2;
    assert!(matches!(broken, Err(ChatError::Answer(_))), "{broken:?}");
}

#[test]
fn a_connection_that_ends_badly_after_the_end_matters_no_more() {
    let stalled = BodyEnd::Failed(ChatError::Stalled(std::time::Duration::from_secs(1)));
    let end = |body: &str| heard_from(&[body.as_bytes()], &stalled, &Secrets::default()).2;
    assert!(end(&sse(&[says("a"), stop()])).is_ok());
    assert_eq!(end(&sse(&[says("a")])), Err(ChatError::Stalled(std::time::Duration::from_secs(1))));
    assert_eq!(end(""), Err(ChatError::Stalled(std::time::Duration::from_secs(1))));
    assert_eq!(end("<title>Busy</title>"), Err(ChatError::NoAnswer("Busy".into())));
}

#[test]
fn the_reason_to_finish_is_told() {
    let of = |reason: &str| {
        let reply = heard(&sse(&[says("a"), choice(json!({"delta": {}, "finish_reason": reason}))])).2;
        reply.map(|reply| reply.finish_reason.unwrap_or_default())
    };
    assert_eq!(of("length"), Ok("length".into()));
    assert_eq!(of("content_filter"), Ok("content_filter".into()));
    assert_eq!(of("MAX_TOKENS\u{7}"), Ok("MAX_TOKENS".into()));
    assert!(matches!(of("error"), Err(ChatError::Said { .. })));
}

#[test]
fn tool_calls_and_refusals_are_answers() {
    let call = |index: u64, more: Value| {
        let mut call = json!({"index": index});
        call.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        choice(json!({"delta": {"tool_calls": [call]}}))
    };
    let ends = choice(json!({"delta": {}, "finish_reason": "tool_calls"}));
    let (text, _, reply) = heard(&sse(&[
        call(0, json!({"id": "a", "type": "function", "function": {"name": "find", "arguments": ""}})),
        call(1, json!({"id": "b", "function": {"name": "add", "arguments": "{}"}})),
        call(0, json!({"function": {"arguments": "{\"q\":"}})),
        call(0, json!({"function": {"arguments": "\"\\ud83d\\ude00\"}"}})),
        ends,
    ]));
    let reply = reply.expect("an answer");
    let calls: Vec<_> =
        reply.tool_calls.iter().map(|call| (call.id.as_str(), call.name.as_str(), call.arguments.as_str())).collect();
    assert_eq!((text.as_str(), calls), ("", vec![("a", "find", r#"{"q":"\ud83d\ude00"}"#), ("b", "add", "{}")]));
    let old = choice(json!({"message": {"content": null, "function_call": {"name": "f", "arguments": "{}"}},
                            "finish_reason": "function_call"}));
    assert_eq!(heard(&old.to_string()).2.expect("an answer").tool_calls[0].name, "f");
    let refused = choice(json!({"message": {"content": null, "refusal": "No."}, "finish_reason": "stop"}));
    assert_eq!(heard(&refused.to_string()).2.expect("an answer").refusal.as_deref(), Some("No."));
}

#[test]
fn halves_of_a_character_and_pieces_of_a_secret_meet() {
    let halves = "data: {\"choices\":[{\"delta\":{\"content\":\"a \\ud83d\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"\\ude00 b\"}}]}\n\n";
    assert_eq!(heard(&(halves.to_owned() + &sse(&[stop()]))).0, "a 😀 b");
    assert_eq!(
        heard(
            &(halves[..halves.find("data: {\"choices\":[{\"delta\":{\"content\":\"\\ude00").unwrap()].to_owned()
                + &sse(&[stop()]))
        )
        .0,
        "a \u{fffd}"
    );
    let key = Secrets::new(["sk-secret-1"]);
    let body =
        sse(&[says("it is sk-sec"), says("ret-1, or sk-se"), json!({"model": "sk-secret-1", "choices": []}), stop()]);
    let (text, _, reply) = heard_from(&[body.as_bytes()], &BodyEnd::Closed, &key);
    assert_eq!((text.as_str(), reply.expect("an answer").model.as_str()), ("it is [redacted], or sk-se", "[redacted]"));
    let error = sse(&[json!({"error": "bad key sk-secret-1\u{7}"})]);
    let words = "bad key [redacted]".to_owned();
    let reply = heard_from(&[error.as_bytes()], &BodyEnd::Closed, &key).2;
    assert_eq!(reply, Err(ChatError::Said { words, by_endpoint: false }));
}

#[test]
fn an_answer_is_bounded() {
    let long = "x".repeat(600_000);
    assert_eq!(heard(&sse(&[says(&long), says(&long)])).2, Err(ChatError::TooLong(TEXT_BYTES)));
    let arguments = choice(json!({"delta": {"tool_calls": [{"function": {"name": "f", "arguments": long}}]}}));
    assert_eq!(heard(&sse(&[arguments.clone(), arguments])).2, Err(ChatError::TooLong(TEXT_BYTES)));
}
