//! Notices by NATS, and without it when it is away.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use relive::config::Secret;
use serde_json::{Value, json};

use super::chunks::{read, show, watch};
use super::promptly;
use crate::harness::{Database, NatsServer, Socket, TestServer, context};

/// Two servers on one database that use a NATS server, and what passes through it.
struct Fleet {
    nats: NatsServer,
    passing: async_nats::Subscriber,
    here: TestServer,
    there: TestServer,
}

impl Fleet {
    /// `None` where there is no NATS server.
    async fn start() -> Option<Self> {
        let nats = NatsServer::start().await?;
        let passing = nats.listen().await;
        let database = Database::create().await;
        let with = |config: &mut relive::config::ServeConfig| {
            config.messaging.nats_url = Some(Secret::from(nats.url()));
        };
        let here = TestServer::start_on(database.clone(), with).await;
        let there = TestServer::start_on(database, with).await;
        Some(Self { nats, passing, here, there })
    }

    /// Commits something, which its viewer is shown.
    async fn commit(&self, id: &str, viewer: &mut Socket) -> u64 {
        let revision = self.there.command(id, change()).await;
        promptly(viewer.until(|frame| frame["revision"] == revision)).await;
        revision
    }

    /// Commits until a notice of it passes through the broker.
    async fn until_by_nats(&mut self, id: &str, viewer: &mut Socket) {
        let by_nats = async {
            loop {
                self.there.command(id, change()).await;
                let wait = Duration::from_millis(200);
                while let Ok(Some(message)) = tokio::time::timeout(wait, self.passing.next()).await {
                    let text = String::from_utf8(message.payload.into()).expect("a text");
                    if text.contains("\"changed\"") && text.contains(id) {
                        return;
                    }
                }
            }
        };
        tokio::time::timeout(crate::harness::DEADLINE, by_nats).await.expect("a notice by NATS");
        self.commit(id, viewer).await;
    }
}

/// A value that is not held yet: what changes nothing is not told.
fn change() -> Value {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    context("k", json!(NEXT.fetch_add(1, Ordering::Relaxed)))
}

#[tokio::test]
async fn commits_and_chunks_go_through_nats() {
    let Some(mut fleet) = Fleet::start().await else { return };
    let id = fleet.there.running_session().await;
    let mut viewer = watch(&fleet.here, &id).await;
    fleet.until_by_nats(&id, &mut viewer).await;
    show(&fleet.there, &id, "first", "By NATS").await;
    read(&mut viewer, "first", "By NATS").await;
    let chunk = async {
        loop {
            let message = fleet.passing.next().await.expect("a message");
            if String::from_utf8_lossy(&message.payload).contains("By NATS") {
                return;
            }
        }
    };
    promptly(chunk).await;
}

#[tokio::test]
async fn nothing_stops_while_nats_is_away() {
    let Some(mut fleet) = Fleet::start().await else { return };
    let id = fleet.there.running_session().await;
    let mut viewer = watch(&fleet.here, &id).await;
    fleet.until_by_nats(&id, &mut viewer).await;
    // Killed: at once, and as long as it takes.
    fleet.nats.stop().await;
    for round in 0..5 {
        fleet.commit(&id, &mut viewer).await;
        let message = format!("message {round}");
        show(&fleet.there, &id, &message, "word").await;
        read(&mut viewer, &message, "word").await;
    }
    fleet.nats.run().await;
    fleet.passing = fleet.nats.listen().await;
    fleet.until_by_nats(&id, &mut viewer).await;
    // It answers nothing and closes nothing, as behind a cut cable.
    fleet.nats.pause(true);
    for _ in 0..5 {
        fleet.commit(&id, &mut viewer).await;
    }
    fleet.nats.pause(false);
    fleet.until_by_nats(&id, &mut viewer).await;
}

#[tokio::test]
async fn a_server_that_starts_without_nats_finds_it_later() {
    let Some(mut nats) = NatsServer::start().await else { return };
    nats.stop().await;
    let database = Database::create().await;
    let url = nats.url();
    let with = |config: &mut relive::config::ServeConfig| {
        config.messaging.nats_url = Some(Secret::from(url.clone()));
    };
    let here = TestServer::start_on(database.clone(), with).await;
    let there = TestServer::start_on(database, with).await;
    let id = there.running_session().await;
    let mut viewer = watch(&here, &id).await;
    let revision = there.command(&id, change()).await;
    promptly(viewer.until(|frame| frame["revision"] == revision)).await;
    nats.run().await;
    let passing = nats.listen().await;
    let mut fleet = Fleet { nats, passing, here, there };
    fleet.until_by_nats(&id, &mut viewer).await;
}

#[tokio::test]
async fn a_server_without_nats_is_told_by_the_database() {
    let Some(mut fleet) = Fleet::start().await else { return };
    let id = fleet.there.running_session().await;
    let mut viewer = watch(&fleet.here, &id).await;
    fleet.until_by_nats(&id, &mut viewer).await;
    let third = TestServer::start_on(fleet.here.database.clone(), |_| {}).await;
    let mut third_viewer = watch(&third, &id).await;
    for _ in 0..5 {
        let revision = fleet.commit(&id, &mut viewer).await;
        promptly(third_viewer.until(|frame| frame["revision"] == revision)).await;
    }
    // When it is gone, NATS serves again.
    third.stop().await;
    fleet.until_by_nats(&id, &mut viewer).await;
}
