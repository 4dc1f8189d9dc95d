//! Viewers: each is shown states that were committed, never an older one after a newer, and in events
//! mode every event once.

use std::sync::Arc;
use std::time::Duration;

use relive::hub::{Head, Hub, HubError, Subscription};
use relive_session::{Recorded, Revision, Session, SessionId};

use crate::clients::Act;
use crate::world::{Shared, World};

/// Connects a viewer through a server.
pub fn view(world: &Shared, viewer: usize, hub: Hub) -> impl Future<Output = ()> + Send + 'static {
    let shared = Arc::clone(world);
    let mut world = world.lock();
    let calm = world.clients.calm;
    let time = if calm { u64::MAX / 4 } else { world.chance.between(500, 12_000) };
    let seen = &mut world.clients.viewers[viewer];
    seen.is_connected = true;
    seen.shown = 0;
    let (session, wants_events) = (seen.session, seen.wants_events);
    let id = world.clients.sessions[session].id;
    let was_stored = world.stored_as(session);
    // Also dropped when the server is killed before it has begun.
    let connection = Connection { world: shared, viewer, id, was_stored };
    async move {
        let following = connection.follow(&hub, wants_events);
        let _ = tokio::time::timeout(Duration::from_millis(time), following).await;
    }
}

struct Connection {
    world: Shared,
    viewer: usize,
    id: SessionId,
    /// When it connected.
    was_stored: Option<usize>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut world = self.world.lock();
        let viewer = self.viewer;
        world.clients.viewers[viewer].is_connected = false;
        if !world.clients.viewers[viewer].saw_deletion {
            world.fallen.push(Act::View { viewer });
        }
    }
}

impl Connection {
    async fn follow(&self, hub: &Hub, wants_events: bool) {
        let mut subscription = match hub.subscribe(self.id).await {
            Ok(subscription) => subscription,
            Err(error) => return self.refused(&error),
        };
        loop {
            let head = subscription.head();
            let session = Arc::clone(head.session());
            let is_deleted = matches!(head, Head::Deleted(_));
            self.world.lock().shown(self.viewer, &session, is_deleted);
            if is_deleted {
                return;
            }
            if wants_events && self.show_events(hub, &subscription, session.revision).await.is_err() {
                return;
            }
            subscription.changed().await;
        }
    }

    fn refused(&self, error: &HubError) {
        let mut world = self.world.lock();
        let is_still_stored = self.was_stored.is_some() && self.was_stored == world.database.stored_as(self.id);
        if *error == HubError::NotFound && is_still_stored {
            world.wrong(format!("viewer {} was told that there is no such session", self.viewer));
        }
        let was_there = world.database.deleted.contains_key(&self.id);
        world.clients.viewers[self.viewer].saw_deletion |= *error == HubError::NotFound && was_there;
    }

    async fn show_events(&self, hub: &Hub, subscription: &Subscription, to: Revision) -> Result<(), ()> {
        loop {
            let cursor = self.world.lock().clients.viewers[self.viewer].cursor;
            if cursor >= to {
                return Ok(());
            }
            let events: Vec<Recorded> = match subscription.live().events_after(cursor) {
                Some(frames) => frames.iter().map(|frame| frame.recorded().clone()).collect(),
                None => match hub.events(self.id, cursor, 40, relive_session::Texts::ALL).await {
                    Ok(events) => events,
                    Err(HubError::Unavailable | HubError::Internal) => {
                        tokio::time::sleep(Duration::from_millis(200)).await;
                        continue;
                    }
                    Err(_) => return Err(()),
                },
            };
            if events.is_empty() {
                // Deleted meanwhile, or a server that is behind where this viewer was before.
                return if subscription.live().head().session().revision > cursor { Err(()) } else { Ok(()) };
            }
            let mut world = self.world.lock();
            events.iter().for_each(|event| world.shown_event(self.viewer, event));
        }
    }
}

impl World {
    fn shown(&mut self, viewer: usize, session: &Session, is_deleted: bool) {
        let revision = session.revision;
        self.note(
            "shown",
            &[viewer as u64, revision],
            || if is_deleted { "deleted".to_owned() } else { String::new() },
        );
        let seen = &mut self.clients.viewers[viewer];
        let before = std::mem::replace(&mut seen.shown, revision);
        seen.saw_deletion |= is_deleted;
        let identity = Some(session.identity());
        let is_another = seen.identity.replace(session.identity()) != identity;
        if is_another {
            seen.cursor = 0;
        }
        let is_stored = self.database.rows.get(&session.id).is_some_and(|row| Some(row.identity()) == identity);
        let problem = match self.database.row_of(session).map(|row| (row.revision(), row.state_at(revision))) {
            Some(_) if is_another && before > 0 => Some("of another session, on one connection".to_owned()),
            None => Some("of a session that is not stored".to_owned()),
            Some((newest, None)) => Some(format!("before its commit; {newest} is the newest")),
            Some((_, Some(stored))) if **stored != *session => Some("that is not what was committed".to_owned()),
            Some(_) if revision < before => Some(format!("after revision {before}")),
            Some(_) if is_deleted && is_stored => Some("as that of a deleted session".to_owned()),
            Some(_) => None,
        };
        if let Some(problem) = problem {
            self.wrong(format!("viewer {viewer} was shown revision {revision} {problem}"));
        }
    }

    fn shown_event(&mut self, viewer: usize, event: &Recorded) {
        let seen = &mut self.clients.viewers[viewer];
        let expected = seen.cursor + 1;
        let number = seen.session;
        seen.cursor = event.revision;
        let is_it = self.clients.rows(&self.database, number).any(|row| {
            row.stored(event.revision).is_some_and(|stored| without_text(&stored.recorded) == without_text(event))
        });
        if event.revision != expected || !is_it {
            self.wrong(format!(
                "viewer {viewer} was shown event {} after {}, {}",
                event.revision,
                expected - 1,
                if is_it { "as committed" } else { "not as committed" }
            ));
        }
    }
}

fn without_text(recorded: &Recorded) -> Recorded {
    let mut recorded = recorded.clone();
    match &mut recorded.event {
        relive_session::Event::MessageAdded(added) => added.content = None,
        relive_session::Event::LogAdded(added) => added.row = None,
        _ => {}
    }
    recorded
}
