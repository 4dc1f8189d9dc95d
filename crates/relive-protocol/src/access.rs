//! Bodies about projects, keys, access tokens and the audit log.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;
use uuid::Uuid;

use relive_session::{Actor, Project, ProjectId, Timestamp};

/// `POST /projects`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "access.ts", optional_fields)]
pub struct CreateProject {
    pub name: String,
    /// Made of the name unless it is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ProjectId>,
}

/// `PUT /projects/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "access.ts")]
pub struct ReplaceProject {
    pub name: String,
}

/// A page of projects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "access.ts", optional_fields)]
pub struct ProjectPage {
    pub projects: Vec<Project>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// `POST /keys`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "access.ts", optional_fields)]
pub struct CreateKey {
    pub name: String,
    /// `viewer`, `reviewer`, `operator`, `engine`, `admin` or `root`.
    pub role: String,
    /// Without it, the key does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Root may make keys of other projects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectId>,
}

/// A key, without what would let it be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "access.ts", optional_fields)]
pub struct Key {
    pub id: Uuid,
    pub project: ProjectId,
    pub name: String,
    pub role: String,
    /// How the key begins.
    pub prefix: String,
    pub created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    /// To within a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Timestamp>,
}

/// The answer to `POST /keys`: the only time that the key itself is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "access.ts", optional_fields)]
pub struct CreatedKey {
    pub id: Uuid,
    pub project: ProjectId,
    pub name: String,
    pub role: String,
    pub prefix: String,
    /// Left out in the answer to a repetition with the same `Idempotency-Key`: it is not stored.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[ts(as = "Option<String>", optional)]
    pub key: String,
    pub created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// A page of keys, the newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "access.ts", optional_fields)]
pub struct KeyPage {
    pub keys: Vec<Key>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// `POST /tokens`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "access.ts", optional_fields)]
pub struct CreateToken {
    /// `read:sessions`, `read:sessions:{id}`, `read:tags:{tag}`, `read:groups:{id}`, `review:sessions:{id}`,
    /// `control:sessions:{id}`, `write:sessions:{id}`.
    pub scopes: Vec<String>,
    /// 900 by default, at most 604,800; never longer than the giver's own credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "number", optional)]
    pub expires_in_seconds: Option<u64>,
}

/// The answer to `POST /tokens`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "access.ts")]
pub struct CreatedToken {
    /// By which it can be revoked.
    pub id: Uuid,
    /// That of the first answer, if it repeats one by its `Idempotency-Key`: signed anew, since it is not stored.
    pub token: String,
    pub expires_at: Timestamp,
}

/// Who did what to what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "access.ts", optional_fields)]
pub struct AuditEntry {
    pub id: Uuid,
    pub at: Timestamp,
    /// Absent: a request that was refused before its project was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Absent: access control was off, or the sender was not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
    /// The `operationId`.
    pub action: String,
    /// The path.
    pub resource: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// As in the log of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// `allowed`, `refused`, or `failed`: it was allowed, and did not succeed.
    pub outcome: String,
    /// Of refusals that came too fast to be recorded one by one: how many this entry stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "number", optional)]
    pub repeated: Option<u64>,
}

/// A page of the audit log, in the order of recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "access.ts", optional_fields)]
pub struct AuditPage {
    pub entries: Vec<AuditEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_after: Option<Uuid>,
}

/// `GET /sign-in`: how one can sign in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "access.ts")]
pub struct SignInOptions {
    /// Whether there is an identity provider: `GET /sign-in/begin` sends the browser to it.
    pub provider: bool,
}

/// Who makes this request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(export_to = "access.ts", optional_fields)]
pub struct WhoAmI {
    /// Whether requests need a credential. If not, those without one may do everything.
    pub required: bool,
    pub project: ProjectId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Whether it came with the dashboard's cookie, so that signing out ends it.
    pub signed_in: bool,
}
