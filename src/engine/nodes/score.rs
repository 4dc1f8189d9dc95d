//! Finds a score or a choice in outputs of nodes.

use serde_json::Value;

/// The score in an output: a number itself, its `score`, that of JSON in its text, or a line of its
/// text such as `Score: 85`.
#[must_use]
pub fn score_of(output: &Value) -> Option<f64> {
    match output {
        Value::Number(number) => number.as_f64(),
        Value::Object(entries) => number(entries.get("score"))
            .or_else(|| entries.get("json").and_then(|json| number(json.get("score"))))
            .or_else(|| entries.get("text").and_then(score_of)),
        Value::String(text) => text.lines().find_map(score_in_line),
        _ => None,
    }
}

/// The choice in an output: its `vote` or `choice`, that of JSON in its text, or its text, without
/// regard to case and surrounding blanks.
#[must_use]
pub fn choice_of(output: &Value) -> Option<String> {
    let plain = |value: &Value| match value {
        Value::String(text) => Some(text.trim().to_lowercase()).filter(|text| !text.is_empty()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    };
    let Value::Object(entries) = output else { return plain(output) };
    let named = |within: &Value| ["vote", "choice"].into_iter().find_map(|name| within.get(name).and_then(plain));
    named(output)
        .or_else(|| entries.get("json").and_then(named))
        .or_else(|| entries.get("action").and_then(plain))
        .or_else(|| entries.get("text").and_then(plain))
}

fn number(value: Option<&Value>) -> Option<f64> {
    match value? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        _ => None,
    }
}

fn score_in_line(line: &str) -> Option<f64> {
    let line = line.to_lowercase();
    let behind = line.split_once("score")?.1.trim_start_matches([' ', '"', ':', '=', '*', '_']);
    let digits: String = behind.chars().take_while(|letter| letter.is_ascii_digit() || *letter == '.').collect();
    digits.trim_end_matches('.').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn scores_are_found_where_people_and_models_put_them() {
        for (output, expected) in [
            (json!(3), Some(3.0)),
            (json!({"score": 90.5}), Some(90.5)),
            (json!({"score": "90"}), Some(90.0)),
            (json!({"text": "…", "json": {"score": 7}}), Some(7.0)),
            (json!({"text": "Good.\n**Score**: 85/100."}), Some(85.0)),
            (json!({"text": "The score is missing"}), None),
            (json!({"text": "nothing"}), None),
            (json!(null), None),
        ] {
            assert_eq!(score_of(&output), expected, "{output}");
        }
    }

    #[test]
    fn so_are_choices() {
        for (output, expected) in [
            (json!("  Yes "), Some("yes")),
            (json!({"vote": "B", "text": "long"}), Some("b")),
            (json!({"text": "no"}), Some("no")),
            (json!({"json": {"choice": true}, "text": "{…}"}), Some("true")),
            (json!({"action": "approve", "review": {}}), Some("approve")),
            (json!({"x": 1}), None),
        ] {
            assert_eq!(choice_of(&output).as_deref(), expected, "{output}");
        }
    }
}
