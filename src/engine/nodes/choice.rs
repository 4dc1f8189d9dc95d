//! `switch` and `if`: choose which of the next nodes follow. The others are skipped, unless another edge leads
//! to them.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::{AttemptResult, End, NodeContext, NodeType, Work};
use crate::engine::error::PlanError;
use crate::engine::properties::Properties;
use relive_session::{GraphNode, NodeId, limits};

/// A node that chooses the next nodes.
#[derive(Debug)]
pub struct Choice {
    /// The first case that holds is chosen.
    cases: Vec<Case>,
    /// The default.
    otherwise: Option<NodeId>,
    is_if: bool,
}

#[derive(Debug)]
struct Case {
    /// A template, or a plain value.
    when: Value,
    to: NodeId,
}

impl Choice {
    /// `cases: [{when, to}]` and `default`.
    pub fn read_switch(node: &GraphNode) -> Result<Self, PlanError> {
        const EXPECTED: &str = "an array of 1 to 256 objects with when and to";
        let own = Properties::of(node);
        let listed = own.read("cases", EXPECTED, |value| {
            let cases: Option<Vec<_>> = value.as_array()?.iter().map(Value::as_object).collect();
            cases.filter(|cases| (1..=limits::NEXT_IDS).contains(&cases.len()))
        })?;
        let mut cases = Vec::new();
        for case in listed.ok_or_else(|| own.wrong("cases", EXPECTED))? {
            let case = own.within(case);
            let to = case.text("to")?.ok_or_else(|| own.wrong("cases", EXPECTED))?;
            let when = case.template("when")?.ok_or_else(|| own.wrong("cases", EXPECTED))?;
            cases.push(Case { when, to: next(node, &to)? });
        }
        let otherwise = own.text("default")?.map(|to| next(node, &to)).transpose()?;
        Ok(Self { cases, otherwise, is_if: false })
    }

    /// `condition`; the next nodes are `[then, else?]`.
    pub fn read_if(node: &GraphNode) -> Result<Self, PlanError> {
        let own = Properties::of(node);
        let when = own.template("condition")?.ok_or_else(|| own.wrong("condition", "a template"))?;
        let (then, otherwise) = match node.next_ids.as_slice() {
            [then] => (then.clone(), None),
            [then, otherwise] => (then.clone(), Some(otherwise.clone())),
            _ => return Err(problem(node, "must have one or two nextIds: [then, else]".to_owned())),
        };
        Ok(Self { cases: vec![Case { when, to: then }], otherwise, is_if: true })
    }

    async fn decide(&self, context: &NodeContext) -> Result<End, String> {
        let property = if self.is_if { "condition" } else { "cases" };
        let mut found = None;
        for (at, case) in self.cases.iter().enumerate() {
            if holds(&context.fill(property, &case.when).await?) {
                found = Some((at, &case.to));
                break;
            }
        }
        let next = found.map(|(_, to)| to).or(self.otherwise.as_ref());
        let output = if self.is_if {
            json!({"result": found.is_some(), "next": next})
        } else {
            json!({"case": found.map(|(at, _)| at), "next": next})
        };
        Ok(End::Chose { output, next_ids: next.into_iter().cloned().collect() })
    }
}

fn next(node: &GraphNode, to: &str) -> Result<NodeId, PlanError> {
    let id = NodeId::from(to);
    if node.next_ids.contains(&id) {
        return Ok(id);
    }
    let shown: String = to.chars().take(100).collect();
    Err(problem(node, format!("leads to '{shown}', which is not among its nextIds")))
}

fn problem(node: &GraphNode, problem: String) -> PlanError {
    PlanError::Node { node: node.id.clone(), problem }
}

/// Whether a condition's value counts as true: not `false`, `null`, 0 or empty. A text such as `false` or
/// `0`, the result of a template within a longer text, counts as the value it shows.
fn holds(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(holds) => *holds,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => {
            let text = text.trim();
            !["", "false", "0", "null", "none"].iter().any(|nothing| text.eq_ignore_ascii_case(nothing))
        }
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}

impl NodeType for Choice {
    fn run<'a>(&'a self, context: &'a NodeContext) -> BoxFuture<'a, AttemptResult> {
        self.decide(context).map(|decided| decided.map_or_else(AttemptResult::failed, AttemptResult::bare)).boxed()
    }

    fn work(&self) -> Work {
        Work::Structural
    }

    fn decides(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_hold_as_one_would_think() {
        for value in [json!(true), json!(1), json!(-0.5), json!("yes"), json!("true"), json!([0]), json!({"a": 1})] {
            assert!(holds(&value), "{value}");
        }
        for value in
            [json!(false), json!(null), json!(0), json!(""), json!(" False "), json!("0"), json!([]), json!({})]
        {
            assert!(!holds(&value), "{value}");
        }
    }

    #[test]
    fn what_leads_nowhere_is_refused_by_name() {
        let node = |kind: &str, next: &[&str], properties: Value| -> GraphNode {
            let node = json!({"id": "s", "type": kind, "name": "S", "nextIds": next, "properties": properties});
            serde_json::from_value(node).expect("a node")
        };
        let case = |to: &str| json!({"cases": [{"when": "{{ inputs.x }}", "to": to}]});
        assert!(Choice::read_switch(&node("switch", &["a"], case("a"))).is_ok());
        for (properties, expected) in [
            (case("b"), "node 's' leads to 'b', which is not among its nextIds"),
            (json!({"cases": [{"when": true, "to": "a"}], "default": "b"}), "leads to 'b'"),
            (json!({"cases": [{"when": "{{", "to": "a"}]}), "when cannot be read as a template"),
            (json!({"cases": []}), "cases must be an array"),
            (json!({"cases": [{"to": "a"}]}), "cases must be an array"),
            (json!({}), "cases must be an array"),
        ] {
            let refused = Choice::read_switch(&node("switch", &["a"], properties)).expect_err("refused").to_string();
            assert!(refused.contains(expected), "{refused}");
        }
        assert!(Choice::read_if(&node("if", &["a", "b"], json!({"condition": "{{ inputs.x }}"}))).is_ok());
        assert!(Choice::read_if(&node("if", &["a"], json!({}))).is_err());
        assert!(Choice::read_if(&node("if", &["a", "b", "c"], json!({"condition": true}))).is_err());
        assert!(Choice::read_if(&node("if", &[], json!({"condition": true}))).is_err());
    }
}
