//! What a live list knows about the sessions its client holds.

use std::collections::{BTreeMap, HashMap};

use crate::storage::Page;
use relive_protocol::SessionChange;
use relive_session::{Revision, SessionId, SessionIdentity, SessionSummary, Timestamp};

/// Sessions remembered; the one that changed longest ago is dropped first. A session that is not remembered
/// may be held by the client, so a removal is sent once too often rather than not at all.
const REMEMBERED: usize = 10_000;

/// Which sessions a client holds, as far as known.
#[derive(Debug, Default)]
pub(super) struct Listed {
    sessions: HashMap<SessionId, Known>,
    /// The same sessions, by the order of their changes.
    order: BTreeMap<u64, SessionId>,
    next: u64,
    /// The last row of the first page, if there are more: the client may have read on from there.
    edge: Option<(Timestamp, SessionId)>,
    /// Something was dropped: any session may be held.
    has_forgotten: bool,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    /// The session and its newest revision that were sent.
    identity: SessionIdentity,
    revision: Revision,
    is_held: bool,
    place: u64,
}

impl Listed {
    /// After the first page was sent.
    pub fn after(page: &Page<SessionSummary>) -> Self {
        let edge = page.next.map(|cursor| (cursor.created_at, SessionId(cursor.id)));
        let mut listed = Self { edge, ..Self::default() };
        page.items.iter().for_each(|summary| listed.remember(summary, summary.revision, true));
        listed
    }

    /// What to send for a session that has changed, and now matches or does not. `None`: nothing,
    /// since it does not concern this list, or was sent before.
    pub fn change(&mut self, summary: &SessionSummary, matches: bool) -> Option<SessionChange> {
        let known = self.sessions.get(&summary.id).copied();
        // A list can receive the same commit twice: from its own server and from another.
        if known.is_some_and(|known| known.revision >= summary.revision) {
            return None;
        }
        let may_be_held = self.may_be_held(summary);
        self.remember(summary, summary.revision, matches);
        match (matches, known.is_some_and(|known| known.is_held)) {
            (true, true) => Some(SessionChange::Changed),
            (true, false) => Some(SessionChange::Added),
            (false, _) => may_be_held.then_some(SessionChange::Removed),
        }
    }

    /// Whether it is this session that is known by its id.
    pub fn knows(&self, summary: &SessionSummary) -> bool {
        self.sessions.get(&summary.id).is_some_and(|known| known.identity == summary.identity())
    }

    /// Whether the client holds another session under the id of this one, which is to be sent: that one was
    /// deleted.
    pub fn replace(&mut self, summary: &SessionSummary) -> bool {
        self.sessions.contains_key(&summary.id) && !self.knows(summary) && self.forget(summary)
    }

    /// The client may not see a session any more; returns whether it is known to hold it. The existence of others is
    /// not revealed.
    pub fn withdraw(&mut self, summary: &SessionSummary) -> bool {
        let Some(known) = self.sessions.get(&summary.id).copied().filter(|known| known.is_held) else { return false };
        self.remember(summary, summary.revision.max(known.revision), false);
        true
    }

    /// A session was deleted; whether the client may hold it. Its id can be used again, with any revision.
    pub fn forget(&mut self, summary: &SessionSummary) -> bool {
        let may_be_held = self.may_be_held(summary);
        self.remember(summary, 0, false);
        may_be_held
    }

    fn may_be_held(&self, summary: &SessionSummary) -> bool {
        match self.sessions.get(&summary.id) {
            Some(known) => known.is_held,
            None => self.has_forgotten || self.edge.is_some_and(|edge| (summary.created_at, summary.id) < edge),
        }
    }

