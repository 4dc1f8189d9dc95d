//! Many events at once, for an import: by `COPY`, which puts rows into a page of the table together, and the page into
//! the write-ahead log once. An `INSERT`, which a batch of live sessions needs for its conditions, does so row by row.

use std::sync::Arc;

use sqlx::postgres::PgConnection;

use super::StorageError;
use super::bigint::bigint;
use super::columns::json;
use relive_session::{Actor, Recorded};

const COPY: &str = "COPY session_events (session_id, revision, at, batch, event, actor) FROM STDIN (FORMAT binary)";

/// What a file in this format begins with: a signature, no flags, no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Where a row would say how many columns it has.
const END: i16 = -1;
const NULL: i32 = -1;
/// From 1970, where Unix counts from, to 2000, where PostgreSQL does.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Adds events to the journal, as part of the caller's transaction.
pub(super) async fn copy_events(connection: &mut PgConnection, events: &[Recorded]) -> Result<(), StorageError> {
    let rows = rows(events)?;
    let mut copy = connection.copy_in_raw(COPY).await?;
    copy.send(rows).await?;
    copy.finish().await?;
    Ok(())
}

fn rows(events: &[Recorded]) -> Result<Vec<u8>, StorageError> {
    let mut actors = ActorTexts::default();
    let mut rows = HEADER.to_vec();
    for recorded in events {
        rows.extend_from_slice(&6i16.to_be_bytes());
        push(&mut rows, recorded.session_id.0.as_bytes())?;
        push(&mut rows, &bigint(recorded.revision).to_be_bytes())?;
        push(&mut rows, &(recorded.at.as_datetime().timestamp_micros() - EPOCH_MICROS).to_be_bytes())?;
        push(&mut rows, &0i64.to_be_bytes())?;
        push(&mut rows, json(&recorded.event)?.as_bytes())?;
        match &recorded.by {
            Some(actor) => push(&mut rows, actors.text(actor)?.as_bytes())?,
            None => rows.extend_from_slice(&NULL.to_be_bytes()),
        }
    }
    rows.extend_from_slice(&END.to_be_bytes());
    Ok(rows)
}

/// The JSON of actors. Many events that follow one another have the same.
#[derive(Default)]
struct ActorTexts<'a>(Option<(&'a Arc<Actor>, Arc<str>)>);

impl<'a> ActorTexts<'a> {
    fn text(&mut self, actor: &'a Arc<Actor>) -> Result<Arc<str>, StorageError> {
        if let Some((known, text)) = &self.0
            && Arc::ptr_eq(known, actor)
        {
            return Ok(Arc::clone(text));
        }
        let text: Arc<str> = json(&**actor)?.into();
        self.0 = Some((actor, Arc::clone(&text)));
        Ok(text)
    }
}

/// A column: how many bytes it has, and these.
fn push(rows: &mut Vec<u8>, value: &[u8]) -> Result<(), StorageError> {
    let length = i32::try_from(value.len()).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    rows.extend_from_slice(&length.to_be_bytes());
    rows.extend_from_slice(value);
    Ok(())
}
