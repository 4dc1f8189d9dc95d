//! Leases of engines outside the server: whether whoever drives a session is still there.
//!
//! A driver promises to be heard of again within some seconds. The database keeps when that time is up; the history
//! has when the lease began, when it passed, and now and then that it was renewed, so that a heartbeat costs no
//! revision.

use serde::{Deserialize, Serialize};

use super::{Revision, Timestamp};

/// What is known of the driver of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DriverLease {
    pub seconds: u32,
    /// Where the history last said that the lease was granted or renewed.
    pub revision: Revision,
    pub seen_at: Timestamp,
    /// It has passed, and nothing was heard of the driver since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_stalled: bool,
}
