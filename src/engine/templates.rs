//! Templates in properties: `{{inputs.x}}`, `{{nodes.id.output.y}}`, `{{context.key}}`,
//! `{{proposal}}`.
//!
//! A text that is nothing but one expression becomes the expression's value, with its type; any other
//! text becomes a text, in which arrays and objects are written as JSON. What does not exist is an
//! error, never an empty text. Nothing a template does can read files or run for long.

use std::collections::BTreeSet;
use std::io;
use std::sync::LazyLock;

use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};
use serde_json::{Map, Value};

use crate::session::NodeId;

/// Steps that filling one text may take.
const FUEL: u64 = 200_000;
/// Bytes that one text may become.
const FILLED_BYTES: usize = 1024 * 1024;

/// Why a template cannot be read or filled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("cannot be read as a template: {0}")]
    Syntax(String),
    #[error("refers to {{{{{0}}}}}, which does not exist")]
    Missing(String),
    #[error("cannot be filled: {0}")]
    Failed(String),
}

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.set_formatter(|output, state, value| {
        if value.is_undefined() || matches!(value.kind(), minijinja::value::ValueKind::String) {
            return minijinja::escape_formatter(output, state, value);
        }
        let json = serde_json::to_string(value).map_err(|_| ErrorKind::BadSerialization)?;
        Ok(output.write_str(&json)?)
    });
    environment
});

/// Checks every text in a value, without filling any.
///
/// # Errors
///
/// [`TemplateError::Syntax`] for the first that cannot be read.
pub fn check(value: &Value) -> Result<(), TemplateError> {
    texts(value, &mut |text| references(text).map(drop))
}

/// What the templates in a value refer to, as dotted paths such as `nodes.a.output.text`.
///
/// # Errors
///
/// As [`check`].
pub fn paths(value: &Value) -> Result<BTreeSet<String>, TemplateError> {
    let mut paths = BTreeSet::new();
    texts(value, &mut |text| {
        paths.extend(references(text)?);
        Ok(())
    })?;
    Ok(paths)
}

/// The nodes whose outputs the paths refer to; `None` when that cannot be told and it may be any.
#[must_use]
pub fn nodes(paths: &BTreeSet<String>) -> Option<BTreeSet<NodeId>> {
    let below = |path: &String| -> Option<Option<NodeId>> {
        let mut parts = path.split('.');
        (parts.next() == Some("nodes")).then(|| parts.next().map(NodeId::from))
    };
    paths.iter().filter_map(below).collect()
}

/// Fills every template in a value.
///
/// # Errors
///
/// [`TemplateError::Missing`] when a template refers to what is not in `scope`.
pub fn fill(value: &Value, scope: &Value) -> Result<Value, TemplateError> {
    Ok(match value {
        Value::String(text) => fill_text(text, scope)?,
        Value::Array(items) => items.iter().map(|item| fill(item, scope)).collect::<Result<_, _>>()?,
        Value::Object(entries) => {
            let filled = entries.iter().map(|(key, entry)| Ok((key.clone(), fill(entry, scope)?)));
            filled.collect::<Result<Map<_, _>, TemplateError>>().map(Value::Object)?
        }
        plain => plain.clone(),
    })
}

fn fill_text(text: &str, scope: &Value) -> Result<Value, TemplateError> {
    if !text.contains("{{") && !text.contains("{%") {
        return Ok(Value::String(text.to_owned()));
    }
    let context = minijinja::Value::from(minijinja::value::Serde(scope));
    let filled = match expression(text) {
        Some(expression) => {
            let evaluated = ENVIRONMENT.compile_expression(expression).and_then(|compiled| compiled.eval(context));
            evaluated.and_then(|value| {
                if value.is_undefined() {
                    return Err(ErrorKind::UndefinedError.into());
                }
                serde_json::to_value(value).map_err(|_| ErrorKind::BadSerialization.into())
            })
        }
        None => ENVIRONMENT.template_from_str(text).and_then(|template| {
            let mut bounded = Bounded(Vec::new());
            template.render_captured_to(context, &mut bounded)?;
            Ok(Value::String(String::from_utf8_lossy(&bounded.0).into_owned()))
        }),
    };
    filled.map_err(|error| explain(&error, text, scope))
}

/// The expression of a text that is nothing else.
fn expression(text: &str) -> Option<&str> {
    let inside = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    let is_alone = !["{{", "}}", "{%", "{#"].iter().any(|mark| inside.contains(mark));
    is_alone.then(|| inside.trim_matches('-').trim())
}

fn references(text: &str) -> Result<BTreeSet<String>, TemplateError> {
    if !text.contains("{{") && !text.contains("{%") {
        return Ok(BTreeSet::new());
    }
    let syntax = |error: Error| TemplateError::Syntax(detail(&error));
    let found = match expression(text) {
        Some(expression) => ENVIRONMENT.compile_expression(expression).map_err(syntax)?.undeclared_variables(true),
        None => ENVIRONMENT.template_from_str(text).map_err(syntax)?.undeclared_variables(true),
    };
    Ok(found.into_iter().filter(|path| !ENVIRONMENT.globals().any(|(name, _)| name == path)).collect())
}

