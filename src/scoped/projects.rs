//! Projects, as a caller reaches them.

use super::{Refused, Scoped};
use crate::access::Action;
use relive_session::{Project, ProjectId, Timestamp};

impl Scoped {
    /// Up to `limit` projects by id, from the one after `after` on.
    ///
    /// # Errors
    ///
    /// [`Refused::Denied`] for everybody but root.
    pub async fn projects(&self, after: Option<&ProjectId>, limit: u32) -> Result<Vec<Project>, Refused> {
        self.check(Action::ManageProjects)?;
        Ok(self.storage.projects(after, limit).await?)
    }

    /// The project with this id: the own one, or any for root.
    ///
    /// # Errors
    ///
    /// [`Refused::Denied`] if the caller may not read projects.
    pub async fn project_named(&self, id: &ProjectId) -> Result<Option<Project>, Refused> {
        self.check(Action::ReadProject)?;
        if id != self.project() && self.check(Action::ManageProjects).is_err() {
            return Ok(None);
        }
        Ok(self.storage.project(id).await?)
    }

    /// Whether the caller may read the audit log of a project: the own one, or for root any that there is or was.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub async fn has_audit_log(&self, id: &ProjectId) -> Result<bool, Refused> {
        if id == self.project() {
            return Ok(true);
        }
        Ok(self.check(Action::ManageProjects).is_ok() && self.storage.has_had_project(id).await?)
    }

    /// Makes a project.
    ///
    /// # Errors
    ///
    /// As for [`Scoped::projects`], and if the id is taken.
    pub async fn create_project(&self, id: &ProjectId, name: &str) -> Result<Project, Refused> {
        self.check(Action::ManageProjects)?;
        Ok(self.storage.create_project(id, name, Timestamp::now()).await?)
    }

    /// Renames a project; `None` if there is no such one.
    ///
    /// # Errors
    ///
    /// As for [`Scoped::projects`].
    pub async fn rename_project(&self, id: &ProjectId, name: &str) -> Result<Option<Project>, Refused> {
        self.check(Action::ManageProjects)?;
        Ok(self.storage.rename_project(id, name, Timestamp::now()).await?)
    }
}
