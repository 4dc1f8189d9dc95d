//! What spans mean by the conventions that instrumentations of models and agents follow: `gen_ai.*` of the semantic
//! conventions of OpenTelemetry, in today's and in older names, and OpenInference.

mod flattened;
mod messages;

use rust_decimal::Decimal;
use serde_json::Value;

use relive_session::NodeKind;

use super::span::TraceSpan;
use super::values::{Attributes, parsed, text};

pub(super) use messages::SpanMessage;

/// What a span says about its work.
#[derive(Clone, Debug, Default)]
pub(super) struct Meaning {
    pub kind: Option<NodeKind>,
    pub agent: Option<String>,
    pub usage: Option<SpanUsage>,
    pub input: Option<Value>,
    pub output: Option<Value>,
    pub messages: Vec<SpanMessage>,
}

/// What a call of a model used.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct SpanUsage {
    pub model: Option<String>,
    pub input: u64,
    pub output: u64,
    pub cached: Option<u64>,
    pub reasoning: Option<u64>,
    /// In US dollars.
    pub cost: Option<Decimal>,
}

/// Names of one thing, the first that is there counts.
type Names = &'static [&'static str];

const MODEL: Names = &[
    "gen_ai.response.model",
    "gen_ai.request.model",
    "llm.model_name",
    "embedding.model_name",
    "llm.response.model",
    "llm.request.model",
];
const INPUT_TOKENS: Names =
    &["gen_ai.usage.input_tokens", "llm.token_count.prompt", "gen_ai.usage.prompt_tokens", "llm.usage.prompt_tokens"];
const OUTPUT_TOKENS: Names = &[
    "gen_ai.usage.output_tokens",
    "llm.token_count.completion",
    "gen_ai.usage.completion_tokens",
    "llm.usage.completion_tokens",
];
const CACHED_TOKENS: Names = &[
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_read_input_tokens",
    "llm.token_count.prompt_details.cache_read",
];
const REASONING_TOKENS: Names = &[
    "gen_ai.usage.reasoning.output_tokens",
    "gen_ai.usage.reasoning_tokens",
    "llm.token_count.completion_details.reasoning",
];
const COST: Names = &["gen_ai.usage.cost", "llm.cost.total"];
const AGENT: Names = &["gen_ai.agent.name", "agent.name"];
const INPUT: Names = &["gen_ai.tool.call.arguments", "input.value", "traceloop.entity.input"];
const OUTPUT: Names = &["gen_ai.tool.call.result", "output.value", "traceloop.entity.output"];

/// Attributes that are shown elsewhere than among a node's attributes, and would fill these.
const SHOWN_ELSEWHERE: &[&str] = &[
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "gen_ai.prompt",
    "gen_ai.completion",
    "input.value",
    "output.value",
    "traceloop.entity.input",
    "traceloop.entity.output",
    "llm.input_messages",
    "llm.output_messages",
];

