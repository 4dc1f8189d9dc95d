//! Whatever a client does, it ends up with the states of the run.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use super::{Replay, retime, run};
use crate::harness::{TestServer, context, merge};

const CONTROLS: usize = 1_000;

#[tokio::test]
async fn a_thousand_controls_end_in_the_state_that_the_fold_gives() {
    let server = TestServer::start().await;
    let id = server.new_session().await;
    server.command(&id, json!(run())).await;
    let changes: Vec<Value> = (0..80).map(|n| context(&format!("key{}", n % 7), json!({"n": n}))).collect();
    server.command(&id, json!(changes)).await;
    let last = server.command(&id, json!({"type": "complete"})).await;
    // Some at once, some an hour apart: there is always something due, and something that is not.
    let times: Vec<i64> = (0..last as i64).map(|n| n / 10 * 3_600_000).collect();
    let server = retime(server, &id, &times).await;
    let mut states = Vec::new();
    for revision in 1..=last {
        states.push(server.session(&format!("{id}?revision={revision}")).await);
    }
    let seed = rand::random();
    for mode in ["snapshot", "delta", "events"] {
        let mut random = StdRng::seed_from_u64(seed);
        let mut replay = Replay::open(&server, &id, &format!("paused=true&mode={mode}")).await;
        let mut held = Held::new(mode);
        for _ in 0..CONTROLS {
            let (action, more) = any_control(&mut random, last);
            replay.send(action, more).await;
            if random.random_bool(0.3) {
                replay.socket.send(json!({"type": "ping"})).await;
                held.take(&mut replay, |frame| frame["type"] == "pong", &states).await;
            }
        }
        replay.send("pause", json!({})).await;
        replay.socket.send(json!({"type": "ping"})).await;
        let state = held.take(&mut replay, |frame| frame["type"] == "pong", &states).await;
        let revision = state["revision"].as_u64().expect("a revision");
        assert_eq!(held.revision, revision, "{mode}, seed {seed}: what it holds is where it stands");
        if mode != "events" {
            assert_eq!(held.state, states[revision as usize - 1], "{mode}, seed {seed}");
        }
    }
}

fn any_control(random: &mut StdRng, last: u64) -> (&'static str, Value) {
    match random.random_range(0..12) {
        0 | 1 => ("seek", json!({"revision": random.random_range(0..last + 10)})),
        2 => ("seek", json!({"at": super::time(random.random_range(-1_000..last as i64 * 400_000))})),
        3..=5 => ("step", json!({"by": 1})),
        6 | 7 => ("step", json!({"by": -1})),
        8 => ("speed", json!({"speed": 1_000})),
        9 => ("speed", json!({"speed": "max"})),
        10 => ("pause", json!({})),
        _ => ("play", json!({})),
    }
}

/// What a client holds that knows nothing but the protocol.
struct Held {
    mode: &'static str,
    state: Value,
    revision: u64,
}

impl Held {
    fn new(mode: &'static str) -> Self {
        Self { mode, state: Value::Null, revision: 0 }
    }

    /// Takes frames up to one, checks each against the run, and returns the last `replayState`.
    async fn take(&mut self, replay: &mut Replay, last: impl Fn(&Value) -> bool, states: &[Value]) -> Value {
        let mut said = Value::Null;
        loop {
            let frame = replay.socket.frame().await;
            if last(&frame) {
                return said;
            }
            match frame["type"].as_str().expect("a type") {
                "replayState" => said = frame,
                "end" => assert_eq!(frame["revision"], self.revision),
                "snapshot" => self.hold(frame["session"].clone(), states),
                "delta" => {
                    assert_eq!(frame["base"], self.revision);
                    let state = merge(self.state.take(), &frame["patch"]);
                    self.hold(state, states);
                }
                "event" => {
                    assert_eq!(frame["revision"], self.revision + 1, "none is missing");
                    self.revision += 1;
                }
                other => panic!("unexpected in {}: {other}", self.mode),
            }
        }
    }

    fn hold(&mut self, state: Value, states: &[Value]) {
        self.revision = state["revision"].as_u64().expect("a revision");
        assert_eq!(state, states[self.revision as usize - 1], "{}", self.mode);
        self.state = state;
    }
}
