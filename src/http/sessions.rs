//! Creating, reading and deleting sessions.

use std::sync::Arc;

use axum::Json;
use axum::http::header::ETAG;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::archived::instead;
use super::conditions::{Expected, if_match, is_held};
use super::error::ApiError;
use super::extract::{Body, Path, Query, idempotency_key};
use super::idempotency::{Keyed, SESSIONS, once_session};
use super::responses::{etag, with_etag};
use super::session_query::{ListQuery, SessionQuery, limit};
use super::state::Api;
use crate::access::Action;
use crate::hub::HubError;
use crate::scoped::ListLength;
use relive_protocol::{CreateSession, EventPage, NodeDetail, Problem, SessionCount, SessionPage};
use relive_session::{
    Created, Driver, GraphDefinition, NodeId, Revision, Session, SessionEntity, SessionId, Timestamp, Workflow,
    WorkflowSession,
};

/// Events on a page by default, and at most.
const EVENTS: (u32, u32) = (100, 1_000);

/// Create a session. It is pending, at revision 1.
///
/// With an `Idempotency-Key`, a repetition returns the first answer and creates nothing.
#[utoipa::path(post, path = "/sessions", operation_id = "create_session", tag = "sessions", request_body = CreateSession,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless"),
        ("traceparent" = Option<String>, Header, description = "The trace of the request (W3C Trace Context), which is kept with the session"),
        ("tracestate" = Option<String>, Header, description = "Goes with `traceparent`")),
    responses(
        (status = 201, description = "Created", body = WorkflowSession, headers(
            ("Location" = String, description = "Its address"), ("ETag" = String, description = "The revision in quotes"))),
        (status = 404, description = "No such group, workflow or parent session", body = Problem),
        (status = 413, description = "The parent session has too many ancestors or children", body = Problem),
        (status = 409, description = "The id is taken", body = Problem),
        (status = 422, description = "The graph cannot be run, or the key was used for something else", body = Problem),
    ))]
pub async fn create(api: Api, headers: HeaderMap, Body(request): Body<CreateSession>) -> Result<Response, ApiError> {
    let key = idempotency_key(&headers)?;
    let action = match request {
        CreateSession { workflow_id: Some(_), graph: None, .. } => Action::CreateFromWorkflow,
        _ => Action::CreateSession,
    };
    api.check(action)?;
    let keyed = Keyed::read(&headers, SESSIONS, &("create", &request))?;
    once_session(&api, keyed, async || {
        let id = request.id.unwrap_or_else(SessionId::generate);
        let described = describe(&api, request).await?;
        Ok(api.create(id, described, key, action).await?)
    })
    .await
}

/// The first event of a session that is asked for.
pub async fn describe(api: &Api, request: CreateSession) -> Result<Created, ApiError> {
    for (field, value) in [("proposal", &request.proposal), ("inputs", &request.inputs)] {
        if let Some(value) = value {
            relive_session::check_json(field, value).map_err(HubError::from)?;
        }
    }
    let workflow: Option<Workflow> = match request.workflow_id {
        Some(id) => Some(api.entity(id).await?.ok_or_else(|| ApiError::not_found("workflow"))?),
        None => None,
    };
    let workflow_name = workflow.as_ref().map(|workflow| workflow.fields.name.clone());
    let graph = request.graph.or_else(|| workflow.map(|workflow| workflow.fields.graph));
    let driver = request.driver.unwrap_or_default();
    match (&graph, driver) {
        (Some(graph), Driver::Builtin) => api.services.engine.check(graph).await?,
        (Some(graph), Driver::External) => graph.validate()?,
        (None, Driver::Builtin) => {
            return Err(ApiError::bad_request("the built-in engine needs a graph or a workflowId"));
        }
        (None, Driver::External) => {}
    }
    let created = Created {
        workflow_id: request.workflow_id,
        workflow_name,
        group_id: request.group_id,
        graph: graph.map(Arc::new),
        proposal: request.proposal.map(Arc::new),
        inputs: request.inputs.map(Arc::new),
        driver,
        name: request.name,
        tags: request.tags,
        metadata: request.metadata,
        parent_session_id: request.parent_session_id,
        parent_node_id: request.parent_node_id,
        ..Created::default()
    };
    created.labels().check().map_err(HubError::from)?;
    created.check_parent().map_err(HubError::from)?;
    Ok(created)
}

