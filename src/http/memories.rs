//! Memories of runs, and memories outside of runs.

use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::error::ApiError;
use super::extract::{Body, Path, Query, TextBody};
use super::idempotency::{Keyed, StoredAnswer, once};
use super::session_query::{cursor, limit};
use super::state::Api;
use crate::access::Action;
use crate::hub::HubError;
use crate::scoped::Readable;
use crate::storage::{MemoryScope, NewMemory, SearchLimits};
use relive_protocol::{CreateMemory, ErrorCode, FoundMemories, MemoryPage, Problem, SearchMemories, SearchMethod};
use relive_session::{Command, Group, Memory, Session, SessionId, Timestamp, check_command, check_embedding};

/// Memories found by default, and at most.
const FOUND: (u32, u32) = (10, 100);
/// Memories on a page ordered by time by default, and at most.
const LISTED: (u32, u32) = (100, 1_000);
/// Bytes of a search text.
const TEXT_BYTES: usize = 32 * 1024;

/// Store a memory outside a run, or of a run that has ended.
///
/// The answer is sent once the memory is durable. Without an `embedding` in the request, the server requests
/// one from its embeddings endpoint; if that takes longer than a moment, the answer has
/// `embedded: false` and the embedding is added later.
#[utoipa::path(post, path = "/memories", operation_id = "create_memory", tag = "memories",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repetition harmless")),
    request_body = CreateMemory, responses(
        (status = 201, description = "Stored", body = Memory, headers(("Location" = String, description = "Its address"))),
        (status = 404, description = "No such group or session, or an id that cannot be used", body = Problem),
        (status = 409, description = "The id is taken", body = Problem),
        (status = 422, description = "The embedding has another dimension than this server's", body = Problem),
    ))]
pub async fn create(
    api: Api,
    headers: HeaderMap,
    TextBody { value: request, .. }: TextBody<CreateMemory>,
) -> Result<Response, ApiError> {
    let keyed = Keyed::read(&headers, "memories", &request)?;
    let id = request.id.unwrap_or_else(Uuid::now_v7);
    once(&api, keyed, id, async |id, again| {
        let held = if again { api.memory(id).await? } else { None };
        let memory = match held {
            Some(memory) => Memory { embedding: None, ..memory },
            None => store(&api, id, request).await?,
        };
        StoredAnswer::new(format!("/api/v1/memories/{id}"), &memory)
    })
    .await
}

async fn store(api: &Api, id: Uuid, request: CreateMemory) -> Result<Memory, ApiError> {
    let CreateMemory { id: _, group_id, agent_id, session_id, content, embedding, metadata } = request;
    // The same rules as for the command.
    let command = Command::AddMemory { memory_id: None, agent_id, content, embedding, metadata };
    check_command(&command).map_err(HubError::from)?;
    let Command::AddMemory { agent_id, content, embedding, metadata, .. } = command else {
        return Err(HubError::Internal.into());
    };
    check_vector(api, embedding.as_deref())?;
    let group_id = match session_id {
        Some(session_id) => group_of(&*api.session_for(session_id, Action::WriteMemory).await?, group_id)?,
        None => group_id,
    };
    let at = Timestamp::now();
    let arrival = embedding.is_none().then(|| api.services.embeddings.expect(id));
    let new = NewMemory {
        project_id: api.project(),
        id,
        group_id,
        agent_id: agent_id.as_deref(),
        session_id,
        content: &content,
        embedding: embedding.as_deref(),
        metadata: metadata.as_ref(),
        at,
    };
    if !api.add_memory(&new).await? {
        return Err(ApiError::not_found("memory"));
    }
    let embedded = match arrival {
        Some(arrival) => arrival.soon().await,
        None => true,
    };
    let (embedding, score) = (None, None);
    Ok(Memory { id, group_id, agent_id, session_id, content, metadata, embedded, embedding, score, created_at: at })
}

fn check_vector(api: &Api, embedding: Option<&[f32]>) -> Result<(), ApiError> {
    let checked = embedding.map_or(Ok(()), |embedding| check_embedding(embedding, api.services.embeddings.dimension()));
    checked.map_err(|refusal| HubError::from(refusal).into())
}

/// A memory of a session is in the session's group; a group can be given if the session has none.
fn group_of(session: &Session, given: Option<Uuid>) -> Result<Option<Uuid>, ApiError> {
    match (session.origin.group_id, given) {
        (Some(own), Some(given)) if own != given => {
            Err(ApiError::bad_request("the session belongs to another group than groupId"))
        }
        (own, given) => Ok(own.or(given)),
    }
}

