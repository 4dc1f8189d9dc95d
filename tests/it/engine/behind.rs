//! The engine's link to a session whose journal is ahead of what its server shows.

use futures_util::FutureExt as _;
use relive::engine::{LinkEvents as _, LocalLink};
use relive::hub::{Hub, HubOptions};
use relive_session::Event;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::harness::Database;
use crate::hub::{running, submission};
use crate::same_id::{context_set, write_silently};

/// A run that heard of a resumption first would ask for its end, be refused as the session is paused as far
/// as its server shows, and then wait for news that has come already.
#[tokio::test]
async fn an_engine_hears_of_nothing_that_its_server_does_not_show() {
    let storage = Database::create().await.storage();
    let hub = Hub::new(storage.clone(), &HubOptions::default());
    for _ in 0..20 {
        let id = running(&hub).await;
        hub.execute(submission(id, json!({"type": "pause"}))).await.expect("paused");
        let watched = hub.subscribe(id).await.expect("a subscription");
        let (_link, mut events) = LocalLink::open(hub.clone(), id, CancellationToken::new()).await.expect("a link");
        // After a lost race the session is read anew, and what others wrote is in the journal only.
        write_silently(&storage, id, vec![context_set(4)]).await;
        hub.execute(submission(id, json!({"type": "setContext", "key": "k", "value": 5}))).await.expect("set");
        write_silently(&storage, id, vec![Event::Resumed]).await;
        for revision in [4, 5] {
            assert_eq!(events.next().await.expect("an event").expect("an event").revision, revision);
        }
        // The server looks at what is stored when it begins to hear notices, and every so often: if that was
        // just now, another session is tried.
        if watched.live().head().session().revision > 5 {
            continue;
        }
        assert!(events.next().now_or_never().is_none(), "ahead of what is shown");
        hub.refresh(id, 6).await.expect("read");
        assert_eq!(events.next().await.expect("an event").expect("an event").event, Event::Resumed);
        return;
    }
    panic!("the server looks at what is stored all the time");
}
