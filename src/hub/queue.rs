//! A FIFO queue of sessions that holds each session once.

use std::collections::{BTreeMap, HashMap};

use relive_session::SessionId;

/// Sessions in the order in which they were added, each with the data gathered since.
#[derive(Debug)]
pub(super) struct Queue<T> {
    next: u64,
    order: BTreeMap<u64, SessionId>,
    waiting: HashMap<SessionId, (u64, T)>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { next: 0, order: BTreeMap::new(), waiting: HashMap::new() }
    }
}

impl<T> Queue<T> {
    /// Adds a session at the end, or leaves it in its place; `gather` updates the data that waits with it.
    /// Returns whether it was added.
    pub fn put(&mut self, id: SessionId, gather: impl FnOnce(Option<T>) -> T) -> bool {
        let before = self.waiting.remove(&id);
        let is_new = before.is_none();
        let (place, gathered) = before.map_or((self.next, None), |(place, gathered)| (place, Some(gathered)));
        if is_new {
            self.next += 1;
            self.order.insert(place, id);
        }
        self.waiting.insert(id, (place, gather(gathered)));
        is_new
    }

    pub fn remove(&mut self, id: SessionId) {
        if let Some((place, _)) = self.waiting.remove(&id) {
            self.order.remove(&place);
        }
    }

    /// Removes the first sessions, at most `most`.
    pub fn pop_batch(&mut self, most: usize) -> Vec<(SessionId, T)> {
        let mut taken = Vec::new();
        while taken.len() < most
            && let Some((_, id)) = self.order.pop_first()
        {
            taken.extend(self.waiting.remove(&id).map(|(_, gathered)| (id, gathered)));
        }
        taken
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_waits_once_in_its_place_and_gathers() {
        let (mut queue, ids) = (Queue::<u64>::default(), [(); 3].map(|()| SessionId::generate()));
        for (id, revision, is_new) in [(ids[2], 5, true), (ids[0], 1, true), (ids[2], 3, false), (ids[1], 7, true)] {
            assert_eq!(queue.put(id, |waiting| revision.max(waiting.unwrap_or_default())), is_new);
        }
        queue.remove(ids[0]);
        assert_eq!(queue.pop_batch(1), [(ids[2], 5)]);
        queue.put(ids[2], |_| 9);
        assert_eq!(queue.pop_batch(10), [(ids[1], 7), (ids[2], 9)]);
        assert!(queue.is_empty());
    }
}
