//! `context_synth`: summarises the messages of earlier rounds and keeps the newest ones unchanged.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::json;

use super::ask::{ModelSettings, ask};
use super::services::{NodeServices, told};
use super::{AttemptResult, NodeContext, NodeType, Work};
use crate::engine::error::PlanError;
use crate::engine::properties::Properties;
use crate::storage::{MessageFilter, MessageOrder, PlacedMessage};
use relive_session::{GraphNode, Message, NodeId};

/// Messages of a run that are read: the newest.
const MESSAGES: usize = 5_000;
const PAGE: u32 = 500;
/// Characters of earlier rounds that a model is given, or that are kept without a model: the last.
const EARLIER: usize = 100_000;
const CONDENSED: usize = 4_000;

const INSTRUCTIONS: &str = "You condense the earlier rounds of a discussion for those who go on with it. Keep every \
    decision, every open question, every number, and who holds which view. Leave out repetition and courtesies.";

/// Condenses the rounds of a run so far.
#[derive(Debug)]
pub struct ContextSynth {
    services: Arc<NodeServices>,
    max_recent_rounds: usize,
    /// Whether a model summarises older rounds; otherwise their end is kept.
    by_model: bool,
    settings: ModelSettings,
}

impl ContextSynth {
    pub fn read(node: &GraphNode, services: &Arc<NodeServices>) -> Result<Self, PlanError> {
        let own = Properties::of(node);
        let by = own.read("mode", "model or trim", |value| match value.as_str()? {
            "model" => Some(true),
            "trim" => Some(false),
            _ => None,
        })?;
        let max_recent_rounds = own.count("maxRecentRounds", 1_000)?.unwrap_or(2) as usize;
        Ok(Self {
            services: Arc::clone(services),
            max_recent_rounds,
            by_model: by.unwrap_or(true),
            settings: ModelSettings::read(own)?,
        })
    }

    async fn condense(&self, context: &NodeContext) -> Result<AttemptResult, AttemptResult> {
        let messages = self.messages(context).await.map_err(AttemptResult::failed)?;
        let rounds = by_round(&messages);
        let (earlier, recent) = rounds.split_at(rounds.len().saturating_sub(self.max_recent_rounds));
        let (earlier_text, recent_text) = (written(context, earlier), written(context, recent));
        let (summary, commands) = if earlier_text.is_empty() {
            (String::new(), Vec::new())
        } else if self.by_model {
            let user = last(&earlier_text, EARLIER);
            let chat = self.settings.clone().chat(Some(INSTRUCTIONS.to_owned()), user, false);
            let answer = ask(context, &self.services.models, chat, None).await?;
            (answer.text, answer.commands)
        } else {
            (last(&earlier_text, CONDENSED), Vec::new())
        };
        let parts = [("Earlier rounds, condensed", &summary), ("The newest rounds", &recent_text)];
        let parts = parts.iter().filter(|(_, text)| !text.is_empty()).map(|(title, text)| format!("{title}:\n{text}"));
        let text = parts.collect::<Vec<_>>().join("\n\n");
        let output = json!({"text": text, "summary": summary, "recent": recent_text, "rounds": rounds.len(),
                            "condensedRounds": earlier.len()});
        Ok(AttemptResult::completed(output).with(commands))
    }

    /// The messages so far, without the node's own summaries and without thinking.
    async fn messages(&self, context: &NodeContext) -> Result<Vec<Message>, String> {
        let id = context.session().id;
        let (mut messages, mut after) = (Vec::new(), None);
        loop {
            let (filter, order) = (MessageFilter::default(), MessageOrder::NewestFirst);
            let page = self.services.storage.messages(id, &filter, order, after, PAGE).await;
            let page = page.map_err(|error| told(&error))?;
            let last = page.last().map(PlacedMessage::cursor);
            let is_last = page.len() < PAGE as usize;
            let is_said = |message: &Message| !message.is_thinking && message.node_id != *context.id();
            messages.extend(page.into_iter().map(|placed| placed.message).filter(is_said));
            if is_last || messages.len() >= MESSAGES {
                messages.truncate(MESSAGES);
                messages.reverse();
                return Ok(messages);
            }
            after = last;
        }
    }
}

/// A node that speaks again begins another round.
fn by_round(messages: &[Message]) -> Vec<Vec<&Message>> {
    let mut rounds: Vec<Vec<&Message>> = Vec::new();
    let mut spoken: HashMap<&NodeId, usize> = HashMap::new();
    for message in messages {
        let round = spoken.entry(&message.node_id).or_default();
        if rounds.len() <= *round {
            rounds.push(Vec::new());
        }
        let at = (*round).min(rounds.len() - 1);
        rounds[at].push(message);
        *round += 1;
    }
    rounds
}

fn written(context: &NodeContext, rounds: &[Vec<&Message>]) -> String {
    let session = context.session();
    let speaker = |message: &Message| {
        let node = session.nodes.get(&message.node_id).and_then(|held| held.snapshot.name.clone());
        message.agent_name.clone().or(node).unwrap_or_else(|| message.node_id.to_string())
    };
    let line = |message: &&Message| format!("{}: {}", speaker(message), message.content.trim());
    rounds.iter().flatten().map(line).collect::<Vec<_>>().join("\n\n")
}

fn last(text: &str, characters: usize) -> String {
    let all = text.chars().count();
    text.chars().skip(all.saturating_sub(characters)).collect()
}

impl NodeType for ContextSynth {
    fn run<'a>(&'a self, context: &'a NodeContext) -> BoxFuture<'a, AttemptResult> {
        self.condense(context).map(|ended| ended.unwrap_or_else(|ended| ended)).boxed()
    }

    fn work(&self) -> Work {
        Work::Guarded
    }

    fn needs_model(&self) -> bool {
        self.by_model
    }
}