/// Which memories of a project to list.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct ListedMemories {
    group_id: Option<Uuid>,
    agent_id: Option<String>,
    /// `nextAfter` of the page before.
    after: Option<String>,
    /// Memories at most: 1 to 1000, by default 100.
    limit: Option<u32>,
}

/// List memories, newest first: all of them, or those of a group, of an agent, or of both.
#[utoipa::path(get, path = "/memories", operation_id = "list_memories", tag = "memories", params(ListedMemories),
    responses(
        (status = 200, description = "A page of memories", body = MemoryPage),
        (status = 404, description = "No such group", body = Problem),
    ))]
pub async fn list(api: Api, Query(query): Query<ListedMemories>) -> Result<Json<MemoryPage>, ApiError> {
    let ListedMemories { group_id, agent_id, after, limit: given } = query;
    let (after, limit) = (cursor(after.as_deref())?, limit(given, LISTED.0, LISTED.1)?);
    check_agent_id(agent_id.as_deref())?;
    check_group(&api, group_id).await?;
    let scope = MemoryScope { group_id, agent_id, ..MemoryScope::default() };
    let page = api.memories(&scope, after, limit).await?;
    Ok(Json(MemoryPage { memories: page.items, method: None, next_after: page.next.map(|cursor| cursor.encode()) }))
}

/// Read a memory, with its embedding.
#[utoipa::path(get, path = "/memories/{id}", operation_id = "get_memory", tag = "memories",
    params(("id" = Uuid, Path)), responses(
        (status = 200, description = "The memory", body = Memory),
        (status = 404, description = "No such memory", body = Problem),
    ))]
pub async fn get(api: Api, Path(id): Path<Uuid>) -> Result<Json<Memory>, ApiError> {
    api.memory(id).await?.map(Json).ok_or_else(|| ApiError::not_found("memory"))
}

/// Delete a memory. The run's history keeps the event that added it.
#[utoipa::path(delete, path = "/memories/{id}", operation_id = "delete_memory", tag = "memories",
    params(("id" = Uuid, Path)), responses(
        (status = 204, description = "Deleted"),
        (status = 404, description = "No such memory", body = Problem),
    ))]
pub async fn delete(api: Api, Path(id): Path<Uuid>) -> Result<StatusCode, ApiError> {
    if api.delete_memory(id).await? { Ok(StatusCode::NO_CONTENT) } else { Err(ApiError::not_found("memory")) }
}

/// Find memories by similarity, nearest first.
///
/// Give either an `embedding` or a `text`. A text is compared by its embedding if the server has an
/// embeddings endpoint that answers in time, and by its words otherwise; `method` says which. By
/// vector, only memories with an embedding are found.
#[utoipa::path(post, path = "/memories/search", operation_id = "search_memories", tag = "memories",
    request_body = SearchMemories, responses(
        (status = 200, description = "What was found", body = FoundMemories),
        (status = 404, description = "No such group or session", body = Problem),
        (status = 422, description = "The embedding has another dimension than this server's", body = Problem),
    ))]
pub async fn search(api: Api, Body(request): Body<SearchMemories>) -> Result<Json<FoundMemories>, ApiError> {
    let SearchMemories { group_id, agent_id, session_id, embedding, text, limit, min_score } = request;
    let nearness = nearness(limit, min_score)?;
    let asked = match (embedding, text) {
        (Some(embedding), None) => Asked::Vector(embedding),
        (None, Some(text)) => Asked::Text(text),
        _ => return Err(ApiError::bad_request("give either embedding or text")),
    };
    check_group(&api, group_id).await?;
    let session = match session_id {
        Some(id) => Some(api.readable(id).await?),
        None => None,
    };
    let scope = MemoryScope { group_id, agent_id, ..MemoryScope::default() };
    Ok(Json(find(&api, &scope, session, asked, nearness).await?))
}

async fn check_group(api: &Api, id: Option<Uuid>) -> Result<(), ApiError> {
    match id {
        Some(id) if api.entity::<Group>(id).await?.is_none() => Err(ApiError::not_found("group")),
        _ => Ok(()),
    }
}

enum Asked {
    Vector(Vec<f32>),
    Text(String),
}

fn nearness(given: Option<u32>, min_score: Option<f64>) -> Result<SearchLimits, ApiError> {
    if min_score.is_some_and(|score| !(-1.0..=1.0).contains(&score)) {
        return Err(ApiError::bad_request("minScore must lie between -1 and 1"));
    }
    Ok(SearchLimits { limit: limit(given, FOUND.0, FOUND.1)?, min_score })
}

