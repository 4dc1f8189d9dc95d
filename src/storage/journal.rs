//! Reading the journal: the events of one session, in order.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use sqlx::postgres::{PgArguments, PgRow, Postgres};
use sqlx::query::QueryAs;
use sqlx::types::Json;
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use super::bigint::bigint;
use super::logs::{log_columns, read_log};
use super::messages::MessageRow;
use super::{Storage, StorageError};
use relive_session::{Actor, Event, Recorded, Revision, SessionId, SessionIdentity, Text, Texts, Timestamp};

/// The condition for events: of a session's id, of a range, and optionally of one session only.
macro_rules! range {
    ($events:literal) => {
        concat!(
            $events,
            "session_id = $1 AND ",
            $events,
            "revision > $2 AND ",
            $events,
            "revision <= $3 AND ($5::bigint IS NULL OR EXISTS (
            SELECT FROM sessions WHERE id = $1 AND incarnation = $5::bigint
                AND date_trunc('milliseconds', created_at) = $4::timestamptz)) "
        )
    };
}

macro_rules! events {
    () => {
        concat!("SELECT revision, at, event, actor FROM session_events WHERE ", range!(""), "ORDER BY revision")
    };
}

const ALL: &str = events!();

const FIRST: &str = concat!(events!(), " LIMIT $6");

const PAGE: &str = concat!(
    "SELECT revision, at, event, actor FROM (
        SELECT revision, at, event, actor,
               sum(octet_length(event::text)) OVER (ORDER BY revision ROWS UNBOUNDED PRECEDING) AS bytes
        FROM session_events WHERE ",
    range!(""),
    "ORDER BY revision LIMIT $6) AS page
    WHERE bytes <= $7 OR revision = $2 + 1 ORDER BY revision"
);

/// The same with messages if `$8`, and with log lines if `$9`.
const PAGE_WITH_TEXTS: &str = concat!(
    "SELECT * FROM (
        SELECT e.revision, e.at, e.event, e.actor, e.session_id, m.id, m.node_id, m.agent_id, m.agent_name, m.role,
               m.content, m.token_count, m.is_thinking, m.created_at, m.tool_calls, m.tool_call_id, m.content_type, ",
    log_columns!(),
    ",         sum(octet_length(e.event::text) + coalesce(octet_length(m.content), 0)
                   + coalesce(octet_length(m.tool_calls::text), 0) + coalesce(octet_length(log.text), 0))
                   OVER (ORDER BY e.revision ROWS UNBOUNDED PRECEDING) AS bytes
        FROM session_events e
        LEFT JOIN session_messages m ON $8 AND m.session_id = e.session_id AND m.revision = e.revision
        LEFT JOIN session_logs log ON $9 AND log.session_id = e.session_id AND log.revision = e.revision
        WHERE ",
    range!("e."),
    "ORDER BY e.revision LIMIT $6) AS page
    WHERE bytes <= $7 OR revision = $2 + 1 ORDER BY revision"
);

/// An event with its JSON as stored in the journal.
#[derive(Clone, Debug)]
pub struct StoredEvent {
    pub revision: Revision,
    pub at: Timestamp,
    /// Viewers are shown it as it was written; it is parsed only to compute a state.
    pub event: Arc<RawValue>,
    pub by: Option<Arc<Actor>>,
    /// The text that it added, if it added one and those were requested.
    pub text: Option<Box<Text>>,
}

impl StoredEvent {
    /// The parsed event.
    ///
    /// # Errors
    ///
    /// If it cannot be parsed.
    pub fn recorded(&self, session_id: SessionId) -> Result<Recorded, StorageError> {
        let event = serde_json::from_str(self.event.get()).map_err(StorageError::Event)?;
        Ok(Recorded { session_id, revision: self.revision, at: self.at, by: self.by.clone(), event })
    }

    /// False only if the event added no wanted text. It is not parsed: another event may have this name in its values.
    fn may_add(&self, wanted: Texts) -> bool {
        let has = |name| self.event.get().contains(name);
        (wanted.messages && has("\"messageAdded\"")) || (wanted.logs && has("\"logAdded\""))
    }
}

/// The limits of a page. The first event is always included, however large.
#[derive(Clone, Copy, Debug)]
pub struct PageBounds {
    pub rows: u32,
    pub bytes: u32,
}

/// Reads the events of one session, all of them unless [`after`](Self::after) or [`up_to`](Self::up_to)
/// restrict them: parsed, to compute states ([`Recorded`]), or as stored, to show them ([`StoredEvent`]); in
/// pages or one by one.
///
/// All methods fail if the database is away, or an event cannot be parsed.
#[derive(Clone, Copy, Debug)]
pub struct JournalReader<'a> {
    storage: &'a Storage,
    session_id: SessionId,
    after: Revision,
    up_to: Revision,
    of: Option<SessionIdentity>,
}

