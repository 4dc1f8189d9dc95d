//! `human_review`: suspends until a person approves, rejects or modifies.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};

use super::context::as_text;
use super::{AttemptResult, End, NodeContext, NodeType, Wait, Wake, Work};
use crate::engine::error::PlanError;
use crate::engine::properties::Properties;
use relive_session::{Command, GraphNode, MessageRole, Timestamp};

/// A question to a person.
#[derive(Debug)]
pub struct HumanReview {
    /// Shown as a message when the review begins.
    prompt: Option<Value>,
    timeout: Option<Duration>,
    /// Whether the run may continue without an answer: by the action `skip`, or when the time limit is reached.
    allow_skip: bool,
    /// Whether the data of `modify` becomes the session's proposal.
    updates_proposal: bool,
}

impl HumanReview {
    pub fn read(node: &GraphNode) -> Result<Self, PlanError> {
        let own = Properties::of(node);
        let minutes = own.number("timeoutMinutes")?;
        let timeout = minutes.map(|minutes| super::super::properties::seconds(minutes * 60.0));
        if timeout.is_some_and(|timeout| timeout.is_none_or(|timeout| timeout.is_zero())) {
            return Err(own.wrong("timeoutMinutes", "a number of minutes above 0, at most a year"));
        }
        Ok(Self {
            prompt: own.template("prompt")?,
            timeout: timeout.flatten(),
            allow_skip: own.flag("allowSkip")?,
            updates_proposal: own.flag("updatesProposal")?,
        })
    }

    async fn ask(&self, context: &NodeContext) -> Result<AttemptResult, String> {
        let Some(prompt) = &self.prompt else { return Ok(AttemptResult::bare(End::Waits)) };
        let content = as_text(&context.fill("prompt", prompt).await?);
        let message = Command::AddMessage {
            message_id: None,
            node_id: context.id().clone(),
            agent_id: None,
            agent_name: None,
            role: Some(MessageRole::System),
            content,
            is_thinking: None,
            token_count: None,
            tool_calls: None,
            tool_call_id: None,
            content_type: None,
        };
        Ok(AttemptResult::bare(End::Waits).with(vec![message]))
    }

    /// Other payloads leave the review unchanged: nothing is approved by accident.
    fn answer(&self, payload: &Value, at: Timestamp) -> AttemptResult {
        let Ok(Decision { action, reviewer, data }) = Decision::read(payload, self.allow_skip) else {
            return AttemptResult::bare(End::Waits);
        };
        let reviewer = reviewer.map(short);
        let (review, decided) = (&payload["review"], at);
        let output =
            json!({"review": review, "action": action, "reviewer": reviewer, "data": data, "decidedAt": decided});
        match action {
            "reject" => {
                let error = reviewer.map_or("rejected".to_owned(), |reviewer| format!("rejected by {reviewer}"));
                AttemptResult::bare(End::Failed { error, output: Some(output) })
            }
            "modify" => {
                let proposal = data.filter(|_| self.updates_proposal).cloned();
                let commands = proposal.into_iter().map(|proposal| Command::SetProposal { proposal }).collect();
                AttemptResult::completed(output).with(commands)
            }
            _ => AttemptResult::completed(output),
        }
    }

    fn timed_out(&self) -> AttemptResult {
        let minutes = self.timeout.unwrap_or_default().as_secs_f64() / 60.0;
        if self.allow_skip {
            let at = Timestamp::now();
            return AttemptResult::completed(
                json!({"action": "skip", "reason": "no decision in time", "decidedAt": at}),
            );
        }
        AttemptResult::failed(format!("no decision within {minutes} minutes"))
    }
}

/// The content of a signal `{review: {action, reviewer?, comment?, data?}}`.
struct Decision<'a> {
    action: &'a str,
    reviewer: Option<&'a str>,
    data: Option<&'a Value>,
}

impl<'a> Decision<'a> {
    fn read(payload: &'a Value, allow_skip: bool) -> Result<Self, String> {
        let expected = |what: &str| format!("a review is decided by {{\"review\": {{\"action\": …}}}}: {what}");
        let outer = payload.as_object().ok_or_else(|| expected("this is no object"))?;
        only(outer, &["review"]).map_err(|field| expected(&format!("the field '{field}' is unknown")))?;
        let review = outer.get("review").and_then(Value::as_object);
        let review = review.ok_or_else(|| expected("'review' is no object"))?;
        only(review, &["action", "reviewer", "comment", "data"])
            .map_err(|field| expected(&format!("the field 'review.{field}' is unknown")))?;
        let action = review.get("action").and_then(Value::as_str);
        let action = action.ok_or_else(|| expected("'review.action' is missing or no text"))?;
        let text = |field: &str| match review.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(expected(&format!("'review.{field}' is no text"))),
        };
        let reviewer = text("reviewer")?;
        // Recorded with the whole decision in the output.
        text("comment")?;
        let data = review.get("data").filter(|data| !data.is_null());
        match action {
            "approve" | "reject" => {}
            "modify" if data.is_none() => return Err(expected("'modify' needs 'review.data'")),
            "modify" => {}
            "skip" if allow_skip => {}
            "skip" => return Err(expected("this one may not be skipped")),
            _ => return Err(expected("'review.action' is approve, reject or modify")),
        }
        Ok(Self { action, reviewer, data })
    }
}

/// The first unknown field.
fn only<'a>(object: &'a Map<String, Value>, known: &[&str]) -> Result<(), &'a str> {
    object.keys().find(|key| !known.contains(&key.as_str())).map_or(Ok(()), |key| Err(key))
}

fn short(text: &str) -> String {
    text.chars().take(200).collect()
}

impl NodeType for HumanReview {
    fn run<'a>(&'a self, context: &'a NodeContext) -> BoxFuture<'a, AttemptResult> {
        async { self.ask(context).await.unwrap_or_else(AttemptResult::failed) }.boxed()
    }

    fn work(&self) -> Work {
        Work::Structural
    }

    fn wait(&self) -> Option<Wait> {
        Some(Wait { due: self.timeout, suspended: true })
    }

    fn check_signal(&self, payload: &Value) -> Result<(), String> {
        Decision::read(payload, self.allow_skip).map(drop)
    }

    fn wake<'a>(&'a self, _: &'a NodeContext, wake: Wake) -> BoxFuture<'a, AttemptResult> {
        async move {
            match wake {
                Wake::Signal { payload, at } => self.answer(&payload, at),
                Wake::Due => self.timed_out(),
            }
        }
        .boxed()
    }
}
