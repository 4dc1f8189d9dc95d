//! An endpoint's own text about an error, wherever it is in the answer.

use std::borrow::Cow;

use serde_json::Value;

use super::Secrets;

/// Characters that are kept of a text from outside.
const WORDS: usize = 500;
/// Members with the text of an error, the most specific first.
const MEMBERS: [&str; 17] = [
    "error",
    "errors",
    "detail",
    "message",
    "msg",
    "status_msg",
    "error_message",
    "error_msg",
    "errorMessage",
    "error_description",
    "Message",
    "base_resp",
    "details",
    "title",
    "reason",
    "type",
    "code",
];
/// Levels of an answer that are searched.
const LEVELS: usize = 5;
/// Entries of a list of errors that are used.
const ENTRIES: usize = 5;

/// A text from outside on one line, bounded, without control characters and marks that change the direction.
#[must_use]
pub fn clean(text: &str) -> String {
    let (mut words, mut count, mut gap) = (String::new(), 0, false);
    for letter in text.chars() {
        if letter.is_whitespace() || is_unseen(letter) {
            gap = !words.is_empty();
            continue;
        }
        if count >= WORDS {
            words.push('…');
            break;
        }
        if std::mem::take(&mut gap) {
            words.push(' ');
            count += 1;
        }
        words.push(letter);
        count += 1;
    }
    words
}

/// Control characters, and those that change how others are shown.
fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The text in the body of an error: of JSON as by [`in_json`], a page's title, or a plain text.
/// Empty if there is none.
#[must_use]
pub fn in_body(body: &[u8], secrets: &Secrets) -> String {
    let text = String::from_utf8_lossy(body);
    // Before anything is cut, or a part of a secret could be left.
    let text = secrets.hide(&text);
    let text = text.trim_start_matches('\u{feff}').trim();
    // An error can come as an event as well.
    let data = text.lines().find_map(|line| line.strip_prefix("data:")).map_or(text, str::trim);
    if let Ok(json) = serde_json::from_str::<Value>(data) {
        return in_json(&json, secrets).unwrap_or_default();
    }
    if text.starts_with('<') {
        let kind = if text.starts_with("<?xml") { "an XML document" } else { "an HTML page" };
        return clean(&marked_words(text).unwrap_or(Cow::Borrowed(kind)));
    }
    clean(data)
}

/// The text in an error as JSON: a text, or a member with one of the usual names.
#[must_use]
pub fn in_json(json: &Value, secrets: &Secrets) -> Option<String> {
    find(json, LEVELS).map(|words| clean(&secrets.hide(&words))).filter(|words| !words.is_empty())
}

fn find(json: &Value, levels: usize) -> Option<String> {
    let levels = levels.checked_sub(1)?;
    match json {
        Value::String(text) => {
            // Some endpoints put their JSON into a text.
            let inner = text.trim_start().starts_with('{').then(|| serde_json::from_str::<Value>(text).ok()).flatten();
            inner.and_then(|inner| find(&inner, levels)).or_else(|| Some(text.clone()))
        }
        Value::Number(number) => Some(number.to_string()),
        Value::Array(entries) => {
            let words: Vec<String> =
                entries.iter().take(ENTRIES).filter_map(|entry| entry_words(entry, levels)).collect();
            (!words.is_empty()).then(|| words.join("; "))
        }
        Value::Object(members) => {
            let said = |name: &&str| members.get(*name).filter(|value| says(value));
            let (name, value) = MEMBERS.iter().find_map(|name| said(name).map(|value| (*name, value)))?;
            let words = find(value, levels)?;
            // A bare code is clearer with the text beside it.
            let beside = || ["message", "msg"].iter().find_map(|name| members.get(*name)?.as_str());
            match name {
                "error" if value.is_string() || value.is_number() => {
                    Some(beside().map_or(words.clone(), |beside| format!("{words}: {beside}")))
                }
                _ => Some(words),
            }
        }
        Value::Null | Value::Bool(_) => None,
    }
}

/// One of several errors, such as `{loc: ["body", "model"], msg: "field required"}`.
fn entry_words(entry: &Value, levels: usize) -> Option<String> {
    let words = find(entry, levels)?;
    let Some(place) = entry.get("loc").and_then(Value::as_array) else { return Some(words) };
    let part = |part: &Value| part.as_str().map_or_else(|| part.to_string(), str::to_owned);
    Some(format!("{}: {words}", place.iter().map(part).collect::<Vec<_>>().join(".")))
}

