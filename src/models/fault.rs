//! Errors within an answer of status 200, or in the middle of a stream.

use serde_json::{Map, Value};

use super::error::ChatError;
use crate::endpoint::{self, Secrets};

/// Members with an error's text, if there is no choice beside them.
const WORDS: [&str; 9] =
    ["detail", "message", "msg", "errors", "error_msg", "error_message", "errorMessage", "status_msg", "title"];
/// Texts that are about the endpoint rather than the request.
const OWN_FAULTS: [&str; 11] = [
    "overload",
    "unavailable",
    "internal",
    "server_error",
    "server error",
    "timeout",
    "timed out",
    "bad gateway",
    "capacity",
    "busy",
    "crash",
];

/// Kinds of errors that are the request's, whatever else their text says.
const REQUEST_FAULTS: [&str; 4] = ["invalid_request", "context_length", "content_filter", "content_policy"];

/// The error in an event, if there is one.
pub(super) fn fault(event: &Map<String, Value>, secrets: &Secrets) -> Option<ChatError> {
    let choice = choices(event).next();
    let named = |name: &str| event.get(name).and_then(Value::as_str).is_some_and(|kind| kind == "error");
    let base = event.get("base_resp");
    let failed = event.get("error").is_some_and(says)
        || choice.and_then(|choice| choice.get("error")).is_some_and(says)
        || named("object")
        || named("type")
        || base.and_then(|base| base.get("status_code")).is_some_and(|code| says(code) && code != "0")
        || (choice.is_none() && !event.get("usage").is_some_and(says) && is_bare_fault(event));
    failed.then(|| {
        let at_choice = choice.and_then(|choice| choice.get("error")).filter(|error| says(error));
        match at_choice.filter(|_| !event.get("error").is_some_and(says)) {
            Some(error) => error_of(error, secrets),
            None => error_of(&Value::Object(event.clone()), secrets),
        }
    })
}

/// Whether a member for errors actually reports one.
fn says(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is_error) => *is_error,
        Value::String(text) => !text.trim().is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Array(entries) => !entries.is_empty(),
        Value::Number(number) => number.as_f64() != Some(0.0),
    }
}

/// An error in any form.
pub(super) fn error_of(error: &Value, secrets: &Secrets) -> ChatError {
    let words = endpoint::in_json(error, secrets).unwrap_or_else(|| "it does not say which".to_owned());
    ChatError::Said { by_endpoint: is_its_own(error), words }
}

/// The choices of an event, if they have the right type.
pub(super) fn choices(event: &Map<String, Value>) -> impl Iterator<Item = &Map<String, Value>> {
    let listed = event.get("choices").map(|choices| match choices {
        Value::Array(choices) => choices.as_slice(),
        one => std::slice::from_ref(one),
    });
    listed.into_iter().flatten().filter_map(Value::as_object)
}

/// A text that can only be an error's.
fn is_bare_fault(event: &Map<String, Value>) -> bool {
    let is_fine = |value: &Value| matches!(whole(value), Some(0 | 200));
    let has_words = WORDS.iter().any(|name| match event.get(*name) {
        Some(Value::String(words)) => !words.trim().is_empty(),
        Some(Value::Array(errors)) => !errors.is_empty(),
        _ => false,
    });
    has_words && !event.get("code").is_some_and(is_fine)
}

/// Whether the endpoint is at fault: a server error, or a text that says so. Other errors are taken to be
/// about the request, such as one that is too long.
fn is_its_own(error: &Value) -> bool {
    let inner = error.get("error").unwrap_or(error);
    let status = ["code", "status", "status_code"].into_iter().find_map(|name| whole(inner.get(name)?));
    match status {
        Some(408 | 500..600) => true,
        Some(400..500) => false,
        _ => {
            let text = error.to_string().to_lowercase();
            let has = |words: &&str| text.contains(*words);
            !REQUEST_FAULTS.iter().any(has) && OWN_FAULTS.iter().any(has)
        }
    }
}

/// A whole number that is not negative, also written as a text or as a fraction.
pub(super) fn whole(value: &Value) -> Option<u64> {
    let number: f64 = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    // By way of the text, which is rounded; what is no such number cannot be read again.
    format!("{number:.0}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn errors_within_an_answer_are_told_from_what_is_none() {
        let of = |event: Value| fault(event.as_object().expect("an object"), &Secrets::default());
        for (event, words, by_endpoint) in [
            (json!({"error": {"message": "overloaded"}}), "overloaded", true),
            (
                json!({"error": {"message": "beyond the capacity of the model", "type": "invalid_request_error"}}),
                "beyond the capacity of the model",
                false,
            ),
            (json!({"error": "model 'x' not found"}), "model 'x' not found", false),
            (
                json!({"error": {"message": "maximum context length is 8192", "type": "invalid_request_error"}}),
                "maximum context length is 8192",
                false,
            ),
            (json!({"error": {"code": 503, "message": "no"}, "choices": [{"delta": {}}]}), "no", true),
            (json!({"choices": [{"error": {"message": "at the choice", "code": 502}}]}), "at the choice", true),
            (json!({"object": "error", "message": "no such model", "code": 404}), "no such model", false),
            (json!({"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}}), "Busy", true),
            (json!({"base_resp": {"status_code": 1004, "status_msg": "login fail"}}), "login fail", false),
            (json!({"detail": "Not authenticated"}), "Not authenticated", false),
            (json!({"code": "1302", "message": "wait"}), "wait", false),
            (json!({"error": true}), "it does not say which", false),
        ] {
            let expected = ChatError::Said { by_endpoint, words: words.to_owned() };
            assert_eq!(of(event.clone()), Some(expected), "{event}");
        }
        for event in [
            json!({}),
            json!({"error": null, "choices": null}),
            json!({"error": {}, "detail": ""}),
            json!({"type": "ping"}),
            json!({"base_resp": {"status_code": 0, "status_msg": "success"}}),
            json!({"code": 0, "message": "success"}),
            json!({"message": "beside", "choices": [{"delta": {"content": "a"}}]}),
        ] {
            assert_eq!(of(event.clone()), None, "{event}");
        }
    }
}
