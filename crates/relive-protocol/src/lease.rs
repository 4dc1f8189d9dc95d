//! Leases of engines: `leaseSeconds` in bodies, frames and commands.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};
use ts_rs::TS;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::Commands;
use relive_session::{Revision, Timestamp, check_lease};

/// The member by which a command renews its sender's lease.
pub const LEASE_SECONDS: &str = "leaseSeconds";

/// `POST /sessions/{id}/lease`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts")]
pub struct RenewLease {
    /// 5 to 3600. Unless the lease is renewed within them, the session is shown as stalled.
    #[schema(minimum = 5, maximum = 3600)]
    pub seconds: u32,
}

/// The answer to a renewed lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "protocol.ts")]
pub struct LeaseReceipt {
    /// The session's revision. Most renewals do not move it.
    #[ts(type = "number")]
    pub revision: Revision,
    /// The lease lasts at least until then.
    pub expires_at: Timestamp,
}

/// The body of `POST /sessions/{id}/commands`, with the longest lease that its commands ask for.
#[derive(Clone, Debug, PartialEq)]
pub struct LeasedCommands {
    pub commands: Commands,
    pub lease_seconds: Option<u32>,
}

impl<'de> Deserialize<'de> for LeasedCommands {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { commands: Commands::deserialize(deserializer)?, lease_seconds: None })
    }
}

impl PartialSchema for LeasedCommands {
    fn schema() -> RefOr<Schema> {
        Commands::schema()
    }
}

impl ToSchema for LeasedCommands {
    fn name() -> Cow<'static, str> {
        <Commands as ToSchema>::name()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Commands::schemas(schemas);
    }
}

/// What a command says of a lease, whatever else it says.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    #[serde(default)]
    lease_seconds: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FrameAsked {
    #[serde(default)]
    lease_seconds: Option<u32>,
    #[serde(default)]
    command: Option<Asked>,
    #[serde(default)]
    commands: Option<Vec<Asked>>,
}

fn longest(asked: &[Asked]) -> Option<u32> {
    asked.iter().filter_map(|asked| asked.lease_seconds).max()
}

/// Why the leases that commands ask for cannot be told.
pub(super) enum LeaseFault {
    Json(serde_json::Error),
    /// One of several asks for an impossible one: which, and why.
    Impossible(String),
}

impl From<serde_json::Error> for LeaseFault {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}

/// The longest lease that a body of commands asks for. Few do, and only those are read a second time.
pub(super) fn of_commands(text: &str) -> Result<Option<u32>, LeaseFault> {
    if !text.contains(LEASE_SECONDS) {
        return Ok(None);
    }
    if text.trim_start().starts_with('[') {
        let asked: Vec<Asked> = serde_json::from_str(text)?;
        check("", &asked)?;
        return Ok(longest(&asked));
    }
    Ok(serde_json::from_str::<Asked>(text)?.lease_seconds)
}

/// As [`of_commands`], for a command frame.
pub(super) fn of_frame(text: &str) -> Result<Option<u32>, LeaseFault> {
    if !text.contains(LEASE_SECONDS) {
        return Ok(None);
    }
    let FrameAsked { lease_seconds, command, commands } = serde_json::from_str(text)?;
    let commands = commands.unwrap_or_default();
    check("commands", &commands)?;
    let inner = command.and_then(|command| command.lease_seconds).max(longest(&commands));
    Ok(lease_seconds.max(inner))
}

/// Each of several has to ask for a possible lease, although only the longest counts.
fn check(place: &str, asked: &[Asked]) -> Result<(), LeaseFault> {
    for (index, asked) in asked.iter().enumerate() {
        if let Err(refusal) = asked.lease_seconds.map_or(Ok(()), check_lease) {
            return Err(LeaseFault::Impossible(format!("{place}[{index}]: {refusal}")));
        }
    }
    Ok(())
}
