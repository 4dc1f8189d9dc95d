//! The filters of session lists, the same for a page and for a live list.

use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::error::ApiError;
use crate::scoped::Scoped;
use crate::storage::{PageCursor, SessionFilter, SessionText};
use relive_session::{NodeId, NodeStatus, SessionStatus, Timestamp};

/// Sessions on a page by default.
const LIMIT: u32 = 50;
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
    /// Sessions whose workflow's name or whose error contains this, ignoring case, or whose id
    /// begins with it; 1 to 200 characters. Errors are searched in the newest 10,000 sessions that have one,
    /// from the page's beginning on.
    pub text: Option<String>,
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
        let statuses =
            self.status.iter().flat_map(|names| names.split(',')).map(parse_status).collect::<Result<_, _>>()?;
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
