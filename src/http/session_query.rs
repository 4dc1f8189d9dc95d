//! The filters of session lists, the same for a page and for a live list.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::{Deserialize, Deserializer, de};
use utoipa::IntoParams;
use uuid::Uuid;

use super::error::ApiError;
use super::extract::Query;
use super::parameters::metadata_key;
use crate::scoped::Scoped;
use crate::storage::{MetadataFilter, PageCursor, SessionFilter, SessionText};
use relive_session::{NodeId, NodeStatus, SessionId, SessionStatus, Timestamp, limits};

/// Sessions on a page by default.
const LIMIT: u32 = 50;
/// Entries of the metadata that a list can be filtered by.
const METADATA: usize = 10;
/// Sessions on a page at most.
const MAX_LIMIT: u32 = 200;

/// Every given condition must hold.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub struct SessionQuery {
    pub group_id: Option<Uuid>,
    pub workflow_id: Option<Uuid>,
    /// One status or several, separated by commas, such as `running,paused`.
    pub status: Option<String>,
    /// Together with `nodeStatus`: sessions in which this node has that status.
    pub node_id: Option<String>,
    #[param(inline)]
    pub node_status: Option<NodeStatus>,
    #[param(value_type = Option<String>)]
    pub started_after: Option<Timestamp>,
    #[param(value_type = Option<String>)]
    pub started_before: Option<Timestamp>,
    #[param(value_type = Option<String>)]
    pub ended_after: Option<Timestamp>,
    #[param(value_type = Option<String>)]
    pub ended_before: Option<Timestamp>,
    #[param(value_type = Option<String>)]
    pub updated_after: Option<Timestamp>,
    /// Sessions whose name, a tag, workflow's name or error contains this, ignoring case, or whose id
    /// begins with it; 1 to 200 characters. Errors are searched in the newest 10,000 sessions that have one,
    /// names and tags in the newest 10,000 that have some, from the page's beginning on.
    pub text: Option<String>,
    /// Sessions with exactly this name.
    pub name: Option<String>,
    /// One tag or several, separated by commas: sessions that have all of them. A comma or a backslash that is part
    /// of a tag follows a backslash.
    pub tag: Option<String>,
    /// `metadata.KEY=VALUE` or `metadata[KEY]=VALUE`, up to 10 times: sessions whose metadata have all of these. A
    /// number or a boolean is found by its notation, and a text by itself.
    #[serde(default, deserialize_with = "without_key")]
    #[param(style = DeepObject, explode, value_type = Option<std::collections::BTreeMap<String, String>>)]
    pub metadata: Vec<(String, String)>,
    /// Sessions that this session has started.
    #[param(value_type = Option<Uuid>)]
    pub parent_session_id: Option<SessionId>,
    /// `true`: sessions that no other session has started.
    pub roots_only: Option<bool>,
    /// `true`: sessions whose engine held a lease that has passed; `false`: all others.
    pub stalled: Option<bool>,
    /// Sessions at most: 1 to 200, by default 50.
    pub limit: Option<u32>,
    /// `nextCursor` of the page before.
    pub cursor: Option<String>,
}

impl SessionQuery {
    /// Within what the caller may see.
    pub fn filter(&self, scoped: &Scoped) -> Result<SessionFilter, ApiError> {
        self.within(scoped.filter()?)
    }

    /// The conditions of the query beside those of `visible`.
    pub fn within(&self, visible: SessionFilter) -> Result<SessionFilter, ApiError> {
        let statuses = self.status.as_deref().map_or(Ok(Vec::new()), statuses)?;
        let node = match (&self.node_id, self.node_status) {
            (Some(id), Some(status)) if !id.contains('\0') => Some((NodeId::from(id.as_str()), status)),
            (None, None) => None,
            _ => return Err(ApiError::bad_request("nodeId and nodeStatus go together")),
        };
        let text = self.text.as_deref().map(|text| {
            let problem = "text must have 1 to 200 characters, none of them NUL";
            SessionText::new(text).ok_or_else(|| ApiError::bad_request(problem))
        });
        Ok(SessionFilter {
            group_id: self.group_id,
            workflow_id: self.workflow_id,
            statuses,
            node,
            started_after: self.started_after,
            started_before: self.started_before,
            ended_after: self.ended_after,
            ended_before: self.ended_before,
            updated_after: self.updated_after,
            text: text.transpose()?,
            name: self.name.clone().map(possible).transpose()?,
            tags: self.tag.as_deref().map_or(Ok(Vec::new()), tags)?,
            metadata: metadata(&self.metadata)?,
            is_stalled: self.stalled,
            parent_session_id: self.parent_session_id,
            is_root: self.roots_only.unwrap_or_default(),
            ..visible
        })
    }