pub(super) fn is_shown_elsewhere(name: &str) -> bool {
    SHOWN_ELSEWHERE
        .iter()
        .any(|known| name.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

impl Meaning {
    pub fn of(span: &TraceSpan) -> Self {
        let attributes = &span.attributes;
        let kind = kind(attributes);
        // The spans above a call of a model repeat its usage and its messages.
        let is_call = match kind {
            Some(kind) => matches!(kind, NodeKind::Llm | NodeKind::Embedding),
            None => true,
        };
        Self {
            kind,
            agent: first(attributes, AGENT).map(text),
            usage: if is_call { usage(attributes) } else { None },
            input: first(attributes, INPUT).map(parsed),
            output: first(attributes, OUTPUT).map(parsed),
            messages: if is_call { messages::of(span) } else { Vec::new() },
        }
    }
}

fn first(attributes: &Attributes, names: Names) -> Option<&Value> {
    names.iter().find_map(|name| attributes.get(*name))
}

fn kind(attributes: &Attributes) -> Option<NodeKind> {
    let word = |name: &str| attributes.get(name).and_then(Value::as_str).map(str::to_ascii_lowercase);
    if let Some(operation) = word("gen_ai.operation.name") {
        return Some(match operation.as_str() {
            "chat" | "text_completion" | "generate_content" => NodeKind::Llm,
            "embeddings" => NodeKind::Embedding,
            "execute_tool" => NodeKind::Tool,
            "create_agent" | "invoke_agent" => NodeKind::Agent,
            "retrieval" => NodeKind::Retriever,
            "invoke_workflow" => NodeKind::Chain,
            _ => NodeKind::Task,
        });
    }
    let word =
        word("openinference.span.kind").or_else(|| word("traceloop.span.kind")).or_else(|| word("llm.request.type"))?;
    Some(match word.as_str() {
        "llm" | "chat" | "completion" => NodeKind::Llm,
        "agent" => NodeKind::Agent,
        "chain" | "workflow" => NodeKind::Chain,
        "tool" => NodeKind::Tool,
        "retriever" | "reranker" | "rerank" => NodeKind::Retriever,
        "embedding" => NodeKind::Embedding,
        "guardrail" => NodeKind::Guardrail,
        _ => NodeKind::Task,
    })
}

fn usage(attributes: &Attributes) -> Option<SpanUsage> {
    let tokens = |names| first(attributes, names).and_then(count);
    let (input, output) = (tokens(INPUT_TOKENS), tokens(OUTPUT_TOKENS));
    if input.is_none() && output.is_none() {
        return None;
    }
    Some(SpanUsage {
        model: first(attributes, MODEL).map(text),
        input: input.unwrap_or_default(),
        output: output.unwrap_or_default(),
        cached: tokens(CACHED_TOKENS),
        reasoning: tokens(REASONING_TOKENS),
        cost: first(attributes, COST).and_then(cost),
    })
}

/// A number of tokens within the limits of a command.
fn count(value: &Value) -> Option<u64> {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok()).or_else(|| whole(value.as_f64()?))?;
    (number <= relive_session::limits::TOKENS).then_some(number)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
fn whole(number: f64) -> Option<u64> {
    (0.0..=1e12).contains(&number).then_some(number as u64)
}

fn cost(value: &Value) -> Option<Decimal> {
    let cost = text(value);
    let cost: Decimal = cost.parse().or_else(|_| Decimal::from_scientific(&cost)).ok()?;
    let limit = Decimal::from(relive_session::limits::COST_USD);
    (!cost.is_sign_negative() && cost <= limit).then_some(cost)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn attributes(value: Value) -> Attributes {
        value.as_object().expect("an object").clone()
    }

    #[test]
    fn the_kinds_of_each_convention() {
        for (name, word, expected) in [
            ("gen_ai.operation.name", "chat", NodeKind::Llm),
            ("gen_ai.operation.name", "invoke_agent", NodeKind::Agent),
            ("gen_ai.operation.name", "something new", NodeKind::Task),
            ("openinference.span.kind", "LLM", NodeKind::Llm),
            ("openinference.span.kind", "RERANKER", NodeKind::Retriever),
            ("openinference.span.kind", "GUARDRAIL", NodeKind::Guardrail),
            ("traceloop.span.kind", "workflow", NodeKind::Chain),
        ] {
            assert_eq!(kind(&attributes(json!({name: word}))), Some(expected), "{word}");
        }
        assert_eq!(kind(&attributes(json!({"gen_ai.operation.name": 7}))), None);
    }

    #[test]
    fn usage_by_todays_and_older_names() {
        let today = json!({"gen_ai.usage.input_tokens": 12, "gen_ai.usage.output_tokens": 3,
            "gen_ai.request.model": "asked", "gen_ai.response.model": "answered", "llm.cost.total": 0.25});
        let expected = SpanUsage {
            model: Some("answered".to_owned()),
            input: 12,
            output: 3,
            cost: Some(Decimal::new(25, 2)),
            ..SpanUsage::default()
        };
        assert_eq!(usage(&attributes(today)), Some(expected));
        let older = json!({"gen_ai.usage.prompt_tokens": "12", "gen_ai.usage.completion_tokens": 3.0});
        assert_eq!(usage(&attributes(older)).map(|usage| (usage.input, usage.output)), Some((12, 3)));
        let hostile =
            json!({"llm.token_count.prompt": -1, "llm.token_count.completion": u64::MAX, "llm.cost.total": "NaN"});
        assert_eq!(usage(&attributes(hostile)), None);
        assert_eq!(cost(&json!("1e-3")), Some(Decimal::new(1, 3)));
        assert_eq!((cost(&json!(-1)), cost(&json!(1e300))), (None, None));
    }

    #[test]
    fn what_is_shown_elsewhere() {
        assert!(is_shown_elsewhere("gen_ai.prompt.0.content") && is_shown_elsewhere("input.value"));
        assert!(!is_shown_elsewhere("gen_ai.prompt_id") && !is_shown_elsewhere("gen_ai.request.model"));
    }
}
