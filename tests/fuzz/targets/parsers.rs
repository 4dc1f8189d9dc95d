//! Small things that clients and settings write: conditions, origins, times, ids, filters, cursors, addresses,
//! and the words of others. The first line names what is read.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use relive::config::ListenAddress;
use relive::endpoint::{self, Secrets, Sieve};
use relive::fuzzing;
use relive::storage::PageCursor;
use relive_client::Address;
use relive_protocol::nearest;
use relive_session::{MessageId, SessionId, Timestamp};

use super::{MIB, Target, assert_short, first_line, kind_of, outcome, pieces};
use crate::mutate::{bytes, words};
use crate::random::Random;

pub const TARGET: Target = Target { name: "parsers", share: 70, memory: 4 * MIB, change, check };

const KINDS: [&str; 9] = ["etag", "origin", "time", "id", "query", "cursor", "address", "words", "sieve"];
const WORDS: [&str; 48] = [
    "\"7\"",
    "W/",
    "*",
    ",",
    " ",
    "\t",
    "http://",
    "https://",
    "localhost",
    "[::1]",
    "127.0.0.1",
    "a.example",
    ":",
    "7400",
    "80",
    "443",
    "0",
    "65536",
    "/",
    "//",
    "?",
    "#",
    "@",
    "null",
    "2026-01-31T08:15:30.250Z",
    "9999-12-31T23:59:59Z",
    "0000-01-01T00:00:00Z",
    "+23:59",
    "-23:59",
    "T",
    "Z",
    "60",
    ".999999999",
    "status=",
    "running",
    "limit=",
    "cursor=",
    "nodeId=a&nodeStatus=running",
    "&",
    "%00",
    "%",
    "startedAfter=",
    "text=",
    "f_________8AAAAAAAAAAAAAAAAAAAA",
    "data: ",
    "{\"error\":",
    "sk-secret-1",
    "<title>",
];

fn change(one: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let ((kind, text), (_, other)) = (first_line(one), first_line(other));
    let kind = if random.one_in(10) { random.pick(&KINDS) } else { kind };
    let mut text = match (std::str::from_utf8(text), std::str::from_utf8(other)) {
        (Ok(text), Ok(other)) => words::change(text, other, &WORDS, random).into_bytes(),
        _ => text.to_vec(),
    };
    if random.one_in(3) {
        bytes::change(&mut text, other, random);
    }
    [kind.as_bytes(), b"\n", &text].concat()
}

fn check(input: &[u8]) -> u64 {
    let (kind, bytes) = first_line(input);
    let text = String::from_utf8_lossy(bytes);
    let came = match kind {
        "etag" => etag(bytes),
        "origin" => origin(&text),
        "time" => time(&text),
        "id" => id(&text),
        "query" => query(&text),
        "cursor" => cursor(&text),
        "address" => address(&text),
        "words" => words_of(bytes),
        _ => sieve(&text),
    };
    outcome((kind, came))
}

fn headers(name: HeaderName, values: &[u8]) -> HeaderMap {
    let lines = values.split(|byte| *byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok());
    lines.map(|value| (name.clone(), value)).collect()
}

fn etag(bytes: &[u8]) -> String {
    let given = headers(fuzzing::IF_MATCH, bytes);
    let held = fuzzing::is_held(&headers(fuzzing::IF_NONE_MATCH, bytes), "\"7\"");
    match fuzzing::if_match(&given) {
        Ok(Some(revisions)) => {
            // Each revision stands there as the server writes it, and is held by the other header as well.
            for revision in &revisions {
                let tag = format!("\"{revision}\"");
                assert!(bytes.windows(tag.len()).any(|part| part == tag.as_bytes()), "{tag}");
            }
            assert!(held || !revisions.contains(&7), "\"7\" is named, and not held");
            format!("{} {held}", revisions.len().min(3))
        }
        Ok(None) => {
            assert!(given.is_empty() || held, "any is none");
            format!("any {held}")
        }
        Err(error) => {
            assert!(!held, "malformed, and held");
            kind_of(&error)
        }
    }
}

fn origin(text: &str) -> String {
    let (header, host) = text.split_once(' ').unwrap_or((text, "localhost:7400"));
    let allowed = fuzzing::allowed_origin(header);
    if let Ok(allowed) = &allowed {
        assert_eq!(fuzzing::allowed_origin(allowed).as_ref(), Ok(allowed), "written otherwise");
        assert!(allowed != "*" && !allowed.ends_with("null") || allowed.contains("://"), "{allowed}");
    } else if let Err(error) = &allowed {
        assert!(error.len() <= 6 * text.len() * 2 + 300, "{} bytes", error.len());
    }
    match fuzzing::origin(header, host) {
        Some((written, is_at)) => {
            assert_eq!(fuzzing::origin(&written, host), Some((written.clone(), is_at)), "written otherwise");
            let host = host.to_ascii_lowercase();
            let name = written.split("://").nth(1).unwrap_or_default();
            let of_name = name.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).map_or(name, |(name, _)| name);
            // The same name, but for how an address is written.
            assert!(!is_at || host.starts_with(of_name) || of_name.starts_with('['), "{written} at {host}");
            format!("{is_at} {}", allowed.is_ok())
        }
        None => allowed.map_or_else(|error| kind_of(&error), |_| "only with a slash".to_owned()),
    }
}

