//! The domain: sessions, their commands and events, and the states that viewers see.
//!
//! [`decide_at`] and [`Session::apply`] are pure and synchronous: time and identifiers come in as arguments, so that
//! live operation, recovery, time travel and replay are the same computation. There is no I/O. The clock and random
//! numbers are read by [`ambient`] only, for what makes new sessions, ids and timestamps.
//!
//! ```text
//! Command ── decide_at(&Session, …) ──▶ Event ── Session::apply ──▶ Session ── snapshot ──▶ WorkflowSession
//!                 │                                                  │
//!                 └── Refusal                                        └── patch_between ──▶ merge patch
//! ```
//!
//! A [`Session`] is a persistent value: cloning it costs a few reference counts, and two revisions
//! of the same session share every node that did not change between them. So snapshots and staging ahead of
//! the commit are cheap, and the cost of a patch is the size of the change.

mod actor;
mod alert;
pub mod ambient;
mod apply;
mod attributes;
mod catalog;
mod command;
mod content;
mod context;
mod decide;
mod driver;
mod event;
mod family;
mod graph;
mod graph_growth;
mod graph_input;
mod ids;
mod instances;
mod json;
mod keyframe;
mod labels;
mod lease;
mod lease_rules;
pub mod limits;
mod log;
mod memory;
mod merge_patch;
mod money;
mod nesting;
mod node;
mod origin;
mod patch;
mod placing;
mod project;
mod refusal;
mod schedule;
mod snapshot;
mod state;
mod status;
mod text;
mod time;
mod timeline;
mod trace_context;
mod validate;
mod verify;
mod webhook;

pub use actor::{Actor, ActorKind};
pub use alert::{
    Alert, AlertChange, AlertCondition, AlertEmail, AlertEvent, AlertFields, AlertFilter, AlertNotify,
    AlertObservation, AlertStatus, ChangeAlert,
};
pub use apply::ApplyError;
pub use catalog::{Agent, AgentFields, Group, GroupFields, Workflow, WorkflowFields};
pub use command::{Command, MessageRole};
pub use content::{ContentType, ToolCall};
pub use decide::{check_node, decide, decide_at};
pub use driver::Driver;
pub use event::{Created, Event, Forked, MemoryAdded, MemoryRow, MessageAdded, Recorded};
pub use graph::{GraphDefinition, GraphError, GraphNode};
pub use graph_input::GraphEdge;
pub use ids::{MessageId, NodeId, NotASessionId, Revision, SessionId};
pub use instances::Instances;
pub use json::is_same_json;
pub use keyframe::{Keyframe, KeyframeError};
pub use labels::{LabelFields, Labels, MetadataValue};
pub use lease::DriverLease;
pub use log::{Log, LogAdded, LogLevel, LogRow};
pub use memory::{Memory, check_embedding};
pub use merge_patch::{NotExpressible, diff as merge_diff};
pub use money::{optional_usd, usd};
pub use nesting::Nesting;
pub use node::{Moment, Node, NodeKind, NodeStateSnapshot, OutputRef, Progress, Retry, TokenUsage};
pub use origin::{Origin, SessionIdentity};
pub use patch::{nearest_patch, patch_between};
pub use project::{NotAProjectId, Project, ProjectId};
pub use refusal::Refusal;
pub use schedule::{LastRun, Overlap, Schedule, ScheduleFields, ScheduleOutcome};
pub use snapshot::{Message, SessionEntity, SessionSummary, WorkflowSession};
pub use state::{ContextValue, HeldInterval, PendingSignal, Session};
pub use status::{NodeCounts, NodeStatus, SessionStatus};
pub use text::{Text, Texts};
pub use time::Timestamp;
pub use timeline::{NodeInterval, NodeTimeline, SessionInterval, Timeline, TimelineBuilder};
pub use trace_context::{NotATraceParent, TraceContext, TraceParent, TraceState};
pub use validate::{check_chunk, check_lease, json as check_json, validate as check_command};
pub use verify::{Implausible, check_created, check_log, check_message};
pub use webhook::{
    CreatedWebhook, Delivery, DeliveryStatus, RotateWebhookSecret, Webhook, WebhookFields, WebhookFilter, WebhookType,
    WriteWebhook,
};
