//! A viewer that comes back wherever it finds a server, with the last revision it holds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::fleet::Fleet;
use crate::harness::merge;

/// What a viewer was shown.
pub struct Seen {
    pub session: String,
    pub mode: &'static str,
    /// In the order of arrival.
    pub revisions: Vec<u64>,
    /// The events, of a viewer in events mode.
    pub events: Vec<Value>,
    /// The last state, of the others.
    pub state: Value,
    /// How often a connection was opened, or tried.
    pub connections: usize,
    /// The longest time between two frames.
    pub longest_wait: Duration,
}

pub struct Viewer {
    fleet: Arc<Fleet>,
    random: StdRng,
    /// The number of the only server that it watches by.
    place: Option<usize>,
    /// How long a connection may be silent before another one is opened.
    patience: Duration,
    shown_at: Instant,
    seen: Seen,
}

impl Viewer {
    pub fn new(fleet: Arc<Fleet>, session: String, mode: &'static str, seed: u64) -> Self {
        let seen = Seen {
            session,
            mode,
            revisions: Vec::new(),
            events: Vec::new(),
            state: Value::Null,
            connections: 0,
            longest_wait: Duration::ZERO,
        };
        // A server that stands still answers nothing; another one does.
        let patience = Duration::from_secs(4);
        Self { fleet, random: StdRng::seed_from_u64(seed), place: None, patience, shown_at: Instant::now(), seen }
    }

    /// It watches by this server alone, and stays connected for so long without a frame.
    pub fn at(self, place: usize, patience: Duration) -> Self {
        Self { place: Some(place), patience, ..self }
    }

    /// Watches until the session's end.
    pub async fn watch(mut self) -> Seen {
        while !self.watch_once().await {
            sleep(Duration::from_millis(self.random.random_range(5..100))).await;
        }
        self.seen
    }

    /// One connection; true when the session has ended.
    async fn watch_once(&mut self) -> bool {
        let Seen { session, mode, .. } = &self.seen;
        let after = self.seen.revisions.last().copied().unwrap_or(0);
        let path = format!("/ws/sessions/{session}?mode={mode}&after={after}");
        self.seen.connections += 1;
        let Some(mut stream) = self.fleet.open(&mut self.random, self.place, &path).await else { return false };
        while let Ok(Some(Ok(message))) = timeout(self.patience, stream.next()).await {
            let Message::Text(text) = message else { continue };
            if self.take(serde_json::from_str(&text).expect("JSON")) {
                return true;
            }
        }
        false
    }

    fn take(&mut self, mut frame: Value) -> bool {
        let revision = frame["revision"].as_u64().unwrap_or_default();
        if matches!(frame["type"].as_str(), Some("event" | "snapshot" | "delta")) {
            self.seen.longest_wait = self.seen.longest_wait.max(self.shown_at.elapsed());
            self.shown_at = Instant::now();
        }
        match frame["type"].as_str() {
            Some("event") => {
                self.seen.revisions.push(revision);
                self.seen.events.push(frame["event"].take());
            }
            Some("snapshot") => {
                self.seen.revisions.push(revision);
                self.seen.state = frame["session"].take();
            }
            Some("delta") => {
                assert_eq!(frame["base"], self.seen.state["revision"], "a patch of a state that was never sent");
                self.seen.revisions.push(revision);
                self.seen.state = merge(self.seen.state.take(), &frame["patch"]);
            }
            Some("end") => return true,
            Some("error") => assert_eq!(frame["code"], "unavailable", "{frame}"),
            _ => {}
        }
        false
    }
}
