//! Templates: checked, looked through for what they refer to, and filled within their budget.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use relive::engine::TemplateError;
use relive::fuzzing::{References, TemplateBudget, check as check_template, fill};
use serde_json::{Value, json};

use super::{MIB, Target, assert_short, kind_of, outcome};
use crate::mutate::{bytes, words};
use crate::random::Random;

/// 64 MiB may be paid for, each value of a list counts 32 bytes of what it takes, and the text itself comes to
/// it, up to three times.
pub const TARGET: Target = Target { name: "templates", share: 120, memory: 320 * MIB, change, check };

const WORDS: [&str; 126] = [
    "{{",
    "}}",
    "{%",
    "%}",
    "{#",
    "#}",
    "{{-",
    "-}}",
    "{%-",
    "-%}",
    " ",
    "\n",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    ".",
    "|",
    "~",
    "+",
    "-",
    "*",
    "**",
    "/",
    "//",
    "%",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "=",
    " not ",
    " and ",
    " or ",
    " in ",
    " is ",
    " if ",
    " else ",
    " for ",
    "for x in ",
    "endfor",
    "if ",
    "elif ",
    "else",
    "endif",
    "set ",
    "endset",
    "with ",
    "endwith",
    "filter ",
    "endfilter",
    "raw",
    "endraw",
    "recursive",
    "do ",
    "break",
    "continue",
    "macro m(a)",
    "endmacro",
    "include 'x'",
    "import 'x' as y",
    "extends 'x'",
    "block b",
    "endblock",
    "autoescape true",
    "inputs",
    "nodes",
    "context",
    "proposal",
    "output",
    "loop",
    "loop.index",
    "loop(x)",
    "x",
    "y",
    "self",
    "super()",
    "nodes.a.output",
    "nodes['b'].output",
    "nodes[x]",
    "inputs.list",
    "inputs.text",
    "inputs.deep",
    "context.k",
    "1",
    "0",
    "-1",
    "99999",
    "1e9",
    "9223372036854775807",
    "170141183460469231731687303715884105728",
    "0.5",
    "true",
    "none",
    "'a'",
    "\"ü\"",
    "'😀'",
    "[1, 2]",
    "{'a': 1}",
    "[1:3]",
    "[::-1]",
    "range(9)",
    "range(99999)",
    "namespace()",
    "dict(a=1)",
    "|upper",
    "|length",
    "|join(',')",
    "|replace('a', 'bb')",
    "|indent(9)",
    "|batch(3)",
    "|slice(3)",
    "|tojson(indent=2)",
    "|format(1)",
    "|default(0)",
    "|list",
    "|map('upper')",
    "|sort",
    "|urlencode",
    "|sum",
];

fn change(one: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let (one, other) = (String::from_utf8_lossy(one), String::from_utf8_lossy(other));
    let mut input = words::change(&one, &other, &WORDS, random).into_bytes();
    if random.one_in(6) {
        bytes::change(&mut input, other.as_bytes(), random);
    }
    input
}

static SCOPE: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "inputs": {"x": 7, "text": "Ada Lovelace", "list": [3, 1, 2, "a", null], "deep": {"a": {"b": [1, {"c": "d"}]}},
                   "long": "ab\n".repeat(20_000)},
        "nodes": {"a": {"output": {"y": 1, "t": "eins"}}, "b": {"output": [1, 2, 3]}, "c": {"output": "drei"}},
        "context": {"k": "v", "list": [{"n": 1}, {"n": 2}]},
        "proposal": {"title": "less is more"},
    })
});

fn check(input: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(input);
    let template = Value::String(text.to_string());
    let (checked, references) = (check_template(&template), References::of(&template));
    let budget = TemplateBudget::default();
    let filled = fill(&template, &SCOPE, &budget);
    for error in [checked.as_ref().err(), references.as_ref().err(), filled.as_ref().err()].into_iter().flatten() {
        assert_short(&error.to_string());
    }
    assert_eq!(filled, fill(&template, &SCOPE, &TemplateBudget::default()), "it is filled in two ways");
    let is_source = |error: &TemplateError| matches!(error, TemplateError::Syntax(_) | TemplateError::TooLarge(_));
    if let Err(error) = &checked {
        assert!(is_source(error) && filled.is_err(), "{error}: refused, and filled");
    } else {
        assert!(references.is_ok(), "it can be read, but not what it refers to: {references:?}");
        assert!(!filled.as_ref().is_err_and(is_source), "it can be read, and not filled: {filled:?}");
    }
    match (&filled, &references) {
        (Ok(value), Ok(references)) => {
            let bytes = serde_json::to_string(value).expect("a value").len();
            assert!(bytes <= 9 * MIB, "{bytes} bytes");
            needs_no_more(&template, value, references);
            outcome((checked.is_ok(), bytes.checked_ilog2(), value.is_string()))
        }
        (Ok(_), Err(error)) => panic!("it is filled, but cannot be read: {error}"),
        (Err(error), _) => outcome((checked.is_ok(), kind_of(&error.to_string()))),
    }
}

/// Only what it refers to is loaded, and then it becomes the same.
fn needs_no_more(template: &Value, filled: &Value, references: &References) {
    let mut scope = SCOPE.clone();
    let members = scope.as_object_mut().expect("an object");
    for root in ["inputs", "context", "proposal"] {
        if !references.has(root) {
            members.remove(root);
        }
    }
    if let Some(nodes) = references.nodes() {
        let named: BTreeSet<&str> = nodes.iter().map(relive_session::NodeId::as_str).collect();
        let loaded = members["nodes"].as_object_mut().expect("an object");
        loaded.retain(|id, _| named.contains(id.as_str()));
    }
    let again = fill(template, &scope, &TemplateBudget::default());
    assert_eq!(again.as_ref(), Ok(filled), "it refers to more than it is known to");
}