/// A row of `session_events`, with the event as `E`.
type EventColumns<E> = (i64, DateTime<Utc>, Json<E>, Option<Json<Arc<Actor>>>);
type EventQuery<E> = QueryAs<'static, Postgres, EventColumns<E>, PgArguments>;

impl<'a> JournalReader<'a> {
    /// Only events after this revision.
    #[must_use]
    pub fn after(self, after: Revision) -> Self {
        Self { after, ..self }
    }

    /// Only events up to this revision.
    #[must_use]
    pub fn up_to(self, up_to: Revision) -> Self {
        Self { up_to, ..self }
    }

    /// No events if another session is stored under the id.
    #[must_use]
    pub fn of(self, identity: SessionIdentity) -> Self {
        Self { of: Some(identity), ..self }
    }

    /// The first events, at most `rows`.
    ///
    /// # Errors
    ///
    /// See [`JournalReader`].
    pub async fn recorded(self, rows: u32) -> Result<Vec<Recorded>, StorageError> {
        let rows = self.query(FIRST).bind(i64::from(rows)).fetch_all(&self.storage.pool).await?;
        Ok(rows.into_iter().map(|row| self.recorded_of(row)).collect())
    }

    /// The first events, as many as `bounds` allow.
    ///
    /// # Errors
    ///
    /// See [`JournalReader`].
    pub async fn recorded_page(self, bounds: PageBounds) -> Result<Vec<Recorded>, StorageError> {
        let query = self.query(PAGE).bind(i64::from(bounds.rows)).bind(i64::from(bounds.bytes));
        let rows = query.fetch_all(&self.storage.pool).await?;
        Ok(rows.into_iter().map(|row| self.recorded_of(row)).collect())
    }

    /// All events, read on demand. The stream holds a connection until it is dropped, so its reader must not wait
    /// for a client.
    pub fn recorded_stream(self) -> impl Stream<Item = Result<Recorded, StorageError>> + Unpin + Send + 'a {
        let rows = self.query(ALL).fetch(&self.storage.pool);
        rows.map_ok(move |row| self.recorded_of(row)).map_err(StorageError::from)
    }

    /// The first events, at most `rows`, read on demand, as [`JournalReader::recorded_stream`].
    pub fn stored_stream(self, rows: u32) -> impl Stream<Item = Result<StoredEvent, StorageError>> + Unpin + Send + 'a {
        let rows = self.query(FIRST).bind(i64::from(rows)).fetch(&self.storage.pool);
        rows.map(|row| Ok(stored(row?, None)))
    }

    /// The first events, as many as `bounds` allow, with the wanted texts that they added.
    ///
    /// # Errors
    ///
    /// See [`JournalReader`].
    pub async fn stored_page(self, bounds: PageBounds, wanted: Texts) -> Result<Vec<StoredEvent>, StorageError> {
        let mut query = sqlx::query(if wanted.any() { PAGE_WITH_TEXTS } else { PAGE })
            .bind(self.session_id.0)
            .bind(bigint(self.after))
            .bind(bigint(self.up_to))
            .bind(self.of.map(|of| of.created_at.as_datetime()))
            .bind(self.of.map(|of| of.incarnation))
            .bind(i64::from(bounds.rows))
            .bind(i64::from(bounds.bytes));
        if wanted.any() {
            query = query.bind(wanted.messages).bind(wanted.logs);
        }
        let rows = query.fetch_all(&self.storage.pool).await?;
        Ok(rows.iter().map(|row| with_text(row, wanted)).collect::<sqlx::Result<_>>()?)
    }

    /// As [`JournalReader::stored_page`], for events that are expected to be small and without texts: PostgreSQL does not
    /// add up their sizes, or look for texts, which takes it longer than reading them. What it sends beyond `bounds.bytes`
    /// is read in vain, and so is a page in which there are wanted texts after all.
    ///
    /// # Errors
    ///
    /// See [`JournalReader`].
    pub async fn small_page(self, bounds: PageBounds, wanted: Texts) -> Result<Vec<StoredEvent>, StorageError> {
        let page = self.small_events(bounds).await?;
        if page.iter().any(|stored| stored.may_add(wanted)) { self.stored_page(bounds, wanted).await } else { Ok(page) }
    }

    async fn small_events(self, bounds: PageBounds) -> Result<Vec<StoredEvent>, StorageError> {
        let mut rows = self.stored_stream(bounds.rows);
        let (mut page, mut bytes) = (Vec::new(), 0);
        while let Some(stored) = rows.try_next().await? {
            bytes += stored.event.get().len();
            if bytes > bounds.bytes as usize && !page.is_empty() {
                break;
            }
            page.push(stored);
        }
        Ok(page)
    }

    fn query<E>(&self, sql: &'static str) -> EventQuery<E>
    where
        E: DeserializeOwned + Send + Unpin + 'static,
    {
        sqlx::query_as(sql)
            .bind(self.session_id.0)
            .bind(bigint(self.after))
            .bind(bigint(self.up_to))
            .bind(self.of.map(|of| of.created_at.as_datetime()))
            .bind(self.of.map(|of| of.incarnation))
    }

    fn recorded_of(&self, (revision, at, Json(event), actor): EventColumns<Event>) -> Recorded {
        let by = actor.map(|Json(actor)| actor);
        Recorded { session_id: self.session_id, revision: revision.unsigned_abs(), at: at.into(), by, event }
    }
}

