//! Pace against the wall clock, and the states that tell of it. How long things take is computed and
//! tested in `src/replay`; here nothing sleeps, and what would take long at speed 1 is far apart.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Replay, ended_session, retime, revisions, time};
use crate::harness::TestServer;

const HOUR: i64 = 3_600_000;

#[tokio::test]
async fn revisions_come_at_the_recorded_pace_times_the_speed() {
    let server = TestServer::start().await;
    let id = ended_session(&server, 5).await;
    let server = retime(server, &id, &[0, 100_000, 200_000, 200_000, 300_000]).await;
    let begun = Instant::now();
    let mut replay = Replay::open(&server, &id, "speed=1000").await;
    let mut came = Vec::new();
    while came.len() < 5 {
        replay.frame().await;
        came.push(begun.elapsed().as_millis());
    }
    // Never too early; how late depends on the machine.
    for (came, due) in came.iter().zip([0, 100, 200, 200, 300]) {
        assert!(*came >= due, "{came} ms instead of {due}");
    }
}

#[tokio::test]
async fn silences_are_listed_and_shortened() {
    let server = TestServer::start().await;
    let id = ended_session(&server, 6).await;
    let server = retime(server, &id, &[0, HOUR, HOUR + 10, 3 * HOUR, 3 * HOUR + 40, 4 * HOUR]).await;
    let begun = Instant::now();
    let mut replay = Replay::open(&server, &id, "skipIdleMs=30").await;
    assert_eq!(revisions(&replay.up_to_end().await), [1, 2, 3, 4, 5, 6, 6], "four hours at speed 1");
    assert!(begun.elapsed() >= Duration::from_millis(4 * 30 + 10));
    let stretch = |from: i64, to: i64| json!({"from": time(from), "to": time(to)});
    let idle = |state: &Value| state["idle"].as_array().is_some_and(|idle| !idle.is_empty());
    let state = replay.until(idle).await;
    let silent = [(0, HOUR), (HOUR + 10, 3 * HOUR), (3 * HOUR, 3 * HOUR + 40), (3 * HOUR + 40, 4 * HOUR)];
    assert_eq!(state["idle"], json!(silent.map(|(from, to)| stretch(from, to))));
    assert_eq!(state["skipIdleMs"], 30);
    // Unless told otherwise, what is longer than a fiftieth of the run.
    let (mut replay, first) = Replay::paused(&server, &id, "").await;
    let state = if idle(&first) { first } else { replay.until(idle).await };
    assert_eq!(state["idle"].as_array().map(Vec::len), Some(3));
    assert_eq!(state.get("skipIdleMs"), None);
}

#[tokio::test]
async fn a_run_without_silences_lists_none_and_a_long_list_is_cut_to_the_longest() {
    let server = TestServer::start().await;
    let id = ended_session(&server, 403).await;
    let mut times = vec![0];
    for n in 1..403 {
        times.push(times[n - 1] + 1_000 + n as i64);
    }
    let server = retime(server, &id, &times).await;
    let (mut replay, first) = Replay::paused(&server, &id, "skipIdleMs=1000").await;
    let is_there = |state: &Value| state["idle"].as_array().is_some_and(|idle| !idle.is_empty());
    let state = if is_there(&first) { first } else { replay.until(is_there).await };
    let idle = state["idle"].as_array().expect("stretches");
    assert_eq!((idle.len(), &idle[0]["from"]), (256, &json!(time(times[402 - 256]))));
    assert!(idle.is_sorted_by_key(|stretch| stretch["from"].as_str()));
}

#[tokio::test]
async fn while_it_plays_it_says_where_it_stands_often_enough_and_not_too_often() {
    let server = TestServer::start().await;
    let id = ended_session(&server, 500).await;
    let mut times: Vec<i64> = (0..499).map(|n| n * 2_000).collect();
    times.push(times[498] + 1_000_000);
    let server = retime(server, &id, &times).await;
    let begun = Instant::now();
    let mut replay = Replay::open(&server, &id, "speed=1000&mode=events").await;
    let mut states = Vec::new();
    loop {
        let frame = replay.socket.frame().await;
        if frame["type"] == "replayState" {
            states.push((begun.elapsed(), frame.clone()));
            if frame["playing"] == false {
                break;
            }
        }
    }
    let took = begun.elapsed().as_millis();
    // Some two seconds, the second of them silent.
    assert!(states.len() as u128 <= 3 + took / 100, "{} in {took} ms", states.len());
    let silent = states.iter().filter(|(_, state)| state["revision"] == 499).count();
    assert!(silent >= 2, "a scrubber would stand still: {silent}");
    let is_later = |pair: &[(Duration, Value)]| pair[0].1["at"].as_str() <= pair[1].1["at"].as_str();
    assert!(states.windows(2).all(is_later), "time goes on");
    let (moved, last) = (&states[states.len() - 2].1, &states[states.len() - 1].1);
    assert!(moved["at"].as_str() > Some(time(times[498])).as_deref(), "within the silence: {moved}");
    assert_eq!((&last["at"], &last["revision"]), (&json!(time(times[499])), &json!(500)));
}

#[tokio::test]
async fn replays_of_one_session_do_not_disturb_each_other_or_the_live_viewers() {
    let server = TestServer::start().await;
    let id = ended_session(&server, 300).await;
    let mut live = server.socket(&format!("/ws/sessions/{id}")).await;
    assert_eq!(live.frame().await["revision"], 300);
    assert_eq!(live.frame().await["type"], "end");
    let (mut paused, _) = Replay::paused(&server, &id, "from=40").await;
    let playing: Vec<_> = ["speed=max", "speed=1000", "speed=max&from=200", "speed=300&mode=delta&skipIdleMs=1"]
        .map(|query| {
            let path = format!("/ws/sessions/{id}/replay?{query}");
            let address = server.address();
            tokio::spawn(async move {
                let mut replay = Replay { socket: crate::harness::Socket::open(address, &path).await };
                revisions(&replay.up_to_end().await)
            })
        })
        .into();
    for (task, first) in playing.into_iter().zip([1, 1, 200, 1]) {
        let seen = task.await.expect("a replay that went well");
        assert_eq!((seen[0], seen.last()), (first, Some(&300)));
        assert!(seen[..seen.len() - 1].is_sorted_by(|a, b| a < b), "in order, none twice");
    }
    let (shown, state) = paused.control("step", json!({})).await;
    assert_eq!((revisions(&shown), &state["revision"]), (vec![41], &json!(41)));
    live.settle().await;
}
