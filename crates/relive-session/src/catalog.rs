//! Groups, agents and workflows.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use ts_rs::TS;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{GraphDefinition, Timestamp};

/// A folder of sessions and memories that share a purpose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "catalog.ts", optional_fields)]
pub struct Group {
    pub id: Uuid,
    #[serde(flatten)]
    pub fields: GroupFields,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// The fields of a group that its owner sets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "catalog.ts", optional_fields)]
pub struct GroupFields {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icon: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_agent_ids: Option<Vec<Uuid>>,
}

/// A persona that a workflow's nodes can speak as.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "catalog.ts", optional_fields)]
pub struct Agent {
    pub id: Uuid,
    #[serde(flatten)]
    pub fields: AgentFields,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// The fields of an agent that its owner sets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "catalog.ts", optional_fields)]
pub struct AgentFields {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub persona_prompt: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "{ model?: string; temperature?: number; [key: string]: unknown }", optional)]
    #[schema(value_type = Option<Object>)]
    pub model_config: Option<serde_json::Map<String, Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "unknown", optional)]
    pub capabilities: Option<Value>,
}

/// A stored graph that sessions can be made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "catalog.ts", optional_fields)]
pub struct Workflow {
    pub id: Uuid,
    #[serde(flatten)]
    pub fields: WorkflowFields,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// The fields of a workflow that its owner sets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "catalog.ts", optional_fields)]
pub struct WorkflowFields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<Uuid>,
    pub name: String,
    pub graph: GraphDefinition,
}