fn explain(error: &Error, text: &str, scope: &Value) -> TemplateError {
    if error.kind() == ErrorKind::UndefinedError
        && let Some(missing) = references(text).ok().and_then(|paths| paths.into_iter().find(|path| lacks(scope, path)))
    {
        return TemplateError::Missing(missing);
    }
    TemplateError::Failed(detail(error))
}

fn lacks(scope: &Value, path: &str) -> bool {
    let mut at = scope;
    for part in path.split('.') {
        let below = match at {
            Value::Object(entries) => entries.get(part),
            Value::Array(items) => part.parse().ok().and_then(|index: usize| items.get(index)),
            _ => None,
        };
        let Some(below) = below else { return true };
        at = below;
    }
    false
}

fn detail(error: &Error) -> String {
    let kind = error.kind().to_string();
    error.detail().map_or(kind.clone(), |detail| format!("{kind}: {detail}")).chars().take(300).collect()
}

fn texts(value: &Value, look: &mut impl FnMut(&str) -> Result<(), TemplateError>) -> Result<(), TemplateError> {
    match value {
        Value::String(text) => look(text),
        Value::Array(items) => items.iter().try_for_each(|item| texts(item, look)),
        Value::Object(entries) => entries.values().try_for_each(|entry| texts(entry, look)),
        _ => Ok(()),
    }
}

/// Takes so much and no more.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > FILLED_BYTES {
            return Err(io::Error::other("it becomes too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn scope() -> Value {
        json!({
            "inputs": {"x": 7, "name": "Ada"}, "proposal": "less is more", "context": {"list": [1, 2]},
            "nodes": {"a": {"output": {"y": {"z": true}}}},
        })
    }

    fn filled(template: Value) -> Result<Value, TemplateError> {
        fill(&template, &scope())
    }

    #[test]
    fn a_lone_expression_keeps_its_type_and_a_text_stays_a_text() {
        let cases = [
            (json!("{{inputs.x}}"), json!(7)),
            (json!(" {{ inputs.x + 1 }} "), json!(8)),
            (json!("{{nodes.a.output.y}}"), json!({"z": true})),
            (json!("x is {{inputs.x}}"), json!("x is 7")),
            (json!("{{inputs.x}}{{inputs.x}}"), json!("77")),
            (json!("{{context.list}}!"), json!("[1,2]!")),
            (json!("{{proposal}} <b>"), json!("less is more <b>")),
            (json!("no template"), json!("no template")),
            (json!({"k": ["{{inputs.name}}", 1]}), json!({"k": ["Ada", 1]})),
            (json!("{{ inputs.other | default('none') }}"), json!("none")),
            (json!("{% if inputs.x > 3 %}many{% endif %}"), json!("many")),
        ];
        for (template, expected) in cases {
            assert_eq!(filled(template.clone()), Ok(expected), "{template}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        for text in
            ["{{inputs.other}}", "so: {{inputs.other}}", "{{ inputs.other.deeper }}", "{{inputs.x}}{{inputs.other}}"]
        {
            let Err(TemplateError::Missing(path)) = filled(json!(text)) else { panic!("{text}") };
            assert!(path.starts_with("inputs.other"), "{text}: {path}");
        }
        assert_eq!(filled(json!("{{nowhere}}")), Err(TemplateError::Missing("nowhere".into())));
    }

    #[test]
    fn what_cannot_be_read_is_found_before_anything_runs() {
        for text in ["{{", "{{ 1 + }}", "{% if %}", "a {{ b", "{{ a }} {% endfor %}"] {
            assert!(matches!(check(&json!([text])), Err(TemplateError::Syntax(_))), "{text}");
        }
        assert_eq!(check(&json!({"a": [1, "{{ fine }}"]})), Ok(()));
    }

    #[test]
    fn the_nodes_a_template_reads_are_known_beforehand() {
        let found = |text| nodes(&paths(&json!(text)).expect("a template"));
        assert_eq!(found("{{nodes.a.output.y}} {{inputs.x}} {{nodes.b}}"), Some(["a".into(), "b".into()].into()));
        assert_eq!(found("{{ nodes['x-y'].output }}"), None, "it may be any");
        assert_eq!(found("{{inputs.x}}"), Some(BTreeSet::new()));
    }

    #[test]
    fn no_template_runs_for_ever_or_grows_without_bound() {
        let endless = "{% for a in range(99999) %}{% for b in range(99999) %}{{ a }}{% endfor %}{% endfor %}";
        assert!(matches!(filled(json!(endless)), Err(TemplateError::Failed(_))));
        let scope = json!({"inputs": {"long": "x".repeat(600_000)}});
        let doubled = fill(&json!("{{inputs.long}} {{inputs.long}}"), &scope);
        assert!(matches!(doubled, Err(TemplateError::Failed(_))), "not bounded");
    }
}
