//! Groups, agents and workflows, as a caller reaches them.

use uuid::Uuid;

use super::{Refused, Scoped};
use crate::access::Action;
use crate::storage::{CatalogEntity, Page, PageCursor};
use relive_session::Timestamp;

impl Scoped {
    /// The entity of the project with this id.
    ///
    /// # Errors
    ///
    /// [`Refused::Denied`], as for all functions here.
    pub async fn entity<E: CatalogEntity>(&self, id: Uuid) -> Result<Option<E>, Refused> {
        self.check(Action::ReadCatalog)?;
        Ok(self.storage.entity(self.project(), id).await?)
    }

    /// A page of the project's entities, newest first.
    ///
    /// # Errors
    ///
    /// As for [`Scoped::entity`].
    pub async fn entities<E: CatalogEntity>(&self, after: Option<PageCursor>, limit: u32) -> Result<Page<E>, Refused> {
        self.check(Action::ReadCatalog)?;
        Ok(self.storage.entities(self.project(), after, limit).await?)
    }

    /// Creates an entity.
    ///
    /// # Errors
    ///
    /// As for [`Scoped::entity`], and if the fields refer to a group that the project does not have.
    pub async fn create_entity<E: CatalogEntity>(&self, id: Uuid, fields: &E::Fields) -> Result<E, Refused> {
        self.check(Action::WriteCatalog)?;
        Ok(self.storage.create_entity(self.project(), id, fields, Timestamp::now()).await?)
    }

    /// Replaces an entity's fields; `None` if there is no such one.
    ///
    /// # Errors
    ///
    /// As for [`Scoped::create_entity`].
    pub async fn update_entity<E: CatalogEntity>(&self, id: Uuid, fields: &E::Fields) -> Result<Option<E>, Refused> {
        self.check(Action::WriteCatalog)?;
        Ok(self.storage.update_entity(self.project(), id, fields, Timestamp::now()).await?)
    }

    /// Deletes an agent or a workflow; false if there was none.
    ///
    /// # Errors
    ///
    /// As for [`Scoped::entity`], and for a workflow that sessions were created from.
    pub async fn delete_entity<E: CatalogEntity>(&self, id: Uuid) -> Result<bool, Refused> {
        self.check(Action::WriteCatalog)?;
        Ok(self.storage.delete_entity::<E>(self.project(), id).await?)
    }

    /// Deletes a group with its sessions and memories; false if there was none.
    ///
    /// # Errors
    ///
    /// As for [`Scoped::entity`].
    pub async fn delete_group(&self, id: Uuid) -> Result<bool, Refused> {
        self.check(Action::WriteCatalog)?;
        Ok(self.hub.delete_group(self.project(), id).await?)
    }
}
