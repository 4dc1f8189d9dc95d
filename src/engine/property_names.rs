//! The names of node and graph properties. An unknown name is most likely misspelled, and would have no effect, so it
//! is refused.

use serde_json::{Map, Value};

use super::error::PlanError;
use super::properties::{Properties, snake_case};

/// Of every node.
const EVERY: &[&str] = &["onError", "retries", "backoffSeconds", "timeoutSeconds", "remember", "assign"];
/// Of every node and of a graph, for editors and descriptions; so is every name that begins with `x-`.
const NOTES: &[&str] = &["description", "label", "edgeLabels", "notes", "position", "color", "icon", "ui", "metadata"];
/// Of nodes that ask a model.
const MODEL: &[&str] =
    &["model", "temperature", "maxTokens", "modelParameters", "tools", "toolChoice", "responseFormat"];
/// Of a graph.
const GRAPH: &[&str] = &["timeoutSeconds", "maxParallel", "budget", "driver"];

/// Of the nodes of a type, besides those of every node.
fn of_kind(kind: &str) -> &'static [&'static [&'static str]] {
    match kind {
        "start" | "end" | "parallel" | "sequence" => &[&["output"]],
        "loop" => &[&["maxRounds", "exitOnScore", "score"]],
        "switch" => &[&["cases", "default"]],
        "if" => &[&["condition"]],
        "delay" => &[&["seconds"]],
        "human_review" => &[&["prompt", "timeoutMinutes", "allowSkip", "updatesProposal"]],
        "llm" => &[&["prompt", "system", "json"], MODEL],
        "agent" => &[&["prompt", "system", "json", "agentUuid", "agentId", "personaPrompt"], MODEL],
        "fact_check" => &[&["claim", "sources", "threshold", "required"], MODEL],
        "vote" => &[&["mode", "threshold", "required"]],
        "tool" => &[&["url", "method", "headers", "body", "maxBytes", "acceptErrors"]],
        "memory_retrieval" => &[&["query", "limit", "minScore", "agentId"]],
        "context_synth" => &[&["mode", "maxRecentRounds"], MODEL],
        "command" => &[&["command", "cwd", "env"]],
        _ => &[],
    }
}

/// # Errors
///
/// [`PlanError::UnknownProperty`] for the first name that a node of this type does not have.
pub(super) fn check_node(own: Properties<'_>, kind: &str) -> Result<(), PlanError> {
    let known = [EVERY, NOTES].into_iter().chain(of_kind(kind).iter().copied());
    check(own, &known.flatten().copied().collect::<Vec<_>>())
}

/// Graphs carry properties of other programs too. Only names similar to one of ours are refused.
///
/// # Errors
///
/// [`PlanError::UnknownProperty`] for the first of them.
pub(super) fn check_graph(own: Properties<'_>) -> Result<(), PlanError> {
    let near = own.names().filter(|name| !is_known(name, NOTES) && nearest(name, GRAPH).is_some());
    let near: Map<String, Value> = near.map(|name| (name.clone(), Value::Null)).collect();
    check(own.within(&near), GRAPH)
}

/// # Errors
///
/// [`PlanError::UnknownProperty`] for the first name that is not one of `known`, in either spelling.
pub(super) fn check(own: Properties<'_>, known: &[&'static str]) -> Result<(), PlanError> {
    match own.names().find(|name| !is_known(name, known)) {
        None => Ok(()),
        Some(name) => Err(own.unknown(name, nearest(name, known))),
    }
}

fn is_known(name: &str, known: &[&str]) -> bool {
    name.starts_with("x-") || known.iter().any(|known| *known == name || snake_case(known) == name)
}

/// The most similar known name, if there is one.
fn nearest(name: &str, known: &[&'static str]) -> Option<&'static str> {
    const LIKENESS: f64 = 0.75;
    let plain = |name: &str| snake_case(name).replace(['-', ' '], "_");
    let likeness = |known: &'static str| (known, strsim::normalized_damerau_levenshtein(&plain(name), &plain(known)));
    let best = known.iter().map(|known| likeness(known)).max_by(|one, other| one.1.total_cmp(&other.1));
    best.filter(|(_, likeness)| *likeness >= LIKENESS).map(|(known, _)| known)
}

impl Properties<'_> {
    /// Refuses every name but these, in either spelling.
    ///
    /// # Errors
    ///
    /// [`PlanError::UnknownProperty`] for the first other one.
    pub fn only(self, names: &[&'static str]) -> Result<Self, PlanError> {
        check(self, names).map(|()| self)
    }
}