/// Whether it is not empty.
pub(super) fn says(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) => false,
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(entries) => !entries.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Number(number) => number.as_f64() != Some(0.0),
    }
}

/// The title of an HTML page, or its first heading; the message of an error in XML.
fn marked_words(page: &str) -> Option<Cow<'_, str>> {
    let lower = page.to_ascii_lowercase();
    ["title", "h1", "message", "faultstring", "detail"].iter().find_map(|tag| {
        let is_tag = |at: &usize| !lower[at + tag.len() + 1..].starts_with(|next: char| next.is_alphanumeric());
        let mut places = lower.match_indices(&format!("<{tag}")).map(|(at, _)| at).collect::<Vec<_>>().into_iter();
        let from = places.find(is_tag)?;
        let from = from + lower[from..].find('>')? + 1;
        let to = from + lower[from..].find("</")?;
        let title = page.get(from..to)?.trim();
        (!title.is_empty()).then_some(Cow::Borrowed(title))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_an_error_are_found_wherever_they_stand() {
        for (body, expected) in [
            (r#"{"error":{"message":"no such model","type":"x"}}"#, "no such model"),
            (r#"{"error":"no such model"}"#, "no such model"),
            (r#"{"error":{"code":404,"status":"NOT_FOUND","details":[{"reason":"gone"}]}}"#, "gone"),
            (r#"[{"error":{"message":"in a list"}}]"#, "in a list"),
            (r#"{"detail":"Not authenticated"}"#, "Not authenticated"),
            (
                r#"{"detail":[{"loc":["body","model"],"msg":"field required","type":"missing"},{"msg":"b"}]}"#,
                "body.model: field required; b",
            ),
            (r#"{"object":"error","message":"too long","code":400}"#, "too long"),
            (r#"{"message":"rate limited"}"#, "rate limited"),
            (r#"{"errors":[{"message":"a"},"b"]}"#, "a; b"),
            (r#"{"error":{},"message":"beside"}"#, "beside"),
            (r#"{"error":"invalid_request","message":"why"}"#, "invalid_request: why"),
            (r#"{"error":true,"message":"why"}"#, "why"),
            (r#"{"base_resp":{"status_code":1004,"status_msg":"login fail"}}"#, "login fail"),
            (r#"{"type":"about:blank","title":"Gone","status":410}"#, "Gone"),
            (r#"{"code":"1302","msg":"busy"}"#, "busy"),
            (r#"{"code":1302}"#, "1302"),
            (r#"{"error":"{\"error\":{\"message\":\"inside\"}}"}"#, "inside"),
            (r"data: {'not': json}", "{'not': json}"),
            ("data: {\"error\":\"as an event\"}\n\n", "as an event"),
            ("upstream  connect\r\nerror\u{7}\u{1b}[31m", "upstream connect error [31m"),
            ("\u{feff}<!doctype html><html><head><TITLE lang=en>502 Bad\nGateway</title>", "502 Bad Gateway"),
            ("<html><h1>Nope</h1>", "Nope"),
            ("<html>", "an HTML page"),
            ("<Error><Code>AccessDenied</Code><Message>Access denied</Message></Error>", "Access denied"),
            ("<?xml version=\"1.0\"?><s:Fault><faultstring>no such thing</faultstring></s:Fault>", "no such thing"),
            ("<?xml version=\"1.0\"?><messages><message xml:lang=\"en\">within</message></messages>", "within"),
            ("<?xml version=\"1.0\"?><a/>", "an XML document"),
            ("", ""),
            ("{}", ""),
            ("null", ""),
        ] {
            assert_eq!(in_body(body.as_bytes(), &Secrets::default()), expected, "{body}");
        }
    }

    #[test]
    fn words_are_bounded_and_cannot_turn_the_line_around() {
        let long = clean(&"ü".repeat(10_000));
        assert_eq!((long.chars().count(), long.ends_with('…')), (WORDS + 1, true));
        assert_eq!(clean("a\u{202e}b\u{0}c\u{9b}d\n\n e "), "a b c d e");
        let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        let key = Secrets::new(["sk-secret-1"]);
        let quoted = format!("{}sk-secret-1", "x".repeat(WORDS - 5));
        assert_eq!(in_body(quoted.as_bytes(), &key).find("sk-"), None);
        assert_eq!(in_body(br#"{"error":"wrong key sk-secret-1"}"#, &key), "wrong key [redacted]");
        assert_eq!(in_body(deep.as_bytes(), &Secrets::default()), "");
    }
}
