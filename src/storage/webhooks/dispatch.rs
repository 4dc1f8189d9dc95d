//! Makes deliveries of the events in the outbox.

use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::{StreamExt as _, stream};

use super::body::body_of;
use super::outbox::{NewDelivery, OutboxEvent, SubscribedWebhook};
use crate::storage::{Storage, StorageError};
use relive_session::{Session, SessionId, Timestamp};

/// Events taken at once.
const BATCH: u32 = 100;
/// Bodies made at once, each with reads of its own.
const BODIES: usize = 4;

impl Storage {
    /// Makes deliveries of what is in the outbox, the oldest first; returns whether there were any events. While another
    /// server does so, it is left to that.
    ///
    /// # Errors
    ///
    /// If the database is away: the events are still in the outbox.
    pub async fn dispatch_outbox(&self) -> Result<bool, StorageError> {
        let Some(batch) = self.take_outbox(BATCH).await? else { return Ok(false) };
        if batch.events.is_empty() {
            return Ok(false);
        }
        let deliveries = self.deliveries_of(&batch.webhooks, &batch.events).await?;
        batch.complete(&deliveries, Timestamp::now()).await?;
        Ok(true)
    }

    /// The same for one session that is about to be deleted, since what is sent is made of its history. Other servers
    /// may be doing so at the same time: each event becomes deliveries once.
    pub(in crate::storage) async fn dispatch_session(&self, id: SessionId) -> Result<(), StorageError> {
        loop {
            let (events, webhooks) = self.outbox_of(id, BATCH).await?;
            if events.is_empty() {
                return Ok(());
            }
            let deliveries = self.deliveries_of(&webhooks, &events).await?;
            self.complete_outbox(&events, &deliveries, Timestamp::now()).await?;
        }
    }

    async fn deliveries_of(
        &self,
        webhooks: &[SubscribedWebhook],
        events: &[OutboxEvent],
    ) -> Result<Vec<NewDelivery>, StorageError> {
        let making = events.iter().map(|event| deliveries_of(self, webhooks, event).boxed());
        let making: Vec<BoxFuture<'_, Result<Vec<NewDelivery>, StorageError>>> = making.collect();
        let made: Vec<_> = stream::iter(making).buffered(BODIES).collect().await;
        Ok(made.into_iter().collect::<Result<Vec<_>, _>>()?.concat())
    }
}

async fn deliveries_of(
    storage: &Storage,
    webhooks: &[SubscribedWebhook],
    event: &OutboxEvent,
) -> Result<Vec<NewDelivery>, StorageError> {
    let asked: Vec<&SubscribedWebhook> = webhooks.iter().filter(|webhook| asks_for(webhook, event)).collect();
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let (session, body) = match body_of(storage, event).await {
        Ok(Some(made)) => made,
        Ok(None) => return Ok(Vec::new()),
        Err(error) if error.is_transient() => return Err(error),
        Err(error) => {
            // It would be so every time, and hold up all others.
            tracing::error!(%error, session_id = %event.session_id, "webhooks cannot be told of an event");
            return Ok(Vec::new());
        }
    };
    let told = asked.into_iter().filter(|webhook| concerns(webhook, &session));
    Ok(told
        .map(|webhook| NewDelivery {
            webhook_id: webhook.id,
            kind: event.kind,
            session_id: event.session_id,
            revision: event.revision,
            at: event.at,
            body: body.clone(),
        })
        .collect())
}

fn asks_for(webhook: &SubscribedWebhook, event: &OutboxEvent) -> bool {
    webhook.project == event.project && webhook.types.contains(&event.kind)
}

fn concerns(webhook: &SubscribedWebhook, session: &Session) -> bool {
    let (filter, origin) = (&webhook.filter, &session.origin);
    filter.group_id.is_none_or(|id| origin.group_id == Some(id))
        && filter.workflow_id.is_none_or(|id| origin.workflow_id == Some(id))
        && filter.tag.as_ref().is_none_or(|tag| session.labels.tags.contains(tag))
}
