//! Alerts, as a caller reaches them.

use uuid::Uuid;

use super::{Refused, Scoped};
use crate::access::Action;
use crate::storage::{Page, PageCursor, StoredAlert};
use relive_session::{Alert, AlertEvent, AlertFields, Timestamp};

impl Scoped {
    /// Stores an alert of the project.
    ///
    /// # Errors
    ///
    /// [`Refused::Denied`], as for all functions here; if the project has too many, or lacks a webhook that it names.
    pub async fn create_alert(&self, id: Uuid, fields: &AlertFields) -> Result<Alert, Refused> {
        self.check(Action::ManageAlerts)?;
        Ok(self.storage.create_alert(self.project(), id, fields, Timestamp::now()).await?)
    }

    /// Changes an alert that still is as it was at `version`; `None` if it is not, or is not there any more.
    ///
    /// # Errors
    ///
    /// As for all functions here; if the project lacks a webhook that it names.
    pub async fn update_alert(&self, id: Uuid, version: i64, fields: &AlertFields) -> Result<Option<Alert>, Refused> {
        self.check(Action::ManageAlerts)?;
        Ok(self.storage.update_alert(self.project(), id, version, fields, Timestamp::now()).await?)
    }

    /// An alert of the project.
    ///
    /// # Errors
    ///
    /// As for all functions here.
    pub async fn alert(&self, id: Uuid) -> Result<Option<StoredAlert>, Refused> {
        self.check(Action::ManageAlerts)?;
        Ok(self.storage.entity(self.project(), id).await?)
    }

    /// A page of the project's alerts, newest first.
    ///
    /// # Errors
    ///
    /// As for all functions here.
    pub async fn alerts(&self, after: Option<PageCursor>, limit: u32) -> Result<Page<StoredAlert>, Refused> {
        self.check(Action::ManageAlerts)?;
        Ok(self.storage.entities(self.project(), after, limit).await?)
    }

    /// Deletes an alert with its events; false if the project has no such one.
    ///
    /// # Errors
    ///
    /// As for all functions here.
    pub async fn delete_alert(&self, id: Uuid) -> Result<bool, Refused> {
        self.check(Action::ManageAlerts)?;
        Ok(self.storage.delete_entity::<StoredAlert>(self.project(), id).await?)
    }

    /// A page of an alert's events, newest first; `None` if the project has no such alert.
    ///
    /// # Errors
    ///
    /// As for all functions here.
    pub async fn alert_events(
        &self,
        alert: Uuid,
        after: Option<PageCursor>,
        limit: u32,
    ) -> Result<Option<Page<AlertEvent>>, Refused> {
        self.check(Action::ManageAlerts)?;
        Ok(self.storage.alert_events(self.project(), alert, after, limit).await?)
    }
}