    fn remember(&mut self, summary: &SessionSummary, revision: Revision, is_held: bool) {
        let (id, identity, place) = (summary.id, summary.identity(), self.next);
        self.next += 1;
        if let Some(before) = self.sessions.insert(id, Known { identity, revision, is_held, place }) {
            self.order.remove(&before.place);
        }
        self.order.insert(place, id);
        if self.sessions.len() > REMEMBERED
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.sessions.remove(&oldest);
            self.has_forgotten = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use rust_decimal::Decimal;
    use uuid::Uuid;

    use super::*;
    use crate::storage::PageCursor;
    use relive_session::{NodeCounts, ProjectId, SessionStatus};

    fn summary(number: i64, revision: Revision) -> SessionSummary {
        let at = Timestamp::from_millis(number).expect("a time");
        SessionSummary {
            id: SessionId(Uuid::from_u128(number.unsigned_abs().into())),
            project_id: ProjectId::default(),
            workflow_id: None,
            workflow_name: None,
            group_id: None,
            status: SessionStatus::Running,
            started_at: None,
            completed_at: None,
            created_at: at,
            updated_at: at,
            revision,
            total_tokens: 0,
            total_cost_usd: Decimal::ZERO,
            error: None,
            node_counts: NodeCounts::default(),
            incarnation: 1,
            name: None,
            tags: std::sync::Arc::default(),
            metadata: std::sync::Arc::default(),
        }
    }

    fn page(numbers: impl IntoIterator<Item = i64>, has_more: bool) -> Page<SessionSummary> {
        let items: Vec<_> = numbers.into_iter().map(|number| summary(number, 1)).collect();
        let cursor = |last: &SessionSummary| PageCursor { created_at: last.created_at, id: last.id.0 };
        Page { next: items.last().filter(|_| has_more).map(cursor), items }
    }

    #[test]
    fn a_session_is_added_changed_and_removed_once_for_each_revision() {
        let mut listed = Listed::after(&page([2, 1], false));
        assert_eq!(listed.change(&summary(3, 1), false), None, "it never matched");
        assert_eq!(listed.change(&summary(3, 2), true), Some(SessionChange::Added));
        assert_eq!(listed.change(&summary(3, 2), true), None, "heard of twice");
        assert_eq!(listed.change(&summary(3, 3), true), Some(SessionChange::Changed));
        assert_eq!(listed.change(&summary(1, 2), false), Some(SessionChange::Removed));
        assert_eq!(listed.change(&summary(1, 3), false), None, "it is gone already");
        assert!(!listed.forget(&summary(1, 3)));
        assert!(listed.forget(&summary(2, 1)));
        assert_eq!(listed.change(&summary(2, 1), true), Some(SessionChange::Added), "imported again");
    }

    #[test]
    fn another_session_under_the_id_of_one_that_is_shown_takes_its_place() {
        let mut listed = Listed::after(&page([1], false));
        assert_eq!(listed.change(&summary(1, 7), true), Some(SessionChange::Changed));
        let another = |revision| SessionSummary { incarnation: 2, ..summary(1, revision) };
        assert!(!listed.replace(&summary(1, 8)) && !listed.replace(&summary(2, 1)));
        assert!(listed.replace(&another(2)));
        assert_eq!(listed.change(&another(2), true), Some(SessionChange::Added), "though it has not come as far");
        assert!(listed.knows(&another(2)) && !listed.replace(&another(2)));
        assert_eq!(listed.change(&another(2), true), None, "heard of twice");
        assert_eq!(listed.change(&another(3), false), Some(SessionChange::Removed));
    }

    #[test]
    fn rows_beyond_the_first_page_are_removed_once_although_nobody_knows_who_read_them() {
        let mut listed = Listed::after(&page([9, 7], true));
        assert_eq!(listed.change(&summary(8, 5), false), None, "it would have been on the page");
        assert_eq!(listed.change(&summary(10, 5), false), None, "newer than the list");
        assert_eq!(listed.change(&summary(6, 5), false), Some(SessionChange::Removed));
        assert_eq!(listed.change(&summary(6, 6), false), None);
        assert!(listed.forget(&summary(5, 1)));
        assert!(!listed.forget(&summary(5, 1)));
    }

    #[test]
    fn what_is_shown_is_removed_however_many_others_came_and_went() {
        let mut listed = Listed::after(&page([1], false));
        let passing = i64::try_from(REMEMBERED).expect("a number") + 10;
        for revision in 1..4 {
            for number in 2..passing {
                listed.change(&summary(number, revision), revision % 2 == 1);
            }
        }
        assert!(listed.sessions.len() == REMEMBERED && listed.order.len() == REMEMBERED);
        assert_eq!(listed.change(&summary(1, 2), false), Some(SessionChange::Removed));
    }
}
