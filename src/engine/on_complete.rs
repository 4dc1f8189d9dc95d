//! The properties that say what a completed node of any type stores.

use serde_json::{Map, Value};

use super::error::PlanError;
use super::properties::Properties;
use relive_session::GraphNode;

/// The properties `remember` and `assign`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OnComplete {
    pub(super) remember: Option<Remember>,
    /// `assign.proposal`: the session's new proposal.
    pub(super) proposal: Option<Value>,
    /// `assign.context`: new entries of the context data.
    pub(super) context: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Remember {
    pub(super) content: Value,
    pub(super) agent_id: Option<String>,
    pub(super) metadata: Option<Value>,
}

impl OnComplete {
    /// # Errors
    ///
    /// [`PlanError::Property`] or [`PlanError::Template`] for an invalid one.
    pub fn read(node: &GraphNode) -> Result<Self, PlanError> {
        let own = Properties::of(node);
        let mut on_complete = Self { remember: remember(own)?, ..Self::default() };
        if let Some(assign) = own.read("assign", "an object with proposal or context", Value::as_object)? {
            let assign = own.within(assign).only(&["proposal", "context"])?;
            on_complete.proposal = assign.template("proposal")?;
            match assign.template("context")? {
                None => {}
                Some(Value::Object(context)) => on_complete.context = context,
                Some(_) => return Err(own.wrong("assign.context", "an object")),
            }
        }
        Ok(on_complete)
    }
}

fn remember(own: Properties<'_>) -> Result<Option<Remember>, PlanError> {
    let output = || Value::String("{{output}}".to_owned());
    Ok(match own.get("remember") {
        None | Some(Value::Bool(false)) => None,
        Some(Value::Bool(true)) => Some(Remember { content: output(), agent_id: None, metadata: None }),
        Some(Value::Object(details)) => {
            let details = own.within(details).only(&["content", "agentId", "metadata"])?;
            let content = details.template("content")?.unwrap_or_else(output);
            let agent_id = details.text("agentId")?;
            Some(Remember { content, agent_id, metadata: details.template("metadata")? })
        }
        Some(_) => return Err(own.wrong("remember", "true, false, or an object with content")),
    })
}