fn time(text: &str) -> String {
    let Ok(time) = text.parse::<Timestamp>() else { return "none".to_owned() };
    is_a_time(time);
    is_a_time(time + Duration::from_millis(u64::MAX));
    is_a_time(time + Duration::from_secs(86_400));
    format!("{}", time.as_millis().signum())
}

/// What is written is read again as the same, wherever it comes from.
fn is_a_time(time: Timestamp) {
    let written = time.to_string();
    assert_eq!(written.parse().ok(), Some(time), "{written} is another time");
    assert_eq!(written.len(), 24, "{written}");
    assert_eq!(Timestamp::from_millis(time.as_millis()), Some(time), "{written}");
}

fn id(text: &str) -> String {
    if let Some(id) = MessageId::new(text) {
        let json = serde_json::to_string(&id).expect("an id can be written");
        assert_eq!(serde_json::from_str::<MessageId>(&json).ok(), Some(id));
    }
    let known = ["nodeId", "nodeStatus", "startedAfter", "limit", "running"];
    if let Some(nearest) = nearest(text, known.into_iter()) {
        assert!(known.contains(&nearest));
    }
    match text.parse::<SessionId>() {
        Ok(id) => {
            assert_eq!(id.to_string().parse(), Ok(id));
            "a session".to_owned()
        }
        Err(error) => {
            assert_short(&error.to_string());
            assert!(!error.to_string().chars().any(char::is_control), "{error:?}");
            format!("{}", MessageId::new(text).is_some())
        }
    }
}

fn query(text: &str) -> String {
    let Ok(uri) = format!("/api/v1/sessions?{text}").parse::<Uri>() else { return "no address".to_owned() };
    match fuzzing::session_query(&uri) {
        Ok((filter, limit, cursor)) => {
            assert!((1..=200).contains(&limit));
            let times = [
                filter.started_after,
                filter.started_before,
                filter.ended_after,
                filter.ended_before,
                filter.updated_after,
            ];
            let cursor_time = cursor.map(|cursor| cursor.created_at);
            times.into_iter().chain([cursor_time]).flatten().for_each(is_a_time);
            let node = filter.node.as_ref().is_some_and(|(id, _)| id.as_str().contains('\0'));
            assert!(!node, "NUL reaches the database");
            format!("{filter:?}").split(", ").filter(|part| part.contains("Some")).count().to_string()
        }
        Err(error) => kind_of(&error),
    }
}

fn cursor(text: &str) -> String {
    match PageCursor::decode(text) {
        Some(cursor) => {
            assert_eq!(cursor.encode(), text);
            is_a_time(cursor.created_at);
            "one".to_owned()
        }
        None => "none".to_owned(),
    }
}

fn address(text: &str) -> String {
    let listen = text.parse::<ListenAddress>();
    if let Ok(address) = &listen {
        assert_eq!(address.to_string().parse().as_ref(), Ok(address));
        assert!(!address.host().contains(['[', ']', ' ', '/']), "{}", address.host());
    }
    let base = Address::parse(text);
    if let Ok(address) = &base {
        assert_eq!(Address::parse(&address.to_string()).as_ref(), Ok(address), "{address}");
    }
    let endpoint = endpoint::address(text, &["chat", "completions"]);
    if let Some(url) = &endpoint {
        assert!(url.path().ends_with("/chat/completions"), "{url}");
        let shown: reqwest::Url = endpoint::shown_url(url).parse().expect("an address");
        assert!(matches!(shown.password(), None | Some("redacted")), "{shown}");
        assert_eq!(shown.host(), url.host(), "{shown}");
    }
    format!("{} {} {}", listen.is_ok(), base.is_ok(), endpoint.is_some())
}

fn words_of(bytes: &[u8]) -> String {
    let secrets = Secrets::new(["sk-secret-1"]);
    let words = endpoint::in_body(bytes, &secrets);
    assert!(!words.contains("sk-secret-1"), "a secret is shown");
    assert!(words.chars().count() <= 501, "{} letters", words.chars().count());
    assert!(!words.chars().any(char::is_control), "{words:?}");
    assert_eq!(endpoint::clean(&words).trim_end_matches('…'), words.trim_end_matches('…'), "cleaned once more");
    format!("{}", words.len().min(3))
}

fn sieve(text: &str) -> String {
    let secrets = Secrets::new(["sk-secret-1", "ünder-ünder"]);
    let mut sieve = Sieve::new(secrets.clone());
    let mut out = String::new();
    for piece in pieces(text.as_bytes()) {
        // As far as pieces are texts.
        out += &sieve.push(&String::from_utf8_lossy(piece));
    }
    out += &sieve.finish();
    assert!(!out.contains("sk-secret-1"), "a secret is shown");
    if text.is_ascii() {
        assert_eq!(out, secrets.hide(text), "it depends on how the text comes");
    }
    format!("{}", out.contains("[redacted]"))
}