fn stored((revision, at, Json(event), by): EventColumns<Box<RawValue>>, text: Option<Box<Text>>) -> StoredEvent {
    let by = by.map(|Json(actor)| actor);
    StoredEvent { revision: revision.unsigned_abs(), at: at.into(), event: event.into(), by, text }
}

fn with_text(row: &PgRow, wanted: Texts) -> sqlx::Result<StoredEvent> {
    let has = |column: &str| Ok::<_, sqlx::Error>(row.try_get::<Option<&str>, _>(column)?.is_some());
    let text = if wanted.any() && has("id")? {
        Some(Box::new(Text::Message(MessageRow::from_row(row)?.1)))
    } else if wanted.any() && has("log_text")? {
        Some(Box::new(Text::Log(read_log(row)?)))
    } else {
        None
    };
    Ok(stored((row.try_get("revision")?, row.try_get("at")?, row.try_get("event")?, row.try_get("actor")?), text))
}

impl Storage {
    /// The journal of a session; empty if there is no such session.
    #[must_use]
    pub fn journal(&self, session_id: SessionId) -> JournalReader<'_> {
        JournalReader { storage: self, session_id, after: 0, up_to: Revision::MAX, of: None }
    }

    /// The time at which a revision was recorded; `None` if the session never reached it.
    pub async fn time_of(&self, session_id: SessionId, revision: Revision) -> Result<Option<Timestamp>, StorageError> {
        let at: Option<DateTime<Utc>> =
            sqlx::query_scalar("SELECT at FROM session_events WHERE session_id = $1 AND revision = $2")
                .bind(session_id.0)
                .bind(bigint(revision))
                .fetch_optional(&self.pool)
                .await?;
        Ok(at.map(Timestamp::from))
    }

    /// The newest revision that was reached at or before `time`; `None` if there is none.
    pub async fn revision_at(&self, session_id: SessionId, time: Timestamp) -> Result<Option<Revision>, StorageError> {
        // Times never decrease along revisions, so the first event after `time` is found by binary search, with
        // one look-up by primary key per step.
        let head: Option<i64> = sqlx::query_scalar("SELECT revision FROM sessions WHERE id = $1")
            .bind(session_id.0)
            .fetch_optional(&self.pool)
            .await?;
        let Some(head) = head else { return Ok(None) };
        let (mut reached, mut beyond) = (0, head.unsigned_abs() + 1);
        while beyond - reached > 1 {
            let middle = reached + (beyond - reached) / 2;
            match self.time_of(session_id, middle).await? {
                Some(at) if at <= time => reached = middle,
                _ => beyond = middle,
            }
        }
        Ok(Some(reached).filter(|revision| *revision > 0))
    }

    /// The revision that a command id was answered with, if the session has carried it out.
    pub async fn command_revision(
        &self,
        session_id: SessionId,
        command_id: &str,
    ) -> Result<Option<Revision>, StorageError> {
        let revision: Option<i64> =
            sqlx::query_scalar("SELECT revision FROM session_commands WHERE session_id = $1 AND command_id = $2")
                .bind(session_id.0)
                .bind(command_id)
                .fetch_optional(&self.pool)
                .await?;
        Ok(revision.map(i64::unsigned_abs))
    }

    /// As [`Storage::command_revision`], for many; those that were not carried out are omitted.
    pub async fn command_revisions(
        &self,
        commands: Vec<(SessionId, Arc<str>)>,
    ) -> Result<HashMap<(SessionId, Arc<str>), Revision>, StorageError> {
        if commands.is_empty() {
            return Ok(HashMap::new());
        }
        let rows: Vec<(Uuid, String, i64)> = sqlx::query_as(
            "SELECT session_id, command_id, revision FROM session_commands
             JOIN UNNEST($1::uuid[], $2::text[]) AS asked (session_id, command_id) USING (session_id, command_id)",
        )
        .bind(commands.iter().map(|(session_id, _)| session_id.0).collect::<Vec<_>>())
        .bind(commands.iter().map(|(_, command_id)| &**command_id).collect::<Vec<_>>())
        .fetch_all(&self.pool)
        .await?;
        let known = rows
            .into_iter()
            .map(|(id, command_id, revision)| ((SessionId(id), Arc::from(command_id)), revision.unsigned_abs()));
        Ok(known.collect())
    }
}
