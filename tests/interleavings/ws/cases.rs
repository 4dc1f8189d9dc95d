use std::future::poll_fn;
use std::sync::Arc;

use shuttle::future::{JoinHandle, block_on, spawn, yield_now};

use super::client::Client;
use super::event_writer::EventWriter;
use super::payloads;
use super::rooms::{Membership, Rooms};
use super::socket::Socket;
use super::viewer::{Viewer, ViewerStep};
use crate::hub::{Hub, HubError, ID, LAST, publish};
use crate::sync::Transport;
use crate::{explore, join};
use relive_protocol::{Mode, Subscribe};

/// Turns after which what has ended must be gone.
const TURNS: usize = 10_000;

async fn enter(rooms: &Rooms, mode: Mode) -> Result<(Arc<Socket>, Arc<Viewer>, Membership), HubError> {
    let subscribe =
        Subscribe { session_id: ID, mode: Some(mode), after: None, messages: None, logs: None, min_interval_ms: None };
    let socket = Arc::new(Socket::new(Transport::default()));
    let make = |live, streams| Viewer::new(Client::Socket(Arc::clone(&socket)), live, streams, &subscribe);
    let (viewer, membership) = rooms.join(ID, make).await?;
    Ok((socket, viewer, membership))
}

/// A client that watches the session until it is shown the last revision, or its deletion. Returns the
/// revisions that it was shown.
async fn watch(rooms: Rooms, mode: Mode) -> Result<Vec<u64>, HubError> {
    let (socket, viewer, membership) = enter(&rooms, mode).await?;
    let has_last = async {
        while payloads(&socket.stream().wire()).last().map(|payload| revision(payload)) != Some(LAST) {
            socket.stream().written.notified().await;
        }
    };
    tokio::select! {
        () = serve(&socket, &viewer) => {}
        () = has_last => {}
    }
    drop(membership);
    Ok(revisions(&socket.stream().wire()))
}

/// A client that reads an event stream until it is shown the last revision; the revisions that it was shown.
async fn read_stream(rooms: Rooms) -> Result<Vec<u64>, HubError> {
    let subscribe = Subscribe {
        session_id: ID,
        mode: Some(Mode::Events),
        after: None,
        messages: None,
        logs: None,
        min_interval_ms: None,
    };
    let writer = Arc::new(EventWriter::new(None));
    let client = Client::Events(Arc::clone(&writer));
    let (viewer, membership) = rooms.join(ID, |live, streams| Viewer::new(client, live, streams, &subscribe)).await?;
    let reader = {
        let writer = Arc::clone(&writer);
        spawn(async move {
            let mut shown = Vec::new();
            while shown.last() != Some(&LAST) {
                let bytes = poll_fn(|context| writer.poll_next(context)).await.expect("no end before the last");
                let text = String::from_utf8(bytes.to_vec()).expect("a text");
                let id = text.lines().find_map(|line| line.strip_prefix("id: ")).expect("an id");
                shown.push(id.parse().expect("a revision"));
            }
            writer.leave();
            shown
        })
    };
    let mut is_due = true;
    while !writer.is_over() {
        if viewer.take_mark() || is_due {
            is_due = false;
            if viewer.advance() != ViewerStep::UpToDate {
                viewer.mark_again();
            }
        }
        writer.wake.notified().await;
    }
    drop(membership);
    Ok(reader.await.expect("a task that ends"))
}

/// What a connection's task does for one viewer, until the session is deleted.
async fn serve(socket: &Socket, viewer: &Viewer) {
    let mut is_due = true;
    loop {
        if viewer.take_mark() || is_due {
            is_due = false;
            if socket.is_blocked() {
                viewer.mark_again();
            } else {
                match viewer.advance() {
                    ViewerStep::UpToDate => {}
                    ViewerStep::Deleted => return,
                    _ => viewer.mark_again(),
                }
            }
        }
        if socket.is_blocked() {
            yield_now().await;
            socket.flush();
        } else {
            socket.wake.notified().await;
        }
    }
}

fn revision(payload: &[u8]) -> u64 {
    #[derive(serde::Deserialize)]
    struct Frame {
        revision: u64,
    }
    serde_json::from_slice::<Frame>(payload).expect("a frame with a revision").revision
}

fn revisions(wire: &[u8]) -> Vec<u64> {
    payloads(wire).into_iter().map(revision).collect()
}

fn view(rooms: &Rooms, mode: Mode) -> JoinHandle<Result<Vec<u64>, HubError>> {
    spawn(watch(rooms.clone(), mode))
}

fn assert_nothing_is_left(hub: &Hub, rooms: &Rooms) {
    assert_eq!(rooms.len(), 0, "a room without viewers");
    let is_idle = block_on(async {
        for _ in 0..TURNS {
            if hub.is_idle() {
                return true;
            }
            yield_now().await;
        }
        false
    });
    assert!(is_idle, "something still holds the session");
}

#[test]
fn viewers_get_every_event_or_newer_states_and_the_last_one() {
    explore(|| {
        let hub = Hub::new();
        let rooms = Rooms::new(hub.clone());
        let viewers = [Mode::Events, Mode::Snapshot].map(|mode| view(&rooms, mode));
        let live = hub.live();
        for revision in 2..=LAST {
            publish(&live, revision);
        }
        drop(live);
        let shown: Vec<Vec<u64>> = join(viewers).into_iter().map(|shown| shown.expect("a session")).collect();
        assert_eq!(shown[0], (1..=LAST).collect::<Vec<_>>());
        assert!(shown[1].is_sorted_by(|one, next| one < next), "{shown:?}");
        assert_nothing_is_left(&hub, &rooms);
    });
}

#[test]
fn an_event_stream_has_every_event_and_sleeps_through_none() {
    explore(|| {
        let hub = Hub::new();
        let rooms = Rooms::new(hub.clone());
        let stream = spawn(read_stream(rooms.clone()));
        let live = hub.live();
        for revision in 2..=LAST {
            publish(&live, revision);
        }
        drop(live);
        assert_eq!(join([stream]), [Ok((1..=LAST).collect())]);
        assert_nothing_is_left(&hub, &rooms);
    });
}

#[test]
fn a_viewer_that_enters_as_another_leaves_misses_nothing() {
    explore(|| {
        let hub = Hub::new();
        let rooms = Rooms::new(hub.clone());
        let passing = {
            let rooms = rooms.clone();
            spawn(async move { drop(enter(&rooms, Mode::Snapshot).await) })
        };
        let viewer = view(&rooms, Mode::Events);
        let live = hub.live();
        for revision in 2..=LAST {
            publish(&live, revision);
        }
        drop(live);
        assert_eq!(join([viewer]), [Ok((1..=LAST).collect())]);
        join([passing]);
        assert_nothing_is_left(&hub, &rooms);
    });
}

#[test]
fn viewers_of_a_session_that_is_deleted_are_told_whenever_they_join() {
    explore(|| {
        let hub = Hub::new();
        let rooms = Rooms::new(hub.clone());
        let viewers = [Mode::Events, Mode::Delta].map(|mode| view(&rooms, mode));
        publish(&hub.live(), 2);
        hub.delete();
        for shown in join(viewers) {
            match shown {
                Ok(shown) => assert!(shown.is_sorted_by(|one, next| one < next), "{shown:?}"),
                Err(error) => assert_eq!(error, HubError::NotFound),
            }
        }
        assert_nothing_is_left(&hub, &rooms);
    });
}