async fn find(
    api: &Api,
    scope: &MemoryScope,
    session: Option<Readable>,
    asked: Asked,
    nearness: SearchLimits,
) -> Result<FoundMemories, ApiError> {
    check_agent_id(scope.agent_id.as_deref())?;
    let (vector, text) = match asked {
        Asked::Vector(vector) => {
            check_vector(api, Some(&vector))?;
            (Some(vector), String::new())
        }
        Asked::Text(text) => {
            check_text(&text)?;
            (api.services.embeddings.of_query(&text).await, text)
        }
    };
    let (method, memories) = match vector {
        Some(vector) => (SearchMethod::Vector, api.nearest_memories(scope, session, &vector, nearness).await?),
        None => (SearchMethod::Text, api.memories_with_words(scope, session, &text, nearness).await?),
    };
    Ok(FoundMemories { memories, method })
}

fn check_text(text: &str) -> Result<(), ApiError> {
    if text.trim().is_empty() || text.contains('\0') {
        return Err(ApiError::bad_request("text must not be empty, nor contain the character NUL"));
    }
    if text.len() > TEXT_BYTES {
        return Err(ApiError::new(ErrorCode::TooLarge, "text may have at most 32 KiB"));
    }
    Ok(())
}

fn check_agent_id(agent_id: Option<&str>) -> Result<(), ApiError> {
    if agent_id.is_some_and(|id| id.contains('\0')) {
        return Err(ApiError::bad_request("ids do not contain the character NUL"));
    }
    Ok(())
}

/// The order of a session's memories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MemoryOrder {
    Time,
    Similarity,
}

/// Which of a session's memories to read.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct MemoryQuery {
    /// `time` (oldest first), or `similarity` to `text` (nearest first). By default `similarity` if `text` is
    /// given, else `time`.
    #[param(inline)]
    order: Option<MemoryOrder>,
    /// The text to compare the memories with.
    text: Option<String>,
    /// With `text`: only memories with at least this score, -1 to 1.
    min_score: Option<f64>,
    agent_id: Option<String>,
    /// By time: `nextAfter` of the page before.
    after: Option<String>,
    /// Memories at most. By time 1 to 1000, by default 100; by similarity 1 to 100, by default 10.
    limit: Option<u32>,
}

/// A session's memories, by time or by similarity to a text.
#[utoipa::path(get, path = "/sessions/{id}/memories", operation_id = "list_session_memories", tag = "memories",
    params(("id" = SessionId, Path), MemoryQuery), responses(
        (status = 200, description = "A page of memories", body = MemoryPage),
        (status = 404, description = "No such session", body = Problem),
    ))]
pub async fn of_session(
    api: Api,
    Path(id): Path<SessionId>,
    Query(query): Query<MemoryQuery>,
) -> Result<Json<MemoryPage>, ApiError> {
    let MemoryQuery { order, text, min_score, agent_id, after, limit: given } = query;
    match (order, text) {
        (None | Some(MemoryOrder::Similarity), Some(text)) => {
            if after.is_some() {
                return Err(ApiError::bad_request("after goes with order=time"));
            }
            let nearness = nearness(given, min_score)?;
            let session = Some(api.readable(id).await?);
            let scope = MemoryScope { agent_id, ..MemoryScope::default() };
            let FoundMemories { memories, method } = find(&api, &scope, session, Asked::Text(text), nearness).await?;
            Ok(Json(MemoryPage { memories, method: Some(method), next_after: None }))
        }
        (None | Some(MemoryOrder::Time), None) => {
            if min_score.is_some() {
                return Err(ApiError::bad_request("minScore goes with text"));
            }
            let (after, limit) = (cursor(after.as_deref())?, limit(given, LISTED.0, LISTED.1)?);
            check_agent_id(agent_id.as_deref())?;
            let of = api.readable(id).await?;
            let page = api.memories_of_session(of, agent_id.as_deref(), after, limit).await?;
            let next_after = page.next.map(|cursor| cursor.encode());
            Ok(Json(MemoryPage { memories: page.items, method: None, next_after }))
        }
        (Some(MemoryOrder::Similarity), None) => Err(ApiError::bad_request("order=similarity needs a text")),
        (Some(MemoryOrder::Time), Some(_)) => Err(ApiError::bad_request("text goes with order=similarity")),
    }
}