    pub fn limit(&self) -> Result<u32, ApiError> {
        limit(self.limit, LIMIT, MAX_LIMIT)
    }

    pub fn cursor(&self) -> Result<Option<PageCursor>, ApiError> {
        cursor(self.cursor.as_deref())
    }
}

/// A text that can be stored.
fn possible(text: String) -> Result<String, ApiError> {
    let problem = "a filter must not contain the character NUL";
    if text.contains('\0') { Err(ApiError::bad_request(problem)) } else { Ok(text) }
}

/// Statuses, separated by commas.
pub fn statuses(names: &str) -> Result<Vec<SessionStatus>, ApiError> {
    names.split(',').map(parse_status).collect()
}

/// A tag as one of several that are separated by commas.
pub fn escaped_tag(tag: &str) -> String {
    tag.replace('\\', "\\\\").replace(',', "\\,")
}

/// Tags, separated by commas.
fn tags(text: &str) -> Result<Vec<String>, ApiError> {
    let (mut tags, mut tag) = (Vec::new(), String::new());
    let mut characters = text.chars();
    while let Some(next) = characters.next() {
        match next {
            '\\' => tag.extend(characters.next()),
            ',' => tags.push(std::mem::take(&mut tag)),
            other => tag.push(other),
        }
    }
    tags.push(tag);
    if tags.len() > limits::TAGS || tags.iter().any(String::is_empty) {
        return Err(ApiError::bad_request("tag must be 1 to 20 tags, separated by commas"));
    }
    tags.into_iter().map(possible).collect()
}

fn metadata(given: &[(String, String)]) -> Result<Vec<MetadataFilter>, ApiError> {
    if given.len() > METADATA {
        return Err(ApiError::bad_request(format!("at most {METADATA} entries of the metadata can be asked for")));
    }
    given.iter().map(|(key, value)| Ok(MetadataFilter::new(possible(key.clone())?, possible(value.clone())?))).collect()
}

/// The entries have names of their own, and are read by [`ListQuery`].
fn without_key<'de, D: Deserializer<'de>>(_: D) -> Result<Vec<(String, String)>, D::Error> {
    Err(de::Error::custom("metadata: expected metadata.KEY=VALUE"))
}

/// The query string of a list.
pub struct ListQuery(pub SessionQuery);

impl<S: Send + Sync> FromRequestParts<S> for ListQuery {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Query(mut query) = Query::<SessionQuery>::from_request_parts(parts, state).await?;
        let Query(all) = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await?;
        let entry = |(name, value): (String, String)| Some((metadata_key(&name)?.to_owned(), value));
        query.metadata = all.into_iter().filter_map(entry).collect();
        Ok(Self(query))
    }
}

/// A page size between 1 and `max`.
pub fn limit(given: Option<u32>, default: u32, max: u32) -> Result<u32, ApiError> {
    match given.unwrap_or(default) {
        limit if (1..=max).contains(&limit) => Ok(limit),
        _ => Err(ApiError::bad_request(format!("limit must lie between 1 and {max}"))),
    }
}

pub fn cursor(given: Option<&str>) -> Result<Option<PageCursor>, ApiError> {
    given
        .map(|text| PageCursor::decode(text).ok_or_else(|| ApiError::bad_request("cursor is not one from this server")))
        .transpose()
}

fn parse_status(name: &str) -> Result<SessionStatus, ApiError> {
    SessionStatus::parse(name.trim())
        .ok_or_else(|| ApiError::bad_request(format!("'{}' is not a session status", name.escape_debug())))
}
