//! Writes the TypeScript types.

use std::path::Path;

use ts_rs::{Config, ExportError, TS};

use super::{
    AgentPage, AlertEventPage, AlertPage, ArchiveLine, ArchivePage, ArchiveSessions, ArchivedSessions, AuditPage,
    ClientFrame, CommandReceipt, Commands, ComparedNode, ControlRequest, CreateKey, CreateMemory, CreateProject,
    CreateSession, CreateToken, CreatedKey, CreatedToken, DeleteSessions, DeletedSessions, DeliveryPage, EventPage,
    ForkSession, FoundMemories, GroupPage, KeyPage, LeaseReceipt, LogPage, MemoryPage, MessagePage, NodeDetail,
    NodeUpdate, Problem, ProjectPage, RenewLease, ReplaceProject, Retention, ReviewRequest, RunComparison,
    SchedulePage, SearchMemories, ServerFrame, SessionCount, SessionPage, SignInOptions, SignalRequest, Statistics,
    TokenChunk, Usage, UsageReport, WebhookPage, WhoAmI, WorkflowPage,
};
use relive_session::{
    Agent, AgentFields, AlertFields, ChangeAlert, CreatedWebhook, GraphNode, Group, GroupFields, Message,
    NodeStateSnapshot, Recorded, RotateWebhookSecret, ScheduleFields, SessionEntity, Timeline, Workflow,
    WorkflowFields, WriteWebhook,
};

/// Writes every type that clients meet into `directory`, one module per area.
///
/// # Errors
///
/// When a file cannot be written.
pub fn export(directory: &Path) -> Result<(), ExportError> {
    let config = Config::new().with_large_int("number").with_out_dir(directory).with_import_extension(Some("js"));
    ClientFrame::export_all(&config)?;
    ArchiveLine::export_all(&config)?;
    ServerFrame::export_all(&config)?;
    CommandReceipt::export_all(&config)?;
    Commands::export_all(&config)?;
    RenewLease::export_all(&config)?;
    LeaseReceipt::export_all(&config)?;
    ControlRequest::export_all(&config)?;
    CreateMemory::export_all(&config)?;
    SearchMemories::export_all(&config)?;
    FoundMemories::export_all(&config)?;
    MemoryPage::export_all(&config)?;
    CreateSession::export_all(&config)?;
    EventPage::export_all(&config)?;
    NodeDetail::export_all(&config)?;
    NodeUpdate::export_all(&config)?;
    Problem::export_all(&config)?;
    ReviewRequest::export_all(&config)?;
    SessionPage::export_all(&config)?;
    SessionCount::export_all(&config)?;
    MessagePage::export_all(&config)?;
    LogPage::export_all(&config)?;
    Usage::export_all(&config)?;
    UsageReport::export_all(&config)?;
    GroupPage::export_all(&config)?;
    AgentPage::export_all(&config)?;
    WorkflowPage::export_all(&config)?;
    SignalRequest::export_all(&config)?;
    TokenChunk::export_all(&config)?;
    Agent::export_all(&config)?;
    AgentFields::export_all(&config)?;
    Group::export_all(&config)?;
    GroupFields::export_all(&config)?;
    Workflow::export_all(&config)?;
    WorkflowFields::export_all(&config)?;
    GraphNode::export_all(&config)?;
    NodeStateSnapshot::export_all(&config)?;
    Message::export_all(&config)?;
    Recorded::export_all(&config)?;
    SessionEntity::export_all(&config)?;
    Timeline::export_all(&config)?;
    ForkSession::export_all(&config)?;
    CreateProject::export_all(&config)?;
    ReplaceProject::export_all(&config)?;
    ProjectPage::export_all(&config)?;
    CreateKey::export_all(&config)?;
    CreatedKey::export_all(&config)?;
    KeyPage::export_all(&config)?;
    CreateToken::export_all(&config)?;
    CreatedToken::export_all(&config)?;
    AuditPage::export_all(&config)?;
    SignInOptions::export_all(&config)?;
    WhoAmI::export_all(&config)?;
    WriteWebhook::export_all(&config)?;
    CreatedWebhook::export_all(&config)?;
    RotateWebhookSecret::export_all(&config)?;
    WebhookPage::export_all(&config)?;
    DeliveryPage::export_all(&config)?;
    ScheduleFields::export_all(&config)?;
    SchedulePage::export_all(&config)?;
    AlertFields::export_all(&config)?;
    ChangeAlert::export_all(&config)?;
    AlertPage::export_all(&config)?;
    AlertEventPage::export_all(&config)?;
    DeleteSessions::export_all(&config)?;
    ComparedNode::export_all(&config)?;
    DeletedSessions::export_all(&config)?;
    Retention::export_all(&config)?;
    ArchivePage::export_all(&config)?;
    ArchiveSessions::export_all(&config)?;
    ArchivedSessions::export_all(&config)?;
    RunComparison::export_all(&config)?;
    Statistics::export_all(&config)?;
    Ok(())
}
