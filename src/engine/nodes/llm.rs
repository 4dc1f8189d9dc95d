//! `llm`: asks a model. `agent`: the same, as the persona of an agent.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;
use uuid::Uuid;

use super::ask::{ModelSettings, ask};
use super::context::as_text;
use super::services::NodeServices;
use super::{AttemptResult, NodeContext, NodeType, Work};
use crate::engine::error::PlanError;
use crate::engine::properties::Properties;
use relive_session::GraphNode;

/// A question to a model.
#[derive(Debug)]
pub struct Llm {
    services: Arc<NodeServices>,
    /// Default: the proposal, and the outputs of the previous nodes.
    prompt: Option<Value>,
    system: Option<Value>,
    settings: ModelSettings,
    json: bool,
    persona: Persona,
}

/// The speaker.
#[derive(Debug)]
enum Persona {
    /// An `llm` node: no agent.
    Anonymous,
    /// The agent of this id, or else the persona in the node's own properties.
    Agent { id: Option<Uuid>, prompt: Option<String> },
}

impl Llm {
    pub fn read(node: &GraphNode, services: &Arc<NodeServices>) -> Result<Self, PlanError> {
        let own = Properties::of(node);
        let persona = if node.kind == "agent" { persona(own)? } else { Persona::Anonymous };
        Ok(Self {
            services: Arc::clone(services),
            prompt: own.template("prompt")?,
            system: own.template("system")?,
            settings: ModelSettings::read(own)?,
            json: own.flag("json")?,
            persona,
        })
    }

    async fn ask(&self, context: &NodeContext) -> Result<AttemptResult, AttemptResult> {
        let (persona, agent_id, settings) = self.speaker(context).await.map_err(AttemptResult::failed)?;
        let system = self.system(context, persona).await.map_err(AttemptResult::failed)?;
        let user = self.user(context).await.map_err(AttemptResult::failed)?;
        let chat = settings.chat(system, user, self.json);
        let answer = ask(context, &self.services.models, chat, agent_id).await?;
        let output = answer.output();
        Ok(AttemptResult::completed(output).with(answer.commands))
    }

    /// The persona, the speaker's id, and the model settings.
    async fn speaker(&self, context: &NodeContext) -> Result<(Option<String>, Option<String>, ModelSettings), String> {
        let Persona::Agent { id, prompt } = &self.persona else { return Ok((None, None, self.settings.clone())) };
        let agent = match id {
            Some(id) => self.services.agent(&context.session().origin.project_id, *id).await?,
            None => None,
        };
        match (agent, id, prompt) {
            (Some(agent), ..) => {
                let config = agent.fields.model_config.unwrap_or_default();
                let settings = self.settings.clone().or(ModelSettings::of_config(&config));
                Ok((Some(agent.fields.persona_prompt), Some(agent.id.to_string()), settings))
            }
            (None, _, Some(prompt)) => Ok((Some(prompt.clone()), id.map(|id| id.to_string()), self.settings.clone())),
            (None, id, None) => {
                let id = id.map(|id| id.to_string()).unwrap_or_default();
                Err(format!("node '{}' names the agent {id}, which does not exist", context.id()))
            }
        }
    }

    /// The group's prompt, the persona, and the node's own, as far as there are any.
    async fn system(&self, context: &NodeContext, persona: Option<String>) -> Result<Option<String>, String> {
        let origin = &context.session().origin;
        let group = match origin.group_id {
            Some(id) => self.services.group(&origin.project_id, id).await?.and_then(|group| group.fields.system_prompt),
            None => None,
        };
        let own = match &self.system {
            Some(system) => Some(context.text("system", system).await?),
            None => None,
        };
        let parts: Vec<String> = [group, persona, own].into_iter().flatten().filter(|part| !part.is_empty()).collect();
        Ok((!parts.is_empty()).then(|| parts.join("\n\n")))
    }

    async fn user(&self, context: &NodeContext) -> Result<String, String> {
        if let Some(prompt) = &self.prompt {
            return context.text("prompt", prompt).await;
        }
        let session = context.session();
        let mut parts: Vec<String> = session.proposal.as_deref().map(as_text).into_iter().collect();
        for (node, output) in context.inputs().await? {
            let text = as_text(&output);
            if !text.is_empty() {
                let name = session.nodes.get(&node).and_then(|held| held.snapshot.name.clone());
                parts.push(format!("{}:\n{text}", name.unwrap_or_else(|| node.to_string())));
            }
        }
        if parts.is_empty() {
            return Err(format!("node '{}' has no prompt, and there is neither a proposal nor an input", context.id()));
        }
        Ok(parts.join("\n\n"))
    }
}

fn persona(own: Properties<'_>) -> Result<Persona, PlanError> {
    let expected = "the id of an agent";
    let named = own.get("agentUuid").map_or("agentId", |_| "agentUuid");
    let id = own.read(named, expected, |value| value.as_str()?.parse().ok())?;
    let prompt = own.text("personaPrompt")?;
    if id.is_none() && prompt.is_none() {
        return Err(own.wrong("agent_uuid", expected));
    }
    Ok(Persona::Agent { id, prompt })
}

impl NodeType for Llm {
    fn run<'a>(&'a self, context: &'a NodeContext) -> BoxFuture<'a, AttemptResult> {
        self.ask(context).map(|ended| ended.unwrap_or_else(|ended| ended)).boxed()
    }

    fn work(&self) -> Work {
        Work::Guarded
    }

    fn needs_model(&self) -> bool {
        true
    }
}