/// List sessions, newest first.
#[utoipa::path(get, path = "/sessions", operation_id = "list_sessions", tag = "sessions", params(SessionQuery), responses(
    (status = 200, description = "A page of summaries", body = SessionPage),
    (status = 400, description = "A filter is invalid", body = Problem),
))]
pub async fn list(api: Api, ListQuery(query): ListQuery) -> Result<Json<SessionPage>, ApiError> {
    let page = api.summaries(&query.filter(&api)?, query.cursor()?, query.limit()?).await?;
    Ok(Json(SessionPage { sessions: page.items, next_cursor: page.next.map(|cursor| cursor.encode()) }))
}

/// Count the sessions of a list, up to 10,000. `limit` and `cursor` do not matter.
#[utoipa::path(get, path = "/sessions/count", operation_id = "count_sessions", tag = "sessions",
    params(SessionQuery), responses(
        (status = 200, description = "How many there are", body = SessionCount),
        (status = 400, description = "A filter is invalid", body = Problem),
    ))]
pub async fn count(api: Api, ListQuery(query): ListQuery) -> Result<Json<SessionCount>, ApiError> {
    let ListLength { count, has_more } = api.count_listed(&query.filter(&api)?).await?;
    Ok(Json(SessionCount { count, has_more }))
}

/// The revision or time of a state.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MomentQuery {
    /// As it was at this revision.
    revision: Option<Revision>,
    /// As it was at this time.
    #[param(value_type = Option<String>)]
    at: Option<Timestamp>,
}

/// Read a session: its live state, or an earlier one.
#[utoipa::path(get, path = "/sessions/{id}", operation_id = "get_session", tag = "sessions", 
    params(("id" = SessionId, Path), MomentQuery,
        ("If-None-Match" = Option<String>, Header, description = "Answer 304 if the session is at this revision, such as `\"7\"`")),
    responses(
    (status = 200, description = "The state", body = WorkflowSession, headers(("ETag" = String, description = "The revision in quotes"))),
    (status = 304, description = "`If-None-Match` names this revision", headers(("ETag" = String, description = "The revision in quotes"))),
    (status = 404, description = "No such session, or it did not exist at that moment; `archive` says where it is if it is in the archive", body = Problem),
))]
pub async fn get(
    api: Api,
    Path(id): Path<SessionId>,
    Query(moment): Query<MomentQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let session = match at_moment(&api, id, moment).await {
        Ok(session) => session,
        Err(error) => return Err(instead(&api, id, error).await),
    };
    let etag = etag(session.revision);
    if is_held(&headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, etag)]).into_response());
    }
    Ok(with_etag(&session))
}

async fn at_moment(api: &Api, id: SessionId, moment: MomentQuery) -> Result<Arc<Session>, ApiError> {
    if let (None, None) = (moment.revision, moment.at) {
        return Ok(api.session(id).await?);
    }
    let of = api.readable(id).await?;
    let revision = match (moment.revision, moment.at) {
        (Some(_), Some(_)) => return Err(ApiError::bad_request("give either revision or at")),
        (revision, None) => revision,
        (None, Some(time)) => api.revision_at(of, time).await?,
    };
    let session = match revision {
        Some(revision) => api.session_at(of, revision).await?,
        None => None,
    };
    Ok(Arc::new(session.ok_or_else(|| ApiError::not_found("session at that moment"))?))
}

/// Delete a session with its messages, memories and journal. Its viewers are notified.
#[utoipa::path(delete, path = "/sessions/{id}", operation_id = "delete_session", tag = "sessions",
    params(
        ("id" = SessionId, Path),
        ("If-Match" = Option<String>, Header, description = "Refuse unless the session is at this revision"),
    ),
    responses(
        (status = 204, description = "Deleted"),
        (status = 404, description = "No such session", body = Problem),
        (status = 412, description = "The session is at another revision", body = Problem),
    ))]
