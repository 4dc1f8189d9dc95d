//! The contract with clients: frames, error codes, close codes, bodies of requests and answers.
//!
//! The TypeScript package `frontend-types` is generated from these types and from the domain types
//! they carry.

mod access;
mod archive;
mod archived;
mod close;
mod comparison;
mod deletion;
mod error;
mod frames;
mod lease;
mod replay;
mod rest;
mod statistics;
mod strict_json;
mod typescript;

pub use access::{
    AuditEntry, AuditPage, CreateKey, CreateProject, CreateToken, CreatedKey, CreatedToken, Key, KeyPage, ProjectPage,
    ReplaceProject, SignInOptions, WhoAmI,
};
pub use archive::{ARCHIVE_FORMAT, ARCHIVE_VERSION, ArchiveCounts, ArchiveHeader, ArchiveLine, ArchiveUsage};
pub use archived::{ArchivePage, ArchiveSessions, ArchivedFile, ArchivedSession, ArchivedSessions};
pub use close::CloseCode;
pub use comparison::{ComparedNode, ComparedRun, NodeFigures, RunComparison};
pub use deletion::{
    DeleteSessions, DeletedSessions, Names, Retention, RetentionEffect, RetentionRule, SessionSelection,
};
pub use error::{ErrorCode, Problem, shortened};
pub use frames::{ClientFrame, CommandFrame, Given, Mode, ServerFrame, SessionChange, Subscribe};
pub use lease::{LEASE_SECONDS, LeaseReceipt, LeasedCommands, RenewLease};
pub use replay::{IdleStretch, ReplayAction, ReplaySpeed, ReplayState};
pub use rest::{
    AgentPage, AlertEventPage, AlertPage, CommandReceipt, Commands, ControlAction, ControlRequest, CreateMemory,
    CreateSession, DeliveryPage, EventPage, ForkSession, FoundMemories, GroupPage, LogPage, MemoryPage, MessagePage,
    NodeDetail, NodeUpdate, ReviewAction, ReviewRequest, SchedulePage, SearchMemories, SearchMethod, SessionCount,
    SessionPage, SignalRequest, TokenChunk, Usage, UsageReport, WebhookPage, WorkflowPage,
};
pub use statistics::{
    DurationPercentiles, EndedRuns, Statistics, StatisticsBucket, StatisticsBucketWidth, StatisticsGrouping,
};
pub use strict_json::{FromClient, ReadError, UnknownField, WrongKind, nearest};
pub use typescript::export as export_typescript;
