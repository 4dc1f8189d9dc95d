//! Webhooks, as a caller reaches them.

use std::time::Duration;

use uuid::Uuid;

use super::{Refused, Scoped};
use crate::access::Action;
use crate::storage::{Page, PageCursor, WebhookChange, WebhookTarget};
use relive_session::{Delivery, DeliveryStatus, Timestamp, Webhook};

impl Scoped {
    /// Stores a webhook of the project.
    ///
    /// # Errors
    ///
    /// [`Refused::Denied`], as for all functions here, and if the project has too many.
    pub async fn create_webhook(&self, id: Uuid, change: WebhookChange<'_>) -> Result<Webhook, Refused> {
        self.check(Action::ManageWebhooks)?;
        Ok(self.storage.create_webhook(self.project(), id, change, Timestamp::now()).await?)
    }

    /// Replaces a webhook's fields; `None` if the project has no such one.
    ///
    /// # Errors
    ///
    /// As for all functions here.
    pub async fn update_webhook(&self, id: Uuid, change: WebhookChange<'_>) -> Result<Option<Webhook>, Refused> {
        self.check(Action::ManageWebhooks)?;
        Ok(self.storage.update_webhook(self.project(), id, change, Timestamp::now()).await?)
    }

    /// Gives a webhook of the project a new secret, beside which those before it sign for as long as `overlap`; `None`
    /// if the project has no such one.
    ///
    /// # Errors
    ///
    /// As for all functions here, and if too many of those before sign already.
    pub async fn rotate_webhook_secret(
        &self,
        id: Uuid,
        secret: &[u8],
        overlap: Duration,
    ) -> Result<Option<Webhook>, Refused> {
        self.check(Action::ManageWebhooks)?;
        Ok(self.storage.rotate_webhook_secret(self.project(), id, secret, overlap, Timestamp::now()).await?)
    }

    /// A webhook of the project.
    ///
    /// # Errors
    ///
    /// As for all functions here.
    pub async fn webhook(&self, id: Uuid) -> Result<Option<Webhook>, Refused> {
        self.check(Action::ManageWebhooks)?;
        Ok(self.storage.entity(self.project(), id).await?)
    }

    /// A page of the project's webhooks, newest first.
    ///
    /// # Errors
    ///
    /// As for all functions here.
    pub async fn webhooks(&self, after: Option<PageCursor>, limit: u32) -> Result<Page<Webhook>, Refused> {
        self.check(Action::ManageWebhooks)?;
        Ok(self.storage.entities(self.project(), after, limit).await?)
    }

    /// Deletes a webhook with its deliveries; false if the project has no such one.
    ///
    /// # Errors
    ///
    /// As for all functions here.
    pub async fn delete_webhook(&self, id: Uuid) -> Result<bool, Refused> {
        self.check(Action::ManageWebhooks)?;
        Ok(self.storage.delete_entity::<Webhook>(self.project(), id).await?)
    }

    /// A page of a webhook's deliveries, newest first; `None` if the project has no such webhook.
    ///
    /// # Errors
    ///
    /// As for all functions here.
    pub async fn deliveries(
        &self,
        webhook: Uuid,
        status: Option<DeliveryStatus>,
        after: Option<PageCursor>,
        limit: u32,
    ) -> Result<Option<Page<Delivery>>, Refused> {
        self.check(Action::ManageWebhooks)?;
        Ok(self.storage.deliveries(self.project(), webhook, status, after, limit).await?)
    }

    /// Makes a delivery due now; `None` if there is no such one.
    ///
    /// # Errors
    ///
    /// As for all functions here.
    pub async fn retry_delivery(&self, webhook: Uuid, id: Uuid) -> Result<Option<Delivery>, Refused> {
        self.check(Action::ManageWebhooks)?;
        Ok(self.storage.retry_delivery(self.project(), webhook, id).await?)
    }

    /// What a test of a webhook is sent with; `None` if the project has no such one.
    ///
    /// # Errors
    ///
    /// As for all functions here.
    pub async fn webhook_target(&self, id: Uuid) -> Result<Option<WebhookTarget>, Refused> {
        self.check(Action::ManageWebhooks)?;
        Ok(self.storage.webhook_target(self.project(), id).await?)
    }
}
