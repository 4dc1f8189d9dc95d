//! The OpenAPI document: assembled from the handlers, so that it cannot name a route that is not.

use bytes::Bytes;
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Relive",
        description = "Live sessions of workflow runs: drive them, watch them, steer them, look back at them.\n\n\
            Errors are RFC 9457 problem documents with a stable `code` and whether the same request may \
            succeed later (`retryable`). Times are RFC 3339 in UTC with milliseconds. Bodies may have at most \
            1 MiB, with the texts of messages and memories 4 MiB. Requests with an `Origin` other than the server's own, or a configured one, are refused."
    ),
    tags(
        (name = "sessions", description = "Runs: create, read, list, delete"),
        (name = "commands", description = "Changing a run; an answer means the change is durable"),
        (name = "memories", description = "Texts that outlive a run, found again by likeness"),
        (name = "catalog", description = "Groups, agents and workflows"),
        (name = "sockets", description = "WebSocket: live runs, live lists"),
        (name = "server", description = "Health, metrics, this document"),
    ),
    components(schemas(crate::protocol::Problem))
)]
struct Info;

pub fn document() -> utoipa::openapi::OpenApi {
    Info::openapi()
}

/// The document as it is served.
#[derive(Clone, Debug)]
pub struct Document(pub Bytes);

impl Document {
    pub fn new(document: &utoipa::openapi::OpenApi) -> Self {
        Self(document.to_json().unwrap_or_default().into())
    }
}
