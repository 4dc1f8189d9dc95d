//! Log lines of sessions, and the texts that events added: messages and log lines together.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use uuid::Uuid;

use super::bigint::bigint;
use super::columns::json;
use super::{Storage, StorageError};
use relive_session::{Log, LogAdded, LogLevel, LogRow, NodeId, Recorded, Revision, SessionId, Text, Texts};

/// The columns of a log line, under names that stand beside those of a message.
macro_rules! log_columns {
    () => {
        "log.node_id AS log_node_id, log.level AS log_level, log.text AS log_text, log.at AS log_at,
         log.attributes AS log_attributes"
    };
}
pub(super) use log_columns;

const BETWEEN: &str = concat!(
    "SELECT session_id, revision, ",
    log_columns!(),
    " FROM session_logs AS log WHERE session_id = $1 AND revision > $2 AND revision <= $3 ORDER BY revision LIMIT $4"
);

impl Storage {
    /// Up to `limit` of the wanted texts that events added after revision `after` and up to `up_to`, in the order
    /// of revisions.
    pub async fn texts_between(
        &self,
        session_id: SessionId,
        after: Revision,
        up_to: Revision,
        limit: u32,
        wanted: Texts,
    ) -> Result<Vec<(Revision, Text)>, StorageError> {
        let mut texts = Vec::new();
        if wanted.messages {
            let messages = self.messages_between(session_id, after, up_to, limit).await?;
            texts.extend(messages.into_iter().map(|(revision, message)| (revision, Text::Message(message))));
        }
        if wanted.logs {
            let rows = sqlx::query(BETWEEN)
                .bind(session_id.0)
                .bind(bigint(after))
                .bind(bigint(up_to))
                .bind(i64::from(limit))
                .fetch_all(&self.pool)
                .await?;
            for row in &rows {
                let log = read_log(row)?;
                texts.push((log.revision, Text::Log(log)));
            }
        }
        texts.sort_by_key(|(revision, _)| *revision);
        texts.truncate(limit as usize);
        Ok(texts)
    }
}

/// A log line from a row that also has `session_id` and `revision`.
pub(super) fn read_log(row: &PgRow) -> sqlx::Result<Log> {
    let rank: i16 = row.try_get("log_level")?;
    let attributes: Option<Json<Map<String, Value>>> = row.try_get("log_attributes")?;
    Ok(Log {
        session_id: SessionId(row.try_get("session_id")?),
        revision: row.try_get::<i64, _>("revision")?.unsigned_abs(),
        node_id: NodeId::from(row.try_get::<&str, _>("log_node_id")?),
        level: LogLevel::of_rank(rank)
            .ok_or_else(|| sqlx::Error::Decode(format!("unknown level of a log line: {rank}").into()))?,
        text: row.try_get::<&str, _>("log_text")?.into(),
        at: row.try_get::<DateTime<Utc>, _>("log_at")?.into(),
        attributes: attributes.map(|Json(attributes)| Arc::new(attributes)).unwrap_or_default(),
    })
}

/// Log lines as columns for `UNNEST`, except whose they are.
#[derive(Default)]
pub(super) struct LogArrays<'a> {
    pub session_ids: Vec<Uuid>,
    pub revisions: Vec<i64>,
    pub node_ids: Vec<&'a str>,
    pub levels: Vec<i16>,
    pub texts: Vec<&'a str>,
    pub times: Vec<DateTime<Utc>>,
    /// As texts, which the statement converts to JSON.
    pub attributes: Vec<Option<String>>,
}

impl<'a> LogArrays<'a> {
    /// Adds the line of an event.
    pub fn push_event(&mut self, recorded: &Recorded, added: &'a LogAdded, row: &'a LogRow) {
        self.session_ids.push(recorded.session_id.0);
        self.revisions.push(bigint(recorded.revision));
        self.node_ids.push(added.node_id.as_str());
        self.levels.push(added.level.rank());
        self.texts.push(&row.text);
        self.times.push(added.at.unwrap_or(recorded.at).as_datetime());
        self.attributes.push(attributes_text(&row.attributes));
    }

    pub fn push(&mut self, log: &'a Log) {
        self.session_ids.push(log.session_id.0);
        self.revisions.push(bigint(log.revision));
        self.node_ids.push(log.node_id.as_str());
        self.levels.push(log.level.rank());
        self.texts.push(&log.text);
        self.times.push(log.at.as_datetime());
        self.attributes.push(attributes_text(&log.attributes));
    }
}

fn attributes_text(attributes: &Map<String, Value>) -> Option<String> {
    // A flat object always has a text.
    if attributes.is_empty() { None } else { json(attributes).ok() }
}