pub async fn delete(api: Api, Path(id): Path<SessionId>, headers: HeaderMap) -> Result<StatusCode, ApiError> {
    let expected = if_match(&headers)?;
    if expected != Expected::Any {
        let actual = api.session(id).await?.revision;
        if !expected.allows(actual) {
            return Err(expected.conflict(actual));
        }
    }
    api.delete(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The graph a session runs: now, or at an earlier revision or time. Commands can add nodes and edges to it.
#[utoipa::path(get, path = "/sessions/{id}/graph", tag = "sessions", params(("id" = SessionId, Path), MomentQuery), responses(
    (status = 200, description = "The graph", body = GraphDefinition),
    (status = 404, description = "No such session, it did not exist at that moment, or it has no graph", body = Problem),
))]
pub async fn graph(
    api: Api,
    Path(id): Path<SessionId>,
    Query(moment): Query<MomentQuery>,
) -> Result<Json<Arc<GraphDefinition>>, ApiError> {
    let session = at_moment(&api, id, moment).await?;
    session.origin.graph.clone().map(Json).ok_or_else(|| ApiError::not_found("graph: the session has none"))
}

/// A session as it is stored, with its inputs, outputs and proposal.
#[utoipa::path(get, path = "/sessions/{id}/entity", tag = "sessions", params(("id" = SessionId, Path)), responses(
    (status = 200, description = "The stored session", body = SessionEntity),
    (status = 404, description = "No such session", body = Problem),
))]
pub async fn entity(api: Api, Path(id): Path<SessionId>) -> Result<Json<SessionEntity>, ApiError> {
    Ok(Json(api.session(id).await?.entity()))
}

/// The range of events to read.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventQuery {
    /// Events after this revision, by default 0.
    after: Option<Revision>,
    /// Events at most: 1 to 1000, by default 100.
    limit: Option<u32>,
}

/// A session's events, in order.
#[utoipa::path(get, path = "/sessions/{id}/events", tag = "sessions", params(("id" = SessionId, Path), EventQuery),
    responses(
        (status = 200, description = "A page of events", body = EventPage),
        (status = 404, description = "No such session", body = Problem),
    ))]
pub async fn events(
    api: Api,
    Path(id): Path<SessionId>,
    Query(query): Query<EventQuery>,
) -> Result<Json<EventPage>, ApiError> {
    let limit = limit(query.limit, EVENTS.0, EVENTS.1)?;
    let (head, of) = (api.session(id).await?.revision, api.readable(id).await?);
    let events = api.events(of, query.after.unwrap_or(0), limit).await?;
    let next_after = events.last().map(|last| last.revision).filter(|last| *last < head);
    Ok(Json(EventPage { events, next_after }))
}

/// A node with its last output and input: now, or at an earlier revision or time.
///
/// The output is the last that the node had by then, of an earlier attempt if the current one has none; in a
/// fork it may be one from before the fork. An input is present if one was given with `setNodeStatus`; a fork
/// has none from before the fork.
#[utoipa::path(get, path = "/sessions/{id}/nodes/{nodeId}", tag = "sessions",
    params(("id" = SessionId, Path), ("nodeId" = String, Path), MomentQuery),
    responses(
        (status = 200, description = "The node", body = NodeDetail),
        (status = 404, description = "No such session or node, or it did not exist at that moment", body = Problem),
    ))]
pub async fn node(
    api: Api,
    Path((id, node_id)): Path<(SessionId, NodeId)>,
    Query(moment): Query<MomentQuery>,
) -> Result<Json<NodeDetail>, ApiError> {
    let session = at_moment(&api, id, moment).await?;
    let node = session.nodes.get(&node_id).ok_or_else(|| ApiError::not_found("node in this session"))?;
    let of = api.readable(id).await?;
    let output = match node.output {
        Some(place) => api.output(of, place).await?,
        None => None,
    };
    let input = match node.input {
        Some(place) => api.input(of, place.revision).await?,
        None => None,
    };
    Ok(Json(NodeDetail { node: node.snapshot.clone(), output, input }))
}
