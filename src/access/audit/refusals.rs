//! Refusals: recorded one by one while they are few, and counted when they are many.

use std::collections::HashMap;
use std::net::IpAddr;

use tokio::time::Instant;

use super::{AuditedAction, REFUSALS, SUMMARY};

/// Refusals that are recorded one by one in a minute, whatever their addresses: many addresses together must not
/// push everything else out of the log.
const REFUSALS_OF_ALL: u32 = 200;
/// Addresses that are told apart; of all others the refusals are counted together.
const ADDRESSES: usize = 1_000;

pub(super) struct Refusals {
    by_address: HashMap<Option<IpAddr>, Counted>,
    /// Of addresses for which there is no room.
    others: Option<(AuditedAction, u64)>,
    all: Window,
}

/// A minute, and what was recorded in it.
struct Window {
    since: Instant,
    recorded: u32,
}

impl Window {
    fn new(now: Instant) -> Self {
        Self { since: now, recorded: 0 }
    }

    fn has_room(&mut self, now: Instant, limit: u32) -> bool {
        if now.duration_since(self.since) >= SUMMARY {
            *self = Self::new(now);
        }
        self.recorded < limit
    }
}

impl Default for Refusals {
    fn default() -> Self {
        Self { by_address: HashMap::new(), others: None, all: Window::new(Instant::now()) }
    }
}

struct Counted {
    window: Window,
    /// What was not recorded: the first of it, and how many.
    held: Option<(AuditedAction, u64)>,
}

impl Refusals {
    /// The entry again if it is to be recorded by itself; otherwise it was counted.
    pub fn admit(&mut self, entry: AuditedAction, has_room: bool) -> Option<AuditedAction> {
        if self.by_address.len() >= ADDRESSES && !self.by_address.contains_key(&entry.ip) {
            hold(&mut self.others, entry);
            return None;
        }
        let now = Instant::now();
        let counted =
            self.by_address.entry(entry.ip).or_insert_with(|| Counted { window: Window::new(now), held: None });
        if has_room && self.all.has_room(now, REFUSALS_OF_ALL) && counted.window.has_room(now, REFUSALS) {
            self.all.recorded += 1;
            counted.window.recorded += 1;
            return Some(entry);
        }
        hold(&mut counted.held, entry);
        None
    }

    /// What was counted since the last time, with its number.
    pub fn take(&mut self) -> Vec<(AuditedAction, u64)> {
        let now = Instant::now();
        let mut held: Vec<_> = self.by_address.values_mut().filter_map(|counted| counted.held.take()).collect();
        held.extend(self.others.take());
        self.by_address.retain(|_, counted| now.duration_since(counted.window.since) < SUMMARY);
        held
    }
}

fn hold(held: &mut Option<(AuditedAction, u64)>, entry: AuditedAction) {
    match held {
        Some((_, number)) => *number += 1,
        None => *held = Some((entry, 1)),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn entry(address: u32) -> AuditedAction {
        AuditedAction::unknown("listSessions", "/api/v1/sessions").from(Some(Ipv4Addr::from(address).into()), None)
    }

    #[tokio::test(start_paused = true)]
    async fn many_of_one_address_become_one_entry() {
        let mut refusals = Refusals::default();
        let alone = (0..1_000).filter(|_| refusals.admit(entry(1), true).is_some()).count();
        assert_eq!(alone, 20);
        assert!(refusals.admit(entry(2), true).is_some(), "another address");
        assert_eq!(refusals.take(), [(entry(1), 980)]);
        assert_eq!(refusals.take(), []);
        tokio::time::advance(SUMMARY).await;
        assert!(refusals.admit(entry(1), true).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn many_addresses_and_a_full_queue_are_counted_too() {
        let mut refusals = Refusals::default();
        let alone = (0..5_000).filter(|address| refusals.admit(entry(*address), true).is_some()).count();
        assert_eq!((alone, refusals.by_address.len()), (200, ADDRESSES));
        let held = refusals.take();
        assert_eq!((held.len(), held.iter().map(|(_, number)| number).sum::<u64>()), (801, 4_800));
        tokio::time::advance(SUMMARY).await;
        refusals.take();
        assert!(refusals.by_address.is_empty());
        assert!(refusals.admit(entry(1), false).is_none());
        assert_eq!(refusals.take(), [(entry(1), 1)]);
    }
}
