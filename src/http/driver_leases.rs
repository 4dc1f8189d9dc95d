//! The leases of engines outside the server.

use axum::Json;
use axum::http::HeaderMap;

use super::commands::execute;
use super::error::ApiError;
use super::extract::{Body, Path};
use super::state::Api;
use crate::hub::HubError;
use relive_protocol::{Commands, LeaseReceipt, Problem, RenewLease};
use relive_session::{Refusal, SessionId, Timestamp, check_lease};

/// Renew the lease of the engine that drives a session.
///
/// Unless it is renewed in time, by this or by `leaseSeconds` with any command, the session is shown as stalled
/// (`isStalled`) until the next command of its engine. Nothing is ended by it. A renewal is stored at once, but the
/// history says so, and `driverSeenAt` moves, at most once a minute.
#[utoipa::path(post, path = "/sessions/{id}/lease", operation_id = "renew_lease", tag = "commands",
    request_body = RenewLease, params(("id" = SessionId, Path)),
    responses(
        (status = 200, description = "Renewed", body = LeaseReceipt),
        (status = 404, description = "No such session", body = Problem),
        (status = 409, description = "The session has ended", body = Problem),
    ))]
pub async fn renew(
    api: Api,
    Path(id): Path<SessionId>,
    headers: HeaderMap,
    Body(RenewLease { seconds }): Body<RenewLease>,
) -> Result<Json<LeaseReceipt>, ApiError> {
    check_lease(seconds).map_err(|refusal| HubError::from(by_its_name(refusal)))?;
    let from = Timestamp::now();
    let Json(receipt) = execute(&api, &headers, id, Commands::Several(Vec::new()), Some(seconds)).await?;
    let expires_at = Timestamp::from_millis(from.as_millis() + i64::from(seconds) * 1_000).unwrap_or(from);
    Ok(Json(LeaseReceipt { revision: receipt.revision, expires_at }))
}

/// Elsewhere the member is `leaseSeconds`.
fn by_its_name(refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::Invalid { problem, .. } => Refusal::Invalid { field: "seconds", problem },
        refusal => refusal,
    }
}
