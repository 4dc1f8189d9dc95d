//! Webhooks: telling addresses of events, by POST, as [Standard Webhooks](https://www.standardwebhooks.com) has it.
//!
//! ```text
//! webhook_outbox ─▶ webhook_deliveries ─▶ sender of one webhook ─▶ Courier ─▶ receiver
//! ```
//!
//! The rows of the outbox are written by the commits of the events. One server at a time makes deliveries of them; then
//! each webhook is served by the one server that holds its lease. A delivery is sent until it is answered with a 2xx, or
//! has failed for the last time; whatever ends in between begins again with the attempt.

mod courier;
mod retries;
mod secret;
mod sender;
mod supervisor;

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use crate::storage::{Storage, StorageError, WebhookTarget};
use relive_session::{Delivery, DeliveryStatus, ProjectId, Timestamp};

pub use courier::{Courier, UrlError};
pub use retries::wait_after;
pub use secret::{NotASecret, WebhookSecret};
pub use supervisor::WebhookSender;

/// The type of a test.
const TEST: &str = "webhook.test";

/// What requests about webhooks need besides the storage. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Webhooks {
    storage: Storage,
    courier: Courier,
}

impl Webhooks {
    #[must_use]
    pub fn new(storage: Storage, courier: Courier) -> Self {
        Self { storage, courier }
    }

    /// Whether an address can be one of a webhook. What a name resolves to is checked whenever it is contacted.
    ///
    /// # Errors
    ///
    /// Why not, as a text for the client.
    pub fn check(&self, url: &str) -> Result<(), UrlError> {
        self.courier.check(url).map(drop)
    }

    /// Sends a test to a webhook, whether it is enabled or not, and waits for the answer. A test with this id that was
    /// sent before is not sent again.
    ///
    /// # Errors
    ///
    /// If the database is away. A test that fails is no error.
    pub async fn test(
        &self,
        project: &ProjectId,
        webhook: Uuid,
        target: &WebhookTarget,
        id: Uuid,
    ) -> Result<Option<Delivery>, StorageError> {
        if let Some(sent) = self.storage.delivery(project, webhook, id).await? {
            return Ok(Some(sent));
        }
        let at = Timestamp::now();
        let body = json!({"type": TEST, "timestamp": at, "data": {"webhookId": webhook}}).to_string();
        let attempt = self.courier.send(target, id, &body, None).await;
        let status = if attempt.is_delivered() { DeliveryStatus::Delivered } else { DeliveryStatus::Failed };
        let result = attempt.result(id, status, None);
        self.storage.store_test(webhook, TEST, &body, &result, at).await?;
        self.storage.delivery(project, webhook, id).await
    }
}

/// How long deliveries are kept, whatever became of them.
pub const KEPT: Duration = Duration::from_hours(14 * 24);
