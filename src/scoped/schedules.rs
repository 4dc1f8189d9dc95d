//! Schedules, as a caller reaches them.

use uuid::Uuid;

use super::{Refused, Scoped};
use crate::access::Action;
use crate::storage::{Page, PageCursor};
use relive_session::{Schedule, ScheduleFields, Timestamp};

impl Scoped {
    /// Stores a schedule of the project that is due at `next`.
    ///
    /// # Errors
    ///
    /// [`Refused::Denied`], as for all functions here; if the project has no such workflow, or too many schedules.
    pub async fn create_schedule(
        &self,
        id: Uuid,
        fields: &ScheduleFields,
        next: Option<Timestamp>,
    ) -> Result<Schedule, Refused> {
        self.check(Action::ManageSchedules)?;
        Ok(self.storage.create_schedule(self.project(), id, fields, next, Timestamp::now()).await?)
    }

    /// Replaces a schedule's fields; `None` if the project has no such one.
    ///
    /// # Errors
    ///
    /// As for [`Scoped::create_schedule`].
    pub async fn update_schedule(
        &self,
        id: Uuid,
        fields: &ScheduleFields,
        next: Option<Timestamp>,
    ) -> Result<Option<Schedule>, Refused> {
        self.check(Action::ManageSchedules)?;
        Ok(self.storage.update_schedule(self.project(), id, fields, next, Timestamp::now()).await?)
    }

    /// A schedule of the project.
    ///
    /// # Errors
    ///
    /// As for all functions here.
    pub async fn schedule(&self, id: Uuid) -> Result<Option<Schedule>, Refused> {
        self.check(Action::ManageSchedules)?;
        Ok(self.storage.entity(self.project(), id).await?)
    }

    /// A page of the project's schedules, newest first.
    ///
    /// # Errors
    ///
    /// As for all functions here.
    pub async fn schedules(&self, after: Option<PageCursor>, limit: u32) -> Result<Page<Schedule>, Refused> {
        self.check(Action::ManageSchedules)?;
        Ok(self.storage.entities(self.project(), after, limit).await?)
    }

    /// Deletes a schedule; its runs stay. False if the project has no such one.
    ///
    /// # Errors
    ///
    /// As for all functions here.
    pub async fn delete_schedule(&self, id: Uuid) -> Result<bool, Refused> {
        self.check(Action::ManageSchedules)?;
        Ok(self.storage.delete_entity::<Schedule>(self.project(), id).await?)
    }
}
