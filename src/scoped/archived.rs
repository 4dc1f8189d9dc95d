//! Archived sessions, as a caller reaches them: whoever could read a session may read that it is archived.

use super::{Refused, Scoped};
use crate::access::{Action, Subject};
use crate::storage::{ArchivedRow, Page, PageCursor, SessionFilter};
use relive_session::SessionId;

impl Scoped {
    /// An archived session of the project, for an action on it.
    ///
    /// # Errors
    ///
    /// As for [`Scoped::session`].
    pub async fn archived(&self, id: SessionId, action: Action) -> Result<ArchivedRow, Refused> {
        self.check_id(id, action)?;
        let Some(row) = self.storage.archived(self.project(), id).await? else {
            return Err(self.not_found(id, action));
        };
        let subject = Subject { id, group_id: row.summary.group_id, tags: &row.summary.tags };
        self.caller.allows(action, Some(&subject))?;
        Ok(row)
    }

    /// A page of the archived sessions that the caller may see.
    ///
    /// # Errors
    ///
    /// When the database is away.
    pub async fn archived_page(
        &self,
        filter: &SessionFilter,
        after: Option<PageCursor>,
        limit: u32,
    ) -> Result<Page<ArchivedRow>, Refused> {
        Ok(self.storage.archived_page(filter, after, limit).await?)
    }
}
