//! `fact_check`: asks a model how well supported a claim is.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::ask::{ModelSettings, ask, json_in};
use super::context::as_text;
use super::score::score_of;
use super::services::NodeServices;
use super::{AttemptResult, End, NodeContext, NodeType, Work};
use crate::engine::error::PlanError;
use crate::engine::properties::Properties;
use relive_session::{GraphNode, check_json};

const INSTRUCTIONS: &str = "You verify claims. Judge how well the claim is supported by what is known and by the \
    sources given, if there are any. Answer with a JSON object and nothing else: \
    {\"score\": a number from 0 (false) to 1 (certainly true), \"explanation\": \"why, in a few sentences\"}.";

/// Checks a given claim, or the outputs of the previous nodes.
#[derive(Debug)]
pub struct FactCheck {
    services: Arc<NodeServices>,
    claim: Option<Value>,
    sources: Option<Value>,
    /// The least score, from 0 to 1.
    threshold: f64,
    /// Whether the node fails with a lower score.
    required: bool,
    settings: ModelSettings,
}

impl FactCheck {
    pub fn read(node: &GraphNode, services: &Arc<NodeServices>) -> Result<Self, PlanError> {
        let own = Properties::of(node);
        let threshold = own.number("threshold")?.unwrap_or(0.7);
        if !(0.0..=1.0).contains(&threshold) {
            return Err(own.wrong("threshold", "a number from 0 to 1"));
        }
        Ok(Self {
            services: Arc::clone(services),
            claim: own.template("claim")?,
            sources: own.template("sources")?,
            threshold,
            required: own.flag("required")?,
            settings: ModelSettings::read(own)?,
        })
    }

    async fn check(&self, context: &NodeContext) -> Result<AttemptResult, AttemptResult> {
        let claim = self.claim(context).await.map_err(AttemptResult::failed)?;
        let mut user = format!("Claim:\n{claim}");
        if let Some(sources) = &self.sources {
            user += "\n\nSources:\n";
            user += &context.text("sources", sources).await.map_err(AttemptResult::failed)?;
        }
        let chat = self.settings.clone().chat(Some(INSTRUCTIONS.to_owned()), user, true);
        let answer = ask(context, &self.services.models, chat, None).await?;
        let verdict = json_in(&answer.text).unwrap_or_else(|| json!({"text": answer.text}));
        let Some(score) = score_of(&verdict).map(|score| score.clamp(0.0, 1.0)) else {
            return Err(AttemptResult::failed("the model's verdict holds no score").with(answer.commands));
        };
        let passed = score >= self.threshold;
        let explanation = Some(&verdict["explanation"]).filter(|said| check_json("explanation", said).is_ok());
        let output = json!({"claim": claim, "score": score, "passed": passed, "threshold": self.threshold,
                            "explanation": explanation, "model": answer.reply.model});
        if self.required && !passed {
            let error = format!("the claim scored {score}, less than {}", self.threshold);
            return Err(AttemptResult { commands: answer.commands, end: End::Failed { error, output: Some(output) } });
        }
        Ok(AttemptResult::completed(output).with(answer.commands))
    }

    async fn claim(&self, context: &NodeContext) -> Result<String, String> {
        let claim = if let Some(claim) = &self.claim {
            context.text("claim", claim).await?
        } else {
            let inputs = context.inputs().await?;
            inputs.iter().map(|(_, output)| as_text(output)).collect::<Vec<_>>().join("\n\n")
        };
        if claim.trim().is_empty() {
            return Err(format!("node '{}' has nothing to verify", context.id()));
        }
        Ok(claim)
    }
}

impl NodeType for FactCheck {
    fn run<'a>(&'a self, context: &'a NodeContext) -> BoxFuture<'a, AttemptResult> {
        self.check(context).map(|ended| ended.unwrap_or_else(|ended| ended)).boxed()
    }

    fn work(&self) -> Work {
        Work::Guarded
    }

    fn needs_model(&self) -> bool {
        true
    }
}
